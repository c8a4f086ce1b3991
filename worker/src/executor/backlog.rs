//! How long things take here: what is still to be computed, and how fast that goes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How far back the pace looks, in seconds of work: older work counts less and less.
const MEMORY: f64 = 60.0;
/// Seconds of work at the measured costs that the pace starts with, so that one first job does
/// not decide it.
const PRIOR: f64 = 10.0;

/// What a model's tokens cost on this machine when nothing else runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    /// Of a token of a prompt, or of an output that is replayed.
    pub(super) fed: Duration,
    /// Of an output token.
    pub(super) sampled: Duration,
}

impl Cost {
    /// Of a prompt and an output.
    pub(super) fn of(&self, fed: u32, sampled: u32) -> Duration {
        let fed = self.fed.saturating_mul(fed);
        fed.saturating_add(self.sampled.saturating_mul(sampled))
    }
}

/// The work of all models together, in time at their [`Cost`]s.
///
/// Jobs in a batch share the reading of the weights, so more is done than one second's worth a
/// second; with other programs beside the worker it is less. The pace says how much, as measured
/// while there is work.
#[derive(Debug)]
pub(super) struct Backlog(Mutex<Book>);

#[derive(Debug)]
struct Book {
    left: Duration,
    /// Pieces of work that are in `left`.
    pieces: usize,
    /// Work done and time taken, both fading, in seconds.
    done: f64,
    taken: f64,
    /// When `taken` was brought up to date; only time in which there is work counts.
    since: Instant,
}

/// A piece of work; what is left of it is given up when this goes.
#[derive(Debug)]
pub(super) struct Piece {
    backlog: Arc<Backlog>,
    left: Duration,
}

impl Default for Backlog {
    fn default() -> Self {
        Self(Mutex::new(Book {
            left: Duration::ZERO,
            pieces: 0,
            done: PRIOR,
            taken: PRIOR,
            since: Instant::now(),
        }))
    }
}

impl Backlog {
    /// Adds work.
    pub(super) fn add(self: &Arc<Self>, work: Duration) -> Piece {
        let mut book = self.book();
        book.catch_up(Instant::now());
        book.left = book.left.saturating_add(work);
        book.pieces += 1;
        Piece {
            backlog: self.clone(),
            left: work,
        }
    }

    /// How long until more work would be done, with all that is there already.
    pub(super) fn time_for(&self, work: Duration) -> Duration {
        let mut book = self.book();
        book.catch_up(Instant::now());
        let pace = book.done / book.taken;
        let all = book.left.saturating_add(work).as_secs_f64() / pace;
        // By itself it gains nothing from batches.
        let alone = work.as_secs_f64() / pace.min(1.0);
        Duration::try_from_secs_f64(all.max(alone)).unwrap_or(Duration::MAX)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Plain numbers, usable whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn catch_up(&mut self, now: Instant) {
        if self.pieces > 0 {
            let seconds = now.duration_since(self.since).as_secs_f64();
            let faded = (-seconds / MEMORY).exp();
            self.done *= faded;
            self.taken = self.taken * faded + seconds;
        }
        self.since = now;
    }
}

impl Piece {
    /// Some of it, at most what is left, turns out not to be needed.
    pub(super) fn spare(&mut self, work: Duration) {
        self.take(work);
    }

    /// Some of it, at most what is left, has been computed.
    pub(super) fn done(&mut self, work: Duration) {
        let work = self.take(work);
        self.backlog.book().done += work.as_secs_f64();
    }

    fn take(&mut self, work: Duration) -> Duration {
        let work = work.min(self.left);
        self.left -= work;
        let mut book = self.backlog.book();
        book.left = book.left.saturating_sub(work);
        work
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut book = self.backlog.book();
        book.catch_up(Instant::now());
        book.left = book.left.saturating_sub(self.left);
        book.pieces -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Lets time pass without waiting for it.
    fn pass(backlog: &Backlog, time: Duration) {
        let mut book = backlog.book();
        let now = book.since + time;
        book.catch_up(now);
        // What the clock will say is before that.
        book.since = Instant::now();
    }

    fn near(time: Duration, seconds: f64) -> bool {
        (time.as_secs_f64() / seconds - 1.0).abs() < 0.02
    }

    #[test]
    fn new_work_waits_for_what_is_left_of_the_old() {
        let backlog = Arc::new(Backlog::default());
        let mut first = backlog.add(30 * SECOND);
        let second = backlog.add(10 * SECOND);
        assert!(near(backlog.time_for(5 * SECOND), 45.0));
        drop(second);
        pass(&backlog, 20 * SECOND);
        first.done(20 * SECOND);
        assert!(near(backlog.time_for(5 * SECOND), 15.0));
        first.spare(4 * SECOND);
        assert!(near(backlog.time_for(5 * SECOND), 11.0));
        first.done(99 * SECOND);
        assert!(near(backlog.time_for(5 * SECOND), 5.0));
    }

    #[test]
    fn batches_shorten_the_queue_but_not_a_job_by_itself() {
        let backlog = Arc::new(Backlog::default());
        let mut pieces: Vec<Piece> = (0..8).map(|_| backlog.add(600 * SECOND)).collect();
        // Each gets on at half the speed that it has alone.
        for _ in 0..600 {
            pass(&backlog, SECOND);
            pieces.iter_mut().for_each(|piece| piece.done(SECOND / 2));
        }
        assert!(near(backlog.time_for(SECOND), (8.0 * 300.0 + 1.0) / 4.0));
        drop(pieces);
        assert!(near(backlog.time_for(600 * SECOND), 600.0));
    }

    #[test]
    fn a_machine_that_became_slow_is_noticed_and_idle_time_is_not_slowness() {
        let backlog = Arc::new(Backlog::default());
        pass(&backlog, 10_000 * SECOND);
        assert!(near(backlog.time_for(SECOND), 1.0));
        let mut piece = backlog.add(600 * SECOND);
        for _ in 0..600 {
            pass(&backlog, 2 * SECOND);
            piece.done(SECOND);
        }
        drop(piece);
        assert!(near(backlog.time_for(SECOND), 2.0));
    }
}
