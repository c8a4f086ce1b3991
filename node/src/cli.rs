//! Arguments of the command line.

use sc_cli::{
    ChainInfoCmd, CheckBlockCmd, ExportBlocksCmd, ExportChainSpecCmd, ExportStateCmd,
    ImportBlocksCmd, KeySubcommand, PurgeChainCmd, RevertCmd, RunCmd, SignCmd, VanityCmd,
    VerifyCmd,
};

/// The whole command line: a subcommand, or else the options of a running node.
#[derive(Debug, clap::Parser)]
pub struct Cli {
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,

    /// Options of a running node.
    #[clap(flatten)]
    pub run: RunCmd,
}

/// What the binary can do besides running a node.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Make, inspect and insert keys.
    #[command(subcommand)]
    Key(KeySubcommand),

    /// Sign a message with a given secret key.
    Sign(SignCmd),

    /// Verify a signature of a message with a given public key.
    Verify(VerifyCmd),

    /// Find a key whose address contains a pattern.
    Vanity(VanityCmd),

    /// Work with chain specifications.
    #[command(subcommand)]
    ChainSpec(ChainSpecCmd),

    /// Check blocks again.
    CheckBlock(CheckBlockCmd),

    /// Export blocks.
    ExportBlocks(ExportBlocksCmd),

    /// Export the state of a block as a chain specification.
    ExportState(ExportStateCmd),

    /// Import blocks.
    ImportBlocks(ImportBlocksCmd),

    /// Remove the whole chain of this node.
    PurgeChain(PurgeChainCmd),

    /// Take the chain back by some blocks.
    Revert(RevertCmd),

    /// Show facts about the database.
    ChainInfo(ChainInfoCmd),
}

/// Subcommands of `chain-spec`.
#[derive(Debug, clap::Subcommand)]
pub enum ChainSpecCmd {
    /// Write a chain specification as JSON: `--chain dev`, `--chain local` or a
    /// file; `--raw` for the form that every node of a network must share.
    Export(ExportChainSpecCmd),
}
