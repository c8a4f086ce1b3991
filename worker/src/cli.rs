//! The command line: what can be typed, and the help that explains it.
//!
//! Values that also make sense in the configuration file are optional here;
//! [`crate::config::Settings`] decides between flag, environment and file.

use crate::amount::Amount;
use clap::{Args, Parser, Subcommand};
use std::{net::SocketAddr, path::PathBuf};

/// Serve AI models on a GenesisFlow chain and be paid for it.
///
/// A worker stakes GEN, offers models at its own prices, claims the jobs that
/// it can serve, runs them and delivers the results. The usual order is
/// `init`, `register`, `model register`, `offer`, `run`; `status` shows where
/// you are, and `doctor` what is missing.
#[derive(Debug, Parser)]
#[command(name = "genesisflow-worker", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What every command needs: the chain, the key, the data directory.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 unexpected; 2 wrong arguments or configuration; 3 key; \
4 chain unreachable; 5 another chain than the journal's; 6 runtime does not match this worker; \
7 stake or balance; 8 model or offer; 9 journal or disk; 10 transaction refused; \
11 the replayed result is wrong; 12 the job is not there to be replayed.

Every setting is taken from its flag, else from the environment, else from the configuration \
file, else from its default.";

/// Settings that every command understands.
#[derive(Args, Clone, Debug, Default)]
pub struct CommonArgs {
    /// WebSocket address of a GenesisFlow node, or several with commas between:
    /// the first that answers is used, and another when it falls silent
    /// [default: ws://127.0.0.1:9944]
    #[arg(long, global = true, env = "GENESISFLOW_URL", value_name = "URL")]
    pub url: Option<String>,

    /// File with your secret: a mnemonic, a 0x seed, or either with a path
    /// such as //worker. Only you may be able to read it (chmod 600). The
    /// secret itself may stand in the environment variable GENESISFLOW_KEY
    #[arg(long, global = true, env = "GENESISFLOW_KEY_FILE", value_name = "PATH")]
    pub key_file: Option<PathBuf>,

    /// A publicly known key such as //Bob. Development and local chains only
    #[arg(
        long,
        global = true,
        value_name = "//NAME",
        conflicts_with = "key_file"
    )]
    pub dev_key: Option<String>,

    /// Where the journal and the list of models live
    /// [default: ~/.local/share/genesisflow-worker]
    #[arg(long, global = true, env = "GENESISFLOW_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Configuration file (TOML) [default: worker.toml in the data directory,
    /// if it exists]
    #[arg(long, global = true, env = "GENESISFLOW_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How much to log: error, warn, info, debug or trace, or a filter such
    /// as `info,genesisflow_worker::chain=debug` [default: info for `run`,
    /// warn otherwise]
    #[arg(long, global = true, env = "GENESISFLOW_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// Write logs as JSON, one object a line
    #[arg(long, global = true)]
    pub log_json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented configuration file and a new key
    ///
    /// Nothing that is there is overwritten.
    Init(InitArgs),
    /// Become a worker: put up a stake, or raise it, and activate
    ///
    /// Safe to repeat: what is already so is left alone.
    Register(RegisterArgs),
    /// Add to the stake
    Bond(AmountArgs),
    /// Begin to take stake out
    ///
    /// It answers for jobs and ballots until it can be withdrawn, weeks later
    /// on a real chain. Taking out everything leaves the market.
    Unbond(AmountArgs),
    /// Get back the stake that has finished unbonding
    Withdraw,
    /// Take a break: no new jobs, and no new seats in audits
    ///
    /// What is claimed or drawn already is still due: keep `run` going until
    /// it is over. `register` with the same stake ends the break.
    Chill,
    /// Describe a model folder, and register it on the chain
    #[command(subcommand)]
    Model(ModelCommand),
    /// Offer a model at your prices, or change or withdraw the offer
    Offer(OfferArgs),
    /// Claim, run and deliver jobs until stopped, and audit others' results
    ///
    /// Whoever offers a model is drawn now and then to check a result of
    /// another worker on it. `run` does that by itself, before it takes new
    /// jobs: it replays the job, commits to its ballot, and reveals it when all
    /// have committed. Seats are paid; a seat left silent, or a ballot that is
    /// not revealed, is fined, so keep the worker running, with every model
    /// that it offers. Should auditors find a result of this worker wrong, or
    /// outvote it, it replays the job once more and appeals if it was right.
    Run(RunArgs),
    /// Show the chain, the account, its stake, offers and jobs, and the journal
    Status(StatusArgs),
    /// List the jobs under way, as worker and as auditor
    Jobs(JobsArgs),
    /// Check everything that `run` needs, and say what to do
    ///
    /// Key, chain, clock, stake, models and their files, offers, journal. The
    /// exit code is that of the first problem.
    Doctor(DoctorArgs),
    /// Check the result of any job by replaying it, and say what is wrong
    ///
    /// Needs the model's files and no key, no stake and no registration. A
    /// result can be checked until its job is final. Exit code 0: the result
    /// is right; 11: it is wrong.
    Replay(ReplayArgs),
}

/// Arguments of `register`.
#[derive(Args, Debug)]
pub struct RegisterArgs {
    /// Stake to have in total, in GEN. More is added if there is less; the
    /// stake is never lowered by this command
    #[arg(long, value_name = "GEN")]
    pub stake: Amount,
    /// Public address of this worker, shown on the chain (may be empty)
    #[arg(long, value_name = "URI")]
    pub endpoint: Option<String>,
}

/// Arguments of `init`.
#[derive(Args, Clone, Debug, Default)]
pub struct InitArgs {
    /// Make no key: you have one already, or use the environment
    #[arg(long)]
    pub no_key: bool,
}

/// Arguments of `bond` and `unbond`.
#[derive(Args, Clone, Debug)]
pub struct AmountArgs {
    /// How much, in GEN
    #[arg(value_name = "GEN")]
    pub amount: Amount,
}

/// Arguments of `jobs`.
#[derive(Args, Clone, Debug)]
pub struct JobsArgs {
    /// Also those that are over, as far as the journal keeps them
    #[arg(long)]
    pub all: bool,
    /// At most so many, the newest first
    #[arg(long, value_name = "JOBS", default_value_t = 50)]
    pub limit: usize,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `doctor`.
#[derive(Args, Clone, Debug, Default)]
pub struct DoctorArgs {
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// The commands on models.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Print the id that a model folder has on every chain
    Id(ModelArgs),
    /// Print the manifest of a folder: files, hashes, limits, terms
    Show(ModelArgs),
    /// Register the model on the chain, if it is not there yet
    Register(ModelArgs),
}

/// A model folder and what may be said about it instead of its manifest.toml.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelArgs {
    /// Folder with config.json, model.safetensors and tokenizer.json, as on
    /// Hugging Face, and a manifest.toml for limits and terms
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Name shown to requesters
    #[arg(long)]
    pub name: Option<String>,
    /// Largest number of tokens of prompt and output together
    #[arg(long, value_name = "TOKENS")]
    pub context: Option<u32>,
    /// Largest number of output tokens of a job
    #[arg(long, value_name = "TOKENS")]
    pub max_output: Option<u32>,
    /// Tokens that prompt formatting may add to one token per input byte
    #[arg(long, value_name = "TOKENS")]
    pub prompt_overhead: Option<u32>,
    /// Lowest price per input token that an offer may ask, in GEN
    #[arg(long, value_name = "GEN")]
    pub min_price_input: Option<Amount>,
    /// Lowest price per output token that an offer may ask, in GEN
    #[arg(long, value_name = "GEN")]
    pub min_price_output: Option<Amount>,
    /// Lowest fee of a job, in GEN
    #[arg(long, value_name = "GEN")]
    pub min_fee: Option<Amount>,
    /// Tokens a second that an auditor must be able to replay
    #[arg(long, value_name = "TOKENS")]
    pub replay_rate: Option<u32>,
    /// Pay of one audit seat in percent of the fee, 10 to 100
    #[arg(long, value_name = "PERCENT")]
    pub seat_pay: Option<u8>,
}

/// Arguments of `offer`.
#[derive(Args, Debug)]
pub struct OfferArgs {
    /// The model: its folder, or the 0x id of a model registered before
    #[arg(long, value_name = "DIR|ID")]
    pub model: String,
    /// Your price per input token, in GEN
    #[arg(long, value_name = "GEN", required_unless_present = "remove")]
    pub price_input: Option<Amount>,
    /// Your price per output token, in GEN
    #[arg(long, value_name = "GEN", required_unless_present = "remove")]
    pub price_output: Option<Amount>,
    /// How many jobs of this model you take at the same time
    #[arg(long, value_name = "JOBS", default_value_t = 1)]
    pub capacity: u32,
    /// Withdraw the offer instead; jobs already claimed are still delivered
    #[arg(long, conflicts_with_all = ["price_input", "price_output", "capacity"])]
    pub remove: bool,
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArgs {
    /// A model folder to serve; may be given several times. Without it, the
    /// folders of the configuration file, else all that were offered from
    /// this data directory
    #[arg(long = "model", value_name = "DIR")]
    pub models: Vec<PathBuf>,
    /// Seconds that a stop waits for the job in hand [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub shutdown_grace: Option<u64>,
    /// Never appeal against a verdict, whatever a second replay says
    #[arg(long)]
    pub no_appeal: bool,
    /// Largest bond that an appeal may take; it returns if the appeal succeeds
    /// [default: no limit but the account's free balance]
    #[arg(long, value_name = "GEN")]
    pub appeal_bond_limit: Option<Amount>,
    /// Answer /metrics (Prometheus), /health and /ready at this address, such
    /// as 127.0.0.1:9616 [default: nowhere]
    #[arg(long, env = "GENESISFLOW_METRICS", value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
}

/// Arguments of `replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Number of the job
    #[arg(value_name = "JOB")]
    pub job: u64,
    /// Folder of the job's model [default: the one known to this data
    /// directory]
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Args, Clone, Debug, Default)]
pub struct StatusArgs {
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_offer_needs_prices_unless_it_is_withdrawn() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("w offer --model m --price-input 0.1 --price-output 0.2").is_ok());
        assert!(parse("w offer --model m --remove").is_ok());
        assert!(parse("w offer --model m --price-input 0.1").is_err());
        assert!(parse("w offer --model m --remove --price-input 0.1").is_err());
    }

    #[test]
    fn a_key_file_and_a_development_key_exclude_each_other() {
        let line = ["w", "--key-file", "k", "--dev-key", "//Bob", "status"];
        assert!(Cli::try_parse_from(line).is_err());
    }
}
