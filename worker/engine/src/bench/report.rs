//! What was measured, as a table or as JSON.

use std::fmt;

use serde::Serialize;

use crate::backend::DeviceReport;

use super::Bandwidth;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// What it ran on.
    pub device: DeviceReport,
    /// The best bandwidth of that device that was seen.
    pub bandwidth: Bandwidth,
    /// One entry for each shape and format.
    pub models: Vec<ModelSpeed>,
}

/// The speed of one model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelSpeed {
    /// Name of the shape.
    pub shape: &'static str,
    /// How its weights are stored.
    pub format: &'static str,
    /// Bytes of its weights.
    pub weight_bytes: usize,
    /// Bytes of keys and values of the prompt that prefill is measured with.
    pub cache_bytes: usize,
    /// Bytes of memory of the whole process after that prompt, where the weights
    /// are in the system's memory and the system tells.
    pub resident_bytes: Option<usize>,
    /// Tokens of the prompt that prefill is measured with.
    pub prefill_tokens: usize,
    /// Tokens a second of that prompt.
    pub prefill_tokens_per_second: f64,
    /// Tokens a second of all sequences together, by the number of sequences.
    pub decode: Vec<BatchSpeed>,
    /// Bytes that are read for a token while one sequence is decoded: weights, keys and values.
    pub bytes_per_token: usize,
    /// Those bytes read a second, as a share of the bandwidth just before and after; the median of
    /// the runs. `None` without a batch of one.
    pub share_of_bandwidth: Option<f64>,
    /// A generation and its replay, if they were asked for.
    pub replay: Option<ReplaySpeed>,
}

/// A generation of one sequence and its replay.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReplaySpeed {
    /// Tokens that were generated and replayed.
    pub tokens: usize,
    /// Seconds of the generation, its short prompt included.
    pub generate_seconds: f64,
    /// Seconds of the replay.
    pub replay_seconds: f64,
}

/// Decoding several sequences together.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BatchSpeed {
    /// How many.
    pub sequences: usize,
    /// Tokens a second of all of them.
    pub tokens_per_second: f64,
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}; {}\n", self.device, self.bandwidth)?;
        SpeedTable(&self.models).fmt(f)
    }
}

/// Speeds as lines of text.
#[derive(Clone, Copy, Debug)]
pub struct SpeedTable<'a>(pub &'a [ModelSpeed]);

impl fmt::Display for SpeedTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prompt = self.0.first().map_or(0, |m| m.prefill_tokens);
        write!(
            f,
            "{:14} {:6} {:>9} {:>13}",
            "shape",
            "format",
            "weights",
            format!("prefill({prompt})")
        )?;
        for speed in self.0.first().map_or(&[][..], |m| &m.decode) {
            write!(f, " {:>10}", format!("decode x{}", speed.sequences))?;
        }
        writeln!(f, " {:>13}", "of bandwidth")?;
        for model in self.0 {
            write!(
                f,
                "{:14} {:6} {:>6.0} MB {:>13.1}",
                model.shape,
                model.format,
                model.weight_bytes as f64 / 1e6,
                model.prefill_tokens_per_second
            )?;
            for speed in &model.decode {
                write!(f, " {:>10.1}", speed.tokens_per_second)?;
            }
            match model.share_of_bandwidth {
                Some(share) => writeln!(f, " {:>11.0} %", 100.0 * share)?,
                None => writeln!(f)?,
            }
        }
        for model in self.0 {
            let megabytes = model.bytes_per_token as f64 / 1e6;
            write!(f, "\n{} {}: ", model.shape, model.format)?;
            write!(f, "a token of one sequence reads {megabytes:.1} MB")?;
            if let Some(resident) = model.resident_bytes {
                let needed = (model.weight_bytes + model.cache_bytes) as f64;
                let times = resident as f64 / needed;
                write!(f, "; {times:.2} x weights and KV resident")?;
            }
            if let Some(replay) = model.replay {
                let share = replay.replay_seconds / replay.generate_seconds;
                let (tokens, percent) = (replay.tokens, 100.0 * share);
                write!(
                    f,
                    "; replay of {tokens} tokens takes {percent:.1} % of generating"
                )?;
            }
        }
        write!(
            f,
            "\n\nTokens a second; decode: of all sequences together. Of bandwidth: what one sequence \
             reads\n(weights, keys and values) over what the device can move."
        )
    }
}
