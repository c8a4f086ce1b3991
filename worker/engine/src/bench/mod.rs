//! How fast this machine runs models of real shapes, with random weights.
//!
//! Every figure is the best of several short runs: on a machine that does other things too, the
//! shortest time is the one least disturbed.

mod bandwidth;
mod batch;
mod memory;
mod random_weights;
mod report;
mod shape;

use std::time::Instant;

pub use bandwidth::{best_of, Bandwidth, BandwidthMeter, CopyBandwidth, ReadBandwidth, Traffic};
pub use random_weights::RandomWeights;
pub use report::{BatchSpeed, BenchReport, ModelSpeed, ReplaySpeed, SpeedTable};
pub use shape::Shape;

use crate::{
    backend::DeviceError,
    decoder::{Decoder, DecoderError},
    devices::Place,
    threads::{Threads, ThreadsError},
};
use batch::Batch;

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

/// How long the runs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Tokens of the prompt that prefill is measured with.
    pub prefill: usize,
    /// Tokens that each sequence has before decoding is measured.
    pub prompt: usize,
    /// Steps of one run of decoding.
    pub steps: usize,
    /// Tokens that are generated and then replayed.
    pub replayed: usize,
    /// Bytes that are moved to measure the bandwidth.
    pub moved: usize,
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
    /// How long each run is: [`Place::lengths`].
    pub lengths: Lengths,
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
    /// The plan has no shape, or no format.
    #[error("there is nothing to measure; name a shape and a format")]
    Nothing,
    /// A replay chose other tokens than the generation: the machine miscomputes.
    #[error(
        "a replay gave other tokens than the generation; this machine does not compute reliably"
    )]
    Replay,
}

/// Measures everything in the plan; `progress` is told what comes next.
///
/// # Errors
/// [`BenchError`] if a model does not fit in memory or cannot be built, or the device fails.
pub fn run(
    plan: &BenchPlan,
    place: &Place,
    progress: &mut dyn FnMut(&str),
) -> Result<BenchReport, BenchError> {
    let mut report: Option<BenchReport> = None;
    for shape in &plan.shapes {
        for format in &plan.formats {
            progress(&format!("{} in {}", shape.name, format.name()));
            let mut weights = RandomWeights::new(*format);
            let decoder = decoder(place, shape, &mut weights)?;
            let (model, bandwidth) = measure(&decoder, (shape.name, *format), plan)?;
            let report = report.get_or_insert_with(|| BenchReport {
                device: decoder.device(),
                bandwidth,
                models: Vec::new(),
            });
            if bandwidth.bytes_per_second > report.bandwidth.bytes_per_second {
                report.bandwidth = bandwidth;
            }
            report.models.push(model);
        }
    }
    report.ok_or(BenchError::Nothing)
}

/// A decoder of this shape.
fn decoder(
    place: &Place,
    shape: &Shape,
    weights: &mut RandomWeights,
) -> Result<Decoder, BenchError> {
    let config = shape.config.clone();
    Ok(match place {
        Place::Processor(options) => {
            let threads = Threads::new(options.threads)?;
            Decoder::new(config, weights, options.kernel, threads)?
        }
        Place::Device(open) => {
            Decoder::on_device(config, weights, open().map_err(DeviceError::from)?)?
        }
    })
}

/// Measures one decoder, and the bandwidth beside it. Every token is chosen greedily: the head and
/// the copy of its results are part of every step.
fn measure(
    decoder: &Decoder,
    (shape, format): (&'static str, StoredFormat),
    plan: &BenchPlan,
) -> Result<(ModelSpeed, Bandwidth), BenchError> {
    let lengths = plan.lengths;
    let repeats = plan.repeats.max(1);
    let mut prefill = f64::INFINITY;
    let mut resident = None;
    let mut cache_bytes = 0;
    for _ in 0..repeats {
        let memory = BenchError::Memory { sequences: 1 };
        let mut batch = Batch::new(decoder, 1, lengths.prefill).ok_or(memory)?;
        prefill = prefill.min(timed(|| batch.prefill(lengths.prefill))?);
        cache_bytes = batch.cache_bytes();
        // Weights on a device are not resident here.
        resident = decoder.threads().and_then(|_| memory::resident());
    }
    // Only now: what was resident is measured above.
    let mut meter = decoder.bandwidth_meter(lengths.moved)?;
    let bandwidth = best_of(repeats, meter.as_mut())?;
    let mut best_bandwidth = bandwidth.bytes_per_second;
    let mut decode = Vec::new();
    let mut shares = Vec::new();
    // Behind so many positions the runs are at their middle, on average.
    let middle = lengths.prompt + lengths.steps + lengths.steps * repeats / 2;
    let bytes_per_token = decoder.bytes_per_token(middle);
    for sequences in plan.batches.iter().copied() {
        let positions = lengths.prompt + lengths.steps * (repeats + 1);
        let refused = BenchError::Memory { sequences };
        let mut batch = Batch::new(decoder, sequences, positions).ok_or(refused)?;
        batch.prefill(lengths.prompt)?;
        // Some steps before, so that a device has recorded them when they are timed.
        timed(|| (0..lengths.steps).try_for_each(|_| batch.step()))?;
        let mut best = f64::INFINITY;
        for _ in 0..repeats {
            let before = (sequences == 1).then(|| meter.pass()).transpose()?;
            let run = timed(|| (0..lengths.steps).try_for_each(|_| batch.step()))?;
            let step = run / lengths.steps as f64;
            best = best.min(step);
            if let Some(before) = before {
                let after = meter.pass()?;
                best_bandwidth = best_bandwidth.max(before).max(after);
                shares.push(bytes_per_token as f64 / step / ((before + after) / 2.0));
            }
        }
        decode.push(BatchSpeed {
            sequences,
            tokens_per_second: sequences as f64 / best,
        });
    }
    // The replay may need the memory.
    drop(meter);
    let speed = ModelSpeed {
        shape,
        format: format.name(),
        weight_bytes: decoder.bytes(),
        cache_bytes,
        resident_bytes: resident,
        prefill_tokens: lengths.prefill,
        prefill_tokens_per_second: lengths.prefill as f64 / prefill,
        decode,
        bytes_per_token,
        share_of_bandwidth: median(shares),
        replay: plan
            .replay
            .then(|| replay(decoder, lengths.prompt, lengths.replayed))
            .transpose()?,
    };
    let bandwidth = Bandwidth {
        bytes_per_second: best_bandwidth,
        ..bandwidth
    };
    Ok((speed, bandwidth))
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
