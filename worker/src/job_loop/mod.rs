//! The worker at work: looks at every finalised block, brings its jobs on and
//! claims new ones.
//!
//! Each job has one task (`drive.rs`) from its claim to its end. What a task
//! does next depends on finalised state and the journal alone
//! ([`crate::recovery::next_step`]), so a task can be started at any point of
//! a job's life: after a claim, or after a restart.

pub mod choice;
mod drive;
#[cfg(test)]
pub(crate) mod fake_market;
pub mod speed;
#[cfg(test)]
mod tests;

pub(crate) use drive::{assignment, time_until, StopOnDrop};

use crate::{
    audits::Desk,
    error::{Error, Kind, Result},
    executor::{ExecutionError, Executor},
    journal::{Head, Journal},
    market::{AccountId, Market, MarketError, MarketResult, View},
    metrics::{Meters, Trouble},
    model_store::shown,
    pause::Pause,
    shutdown::{Phase, Shutdown},
};
use choice::{Fit, Terms, Unfit};
use drive::End;
use genesisflow_primitives::{
    views::{JobSummary, OfferView},
    Balance, BlockNumber, JobId, ModelId,
};
use std::{
    collections::{hash_map::Entry, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

/// Blocks between two comparisons of the whole journal with the chain.
const RECONCILE_EVERY: BlockNumber = 100;
/// Blocks between two notes of the finalised block in the journal.
const NOTE_HEAD_EVERY: BlockNumber = 16;
/// How many blocks behind a node may be that stands in for another.
const LONGEST_STEP_BACK: BlockNumber = 30;
/// Blocks after which a job of ours is looked at again whose model is not served.
const UNTIL_SERVED: BlockNumber = 10;
/// Blocks for which a job is left alone after the chain refused to let us claim it.
const AFTER_REFUSED_CLAIM: BlockNumber = 50;

/// How often to look, and how long to wait after a failure.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks at the chain.
    pub poll: Duration,
    /// After the first failure in a row; doubles with each further one.
    pub first_retry: Duration,
    /// The longest wait after a failure.
    pub longest_retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(500),
            first_retry: Duration::from_millis(500),
            longest_retry: Duration::from_secs(10),
        }
    }
}

impl Pace {
    /// How long to wait after `failures` failures in a row.
    pub(crate) fn retry(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        self.first_retry
            .saturating_mul(1 << doublings)
            .min(self.longest_retry)
    }
}

/// What the tasks of jobs and audits share.
pub struct Worker<M, E> {
    /// The chain.
    pub market: M,
    /// What runs the jobs.
    pub executor: E,
    /// What must not be forgotten.
    pub journal: Journal,
    /// Waiting times.
    pub pace: Pace,
    /// Where to pause, in crash tests.
    pub pause: Pause,
    /// What this loop and the audits tell each other.
    pub audits: Desk,
    /// What is measured.
    pub meters: Meters,
}

/// A job that has a task.
struct Active {
    model: ModelId,
    exposure: Balance,
    /// Whether finalised state has counted its claim.
    counted: bool,
}

/// The loop over finalised blocks.
pub struct JobLoop<M, E> {
    worker: Arc<Worker<M, E>>,
    models: Vec<ModelId>,
    tasks: JoinSet<(JobId, Result<End>)>,
    active: HashMap<JobId, Active>,
    /// Jobs to leave alone, and until which block.
    declined: HashMap<JobId, BlockNumber>,
    /// Models that were reported as not offered.
    unoffered: HashSet<ModelId>,
    /// Open jobs seen at the present look.
    open: usize,
    last: Option<Head>,
    reconciled_at: Option<BlockNumber>,
    noted_at: Option<BlockNumber>,
}

impl<M: Market, E: Executor> JobLoop<M, E> {
    /// A loop for `models`, which the worker's executor must serve.
    pub fn new(worker: Arc<Worker<M, E>>, models: Vec<ModelId>) -> Self {
        Self {
            worker,
            models,
            tasks: JoinSet::new(),
            active: HashMap::new(),
            declined: HashMap::new(),
            unoffered: HashSet::new(),
            open: 0,
            last: None,
            reconciled_at: None,
            noted_at: None,
        }
    }

    /// Works until `shutdown`, then brings the jobs in hand to an end.
    ///
    /// # Errors
    /// What cannot be cured by trying again: the journal cannot be written,
    /// the runtime no longer matches.
    pub async fn run(mut self, mut shutdown: Shutdown) -> Result<()> {
        let mut failures = 0;
        let mut next_look = tokio::time::Instant::now();
        loop {
            tokio::select! {
                biased;
                () = shutdown.reached(Phase::Draining) => break,
                Some(ended) = self.tasks.join_next() => self.ended(ended)?,
                () = tokio::time::sleep_until(next_look) => {
                    let looked = tokio::select! {
                        looked = self.look() => looked,
                        () = shutdown.reached(Phase::Draining) => break,
                    };
                    let wait = match looked {
                        Ok(()) => {
                            if failures > 0 {
                                tracing::info!("the chain answers again");
                            }
                            failures = 0;
                            self.worker.pace.poll
                        }
                        Err(MarketError::Fatal(error)) => return Err(error),
                        Err(MarketError::Unavailable(cause)) => {
                            failures += 1;
                            self.worker.meters.trouble(Trouble::Unreachable);
                            let wait = self.worker.pace.retry(failures);
                            tracing::warn!(
                                "cannot look at the chain ({cause}); next try in {:.1} s",
                                wait.as_secs_f64()
                            );
                            wait
                        }
                    };
                    next_look = tokio::time::Instant::now() + wait;
                }
            }
        }
        self.drain(shutdown).await
    }

    /// Waits for the jobs in hand, until the worker must stop.
    async fn drain(mut self, mut shutdown: Shutdown) -> Result<()> {
        while !self.tasks.is_empty() {
            tracing::info!("waiting for {} job(s) in hand", self.tasks.len());
            let Some(ended) = shutdown.unless_stopped(self.tasks.join_next()).await else {
                tracing::info!(
                    "stopped with {} job(s) in hand; the journal knows them, and the next start goes on with them",
                    self.tasks.len()
                );
                return Ok(());
            };
            if let Some(ended) = ended {
                self.ended(ended)?;
            }
        }
        Ok(())
    }

    /// Takes note of a task's end.
    fn ended(
        &mut self,
        ended: std::result::Result<(JobId, Result<End>), tokio::task::JoinError>,
    ) -> Result<()> {
        let (job, end) = ended.map_err(|error| {
            Error::new(Kind::Internal, "a job's task ended unexpectedly").because(error)
        })?;
        self.active.remove(&job);
        match end? {
            End::Over => {}
            End::Refused => {
                let head = self.last.map_or(0, |head| head.number);
                self.declined
                    .insert(job, head.saturating_add(AFTER_REFUSED_CLAIM));
            }
            End::NotServed => {
                let head = self.last.map_or(0, |head| head.number);
                self.declined.insert(job, head.saturating_add(UNTIL_SERVED));
            }
            End::GivenUp => {
                self.declined.insert(job, BlockNumber::MAX);
            }
        }
        Ok(())
    }

    /// Looks at the chain, and acts if there is a new finalised block.
    async fn look(&mut self) -> MarketResult<()> {
        let view = self.worker.market.finalized().await?;
        let head = view.head();
        if let Some(last) = self.last {
            if head.number.saturating_add(LONGEST_STEP_BACK) < last.number {
                return Err(went_back(last, head).into());
            }
            // A node behind the one asked before: its news are old.
            if head.number <= last.number {
                return Ok(());
            }
        }
        self.resume(&view).await?;
        // Audits come first: silence costs stake, another job is only more work.
        if !self.worker.audits.is_auditing() {
            self.open = 0;
            for index in 0..self.models.len() {
                self.claim_from(&view, self.models[index]).await?;
            }
            self.worker.meters.open(self.open);
        }
        let is_due = self
            .noted_at
            .is_none_or(|at| head.number >= at.saturating_add(NOTE_HEAD_EVERY));
        if is_due {
            self.worker.journal.set_head(head)?;
            self.noted_at = Some(head.number);
        }
        self.worker.meters.in_hand(self.active.len());
        self.last = Some(head);
        Ok(())
    }

    /// Starts a task for every job that should have one and has none.
    async fn resume(&mut self, view: &M::View) -> MarketResult<()> {
        let head = view.head().number;
        for claim in view.claims().await? {
            if let Some(active) = self.active.get_mut(&claim.job) {
                active.counted = true;
            } else if self.is_declined(claim.job, head) {
                continue;
            } else {
                tracing::info!(job = claim.job, "going on with a job claimed before");
                self.start(claim.job, claim.model, claim.exposure, true);
            }
        }
        let due = self
            .reconciled_at
            .is_none_or(|at| head >= at.saturating_add(RECONCILE_EVERY));
        if due {
            for (job, record) in self.worker.journal.unfinished()? {
                if !self.active.contains_key(&job) && !self.is_declined(job, head) {
                    tracing::info!(job, stage = record.stage.name(), "found in the journal");
                    self.start(job, record.model.into(), 0, true);
                }
            }
            self.worker.journal.prune()?;
            self.reconciled_at = Some(head);
        }
        Ok(())
    }

    /// Claims jobs on one model, as many as there is room for.
    async fn claim_from(&mut self, view: &M::View, model: ModelId) -> MarketResult<()> {
        if !self.worker.executor.serves(model) {
            return Ok(());
        }
        let Some(offer) = view.offer(model).await? else {
            if self.unoffered.insert(model) {
                tracing::warn!(
                    "this account has no offer for model {}: no jobs are claimed on it until you make one with `genesisflow-worker offer`",
                    shown(model)
                );
            }
            return Ok(());
        };
        self.unoffered.remove(&model);
        let pending = self
            .active
            .values()
            .filter(|active| active.model == model && !active.counted);
        let mut room = choice::room(&offer, pending.count().try_into().unwrap_or(u32::MAX));
        if room == 0 {
            return Ok(());
        }
        let account = self.worker.market.account();
        let mut jobs = view.open_jobs(model).await?;
        self.open += jobs.len();
        self.forget_declined(&jobs, view.head().number);
        choice::by_preference(&mut jobs, account);
        for summary in jobs {
            if room == 0 {
                return Ok(());
            }
            if self.active.contains_key(&summary.id)
                || self.is_declined(summary.id, view.head().number)
            {
                continue;
            }
            match self.decide(view, &summary, &offer).await? {
                Decision::Claim(fit) => {
                    tracing::info!(
                        job = summary.id,
                        fee = %crate::amount::Amount(fit.worst_case_fee),
                        "claiming (fee at most)"
                    );
                    self.start(summary.id, model, fit.exposure, false);
                    room -= 1;
                }
                Decision::Leave { reason, until } => {
                    let is_news = self.declined.insert(summary.id, until).is_none();
                    if is_news {
                        tracing::info!(job = summary.id, "left to others: {reason}");
                    }
                }
                Decision::Gone => {}
            }
        }
        Ok(())
    }

    /// Decides about one open job, cheapest checks first.
    async fn decide(
        &self,
        view: &M::View,
        summary: &JobSummary<AccountId>,
        offer: &OfferView<AccountId>,
    ) -> MarketResult<Decision> {
        let head = view.head().number;
        let Some(job) = view.job(summary.id).await? else {
            return Ok(Decision::Gone);
        };
        let reserved: Balance = self
            .active
            .values()
            .filter(|active| !active.counted)
            .map(|active| active.exposure)
            .fold(0, Balance::saturating_add);
        let terms = Terms {
            account: self.worker.market.account(),
            prices: offer.prices,
            min_fee: job.terms.min_fee,
            free_stake: offer.free_stake.saturating_sub(reserved),
            exposure_factor: job.terms.exposure_factor,
            head,
        };
        let fit = match choice::check(summary, &terms) {
            Ok(fit) => fit,
            Err(unfit) => return Ok(Decision::leave(unfit, head)),
        };
        let Some(input) = view.job_input(summary.id).await? else {
            return Ok(Decision::Gone);
        };
        let genesis = self.worker.market.genesis();
        let speed = self.worker.journal.speed(job.model)?.unwrap_or_default();
        let expected = match self
            .worker
            .executor
            .estimate(&assignment(&job, input, genesis))
            .await
        {
            Ok(expected) => expected,
            Err(ExecutionError::Cancelled) => return Ok(Decision::Gone),
            Err(ExecutionError::Refused(reason)) => {
                // For good, unless it is for want of the model.
                let is_served = self.worker.executor.serves(job.model);
                let until = if is_served { BlockNumber::MAX } else { head };
                return Ok(Decision::Leave { reason, until });
            }
        };
        Ok(
            match choice::check_deadline(speed.correct(expected), summary.deliver_window) {
                Ok(()) => Decision::Claim(fit),
                Err(unfit) => Decision::leave(unfit, head),
            },
        )
    }

    /// Starts a job's task; `claimed` says that no claim is to be sent.
    fn start(&mut self, job: JobId, model: ModelId, exposure: Balance, claimed: bool) {
        let Entry::Vacant(slot) = self.active.entry(job) else {
            return;
        };
        slot.insert(Active {
            model,
            exposure,
            counted: claimed,
        });
        let worker = self.worker.clone();
        self.tasks.spawn(async move {
            let end = if claimed {
                worker.drive(job, None).await
            } else {
                worker.claim_and_drive(job, model).await
            };
            (job, end)
        });
    }

    fn is_declined(&self, job: JobId, head: BlockNumber) -> bool {
        self.declined.get(&job).is_some_and(|until| head < *until)
    }

    /// Forgets decisions that have run out, so that the list stays small.
    fn forget_declined(&mut self, open: &[JobSummary<AccountId>], head: BlockNumber) {
        if self.declined.len() <= 2 * open.len() + 1_000 {
            return;
        }
        let open: HashSet<JobId> = open.iter().map(|job| job.id).collect();
        self.declined
            .retain(|job, until| head < *until && open.contains(job));
    }
}

fn went_back(last: Head, head: Head) -> Error {
    Error::new(
        Kind::WrongChain,
        format!(
            "the chain went back from finalised block {} to {}",
            last.number, head.number
        ),
    )
    .fix("if this is a development chain that was started anew, start the worker again: it puts its old journal aside; else check the node, which is not in sync")
}

/// What to do about an open job.
enum Decision {
    /// Claim it.
    Claim(Fit),
    /// Not before block `until`.
    Leave { reason: String, until: BlockNumber },
    /// It is not there any more.
    Gone,
}

impl Decision {
    fn leave(unfit: Unfit, head: BlockNumber) -> Self {
        Self::Leave {
            reason: unfit.to_string(),
            until: if unfit.may_pass() {
                head.saturating_add(2)
            } else {
                BlockNumber::MAX
            },
        }
    }
}
