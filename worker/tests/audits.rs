//! Four workers on a real chain, one of which cheats: auditors find it out, the
//! requester has everything back, the cheat loses stake, and nobody else does.

mod support;

use genesisflow_primitives::{JobStatus, ModelId};
use genesisflow_worker::{
    amount::GEN,
    key::{Key, KeySource},
    market::AccountId,
    model_store::parse_id,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use support::{
    node::Node,
    requester::Requester,
    worker::{Running, Setup},
};

const CHEAT: &str = "//Bob";
const HONEST: &str = "//Charlie";
const OPERATORS: [&str; 4] = [CHEAT, HONEST, "//Dave", "//Eve"];
const STAKE: u128 = 1_000;
/// Longer than any wait between two states of a job, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn account(name: &str) -> AccountId {
    let key = KeySource::Dev(name.into());
    Key::load(&key).unwrap().account()
}

/// The model that ships with the project, with the least pay of a seat: so the
/// premium covers an audit of every job on probation.
fn model_folder(dir: &Path) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/polyglot-tiny");
    let copy = dir.join("model");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(shipped).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let manifest = copy.join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let pay = text
        .lines()
        .find(|line| line.starts_with("seat-pay"))
        .expect("the manifest says what a seat pays");
    std::fs::write(&manifest, text.replace(pay, "seat-pay = 10")).unwrap();
    copy
}

/// Four operators, each with a data directory of its own.
struct Stage {
    node: Node,
    dir: tempfile::TempDir,
    model: PathBuf,
}

impl Stage {
    async fn set() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            node: Node::start().await,
            model: model_folder(dir.path()),
            dir,
        }
    }

    fn data(&self, operator: &str) -> PathBuf {
        self.dir.path().join(operator.trim_start_matches('/'))
    }

    /// Does something for every operator at the same time.
    fn each<T: Send>(&self, act: impl Fn(&Setup, &str) -> T + Sync) -> Vec<T> {
        std::thread::scope(|threads| {
            let act = &act;
            let started = OPERATORS.map(|operator| {
                threads.spawn(move || {
                    let data = self.data(operator);
                    let setup = Setup {
                        url: &self.node.url,
                        key: operator,
                        data: &data,
                    };
                    act(&setup, operator)
                })
            });
            let ended = started.into_iter().map(|thread| thread.join().unwrap());
            ended.collect()
        })
    }

    fn register(&self) -> ModelId {
        let folder = self.model.to_str().unwrap();
        self.each(|setup, operator| {
            setup.must(&["register", "--stake", &STAKE.to_string()]);
            if operator == CHEAT {
                setup.must(&["model", "register", folder]);
            }
        });
        self.each(|setup, _| {
            let prices = ["--price-input", "0.000002", "--price-output", "0.000003"];
            setup.must(&[&["offer", "--model", folder][..], &prices].concat());
        });
        let ids = self.each(|setup, _| setup.must(&["model", "id", folder]).stdout);
        parse_id(ids[0].trim()).expect("an id")
    }

    fn start(&self) -> Vec<Running> {
        self.each(|setup, operator| {
            let cheat = ("GENESISFLOW_TEST_CHEAT", "alter-token");
            setup.start_in(&[], (operator == CHEAT).then_some(cheat))
        })
    }

    /// Replays a job by hand, without a key: its exit code and all it said.
    fn replay(&self, job: u64) -> (Option<i32>, String) {
        let mut command = std::process::Command::new(support::worker::PROGRAM);
        support::worker::forget_environment(&mut command);
        let ended = command
            .args(["--url", &self.node.url, "--data-dir"])
            .arg(self.data("nobody"))
            .args(["replay", &job.to_string(), "--model"])
            .arg(&self.model)
            .output()
            .unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        (
            ended.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cheat_is_found_rejected_and_slashed_and_nobody_else_loses() {
    let stage = Stage::set().await;
    let model = stage.register();
    let running = stage.start();
    let mut requester = Requester::connect(&stage.node.url).await;
    support::eventually("everyone in the audit pool", PATIENCE, async || {
        let pool = requester.audit_pool(model).await;
        (pool.len() == OPERATORS.len()).then_some(())
    })
    .await;

    let wrong = requester
        .submit_to(account(CHEAT), model, "Wer bist du?")
        .await;
    let right = requester
        .submit_to(account(HONEST), model, "Who are you?")
        .await;
    for job in [wrong, right] {
        let view = requester.delivered(job).await;
        assert_eq!(view.audit_chance.unwrap().deconstruct(), 1_000_000_000);
    }
    // Anyone sees it by a replay, before any verdict.
    let (code, said) = stage.replay(wrong);
    assert_eq!(code, Some(11), "{said}");
    assert!(said.contains("output token 0 of"), "{said}");
    let (code, said) = stage.replay(right);
    assert_eq!(code, Some(0), "{said}");

    let exposure = {
        let job = requester.job(wrong).await;
        job.worst_case_fee.unwrap() * u128::from(job.terms.exposure_factor)
    };
    requester.reached(right, JobStatus::Settled, PATIENCE).await;
    let rejected = requester
        .reached(wrong, JobStatus::Rejected, PATIENCE)
        .await;
    assert_eq!(rejected.escrow, 0, "all of it went back");

    for operator in OPERATORS {
        let worker = requester.worker(account(operator)).await;
        let lost = if operator == CHEAT { exposure } else { 0 };
        assert_eq!(worker.stake, STAKE * GEN - lost, "{operator}");
        assert_eq!(worker.chilled, operator == CHEAT, "{operator}");
        assert_eq!(worker.rejected, u64::from(operator == CHEAT), "{operator}");
        assert_eq!(worker.open_audits, 0, "{operator}");
        assert_eq!(worker.exposure, 0, "{operator}");
    }
    let honest = requester.worker(account(HONEST)).await;
    assert_eq!(honest.settled, 1);

    let history = requester.history().await;
    assert_eq!(history.refused, 0);
    assert_eq!(history.rejected, [(wrong, account(CHEAT))]);
    assert_eq!(history.slashed, [(wrong, account(CHEAT), exposure)]);
    for (job, auditor, valid) in &history.ballots {
        assert_eq!(*valid, *job == right, "job {job}, auditor {auditor:?}");
    }
    for (job, author) in [(wrong, CHEAT), (right, HONEST)] {
        let mut voters: Vec<_> = history
            .ballots
            .iter()
            .filter(|vote| vote.0 == job)
            .collect();
        voters.dedup_by_key(|vote| vote.1);
        assert!(voters.len() >= 2, "a verdict needs two: {history:?}");
        assert!(voters.iter().all(|vote| vote.1 != account(author)));
        let paid = history.paid.iter().filter(|paid| paid.0 == job);
        let paid: Vec<_> = paid.map(|(_, auditor, amount)| (auditor, amount)).collect();
        assert!(voters.iter().all(|vote| paid
            .iter()
            .any(|(who, amount)| **who == vote.1 && **amount > 0)));
    }
    assert_eq!(history.committed.len(), history.ballots.len());

    running[0].wait_for_log("REJECTED for good");
    running[1].wait_for_log("the result is paid");
    for worker in running {
        assert_eq!(worker.stop(), Some(0));
    }
    let said = stage.each(|setup, _| setup.must(&["status"]).stdout);
    assert!(said[0].contains("1 rejected"), "{}", said[0]);
    assert!(said[0].contains("1 result(s) rejected"), "{}", said[0]);
    assert!(said[1].contains("1 result(s) found right"), "{}", said[1]);
    assert!(said[1].contains("1 result(s) paid"), "{}", said[1]);
}
