//! How fast the machine reads memory: the limit of decoding one sequence.

use std::{hint::black_box, time::Instant};

use genesisflow_canonical::kernels::ask_for_huge_pages;

/// Words that are read: half a gigabyte, far beyond any cache.
const WORDS: usize = 1 << 26;

/// Memory to read as fast as it goes, on huge pages as weights are.
///
/// What a shared machine lets through changes from second to second, so that a share of it means
/// something only if both were measured next to each other.
pub struct ReadBandwidth {
    words: Vec<u64>,
    threads: usize,
    best: f64,
}

impl ReadBandwidth {
    /// Half a gigabyte, to be read by so many threads together.
    pub fn new(threads: usize) -> Self {
        let mut words = Vec::with_capacity(WORDS);
        // Before it is written to: pages are given then.
        ask_for_huge_pages(words.spare_capacity_mut());
        words.extend(0..WORDS as u64);
        Self {
            words,
            threads: threads.max(1),
            best: 0.0,
        }
    }

    /// Bytes a second of one pass over all of it.
    pub fn measure(&mut self) -> f64 {
        let share = self.words.len().div_ceil(self.threads);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for part in self.words.chunks(share) {
                scope.spawn(move || black_box(sum(part)));
            }
        });
        let now = (self.words.len() * 8) as f64 / start.elapsed().as_secs_f64();
        self.best = self.best.max(now);
        now
    }

    /// Bytes a second of the fastest pass so far.
    pub fn best(&self) -> f64 {
        self.best
    }
}

/// Every word read once, in as many sums as keep the loads independent.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 32];
    for words in words.chunks_exact(32) {
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |a, b| a.wrapping_add(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_counts() {
        let words: Vec<u64> = (0..320).collect();
        assert_eq!(sum(&words), 319 * 320 / 2);
    }

    #[test]
    fn the_best_pass_is_kept() {
        let mut bandwidth = ReadBandwidth::new(2);
        let passes = [bandwidth.measure(), bandwidth.measure()];
        assert_eq!(bandwidth.best(), passes[0].max(passes[1]));
        assert!(passes.iter().all(|pass| *pass > 0.0));
    }
}
