//! Measures how many calls of the market a development node takes, against plain transfers in the
//! same run. See `docs/throughput.md`.

mod calls;
mod drive;
mod market;
mod measure;
mod node;
mod queue;
mod report;
mod rpc;
mod run;
mod sign;
mod storage;
mod usage;

use anyhow::{bail, Result};
use clap::Parser;
use std::path::PathBuf;

/// Measures a development node: whole job lives and plain transfers, in turns.
///
/// It starts a node of its own on free ports of this machine, and leaves nothing behind.
#[derive(Parser, Debug)]
#[command(version)]
pub struct Options {
    /// The node's binary; if left out, $GENESISFLOW_NODE or the one beside this program.
    #[arg(long)]
    node: Option<PathBuf>,
    /// A runtime's WebAssembly to measure in place of the one that the node carries.
    #[arg(long)]
    runtime: Option<PathBuf>,
    /// Seconds during which transactions are sent: a third of them transfers.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// How often transfers and market take turns.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Accounts that submit jobs. As many make the transfers.
    #[arg(long, default_value_t = 4096)]
    accounts: usize,
    /// Workers, each with a model of its own.
    #[arg(long, default_value_t = 32)]
    workers: usize,
    /// Blocks between setting up and the first jobs: workers become auditors only after two pool
    /// periods, and until then every submission looks for them.
    #[arg(long, default_value_t = 22)]
    wait_blocks: u32,
    /// Connections to the node for transactions.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Transactions in one request.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Most calls of the market that are sent and in no block yet. With many more, calls wait for so
    /// long that jobs come in bursts.
    #[arg(long, default_value_t = 3000)]
    in_flight: usize,
    /// Most transfers that are sent and in no block yet.
    #[arg(long, default_value_t = 4000)]
    transfers_in_flight: usize,
    /// Calls per second for which transactions are signed beforehand.
    #[arg(long, default_value_t = 2500)]
    sign_for: usize,
    /// Blocks for which a result can be looked at.
    #[arg(long, default_value_t = 8)]
    review_window: u32,
    /// Blocks for which a final job's record is kept.
    #[arg(long, default_value_t = 10)]
    retention: u32,
    /// Fail if the market's calls per second are below this share of the transfers'.
    #[arg(long)]
    least_ratio: Option<f64>,
    /// Further arguments of the node.
    #[arg(last = true)]
    node_arguments: Vec<String>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    for (name, value) in [
        ("--seconds", options.seconds as usize),
        ("--rounds", options.rounds as usize),
        ("--workers", options.workers),
        ("--connections", options.connections),
        ("--batch", options.batch),
        ("--in-flight", options.in_flight),
        ("--transfers-in-flight", options.transfers_in_flight),
    ] {
        if value == 0 {
            bail!("{name} must be at least 1");
        }
    }
    if options.accounts < 2 {
        bail!("--accounts must be at least 2: one that accepts and one that does not");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            outcome = run::run(&options) => outcome,
            // The node is ended when the other branch is dropped.
            signal = ended() => bail!("stopped by {}", signal?),
        }
    })
}

/// Waits until somebody wants this program to end.
async fn ended() -> Result<&'static str> {
    use tokio::signal::unix::{signal, SignalKind};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    })
}
