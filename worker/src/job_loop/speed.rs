//! How much longer jobs take here than the executor expects: what makes the
//! choice of jobs learn.
//!
//! The executor's estimate rests on a short run when the model was loaded, on
//! what it has in its queue, and on the pace of the last minute. What it cannot
//! know is how all this turned out for real jobs on this machine, in the end:
//! that is measured here for each model, job by job, and kept in the journal.

use std::time::Duration;

/// Before the first measurement: half as fast as expected.
const UNKNOWN: f64 = 2.0;
/// Weight of the newest job. The last eight or so decide.
const NEWEST: f64 = 0.25;
/// What one job can say at most and at least.
const BOUNDS: (f64, f64) = (0.1, 10.0);
/// Shorter runs say more about the machine's timers than about its speed.
const SHORTEST: Duration = Duration::from_millis(20);

/// Time taken by jobs on a model, as a multiple of what was expected: a moving
/// average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

impl Default for Speed {
    /// What is assumed of a model that has run no job here: slow.
    fn default() -> Self {
        Self(UNKNOWN)
    }
}

impl Speed {
    /// The bytes on disk.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// Reads what [`Speed::to_bytes`] wrote; nothing else is a speed.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let value = f64::from_le_bytes(bytes.try_into().ok()?);
        let (least, most) = BOUNDS;
        (least..=most).contains(&value).then_some(Self(value))
    }

    /// How long a job will take that the executor expects to take `estimate`,
    /// its queue included. Never shorter.
    pub fn correct(self, estimate: Duration) -> Duration {
        let seconds = estimate.as_secs_f64() * self.0.max(1.0);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Learns from a job that was expected to take `expected` and took `taken`.
    pub fn learn(self, expected: Duration, taken: Duration) -> Self {
        if expected < SHORTEST && taken < SHORTEST {
            return self;
        }
        let (least, most) = BOUNDS;
        let ratio = taken.as_secs_f64() / expected.max(Duration::from_millis(1)).as_secs_f64();
        Self(self.0 + NEWEST * (ratio.clamp(least, most) - self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_unknown_speed_is_taken_for_slow_and_a_known_one_for_what_it_was() {
        let mut speed = Speed::default();
        assert_eq!(speed.correct(10 * SECOND), 20 * SECOND);
        for _ in 0..40 {
            speed = speed.learn(10 * SECOND, 13 * SECOND);
        }
        let corrected = speed.correct(10 * SECOND).as_secs_f64();
        assert!((corrected - 13.0).abs() < 0.1, "{corrected}");
        // Faster than expected is no reason to promise more.
        for _ in 0..40 {
            speed = speed.learn(10 * SECOND, SECOND);
        }
        assert_eq!(speed.correct(10 * SECOND), 10 * SECOND);
    }

    #[test]
    fn one_odd_job_does_not_decide_and_a_short_one_says_nothing() {
        let speed = Speed(1.0);
        let stuck = speed.learn(SECOND, 10_000 * SECOND);
        assert!(stuck.correct(SECOND) < 4 * SECOND);
        let short = Duration::from_millis(3);
        assert_eq!(speed.learn(short, 5 * short), speed);
        assert_eq!(speed.correct(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn a_speed_survives_the_way_to_disk_and_nonsense_is_none() {
        let speed = Speed::default().learn(SECOND, 3 * SECOND);
        assert_eq!(Speed::from_bytes(&speed.to_bytes()), Some(speed));
        for bytes in [&f64::NAN.to_le_bytes()[..], &(-1.0f64).to_le_bytes(), &[1]] {
            assert_eq!(Speed::from_bytes(bytes), None);
        }
    }
}
