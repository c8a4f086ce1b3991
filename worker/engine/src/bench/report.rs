//! What was measured, as a table or as JSON.

use std::fmt;

use serde::Serialize;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// The kernel it ran on.
    pub kernel: &'static str,
    /// Compute threads.
    pub threads: usize,
    /// Bytes a second that those threads read from memory.
    pub read_bandwidth: f64,
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
    /// Bytes of memory of the whole process after that prompt, where the system tells.
    pub resident_bytes: Option<usize>,
    /// Tokens a second of a prompt of [`super::PREFILL`] tokens.
    pub prefill_tokens_per_second: f64,
    /// Tokens a second of all sequences together, by the number of sequences.
    pub decode: Vec<BatchSpeed>,
    /// Weights read a second while one sequence is decoded, as a share of the read bandwidth just
    /// before and after; the median of the runs. `None` without a batch of one.
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
        writeln!(
            f,
            "{} on {} threads, {:.1} GB/s read",
            self.kernel,
            self.threads,
            self.read_bandwidth / 1e9
        )?;
        write!(
            f,
            "\n{:14} {:6} {:>9} {:>12}",
            "shape", "format", "weights", "prefill(512)"
        )?;
        for speed in self.models.first().map_or(&[][..], |m| &m.decode) {
            write!(f, " {:>10}", format!("decode x{}", speed.sequences))?;
        }
        writeln!(f, " {:>13}", "of bandwidth")?;
        for model in &self.models {
            write!(
                f,
                "{:14} {:6} {:>6.0} MB {:>12.1}",
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
        for model in &self.models {
            write!(f, "\n{} {}", model.shape, model.format)?;
            if let Some(resident) = model.resident_bytes {
                let needed = (model.weight_bytes + model.cache_bytes) as f64;
                let times = resident as f64 / needed;
                write!(f, ": {times:.2} x weights and KV resident")?;
            }
            if let Some(replay) = model.replay {
                let share = replay.replay_seconds / replay.generate_seconds;
                let (tokens, percent) = (replay.tokens, 100.0 * share);
                write!(
                    f,
                    "; replay of {tokens} tokens takes {percent:.0} % of generating"
                )?;
            }
        }
        write!(f, "\n\nTokens a second; decode: of all sequences together.")
    }
}
