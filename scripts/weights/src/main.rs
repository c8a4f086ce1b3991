//! Measures what the runtime charges for, on this machine: the market's calls, and reads and writes
//! of storage. And fills blocks with the dearest calls, to see that they fit.
//!
//! For calls it does what `frame-omni-bencher v1 benchmark pallet` does, with the same benchmark
//! API, the same in-memory database that counts reads and writes, and the same regression
//! (`frame_benchmarking::Analysis`). Upstream's command line brings some 160 more crates, the
//! parachain client among them, and the bencher RocksDB too. See `scripts/weights.sh` and
//! `docs/weights.md`.

mod block;
mod measure;
mod parts;
mod render;
mod stage;
mod storage;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use parts::Parts;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Measure what the runtime charges for.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Measure a pallet's benchmarks and write its weights.
    Calls(Calls),
    /// Measure reads and writes of the node's database and write their weight.
    Storage(StorageOptions),
    /// Fill blocks with the dearest calls and see whether they fit.
    Blocks(Blocks),
}

#[derive(Args)]
struct Calls {
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
    /// Folder in which measured functions are kept; those that are there already are not measured
    /// again.
    #[arg(long)]
    parts: Option<PathBuf>,
    /// Begin no function after so many seconds. Another run with the same `--parts` goes on.
    #[arg(long, requires = "parts")]
    seconds: Option<u64>,
    /// File to write when all functions have been measured.
    #[arg(long)]
    output: PathBuf,
}

#[derive(Args)]
struct StorageOptions {
    /// Folder on the disk to measure; a database is made in it and removed.
    #[arg(long)]
    base: PathBuf,
    /// How many entries the database has.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    entries: u64,
    /// File to write.
    #[arg(long)]
    output: PathBuf,
}

#[derive(Args)]
struct Blocks {
    /// Runtime as nodes run it (wasm).
    #[arg(long)]
    runtime: PathBuf,
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Calls(options) => calls(&options),
        What::Storage(options) => {
            let figures = storage::measure(&options.base, options.entries)?;
            eprintln!("read {} ns, write {} ns", figures.read, figures.write);
            write(&options.output, &render::storage(&figures, options.entries))
        }
        What::Blocks(options) => block::measure(&read(&options.runtime)?),
    }
}

fn calls(options: &Calls) -> Result<()> {
    let wasm = read(&options.runtime)?;
    let benchmarks = measure::Benchmarks::open(&wasm, &options.preset, &options.pallet)?;
    let began = Instant::now();
    let limit = options.seconds.map(Duration::from_secs);
    let mut parts = Parts::open(options.parts.as_deref())?;
    let names = benchmarks.names();
    for (index, name) in names.iter().enumerate() {
        if parts.has(name) {
            continue;
        }
        if limit.is_some_and(|limit| began.elapsed() > limit) {
            eprintln!(
                "{} functions are left: run again",
                names.len() - parts.len()
            );
            return Ok(());
        }
        eprintln!("[{}/{}] {name}", index + 1, names.len());
        let function = benchmarks.measure(name, options.steps, options.repeat)?;
        parts.put(name, render::function(&function)?)?;
    }
    let source = render::file(&options.pallet, parts.all(), options.steps, options.repeat);
    write(&options.output, &source)
}

fn read(runtime: &Path) -> Result<Vec<u8>> {
    fs::read(runtime).with_context(|| {
        format!(
            "cannot read {}: build the runtime with scripts/weights.sh",
            runtime.display()
        )
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("written: {}", path.display());
    Ok(())
}
