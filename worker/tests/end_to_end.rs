//! The worker against a real node: jobs are delivered, and exactly once, also
//! by a worker that is killed at the worst moments.

mod support;

use genesisflow_primitives::{evidence, ModelId};
use genesisflow_worker::model_store::parse_id;
use std::path::PathBuf;
use support::{
    model,
    node::Node,
    requester::{History, Requester},
    worker::Setup,
};

/// A chain, a registered worker (Bob) that offers a small model, and a
/// requester (Alice).
struct Stage {
    node: Node,
    data: tempfile::TempDir,
    model: ModelId,
    requester: Requester,
}

impl Stage {
    async fn set() -> Self {
        let node = Node::start().await;
        let data = tempfile::tempdir().unwrap();
        let mut stage = Self {
            requester: Requester::connect(&node.url).await,
            node,
            data,
            model: ModelId::zero(),
        };
        model::write(&stage.model_dir());
        let dir = stage.model_dir();
        let dir = dir.to_str().unwrap();
        let worker = stage.worker();
        worker.must(&["register", "--stake", "1000"]);
        worker.must(&["model", "register", dir]);
        worker.must(&[
            "offer",
            "--model",
            dir,
            "--price-input",
            "0.000002",
            "--price-output",
            "0.000003",
            "--capacity",
            "2",
        ]);
        let id = worker.must(&["model", "id", dir]).stdout;
        stage.model = parse_id(id.trim()).expect("an id");
        stage
    }

    fn model_dir(&self) -> PathBuf {
        self.data.path().join("model")
    }

    fn worker(&self) -> Setup<'_> {
        Setup {
            url: &self.node.url,
            key: "//Bob",
            data: self.data.path(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_claimed_run_and_delivered() {
    let mut stage = Stage::set().await;
    let running = stage.worker().start(&[], None);
    let first = stage
        .requester
        .submit(stage.model, "What is two and two?")
        .await;
    let second = stage
        .requester
        .submit(stage.model, "And what is it not?")
        .await;
    for job in [first, second] {
        let view = stage.requester.delivered(job).await;
        let result = stage.requester.result(job).await.expect("a result");
        let usage = view.usage.expect("a usage");
        let ids = evidence::decode(&result.evidence.expect("evidence")).unwrap();
        assert_eq!(ids.len() as u32, usage.output);
        assert!(usage.output <= 12 && usage.input >= 19, "{usage:?}");
        assert!(String::from_utf8(result.output.into()).is_ok());
        assert_eq!(result.attestation.model, stage.model);
        assert_eq!(result.attestation_hash, result.attestation.hash());
    }
    assert_eq!(running.stop(), Some(0), "SIGTERM ends it cleanly");

    let mut history = stage.requester.history().await;
    history.delivered.sort_unstable();
    let expected = History {
        delivered: vec![first, second],
        ..History::default()
    };
    assert_eq!(history, expected);

    let status = stage.worker().must(&["status"]).stdout;
    assert!(status.contains("2 job(s) delivered"), "{status}");
    // Done already: repeating the set-up changes nothing and fails nowhere.
    let again = stage.worker().must(&["register", "--stake", "1000"]).stdout;
    assert!(again.contains("registered already"), "{again}");
}

/// Lets a worker pause at `place` with a job in hand, kills it there, starts
/// another, and makes sure that the chain saw one delivery and nothing else.
async fn killed(place: &str, line: &str) {
    let mut stage = Stage::set().await;
    let doomed = stage.worker().start(&[], Some(place));
    let job = stage.requester.submit(stage.model, "Who goes there?").await;
    doomed.wait_for(line);
    doomed.kill();

    let running = stage.worker().start(&[], None);
    stage.requester.delivered(job).await;
    assert_eq!(running.stop(), Some(0));
    let expected = History {
        delivered: vec![job],
        ..History::default()
    };
    assert_eq!(stage.requester.history().await, expected);
    let status = stage.worker().must(&["status"]).stdout;
    assert!(status.contains("1 job(s) delivered"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_claim_and_delivery_it_delivers_once() {
    killed("after-claim", "paused AfterClaim").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_signing_and_submission_it_delivers_once() {
    killed("before-submit", "paused BeforeSubmit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_submission_and_inclusion_it_delivers_once() {
    killed("after-submit", "paused AfterSubmit").await;
}
