//! The GenesisFlow node: produces blocks with BABE, finalises them with GRANDPA,
//! and runs the inference marketplace.

mod chain_spec;
mod cli;
mod command;
mod finality_proof;
mod rpc;
mod service;

fn main() -> sc_cli::Result<()> {
    command::run()
}
