//! `doctor`: checks everything that `run` needs, and says what to do.

mod devices;

use super::{address, key};
use crate::{
    amount::Amount,
    chain::{Chain, ChainView},
    cli::DoctorArgs,
    config::Settings,
    error::{Error, Kind, Result},
    journal::Journal,
    market::{Market, View},
    model_files::check_files,
    model_store::{shown, ModelStore},
};
use genesisflow_primitives::{ModelId, ModelManifest};
use serde_json::json;
use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A finalised block older than this means a node that is not in sync, or a
/// clock that is ahead.
const OLDEST_HEAD: Duration = Duration::from_secs(60);
/// A block from the future by more than this means that the clock is behind.
const MOST_AHEAD: Duration = Duration::from_secs(10);
/// Free balance below which transaction fees may soon not be covered.
const LITTLE: u128 = crate::amount::GEN / 10;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// `run` works, but something should be looked at.
    Doubtful,
    /// `run` would not work, or would lose money.
    Bad(Kind),
}

struct Check {
    name: &'static str,
    verdict: Verdict,
    says: String,
}

/// What was found, in the order in which a new operator meets it.
#[derive(Default)]
struct Examination(Vec<Check>);

impl Examination {
    fn good(&mut self, name: &'static str, says: impl Into<String>) {
        self.add(name, Verdict::Good, says.into());
    }

    fn doubtful(&mut self, name: &'static str, says: impl Into<String>) {
        self.add(name, Verdict::Doubtful, says.into());
    }

    fn bad(&mut self, name: &'static str, error: &Error) {
        self.add(name, Verdict::Bad(error.kind()), error.to_string());
    }

    fn add(&mut self, name: &'static str, verdict: Verdict, says: String) {
        self.0.push(Check {
            name,
            verdict,
            says,
        });
    }

    fn worst(&self) -> Option<Kind> {
        self.0.iter().find_map(|check| match check.verdict {
            Verdict::Bad(kind) => Some(kind),
            Verdict::Good | Verdict::Doubtful => None,
        })
    }

    fn print(&self, as_json: bool) {
        let word = |verdict| match verdict {
            Verdict::Good => "ok",
            Verdict::Doubtful => "warning",
            Verdict::Bad(_) => "PROBLEM",
        };
        if as_json {
            let checks = self.0.iter().map(|check| {
                json!({ "check": check.name, "result": word(check.verdict), "says": check.says })
            });
            println!("{:#}", json!(checks.collect::<Vec<_>>()));
            return;
        }
        for check in &self.0 {
            println!(
                "{:<8} {:<9} {}",
                word(check.verdict),
                check.name,
                check.says
            );
        }
    }
}

/// Runs `doctor`.
pub async fn run(settings: &Settings, args: &DoctorArgs) -> Result<()> {
    let mut found = Examination::default();
    data_directory(settings, &mut found);
    devices::examine(&settings.device, &mut found).await;
    match connect(settings, &mut found).await {
        Ok(Some((chain, view))) => {
            if let Err(error) = clock(&chain, &view, &mut found).await {
                found.bad("clock", &error);
            }
            if let Err(error) = account(&chain, &view, &mut found).await {
                found.bad("account", &error);
            }
            if let Err(error) = models(settings, &chain, &view, &mut found).await {
                found.bad("models", &error);
            }
        }
        Ok(None) => {}
        Err(error) => found.bad("chain", &error),
    }
    found.print(args.json);
    match found.worst() {
        None => Ok(()),
        Some(kind) => Err(Error::new(kind, "`run` would not work as it stands")
            .fix("put right what is called a PROBLEM above, from the top")),
    }
}

/// Whether the data directory can be written, and who has the journal.
fn data_directory(settings: &Settings, found: &mut Examination) {
    let dir = &settings.data_dir;
    let probe = dir.join(".doctor");
    let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&probe, [0; 4096]));
    // It need not be there.
    let _ = std::fs::remove_file(&probe);
    if let Err(error) = written {
        let error = Error::new(Kind::Journal, format!("cannot write in {}", dir.display()))
            .because(error)
            .fix("pass --data-dir a directory with free space that you can write to");
        return found.bad("data", &error);
    }
    found.good("data", dir.display().to_string());
    match Journal::open_existing(dir) {
        Ok(None) => found.good("journal", "none yet; `run` makes one"),
        Ok(Some(journal)) => match (journal.unfinished(), journal.open_cases()) {
            (Ok(jobs), Ok(cases)) => found.good(
                "journal",
                format!("{} job(s) in hand, {} watched", jobs.len(), cases.len()),
            ),
            (Err(error), _) | (_, Err(error)) => found.bad("journal", &error),
        },
        // A running worker holds it.
        Err(error) => {
            let first = error.to_string();
            found.doubtful("journal", first.lines().next().unwrap_or_default());
        }
    }
}

/// The chain, with the key; none if there is no usable key.
async fn connect(
    settings: &Settings,
    found: &mut Examination,
) -> Result<Option<(Chain, ChainView)>> {
    let key = match key(settings) {
        Ok(key) => key,
        Err(error) => {
            found.bad("key", &error);
            // Whether the chain is there is worth knowing all the same.
            let (client, view) = crate::chain::read_only(&settings.url).await?;
            found.good("chain", chain_line(&client.chain_name().await?, &view));
            return Ok(None);
        }
    };
    found.good("key", address(key.account()));
    let chain = Chain::connect(&settings.url, key).await?;
    let view = chain.view().await?;
    let name = chain.client().chain_name().await?;
    found.good("chain", chain_line(&name, &view));
    Ok(Some((chain, view)))
}

fn chain_line(name: &str, view: &ChainView) -> String {
    format!(
        "{name}, spec version {}, block {} finalised; its interface is the one of this worker",
        view.at().spec_version(),
        view.head().number
    )
}

/// The machine's clock against the chain's.
async fn clock(chain: &Chain, view: &ChainView, found: &mut Examination) -> Result<()> {
    let block = view.timestamp().await.map_err(|e| chain.give_up(e))?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    match judge_clock(now, block) {
        Ok(says) => found.good("clock", says),
        Err(says) => found.doubtful("clock", says),
    }
    Ok(())
}

fn judge_clock(now: Duration, block: Duration) -> std::result::Result<String, String> {
    let age = now.saturating_sub(block);
    if block.saturating_sub(now) > MOST_AHEAD {
        return Err(format!(
            "the finalised block is {} s in the future: set this machine's clock",
            block.saturating_sub(now).as_secs()
        ));
    }
    if age > OLDEST_HEAD {
        return Err(format!(
            "the finalised block is {} s old: the node is not in sync, finality has stopped, or this machine's clock is ahead",
            age.as_secs()
        ));
    }
    Ok(format!("the finalised block is {} s old", age.as_secs()))
}

/// Stake and money.
async fn account(chain: &Chain, view: &ChainView, found: &mut Examination) -> Result<()> {
    let free = view.free_balance().await.map_err(|e| chain.give_up(e))?;
    if free < LITTLE {
        found.doubtful(
            "balance",
            format!(
                "{} free: send some GEN for transaction fees to {}",
                Amount(free),
                address(chain.account())
            ),
        );
    } else {
        found.good("balance", format!("{} free", Amount(free)));
    }
    if chain.signer() != chain.account() {
        let fees = view.signer_balance().await.map_err(|e| chain.give_up(e))?;
        let says = format!(
            "{} signs, and has {} for transaction fees",
            address(chain.signer()),
            Amount(fees)
        );
        if fees < LITTLE {
            found.doubtful("proxy", format!("{says}: send it some GEN"));
        } else {
            found.good("proxy", says);
        }
    }
    let Some(worker) = view.worker().await.map_err(|e| chain.give_up(e))? else {
        let error = Error::new(Kind::Account, "this account has no stake")
            .fix("run `genesisflow-worker register --stake GEN`");
        found.bad("stake", &error);
        return Ok(());
    };
    let stake = format!(
        "{}, of which {} are free for new jobs",
        Amount(worker.stake),
        Amount(worker.free_stake)
    );
    if worker.chilled {
        let says = format!("{stake}; chilled: `register` with the same stake activates it");
        found.doubtful("stake", says);
    } else if worker.free_stake == 0 {
        found.doubtful("stake", format!("{stake}: add some with `bond GEN`"));
    } else {
        found.good("stake", stake);
    }
    if worker.open_audits > 0 {
        found.doubtful(
            "audits",
            format!(
                "{} seat(s) wait for this worker: keep `run` going, silence is fined",
                worker.open_audits
            ),
        );
    }
    Ok(())
}

/// The models of the data directory: files, registration, offer.
async fn models(
    settings: &Settings,
    chain: &Chain,
    view: &ChainView,
    found: &mut Examination,
) -> Result<()> {
    let store = ModelStore::open(&settings.data_dir)?;
    let all: Vec<(ModelId, PathBuf)> = store.all().map(|(id, dir)| (id, dir.to_owned())).collect();
    if all.is_empty() && settings.models.is_empty() {
        let error = Error::new(Kind::Model, "there is no model to serve").fix(
            "run `genesisflow-worker model register DIR` and `genesisflow-worker offer --model DIR …`",
        );
        found.bad("model", &error);
    }
    for (id, dir) in all {
        match model(chain, view, id, &dir).await {
            Ok((says, true)) => found.good("model", says),
            Ok((says, false)) => found.doubtful("model", says),
            Err(error) => found.bad("model", &error),
        }
    }
    Ok(())
}

/// What is to be said of a model, and whether all is well with it.
async fn model(
    chain: &Chain,
    view: &ChainView,
    id: ModelId,
    dir: &std::path::Path,
) -> Result<(String, bool)> {
    let give_up = |error| chain.give_up(error);
    let manifest: ModelManifest =
        super::run::manifest_on_chain(chain.client(), view, id, dir).await?;
    let folder = dir.to_owned();
    tokio::task::spawn_blocking(move || check_files(&folder, &manifest))
        .await
        .map_err(|error| {
            Error::new(Kind::Internal, "checking the files ended unexpectedly").because(error)
        })??;
    let name = format!("{} in {}", shown(id), dir.display());
    let registered = view.model(id).await.map_err(give_up)?;
    if registered.is_some_and(|model| model.retired) {
        return Ok((format!("{name}: retired, it takes no new jobs"), false));
    }
    Ok(match view.offer(id).await.map_err(give_up)? {
        None => (
            format!(
                "{name}: its files are right, but this account does not offer it: run `offer --model {}`",
                dir.display()
            ),
            false,
        ),
        Some(offer) => (
            format!(
                "{name}: its files are right; offered at {} per input and {} per output token",
                Amount(offer.prices.input),
                Amount(offer.prices.output)
            ),
            true,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_and_a_node_behind_are_told_apart() {
        let at = Duration::from_secs;
        assert!(judge_clock(at(1_000), at(994)).unwrap().contains("6 s old"));
        assert!(judge_clock(at(1_000), at(1_009)).is_ok());
        assert!(judge_clock(at(1_000), at(1_011))
            .unwrap_err()
            .contains("in the future"));
        assert!(judge_clock(at(1_000), at(900))
            .unwrap_err()
            .contains("not in sync"));
    }

    #[test]
    fn the_first_problem_decides_the_exit_code() {
        let mut found = Examination::default();
        found.good("a", "");
        found.doubtful("b", "");
        assert_eq!(found.worst(), None);
        found.bad("c", &Error::new(Kind::Account, "x"));
        found.bad("d", &Error::new(Kind::Model, "y"));
        assert_eq!(found.worst(), Some(Kind::Account));
    }
}
