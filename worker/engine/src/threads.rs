//! Splitting work over threads. What is split is always whole output rows or whole heads, so the
//! number of threads cannot change a bit.

use rayon::prelude::*;

/// Multiply-adds below which waking another thread costs more than it saves.
const WORTH_SPLITTING: u64 = 1 << 19;

/// A set of compute threads.
#[derive(Debug)]
pub struct Threads {
    /// Absent where one thread is all there is.
    pool: Option<rayon::ThreadPool>,
    count: usize,
}

/// Why compute threads could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ThreadsError {
    /// The system gave no threads.
    #[error("cannot start {count} compute threads: {reason}")]
    Start {
        /// How many were asked for.
        count: usize,
        /// What the system said.
        reason: String,
    },
    /// A thread's floating point unit does not follow IEEE 754.
    #[error(transparent)]
    Arithmetic(#[from] ArithmeticError),
}

/// The floating point unit rounds differently or flushes subnormals, so that results would differ
/// from those of other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this thread's floating point unit is not in its standard mode (round to nearest, subnormals \
     kept); another library in this process changed it"
)]
pub struct ArithmeticError;

/// Checks by its results that the current thread computes by the standard.
///
/// # Errors
/// [`ArithmeticError`] if it does not.
pub fn check_arithmetic() -> Result<(), ArithmeticError> {
    use std::hint::black_box;
    let smallest_normal = black_box(f32::MIN_POSITIVE);
    let half = black_box(0.5f32);
    let subnormal_made = smallest_normal * half == f32::from_bits(0x0040_0000);
    let subnormal_read = black_box(f32::from_bits(1)) + black_box(0.0) == f32::from_bits(1);
    let half_ulp = black_box(f32::EPSILON / 2.0);
    let to_nearest_even = black_box(1.0) + half_ulp == 1.0
        && black_box(1.0 + f32::EPSILON) + half_ulp == 1.0 + 2.0 * f32::EPSILON
        && black_box(-1.0) - half_ulp == -1.0;
    if subnormal_made && subnormal_read && to_nearest_even {
        Ok(())
    } else {
        Err(ArithmeticError)
    }
}

impl Threads {
    /// `count` compute threads; at least one.
    ///
    /// # Errors
    /// [`ThreadsError`] if they cannot be started or do not compute by the standard.
    pub fn new(count: usize) -> Result<Self, ThreadsError> {
        check_arithmetic()?;
        if count <= 1 {
            return Ok(Self {
                pool: None,
                count: 1,
            });
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|i| format!("compute-{i}"))
            .build()
            .map_err(|e| ThreadsError::Start {
                count,
                reason: e.to_string(),
            })?;
        for result in pool.broadcast(|_| check_arithmetic()) {
            result?;
        }
        Ok(Self {
            pool: Some(pool),
            count,
        })
    }

    /// How many threads compute.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Runs `f` where it can split its work, if `work` multiply-adds are worth it.
    pub(crate) fn run<R: Send>(&self, work: u64, f: impl FnOnce(Split) -> R + Send) -> R {
        match &self.pool {
            Some(pool) if work >= 4 * WORTH_SPLITTING => pool.install(|| f(Split(self.count))),
            _ => f(Split(1)),
        }
    }
}

/// Into how many parts work may be split here; given out by [`Threads::run`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split(usize);

impl Split {
    /// Parts that `work` multiply-adds should be split into.
    pub(crate) fn parts(self, work: u64) -> usize {
        if work < WORTH_SPLITTING {
            1
        } else {
            self.0
        }
    }

    /// Calls `f(index, chunk)` for every chunk of `len` elements, in parallel if the whole is
    /// worth it.
    pub(crate) fn chunks<F>(self, out: &mut [f32], len: usize, work: u64, f: F)
    where
        F: Fn(usize, &mut [f32]) + Sync,
    {
        if self.parts(work) == 1 {
            for (index, chunk) in out.chunks_mut(len).enumerate() {
                f(index, chunk);
            }
        } else {
            out.par_chunks_mut(len)
                .enumerate()
                .for_each(|(index, chunk)| f(index, chunk));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_visited_once_whatever_the_threads() {
        for count in [1, 2, 4] {
            let threads = Threads::new(count).unwrap();
            assert_eq!(threads.count(), count);
            let mut out = vec![0.0f32; 103];
            threads.run(u64::MAX, |split| {
                split.chunks(&mut out, 10, u64::MAX, |index, chunk| {
                    for x in chunk {
                        *x += 1.0 + index as f32;
                    }
                });
            });
            let expected: Vec<f32> = (0..103).map(|i| 1.0 + (i / 10) as f32).collect();
            assert_eq!(out, expected);
        }
    }
}
