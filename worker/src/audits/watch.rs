//! Looks unasked at some of others' results, and disputes those that are wrong
//! if that pays.
//!
//! Off unless a rate is set. A drawn share of the results on the models served
//! is replayed while they can be disputed, with capacity that nothing else
//! needs: never while a job or an audit of this worker's own is computed. Which
//! ones are looked at follows from the key, so a cheat cannot tell.

use super::{
    act::{outcome, Acted, KEPT},
    compare::check,
    question::Question,
};
use crate::{
    amount::{Amount, GEN},
    error::Result,
    executor::{Cancel, Executor},
    job_loop::{time_until, StopOnDrop, Worker},
    journal::{Case, Role, SignedTx},
    market::{AccountId, Market, MarketError, MarketResult, TxOutcome, View},
    metrics::Call,
};
use codec::Encode;
use genesisflow_primitives::{views::JobView, Balance, BlockNumber, JobId, JobStatus};
use std::{collections::BTreeMap, time::Instant};

/// Blocks between two looks at a job that cannot be disputed yet.
const LOOK_EVERY: BlockNumber = 2;
/// Blocks that a dispute needs before the review is over.
const SPARE_BLOCKS: BlockNumber = 4;
/// Jobs that are waited for at most; what is drawn beyond is left alone.
const MOST_WATCHED: usize = 1_000;

/// Which results to look at unasked, and when to dispute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disputes {
    /// Share of others' results to replay, from 0 (none) to 1 (all).
    pub sample_rate: f64,
    /// How sure it is, in thousandths, that auditors will find wrong what a
    /// replay here finds wrong. What is missing stands for rounds without a
    /// verdict and for machines that err.
    pub confidence_permille: u32,
    /// The least gain to expect, in base units; less is not worth the trouble
    /// and the transaction's fee.
    pub least_gain: Balance,
    /// The largest bond to put up, in base units; none: any.
    pub largest_bond: Option<Balance>,
}

impl Default for Disputes {
    fn default() -> Self {
        Self {
            sample_rate: 0.0,
            confidence_permille: 900,
            least_gain: GEN / 100,
            largest_bond: None,
        }
    }
}

impl Disputes {
    /// Whether a dispute pays: the reward, as often as it is to be expected,
    /// less the bond, as often as it is lost.
    ///
    /// # Errors
    /// Why it does not.
    pub fn pays(&self, bond: Balance, reward: Balance) -> std::result::Result<(), String> {
        if let Some(most) = self.largest_bond.filter(|most| bond > *most) {
            return Err(format!(
                "its bond of {} is above the limit of {}",
                Amount(bond),
                Amount(most)
            ));
        }
        let sure = Balance::from(self.confidence_permille.min(1_000));
        let part = |amount: Balance, permille: Balance| {
            amount / 1_000 * permille + amount % 1_000 * permille / 1_000
        };
        let (gain, loss) = (part(reward, sure), part(bond, 1_000 - sure));
        if gain < loss.saturating_add(self.least_gain) {
            return Err(format!(
                "{} to win do not make up for a bond of {} that may be lost",
                Amount(reward),
                Amount(bond)
            ));
        }
        Ok(())
    }
}

/// The jobs that were drawn to be looked at.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// All jobs before this one have been drawn or not.
    next: Option<JobId>,
    /// Those drawn, and the block from which on to look at each.
    watched: BTreeMap<JobId, BlockNumber>,
}

/// What to do about a job that was drawn.
enum Look {
    /// It cannot be disputed yet.
    Later,
    /// It cannot be disputed any more, or not by this worker.
    Drop,
    /// Its result is there, and not paid yet.
    Now,
}

impl Sample {
    /// Draws among the jobs that are new.
    fn draw<M: Market>(&mut self, market: &M, rate: f64, end: JobId, head: BlockNumber) {
        // Those before the start are other runs' jobs.
        for job in self.next.unwrap_or(end)..end {
            let drawn = market.secret(&("sample", job).encode());
            let drawn = drawn
                .0
                .first_chunk()
                .map_or(0, |first| u32::from_le_bytes(*first));
            let is_in = f64::from(drawn) < rate * f64::from(u32::MAX);
            if is_in && self.watched.len() < MOST_WATCHED {
                self.watched.insert(job, head);
            }
        }
        self.next = Some(end);
    }

    /// Finds the next result to look at.
    pub(super) async fn next<M: Market, E: Executor>(
        &mut self,
        worker: &Worker<M, E>,
        view: &M::View,
        disputes: &Disputes,
    ) -> MarketResult<Option<JobView<AccountId>>> {
        let head = view.head().number;
        let end = view.next_job().await?;
        self.draw(&worker.market, disputes.sample_rate, end, head);
        let due = self.watched.iter().filter(|(_, from)| **from <= head);
        let due: Vec<JobId> = due.map(|(job, _)| *job).collect();
        for id in due {
            let Some(job) = view.job(id).await? else {
                self.watched.remove(&id);
                continue;
            };
            match look(worker, disputes, &job, head) {
                Look::Later => {
                    self.watched.insert(id, head.saturating_add(LOOK_EVERY));
                }
                Look::Drop => {
                    self.watched.remove(&id);
                }
                // Asked again at the next block.
                Look::Now if !worker.audits.is_idle() => {}
                Look::Now => {
                    self.watched.remove(&id);
                    return Ok(Some(job));
                }
            }
        }
        Ok(None)
    }
}

fn look<M: Market, E: Executor>(
    worker: &Worker<M, E>,
    disputes: &Disputes,
    job: &JobView<AccountId>,
    head: BlockNumber,
) -> Look {
    let me = Some(worker.market.account());
    let is_own = job.worker == me || Some(job.requester) == me;
    if is_own || !worker.executor.serves(job.model) {
        return Look::Drop;
    }
    match job.status {
        JobStatus::Open | JobStatus::Claimed | JobStatus::Delivered => Look::Later,
        JobStatus::Review if head.saturating_add(SPARE_BLOCKS) < job.until => {
            let (bond, reward) = stakes(job);
            match disputes.pays(bond, reward) {
                Ok(()) => Look::Now,
                // Whatever is wrong with it.
                Err(_) => Look::Drop,
            }
        }
        _ => Look::Drop,
    }
}

/// The bond of a dispute of a job, and its reward.
fn stakes(job: &JobView<AccountId>) -> (Balance, Balance) {
    let worst_case = job.worst_case_fee.unwrap_or_default();
    let fee = job.fee.unwrap_or_default();
    (job.terms.audit.dispute_bond(fee, worst_case), worst_case)
}

impl<M: Market, E: Executor> Worker<M, E> {
    /// Replays a result that can be disputed, and disputes it if it is wrong.
    pub(super) async fn look_unasked(&self, seen: JobView<AccountId>) -> Result<Acted> {
        match self.find_fault(&seen).await {
            Ok(None) => return Ok(Acted::Done),
            Ok(Some(difference)) => tracing::warn!(
                job = seen.id,
                "this result of another worker, looked at unasked, is wrong: {difference}"
            ),
            Err(MarketError::Fatal(error)) => return Err(error),
            Err(MarketError::Unavailable(cause)) => {
                tracing::debug!(job = seen.id, "cannot look at this result: {cause}");
                return Ok(Acted::Done);
            }
        }
        let (bond, _) = stakes(&seen);
        tracing::warn!(job = seen.id, "disputing with a bond of {}", Amount(bond));
        let mut note = |tx: &SignedTx| {
            let mut case = Case::new(seen.model.0, Role::Disputer);
            case.appeal = Some(tx.clone());
            self.journal.put_case(seen.id, &case)
        };
        let start = Instant::now();
        let sent = self.market.dispute(seen.id, &mut note).await;
        let outcome = outcome(&self.meters, seen.id, Call::Dispute, start, sent).await?;
        if outcome == TxOutcome::Succeeded {
            tracing::info!(job = seen.id, "disputed: auditors are drawn");
        }
        Ok(Acted::Done)
    }

    /// What is wrong with a result, if something is and a dispute can be paid.
    async fn find_fault(&self, seen: &JobView<AccountId>) -> MarketResult<Option<String>> {
        if self.journal.case(seen.id)?.is_some() {
            return Ok(None);
        }
        let view = self.market.finalized().await?;
        let (bond, _) = stakes(seen);
        let free = view.free_balance().await?;
        if free < bond.saturating_add(KEPT) {
            tracing::debug!(
                job = seen.id,
                "not looked at: a bond of {} could not be paid",
                Amount(bond)
            );
            return Ok(None);
        }
        let (input, result) = (view.job_input(seen.id).await?, view.result(seen.id).await?);
        let (Some(input), Some(result)) = (input, result) else {
            return Ok(None);
        };
        let Some(question) = Question::of_job(seen, input, result, self.market.genesis()) else {
            return Ok(None);
        };
        let left = time_until(seen.until.saturating_sub(SPARE_BLOCKS), view.head().number);
        let cancel = Cancel::default();
        let _stop = StopOnDrop(cancel.clone());
        let start = Instant::now();
        match tokio::time::timeout(left, check(&self.executor, question, cancel)).await {
            Ok(Ok(found)) => {
                self.meters.replayed(start.elapsed());
                Ok(found.difference.map(|difference| difference.to_string()))
            }
            Ok(Err(error)) => {
                tracing::debug!(job = seen.id, "not looked at: {error}");
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispute_must_pay_on_average() {
        let disputes = Disputes {
            least_gain: 5,
            ..Disputes::default()
        };
        // 90 to win on average, 10 to lose, 5 wanted.
        assert_eq!(disputes.pays(100, 100), Ok(()));
        assert!(disputes.pays(850, 100).is_ok());
        assert!(disputes.pays(860, 100).is_err());
        assert!(disputes.pays(0, 5).is_err());
        let sure = Disputes {
            confidence_permille: 1_000,
            ..disputes
        };
        assert!(sure.pays(Balance::MAX, 5).is_ok());
        let poor = Disputes {
            largest_bond: Some(99),
            ..disputes
        };
        assert!(poor.pays(100, 100).unwrap_err().contains("above the limit"));
        assert!(disputes.pays(Balance::MAX, Balance::MAX).is_ok());
    }
}
