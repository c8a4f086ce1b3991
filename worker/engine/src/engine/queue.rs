//! Jobs on their way to the engine's thread.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{
    backend::DeviceError,
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
    Generate(Box<Generating>, Events),
    Replay(Box<Replaying>, Option<ReplayResult>),
}

impl Work {
    pub(super) fn feed(&mut self) -> &mut Feed {
        match self {
            Self::Generate(job, _) => job.feed(),
            Self::Replay(job, _) => job.feed(),
        }
    }

    pub(super) fn is_replay(&self) -> bool {
        matches!(self, Self::Replay(..))
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

/// Which kinds of work may be let in now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) replays: bool,
    pub(super) jobs: bool,
}

/// The bounded queues: one for replays, which come first, and one for jobs.
pub(super) struct Queue {
    /// Places in each of the two.
    limit: usize,
    blocks: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    replays: Line,
    jobs: Line,
    refusal: Refusal,
    /// What ended the engine, if its device failed.
    failure: Option<DeviceError>,
    running: usize,
    held_blocks: usize,
}

/// Work of one kind, in the order it came.
type Line = VecDeque<(Work, Ticket)>;

impl State {
    fn is_open(&self) -> Result<(), SubmitError> {
        match (self.refusal, &self.failure) {
            (Refusal::Nothing, _) => Ok(()),
            (_, Some(failure)) => Err(SubmitError::Device(failure.clone())),
            (Refusal::Later | Refusal::All, None) => Err(SubmitError::ShutDown),
        }
    }

    fn waiting(&self) -> usize {
        self.replays.len() + self.jobs.len()
    }

    fn line(&mut self, is_replay: bool) -> &mut Line {
        if is_replay {
            &mut self.replays
        } else {
            &mut self.jobs
        }
    }
}

/// Takes out what nobody wants any more.
fn drop_cancelled(line: &mut Line) {
    if line.iter().any(|(_, ticket)| ticket.is_cancelled()) {
        for (work, ticket) in std::mem::take(line) {
            if ticket.is_cancelled() {
                work.fail(&ticket, GenerateError::Cancelled);
            } else {
                line.push_back((work, ticket));
            }
        }
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
                failure: None,
                running: 0,
                held_blocks: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Whether work comes to anything at all.
    pub(super) fn is_open(&self) -> Result<(), SubmitError> {
        self.state().is_open()
    }

    /// Whether a job, or a replay, would be taken now.
    pub(super) fn admits(&self, is_replay: bool) -> Result<(), SubmitError> {
        self.is_open()?;
        self.check(self.state().line(is_replay))
    }

    /// Puts work at the end of its line.
    pub(super) fn push(&self, work: Work, ticket: Ticket) -> Result<(), SubmitError> {
        let mut state = self.state();
        state.is_open()?;
        let line = state.line(work.is_replay());
        self.check(line)?;
        line.push_back((work, ticket));
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

    /// Tells how much runs; if nothing does, waits until something can. Whoever was cancelled while
    /// waiting hears of it here. False if the engine is to end: at once, or because nothing is left.
    pub(super) fn go_on(&self, running: usize, held_blocks: usize) -> bool {
        let mut state = self.state();
        (state.running, state.held_blocks) = (running, held_blocks);
        drop_cancelled(&mut state.replays);
        drop_cancelled(&mut state.jobs);
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

    /// Takes the next work that there is room for, if `admit` lets it in. Nobody is passed by
    /// later work of the same kind, nor a replay by a job.
    pub(super) fn take<T>(
        &self,
        room: Room,
        admit: impl FnOnce(Work, Ticket) -> Result<T, (Work, Ticket)>,
    ) -> Option<T> {
        let mut state = self.state();
        let is_replay = !state.replays.is_empty();
        if !(if is_replay { room.replays } else { room.jobs }) {
            return None;
        }
        let line = state.line(is_replay);
        let (work, ticket) = line.pop_front()?;
        match admit(work, ticket) {
            Ok(admitted) => Some(admitted),
            Err(refused) => {
                line.push_front(refused);
                None
            }
        }
    }

    /// The device has failed: turns away everything, also what waits, and says why.
    pub(super) fn fail(&self, error: &DeviceError) {
        self.state().failure = Some(error.clone());
        self.clear();
    }

    /// Turns away everything, also what waits.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.refusal = Refusal::All;
        (state.running, state.held_blocks) = (0, 0);
        let failure = state.failure.clone();
        let replays = std::mem::take(&mut state.replays);
        let jobs = std::mem::take(&mut state.jobs);
        for (work, ticket) in replays.into_iter().chain(jobs) {
            let error = failure.clone().map(GenerateError::Device);
            work.fail(&ticket, error.unwrap_or(GenerateError::Cancelled));
        }
    }

    /// Makes sure that a line has a place.
    fn check(&self, line: &mut Line) -> Result<(), SubmitError> {
        if line.len() >= self.limit {
            drop_cancelled(line);
        }
        let waiting = line.len();
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
