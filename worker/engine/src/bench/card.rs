//! How fast a decoder runs on a device with memory of its own.

use serde::Serialize;

use crate::decoder::Decoder;

use super::{batch::Batch, timed, BatchSpeed, BenchError, ReplaySpeed};

/// Tokens that each sequence has before decoding is measured.
const PROMPT: usize = 128;

/// Steps of one run of decoding.
const STEPS: usize = 64;

/// What to measure.
#[derive(Clone, Debug)]
pub struct CardPlan {
    /// Numbers of sequences that are decoded together.
    pub batches: Vec<usize>,
    /// Tokens of the prompt that prefill is measured with.
    pub prefill: usize,
    /// Tokens that are generated and then replayed.
    pub replayed: usize,
    /// Runs of which the fastest counts; at least 1.
    pub repeats: usize,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct CardSpeed {
    /// The device.
    pub device: String,
    /// Bytes of the weights on it.
    pub weight_bytes: usize,
    /// Tokens a second of the prompt.
    pub prefill_tokens_per_second: f64,
    /// Tokens a second of all sequences together, by the number of sequences.
    pub decode: Vec<BatchSpeed>,
    /// A generation and its replay.
    pub replay: ReplaySpeed,
}

/// Measures a decoder on whatever it runs on, with the first token of each sequence chosen greedily
/// like all others: the head and the copy of results are part of every step.
///
/// # Errors
/// [`BenchError`] if memory does not suffice, the device fails, or a replay finds other tokens.
pub fn card(decoder: &Decoder, plan: &CardPlan) -> Result<CardSpeed, BenchError> {
    let repeats = plan.repeats.max(1);
    let batch = |sequences: usize, positions: usize| {
        let refused = BenchError::Memory { sequences };
        Batch::new(decoder, sequences, positions).ok_or(refused)
    };
    let mut prefill = f64::INFINITY;
    for _ in 0..repeats {
        let mut batch = batch(1, plan.prefill)?;
        prefill = prefill.min(timed(|| batch.prefill(plan.prefill))?);
    }
    let mut decode = Vec::new();
    for sequences in plan.batches.iter().copied() {
        // Some steps before, so that the device has recorded them when they are timed.
        let mut batch = batch(sequences, PROMPT + STEPS * (repeats + 1))?;
        batch.prefill(PROMPT)?;
        timed(|| (0..STEPS).try_for_each(|_| batch.step()))?;
        let mut best = f64::INFINITY;
        for _ in 0..repeats {
            let run = timed(|| (0..STEPS).try_for_each(|_| batch.step()))?;
            best = best.min(run / STEPS as f64);
        }
        decode.push(BatchSpeed {
            sequences,
            tokens_per_second: sequences as f64 / best,
        });
    }
    Ok(CardSpeed {
        device: decoder.device().name,
        weight_bytes: decoder.bytes(),
        prefill_tokens_per_second: plan.prefill as f64 / prefill,
        decode,
        replay: super::replay(decoder, PROMPT, plan.replayed)?,
    })
}
