//! Figures of the phases, and their printed form.

use crate::{
    drive::{Course, Kind},
    measure::{Account, Limits, Tally, CLASSES},
    storage::Kept,
};
use std::{collections::BTreeMap, time::Duration};

/// Processor time used during a phase, in cores.
#[derive(Clone, Copy)]
pub struct Cores {
    /// By the node.
    pub node: f64,
    /// By this program.
    pub client: f64,
    /// By everything else on the machine.
    pub others: f64,
    /// Microseconds of the node's for each call of the whole phase.
    pub node_per_call: f64,
}

/// A phase, reduced to the blocks that count: after the pipeline has filled, and before it empties.
pub struct Phase {
    /// What it did.
    pub name: &'static str,
    /// Time from the block before the first one that counts to the last one.
    pub time: Duration,
    /// The blocks that count.
    pub blocks: Vec<Account>,
    /// Time from sending to inclusion in a block that counts, shortest first.
    pub latencies: Vec<Duration>,
    /// Transactions that found the pool full.
    pub sent_again: u64,
    /// Transactions that the pool lost.
    pub lost: u64,
    /// Blocks that their author threw away because they took too long to make.
    pub thrown_away: usize,
    /// Processor time.
    pub cores: Cores,
}

/// The blocks of `course` that count, as a range: without the first `ramp` ones, and without those
/// that came when nothing new was begun any more.
pub fn window(course: &Course, ramp: usize) -> std::ops::Range<usize> {
    let end = course
        .blocks
        .iter()
        .take_while(|block| block.seen <= course.stopped)
        .count();
    ramp.min(end)..end
}

impl Phase {
    fn of_kinds(&self) -> BTreeMap<Kind, Tally> {
        let mut sum = BTreeMap::<Kind, Tally>::new();
        for (kind, tally) in self.blocks.iter().flat_map(|block| &block.kinds) {
            let entry = sum.entry(*kind).or_default();
            entry.count += tally.count;
            entry.time += tally.time;
            entry.length += tally.length;
        }
        sum
    }

    fn calls(&self) -> u64 {
        self.of_kinds().values().map(|tally| tally.count).sum()
    }

    /// Transactions per second.
    pub fn rate(&self) -> f64 {
        per_second(self.calls(), self.time)
    }

    fn sum(&self, of: impl Fn(&Account) -> u64) -> f64 {
        per_second(self.blocks.iter().map(of).sum(), self.time)
    }

    /// Jobs settled per second.
    pub fn settled(&self) -> f64 {
        self.sum(|block| block.settled)
    }

    /// Prints one line, or two for the market.
    pub fn print(&self) {
        let remarks = [
            (self.sent_again, "found the pool full"),
            (self.lost, "were lost by the pool and sent again"),
            (
                self.thrown_away as u64,
                "blocks took too long and were thrown away",
            ),
        ];
        let remarks: String = remarks
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("; {count} {what}"))
            .collect();
        println!(
            "{:<10} {:>6} calls in {:>2} blocks, {:>5.1} s: {:>6.0} calls/s; inclusion p50 {:.1} s, p99 {:.1} s; \
             cores: node {:.2} ({:.0} µs a call), client {:.2}, others {:.2}{remarks}",
            self.name,
            self.calls(),
            self.blocks.len(),
            self.time.as_secs_f64(),
            self.rate(),
            quantile(&self.latencies, 0.50),
            quantile(&self.latencies, 0.99),
            self.cores.node,
            self.cores.node_per_call,
            self.cores.client,
            self.cores.others,
        );
        let kinds = self.of_kinds();
        let rate = |kind| per_second(kinds.get(&kind).map_or(0, |tally| tally.count), self.time);
        if kinds.contains_key(&Kind::Submit) {
            println!(
                "{:<10} jobs/s: submitted {:.0}, claimed {:.0}, delivered {:.0}, settled {:.0} ({:.0} by the chain), dropped {:.0}",
                "",
                rate(Kind::Submit),
                rate(Kind::Claim),
                rate(Kind::Deliver),
                self.settled(),
                self.sum(|block| block.settled_by_chain),
                self.sum(|block| block.dropped),
            );
        }
    }
}

/// Prints what the blocks of all phases of one name held, against what they may hold.
pub fn print_fill(name: &str, phases: &[&Phase], limits: &Limits) {
    let blocks: Vec<&Account> = phases.iter().flat_map(|phase| &phase.blocks).collect();
    let count = blocks.len().max(1) as f64;
    println!("\n{name}: {} blocks", blocks.len());
    println!("  class        weight used, ms of ref_time  proof size, bytes   length, bytes");
    for (index, class) in CLASSES.iter().enumerate() {
        let mean = |of: &dyn Fn(&Account) -> u64| {
            blocks.iter().map(|block| of(block) as f64).sum::<f64>() / count
        };
        let most = blocks.iter().map(|block| block.weight[index].time).max();
        let limit = limits.class_weight[index];
        println!(
            "  {:<12} {:>6.1} (most {:>6.1}) of {:>6.1}    {:>6.0} of {:<10} {:>8.0} of {}",
            class,
            mean(&|block| block.weight[index].time) / 1e9,
            most.unwrap_or(0) as f64 / 1e9,
            limit.time as f64 / 1e9,
            mean(&|block| block.weight[index].proof),
            if limit.proof == u64::MAX {
                "no limit".to_owned()
            } else {
                limit.proof.to_string()
            },
            mean(&|block| block.length[index]),
            limits.class_length[index],
        );
    }
    let mut ends = BTreeMap::<&str, (u32, u128)>::new();
    for (took, end) in blocks.iter().filter_map(|block| block.making.as_ref()) {
        let entry = ends.entry(end).or_default();
        entry.0 += 1;
        entry.1 += took.as_millis();
    }
    for (end, (count, took)) in ends {
        println!(
            "  {count} blocks ended with {end}, made in {} ms each",
            took / u128::from(count)
        );
    }
    let mut kinds = BTreeMap::<Kind, Tally>::new();
    for (kind, tally) in phases.iter().flat_map(|phase| phase.of_kinds()) {
        let entry = kinds.entry(kind).or_default();
        entry.count += tally.count;
        entry.time += tally.time;
        entry.length += tally.length;
    }
    for (kind, tally) in kinds {
        println!(
            "  {:<20} {:>7} calls, {:>5.0} µs of ref_time and {:>4} bytes each",
            kind.name(),
            tally.count,
            tally.time as f64 / tally.count as f64 / 1e6,
            tally.length / tally.count,
        );
    }
}

/// Prints what differs between two states of the market's storage.
pub fn print_storage(title: &str, before: &Kept, after: &Kept, jobs: u64) {
    let (then, now) = (before.total(), after.total());
    let entries = now.0 as i64 - then.0 as i64;
    let bytes = now.1 as i64 - then.1 as i64;
    println!("\n{title}: {entries:+} entries, {bytes:+} bytes");
    if jobs > 0 {
        println!(
            "  per job: {:.2} entries, {:.0} bytes",
            entries as f64 / jobs as f64,
            bytes as f64 / jobs as f64
        );
    }
    for (item, entries, bytes) in after.since(before) {
        println!("  {item:<18} {entries:>+8} entries {bytes:>+10} bytes");
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    count as f64 / time.as_secs_f64()
}

/// A quantile of sorted times, in seconds: the smallest one that the given share does not exceed.
fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.saturating_sub(1).min(last)].as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::Block;
    use std::time::Instant;

    #[test]
    fn a_quantile_is_one_of_the_times() {
        let times: Vec<_> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!(quantile(&times, 0.50), 50.0);
        assert_eq!(quantile(&times, 0.99), 99.0);
        assert_eq!(quantile(&times[..1], 0.99), 1.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn blocks_before_the_pipeline_is_full_or_after_the_end_do_not_count() {
        let began = Instant::now();
        let course = Course {
            stopped: began + Duration::from_secs(9),
            blocks: (1..=6)
                .map(|number| Block {
                    number,
                    hash: String::new(),
                    seen: began + Duration::from_secs(2 * u64::from(number)),
                    kinds: Vec::new(),
                    lengths: Vec::new(),
                })
                .collect(),
            latencies: Vec::new(),
            sent_again: 0,
            lost: 0,
        };
        assert_eq!(window(&course, 1), 1..4);
        assert_eq!(window(&course, 5), 4..4);
    }
}
