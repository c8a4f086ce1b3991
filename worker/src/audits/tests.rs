use super::{
    fake_audit::{FakeAudit, Fellows},
    *,
};
use crate::{
    amount::GEN,
    job_loop::{
        fake_market::{FakeExecutor, FakeMarket, Faults, Killer, GENESIS, ME, MODEL},
        JobLoop, Pace,
    },
    journal::{Journal, Outcome, Owner, Record, Stage},
    metrics::Meters,
    pause::Pause,
    shutdown,
};
use std::{path::Path, time::Duration};
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
const PATIENCE: Duration = Duration::from_secs(30);
const JOB: JobId = 7;

/// A running auditor.
struct Running {
    handle: JoinHandle<Result<()>>,
    trigger: shutdown::Trigger,
    worker: Arc<Worker<FakeMarket, FakeExecutor>>,
}

fn start(
    market: &FakeMarket,
    executor: &FakeExecutor,
    journal: Journal,
    appeals: Appeals,
) -> Running {
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
    let handle = tokio::spawn(AuditLoop::new(worker.clone(), appeals).run(shutdown));
    Running {
        handle,
        trigger,
        worker,
    }
}

impl Running {
    /// Ends the worker without giving it a chance to do anything.
    async fn kill(self) {
        self.handle.abort();
        let _ = self.handle.await;
    }

    /// Stops the worker the way an operator does.
    async fn stop(self) {
        self.trigger.advance(Phase::Draining);
        timeout(PATIENCE, self.handle)
            .await
            .expect("the worker stops")
            .expect("the worker does not panic")
            .expect("the worker has no error");
    }

    fn end(&self) -> Option<CaseEnd> {
        self.worker.journal.case(JOB).unwrap()?.end
    }

    async fn ended(&self) -> CaseEnd {
        until("the case's end", || self.end().is_some()).await;
        self.end().unwrap()
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

/// A chain with one audit, an auditor with nothing in its journal, and what
/// came of it.
struct Scene {
    market: FakeMarket,
    executor: FakeExecutor,
    dir: tempfile::TempDir,
}

impl Scene {
    fn of(audit: impl FnOnce(BlockNumber) -> FakeAudit) -> Self {
        let market = FakeMarket::new();
        let height = market.chain().height;
        market.chain().audits.insert(JOB, audit(height));
        Self {
            executor: FakeExecutor::new(market.killer.clone()),
            market,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A result of this worker, delivered and found wrong by auditors.
    async fn accused(right: bool) -> Self {
        let scene = Self::of(|now| FakeAudit::accusation(now, right));
        let outcome = Outcome::Delivered;
        let record = Record::new(MODEL.0, Stage::Done { outcome });
        let journal = open(scene.dir.path()).await;
        journal.put_delivered(JOB, &record).unwrap();
        scene
    }

    async fn start(&self) -> Running {
        self.start_with(Appeals::default()).await
    }

    async fn start_with(&self, appeals: Appeals) -> Running {
        let journal = open(self.dir.path()).await;
        start(&self.market, &self.executor, journal, appeals)
    }

    fn audit(&self) -> FakeAudit {
        self.market.chain().audits[&JOB].clone()
    }

    fn replays(&self) -> usize {
        self.executor.replays.lock().unwrap().len()
    }
}

#[tokio::test]
async fn a_seat_is_replayed_committed_revealed_and_followed_to_its_end() {
    let scene = Scene::of(|now| FakeAudit::seat(now, true, Fellows::Agree));
    let running = scene.start().await;
    assert_eq!(running.ended().await, CaseEnd::Upheld);
    running.stop().await;
    let audit = scene.audit();
    assert_eq!(audit.commitments.len(), 1);
    assert_eq!(audit.reveals.len(), 1);
    assert!(audit.reveals[0].valid);
    assert_eq!(audit.status, JobStatus::Settled);
    assert_eq!(scene.market.chain().submitted, 2, "one commit, one reveal");
    assert_eq!(scene.market.chain().refused, 0);
    assert_eq!(scene.replays(), 1);
}

#[tokio::test]
async fn a_wrong_result_is_called_wrong() {
    let scene = Scene::of(|now| FakeAudit::seat(now, false, Fellows::Agree));
    let running = scene.start().await;
    assert_eq!(running.ended().await, CaseEnd::Upheld);
    running.stop().await;
    let audit = scene.audit();
    assert!(!audit.reveals[0].valid);
    assert_eq!(audit.status, JobStatus::Rejected);
}

/// The promise of the journal: killed at any step between its own memory and
/// the world outside, an auditor commits once, to a ballot that it can reveal,
/// and reveals that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_one_ballot_is_committed_and_revealed() {
    let mut crashes = 0;
    for steps in 1.. {
        let scene = Scene::of(|now| FakeAudit::seat(now, true, Fellows::Agree));
        scene.market.chain().audits.get_mut(&JOB).unwrap().window = 300;
        let killer = Killer::after(Some(steps));
        let doomed = scene.market.with_killer(killer.clone());
        let executor = FakeExecutor::new(killer.clone());
        let journal = open(scene.dir.path()).await;
        let running = start(&doomed, &executor, journal, Appeals::default());
        let was_killed = tokio::select! {
            biased;
            () = killer.killed.notified() => true,
            () = until("revealed", || !scene.audit().reveals.is_empty()) => false,
        };
        running.kill().await;
        if !was_killed {
            break;
        }
        crashes += 1;

        let running = scene.start().await;
        until("revealed", || !scene.audit().reveals.is_empty()).await;
        let case = running.worker.journal.case(JOB).unwrap().unwrap();
        running.stop().await;
        let audit = scene.audit();
        assert_eq!(audit.commitments.len(), 1, "killed after {steps}");
        assert_eq!(audit.reveals, [case.ballots[0].ballot], "after {steps}");
        assert_eq!(case.ballots.len(), 1, "killed after {steps}");
        assert_eq!(scene.market.chain().refused, 0, "killed after {steps}");
    }
    assert!(crashes >= 10, "only {crashes} places to crash at");
}

#[tokio::test]
async fn ballots_that_the_node_forgets_are_sent_again() {
    let scene = Scene::of(|now| {
        let mut audit = FakeAudit::seat(now, true, Fellows::Agree);
        audit.until = now + 2_000;
        audit.window = 2_000;
        audit
    });
    scene.market.chain().faults = Faults {
        lost: 1,
        ..Faults::default()
    };
    let running = scene.start().await;
    until("committed", || !scene.audit().commitments.is_empty()).await;
    scene.market.chain().faults.lost = 1;
    until("revealed", || !scene.audit().reveals.is_empty()).await;
    running.stop().await;
    assert_eq!(scene.audit().commitments.len(), 1);
    assert_eq!(scene.replays(), 1, "the ballot in the journal is good");
}

#[tokio::test]
async fn outvoted_and_sure_it_appeals_once() {
    let scene = Scene::of(|now| FakeAudit::seat(now, true, Fellows::Outvote));
    let running = scene.start().await;
    assert_eq!(running.ended().await, CaseEnd::Upheld);
    running.stop().await;
    let audit = scene.audit();
    assert_eq!(audit.appeals, 1);
    assert_eq!(audit.status, JobStatus::Settled, "put right on appeal");
    assert_eq!(scene.replays(), 2, "it makes sure before it pays a bond");
    assert_eq!(scene.market.chain().refused, 0);
}

#[tokio::test]
async fn no_appeal_is_made_where_it_is_turned_off_too_dear_or_not_covered() {
    let off = Appeals {
        enabled: false,
        ..Appeals::default()
    };
    let dear = Appeals {
        largest_bond: Some(1),
        ..Appeals::default()
    };
    for (appeals, free) in [(off, GEN), (dear, GEN), (Appeals::default(), GEN / 10)] {
        let scene = Scene::of(|now| FakeAudit::seat(now, true, Fellows::Outvote));
        scene.market.chain().free = free;
        let running = scene.start_with(appeals).await;
        assert_eq!(running.ended().await, CaseEnd::Overruled);
        running.stop().await;
        assert_eq!(scene.audit().appeals, 0);
        assert_eq!(scene.replays(), 1);
    }
}

#[tokio::test]
async fn a_right_result_that_was_found_wrong_is_appealed_for() {
    let scene = Scene::accused(true).await;
    let running = scene.start().await;
    assert_eq!(running.ended().await, CaseEnd::Paid);
    running.stop().await;
    assert_eq!(scene.audit().appeals, 1);
}

#[tokio::test]
async fn a_wrong_result_of_its_own_is_not_defended() {
    let scene = Scene::accused(false).await;
    let running = scene.start().await;
    assert_eq!(running.ended().await, CaseEnd::Rejected);
    running.stop().await;
    assert_eq!(scene.audit().appeals, 0);
    assert_eq!(scene.replays(), 1);
    assert_eq!(scene.market.chain().submitted, 0);
}

#[tokio::test]
async fn killed_while_appealing_it_appeals_once() {
    killed_on_the_way_to_an_appeal(async || Scene::accused(true).await).await;
}

#[tokio::test]
async fn killed_while_taking_a_result_back_it_appeals_once() {
    killed_on_the_way_to_an_appeal(async || Scene::of(|now| FakeAudit::accusation(now, true)))
        .await;
}

async fn killed_on_the_way_to_an_appeal(set: impl AsyncFn() -> Scene) {
    for steps in 1.. {
        let scene = set().await;
        let killer = Killer::after(Some(steps));
        let doomed = scene.market.with_killer(killer.clone());
        let executor = FakeExecutor::new(killer.clone());
        let journal = open(scene.dir.path()).await;
        let running = start(&doomed, &executor, journal, Appeals::default());
        let was_killed = tokio::select! {
            biased;
            () = killer.killed.notified() => true,
            () = until("appealed", || scene.audit().appeals > 0) => false,
        };
        running.kill().await;
        if !was_killed {
            assert!(steps > 5, "only {steps} places to crash at");
            break;
        }
        let running = scene.start().await;
        assert_eq!(running.ended().await, CaseEnd::Paid, "killed after {steps}");
        running.stop().await;
        assert_eq!(scene.audit().appeals, 1, "killed after {steps}");
        assert_eq!(scene.market.chain().refused, 0, "killed after {steps}");
    }
}

#[tokio::test]
async fn a_phase_that_nobody_moves_on_is_moved_on() {
    let scene = Scene::of(|now| {
        let mut audit = FakeAudit::seat(now, true, Fellows::Agree);
        audit.alive = false;
        audit
    });
    let running = scene.start().await;
    assert_eq!(running.ended().await, CaseEnd::Upheld);
    running.stop().await;
    // After the commitments, after the reveals, after the appeal window.
    assert_eq!(scene.market.chain().progressed, 3);
    assert_eq!(scene.market.chain().refused, 0);
}

#[tokio::test]
async fn without_the_model_it_stays_silent_and_alive() {
    let mut scene = Scene::of(|now| FakeAudit::seat(now, true, Fellows::Agree));
    scene.executor.is_without_model = true;
    let running = scene.start().await;
    until("missed", || scene.audit().status == JobStatus::Settled).await;
    assert!(!running.handle.is_finished());
    running.stop().await;
    assert_eq!(scene.market.chain().submitted, 0);
}

#[tokio::test]
async fn a_ballot_lost_with_the_journal_is_found_again_and_revealed() {
    let mut scene = Scene::of(|now| {
        let mut audit = FakeAudit::seat(now, true, Fellows::Agree);
        audit.until = now + 5_000;
        audit.alive = false;
        audit
    });
    let running = scene.start().await;
    until("committed", || !scene.audit().commitments.is_empty()).await;
    running.stop().await;

    scene.dir = tempfile::tempdir().unwrap();
    let running = scene.start().await;
    until("found again", || {
        running.worker.journal.case(JOB).unwrap().is_some()
    })
    .await;
    scene.market.chain().audits.get_mut(&JOB).unwrap().until = 0;
    until("revealed", || !scene.audit().reveals.is_empty()).await;
    running.stop().await;
    assert_eq!(scene.audit().commitments.len(), 1);
    assert_eq!(scene.replays(), 2);
}

#[tokio::test]
async fn a_result_lost_with_the_journal_is_taken_back_and_followed_to_its_pay() {
    let scene = Scene::of(FakeAudit::own_in_review);
    let running = scene.start().await;
    assert_eq!(running.ended().await, CaseEnd::Paid);
    let journal = &running.worker.journal;
    assert_eq!(journal.case(JOB).unwrap().unwrap().role, Role::Author);
    until("complete", || journal.is_complete().unwrap()).await;
    running.stop().await;
    assert_eq!(scene.market.chain().submitted, 0, "nobody doubted it");
}

#[tokio::test]
async fn a_result_lost_with_the_journal_is_appealed_for_if_it_is_right() {
    for (right, end) in [(true, CaseEnd::Paid), (false, CaseEnd::Rejected)] {
        let scene = Scene::of(|now| FakeAudit::accusation(now, right));
        let running = scene.start().await;
        assert_eq!(running.ended().await, end);
        running.stop().await;
        assert_eq!(scene.audit().appeals, u32::from(right));
        assert_eq!(scene.replays(), 1);
    }
}

#[tokio::test]
async fn a_delivery_on_its_way_when_the_journal_was_lost_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    let executor = FakeExecutor::new(market.killer.clone());
    market.submit_job(JOB, 100_000);
    market.claim_behind_its_back(JOB);
    let journal = open(dir.path()).await;
    let running = start(&market, &executor, journal, Appeals::default());
    let height = market.chain().height;
    until("some looks", || market.chain().height > height + 20).await;
    let journal = &running.worker.journal;
    assert!(
        !journal.is_complete().unwrap(),
        "the job is not delivered yet"
    );
    assert_eq!(journal.case(JOB).unwrap(), None);

    let height = market.chain().height;
    let audit = FakeAudit::accusation(height, true);
    market.chain().audits.insert(JOB, audit);
    assert_eq!(running.ended().await, CaseEnd::Paid);
    until("complete", || journal.is_complete().unwrap()).await;
    running.stop().await;
    assert_eq!(market.chain().audits[&JOB].appeals, 1);
}

#[tokio::test]
async fn a_seat_does_not_wait_while_thousands_of_jobs_are_looked_through() {
    const SEAT: JobId = JOB + 1;
    let scene = Scene::of(|now| {
        let mut audit = FakeAudit::accusation(now, true);
        audit.until = now + 10_000;
        audit
    });
    let height = scene.market.chain().height;
    let seat = FakeAudit::seat(height, true, Fellows::Agree);
    scene.market.chain().audits.insert(SEAT, seat);
    // Others' jobs: the newest of thousands.
    scene.market.submit_job(JOB + 5_000, 100);
    let running = scene.start().await;
    let journal = &running.worker.journal;
    let committed = || !scene.market.chain().audits[&SEAT].commitments.is_empty();
    until("committed", committed).await;
    assert_eq!(journal.case(JOB).unwrap(), None, "the search is not over");
    assert_eq!(running.ended().await, CaseEnd::Paid);
    assert_eq!(scene.audit().appeals, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_wrong_ballot_in_the_journal_is_replaced_by_the_one_committed_to() {
    let scene = Scene::of(|now| {
        let mut audit = FakeAudit::seat(now, true, Fellows::Agree);
        audit.until = now + 5_000;
        audit.alive = false;
        audit
    });
    let running = scene.start().await;
    until("committed", || !scene.audit().commitments.is_empty()).await;
    let mut case = running.worker.journal.case(JOB).unwrap().unwrap();
    running.stop().await;

    let right = case.ballots.clone();
    case.ballots[0].ballot.valid = !right[0].ballot.valid;
    let journal = open(scene.dir.path()).await;
    journal.put_case(JOB, &case).unwrap();
    drop(journal);
    let running = scene.start().await;
    let ballots = || running.worker.journal.case(JOB).unwrap().unwrap().ballots;
    until("found again", || ballots() == right).await;
    scene.market.chain().audits.get_mut(&JOB).unwrap().until = 0;
    until("revealed", || !scene.audit().reveals.is_empty()).await;
    running.stop().await;
    assert_eq!(scene.replays(), 2);
}

#[tokio::test]
async fn with_a_full_disk_a_ballot_is_still_revealed_and_nothing_else_done() {
    let scene = Scene::of(|now| {
        let mut audit = FakeAudit::seat(now, true, Fellows::Agree);
        audit.until = now + 2_000;
        audit.window = 2_000;
        audit.alive = false;
        audit
    });
    let (disk, full) = crate::journal::full_disk::disk();
    let journal = Journal::on_disk(disk, OWNER);
    let running = start(&scene.market, &scene.executor, journal, Appeals::default());
    until("committed", || !scene.audit().commitments.is_empty()).await;
    running.trigger.advance(Phase::Draining);
    timeout(PATIENCE, running.handle)
        .await
        .unwrap()
        .unwrap()
        .unwrap();

    full.store(true, std::sync::atomic::Ordering::SeqCst);
    running.worker.journal.try_to_write().unwrap_err();
    // Another seat, for which a ballot would have to be written down.
    let height = scene.market.chain().height;
    {
        let mut chain = scene.market.chain();
        let audit = chain.audits.get_mut(&JOB).unwrap();
        audit.until = 0;
        assert!(audit.progress(height), "ballots are to be revealed");
    }
    let other = FakeAudit::seat(height, true, Fellows::Agree);
    scene.market.chain().audits.insert(JOB + 1, other);
    let (trigger, shutdown) = shutdown::channel();
    let waiting = AuditLoop::new(running.worker.clone(), Appeals::default());
    let waiting = tokio::spawn(waiting.hold_out(shutdown));
    until("revealed", || !scene.audit().reveals.is_empty()).await;
    assert_eq!(scene.replays(), 1);
    assert!(!waiting.is_finished());

    full.store(false, std::sync::atomic::Ordering::SeqCst);
    let ended = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(ended.unwrap(), "there is room again");
    drop(trigger);
}

#[tokio::test]
async fn a_commitment_that_the_journal_cannot_open_is_left_alone() {
    let scene = Scene::of(|now| FakeAudit::seat(now, true, Fellows::Agree));
    let height = scene.market.chain().height;
    let foreign = genesisflow_primitives::H256::repeat_byte(9);
    let chain = scene.market.clone();
    let audit = |act: &dyn Fn(&mut FakeAudit)| {
        act(chain.chain().audits.get_mut(&JOB).unwrap());
    };
    audit(&|audit| assert!(audit.commit(height, foreign)));
    let running = scene.start().await;
    until("over", || scene.audit().status == JobStatus::Settled).await;
    running.stop().await;
    assert_eq!(scene.market.chain().submitted, 0);
    assert!(scene.audit().reveals.is_empty());
}

#[tokio::test]
async fn a_stop_leaves_an_audit_to_the_next_start() {
    let scene = Scene::of(|now| {
        let mut audit = FakeAudit::seat(now, true, Fellows::Agree);
        audit.until = now + 5_000;
        audit.alive = false;
        audit
    });
    let running = scene.start().await;
    until("committed", || !scene.audit().commitments.is_empty()).await;
    running.stop().await;
    assert!(scene.audit().reveals.is_empty());

    scene.market.chain().audits.get_mut(&JOB).unwrap().until = 0;
    let running = scene.start().await;
    until("revealed", || !scene.audit().reveals.is_empty()).await;
    running.stop().await;
    assert_eq!(scene.replays(), 1);
}

/// Looks at every result, and is content with any gain.
const CURIOUS: Disputes = Disputes {
    sample_rate: 1.0,
    confidence_permille: 900,
    least_gain: 0,
    largest_bond: None,
};

/// An auditor that looks at others' results, at work before the first one.
async fn curious(market: &FakeMarket, executor: &FakeExecutor, journal: Journal) -> Running {
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
    let audits = AuditLoop::new(worker.clone(), Appeals::default()).with_disputes(CURIOUS);
    let handle = tokio::spawn(audits.run(shutdown));
    let height = market.chain().height;
    until("a look", || market.chain().height > height + 2).await;
    Running {
        handle,
        trigger,
        worker,
    }
}

fn review(market: &FakeMarket, right: bool) {
    let mut chain = market.chain();
    let mut audit = FakeAudit::in_review(chain.height, right);
    audit.until += 1_000;
    chain.audits.insert(JOB, audit);
}

#[tokio::test]
async fn a_wrong_result_that_nobody_was_drawn_to_check_is_disputed_once() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    let executor = FakeExecutor::new(market.killer.clone());
    let running = curious(&market, &executor, open(dir.path()).await).await;
    // Own work goes first.
    let busy = running.worker.audits.computing();
    review(&market, false);
    let height = market.chain().height;
    until("some blocks", || market.chain().height > height + 20).await;
    assert!(executor.replays.lock().unwrap().is_empty());
    drop(busy);

    assert_eq!(running.ended().await, CaseEnd::Upheld);
    running.stop().await;
    let audit = market.chain().audits[&JOB].clone();
    assert_eq!((audit.disputes, audit.status), (1, JobStatus::Rejected));
    assert_eq!(executor.replays.lock().unwrap().len(), 1);
    assert_eq!(market.chain().submitted, 1);
    assert_eq!(market.chain().refused, 0);
}

#[tokio::test]
async fn a_right_result_is_looked_at_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    let executor = FakeExecutor::new(market.killer.clone());
    let running = curious(&market, &executor, open(dir.path()).await).await;
    review(&market, true);
    until("a replay", || !executor.replays.lock().unwrap().is_empty()).await;
    let height = market.chain().height;
    until("some blocks", || market.chain().height > height + 20).await;
    running.stop().await;
    assert_eq!(executor.replays.lock().unwrap().len(), 1);
    assert_eq!(market.chain().submitted, 0);
}

#[tokio::test]
async fn killed_while_disputing_it_disputes_once_at_most() {
    let mut disputed = 0;
    for steps in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let market = FakeMarket::new();
        let killer = Killer::after(None);
        let doomed = market.with_killer(killer.clone());
        let executor = FakeExecutor::new(killer.clone());
        let running = curious(&doomed, &executor, open(dir.path()).await).await;
        killer.die_after(steps);
        review(&market, false);
        let was_killed = tokio::select! {
            biased;
            () = killer.killed.notified() => true,
            () = until("disputed", || market.chain().audits[&JOB].disputes > 0) => false,
        };
        running.kill().await;
        if !was_killed {
            assert!(steps > 3, "only {steps} places to crash at");
            break;
        }
        let journaled = open(dir.path()).await.case(JOB).unwrap().is_some();
        let executor = FakeExecutor::new(market.killer.clone());
        let running = curious(&market, &executor, open(dir.path()).await).await;
        if journaled {
            assert_eq!(running.ended().await, CaseEnd::Upheld, "after {steps}");
            disputed += 1;
        }
        running.stop().await;
        assert_eq!(
            market.chain().audits[&JOB].disputes,
            u32::from(journaled),
            "killed after {steps}"
        );
        assert_eq!(market.chain().refused, 0, "killed after {steps}");
    }
    assert!(disputed > 0, "none was killed with the dispute in hand");
}

#[tokio::test]
async fn a_delivered_result_is_watched_and_audits_go_before_new_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let market = FakeMarket::new();
    let executor = FakeExecutor::new(market.killer.clone());
    market.submit_job(JOB, 100_000);
    let Running {
        handle,
        trigger,
        worker,
    } = start(
        &market,
        &executor,
        open(dir.path()).await,
        Appeals::default(),
    );
    let replaying = worker.audits.replaying();
    let (stop, shutdown) = shutdown::channel();
    let jobs = tokio::spawn(JobLoop::new(worker.clone(), vec![MODEL]).run(shutdown));
    let height = market.chain().height;
    until("some blocks", || market.chain().height > height + 50).await;
    assert_eq!(market.chain().submitted, 0, "no claim during a replay");

    drop(replaying);
    until("delivered", || market.chain().delivered.contains_key(&JOB)).await;
    until("watched", || {
        let case = worker.journal.case(JOB).unwrap();
        case.is_some_and(|case| case.role == Role::Author && case.end.is_none())
    })
    .await;
    // Auditors find it wrong: the audit loop must hear of it.
    let height = market.chain().height;
    let accusation = FakeAudit::accusation(height, true);
    market.chain().audits.insert(JOB, accusation);
    until("appealed", || market.chain().audits[&JOB].appeals == 1).await;
    for trigger in [trigger, stop] {
        trigger.advance(Phase::Draining);
    }
    for task in [handle, jobs] {
        timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
    }
}
