//! Runs jobs. A trait, so that other backends can stand beside the engine.

mod backlog;
mod engine;
#[cfg(test)]
mod failing_device;
#[cfg(test)]
mod failure_tests;
pub(crate) mod fleet;
mod load;
mod memory;
mod replay;
#[cfg(test)]
mod tests;
mod translate;

pub use engine::EngineExecutor;
pub use fleet::{DeviceState, Fleet};
pub use load::ModelToLoad;
pub use memory::CACHE_VARIABLE;
pub(crate) use memory::{system_memory, SystemMemory};
pub use replay::{ReplayOutcome, ReplayTask, Replayed, TrueResult};

use crate::journal::Delivery;
use async_trait::async_trait;
use genesisflow_primitives::{JobId, JobOptions, ModelId, Usage, H256};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// A job as the executor gets it: everything that decides the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The job, for the logs.
    pub job: JobId,
    /// The model to run.
    pub model: ModelId,
    /// The input's bytes: UTF-8.
    pub input: Vec<u8>,
    /// Format and sampling options.
    pub options: JobOptions,
    /// The sampler's seed.
    pub seed: H256,
    /// Most tokens of the prompt that can be charged.
    pub max_input_units: u32,
    /// Most output tokens.
    pub max_output_units: u32,
    /// Most bytes of the output.
    pub max_output_bytes: u32,
    /// Most bytes of the evidence.
    pub max_evidence_bytes: u32,
}

/// Why a job was not run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutionError {
    /// It was stopped from outside.
    Cancelled,
    /// It cannot be run here; the reason is for the log.
    Refused(String),
}

impl std::fmt::Display for ExecutionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cancelled => f.write_str("it was stopped"),
            Self::Refused(reason) => f.write_str(reason),
        }
    }
}

/// A switch that stops a run between two tokens.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    is_set: AtomicBool,
    set: Notify,
    deadline: Option<Instant>,
}

impl Cancel {
    /// One whose run is worth nothing after this moment. Whoever holds it stops the run then; the
    /// executor only starts nothing that would take longer.
    pub fn due(deadline: Instant) -> Self {
        Self(Arc::new(Switch {
            deadline: Some(deadline),
            ..Switch::default()
        }))
    }

    /// How long the result is still worth something, if that is limited.
    pub fn left(&self) -> Option<Duration> {
        let deadline = self.0.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Stops the run.
    pub fn cancel(&self) {
        self.0.is_set.store(true, Ordering::Release);
        self.0.set.notify_waiters();
    }

    /// Whether the run is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_set.load(Ordering::Acquire)
    }

    /// Waits until the run is to stop.
    pub async fn cancelled(&self) {
        // Made before the look: what is set in between wakes it.
        let set = self.0.set.notified();
        if !self.is_cancelled() {
            set.await;
        }
    }
}

/// Something that runs jobs.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Whether jobs on `model` can be run here.
    fn serves(&self, model: ModelId) -> bool;

    /// How long a job would take from now on, with what is queued before it.
    /// Checks on the way that it can be run at all within its limits.
    ///
    /// # Errors
    /// [`ExecutionError::Refused`] if it cannot.
    async fn estimate(&self, assignment: &Assignment) -> Result<Duration, ExecutionError>;

    /// How long so many units of `model` take when nothing else runs, as far as
    /// that has been measured: the part of an estimate that is the job's own.
    fn work(&self, model: ModelId, units: Usage) -> Duration {
        let _ = (model, units);
        Duration::ZERO
    }

    /// Runs a job to its result. The same assignment gives the same result on
    /// every machine.
    ///
    /// # Errors
    /// [`ExecutionError::Cancelled`] after `cancel` was set, or
    /// [`ExecutionError::Refused`].
    async fn execute(
        &self,
        assignment: Assignment,
        cancel: Cancel,
    ) -> Result<Delivery, ExecutionError>;

    /// Replays a claimed output. The same task gives the same answer on every machine.
    ///
    /// # Errors
    /// [`ExecutionError::Cancelled`] after `cancel` was set, or
    /// [`ExecutionError::Refused`] for what keeps only this machine from it.
    async fn replay(&self, task: ReplayTask, cancel: Cancel) -> Result<Replayed, ExecutionError>;
}
