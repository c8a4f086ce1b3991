//! What the stories have reached, so that a harness that does nothing fails.

use std::collections::BTreeMap;

type Counts = BTreeMap<String, u64>;

/// Counts of everything that was seen.
#[derive(Default)]
pub struct Coverage {
    /// Blocks.
    pub blocks: u64,
    /// Blocks that were also executed as received ones.
    pub imported: u64,
    /// Blocks that were filled until nothing more went in.
    pub full: u64,
    /// Transactions in blocks.
    pub included: u64,
    /// Transactions that were refused.
    pub refused: u64,
    /// Bytes written along the types of calls, and how many of them were calls.
    pub written: u64,
    pub decoded: u64,
    /// Mutated bytes that still were calls.
    pub mutated: u64,
    /// Calls that succeeded as transactions of their own, by pallet and name.
    pub succeeded: Counts,
    /// Calls that were included and failed.
    pub failed: Counts,
    /// Events of the market.
    pub events: Counts,
    /// States in which jobs were seen at the end of a block.
    pub states: Counts,
    /// Largest number of the market's storage keys in a block.
    pub most_keys: u64,
}

pub fn count(counts: &mut Counts, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}

impl Coverage {
    /// Adds what another one has seen.
    pub fn add(&mut self, other: Coverage) {
        self.blocks += other.blocks;
        self.imported += other.imported;
        self.full += other.full;
        self.included += other.included;
        self.refused += other.refused;
        self.written += other.written;
        self.decoded += other.decoded;
        self.mutated += other.mutated;
        self.most_keys = self.most_keys.max(other.most_keys);
        for (mine, others) in [
            (&mut self.succeeded, other.succeeded),
            (&mut self.failed, other.failed),
            (&mut self.events, other.events),
            (&mut self.states, other.states),
        ] {
            for (name, count) in others {
                *mine.entry(name).or_default() += count;
            }
        }
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{} blocks ({} executed again, {} full), {} transactions included, {} refused; \
             {} of {} written calls decode, {} of the mutated ones; at most {} keys of the market",
            self.blocks,
            self.imported,
            self.full,
            self.included,
            self.refused,
            self.decoded,
            self.written,
            self.mutated,
            self.most_keys,
        )?;
        writeln!(f, "calls that succeeded: {:?}", self.succeeded)?;
        writeln!(f, "calls that failed: {:?}", self.failed)?;
        writeln!(f, "events of the market: {:?}", self.events)?;
        write!(f, "states of jobs: {:?}", self.states)
    }
}
