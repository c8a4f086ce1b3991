//! The executor that runs jobs with genesisflow-engine: many at once, in batches.

use super::{
    backlog::{Cost, Piece},
    fleet::Fleet,
    load::{load, Loaded},
    translate::{delivery, impossible, replayed, request},
    Assignment, Cancel, ExecutionError, Executor, ModelToLoad, ReplayTask, Replayed,
};
use crate::{error::Result, journal::Delivery, model_store::shown};
use async_trait::async_trait;
use futures::StreamExt;
use genesisflow_engine::{
    devices::DeviceChoice, Engine, GenerateError, Generation, Handle, SubmitError,
};
use genesisflow_primitives::{JobId, ModelId, Usage};
use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Runs jobs on engines, one for each model and device. Those on the processor share one set of
/// compute threads.
///
/// A job goes to the device that would be done with it first. Audits go before jobs that wait. What
/// does not fit into an engine waits here for its turn. When a device fails, its jobs and replays
/// begin anew on another: the bits are the same everywhere.
pub struct EngineExecutor {
    models: HashMap<ModelId, Vec<Arc<Loaded>>>,
    fleet: Fleet,
}

type Executed<T> = std::result::Result<T, ExecutionError>;

/// Why a run on one device ended without a result.
enum Stopped {
    /// For a reason that another device would not change.
    Executed(ExecutionError),
    /// The device has failed.
    Device(String),
}

impl From<ExecutionError> for Stopped {
    fn from(error: ExecutionError) -> Self {
        Self::Executed(error)
    }
}

impl From<SubmitError> for Stopped {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Request(error) => error.into(),
            SubmitError::Device(error) => Self::Device(error.reason),
            SubmitError::ShutDown => Self::Device(ENDED.into()),
            busy @ SubmitError::Busy { .. } => Self::Executed(refused(&busy)),
        }
    }
}

impl From<GenerateError> for Stopped {
    fn from(error: GenerateError) -> Self {
        match error {
            GenerateError::Device(error) => Self::Device(error.reason),
            // Nobody here cancelled it: whoever does drops the whole run.
            GenerateError::Cancelled => Self::Device(ENDED.into()),
            error => Self::Executed(refused(&error)),
        }
    }
}

/// Of an engine whose thread is gone, as after a panic.
const ENDED: &str = "its engine has ended";

type Ran<T> = std::result::Result<T, Stopped>;

impl EngineExecutor {
    /// Loads `models` on every card that can be used, or else on the processor, and starts their
    /// engines.
    ///
    /// # Errors
    /// As [`EngineExecutor::load_on`].
    pub fn load(models: Vec<ModelToLoad>) -> Result<Self> {
        Self::load_on(&models, &DeviceChoice::Auto)
    }

    /// Loads `models` on devices and starts their engines.
    ///
    /// Blocks for as long as loading takes.
    ///
    /// # Errors
    /// [`crate::error::Kind::Model`] for a model that cannot be loaded or run,
    /// [`crate::error::Kind::Usage`] for variables or a choice that cannot be followed.
    pub fn load_on(models: &[ModelToLoad], devices: &DeviceChoice) -> Result<Self> {
        let fleet = Fleet::default();
        let loaded = load(models, devices, &fleet)?;
        Ok(Self::of(loaded, fleet))
    }

    /// Engines that were started, and their devices.
    pub(super) fn of(loaded: Vec<(ModelId, Loaded)>, fleet: Fleet) -> Self {
        let mut models: HashMap<_, Vec<_>> = HashMap::new();
        for (id, loaded) in loaded {
            models.entry(id).or_default().push(Arc::new(loaded));
        }
        Self { models, fleet }
    }

    /// The devices that models run on.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The model on the device that would be done first with so many tokens at most, of those that
    /// work and have room for them; if none has, the one with most room.
    fn loaded(&self, model: ModelId, fed: u32, sampled: u32) -> Executed<Arc<Loaded>> {
        let positions = fed as usize + sampled as usize;
        let all = self.models.get(&model).map_or(&[][..], |all| all);
        let working = || all.iter().filter(|loaded| loaded.device.works());
        let fitting = working().filter(|loaded| loaded.positions >= positions);
        let time = |loaded: &&Arc<Loaded>| {
            let work = loaded.cost.of(fed, sampled);
            loaded.backlog.time_for(work)
        };
        let largest = || working().max_by_key(|loaded| loaded.positions);
        let loaded = fitting.min_by_key(time).or_else(largest).cloned();
        loaded.ok_or_else(|| {
            let model = shown(model);
            ExecutionError::Refused(match all {
                [] => format!("model {model} is not loaded"),
                _ => format!("every device that ran model {model} has failed"),
            })
        })
    }

    /// Runs something where it would be done first, and once more elsewhere whenever the device
    /// fails. `most`: tokens that are fed and sampled at most.
    async fn anywhere<T, F: Future<Output = Ran<T>>>(
        &self,
        (job, model, most): (JobId, ModelId, (u32, u32)),
        cancel: &Cancel,
        run: impl Fn(Arc<Loaded>) -> F,
    ) -> Executed<T> {
        let mut moved = false;
        loop {
            let loaded = self.loaded(model, most.0, most.1)?;
            if moved {
                let work = loaded.cost.of(most.0, most.1);
                let takes = loaded.backlog.time_for(work);
                if cancel.left().is_some_and(|left| takes > left) {
                    tracing::error!(
                        job,
                        "the device of this job failed, and another would take {:.0} s: too long for its deadline",
                        takes.as_secs_f64()
                    );
                    return Err(ExecutionError::Cancelled);
                }
                tracing::warn!(
                    job,
                    "the device of this job failed: it begins anew on another"
                );
            }
            let ran = unless_cancelled(cancel, async { Ok(run(loaded.clone()).await) });
            match ran.await? {
                Ok(result) => return Ok(result),
                Err(Stopped::Executed(error)) => return Err(error),
                Err(Stopped::Device(reason)) => self.fleet.give_up(&loaded.device, &reason),
            }
            moved = true;
        }
    }
}

#[async_trait]
impl Executor for EngineExecutor {
    fn serves(&self, model: ModelId) -> bool {
        let all = self.models.get(&model);
        all.is_some_and(|all| all.iter().any(|loaded| loaded.device.works()))
    }

    async fn estimate(&self, assignment: &Assignment) -> Executed<Duration> {
        let most = (assignment.max_input_units, assignment.max_output_units);
        let what = (assignment.job, assignment.model, most);
        self.anywhere(what, &Cancel::default(), |loaded| async move {
            let request = request(assignment, &loaded.stop_tokens, loaded.context)?;
            let tokens = on_engine(&loaded, |engine| engine.prompt_tokens(request)).await??;
            if tokens > assignment.max_input_units {
                return Err(Stopped::Executed(ExecutionError::Refused(format!(
                    "its prompt has {tokens} tokens, it pays for {} at most",
                    assignment.max_input_units
                ))));
            }
            let work = loaded.cost.of(tokens, assignment.max_output_units);
            Ok(loaded.backlog.time_for(work))
        })
        .await
    }

    fn work(&self, model: ModelId, units: Usage) -> Duration {
        let loaded = self.loaded(model, units.input, units.output);
        loaded.map_or(Duration::ZERO, |loaded| {
            loaded.cost.of(units.input, units.output)
        })
    }

    async fn execute(&self, assignment: Assignment, cancel: Cancel) -> Executed<Delivery> {
        let most = (assignment.max_input_units, assignment.max_output_units);
        let assignment = &assignment;
        let what = (assignment.job, assignment.model, most);
        let made = self.anywhere(what, &cancel, |loaded| async move {
            let request = request(assignment, &loaded.stop_tokens, loaded.context)?;
            let mut piece = loaded.backlog.add(loaded.cost.of(most.0, most.1));
            let _place = place(&loaded.jobs).await?;
            let handle = on_engine(&loaded, |engine| engine.submit(request)).await??;
            let unread = most.0.saturating_sub(handle.prompt_tokens());
            piece.spare(loaded.cost.of(unread, 0));
            Ok(listen(handle, loaded.cost, &mut piece).await?)
        });
        delivery(&made.await?, assignment)
    }

    async fn replay(&self, task: ReplayTask, cancel: Cancel) -> Executed<Replayed> {
        let (assignment, seed) = (&task.assignment, &task.seed);
        // One prefill of everything.
        let output = u32::try_from(task.tokens.len()).unwrap_or(u32::MAX);
        let most = assignment.max_input_units.saturating_add(output);
        let tokens = &task.tokens;
        let what = (assignment.job, assignment.model, (most, 0));
        self.anywhere(what, &cancel, |loaded| async move {
            let Ok(request) = request(assignment, &loaded.stop_tokens, loaded.context) else {
                return Ok(impossible(seed, "its input is no UTF-8".into()));
            };
            let mut piece = loaded.backlog.add(loaded.cost.of(most, 0));
            let _place = place(&loaded.replays).await?;
            let (seeds, tokens) = ([seed.0], tokens.clone());
            let handle = on_engine(&loaded, move |engine| {
                engine.replay(request, tokens, &seeds)
            });
            let handle = match handle.await? {
                Ok(handle) => handle,
                Err(SubmitError::Request(error)) => return verdict(error, seed),
                Err(error) => return Err(error.into()),
            };
            let prompt = handle.prompt_tokens();
            match handle.finish().await {
                Ok(audit) => {
                    piece.done(loaded.cost.of(prompt.saturating_add(output), 0));
                    Ok(replayed(audit))
                }
                Err(error) => verdict(error, seed),
            }
        })
        .await
    }
}

/// What an error of a replay says: nothing about the job if it is of this machine alone, else that
/// no result can be right.
fn verdict(error: GenerateError, seed: &genesisflow_primitives::H256) -> Ran<Replayed> {
    match error {
        GenerateError::Cancelled
        | GenerateError::Memory { .. }
        | GenerateError::Arithmetic(_)
        | GenerateError::Device(_) => Err(error.into()),
        GenerateError::Prompt(_)
        | GenerateError::Context { .. }
        | GenerateError::UnknownToken { .. }
        | GenerateError::Sampling(_)
        | GenerateError::NoOutput => Ok(impossible(seed, error.to_string())),
    }
}

/// Follows a job to its end, so that the backlog knows how far it is.
async fn listen(
    mut handle: Handle,
    cost: Cost,
    piece: &mut Piece,
) -> std::result::Result<Generation, GenerateError> {
    let mut unread = handle.prompt_tokens();
    while handle.next().await.is_some() {
        let read = std::mem::take(&mut unread);
        piece.done(cost.of(read, 1));
    }
    handle.finish().await
}

/// A place in an engine, in the order of asking.
async fn place(places: &Semaphore) -> Executed<tokio::sync::SemaphorePermit<'_>> {
    // They are never closed.
    places.acquire().await.map_err(|error| refused(&error))
}

/// Does what needs the processor for a while, such as encoding a prompt, where that keeps nobody
/// waiting.
async fn on_engine<T: Send + 'static>(
    loaded: &Arc<Loaded>,
    work: impl FnOnce(&Engine) -> T + Send + 'static,
) -> Executed<T> {
    let loaded = loaded.clone();
    tokio::task::spawn_blocking(move || work(&loaded.engine))
        .await
        .map_err(|error| refused(&error))
}

/// Gives a run up as soon as it is cancelled: what it holds goes, and with its handle the job in
/// the engine.
async fn unless_cancelled<T>(
    cancel: &Cancel,
    run: impl Future<Output = Executed<T>>,
) -> Executed<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(ExecutionError::Cancelled),
        result = run => result,
    }
}

fn refused(error: &dyn std::error::Error) -> ExecutionError {
    ExecutionError::Refused(error.to_string())
}
