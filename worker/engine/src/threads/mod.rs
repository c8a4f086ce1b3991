//! Compute threads: a team that goes through the phases of a task side by side.
//!
//! A task is run by all members at once. Within a phase they share out indices; what is split is
//! always whole output rows, whole rows of activations or whole heads, so the number of threads
//! cannot change a bit.

mod arithmetic;
mod barrier;
mod turns;

pub use arithmetic::{check_arithmetic, ArithmeticError};

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc, Arc, PoisonError, RwLock,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use barrier::Barrier;
use turns::Turns;

/// How long a thread looks out for the next task before it sleeps: longer than an engine needs
/// between two steps.
const LOOK_OUT: Duration = Duration::from_micros(300);

/// A set of compute threads. Clones are the same threads; who runs a task waits for its turn.
#[derive(Clone)]
pub struct Threads(Arc<Team>);

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

/// Something that all members of a team run side by side.
pub(crate) trait Task: Send + Sync {
    /// One member's part. All members go through the same phases.
    fn run(&self, member: &Member<'_>);
}

/// A member of a team while it runs a task.
pub(crate) struct Member<'a> {
    barrier: &'a Barrier,
}

struct Team {
    shared: Arc<Shared>,
    turns: Turns,
    /// All but the first member, which is the thread that brings the task.
    others: Vec<JoinHandle<()>>,
    pinned: bool,
}

struct Shared {
    barrier: Barrier,
    /// Tasks brought so far; the others wait for it to change.
    tasks: AtomicUsize,
    task: RwLock<Option<Arc<dyn Task>>>,
    ended: AtomicBool,
}

impl Threads {
    /// `count` compute threads, at least one: the thread that brings the work, and `count - 1` of
    /// their own.
    ///
    /// # Errors
    /// [`ThreadsError`] if they cannot be started or do not compute by the standard.
    pub fn new(count: usize) -> Result<Self, ThreadsError> {
        Self::start(count, false)
    }

    /// The same, each kept on a processor of its own, as long as there are enough. Right for
    /// threads that have the machine, or their share of it, to themselves.
    ///
    /// # Errors
    /// As [`Threads::new`].
    pub fn pinned(count: usize) -> Result<Self, ThreadsError> {
        Self::start(count, true)
    }

    fn start(count: usize, pinned: bool) -> Result<Self, ThreadsError> {
        check_arithmetic()?;
        let count = count.max(1);
        let processors = if pinned {
            core_affinity::get_core_ids().unwrap_or_default()
        } else {
            Vec::new()
        };
        let pinned = processors.len() >= count;
        let shared = Arc::new(Shared {
            barrier: Barrier::new(count),
            tasks: AtomicUsize::new(0),
            task: RwLock::new(None),
            ended: AtomicBool::new(false),
        });
        let mut team = Team {
            shared: shared.clone(),
            turns: Turns::default(),
            others: Vec::new(),
            pinned,
        };
        let (report, reports) = mpsc::channel();
        for index in 1..count {
            let (shared, report) = (shared.clone(), report.clone());
            let processor = processors.get(index).copied().filter(|_| pinned);
            let member = thread::Builder::new()
                .name(format!("compute-{index}"))
                .spawn(move || {
                    if let Some(processor) = processor {
                        // Only speed depends on it.
                        core_affinity::set_for_current(processor);
                    }
                    let checked = check_arithmetic();
                    let starts = checked.is_ok();
                    // Nobody listens any more if another thread could not be started.
                    let _ = report.send(checked);
                    drop(report);
                    if starts {
                        shared.serve();
                    }
                })
                .map_err(|e| ThreadsError::Start {
                    count,
                    reason: e.to_string(),
                })?;
            team.others.push(member);
        }
        drop(report);
        for checked in reports {
            checked?;
        }
        Ok(Self(Arc::new(team)))
    }

    /// How many threads compute.
    pub fn count(&self) -> usize {
        self.0.shared.barrier.count()
    }

    /// Keeps the calling thread on the processor that is left for the one that brings the work, if
    /// the others are pinned.
    pub(crate) fn pin_caller(&self) {
        if let Some(first) = core_affinity::get_core_ids()
            .filter(|_| self.0.pinned)
            .and_then(|processors| processors.into_iter().next())
        {
            core_affinity::set_for_current(first);
        }
    }

    /// Runs a task to its end, with the calling thread as one of the members.
    ///
    /// # Panics
    /// If the task does, on any thread.
    pub(crate) fn run<T: Task + 'static>(&self, task: &Arc<T>) {
        let team = &*self.0;
        let _turn = team.turns.wait();
        let shared = &*team.shared;
        let member = Member {
            barrier: &shared.barrier,
        };
        assert!(
            !shared.barrier.is_broken(),
            "a compute thread panicked before"
        );
        if team.others.is_empty() {
            return task.run(&member);
        }
        shared.set_task(Some(task.clone()));
        shared.tasks.fetch_add(1, Ordering::Release);
        for other in &team.others {
            other.thread().unpark();
        }
        shared.run(&**task, &member);
        shared.set_task(None);
    }
}

impl Shared {
    fn set_task(&self, task: Option<Arc<dyn Task>>) {
        *self.task.write().unwrap_or_else(PoisonError::into_inner) = task;
    }

    fn current_task(&self) -> Option<Arc<dyn Task>> {
        let task = self.task.read().unwrap_or_else(PoisonError::into_inner);
        task.clone()
    }

    /// One member's part and the meeting at the end.
    fn run(&self, task: &dyn Task, member: &Member<'_>) {
        let run = panic::catch_unwind(AssertUnwindSafe(|| {
            task.run(member);
            self.barrier.meet(|| {});
        }));
        if let Err(reason) = run {
            self.barrier.break_up();
            panic::resume_unwind(reason);
        }
    }

    /// A thread's life: task after task, until the team ends.
    fn serve(&self) {
        let member = Member {
            barrier: &self.barrier,
        };
        let mut seen = 0;
        while self.await_task(seen) {
            seen = seen.wrapping_add(1);
            if let Some(task) = self.current_task() {
                self.run(&*task, &member);
            }
        }
    }

    /// Waits for the task after the first `seen`; false if there will be none.
    fn await_task(&self, seen: usize) -> bool {
        let mut since = None;
        while self.tasks.load(Ordering::Acquire) == seen {
            if self.ended.load(Ordering::Acquire) {
                return false;
            }
            let since = *since.get_or_insert_with(Instant::now);
            if since.elapsed() < LOOK_OUT {
                thread::yield_now();
            } else {
                // Returns at once if the task came in between.
                thread::park();
            }
        }
        true
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        for other in self.others.drain(..) {
            other.thread().unpark();
            // One that panicked has said so already.
            let _ = other.join();
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads")
            .field("count", &self.count())
            .field("pinned", &self.0.pinned)
            .finish()
    }
}

impl Member<'_> {
    /// How many members there are.
    pub(crate) fn count(&self) -> usize {
        self.barrier.count()
    }

    /// A phase: `f` is called for every index below `n`, on whichever member is free. Returns when
    /// all are done.
    pub(crate) fn each(&self, n: usize, f: impl FnMut(usize)) {
        self.each_then(n, f, || {});
    }

    /// [`Member::each`], and then, before any member goes on, `alone` on one of them.
    pub(crate) fn each_then(&self, n: usize, mut f: impl FnMut(usize), alone: impl FnOnce()) {
        if self.barrier.count() == 1 {
            (0..n).for_each(f);
            return alone();
        }
        loop {
            let index = self.barrier.take();
            if index >= n {
                break;
            }
            f(index);
        }
        self.barrier.meet(alone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Notes in which order indices are visited.
    struct Visits {
        phases: Vec<Vec<AtomicUsize>>,
        alone: AtomicUsize,
        early: AtomicUsize,
    }

    impl Visits {
        fn new(phases: usize, indices: usize) -> Arc<Self> {
            let phase = || (0..indices).map(|_| AtomicUsize::new(0)).collect();
            Arc::new(Self {
                phases: (0..phases).map(|_| phase()).collect(),
                alone: AtomicUsize::new(0),
                early: AtomicUsize::new(0),
            })
        }
    }

    impl Task for Visits {
        fn run(&self, member: &Member<'_>) {
            for (index, phase) in self.phases.iter().enumerate() {
                member.each_then(
                    phase.len(),
                    |i| {
                        phase[i].fetch_add(1, Ordering::Relaxed);
                        // The phase before is over, its last step included.
                        if self.alone.load(Ordering::Relaxed) < index {
                            self.early.fetch_add(1, Ordering::Relaxed);
                        }
                    },
                    || {
                        self.alone.fetch_add(1, Ordering::Relaxed);
                    },
                );
            }
        }
    }

    #[test]
    fn every_index_is_visited_once_and_phases_do_not_overlap() {
        for count in [1, 2, 5] {
            let threads = Threads::new(count).unwrap();
            assert_eq!(threads.count(), count);
            for _ in 0..20 {
                let visits = Visits::new(50, 7);
                threads.run(&visits);
                for index in visits.phases.iter().flatten() {
                    assert_eq!(index.load(Ordering::Relaxed), 1);
                }
                assert_eq!(visits.alone.load(Ordering::Relaxed), 50);
                assert_eq!(visits.early.load(Ordering::Relaxed), 0);
            }
        }
    }

    #[test]
    fn tasks_of_several_threads_take_turns() {
        let threads = Threads::pinned(2).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    threads.pin_caller();
                    for _ in 0..50 {
                        let visits = Visits::new(3, 3);
                        threads.run(&visits);
                        assert_eq!(visits.alone.load(Ordering::Relaxed), 3);
                    }
                });
            }
        });
    }

    #[test]
    fn a_team_that_slept_wakes_up() {
        let threads = Threads::new(3).unwrap();
        for _ in 0..3 {
            thread::sleep(5 * LOOK_OUT);
            let visits = Visits::new(2, 2);
            threads.run(&visits);
            assert_eq!(visits.alone.load(Ordering::Relaxed), 2);
        }
    }

    struct Panics(Mutex<Option<usize>>);

    impl Task for Panics {
        fn run(&self, member: &Member<'_>) {
            member.each(8, |index| {
                if *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Some(index) {
                    panic!("as the test wants");
                }
            });
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_leaves_nobody_waiting() {
        let threads = Threads::new(3).unwrap();
        threads.run(&Arc::new(Panics(Mutex::new(None))));
        for _ in 0..2 {
            let task = Arc::new(Panics(Mutex::new(Some(5))));
            let run = panic::catch_unwind(AssertUnwindSafe(|| threads.run(&task)));
            assert!(run.is_err());
        }
    }
}
