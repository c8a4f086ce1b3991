//! Meeting points of threads that work through the same phases side by side.

use std::{
    hint,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

/// Looks at the others before the processor is offered to somebody else: a few microseconds, more
/// than threads that share a phase evenly are apart.
const LOOKS: u32 = 300;

/// Where threads wait for each other, over and over, and share out the indices of a phase's work.
///
/// Waiting is looking again and again, not sleeping: phases take microseconds, and waking a thread
/// costs more than most of them.
#[derive(Debug)]
pub(super) struct Barrier {
    count: usize,
    arrived: AtomicUsize,
    /// Meetings held so far.
    meetings: AtomicUsize,
    /// The next index of the current phase that nobody has taken.
    next: AtomicUsize,
    /// A thread has panicked: whoever waits for it would wait for ever.
    broken: AtomicBool,
}

impl Barrier {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            arrived: AtomicUsize::new(0),
            meetings: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// An index that no other thread gets before the next meeting; they ascend from 0.
    pub(super) fn take(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits until all have come; the last one runs `alone` before any goes on.
    pub(super) fn meet(&self, alone: impl FnOnce()) {
        let meeting = self.meetings.load(Ordering::Relaxed);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.count {
            alone();
            self.arrived.store(0, Ordering::Relaxed);
            self.next.store(0, Ordering::Relaxed);
            self.meetings
                .store(meeting.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut looks = 0;
        while self.meetings.load(Ordering::Acquire) == meeting {
            if looks < LOOKS {
                looks += 1;
                hint::spin_loop();
            } else {
                assert!(!self.is_broken(), "another compute thread panicked");
                thread::yield_now();
            }
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(super) fn break_up(&self) {
        self.broken.store(true, Ordering::Release);
    }
}
