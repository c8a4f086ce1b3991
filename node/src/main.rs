//! The GenesisFlow node: produces blocks with BABE, finalises them with GRANDPA,
//! and runs the inference marketplace.

// The errors are the client library's; boxing them here would only hide its type.
#![allow(clippy::result_large_err)]

mod chain_spec;
mod cli;
mod command;
mod finality_proof;
mod rpc;
mod service;

fn main() -> sc_cli::Result<()> {
    command::run()
}
