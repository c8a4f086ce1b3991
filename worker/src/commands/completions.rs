//! `completions`: what a shell needs to complete this command line.

use crate::cli::{Cli, CompletionsArgs};
use clap::CommandFactory;
use std::io::Write;

/// Runs `completions`.
pub fn run(args: &CompletionsArgs) {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    // A reader that has seen enough is no error.
    let _ = std::io::stdout().write_all(&script);
}
