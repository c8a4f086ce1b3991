//! The worker's binary: reads the arguments, runs the command, explains errors.

use clap::Parser;
use genesisflow_worker::{
    cli::{Cli, Command, CommonArgs},
    commands,
    config::Settings,
    error::{Error, Kind, Result},
};
use std::{io::IsTerminal, process::ExitCode};
use tracing_subscriber::EnvFilter;

/// What the daemon says by default: its own doings, and others' worries.
const QUIET_INFO: &str = "warn,genesisflow_worker=info,genesisflow_engine=info";

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn start(cli: Cli) -> Result<()> {
    let settings = Settings::resolve(&cli.common)?;
    let is_daemon = matches!(cli.command, Command::Run(_));
    let default = if is_daemon { QUIET_INFO } else { "warn" };
    log_to_stderr(
        &cli.common,
        settings.log.as_deref().unwrap_or(default),
        is_daemon,
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Internal, "cannot start").because(error))?;
    let result = runtime.block_on(commands::run(cli, settings));
    // Does not wait for a job that the engine is still computing: it is given
    // up, and the journal knows it.
    runtime.shutdown_background();
    result
}

/// Logs go to stderr, so that stdout holds a command's answer alone.
fn log_to_stderr(args: &CommonArgs, filter: &str, is_daemon: bool) -> Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Error::new(Kind::Usage, format!("`{filter}` is no log filter"))
            .because(error)
            .fix("use error, warn, info, debug or trace, or module=level pairs with commas between")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    if args.log_json {
        log.json().init();
    } else if is_daemon {
        log.init();
    } else {
        log.without_time().init();
    }
    Ok(())
}
