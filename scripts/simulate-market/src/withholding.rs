//! How far block authors can bend a draw by withholding blocks.
//!
//! The attackers' slots come independently, with their share `a` of all slots. They know their own
//! slots and outputs ahead (as BABE authors do within an epoch), nothing of other authors' outputs
//! before these are there, and a withheld block costs them nothing. That is the worst case: on BABE
//! a withheld primary block is often replaced by a secondary author's.

use crate::{
    random::{Mean, Random},
    rules::Rules,
    table::{amount, percent, Report, Table},
    verdicts::{detection, HOSTILE_SHARES},
};

/// Shares of all slots that attackers own.
pub const AUTHOR_SHARES: [f64; 5] = [0.05, 0.10, 0.20, 0.33, 0.45];

/// From what a draw's seed is made.
#[derive(Clone, Copy)]
enum Seed {
    /// The next so many blocks: the rule of the first draft.
    Blocks(usize),
    /// The same, but only from the next multiple of so many slots on: fewer times to choose from.
    /// The rule of the chain.
    Aligned(usize, usize),
    /// The blocks of the next so many slots, whether or not there is one in each.
    Slots(usize),
    /// All blocks up to the first one, after eight slots, whose running hash falls in one of so many
    /// cases: nobody knows ahead where that is.
    Ticks(usize),
}

impl Seed {
    fn text(self) -> String {
        match self {
            Self::Blocks(count) => format!("next {count} blocks"),
            Self::Aligned(count, period) => {
                format!("next {count} blocks from a multiple of {period} on")
            }
            Self::Slots(count) => format!("blocks of the next {count} slots"),
            Self::Ticks(one_in) => format!("first tick after 8 slots (1 block in {one_in})"),
        }
    }

    /// Slots after a delivery that matter, but for an event that does not happen.
    fn horizon(self) -> usize {
        match self {
            Self::Blocks(count) => count * 6 + 40,
            Self::Aligned(count, period) => period + count * 6 + 40,
            Self::Slots(count) => count,
            Self::Ticks(one_in) => one_in * 12 + 8,
        }
    }
}

/// The rule of the chain, by its defaults.
fn chains_rule() -> Seed {
    let parameters = genesisflow_primitives::Parameters::default();
    Seed::Aligned(
        parameters.seed_blocks as usize,
        parameters.seed_interval as usize,
    )
}

/// Lengths of the attackers' runs of slots before each slot of another author, from `from` on.
fn runs(own: &[bool], from: usize) -> Vec<usize> {
    let mut runs = Vec::new();
    let mut run = 0;
    for mine in &own[from..] {
        if *mine {
            run += 1;
        } else {
            runs.push(run);
            run = 0;
        }
    }
    runs.push(run);
    runs
}

fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
}

/// The chance that attackers get an event of probability `event` under "the next blocks", for each
/// (run, blocks still needed). After the last block of another author they know every seed that
/// their own run can finish; otherwise they choose how many of its blocks to publish, so that the
/// window ends where they like.
fn by_blocks(runs: &[usize], needed: usize, event: f64) -> Vec<Vec<f64>> {
    let mut values = vec![vec![event; needed + 1]; runs.len() + 1];
    for (index, run) in runs.iter().enumerate().rev() {
        for need in 1..=needed {
            let finishing = if *run >= need {
                binomial(*run, need)
            } else {
                0.0
            };
            let otherwise = (0..=(*run).min(need - 1))
                .map(|published| values[index + 1][need - published - 1])
                .fold(0.0, f64::max);
            values[index][need] = 1.0 - (1.0 - event).powf(finishing) * (1.0 - otherwise);
        }
    }
    values
}

/// The same under "the blocks of the next slots": only the run that ends the window can choose.
fn by_slots(own: &[bool], event: f64) -> f64 {
    let run = own.iter().rev().take_while(|mine| **mine).count();
    1.0 - (1.0 - event).powf(2f64.powi(run as i32))
}

/// No reachable seed is a success, in a run of so many own slots: each is published, and ends the
/// draw or not, or withheld.
fn no_tick_succeeds(run: usize, tick: f64, event: f64) -> f64 {
    (0..run).fold(1.0, |rest, _| {
        (tick * (1.0 - event) + (1.0 - tick) * rest) * rest
    })
}

/// The same under ticks, for each slot at which the draw may be looked at.
fn by_ticks(own: &[bool], one_in: usize, event: f64) -> Vec<f64> {
    let tick = 1.0 / one_in as f64;
    let mut values = vec![event; own.len() + 2];
    let mut run = 0;
    for slot in (0..own.len()).rev() {
        run = if own[slot] { run + 1 } else { 0 };
        let found = 1.0 - no_tick_succeeds(run.min(20), tick, event);
        let after = values[(slot + run + 1).min(own.len() + 1)];
        values[slot] = found + (1.0 - found) * (tick * event + (1.0 - tick) * after);
    }
    values
}

fn schedule(share: f64, slots: usize, random: &mut Random) -> Vec<bool> {
    (0..slots).map(|_| random.chance(share)).collect()
}

/// The chance of an event for attackers who own `share` of the slots and may begin at the best of
/// `starts` slots, over `samples` schedules.
fn bent(
    seed: Seed,
    share: f64,
    event: f64,
    starts: usize,
    samples: u64,
    random: &mut Random,
) -> Mean {
    let mut mean = Mean::default();
    for _ in 0..samples {
        let own = schedule(share, starts + seed.horizon(), random);
        let from_block = |start: usize, count: usize| {
            let mut runs = runs(&own, start);
            runs.truncate(count + 1);
            by_blocks(&runs, count, event)[0][count]
        };
        let best = match seed {
            Seed::Blocks(count) => (0..starts)
                .map(|start| from_block(start, count))
                .fold(0.0, f64::max),
            Seed::Aligned(count, period) => {
                // The first multiple at or after each start.
                let first = (random.unit() * period as f64) as usize;
                (first..starts - 1 + period)
                    .step_by(period)
                    .map(|start| from_block(start, count))
                    .fold(0.0, f64::max)
            }
            Seed::Slots(count) => (0..starts)
                .map(|start| by_slots(&own[start..start + count], event))
                .fold(0.0, f64::max),
            Seed::Ticks(one_in) => {
                let values = by_ticks(&own, one_in, event);
                values[8..8 + starts].iter().copied().fold(0.0, f64::max)
            }
        };
        mean.add(best);
    }
    mean
}

/// Plays one draw under "the next blocks" by the best policy, with outcomes drawn at random: whether
/// the event came, and how many blocks were withheld.
fn play(share: f64, event: f64, needed: usize, random: &mut Random) -> (bool, u32) {
    let own = schedule(share, Seed::Blocks(needed).horizon(), random);
    let mut runs = runs(&own, 0);
    runs.truncate(needed + 1);
    let values = by_blocks(&runs, needed, event);
    let mut need = needed;
    let mut withheld = 0;
    for (index, run) in runs.iter().enumerate() {
        // Seeds that end with the run's slot number need + skipped, cheapest first.
        for skipped in 0..=run.saturating_sub(need) {
            if *run < need {
                break;
            }
            let seeds = binomial(need + skipped - 1, need - 1);
            if random.chance(1.0 - (1.0 - event).powf(seeds)) {
                return (true, withheld + skipped as u32);
            }
        }
        let published = (0..=(*run).min(need - 1))
            .max_by(|a, b| {
                let value = |published: &usize| values[index + 1][need - published - 1];
                value(a).total_cmp(&value(b))
            })
            .unwrap_or(0);
        withheld += (run - published) as u32;
        need -= published + 1;
        if need == 0 {
            break;
        }
    }
    (random.chance(event), withheld)
}

/// Runs the part.
pub fn report(jobs: u64, seed: u64) -> Report {
    let mut report = Report::default();
    report.heading("Draws bent by authors who withhold blocks");
    let mut random = Random::new(seed, 5);
    let samples = (jobs / 20).clamp(200, 5_000);
    escaped_draws(&mut report, samples, &mut random);
    costs(&mut report, jobs, &mut random);
    seats(&mut report, samples, &mut random);
    losses(&mut report, samples, &mut random);
    report
}

fn escaped_draws(report: &mut Report, samples: u64, random: &mut Random) {
    report.paragraph(&format!(
        "The chance that a cheat of an established worker is audited, as a multiple of what it should be, if the \
         worker and authors with this share of all slots act together (a coalition counts as one). `timed`: the \
         worker also knows the authors' coming slots and delivers at the best of 30 or 150 slots. Exact for each \
         schedule of slots, averaged over {samples} schedules (timed: a tenth).",
    ));
    let mut table = Table::new(&[
        "seed from",
        "delivery",
        "5 % of slots",
        "10 %",
        "20 %",
        "33 %",
        "45 %",
    ]);
    let audited = Rules::of_the_chain().probability(1.0, 10, false);
    let mut agree = true;
    for seed in [
        Seed::Blocks(2),
        Seed::Blocks(8),
        Seed::Aligned(8, 64),
        Seed::Slots(8),
        Seed::Ticks(64),
    ] {
        for starts in [1, 30, 150] {
            let samples = if starts == 1 { samples } else { samples / 10 };
            let mut row = vec![
                seed.text(),
                if starts == 1 {
                    "at any time".into()
                } else {
                    format!("timed, {starts} slots")
                },
            ];
            for share in AUTHOR_SHARES {
                let missed = bent(seed, share, 1.0 - audited, starts, samples, random);
                let ratio = (1.0 - missed.mean()) / audited;
                if let (Seed::Slots(_), 1) = (seed, starts) {
                    let expected = slots_formula(share, audited);
                    let off = (1.0 - missed.mean() - expected).abs();
                    agree &= off <= 5.0 * missed.error() + 1e-9;
                }
                row.push(amount(ratio));
            }
            table.row(row);
        }
    }
    report.table(&table);
    report.claim(
        agree,
        "Sampled schedules agree with the closed form for a window of slots.".into(),
    );
}

/// The chance of an audit under "the blocks of the next 8 slots": a run of r own slots ends the window
/// with probability a^r (1 - a), and leaves 2^r seeds to choose from.
fn slots_formula(share: f64, audited: f64) -> f64 {
    (0..=8)
        .map(|run| {
            let ends = share.powi(run) * if run < 8 { 1.0 - share } else { 1.0 };
            ends * audited.powf(2f64.powi(run))
        })
        .sum()
}

fn costs(report: &mut Report, jobs: u64, random: &mut Random) {
    let count = jobs.clamp(2_000, 100_000);
    report.paragraph(&format!(
        "What that takes for eight blocks in a row (delivery at any time, {count} draws played): blocks \
         withheld per draw, and what share that is of the blocks that the authors would have made in the meantime. A \
         block carries no reward on this chain, and transaction fees go to the treasury, so a withheld block costs its \
         author nothing but its name: a share of missed slots that anyone can count.",
    ));
    let mut table = Table::new(&[
        "share of slots",
        "audited, of what it should be: formula",
        "played",
        "blocks withheld per draw",
        "of own blocks",
    ]);
    let audited = Rules::of_the_chain().probability(1.0, 10, false);
    let mut agree = true;
    for share in AUTHOR_SHARES {
        let missed = bent(Seed::Blocks(8), share, 1.0 - audited, 1, count / 4, random);
        let exact = 1.0 - missed.mean();
        let (mut hits, mut withheld) = (Mean::default(), Mean::default());
        for _ in 0..count {
            let (missed, blocks) = play(share, 1.0 - audited, 8, random);
            hits.add(f64::from(u8::from(!missed)));
            withheld.add(f64::from(blocks));
        }
        // Both are samples: of single draws, and of schedules.
        agree &= (hits.mean() - exact).abs() <= 4.0 * (hits.error() + missed.error());
        let own = 8.0 * share / (1.0 - share);
        table.row(vec![
            percent(share),
            amount(exact / audited),
            amount(hits.mean() / audited),
            amount(withheld.mean()),
            percent(withheld.mean() / (own + withheld.mean())),
        ]);
    }
    report.table(&table);
    report.claim(
        agree,
        "Played draws of block withholders agree with the formula.".into(),
    );
}

fn seats(report: &mut Report, samples: u64, random: &mut Random) {
    use crate::{game::Game, pool::Pool, verdicts::HONEST_ACCOUNTS, verdicts::SILENCE};
    report.paragraph(
        "The chance that attackers with a third of the stake hold an appeal, if authors with this share of slots \
         withhold for them (next 8 blocks, appeal at any time). An appellant also chooses the block of its appeal, \
         within the appeal window of 150 blocks: `timed`.",
    );
    let mut table = Table::new(&[
        "seats on appeal",
        "nobody withholds",
        "5 % of slots",
        "10 %",
        "20 %",
        "33 %",
        "10 % timed (150)",
        "33 % timed (150)",
    ]);
    for seats in [7, 31] {
        let rules = Rules::of_the_chain().with_appeal_seats(seats);
        let game = Game::new(&rules, &Pool::mixed(HONEST_ACCOUNTS, 0.33), SILENCE);
        let holds = game.appeal.hostile();
        let mut row = vec![seats.to_string(), percent(holds)];
        for share in &AUTHOR_SHARES[..4] {
            let held = bent(chains_rule(), *share, holds, 1, samples, random);
            row.push(percent(held.mean()));
        }
        for share in [0.10, 0.33] {
            let held = bent(chains_rule(), share, holds, 150, samples / 10, random);
            row.push(percent(held.mean()));
        }
        table.row(row);
    }
    report.table(&table);
}

fn losses(report: &mut Report, samples: u64, random: &mut Random) {
    report.paragraph(
        "Both together: mean result of a cheat, in fees, where attackers own this share of slots and hold this share \
         of the pool's stake (established worker, fee = worst case, delivery at any time). Below 0 cheating loses.",
    );
    let mut table = Table::new(&[
        "rules",
        "share of slots",
        "10 % of the stake",
        "20 %",
        "33 %",
        "45 %",
    ]);
    let mut loses = true;
    for (name, rules) in [
        ("first draft", Rules::first_draft()),
        ("chain's defaults", Rules::of_the_chain()),
    ] {
        let audited = rules.probability(1.0, 10, false);
        for share in AUTHOR_SHARES {
            let missed = bent(chains_rule(), share, 1.0 - audited, 1, samples, random);
            let hit = 1.0 - missed.mean();
            let mut row = vec![name.to_string(), percent(share)];
            for hostile in HOSTILE_SHARES {
                let found = hit * detection(&rules, hostile);
                let result = crate::cheating::per_cheat(found, 1.0, rules.exposure());
                if name == "chain's defaults" && share <= 0.2 && hostile < 0.4 {
                    loses &= result < 0.0;
                }
                row.push(amount(result));
            }
            table.row(row);
        }
    }
    report.table(&table);
    report.claim(
        loses,
        "Cheating loses even where authors of a fifth of all slots withhold blocks for it and a third of the stake is \
         hostile, unless deliveries are timed to the authors' slots."
            .into(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_own_slots_nothing_can_be_bent() {
        let mut random = Random::new(1, 0);
        for seed in [
            Seed::Blocks(8),
            Seed::Aligned(8, 64),
            Seed::Slots(8),
            Seed::Ticks(16),
        ] {
            let chance = bent(seed, 0.0, 0.3, 5, 50, &mut random).mean();
            assert!((chance - 0.3).abs() < 1e-9, "{}: {chance}", seed.text());
        }
    }

    #[test]
    fn one_own_slot_at_the_end_gives_a_second_try() {
        // The last of two blocks is the attackers': publish it, or leave the draw to the next.
        let values = by_blocks(&[0, 1, 0], 2, 0.3);
        assert!((values[0][2] - (1.0 - 0.7 * 0.7)).abs() < 1e-12);
        assert!((by_slots(&[false, true], 0.3) - (1.0 - 0.7 * 0.7)).abs() < 1e-12);
        // In the middle it only moves the window.
        assert!((by_slots(&[true, false], 0.3) - 0.3).abs() < 1e-12);
        assert!((by_blocks(&[1, 0, 0], 2, 0.3)[0][2] - 0.3).abs() < 1e-12);
    }

    #[test]
    fn every_subset_of_a_run_that_finishes_is_a_try() {
        // Three own slots, two blocks needed: three pairs, then whatever follows.
        let value = by_blocks(&[3, 0, 0], 2, 0.1)[0][2];
        let follows = 0.1;
        assert!((value - (1.0 - 0.9f64.powi(3) * (1.0 - follows))).abs() < 1e-12);
        assert_eq!(binomial(5, 2), 10.0);
    }

    #[test]
    fn played_draws_follow_the_formula() {
        let mut random = Random::new(4, 0);
        let exact = bent(Seed::Blocks(8), 0.33, 0.2, 1, 20_000, &mut random).mean();
        let mut played = Mean::default();
        for _ in 0..20_000 {
            played.add(f64::from(u8::from(play(0.33, 0.2, 8, &mut random).0)));
        }
        assert!((played.mean() - exact).abs() < 0.02, "{exact}");
    }

    #[test]
    fn a_tick_in_an_own_run_is_a_try_for_each_way_to_get_there() {
        // One own slot: it ends the draw well, or is withheld.
        assert!((no_tick_succeeds(1, 0.25, 0.4) - 0.9).abs() < 1e-12);
        assert!(no_tick_succeeds(3, 0.25, 0.4) < 0.9f64.powi(3));
        assert_eq!(no_tick_succeeds(0, 0.25, 0.4), 1.0);
    }
}
