//! A full disk, a damaged journal and a changed model: each is said in clear
//! words, costs no stake, and is over when its cause is.

mod support;

use genesisflow_primitives::{JobStatus, ModelId};
use genesisflow_worker::model_store::parse_id;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use support::{
    model,
    node::Node,
    requester::{History, Requester},
    worker::Setup,
};

/// Several blocks: time enough to claim a job.
const A_WHILE: Duration = Duration::from_secs(8);

struct Stage {
    node: Node,
    dir: tempfile::TempDir,
    model: ModelId,
    requester: Requester,
}

impl Stage {
    async fn set() -> Self {
        let node = Node::start().await;
        let dir = tempfile::tempdir().unwrap();
        let mut stage = Self {
            requester: Requester::connect(&node.url).await,
            node,
            dir,
            model: ModelId::zero(),
        };
        let folder = stage.folder();
        model::write(&folder);
        let folder = folder.to_str().unwrap();
        let worker = stage.worker();
        worker.must(&["register", "--stake", "1000"]);
        worker.must(&["model", "register", folder]);
        let prices = ["--price-input", "0.000002", "--price-output", "0.000003"];
        worker.must(&[&["offer", "--model", folder][..], &prices].concat());
        let id = worker.must(&["model", "id", folder]).stdout;
        stage.model = parse_id(id.trim()).expect("an id");
        stage
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("model")
    }

    fn worker(&self) -> Setup<'_> {
        Setup {
            url: &self.node.url,
            key: "//Bob",
            data: self.dir.path(),
        }
    }

    async fn submit(&mut self, question: &str) -> u64 {
        self.requester.submit(self.model, question).await
    }

    /// Asserts that a job stays open although there is time to claim it.
    async fn stays_open(&self, job: u64) {
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(self.requester.job(job).await.status, JobStatus::Open);
    }

    /// Asserts that the jobs were each delivered once, in order, and that the
    /// chain had nothing to refuse.
    async fn delivered_once(&self, jobs: &[u64]) {
        let expected = History {
            delivered: jobs.to_vec(),
            ..History::default()
        };
        assert_eq!(self.requester.history().await, expected);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_and_a_changed_model_stop_new_work_until_they_are_put_right() {
    let mut stage = Stage::set().await;
    let running = stage.worker().start_to_be_limited();
    let first = stage.submit("Is there room?").await;
    stage.requester.delivered(first).await;

    running.fill_disk();
    let second = stage.submit("And now?").await;
    running.wait_for_log("cannot write the journal");
    running.wait_for_log("free space on the disk");
    running.wait_for_log("goes on by itself");
    stage.stays_open(second).await;
    running.free_disk();
    running.wait_for_log("the journal can be written again");
    stage.requester.delivered(second).await;

    let weights = stage.folder().join("model.safetensors");
    let intact = std::fs::read(&weights).unwrap();
    let mut changed = intact.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, changed).unwrap();
    running.wait_for_log("is not served any more: the model file");
    running.wait_for_log("restore the file");
    let third = stage.submit("With which weights?").await;
    stage.stays_open(third).await;
    std::fs::write(&weights, intact).unwrap();
    running.wait_for_log("are right again");
    stage.requester.delivered(third).await;

    assert_eq!(running.stop(), Some(0));
    stage.delivered_once(&[first, second, third]).await;
}

/// Files of a directory whose names end in `end`.
fn files(dir: &Path, end: &str) -> usize {
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(end))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_lost_its_tail_or_a_bit_is_put_aside_and_the_job_delivered_once() {
    let mut stage = Stage::set().await;
    let journal = stage.dir.path().join("journal.redb");
    let mut jobs = Vec::new();
    for (count, place, line) in [
        (1, "before-submit", "paused BeforeSubmit"),
        (2, "after-submit", "paused AfterSubmit"),
    ] {
        let doomed = stage.worker().start(&[], Some(place));
        let job = stage.submit("Who remembers?").await;
        doomed.wait_for(line);
        doomed.kill();

        let mut bytes = std::fs::read(&journal).unwrap();
        if count == 1 {
            bytes.truncate(bytes.len() / 2);
        } else {
            // Every page has the same wrong bit somewhere, so one that counts has.
            bytes
                .iter_mut()
                .skip(4_096 + 9)
                .step_by(64)
                .for_each(|byte| *byte ^= 4);
        }
        std::fs::write(&journal, bytes).unwrap();
        let status = stage.worker().must(&["status"]);
        let said = status.stdout + &status.stderr;
        assert!(said.contains("damaged"), "{said}");

        let running = stage.worker().start(&[], None);
        running.wait_for_log("is damaged");
        stage.requester.delivered(job).await;
        assert_eq!(running.stop(), Some(0));
        assert_eq!(files(stage.dir.path(), ".damaged"), count);
        jobs.push(job);
    }
    stage.delivered_once(&jobs).await;
}
