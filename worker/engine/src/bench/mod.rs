//! How fast this machine runs models of real shapes, with random weights.
//!
//! Every figure is the best of several short runs: on a machine that does other things too, the
//! shortest time is the one least disturbed.

mod bandwidth;
mod batch;
mod card;
mod memory;
mod random_weights;
mod report;
mod shape;

use std::time::Instant;

pub use bandwidth::ReadBandwidth;
pub use card::{card, CardPlan, CardSpeed};
pub use random_weights::RandomWeights;
pub use report::{BatchSpeed, BenchReport, ModelSpeed, ReplaySpeed};
pub use shape::Shape;

use crate::{
    backend::DeviceError,
    decoder::{Decoder, DecoderError},
    model::LoadOptions,
    threads::{Threads, ThreadsError},
};
use batch::Batch;

/// Tokens of the prompt that prefill is measured with.
pub const PREFILL: usize = 512;

/// Tokens that each sequence has before decoding is measured.
const PROMPT: usize = 32;

/// Steps of one run of decoding.
const STEPS: usize = 8;

/// Tokens that are generated and then replayed.
const REPLAYED: usize = 256;

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredFormat {
    /// 34 bytes for 32 weights.
    Q8_0,
    /// 18 bytes for 32 weights.
    Q4_0,
}

impl StoredFormat {
    /// Its name, as in GGUF.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
        }
    }

    /// The format with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Q8_0, Self::Q4_0]
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of 32 weights.
    pub(crate) fn block_bytes(self) -> usize {
        match self {
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
        }
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchPlan {
    /// The models.
    pub shapes: Vec<Shape>,
    /// Each in these formats.
    pub formats: Vec<StoredFormat>,
    /// Numbers of sequences that are decoded together.
    pub batches: Vec<usize>,
    /// Runs of which the fastest counts; at least 1.
    pub repeats: usize,
    /// Whether a generation is timed against its replay, too.
    pub replay: bool,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Compute threads cannot be had.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
    /// The random model was refused.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    /// The cache does not fit in memory.
    #[error("not enough memory for the cache of {sequences} sequences; ask for smaller batches")]
    Memory {
        /// Sequences at once.
        sequences: usize,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A replay chose other tokens than the generation: the machine miscomputes.
    #[error(
        "a replay gave other tokens than the generation; this machine does not compute reliably"
    )]
    Replay,
}

/// Measures everything in the plan; `progress` is told what comes next.
///
/// # Errors
/// [`BenchError`] if a model does not fit in memory or cannot be built.
pub fn run(
    plan: &BenchPlan,
    options: LoadOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<BenchReport, BenchError> {
    let mut bandwidth = 0.0;
    let mut models = Vec::new();
    for shape in &plan.shapes {
        for format in &plan.formats {
            progress(&format!("{} in {}", shape.name, format.name()));
            models.push(measure(shape, *format, plan, options, &mut bandwidth)?);
        }
    }
    Ok(BenchReport {
        kernel: options.kernel.name(),
        threads: options.threads,
        read_bandwidth: bandwidth,
        models,
    })
}

fn measure(
    shape: &Shape,
    format: StoredFormat,
    plan: &BenchPlan,
    options: LoadOptions,
    bandwidth: &mut f64,
) -> Result<ModelSpeed, BenchError> {
    let threads = Threads::new(options.threads)?;
    let mut weights = RandomWeights::new(format);
    let config = shape.config.clone();
    let decoder = Decoder::new(config, &mut weights, options.kernel, threads)?;

    let mut prefill = f64::INFINITY;
    let mut resident = None;
    let mut cache_bytes = 0;
    for _ in 0..plan.repeats.max(1) {
        let memory = BenchError::Memory { sequences: 1 };
        let mut batch = Batch::new(&decoder, 1, PREFILL).ok_or(memory)?;
        prefill = prefill.min(timed(|| batch.prefill(PREFILL))?);
        (resident, cache_bytes) = (memory::resident(), batch.cache_bytes());
    }
    let weight_bytes = decoder.bytes();
    let read_per_step = weight_bytes - shape.unread_bytes(format);
    let mut decode = Vec::new();
    // Only now: what was resident is measured above.
    let mut memory = ReadBandwidth::new(options.threads);
    memory.measure();
    let mut shares = Vec::new();
    for sequences in plan.batches.iter().copied() {
        let positions = PROMPT + STEPS * plan.repeats.max(1);
        let refused = BenchError::Memory { sequences };
        let mut batch = Batch::new(&decoder, sequences, positions).ok_or(refused)?;
        batch.prefill(PROMPT)?;
        let mut best = f64::INFINITY;
        for _ in 0..plan.repeats.max(1) {
            let before = (sequences == 1).then(|| memory.measure());
            let step = timed(|| (0..STEPS).try_for_each(|_| batch.step()))? / STEPS as f64;
            best = best.min(step);
            if let Some(before) = before {
                let around = (before + memory.measure()) / 2.0;
                shares.push(read_per_step as f64 / step / around);
            }
        }
        decode.push(BatchSpeed {
            sequences,
            tokens_per_second: sequences as f64 / best,
        });
    }
    *bandwidth = bandwidth.max(memory.best());
    Ok(ModelSpeed {
        shape: shape.name,
        format: format.name(),
        weight_bytes,
        cache_bytes,
        resident_bytes: resident,
        prefill_tokens_per_second: PREFILL as f64 / prefill,
        share_of_bandwidth: median(shares),
        decode,
        replay: plan
            .replay
            .then(|| replay(&decoder, PROMPT, REPLAYED))
            .transpose()?,
    })
}

/// The middle one; `None` of none.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Times a generation of so many tokens after a prompt, and its replay.
fn replay(decoder: &Decoder, prompt: usize, count: usize) -> Result<ReplaySpeed, BenchError> {
    let memory = || BenchError::Memory { sequences: 1 };
    let mut generating = Batch::new(decoder, 1, prompt + count).ok_or_else(memory)?;
    let mut tokens = Vec::new();
    let generate_seconds = timed(|| {
        generating.prefill(prompt)?;
        tokens.extend(generating.last());
        while tokens.len() < count {
            generating.step()?;
            tokens.extend(generating.last());
        }
        Ok(())
    })?;
    drop(generating);
    let mut replaying = Batch::new(decoder, 1, prompt + count).ok_or_else(memory)?;
    let mut found = Vec::new();
    let replay_seconds = timed(|| {
        found = replaying.replay(prompt, &tokens)?;
        Ok(())
    })?;
    if found != tokens {
        return Err(BenchError::Replay);
    }
    Ok(ReplaySpeed {
        tokens: count,
        generate_seconds,
        replay_seconds,
    })
}

/// Seconds that `f` takes.
fn timed(f: impl FnOnce() -> Result<(), DeviceError>) -> Result<f64, DeviceError> {
    let start = Instant::now();
    f()?;
    Ok(start.elapsed().as_secs_f64())
}
