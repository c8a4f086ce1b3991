//! Models in memory, each with its engine, on one set of compute threads.

use super::{
    backlog::{Backlog, Cost},
    fleet::{Device, Fleet},
    memory,
};
use crate::{
    error::{Error, Kind, Result},
    model_store::shown,
};
use futures::StreamExt;
use genesisflow_engine::{
    devices::{DeviceChoice, Place},
    threads::Threads,
    Engine, EngineOptions, GenerateRequest, LoadOptions, Model, Prompt, Sampling, SubmitError,
};
use genesisflow_primitives::{ModelId, ModelManifest};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Positions of a block of an engine's memory.
const KV_BLOCK: usize = 32;
/// Tokens of the prompt of the run that measures a model when it is loaded.
const TRIAL_PROMPT: u32 = 64;
/// Output tokens of that run.
const TRIAL_OUTPUT: u32 = 8;

/// A model to load.
#[derive(Clone, Debug)]
pub struct ModelToLoad {
    /// Its id.
    pub id: ModelId,
    /// The folder that holds its files.
    pub dir: PathBuf,
    /// Its manifest.
    pub manifest: ModelManifest,
}

/// A model at work on one device.
pub(super) struct Loaded {
    pub(super) engine: Engine,
    /// What it runs on, as all models there share it.
    pub(super) device: Device,
    /// What all models on the device have to do.
    pub(super) backlog: Arc<Backlog>,
    /// Most positions of prompt and output that the engine has room for.
    pub(super) positions: usize,
    pub(super) stop_tokens: Vec<u32>,
    pub(super) context: u32,
    pub(super) cost: Cost,
    /// Jobs that may be in the engine; it never has to turn one away.
    pub(super) jobs: Semaphore,
    /// The same for replays.
    pub(super) replays: Semaphore,
}

/// Loads models on every device of the choice and runs each of them once, so that one that cannot
/// work is found before a job is claimed for it. Blocks meanwhile.
pub(super) fn load(
    models: &[ModelToLoad],
    choice: &DeviceChoice,
    fleet: &Fleet,
) -> Result<Vec<(ModelId, Loaded)>> {
    let devices = choice.look().map_err(|error| {
        Error::new(Kind::Usage, format!("cannot run models on {choice}"))
            .because(error)
            .fix("pass --device auto or --device cpu; docs/gpu.md says what a card needs")
    })?;
    for reason in &devices.passed_over {
        tracing::info!("{reason}");
    }
    let mut loaded = Vec::new();
    for card in &devices.cards {
        match on_device(models, &Place::card(card.index), fleet, None) {
            Ok(on_card) => loaded.extend(on_card),
            // Nobody asked for this one by name.
            Err(error) if *choice == DeviceChoice::Auto => {
                tracing::warn!("{card} is not used: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    if loaded.is_empty() {
        loaded = on_processor(models, fleet)?;
    }
    Ok(loaded)
}

/// All models on one device with memory of its own, which joins the fleet then. What tokens cost
/// there is measured, unless it is known.
pub(super) fn on_device(
    models: &[ModelToLoad],
    place: &Place,
    fleet: &Fleet,
    cost: Option<Cost>,
) -> Result<Vec<(ModelId, Loaded)>> {
    let mut weights = Vec::new();
    for wanted in models {
        let model = place
            .model(&wanted.dir)
            .map_err(|error| unusable(&wanted.dir, &error))?;
        weights.push((wanted, model));
    }
    let backlog = Arc::new(Backlog::default());
    let Some(device) = device(&weights) else {
        return Ok(Vec::new());
    };
    // Each takes its share of what those before it left.
    let mut left = weights.len();
    let mut loaded = Vec::new();
    for (wanted, model) in weights {
        let free = model
            .decoder()
            .device()
            .memory
            .map_or(0, |memory| memory.free);
        loaded.push(start(
            wanted,
            model,
            free / left.max(1),
            (backlog.clone(), device.clone()),
            cost,
        )?);
        left -= 1;
    }
    fleet.add(device);
    Ok(loaded)
}

/// All models on one set of compute threads.
pub(super) fn on_processor(
    models: &[ModelToLoad],
    fleet: &Fleet,
) -> Result<Vec<(ModelId, Loaded)>> {
    let options = LoadOptions::from_environment().map_err(|error| {
        Error::new(Kind::Usage, "cannot compute as the environment says").because(error)
    })?;
    let threads = threads(options.threads)?;
    let mut weights = Vec::new();
    for wanted in models {
        let start = Instant::now();
        let model = Model::load_on(&wanted.dir, options.kernel, threads.clone())
            .map_err(|error| unusable(&wanted.dir, &error))?;
        tracing::debug!(
            "read model {} from {} in {:.1} s",
            shown(wanted.id),
            wanted.dir.display(),
            start.elapsed().as_secs_f64()
        );
        weights.push((wanted, model));
    }
    // Now that all weights are there, the rest can be shared.
    let each = memory::for_caches()? / weights.len().max(1);
    let backlog = Arc::new(Backlog::default());
    let Some(device) = device(&weights) else {
        return Ok(Vec::new());
    };
    let start =
        |(wanted, model)| start(wanted, model, each, (backlog.clone(), device.clone()), None);
    let loaded = weights.into_iter().map(start).collect::<Result<_>>()?;
    fleet.add(device);
    Ok(loaded)
}

/// The device that these models are on; none if there is no model.
fn device(models: &[(&ModelToLoad, Model)]) -> Option<Device> {
    let decoder = models.first()?.1.decoder();
    let threads = decoder.threads().map(Threads::count);
    Some(Device::new(decoder.device(), threads))
}
/// One set for all models. With as many threads as processors each keeps to its own; with fewer,
/// somebody else is to have the others, and only the system knows which.
fn threads(count: usize) -> Result<Threads> {
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = if count < processors {
        Threads::new(count)
    } else {
        Threads::pinned(count)
    };
    threads.map_err(|error| Error::new(Kind::Internal, "cannot start to compute").because(error))
}

fn unusable(dir: &Path, error: &dyn std::fmt::Display) -> Error {
    let what = format!("cannot run the model in {}", dir.display());
    Error::new(Kind::Model, what).because(error).fix(
        "check that the folder holds a model that the engine runs: docs/engine.md lists architectures and files",
    )
}

fn start(
    wanted: &ModelToLoad,
    model: Model,
    memory: usize,
    (backlog, on): (Arc<Backlog>, Device),
    cost: Option<Cost>,
) -> Result<(ModelId, Loaded)> {
    let ModelToLoad { id, dir, manifest } = wanted;
    let (id, context) = (*id, manifest.limits.context);
    let device = model.decoder().device().name;
    let mut options = EngineOptions::suited_to(&model);
    // More than this is never used: all jobs and replays at their longest.
    let longest = Engine::memory_for(&model, context as usize);
    options.memory = longest.saturating_mul(2 * options.running).min(memory);
    if options.memory < longest {
        tracing::warn!(
            "model {} has {} MiB for keys and values; its longest job needs {}: such jobs are left to others",
            shown(id),
            options.memory >> 20,
            longest >> 20
        );
    }
    let engine = Engine::start(model, options).map_err(|error| unusable(dir, &error))?;
    let cost = match cost {
        Some(cost) => cost,
        None => measure(&engine, id, manifest).map_err(|error| unusable(dir, &error))?,
    };
    let rate = |cost: Duration| 1.0 / cost.as_secs_f64().max(1e-9);
    tracing::info!(
        "loaded model {} from {} on {device}; it reads about {:.0} tokens/s and writes {:.0} tokens/s for one job alone",
        shown(id),
        dir.display(),
        rate(cost.fed),
        rate(cost.sampled)
    );
    let loaded = Loaded {
        positions: engine.load().blocks * KV_BLOCK,
        engine,
        device: on,
        backlog,
        stop_tokens: manifest.stop_tokens.to_vec(),
        context,
        cost,
        jobs: Semaphore::new(options.waiting),
        replays: Semaphore::new(options.waiting),
    };
    Ok((id, loaded))
}

/// What a model's tokens cost.
fn measure(
    engine: &Engine,
    id: ModelId,
    manifest: &ModelManifest,
) -> std::result::Result<Cost, SubmitError> {
    // The first run is slow: the system has to find memory for it. Each has a prompt of its own,
    // since the engine keeps what it has read.
    let (first, second) = (
        trial(engine, id, manifest, 0)?,
        trial(engine, id, manifest, 1)?,
    );
    Ok(Cost {
        fed: first.fed.min(second.fed),
        sampled: first.sampled.min(second.sampled),
    })
}

/// Runs a model once, with a prompt of this token, and measures it.
fn trial(
    engine: &Engine,
    id: ModelId,
    manifest: &ModelManifest,
    token: u32,
) -> std::result::Result<Cost, SubmitError> {
    let limits = &manifest.limits;
    let output = TRIAL_OUTPUT
        .min(limits.max_output)
        .min(limits.context.saturating_sub(1))
        .max(1);
    let prompt = TRIAL_PROMPT
        .min(limits.context.saturating_sub(output))
        .max(1);
    let start = Instant::now();
    let mut handle = engine.submit(GenerateRequest {
        model_id: id.0,
        prompt: Prompt::Tokens(vec![token; prompt as usize]),
        sampling: Sampling::GREEDY,
        seed: [0; 32],
        max_output: output,
        // None, so that the run has its full length.
        stop_tokens: Vec::new(),
        context: limits.context,
        output_bytes: usize::MAX,
        evidence_bytes: usize::MAX,
    })?;
    let (accepted, made) = futures::executor::block_on(async {
        while handle.next().await.is_some() {}
        (handle.accepted(), handle.finish().await)
    });
    let made = made?;
    // One that faults on this prompt is a model too.
    let (first, last) = accepted.unwrap_or_else(|| (Instant::now(), Instant::now()));
    let fed = first.duration_since(start) / prompt;
    let more = (made.tokens.len() as u32).saturating_sub(1);
    let sampled = match more {
        0 => fed,
        _ => last.duration_since(first) / more,
    };
    Ok(Cost { fed, sampled })
}
