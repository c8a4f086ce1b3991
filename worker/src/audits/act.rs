//! The steps of an audit, each a task that ends when the chain has taken it or
//! refused it. The next look at the chain decides what follows.

use super::{compare::check, next::commitment, question::Question};
use crate::{
    amount::Amount,
    error::{Error, Kind, Result},
    executor::{Cancel, ExecutionError, Executor},
    job_loop::{time_until, StopOnDrop, Worker},
    journal::{Case, CastBallot, Role, SignedTx},
    market::{AccountId, InFlight, Market, MarketError, MarketResult, TxOutcome, View},
    pause::PausePoint,
};
use genesisflow_primitives::{
    views::{JobView, SeatView},
    Balance, BlockNumber, JobId, GEN, H256,
};
use std::time::Duration;

/// How long a task waits for its transaction before the state is asked again:
/// windows may be short.
const PATIENCE: Duration = Duration::from_secs(10);
/// What an account keeps besides a bond, for transaction fees.
const KEPT: Balance = GEN / 10;

/// Whether and at what price to appeal against a verdict that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appeals {
    /// Whether to appeal at all.
    pub enabled: bool,
    /// The largest bond to put up, in base units; none: any.
    pub largest_bond: Option<Balance>,
}

impl Default for Appeals {
    fn default() -> Self {
        Self {
            enabled: true,
            largest_bond: None,
        }
    }
}

/// How a step ended.
#[derive(Debug)]
pub(super) enum Acted {
    /// It was done, or the chain will tell.
    Done,
    /// This machine cannot replay the job; why.
    NotReplayed(String),
    /// There is no appeal; why, and until which block there could have been.
    NotAppealed { reason: String, until: BlockNumber },
}

impl<M: Market, E: Executor> Worker<M, E> {
    /// Replays the job behind a seat, writes the ballot down and commits to it.
    pub(super) async fn replay_and_commit(
        &self,
        seat: SeatView<AccountId>,
        case: Option<Case>,
        head: BlockNumber,
    ) -> Result<Acted> {
        let job = seat.job;
        let question = Question::of_seat(&seat, self.market.genesis());
        let found = {
            let _first = self.audits.replaying();
            let cancel = Cancel::default();
            let _stop = StopOnDrop(cancel.clone());
            let replay = check(&self.executor, question, cancel);
            tokio::time::timeout(time_until(seat.until, head), replay).await
        };
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(ExecutionError::Refused(reason))) => return Ok(Acted::NotReplayed(reason)),
            Ok(Err(ExecutionError::Cancelled)) | Err(_) => {
                let reason = "the replay did not end before its deadline".into();
                return Ok(Acted::NotReplayed(reason));
            }
        };
        match &found.difference {
            None => tracing::info!(job, round = seat.round, "audited: the result is right"),
            Some(difference) => {
                tracing::warn!(
                    job,
                    round = seat.round,
                    "audited: the result is wrong: {difference}"
                );
            }
        }
        let cast = CastBallot {
            round: seat.round,
            seed: seat.seed,
            ballot: found.ballot,
            salt: random_salt()?,
        };
        let mut case = case.unwrap_or_else(|| Case::new(seat.model.0, Role::Auditor));
        case.ballots.push(cast);
        case.end = None;
        self.journal.put_case(job, &case)?;
        self.pause.at(PausePoint::BeforeCommit);
        self.commit(job, &cast).await
    }

    /// Commits to a ballot that the journal has.
    pub(super) async fn commit(&self, job: JobId, cast: &CastBallot) -> Result<Acted> {
        let (genesis, account) = (self.market.genesis(), self.market.account());
        let hidden = commitment(&genesis, job, &account, cast);
        let sent = self.market.commit(job, hidden).await;
        self.pause.at(PausePoint::AfterCommit);
        if outcome(job, "commitment", sent).await? == TxOutcome::Succeeded {
            tracing::info!(job, round = cast.round, "committed to a ballot");
        }
        Ok(Acted::Done)
    }

    /// Reveals a ballot that was committed to.
    pub(super) async fn reveal(&self, job: JobId, cast: &CastBallot) -> Result<Acted> {
        let sent = self.market.reveal(job, cast.ballot, cast.salt).await;
        if outcome(job, "reveal", sent).await? == TxOutcome::Succeeded {
            tracing::info!(job, round = cast.round, "revealed the ballot");
        }
        Ok(Acted::Done)
    }

    /// Moves on a job whose deadline is over.
    pub(super) async fn progress(&self, job: JobId) -> Result<Acted> {
        let sent = self.market.progress(job).await;
        outcome(job, "call to move the job on", sent).await?;
        Ok(Acted::Done)
    }

    /// Appeals against a verdict, if that is wanted, can be paid, and a replay
    /// says that the verdict is wrong.
    pub(super) async fn appeal(
        &self,
        seen: JobView<AccountId>,
        mut case: Case,
        appeals: Appeals,
        until: BlockNumber,
    ) -> Result<Acted> {
        let job = seen.id;
        let fee = seen.fee.unwrap_or_default();
        let worst_case = seen.worst_case_fee.unwrap_or(seen.max_fee);
        let bond = seen.terms.audit.appeal_bond(fee, worst_case);
        match self.may_appeal(&seen, &case, appeals, bond).await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => return Ok(Acted::NotAppealed { reason, until }),
            Err(MarketError::Fatal(error)) => return Err(error),
            Err(MarketError::Unavailable(cause)) => {
                tracing::debug!(job, "cannot prepare an appeal: {cause}");
                return Ok(Acted::Done);
            }
        }
        tracing::warn!(job, "appealing with a bond of {}", Amount(bond));
        let mut note = |tx: &SignedTx| {
            case.appeal = Some(tx.clone());
            self.journal.put_case(job, &case)
        };
        let sent = self.market.appeal(job, &mut note).await;
        match outcome(job, "appeal", sent).await? {
            TxOutcome::Failed { error } => {
                let reason = format!("the chain refused it: {error}");
                Ok(Acted::NotAppealed { reason, until })
            }
            TxOutcome::Succeeded | TxOutcome::Unknown { .. } => Ok(Acted::Done),
        }
    }

    /// Submits an appeal again, byte for byte.
    pub(super) async fn resubmit_appeal(&self, job: JobId, tx: &SignedTx) -> Result<Acted> {
        let sent = self.market.resubmit(tx).await;
        outcome(job, "appeal", sent).await?;
        Ok(Acted::Done)
    }

    /// Checks everything that speaks against an appeal; the dearest check last.
    async fn may_appeal(
        &self,
        seen: &JobView<AccountId>,
        case: &Case,
        appeals: Appeals,
        bond: Balance,
    ) -> MarketResult<std::result::Result<(), String>> {
        if !appeals.enabled {
            return Ok(Err("appeals are turned off (`appeal`)".into()));
        }
        if appeals.largest_bond.is_some_and(|most| bond > most) {
            return Ok(Err(format!(
                "its bond of {} is above the limit (`appeal-bond-limit`)",
                Amount(bond)
            )));
        }
        let view = self.market.finalized().await?;
        let free = view.free_balance().await?;
        if free < bond.saturating_add(KEPT) {
            return Ok(Err(format!(
                "its bond is {}, the account has {} free",
                Amount(bond),
                Amount(free)
            )));
        }
        let (input, result) = (view.job_input(seen.id).await?, view.result(seen.id).await?);
        let question = match (input, result) {
            (Some(input), Some(result)) => {
                Question::of_job(seen, input, result, self.market.genesis())
            }
            _ => None,
        };
        let Some(question) = question else {
            return Ok(Err("the chain has dropped the result".into()));
        };
        let cancel = Cancel::default();
        let _stop = StopOnDrop(cancel.clone());
        let found = match check(&self.executor, question, cancel).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(format!("the job cannot be replayed: {error}"))),
        };
        // What this worker stands for: its own result, or its ballot.
        let stands_for = match case.role {
            Role::Author => true,
            Role::Auditor => case.ballots.last().is_some_and(|cast| cast.ballot.valid),
        };
        if found.ballot.valid == stands_for {
            return Ok(Ok(()));
        }
        Ok(Err(match found.difference {
            Some(difference) => format!("a replay confirms that the result is wrong: {difference}"),
            None => "a second replay finds the result right: this machine is not reliable".into(),
        }))
    }
}

/// Waits for what becomes of a transaction, but not past the next decision.
async fn outcome(job: JobId, what: &str, sent: MarketResult<InFlight>) -> Result<TxOutcome> {
    let outcome = match sent {
        Err(MarketError::Fatal(error)) => return Err(error),
        Err(MarketError::Unavailable(reason)) => TxOutcome::Unknown { reason },
        // On its own, so that the account's nonce is put right after a loss
        // even if nobody waits any more.
        Ok(in_flight) => match tokio::time::timeout(PATIENCE, tokio::spawn(in_flight)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => TxOutcome::Unknown {
                reason: error.to_string(),
            },
            Err(_) => TxOutcome::Unknown {
                reason: format!("not finalised within {} s", PATIENCE.as_secs()),
            },
        },
    };
    match &outcome {
        TxOutcome::Succeeded => {}
        TxOutcome::Failed { error } => tracing::warn!(job, "the chain refused the {what}: {error}"),
        TxOutcome::Unknown { reason } => {
            tracing::debug!(job, "not known yet whether the {what} is in: {reason}");
        }
    }
    Ok(outcome)
}

fn random_salt() -> Result<H256> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|error| {
        Error::new(Kind::Internal, "the system gives no random numbers").because(error)
    })?;
    Ok(H256(salt))
}
