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
    /// Tokens a second of a prompt of [`super::PREFILL`] tokens.
    pub prefill_tokens_per_second: f64,
    /// Tokens a second of all sequences together, by the number of sequences.
    pub decode: Vec<BatchSpeed>,
    /// Weights read a second while one sequence is decoded, as a share of the read bandwidth.
    pub share_of_bandwidth: Option<f64>,
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
        write!(f, "\nTokens a second; decode: of all sequences together.")
    }
}
