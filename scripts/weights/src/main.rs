//! `frame-omni-bencher v1 benchmark pallet`, without the parts that a solo chain
//! has no use for (RocksDB, parachain host functions): see upstream's
//! `frame-omni-bencher` for the options.

use clap::Parser;
use frame_benchmarking_cli::PalletCmd;
use sp_runtime::traits::BlakeTwo256;

fn main() -> sc_cli::Result<()> {
    sc_cli::LoggerBuilder::new("info").init()?;
    PalletCmd::parse().run_with_spec::<BlakeTwo256, ()>(None)
}
