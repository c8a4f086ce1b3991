//! The commands, one file each, and what they have in common.
//!
//! Every command that changes the chain reads it first and changes only what
//! differs, so that each can be repeated at will; but for `bond` and `unbond`,
//! which add up.

mod bench;
mod completions;
mod doctor;
mod init;
mod jobs;
mod model;
mod offer;
mod proxy;
mod register;
mod replay;
mod run;
mod stake;
mod status;

use crate::{
    chain::Chain,
    cli::{Cli, Command},
    config::Settings,
    error::{Error, Kind, Result},
    key::{no_key, Key},
};

/// Runs the command that was typed.
///
/// # Errors
/// Whatever keeps the command from doing what it says.
pub async fn run(cli: Cli, settings: Settings) -> Result<()> {
    match cli.command {
        Command::Init(args) => init::run(&settings, &args),
        Command::Register(args) => register::run(&settings, &args).await,
        Command::Bond(args) => stake::bond(&settings, &args).await,
        Command::Unbond(args) => stake::unbond(&settings, &args).await,
        Command::Withdraw => stake::withdraw(&settings).await,
        Command::Proxy(args) => proxy::run(&settings, &args).await,
        Command::Chill => stake::chill(&settings).await,
        Command::Model(command) => model::run(&settings, &command).await,
        Command::Offer(args) => offer::run(&settings, &args).await,
        Command::Run(args) => run::run(settings.with_run_args(&args)).await,
        Command::Status(args) => status::run(&settings, &args).await,
        Command::Jobs(args) => jobs::run(&settings, &args).await,
        Command::Doctor(args) => doctor::run(&settings, &args).await,
        Command::Replay(args) => replay::run(&settings, &args).await,
        Command::Bench(args) => bench::run(&settings, &args).await,
        Command::Completions(args) => {
            completions::run(&args);
            Ok(())
        }
    }
}

/// The key that the settings name.
fn key(settings: &Settings) -> Result<Key> {
    let key = Key::load(settings.key.as_ref().ok_or_else(no_key)?)?;
    match &settings.proxy_for {
        None => Ok(key),
        Some(real) => Ok(key.as_proxy_of(account(real, "--proxy-for")?)),
    }
}

/// Reads an account as wallets show it.
fn account(text: &str, given: &str) -> Result<[u8; 32]> {
    let read = text.parse::<subxt::utils::AccountId32>();
    let account = read.map_err(|error| {
        Error::new(Kind::Usage, format!("`{text}` is no account"))
            .because(error)
            .fix(format!(
                "give {given} an address as wallets and `status` show it"
            ))
    })?;
    Ok(account.0)
}

/// The chain and key that the settings name.
async fn connect(settings: &Settings) -> Result<Chain> {
    Chain::connect(&settings.url, key(settings)?).await
}

/// An account as wallets show it.
fn address(account: [u8; 32]) -> String {
    subxt::utils::AccountId32(account).to_string()
}
