//! Audits: checks the results that this worker was drawn to check, and stands
//! by those that it delivered.
//!
//! A loop beside the job loop looks at every finalised block. Finalised,
//! because a round's seed may differ on another fork: a ballot cast for a block
//! that is undone would count as wrong. Each seat is brought on by a task of
//! its own (`act.rs`): replay, write the ballot to the journal, commit, and
//! later reveal. What a task does follows from finalised state and the journal
//! alone ([`next`]), so that it can be started at any point after a kill.
//!
//! | file | what it does |
//! |---|---|
//! | [`question`] | what there is to check |
//! | [`compare`] | whether it is right |
//! | [`next`] | what to do next |
//! | `act.rs` | does it |
//! | `outage.rs` | what is done while the journal cannot be written |
//! | `adopt.rs` | takes results back that a lost journal knew |
//! | `watch.rs` | looks at results unasked, and disputes wrong ones |

mod act;
mod adopt;
pub mod compare;
#[cfg(test)]
pub(crate) mod fake_audit;
pub mod next;
mod outage;
pub mod question;
#[cfg(test)]
mod tests;
mod watch;

pub use act::Appeals;
pub use watch::Disputes;

use crate::{
    amount::Amount,
    error::{Error, Kind, Result},
    executor::Executor,
    job_loop::Worker,
    journal::{Case, CaseEnd, Role},
    market::{AccountId, Market, MarketError, MarketResult, View},
    metrics::Trouble,
    model_store::shown,
    recovery::Now,
    shutdown::{Phase, Shutdown},
};
use act::Acted;
use adopt::Search;
use genesisflow_primitives::{
    views::{AuditView, JobView, SeatView},
    Balance, BlockNumber, JobId, JobStatus,
};
use next::{case_step, seat_step, CaseStep, SeatStep};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Mutex,
    },
};
use tokio::{task::JoinSet, time::Instant};
use watch::Sample;

/// Blocks after which a replay that failed is tried again.
const AFTER_FAILED_REPLAY: BlockNumber = 2;

/// What the job loop and the audit loop tell each other.
#[derive(Debug, Default)]
pub struct Desk {
    /// Results delivered since the audit loop last asked.
    delivered: Mutex<Vec<JobId>>,
    /// Replays that are under way.
    replays: Arc<AtomicUsize>,
    /// Jobs that are being computed.
    jobs: Arc<AtomicUsize>,
}

impl Desk {
    /// A result of this worker is on the chain: its audit is to be watched.
    pub fn delivered(&self, job: JobId) {
        self.list().push(job);
    }

    /// Whether an audit is being replayed: new jobs have to wait.
    pub fn is_auditing(&self) -> bool {
        self.replays.load(Ordering::Relaxed) > 0
    }

    /// Whether nothing is being computed that this worker owes anybody.
    pub fn is_idle(&self) -> bool {
        !self.is_auditing() && self.jobs.load(Ordering::Relaxed) == 0
    }

    /// Counts a replay for as long as the returned value lives.
    fn replaying(&self) -> AtWork {
        AtWork::on(&self.replays)
    }

    /// Counts a job that is being computed for as long as the returned value
    /// lives.
    pub fn computing(&self) -> AtWork {
        AtWork::on(&self.jobs)
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<JobId>> {
        self.delivered
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A piece of work that is counted.
#[derive(Debug)]
pub struct AtWork(Arc<AtomicUsize>);

impl AtWork {
    fn on(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter.clone())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The loop over finalised blocks.
pub struct AuditLoop<M, E> {
    worker: Arc<Worker<M, E>>,
    appeals: Appeals,
    disputes: Disputes,
    sample: Sample,
    tasks: JoinSet<(JobId, Result<Acted>)>,
    /// Jobs that have a task.
    busy: HashSet<JobId>,
    /// Open cases, and the block from which on to look at each.
    cases: HashMap<JobId, BlockNumber>,
    /// Replays that failed, and the block from which on to try again.
    failed: HashMap<JobId, BlockNumber>,
    /// Commitments that no replay opens.
    lost: HashSet<JobId>,
    /// What was reported, so that it is said once.
    said: HashSet<(JobId, &'static str)>,
    last: Option<BlockNumber>,
    /// For results that the journal does not know, in a new one.
    search: Option<Search>,
    /// No new work: only what was committed is revealed.
    draining: bool,
}

impl<M: Market, E: Executor> AuditLoop<M, E> {
    /// A loop for the seats of the worker's account.
    pub fn new(worker: Arc<Worker<M, E>>, appeals: Appeals) -> Self {
        Self {
            worker,
            appeals,
            disputes: Disputes::default(),
            sample: Sample::default(),
            tasks: JoinSet::new(),
            busy: HashSet::new(),
            cases: HashMap::new(),
            failed: HashMap::new(),
            lost: HashSet::new(),
            said: HashSet::new(),
            last: None,
            search: None,
            draining: false,
        }
    }

    /// Looks unasked at others' results, too.
    pub fn with_disputes(mut self, disputes: Disputes) -> Self {
        self.disputes = disputes;
        self
    }

    /// Works until `shutdown`, then finishes the steps in hand.
    ///
    /// # Errors
    /// What cannot be cured by trying again: the journal cannot be written,
    /// the runtime no longer matches.
    pub async fn run(mut self, mut shutdown: Shutdown) -> Result<()> {
        for (job, _) in self.worker.journal.open_cases()? {
            self.cases.insert(job, 0);
        }
        let mut failures = 0;
        let mut next_look = Instant::now();
        let mut is_complete = self.worker.journal.is_complete()?;
        loop {
            tokio::select! {
                biased;
                () = shutdown.reached(Phase::Draining) => break,
                Some(ended) = self.tasks.join_next() => self.ended(ended)?,
                () = tokio::time::sleep_until(next_look) => {
                    let looked = tokio::select! {
                        looked = self.look_with(&mut is_complete) => looked,
                        () = shutdown.reached(Phase::Draining) => break,
                    };
                    let pace = self.worker.pace;
                    let wait = match looked {
                        Ok(()) => {
                            failures = 0;
                            pace.poll
                        }
                        Err(MarketError::Fatal(error)) => return Err(error),
                        Err(MarketError::Unavailable(cause)) => {
                            failures += 1;
                            self.worker.meters.trouble(Trouble::Unreachable);
                            tracing::debug!("cannot look at the audits: {cause}");
                            pace.retry(failures)
                        }
                    };
                    next_look = Instant::now() + wait;
                }
            }
        }
        self.drain(shutdown).await
    }

    /// Reveals what can be revealed now, and says what is left open.
    async fn drain(mut self, mut shutdown: Shutdown) -> Result<()> {
        self.draining = true;
        self.last = None;
        if let Some(Err(MarketError::Fatal(error))) = shutdown.unless_stopped(self.look()).await {
            return Err(error);
        }
        while let Some(Some(ended)) = shutdown.unless_stopped(self.tasks.join_next()).await {
            self.ended(ended)?;
        }
        let open = self.worker.journal.open_cases()?;
        let ballots = open.iter().filter(|(_, case)| case.role == Role::Auditor);
        let jobs: Vec<_> = ballots.map(|(job, _)| job.to_string()).collect();
        if !jobs.is_empty() {
            tracing::warn!(
                "stopping while audits are open (jobs {}): start again within their windows, a ballot that is not revealed is fined",
                jobs.join(", ")
            );
        }
        Ok(())
    }

    /// Takes note of a task's end.
    fn ended(
        &mut self,
        ended: std::result::Result<(JobId, Result<Acted>), tokio::task::JoinError>,
    ) -> Result<()> {
        let (job, acted) = ended.map_err(|error| {
            Error::new(Kind::Internal, "an audit's task ended unexpectedly").because(error)
        })?;
        self.busy.remove(&job);
        let head = self.last.unwrap_or_default();
        match acted? {
            Acted::Done => {
                self.cases.insert(job, 0);
            }
            Acted::NotReplayed(reason) => {
                self.worker.meters.trouble(Trouble::Replay);
                tracing::error!(job, "cannot replay this job for its audit: {reason}");
                self.failed
                    .insert(job, head.saturating_add(AFTER_FAILED_REPLAY));
            }
            Acted::NotFoundAgain(seat) => {
                self.lost.insert(job);
                tracing::error!(
                    job,
                    round = seat.round,
                    "the chain has a commitment of this account that neither the journal nor a replay opens: take the journal back from a backup before block {}, or {} is fined for each seat. Does another worker use this key, or was the key given in another form (as a seed instead of a phrase)?",
                    seat.until.saturating_add(seat.reveal_window),
                    Amount(seat.wrong_fine)
                );
            }
            Acted::NotAppealed { reason, until } => {
                tracing::error!(job, "no appeal is made: {reason}");
                self.cases.insert(job, until.saturating_add(1));
            }
        }
        Ok(())
    }

    /// Looks at the chain, and acts if there is a new finalised block.
    async fn look(&mut self) -> MarketResult<()> {
        let view = self.worker.market.finalized().await?;
        let head = view.head().number;
        if self.last.is_some_and(|last| head <= last) {
            return Ok(());
        }
        for seat in view.seats().await? {
            if !self.busy.contains(&seat.job) {
                self.bring_on(seat, head)?;
            }
        }
        let delivered = std::mem::take(&mut *self.worker.audits.list());
        self.cases.extend(delivered.into_iter().map(|job| (job, 0)));
        let due = self.cases.iter().filter(|(_, from)| **from <= head);
        let due: Vec<JobId> = due.map(|(job, _)| *job).collect();
        for job in due {
            if !self.busy.contains(&job) && !self.draining {
                self.follow(&view, job).await?;
            }
        }
        if self.disputes.sample_rate > 0.0 && !self.draining {
            let worker = self.worker.clone();
            let found = self.sample.next(&worker, &view, &self.disputes).await?;
            if let Some(job) = found.filter(|job| !self.busy.contains(&job.id)) {
                self.spawn(job.id, async move { worker.look_unasked(job).await });
            }
        }
        self.last = Some(head);
        Ok(())
    }

    /// Does the next step for a seat.
    fn bring_on(&mut self, seat: SeatView<AccountId>, head: BlockNumber) -> Result<()> {
        let worker = self.worker.clone();
        let case = worker.journal.case(seat.job)?;
        let (genesis, account) = (worker.market.genesis(), worker.market.account());
        let job = seat.job;
        match seat_step(&seat, case.as_ref(), &genesis, &account) {
            SeatStep::Replay if self.draining => {}
            SeatStep::Replay if !worker.executor.serves(seat.model) => {
                self.say_once(job, "no model", || {
                    tracing::error!(
                        job,
                        "drawn to audit a job of model {}, which is not loaded here: start the worker with `--model` and its folder before block {}, or the {} seat(s) stay silent and are fined {} each",
                        shown(seat.model),
                        seat.until,
                        seat.seats,
                        Amount(if seat.excused { 0 } else { seat.silent_fine })
                    );
                });
            }
            SeatStep::Replay => {
                if self.failed.get(&job).is_none_or(|from| *from <= head) {
                    let work = async move { worker.replay_and_commit(seat, case, head).await };
                    self.spawn(job, work);
                }
            }
            SeatStep::Commit(cast) => {
                self.spawn(job, async move { worker.commit(job, &cast).await });
            }
            SeatStep::Reveal(cast) => {
                self.spawn(job, async move { worker.reveal(job, &cast).await });
            }
            SeatStep::Wait => {}
            SeatStep::FindAgain if self.draining || self.lost.contains(&job) => {}
            SeatStep::FindAgain => {
                if self.failed.get(&job).is_none_or(|from| *from <= head) {
                    let work = async move { worker.find_again(seat, case, head).await };
                    self.spawn(job, work);
                }
            }
            SeatStep::Missed => self.say_once(job, "missed", || {
                tracing::error!(
                    job,
                    round = seat.round,
                    "the time to audit this job is over, and this worker did not act: up to {} are fined per seat, and the worker may be chilled",
                    Amount(seat.silent_fine.max(seat.wrong_fine))
                );
            }),
        }
        Ok(())
    }

    /// Looks at an open case.
    async fn follow(&mut self, view: &M::View, job: JobId) -> MarketResult<()> {
        let Some(case) = self.worker.journal.case(job)? else {
            self.cases.remove(&job);
            return Ok(());
        };
        if case.end.is_some() {
            self.cases.remove(&job);
            return Ok(());
        }
        let now = Now {
            head: view.head().number,
            nonce: view.nonce().await?,
        };
        let account = self.worker.market.account();
        let seen = view.job(job).await?;
        let has_audit = seen.as_ref().is_some_and(|seen| {
            matches!(
                seen.status,
                JobStatus::Decided | JobStatus::Slashing | JobStatus::Settled | JobStatus::Rejected
            )
        });
        let audit = if has_audit {
            view.audit(job).await?
        } else {
            None
        };
        let step = case_step(&case, seen.as_ref(), audit.as_ref(), &account, now);
        let defends = matches!(step, CaseStep::Appeal { .. } | CaseStep::Resubmit(_));
        if defends && case.role != Role::Disputer {
            self.say_once(job, "against", || say_against(job, case.role));
        }
        let worker = self.worker.clone();
        match (step, seen) {
            (CaseStep::Look(at), _) => {
                self.cases.insert(job, at);
            }
            (CaseStep::Progress, _) => {
                tracing::info!(job, "moving on a job whose deadline is over");
                self.spawn(job, async move { worker.progress(job).await });
            }
            (CaseStep::Appeal { until }, Some(seen)) => {
                let appeals = self.appeals;
                let work = async move { worker.appeal(seen, case, appeals, until).await };
                self.spawn(job, work);
            }
            // There is nothing to appeal against without a job.
            (CaseStep::Appeal { .. }, None) => {}
            (CaseStep::Resubmit(tx), _) => {
                self.spawn(job, async move { worker.resubmit_appeal(job, &tx).await });
            }
            (CaseStep::End(end), seen) => self.close(job, case, end, seen, audit)?,
        }
        Ok(())
    }

    /// Writes down how a case ended, and says it.
    fn close(
        &mut self,
        job: JobId,
        mut case: Case,
        end: CaseEnd,
        seen: Option<JobView<AccountId>>,
        audit: Option<AuditView<AccountId>>,
    ) -> Result<()> {
        case.end = Some(end);
        self.worker.journal.put_case(job, &case)?;
        self.cases.remove(&job);
        self.failed.remove(&job);
        self.lost.remove(&job);
        self.said.retain(|(said, _)| *said != job);
        let account = self.worker.market.account();
        let slashes = audit.iter().flat_map(|audit| &audit.slashes);
        let slash = slashes
            .filter(|slash| slash.who == account)
            .fold(0u128, |sum, slash| sum.saturating_add(slash.amount));
        let meters = &self.worker.meters;
        meters.case_ended(end);
        meters.slashed(slash);
        if let Some(job) = seen.as_ref().filter(|_| end == CaseEnd::Paid) {
            meters.earned(net(job));
        }
        let failed = matches!(end, CaseEnd::Rejected | CaseEnd::Overruled);
        let bonds = audit
            .iter()
            .flat_map(|audit| [&audit.dispute, &audit.appeal])
            .flatten();
        for bond in bonds.filter(|bond| failed && bond.who == account) {
            meters.lost_bond(bond.amount);
        }
        let slash = Amount(slash);
        match end {
            CaseEnd::Paid => {
                let fee = Amount(seen.and_then(|job| job.fee).unwrap_or_default());
                tracing::info!(job, %fee, "the result is paid (fee before the chain's shares)");
            }
            CaseEnd::Rejected => tracing::error!(
                job,
                "REJECTED for good: auditors found this worker's result wrong; {slash} of stake is slashed after the delay, and the worker is chilled. Check the machine (`replay` of another job, memory, the model's files) before `register` activates it again; governance can cancel the slash until it is executed"
            ),
            CaseEnd::Upheld => tracing::info!(job, "audit over: the verdict is this worker's"),
            CaseEnd::Overruled => tracing::error!(
                job,
                "audit over: the verdict is not this worker's; {slash} of stake is slashed after the delay. If this repeats, check the machine and the model's files"
            ),
            CaseEnd::Undecided => tracing::info!(job, "audit over without a verdict"),
            CaseEnd::Silent => tracing::error!(
                job,
                "audit over, and no ballot of this worker counted; {slash} of stake is slashed after the delay"
            ),
            CaseEnd::NotDisputed => tracing::info!(job, "the dispute was not taken"),
            CaseEnd::Pruned => {
                tracing::warn!(job, "the chain has dropped this job's record");
            }
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        job: JobId,
        work: impl std::future::Future<Output = Result<Acted>> + Send + 'static,
    ) {
        self.busy.insert(job);
        self.tasks.spawn(async move { (job, work.await) });
    }

    fn say_once(&mut self, job: JobId, what: &'static str, say: impl FnOnce()) {
        if self.said.insert((job, what)) {
            say();
        }
    }
}

/// What a worker gets of a result's fee.
fn net(job: &JobView<AccountId>) -> Balance {
    let fee = job.fee.unwrap_or_default();
    let share = job.terms.protocol_share.mul_floor(fee);
    fee.saturating_sub(share)
        .saturating_sub(job.premium.unwrap_or_default())
}

fn say_against(job: JobId, role: Role) {
    match role {
        Role::Author => tracing::error!(
            job,
            "auditors found this worker's result wrong; it is replayed, and an appeal is made if it is right"
        ),
        // It made its case when it disputed.
        Role::Disputer => {}
        Role::Auditor => tracing::error!(
            job,
            "outvoted: the verdict on this job is not this worker's; it is replayed once more, and an appeal is made if that confirms the ballot"
        ),
    }
}
