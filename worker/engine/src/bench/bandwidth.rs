//! How fast the machine reads memory: the limit of decoding one sequence.

use std::{hint::black_box, time::Instant};

/// Words that are read: half a gigabyte, far beyond any cache.
const WORDS: usize = 1 << 26;

/// Bytes a second that so many threads read together, the best of `repeats` passes over half a
/// gigabyte.
pub fn read_bandwidth(threads: usize, repeats: usize) -> f64 {
    let words: Vec<u64> = (0..WORDS as u64).collect();
    let share = WORDS.div_ceil(threads.max(1));
    let mut best = f64::INFINITY;
    // More passes than elsewhere: each is short.
    for _ in 0..4 * repeats.max(1) {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for part in words.chunks(share) {
                scope.spawn(move || black_box(sum(part)));
            }
        });
        best = best.min(start.elapsed().as_secs_f64());
    }
    (WORDS * 8) as f64 / best
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
}
