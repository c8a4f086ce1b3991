//! One job, from its claim to its end.

use super::Worker;
use crate::{
    error::Result,
    executor::{Assignment, Cancel, ExecutionError, Executor},
    journal::{Delivery, Outcome, Record, SignedTx, Stage},
    market::{AccountId, InFlight, Market, MarketError, MarketResult, TxOutcome, View},
    metrics::{Call, Trouble},
    pause::PausePoint,
    recovery::{next_step, Now, Standing, Step},
};
use genesisflow_primitives::{
    sampling_seed, views::JobView, BlockNumber, JobId, ModelId, Usage, H256, SECONDS_PER_BLOCK,
};
use std::time::{Duration, Instant};

/// How often the chain may refuse a delivery before it is given up.
const MOST_REFUSALS: u32 = 3;

/// How a job's task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing is left to do.
    Over,
    /// The chain refused the claim.
    Refused,
    /// The job cannot be brought on by this process.
    GivenUp,
    /// Its model is not served for now.
    NotServed,
}

/// Everything that decides the result of `job`.
pub fn assignment(job: &JobView<AccountId>, input: Vec<u8>, genesis: H256) -> Assignment {
    Assignment {
        job: job.id,
        model: job.model,
        input,
        options: job.options,
        seed: sampling_seed(&genesis, job.id, &job.options.seed),
        max_input_units: job.terms.max_input_units,
        max_output_units: job.terms.max_output_units,
        max_output_bytes: job.terms.max_output_bytes,
        max_evidence_bytes: job.terms.max_evidence_bytes,
    }
}

/// What one look at the chain and the journal says about a job.
struct Look<V> {
    view: V,
    job: Option<JobView<AccountId>>,
    record: Option<Record>,
    step: Step,
}

impl<M: Market, E: Executor> Worker<M, E> {
    /// Claims a job and brings it to its end.
    pub async fn claim_and_drive(&self, job: JobId, model: ModelId) -> Result<End> {
        let mut note = |tx: &SignedTx| {
            let stage = Stage::Claiming { tx: tx.clone() };
            self.journal.put(job, &Record::new(model.0, stage))
        };
        let mut refused = false;
        let start = Instant::now();
        match self.market.claim(job, &mut note).await {
            Ok(in_flight) => {
                let outcome = in_flight.await;
                match &outcome {
                    TxOutcome::Succeeded => self.meters.claimed(Some(true)),
                    TxOutcome::Failed { error } => {
                        tracing::info!(job, "the claim was refused: {error}");
                        self.meters.claimed(Some(false));
                        refused = true;
                    }
                    TxOutcome::Unknown { .. } => self.meters.claimed(None),
                }
                if !matches!(outcome, TxOutcome::Unknown { .. }) {
                    self.meters.finalized(Call::Claim, start.elapsed());
                }
            }
            Err(MarketError::Fatal(error)) => return Err(error),
            // It may have been sent: the chain will tell.
            Err(MarketError::Unavailable(cause)) => {
                self.meters.claimed(None);
                tracing::warn!(job, "the claim may not have been sent: {cause}");
            }
        }
        match self.drive(job, Some(start)).await? {
            End::Over if refused => Ok(End::Refused),
            end => Ok(end),
        }
    }

    /// Brings a job to its end from wherever it is. `since` says when its claim
    /// was signed, if this process did that.
    pub async fn drive(&self, job: JobId, since: Option<Instant>) -> Result<End> {
        let mut spent = Spent {
            since,
            computing: None,
        };
        let mut failures = 0;
        let mut refusals = 0;
        // A run that took longer than the deadline is not started again.
        let mut out_of_time = false;
        loop {
            let look = match self.look_at(job).await {
                Ok(look) => look,
                Err(MarketError::Fatal(error)) => return Err(error),
                Err(MarketError::Unavailable(cause)) => {
                    failures += 1;
                    tracing::debug!(job, "the chain does not answer: {cause}");
                    tokio::time::sleep(self.pace.retry(failures)).await;
                    continue;
                }
            };
            let mut sending = None;
            let sent = match look.step {
                Step::Rest => return Ok(End::Over),
                Step::Finish(outcome) => return self.finish(job, look, outcome, spent),
                Step::Wait => {
                    tokio::time::sleep(self.pace.poll).await;
                    continue;
                }
                Step::Execute if out_of_time => {
                    tokio::time::sleep(self.pace.poll).await;
                    continue;
                }
                Step::Execute => match self.execute(look).await {
                    Ok(Executed::Computed(took)) => {
                        failures = 0;
                        spent.computing = Some(took);
                        continue;
                    }
                    Ok(Executed::OutOfTime) => {
                        out_of_time = true;
                        continue;
                    }
                    Ok(Executed::Refused) => return Ok(End::GivenUp),
                    Ok(Executed::NotServed) => return Ok(End::NotServed),
                    Err(error) => Err(error),
                },
                Step::Deliver => {
                    sending = Some(Instant::now());
                    self.deliver(job, look).await
                }
                Step::Resubmit(tx) => self.market.resubmit(&tx).await,
            };
            let outcome = match sent {
                Ok(in_flight) => {
                    self.pause.at(PausePoint::AfterSubmit);
                    in_flight.await
                }
                Err(MarketError::Fatal(error)) => return Err(error),
                Err(MarketError::Unavailable(reason)) => TxOutcome::Unknown { reason },
            };
            match outcome {
                TxOutcome::Succeeded => {
                    if let Some(start) = sending {
                        self.meters.finalized(Call::Deliver, start.elapsed());
                    }
                }
                TxOutcome::Failed { error } => {
                    refusals += 1;
                    self.meters.trouble(Trouble::Refused);
                    tracing::warn!(job, "the chain refused the delivery: {error}");
                    if refusals >= MOST_REFUSALS {
                        tracing::error!(
                            job,
                            "giving up after {refusals} refused deliveries; the result stays in the journal and is tried again at the next start"
                        );
                        return Ok(End::GivenUp);
                    }
                }
                TxOutcome::Unknown { reason } => {
                    failures += 1;
                    tracing::debug!(job, "not known yet whether the delivery is in: {reason}");
                    // Soon, because the deadline does not wait.
                    tokio::time::sleep(self.pace.retry(failures.min(4))).await;
                }
            }
        }
    }

    async fn look_at(&self, job: JobId) -> MarketResult<Look<M::View>> {
        let view = self.market.finalized().await?;
        let now = Now {
            head: view.head().number,
            nonce: view.nonce().await?,
        };
        let seen = view.job(job).await?;
        let standing = Standing::of(seen.as_ref(), self.market.account());
        let record = self.journal.get(job)?;
        let step = next_step(standing, record.as_ref().map(|record| &record.stage), now);
        Ok(Look {
            view,
            job: seen,
            record,
            step,
        })
    }

    fn finish(
        &self,
        job: JobId,
        look: Look<M::View>,
        outcome: Outcome,
        spent: Spent,
    ) -> Result<End> {
        let model = match (&look.record, &look.job) {
            (Some(record), _) => record.model,
            (None, Some(job)) => job.model.0,
            (None, None) => [0; 32],
        };
        let record = Record::new(model, Stage::Done { outcome });
        if outcome == Outcome::Delivered {
            self.journal.put_delivered(job, &record)?;
            self.audits.delivered(job);
        } else {
            self.journal.put(job, &record)?;
        }
        self.meters.job_ended(outcome);
        match outcome {
            Outcome::Delivered => {
                let fee = look.job.and_then(|job| job.fee).unwrap_or_default();
                let fee = crate::amount::Amount(fee);
                match spent.since.map(|since| since.elapsed()) {
                    Some(total) => {
                        self.meters.delivered(total);
                        let computing = spent.computing.unwrap_or_default();
                        tracing::info!(
                            job,
                            %fee,
                            seconds = total.as_secs_f64(),
                            computing = computing.as_secs_f64(),
                            "delivered"
                        );
                    }
                    None => tracing::info!(job, %fee, "delivered"),
                }
            }
            Outcome::NotClaimed => tracing::info!(job, "not claimed"),
            Outcome::Late => {
                if let Some(job) = &look.job {
                    let worst_case = job.worst_case_fee.unwrap_or(job.max_fee);
                    let share = job.terms.late_share.mul_floor(worst_case);
                    self.meters.paid_for_late(share);
                }
                tracing::error!(job, "the deadline passed before the result was delivered");
            }
            Outcome::Pruned => tracing::warn!(job, "the chain has dropped this job's record"),
        }
        Ok(End::Over)
    }

    /// Runs a job and writes the result to the journal.
    async fn execute(&self, look: Look<M::View>) -> MarketResult<Executed> {
        let Some(job) = look.job else {
            return Ok(Executed::OutOfTime);
        };
        let claimed = look
            .record
            .is_some_and(|record| record.stage == Stage::Claimed);
        if !claimed {
            self.journal
                .put(job.id, &Record::new(job.model.0, Stage::Claimed))?;
        }
        self.pause.at(PausePoint::AfterClaim);
        if !self.executor.serves(job.model) {
            tracing::error!(
                job = job.id,
                "this job is ours until block {}, but its model {} is not served: if its files are not reported as changed, start the worker with `--model` and its folder",
                job.until,
                crate::model_store::shown(job.model)
            );
            return Ok(Executed::NotServed);
        }
        let Some(input) = look.view.job_input(job.id).await? else {
            return Err(MarketError::Unavailable(format!(
                "the chain has no input of job {}",
                job.id
            )));
        };
        let left = time_until(job.until, look.view.head().number);
        let cancel = Instant::now()
            .checked_add(left)
            .map_or_else(Cancel::default, Cancel::due);
        // Also when this task is dropped: the engine must not go on for nothing.
        let _stop = StopOnDrop(cancel.clone());
        let _counted = (self.audits.computing(), self.meters.computing());
        let start = Instant::now();
        let assignment = assignment(&job, input, self.market.genesis());
        // With what is queued now; the job's own part is put right below.
        let estimate = self.executor.estimate(&assignment).await.ok();
        let run = self.executor.execute(assignment, cancel);
        match tokio::time::timeout(left, run).await {
            Ok(Ok(delivery)) => {
                tracing::info!(
                    job = job.id,
                    input = delivery.claim.usage.input,
                    output = delivery.claim.usage.output,
                    "computed (tokens)"
                );
                let took = start.elapsed();
                let usage = delivery.claim.usage;
                self.meters.computed(usage, took);
                if let Some(estimate) = estimate {
                    self.learn(&job, usage, estimate, took)?;
                }
                let stage = Stage::Computed { delivery };
                self.journal.put(job.id, &Record::new(job.model.0, stage))?;
                Ok(Executed::Computed(took))
            }
            Ok(Err(ExecutionError::Refused(reason))) => {
                self.meters.trouble(Trouble::Execution);
                tracing::error!(job = job.id, "cannot run a claimed job: {reason}");
                Ok(if self.executor.serves(job.model) {
                    Executed::Refused
                } else {
                    Executed::NotServed
                })
            }
            Ok(Err(ExecutionError::Cancelled)) | Err(_) => {
                self.meters.trouble(Trouble::Execution);
                tracing::error!(job = job.id, "the run did not end before its deadline");
                Ok(Executed::OutOfTime)
            }
        }
    }

    /// Learns how long jobs take here from one that was expected to take
    /// `estimate` at its longest.
    fn learn(
        &self,
        job: &JobView<AccountId>,
        usage: Usage,
        estimate: Duration,
        took: Duration,
    ) -> Result<()> {
        let longest = Usage {
            input: job.terms.max_input_units,
            output: job.terms.max_output_units,
        };
        let work = |units| self.executor.work(job.model, units);
        let expected = estimate
            .saturating_sub(work(longest))
            .saturating_add(work(usage));
        let before = self.journal.speed(job.model)?.unwrap_or_default();
        let now = before.learn(expected, took);
        if now == before {
            return Ok(());
        }
        tracing::debug!(
            job = job.id,
            "took {:.2} s, expected {:.2} s",
            took.as_secs_f64(),
            expected.as_secs_f64()
        );
        self.journal.set_speed(job.model, now)
    }

    /// Signs the result in the journal and submits it.
    async fn deliver(&self, job: JobId, look: Look<M::View>) -> MarketResult<InFlight> {
        let Some((model, delivery)) = look.record.and_then(result_in) else {
            return Err(MarketError::Unavailable(
                "the journal has no result yet".into(),
            ));
        };
        let mut note = |tx: &SignedTx| {
            let stage = Stage::Submitted {
                delivery: delivery.clone(),
                tx: tx.clone(),
            };
            self.journal.put(job, &Record::new(model, stage))?;
            self.pause.at(PausePoint::BeforeSubmit);
            Ok(())
        };
        self.market.deliver(job, &delivery, &mut note).await
    }
}

/// Where a job's time went.
#[derive(Clone, Copy, Debug)]
struct Spent {
    /// When its claim was signed, if by this process.
    since: Option<Instant>,
    /// How long its result took, if this process computed it.
    computing: Option<Duration>,
}

enum Executed {
    /// The result is in the journal; it took so long.
    Computed(Duration),
    OutOfTime,
    Refused,
    NotServed,
}

fn result_in(record: Record) -> Option<([u8; 32], Delivery)> {
    match record.stage {
        Stage::Computed { delivery } | Stage::Submitted { delivery, .. } => {
            Some((record.model, delivery))
        }
        _ => None,
    }
}

/// The time in which the chain gets from block `head` to `block`.
pub(crate) fn time_until(block: BlockNumber, head: BlockNumber) -> Duration {
    let blocks = block.saturating_sub(head);
    Duration::from_secs(u64::from(blocks) * u64::from(SECONDS_PER_BLOCK))
}

/// Stops a run when it is dropped.
pub(crate) struct StopOnDrop(pub(crate) Cancel);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
