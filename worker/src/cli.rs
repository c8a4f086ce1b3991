//! The command line: what can be typed, and the help that explains it.
//!
//! Values that also make sense in the configuration file are optional here;
//! [`crate::config::Settings`] decides between flag, environment and file.

use crate::amount::Amount;
use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};
use genesisflow_engine::devices::DeviceChoice;
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
11 the replayed result is wrong; 12 the job is not there to be replayed; 13 the hub of models.

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

    /// Account that the key acts for, as its proxy: stake, offers and earnings
    /// are that account's, and the key on this machine cannot take the stake out
    #[arg(
        long,
        global = true,
        env = "GENESISFLOW_PROXY_FOR",
        value_name = "ACCOUNT"
    )]
    pub proxy_for: Option<String>,

    /// What models run on: auto (every NVIDIA card that can be used, else the
    /// CPU), cpu, cuda:0, or several cards with commas between [default: auto]
    #[arg(long, global = true, env = "GENESISFLOW_DEVICE", value_name = "DEVICE")]
    pub device: Option<DeviceChoice>,

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
    /// Let another key do the daily work for this account
    ///
    /// It may claim, deliver, audit, appeal, make offers and take breaks, and pay
    /// the transaction fees for that; it cannot take out stake or send money.
    /// Start the worker with that key and --proxy-for ACCOUNT.
    Proxy(ProxyArgs),
    /// Take a break: no new jobs, and no new seats in audits
    ///
    /// What is claimed or drawn already is still due: keep `run` going until
    /// it is over. `register` with the same stake ends the break.
    Chill,
    /// Fetch, check and remove models, and register them on the chain
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
    /// Measure this machine, and what a million tokens cost on it
    ///
    /// Without --model: read bandwidth, and random weights in the shapes of
    /// models that people run. Needs no chain and no key. GENESISFLOW_THREADS and
    /// GENESISFLOW_KERNEL choose what it runs on. Stop a running worker first: it
    /// would slow both down.
    Bench(BenchArgs),
    /// Print completions for a shell
    ///
    /// For bash, in ~/.bashrc: source <(genesisflow-worker completions bash)
    Completions(CompletionsArgs),
}

/// Arguments of `bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// A model of yours to measure, by name or folder; may be given several
    /// times. It is run as `run` would run it
    #[arg(long = "model", value_name = "NAME|DIR")]
    pub models: Vec<String>,
    /// Shapes to measure, with commas between [default: all, or none if there is
    /// a --model]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub shapes: Vec<String>,
    /// Formats of the shapes' weights, with commas between
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "Q8_0,Q4_0"
    )]
    pub formats: Vec<String>,
    /// Numbers of jobs that are run together, with commas between
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "1,4,8,16",
        value_parser = clap::value_parser!(u32).range(1..=256))]
    pub batches: Vec<u32>,
    /// Runs of which the fastest counts
    #[arg(long, value_name = "RUNS", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: u32,
    /// Time a replay against generating, too (shapes only)
    #[arg(long)]
    pub replay: bool,
    /// What an hour of this machine costs you, in any money; prints what a
    /// million tokens cost
    #[arg(long, value_name = "PRICE", value_parser = price)]
    pub hourly_price: Option<f64>,
    /// Part of the time in which the machine has work, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 50,
        value_parser = clap::value_parser!(u8).range(1..=100))]
    pub busy: u8,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// Reads a price above 0.
fn price(text: &str) -> Result<f64, String> {
    let price = text.trim().parse::<f64>().ok();
    price
        .filter(|price| price.is_finite() && *price > 0.0)
        .ok_or_else(|| "write a number above 0, such as 0.80".into())
}

/// Arguments of `completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
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

/// Arguments of `proxy`.
#[derive(Args, Clone, Debug)]
pub struct ProxyArgs {
    /// Account of the key that shall do the daily work
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// Take that right back
    #[arg(long)]
    pub remove: bool,
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
    /// Add a model from a folder or from the Hugging Face hub
    ///
    /// Fetches the files that the engine reads, at one commit, checks every one
    /// and notes its SHA-256. What was interrupted goes on where it stopped when
    /// the same command is run again. A manifest.toml is written to be reviewed
    /// before `model register`. For a model that the hub does not give to
    /// everybody, set HF_TOKEN to an access token.
    Add(ModelAddArgs),
    /// List the models of this data directory, and how much room they take
    List(ModelListArgs),
    /// Hash the files of models again, and name those that have changed
    ///
    /// Exit code 0: all are as they were added or registered; 8: some are not.
    Verify(ModelVerifyArgs),
    /// Delete a model's files and forget it
    ///
    /// Refused as long as this worker offers the model on the chain, or has jobs
    /// or audits of it. Files outside the data directory are left alone.
    Remove(ModelRemoveArgs),
    /// Print the id that a model folder has on every chain
    Id(ModelArgs),
    /// Print the manifest of a folder: files, hashes, limits, terms
    Show(ModelArgs),
    /// Register the model on the chain, if it is not there yet
    Register(ModelArgs),
}

/// Arguments of `model add`.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelAddArgs {
    /// A folder laid out as on Hugging Face, or OWNER/NAME of a model at the hub
    /// (hf:OWNER/NAME if there is a folder of that name, too)
    #[arg(value_name = "DIR|OWNER/NAME")]
    pub source: String,
    /// Commit, branch or tag at the hub. A branch or tag is resolved to its
    /// commit, which is noted [default: main]
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// SHA-256 that a file must have; may be given several times. A file with
    /// another one is not taken
    #[arg(long, value_name = "FILE=HEX")]
    pub sha256: Vec<String>,
    /// Name of the model's folder in the data directory [default: its own name]
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
    /// Leave a folder where it is instead of copying it; it counts for nothing
    /// in the quota, and `model remove` will not delete it
    #[arg(long, conflicts_with = "revision")]
    pub in_place: bool,
    /// Address of the hub [default: https://huggingface.co]
    #[arg(long, env = "GENESISFLOW_HUB", value_name = "URL")]
    pub hub: Option<String>,
    /// How much disk the models of the data directory may take together, such
    /// as "50 GB" [default: no limit but the disk's]
    #[arg(long, env = "GENESISFLOW_DISK_QUOTA", value_name = "SIZE")]
    pub disk_quota: Option<ByteSize>,
}

/// Arguments of `model list`.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelListArgs {
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `model verify`.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelVerifyArgs {
    /// Names, folders or ids of models [default: all]
    #[arg(value_name = "MODEL")]
    pub models: Vec<String>,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `model remove`.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelRemoveArgs {
    /// Name, folder or id of the model
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Do not ask the chain whether this worker still offers it
    #[arg(long)]
    pub force: bool,
}

/// A model folder and what may be said about it instead of its manifest.toml.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelArgs {
    /// Name of a model that was added, or a folder with config.json,
    /// model.safetensors (or its shards) and tokenizer.json, as on Hugging Face,
    /// and a manifest.toml for limits and terms
    #[arg(value_name = "NAME|DIR")]
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
    /// The model: its name in the data directory, its folder, or the 0x id of a
    /// model registered before
    #[arg(long, value_name = "NAME|DIR|ID")]
    pub model: String,
    /// Your price per input token, in GEN
    #[arg(long, value_name = "GEN", required_unless_present = "remove")]
    pub price_input: Option<Amount>,
    /// Your price per output token, in GEN
    #[arg(long, value_name = "GEN", required_unless_present = "remove")]
    pub price_output: Option<Amount>,
    /// How many jobs of this model you take at the same time; the chain allows up to 512
    #[arg(long, value_name = "JOBS", default_value_t = 1)]
    pub capacity: u32,
    /// Withdraw the offer instead; jobs already claimed are still delivered
    #[arg(long, conflicts_with_all = ["price_input", "price_output", "capacity"])]
    pub remove: bool,
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArgs {
    /// A model to serve, by name or folder; may be given several times. Without
    /// it, the folders of the configuration file, else all that were offered
    /// from this data directory
    #[arg(long = "model", value_name = "NAME|DIR")]
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
    fn an_hour_has_a_price_above_nothing() {
        let parse = |price: &str| Cli::try_parse_from(["w", "bench", "--hourly-price", price]);
        assert!(parse("0.80").is_ok());
        for bad in ["0", "-1", "nan", "inf", "much"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
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
