//! How fast the processor reads the system's memory.

use std::{hint::black_box, time::Instant};

use genesisflow_canonical::kernels::ask_for_huge_pages;

use crate::backend::DeviceError;

use super::{BandwidthMeter, Traffic};

/// Memory to read as fast as it goes, on huge pages as weights are.
#[derive(Debug)]
pub struct ReadBandwidth {
    words: Vec<u64>,
    threads: usize,
}

impl ReadBandwidth {
    /// So many bytes, far more than any cache has, to be read by so many threads together.
    pub fn new(bytes: usize, threads: usize) -> Self {
        let count = (bytes / std::mem::size_of::<u64>()).max(1);
        let mut words = Vec::with_capacity(count);
        // Before it is written to: pages are given then.
        ask_for_huge_pages(words.spare_capacity_mut());
        words.extend(0..count as u64);
        Self {
            words,
            threads: threads.max(1),
        }
    }
}

impl BandwidthMeter for ReadBandwidth {
    fn traffic(&self) -> Traffic {
        Traffic::Read
    }

    fn pass(&mut self) -> Result<f64, DeviceError> {
        let share = self.words.len().div_ceil(self.threads);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for part in self.words.chunks(share) {
                scope.spawn(move || black_box(sum(part)));
            }
        });
        Ok(std::mem::size_of_val(&self.words[..]) as f64 / start.elapsed().as_secs_f64())
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
    fn a_pass_has_a_speed_however_little_there_is_to_read() {
        for bytes in [0, 8, 1 << 20] {
            let pass = ReadBandwidth::new(bytes, 3).pass().unwrap();
            assert!(pass > 0.0 && pass.is_finite(), "{bytes} bytes: {pass}");
        }
    }
}
