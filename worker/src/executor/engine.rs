//! The executor that runs jobs with genesisflow-engine: many at once, in batches.

use super::{
    backlog::Piece,
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
use genesisflow_primitives::{ModelId, Usage};
use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Runs jobs on engines, one for each model and device. Those on the processor share one set of
/// compute threads.
///
/// A job goes to the device that would be done with it first. Audits go before jobs that wait. What
/// does not fit into an engine waits here for its turn.
pub struct EngineExecutor {
    models: HashMap<ModelId, Vec<Arc<Loaded>>>,
}

type Executed<T> = std::result::Result<T, ExecutionError>;

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
        let mut by_model: HashMap<_, Vec<_>> = HashMap::new();
        for (id, loaded) in load(models, devices)? {
            by_model.entry(id).or_default().push(Arc::new(loaded));
        }
        Ok(Self { models: by_model })
    }

    /// The model on the device that would be done first with so many tokens at most, of those that
    /// have room for them; if none has, the one with most room.
    fn loaded(&self, model: ModelId, fed: u32, sampled: u32) -> Executed<Arc<Loaded>> {
        let positions = fed as usize + sampled as usize;
        let all = self.models.get(&model).map_or(&[][..], |all| all);
        let fitting = all.iter().filter(|loaded| loaded.positions >= positions);
        let time = |loaded: &&Arc<Loaded>| {
            let work = loaded.cost.of(fed, sampled);
            loaded.backlog.time_for(work)
        };
        let largest = || all.iter().max_by_key(|loaded| loaded.positions);
        let loaded = fitting.min_by_key(time).or_else(largest).cloned();
        loaded
            .ok_or_else(|| ExecutionError::Refused(format!("model {} is not loaded", shown(model))))
    }
}

#[async_trait]
impl Executor for EngineExecutor {
    fn serves(&self, model: ModelId) -> bool {
        self.models.contains_key(&model)
    }

    async fn estimate(&self, assignment: &Assignment) -> Executed<Duration> {
        let most = (assignment.max_input_units, assignment.max_output_units);
        let loaded = self.loaded(assignment.model, most.0, most.1)?;
        let request = request(assignment, &loaded.stop_tokens, loaded.context)?;
        let tokens = on_engine(&loaded, |engine| engine.prompt_tokens(request)).await?;
        let tokens = tokens.map_err(|error| ExecutionError::Refused(error.to_string()))?;
        if tokens > assignment.max_input_units {
            return Err(ExecutionError::Refused(format!(
                "its prompt has {tokens} tokens, it pays for {} at most",
                assignment.max_input_units
            )));
        }
        let work = loaded.cost.of(tokens, assignment.max_output_units);
        Ok(loaded.backlog.time_for(work))
    }

    fn work(&self, model: ModelId, units: Usage) -> Duration {
        let loaded = self.loaded(model, units.input, units.output);
        loaded.map_or(Duration::ZERO, |loaded| {
            loaded.cost.of(units.input, units.output)
        })
    }

    async fn execute(&self, assignment: Assignment, cancel: Cancel) -> Executed<Delivery> {
        let most = (assignment.max_input_units, assignment.max_output_units);
        let loaded = self.loaded(assignment.model, most.0, most.1)?;
        let request = request(&assignment, &loaded.stop_tokens, loaded.context)?;
        let mut piece = loaded.backlog.add(loaded.cost.of(most.0, most.1));
        let made = unless_cancelled(&cancel, async {
            let _place = place(&loaded.jobs).await?;
            let handle = on_engine(&loaded, |engine| engine.submit(request)).await?;
            let handle = handle.map_err(|error| refused(&error))?;
            let unread = most.0.saturating_sub(handle.prompt_tokens());
            piece.spare(loaded.cost.of(unread, 0));
            listen(handle, &loaded, &mut piece).await.map_err(stopped)
        });
        delivery(&made.await?, &assignment)
    }

    async fn replay(&self, task: ReplayTask, cancel: Cancel) -> Executed<Replayed> {
        let ReplayTask {
            assignment,
            tokens,
            seed,
        } = task;
        // One prefill of everything.
        let output = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let most = assignment.max_input_units.saturating_add(output);
        let loaded = self.loaded(assignment.model, most, 0)?;
        let Ok(request) = request(&assignment, &loaded.stop_tokens, loaded.context) else {
            return Ok(impossible(&seed, "its input is no UTF-8".into()));
        };
        let mut piece = loaded.backlog.add(loaded.cost.of(most, 0));
        unless_cancelled(&cancel, async {
            let _place = place(&loaded.replays).await?;
            let seeds = [seed.0];
            let handle = on_engine(&loaded, move |engine| {
                engine.replay(request, tokens, &seeds)
            });
            let handle = match handle.await? {
                Ok(handle) => handle,
                Err(SubmitError::Request(error)) => return verdict(error, &seed),
                Err(error) => return Err(refused(&error)),
            };
            let prompt = handle.prompt_tokens();
            match handle.finish().await {
                Ok(audit) => {
                    piece.done(loaded.cost.of(prompt.saturating_add(output), 0));
                    Ok(replayed(audit))
                }
                Err(error) => verdict(error, &seed),
            }
        })
        .await
    }
}

/// What an error of a replay says: nothing about the job if it is of this machine alone, else that
/// no result can be right.
fn verdict(error: GenerateError, seed: &genesisflow_primitives::H256) -> Executed<Replayed> {
    match error {
        GenerateError::Cancelled => Err(stopped(error)),
        GenerateError::Memory { .. } | GenerateError::Arithmetic(_) | GenerateError::Device(_) => {
            Err(refused(&error))
        }
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
    loaded: &Loaded,
    piece: &mut Piece,
) -> std::result::Result<Generation, GenerateError> {
    let mut unread = handle.prompt_tokens();
    while handle.next().await.is_some() {
        let read = std::mem::take(&mut unread);
        piece.done(loaded.cost.of(read, 1));
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

/// A run that ended without result, though nobody here cancelled it.
fn stopped(error: GenerateError) -> ExecutionError {
    match error {
        GenerateError::Cancelled => ExecutionError::Refused("the engine has ended".into()),
        error => refused(&error),
    }
}

fn refused(error: &dyn std::error::Error) -> ExecutionError {
    ExecutionError::Refused(error.to_string())
}
