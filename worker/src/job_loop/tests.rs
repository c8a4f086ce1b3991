use super::fake_market::{answer, FakeExecutor, FakeMarket, Faults, Killer, GENESIS, ME, MODEL};
use super::*;
use crate::{
    journal::{full_disk, Outcome, Owner, Record, Stage},
    metrics::Meters,
    shutdown,
};
use std::{path::Path, sync::atomic::Ordering};
use tokio::{task::JoinHandle, time::timeout};

const OWNER: Owner = Owner {
    genesis: GENESIS.0,
    account: ME,
};
const PACE: Pace = Pace {
    poll: Duration::from_millis(1),
    first_retry: Duration::from_millis(1),
    longest_retry: Duration::from_millis(4),
};
/// Far longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running worker.
struct Running {
    handle: JoinHandle<Result<()>>,
    trigger: shutdown::Trigger,
}

fn start(market: &FakeMarket, executor: &FakeExecutor, journal: Journal) -> Running {
    let worker = Arc::new(Worker {
        market: market.clone(),
        executor: executor.clone(),
        journal,
        pace: PACE,
        pause: Pause::default(),
        audits: Desk::default(),
        meters: Meters::default(),
    });
    let (trigger, shutdown) = shutdown::channel();
    let handle = tokio::spawn(JobLoop::new(worker, vec![MODEL]).run(shutdown));
    Running { handle, trigger }
}

impl Running {
    /// Ends the worker without giving it a chance to do anything.
    async fn kill(self) {
        self.handle.abort();
        let _ = self.handle.await;
    }

    /// Stops the worker the way an operator does.
    async fn stop(self) -> Result<()> {
        self.trigger.advance(Phase::Draining);
        timeout(PATIENCE, self.handle)
            .await
            .expect("the worker stops")
            .expect("the worker does not panic")
    }
}

/// Opens the journal once the worker before has let go of it.
async fn open(dir: &Path) -> Journal {
    let attempt = async {
        loop {
            match Journal::open(dir, OWNER) {
                Ok(journal) => return journal,
                Err(error) if error.to_string().contains("another worker") => {
                    tokio::time::sleep(PACE.poll).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, attempt).await.expect("the lock is freed")
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(PACE.poll).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}

fn is_delivered(market: &FakeMarket, job: JobId) -> bool {
    market.chain().delivered.contains_key(&job)
}

async fn outcome(dir: &Path, job: JobId) -> Option<Outcome> {
    match open(dir).await.get(job).unwrap()?.stage {
        Stage::Done { outcome } => Some(outcome),
        _ => None,
    }
}

/// A chain with one job, a worker on it, and the folder of its journal.
async fn worker_with_a_job(
    faults: Faults,
) -> (FakeMarket, FakeExecutor, Running, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    market.submit_job(7, 100_000);
    market.chain().faults = faults;
    let executor = FakeExecutor::new(market.killer.clone());
    let running = start(&market, &executor, open(dir.path()).await);
    (market, executor, running, dir)
}

#[tokio::test]
async fn an_open_job_is_claimed_run_and_delivered_once() {
    let (market, executor, running, dir) = worker_with_a_job(Faults::default()).await;
    until("delivered", || is_delivered(&market, 7)).await;
    running.stop().await.unwrap();
    assert_eq!(market.chain().delivered[&7], [answer(7)]);
    assert_eq!(market.chain().refused, 0);
    assert_eq!(market.chain().submitted, 2, "one claim, one delivery");
    assert_eq!(*executor.runs.lock().unwrap(), [7]);
    assert_eq!(outcome(dir.path(), 7).await, Some(Outcome::Delivered));
}

/// The promise of the journal: killed at any step between its own memory and
/// the world outside, a worker delivers exactly once after its restart, and
/// does not even send a transaction that the chain would have to refuse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_a_job_is_delivered_exactly_once() {
    let mut crashes = 0;
    for steps in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let market = FakeMarket::new();
        market.submit_job(7, 100_000);

        let killer = Killer::after(Some(steps));
        let doomed = market.with_killer(killer.clone());
        let executor = FakeExecutor::new(killer.clone());
        let running = start(&doomed, &executor, open(dir.path()).await);
        let finished = async {
            until("delivered", || is_delivered(&market, 7)).await;
            // Time for the worker to see it and to write it down.
            tokio::time::sleep(50 * PACE.poll).await;
        };
        let was_killed = tokio::select! {
            biased;
            () = killer.killed.notified() => true,
            () = finished => false,
        };
        running.kill().await;
        if !was_killed && outcome(dir.path(), 7).await == Some(Outcome::Delivered) {
            break;
        }
        crashes += 1;

        let executor = FakeExecutor::new(market.killer.clone());
        let running = start(&market, &executor, open(dir.path()).await);
        let height = market.chain().height;
        until("delivered", || is_delivered(&market, 7)).await;
        until("looked at", || market.chain().height > height + 5).await;
        running.stop().await.unwrap();
        {
            let chain = market.chain();
            assert_eq!(chain.delivered[&7], [answer(7)], "killed after {steps}");
            assert_eq!(chain.refused, 0, "killed after {steps}");
        }
        assert_eq!(
            outcome(dir.path(), 7).await,
            Some(Outcome::Delivered),
            "killed after {steps}"
        );
    }
    assert!(crashes >= 12, "only {crashes} places to crash at");
}

#[tokio::test]
async fn a_lost_race_costs_one_claim_and_no_run() {
    let rival = Faults {
        rival: true,
        ..Faults::default()
    };
    let (market, executor, running, dir) = worker_with_a_job(rival).await;
    until("refused", || market.chain().refused == 1).await;
    let height = market.chain().height;
    until("more blocks", || market.chain().height > height + 30).await;
    running.stop().await.unwrap();
    assert_eq!(market.chain().submitted, 1);
    assert_eq!(executor.runs.lock().unwrap().len(), 0);
    assert_eq!(outcome(dir.path(), 7).await, Some(Outcome::NotClaimed));
}

#[tokio::test]
async fn transactions_that_the_node_forgets_are_sent_again() {
    let lossy = Faults {
        lost: 1,
        ..Faults::default()
    };
    let (market, _, running, _dir) = worker_with_a_job(lossy).await;
    // The claim was lost; the delivery is to be lost as well.
    until("claimed", || market.chain().most_claimed == 1).await;
    market.chain().faults.lost = 1;
    until("delivered", || is_delivered(&market, 7)).await;
    running.stop().await.unwrap();
    assert_eq!(market.chain().delivered[&7].len(), 1);
    assert_eq!(market.chain().refused, 0);
}

#[tokio::test]
async fn a_lost_answer_is_no_reason_to_deliver_twice() {
    let (market, _, running, _dir) = worker_with_a_job(Faults {
        unanswered: 1,
        ..Faults::default()
    })
    .await;
    until("claimed", || market.chain().most_claimed == 1).await;
    market.chain().faults.unanswered = 1;
    until("delivered", || is_delivered(&market, 7)).await;
    running.stop().await.unwrap();
    assert_eq!(market.chain().delivered[&7].len(), 1);
    assert_eq!(market.chain().refused, 0);
}

#[tokio::test]
async fn a_chain_that_is_away_for_a_while_is_waited_for() {
    let (market, _, running, _dir) = worker_with_a_job(Faults {
        unreachable: 10,
        ..Faults::default()
    })
    .await;
    until("delivered", || is_delivered(&market, 7)).await;
    market.chain().faults.unreachable = 10;
    market.submit_job(8, 100_000);
    until("delivered", || is_delivered(&market, 8)).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_job_of_ours_that_the_journal_does_not_know_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    market.submit_job(7, 100_000);
    market.claim_behind_its_back(7);
    let executor = FakeExecutor::new(market.killer.clone());
    let running = start(&market, &executor, open(dir.path()).await);
    until("delivered", || is_delivered(&market, 7)).await;
    running.stop().await.unwrap();
    assert_eq!(market.chain().submitted, 1, "the delivery only");
}

#[tokio::test]
async fn a_result_in_the_journal_is_delivered_without_a_second_run() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    market.submit_job(7, 100_000);
    market.claim_behind_its_back(7);
    let journal = open(dir.path()).await;
    let stage = Stage::Computed {
        delivery: answer(7),
    };
    journal.put(7, &Record::new(MODEL.0, stage)).unwrap();
    let executor = FakeExecutor::new(market.killer.clone());
    let running = start(&market, &executor, journal);
    until("delivered", || is_delivered(&market, 7)).await;
    running.stop().await.unwrap();
    assert_eq!(executor.runs.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_result_that_auditors_look_at_is_delivered_and_stays_so() {
    use genesisflow_primitives::JobStatus;
    for status in [
        JobStatus::Delivered,
        JobStatus::Audit,
        JobStatus::Decided,
        JobStatus::Review,
        JobStatus::Slashing,
        JobStatus::Settled,
        JobStatus::Rejected,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let market = FakeMarket::new();
        market.submit_job(7, 100_000);
        market.claim_behind_its_back(7);
        market.set_status(7, status);
        let journal = open(dir.path()).await;
        let stage = Stage::Computed {
            delivery: answer(7),
        };
        journal.put(7, &Record::new(MODEL.0, stage)).unwrap();
        let executor = FakeExecutor::new(market.killer.clone());
        let running = start(&market, &executor, journal);
        let height = market.chain().height;
        until("some blocks", || market.chain().height > height + 20).await;
        running.stop().await.unwrap();
        assert_eq!(market.chain().submitted, 0, "{status:?}");
        assert_eq!(
            outcome(dir.path(), 7).await,
            Some(Outcome::Delivered),
            "{status:?}"
        );
    }
}

#[tokio::test]
async fn no_more_jobs_are_claimed_than_the_offer_has_room_for() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    market.chain().capacity = 2;
    for job in 0..9 {
        market.submit_job(job, 100_000);
    }
    let executor = FakeExecutor::new(market.killer.clone());
    let running = start(&market, &executor, open(dir.path()).await);
    until("all delivered", || market.chain().delivered.len() == 9).await;
    running.stop().await.unwrap();
    let chain = market.chain();
    assert_eq!(chain.most_claimed, 2);
    assert!(chain.delivered.values().all(|results| results.len() == 1));
    assert_eq!(chain.refused, 0);
}

#[tokio::test]
async fn a_deadline_is_held_against_the_speed_that_jobs_have_had_here() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    let mut executor = FakeExecutor::new(market.killer.clone());
    // Fits into 150 blocks with its margin, but not twice over.
    executor.expected = Duration::from_secs(100);
    let running = start(&market, &executor, open(dir.path()).await);
    market.submit_job(7, 150);
    let height = market.chain().height;
    until("some blocks", || market.chain().height > height + 20).await;
    assert!(
        executor.runs.lock().unwrap().is_empty(),
        "nothing was measured yet"
    );

    // Jobs without haste show that it is fast.
    for job in 8..14 {
        market.submit_job(job, 100_000);
        until("delivered", || is_delivered(&market, job)).await;
        if is_delivered(&market, 7) {
            break;
        }
    }
    until("delivered", || is_delivered(&market, 7)).await;
    running.stop().await.unwrap();
    // A new start knows it.
    let journal = open(dir.path()).await;
    let speed = journal.speed(MODEL).unwrap().expect("a speed");
    assert!(speed.correct(executor.expected) < 2 * executor.expected);
}

#[tokio::test]
async fn a_full_disk_stops_the_worker_before_it_submits_anything() {
    let market = FakeMarket::new();
    let (disk, full) = full_disk::disk();
    let executor = FakeExecutor::new(market.killer.clone());
    let running = start(&market, &executor, Journal::on_disk(disk, OWNER));
    full.store(true, Ordering::SeqCst);
    market.submit_job(7, 100_000);
    let ended = timeout(PATIENCE, running.handle).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().kind(), Kind::Journal);
    assert_eq!(market.chain().submitted, 0);
}

#[tokio::test]
async fn a_stop_brings_the_job_in_hand_to_its_end_and_takes_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    market.submit_job(7, 100_000);
    let mut executor = FakeExecutor::new(market.killer.clone());
    executor.takes = Duration::from_millis(100);
    let running = start(&market, &executor, open(dir.path()).await);
    until("running", || executor.runs.lock().unwrap().len() == 1).await;
    market.submit_job(8, 100_000);
    market.chain().capacity = 5;
    running.stop().await.unwrap();
    assert!(is_delivered(&market, 7) && !is_delivered(&market, 8));
    assert_eq!(outcome(dir.path(), 7).await, Some(Outcome::Delivered));
}

#[tokio::test]
async fn a_stop_without_patience_leaves_the_job_to_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    market.submit_job(7, 100_000);
    let mut slow = FakeExecutor::new(market.killer.clone());
    slow.takes = Duration::from_secs(3_600);
    let running = start(&market, &slow, open(dir.path()).await);
    until("running", || slow.runs.lock().unwrap().len() == 1).await;
    running.trigger.advance(Phase::Stopped);
    running.stop().await.unwrap();

    let executor = FakeExecutor::new(market.killer.clone());
    let running = start(&market, &executor, open(dir.path()).await);
    until("delivered", || is_delivered(&market, 7)).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn jobs_that_cannot_be_run_here_are_never_claimed() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    market.submit_job(1, 100_000);
    let mut unable = FakeExecutor::new(market.killer.clone());
    unable.refuses = true;
    let running = start(&market, &unable, open(dir.path()).await);
    let height = market.chain().height;
    until("some blocks", || market.chain().height > height + 20).await;
    running.stop().await.unwrap();
    assert_eq!(market.chain().submitted, 0);

    // The deadline of 20 blocks leaves less than the 30 s that it would take.
    market.submit_job(2, 20);
    let mut slow = FakeExecutor::new(market.killer.clone());
    slow.expected = Duration::from_secs(30);
    let running = start(&market, &slow, open(dir.path()).await);
    until("the other is delivered", || is_delivered(&market, 1)).await;
    running.stop().await.unwrap();
    assert!(!is_delivered(&market, 2));
}

#[tokio::test]
async fn a_run_that_misses_its_deadline_is_given_up_and_not_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    market.submit_job(7, 9);
    let mut slow = FakeExecutor::new(market.killer.clone());
    slow.expected = Duration::ZERO;
    slow.takes = Duration::from_millis(300);
    let running = start(&market, &slow, open(dir.path()).await);
    until("claimed", || market.chain().most_claimed == 1).await;
    let height = market.chain().height;
    until("past the deadline", || market.chain().height > height + 10).await;
    until("run over", || slow.runs.lock().unwrap().len() == 1).await;
    tokio::time::sleep(2 * slow.takes).await;
    running.stop().await.unwrap();
    assert!(!is_delivered(&market, 7));
    assert_eq!(market.chain().refused, 0);
    assert_eq!(outcome(dir.path(), 7).await, Some(Outcome::Late));
}
