//! The operator's own model, measured as jobs in the engine that serves it.

use crate::error::{Error, Kind, Result};
use genesisflow_engine::{
    bench::{best_of, Bandwidth, BatchSpeed, BenchPlan},
    devices::Place,
    DeviceReport, Engine, EngineOptions, GenerateRequest, Prompt, Sampling,
};
use serde::Serialize;
use std::{fmt, path::Path, time::Instant};

/// Tokens of the prompt that reading is measured with.
const PROMPT: u32 = 512;
/// Tokens of the prompts that writing is measured after.
const SHORT_PROMPT: u32 = 16;
/// Tokens that each job writes.
const OUTPUT: u32 = 33;

/// The speed of a model.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OwnSpeed {
    /// Name of its folder.
    pub name: String,
    /// Bytes of its weights in memory.
    pub weight_bytes: usize,
    /// Input tokens a second.
    pub prefill_tokens_per_second: f64,
    /// Output tokens a second of all jobs together, by their number.
    pub decode: Vec<BatchSpeed>,
    /// Bytes that are read for an output token of one job: weights, keys and values.
    pub bytes_per_token: usize,
    /// Those bytes read a second, as a share of the device's bandwidth before and after.
    pub share_of_bandwidth: Option<f64>,
}

/// The speed of a model, and what it was measured on.
pub(super) struct Own {
    pub speed: OwnSpeed,
    pub device: DeviceReport,
    pub bandwidth: Bandwidth,
}

impl fmt::Display for OwnSpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {:.0} MB of weights in memory",
            self.name,
            self.weight_bytes as f64 / 1e6
        )?;
        write!(
            f,
            "  reads {:.1} input tokens/s",
            self.prefill_tokens_per_second
        )?;
        for speed in &self.decode {
            write!(
                f,
                "\n  writes {:.1} output tokens/s with {} job(s) at once",
                speed.tokens_per_second, speed.sequences
            )?;
        }
        let megabytes = self.bytes_per_token as f64 / 1e6;
        write!(
            f,
            "\n  reads {megabytes:.1} MB for an output token of one job"
        )?;
        match self.share_of_bandwidth {
            Some(share) => write!(f, ", {:.0} % of the bandwidth", 100.0 * share),
            None => Ok(()),
        }
    }
}

/// Measures the model in `dir` with each of the plan's batches, as numbers of
/// jobs; of its runs the fastest counts.
pub(super) fn measure(dir: &Path, place: &Place, plan: &BenchPlan) -> Result<Own> {
    let refused = |error: &dyn fmt::Display| {
        Error::new(
            Kind::Model,
            format!("cannot run the model in {}", dir.display()),
        )
        .because(error)
        .fix("check it with `genesisflow-worker model verify`; with too little memory, ask for smaller --batches")
    };
    let model = place.model(dir).map_err(|error| refused(&error))?;
    let batches = &plan.batches;
    let most = batches.iter().copied().max().unwrap_or(1).max(1);
    let each = Engine::memory_for(&model, (SHORT_PROMPT + OUTPUT) as usize);
    let longest = Engine::memory_for(&model, PROMPT as usize + 1);
    let options = EngineOptions {
        memory: each.saturating_mul(most).max(longest),
        running: most,
        waiting: most,
        // The same prompts are read again and again.
        prefix_cache: false,
        ..EngineOptions::suited_to(&model)
    };
    let engine = Engine::start(model, options).map_err(|error| refused(&error))?;
    let decoder = engine.model().decoder();
    let mut meter = decoder
        .bandwidth_meter(plan.lengths.moved)
        .map_err(|error| refused(&error))?;
    let repeats = plan.repeats.max(1);
    let best = |jobs: usize, prompt: u32, output: u32| -> Result<f64> {
        let mut best = f64::INFINITY;
        for _ in 0..repeats {
            best = best.min(seconds(&engine, jobs, prompt, output).map_err(|e| refused(&e))?);
        }
        Ok(best)
    };
    let mut moved = || best_of(repeats, meter.as_mut()).map_err(|error| refused(&error));
    // Finds the memory that the first run has to wait for.
    best(1, SHORT_PROMPT, 2)?;
    let prefill = best(1, PROMPT, 1)?;
    let mut bandwidth = moved()?;
    let bytes_per_token = decoder.bytes_per_token((SHORT_PROMPT + OUTPUT / 2) as usize);
    let mut share_of_bandwidth = None;
    let mut decode = Vec::new();
    for jobs in batches.iter().copied().filter(|jobs| *jobs > 0) {
        let before = if jobs == 1 { Some(moved()?) } else { None };
        // What both have in common, the reading, drops out.
        let written = best(jobs, SHORT_PROMPT, OUTPUT)? - best(jobs, SHORT_PROMPT, 1)?;
        let tokens_per_second = (jobs as f64) * f64::from(OUTPUT - 1) / written.max(1e-9);
        decode.push(BatchSpeed {
            sequences: jobs,
            tokens_per_second,
        });
        if let Some(before) = before {
            let (before, after) = (before.bytes_per_second, moved()?.bytes_per_second);
            let around = (before + after) / 2.0;
            share_of_bandwidth = Some(bytes_per_token as f64 * tokens_per_second / around);
            bandwidth.bytes_per_second = bandwidth.bytes_per_second.max(before).max(after);
        }
    }
    let name = dir.file_name().unwrap_or_default();
    Ok(Own {
        device: decoder.device(),
        bandwidth,
        speed: OwnSpeed {
            name: name.to_string_lossy().into_owned(),
            weight_bytes: decoder.bytes(),
            prefill_tokens_per_second: f64::from(PROMPT) / prefill,
            decode,
            bytes_per_token,
            share_of_bandwidth,
        },
    })
}

/// Seconds that so many jobs take together.
fn seconds(
    engine: &Engine,
    jobs: usize,
    prompt: u32,
    output: u32,
) -> std::result::Result<f64, Box<dyn std::error::Error>> {
    let vocabulary = engine.model().decoder().config().vocab_size as u32;
    let start = Instant::now();
    let handles = (0..jobs).map(|job| {
        // No two jobs alike.
        let token = |i: u32| (i.wrapping_mul(7_919) + 31 * job as u32) % vocabulary;
        engine.submit(GenerateRequest {
            model_id: [0; 32],
            prompt: Prompt::Tokens((0..prompt).map(token).collect()),
            sampling: Sampling::GREEDY,
            seed: [0; 32],
            max_output: output,
            // None, so that every run has its full length.
            stop_tokens: Vec::new(),
            context: prompt + output,
            output_bytes: usize::MAX,
            evidence_bytes: usize::MAX,
        })
    });
    let handles = handles.collect::<std::result::Result<Vec<_>, _>>()?;
    for handle in handles {
        let made = futures::executor::block_on(handle.finish())?;
        if made.tokens.len() as u32 != output {
            return Err(format!(
                "it wrote {} tokens instead of {output} and ended with {:?}",
                made.tokens.len(),
                made.finish
            )
            .into());
        }
    }
    Ok(start.elapsed().as_secs_f64())
}
