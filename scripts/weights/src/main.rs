//! Measures the benchmarks of a pallet on a compiled runtime and writes the
//! `WeightInfo` that the runtime uses.
//!
//! It does what `frame-omni-bencher v1 benchmark pallet` does, with the same
//! benchmark API, the same in-memory database that counts reads and writes, and
//! the same regression (`frame_benchmarking::Analysis`). Upstream's command line
//! brings some 160 more crates, the parachain client among them, and the bencher
//! RocksDB too. See `scripts/weights.sh`.

mod measure;
mod render;

use anyhow::{Context, Result};
use clap::Parser;
use std::{fs, path::PathBuf};

/// Measure a pallet's benchmarks and write its weights.
#[derive(Parser)]
struct Arguments {
    /// Runtime compiled with the feature `runtime-benchmarks` (wasm).
    #[arg(long)]
    runtime: PathBuf,
    /// Genesis preset to measure on.
    #[arg(long, default_value = "development")]
    preset: String,
    /// Pallet to measure, by the name of its crate.
    #[arg(long, default_value = "pallet_inference")]
    pallet: String,
    /// How many values of each length are measured.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..))]
    steps: u32,
    /// How often each value is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// File to write.
    #[arg(long)]
    output: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wasm = fs::read(&arguments.runtime).with_context(|| {
        format!(
            "cannot read {}: build the runtime with scripts/weights.sh",
            arguments.runtime.display()
        )
    })?;
    let functions = measure::measure(
        &wasm,
        &arguments.preset,
        &arguments.pallet,
        arguments.steps,
        arguments.repeat,
    )?;
    let text = render::render(
        &arguments.pallet,
        &functions,
        arguments.steps,
        arguments.repeat,
    )?;
    fs::write(&arguments.output, text)
        .with_context(|| format!("cannot write {}", arguments.output.display()))?;
    eprintln!(
        "{} functions measured, written to {}",
        functions.len(),
        arguments.output.display()
    );
    Ok(())
}
