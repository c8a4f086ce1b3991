//! Jobs on their way to the engine's thread.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{
    job::{Feed, Generating, Job, Replaying},
    request::GenerateError,
};

pub(super) use super::handle::Ticket;
use super::{
    handle::{Events, ReplayResult},
    EngineLoad, SubmitError,
};

/// A job and where its results go.
pub(super) enum Work {
    Generate(Generating, Events),
    Replay(Replaying, Option<ReplayResult>),
}

impl Work {
    pub(super) fn feed(&mut self) -> &mut Feed {
        match self {
            Self::Generate(job, _) => job.feed(),
            Self::Replay(job, _) => job.feed(),
        }
    }

    /// Ends it without a result.
    pub(super) fn fail(self, ticket: &Ticket, error: GenerateError) {
        match self {
            Self::Generate(_, events) => ticket.generated(&events, Err(error)),
            Self::Replay(_, result) => {
                if let Some(result) = result {
                    // Nobody listens any more if the handle is gone.
                    let _ = result.send(Err(error));
                }
            }
        }
    }
}

/// What is turned away from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    Nothing,
    /// Jobs that come later.
    Later,
    /// These, and all that wait or run.
    All,
}

/// The bounded queue.
pub(super) struct Queue {
    limit: usize,
    blocks: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    replays: VecDeque<(Work, Ticket)>,
    jobs: VecDeque<(Work, Ticket)>,
    refusal: Refusal,
    running: usize,
    held_blocks: usize,
}

impl State {
    fn waiting(&self) -> usize {
        self.replays.len() + self.jobs.len()
    }
}

impl Queue {
    pub(super) fn new(limit: usize, blocks: usize) -> Self {
        Self {
            limit,
            blocks,
            state: Mutex::new(State {
                replays: VecDeque::new(),
                jobs: VecDeque::new(),
                refusal: Refusal::Nothing,
                running: 0,
                held_blocks: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Whether a job would be taken now.
    pub(super) fn admits(&self) -> Result<(), SubmitError> {
        self.check(&self.state())
    }

    /// Puts a job at the end.
    pub(super) fn push(&self, work: Work, ticket: Ticket) -> Result<(), SubmitError> {
        let mut state = self.state();
        self.check(&state)?;
        match work {
            Work::Generate(..) => state.jobs.push_back((work, ticket)),
            Work::Replay(..) => state.replays.push_back((work, ticket)),
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Turns jobs away from now on.
    pub(super) fn close(&self, refusal: Refusal) {
        let mut state = self.state();
        state.refusal = state.refusal.max(refusal);
        self.changed.notify_all();
    }

    pub(super) fn load(&self) -> EngineLoad {
        let state = self.state();
        EngineLoad {
            waiting: state.waiting(),
            running: state.running,
            held_blocks: state.held_blocks,
            blocks: self.blocks,
        }
    }

    /// Tells how much runs; if nothing does, waits until something can. False if the engine is to
    /// end: at once, or because nothing is left.
    pub(super) fn go_on(&self, running: usize, held_blocks: usize) -> bool {
        let mut state = self.state();
        (state.running, state.held_blocks) = (running, held_blocks);
        while running == 0 && state.waiting() == 0 && state.refusal == Refusal::Nothing {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match state.refusal {
            Refusal::Nothing => true,
            Refusal::Later => running > 0 || state.waiting() > 0,
            Refusal::All => false,
        }
    }

    /// Takes the next job that is still wanted, if `admit` lets it in. Replays come first; nobody
    /// is passed by a later job of the same kind.
    pub(super) fn take<T>(
        &self,
        mut admit: impl FnMut(Work, Ticket) -> Result<T, (Work, Ticket)>,
    ) -> Option<T> {
        let mut state = self.state();
        let (replays, jobs) = (state.replays.len(), state.waiting());
        for index in 0..jobs {
            let queue = if index < replays {
                &mut state.replays
            } else {
                &mut state.jobs
            };
            let (work, ticket) = queue.pop_front()?;
            if ticket.is_cancelled() {
                work.fail(&ticket, GenerateError::Cancelled);
                continue;
            }
            return match admit(work, ticket) {
                Ok(admitted) => Some(admitted),
                Err(refused) => {
                    queue.push_front(refused);
                    None
                }
            };
        }
        None
    }

    /// Turns away everything, also what waits.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.refusal = Refusal::All;
        (state.running, state.held_blocks) = (0, 0);
        let replays = std::mem::take(&mut state.replays);
        let jobs = std::mem::take(&mut state.jobs);
        for (work, ticket) in replays.into_iter().chain(jobs) {
            work.fail(&ticket, GenerateError::Cancelled);
        }
    }

    fn check(&self, state: &State) -> Result<(), SubmitError> {
        if state.refusal != Refusal::Nothing {
            return Err(SubmitError::ShutDown);
        }
        let waiting = state.waiting();
        if waiting >= self.limit {
            return Err(SubmitError::Busy { waiting });
        }
        Ok(())
    }

    /// Every change is complete when the lock is let go, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("limit", &self.limit)
            .field("load", &self.load())
            .finish()
    }
}
