//! The steps of an audit, each a task that ends when the chain has taken it or
//! refused it. The next look at the chain decides what follows.

use super::{
    compare::{check, Finding},
    next::commitment,
    question::Question,
};
use crate::{
    amount::Amount,
    error::Result,
    executor::{Cancel, ExecutionError, Executor},
    job_loop::{time_until, StopOnDrop, Worker},
    journal::{Case, CastBallot, Role, SignedTx},
    market::{AccountId, InFlight, Market, MarketError, MarketResult, TxOutcome, View},
    metrics::{Call, Meters, Trouble},
    pause::PausePoint,
};
use codec::Encode;
use genesisflow_primitives::{
    audit::Ballot,
    views::{JobView, SeatView},
    Balance, BlockNumber, JobId, GEN,
};
use std::time::{Duration, Instant};

/// How long a task waits for its transaction before the state is asked again:
/// windows may be short.
const PATIENCE: Duration = Duration::from_secs(10);
/// What an account keeps besides a bond, for transaction fees.
pub(super) const KEPT: Balance = GEN / 10;

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
    /// No replay gives the ballot behind the commitment of this seat.
    NotFoundAgain(Box<SeatView<AccountId>>),
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
        let found = match self.replay_for(&seat, head).await {
            Ok(found) => found,
            Err(reason) => return Ok(Acted::NotReplayed(reason)),
        };
        self.meters.audited(found.difference.is_none());
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
        let cast = self.cast(&seat, found.ballot);
        let mut case = case.unwrap_or_else(|| Case::new(seat.model.0, Role::Auditor));
        case.ballots.push(cast);
        case.end = None;
        self.journal.put_case(job, &case)?;
        self.pause.at(PausePoint::BeforeCommit);
        self.commit(job, &cast).await
    }

    /// Finds a ballot again that was committed to and that the journal does not
    /// have: after the loss of its file, say. A replay gives the ballot, the key
    /// the salt; the commitment shows whether they are the right ones.
    pub(super) async fn find_again(
        &self,
        seat: SeatView<AccountId>,
        case: Option<Case>,
        head: BlockNumber,
    ) -> Result<Acted> {
        let job = seat.job;
        let found = match self.replay_for(&seat, head).await {
            Ok(found) => found,
            Err(reason) => return Ok(Acted::NotReplayed(reason)),
        };
        let cast = self.cast(&seat, found.ballot);
        let (genesis, account) = (self.market.genesis(), self.market.account());
        if seat.commitment != Some(commitment(&genesis, job, &account, &cast)) {
            return Ok(Acted::NotFoundAgain(Box::new(seat)));
        }
        let mut case = case.unwrap_or_else(|| Case::new(seat.model.0, Role::Auditor));
        // One that the commitment does not open is of no use, and would be taken for this one.
        case.ballots
            .retain(|other| (other.round, other.seed) != (cast.round, cast.seed));
        case.ballots.push(cast);
        case.end = None;
        self.journal.put_case(job, &case)?;
        tracing::warn!(
            job,
            round = seat.round,
            "a ballot that was committed and is not in the journal was found again by a replay"
        );
        Ok(Acted::Done)
    }

    /// Replays the job behind a seat, before new jobs and within its deadline.
    async fn replay_for(
        &self,
        seat: &SeatView<AccountId>,
        head: BlockNumber,
    ) -> std::result::Result<Finding, String> {
        let question = Question::of_seat(seat, self.market.genesis());
        let _first = self.audits.replaying();
        let cancel = Cancel::default();
        let _stop = StopOnDrop(cancel.clone());
        let replay = check(&self.executor, question, cancel);
        let start = Instant::now();
        match tokio::time::timeout(time_until(seat.until, head), replay).await {
            Ok(Ok(found)) => {
                self.meters.replayed(start.elapsed());
                Ok(found)
            }
            Ok(Err(ExecutionError::Refused(reason))) => Err(reason),
            Ok(Err(ExecutionError::Cancelled)) | Err(_) => {
                Err("the replay did not end before its deadline".into())
            }
        }
    }

    /// A ballot with its salt. Nobody can guess the salt without the key, and
    /// who has the key never loses it.
    fn cast(&self, seat: &SeatView<AccountId>, ballot: Ballot) -> CastBallot {
        let purpose = ("ballot", seat.job, seat.round, seat.seed).encode();
        CastBallot {
            round: seat.round,
            seed: seat.seed,
            ballot,
            salt: self.market.secret(&purpose),
        }
    }

    /// Commits to a ballot that the journal has.
    pub(super) async fn commit(&self, job: JobId, cast: &CastBallot) -> Result<Acted> {
        let (genesis, account) = (self.market.genesis(), self.market.account());
        let hidden = commitment(&genesis, job, &account, cast);
        let start = Instant::now();
        let sent = self.market.commit(job, hidden).await;
        self.pause.at(PausePoint::AfterCommit);
        if outcome(&self.meters, job, Call::Commit, start, sent).await? == TxOutcome::Succeeded {
            tracing::info!(job, round = cast.round, "committed to a ballot");
        }
        Ok(Acted::Done)
    }

    /// Reveals a ballot that was committed to.
    pub(super) async fn reveal(&self, job: JobId, cast: &CastBallot) -> Result<Acted> {
        let start = Instant::now();
        let sent = self.market.reveal(job, cast.ballot, cast.salt).await;
        if outcome(&self.meters, job, Call::Reveal, start, sent).await? == TxOutcome::Succeeded {
            tracing::info!(job, round = cast.round, "revealed the ballot");
        }
        Ok(Acted::Done)
    }

    /// Moves on a job whose deadline is over.
    pub(super) async fn progress(&self, job: JobId) -> Result<Acted> {
        let start = Instant::now();
        let sent = self.market.progress(job).await;
        outcome(&self.meters, job, Call::Progress, start, sent).await?;
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
        match self.may_appeal(&seen, &case, appeals, bond, until).await {
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
        let start = Instant::now();
        let sent = self.market.appeal(job, &mut note).await;
        match outcome(&self.meters, job, Call::Appeal, start, sent).await? {
            TxOutcome::Failed { error } => {
                let reason = format!("the chain refused it: {error}");
                Ok(Acted::NotAppealed { reason, until })
            }
            TxOutcome::Succeeded | TxOutcome::Unknown { .. } => Ok(Acted::Done),
        }
    }

    /// Submits an appeal again, byte for byte.
    pub(super) async fn resubmit_appeal(&self, job: JobId, tx: &SignedTx) -> Result<Acted> {
        let start = Instant::now();
        let sent = self.market.resubmit(tx).await;
        outcome(&self.meters, job, Call::Appeal, start, sent).await?;
        Ok(Acted::Done)
    }

    /// Checks everything that speaks against an appeal; the dearest check last.
    async fn may_appeal(
        &self,
        seen: &JobView<AccountId>,
        case: &Case,
        appeals: Appeals,
        bond: Balance,
        until: BlockNumber,
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
        let left = time_until(until, view.head().number);
        let replay = check(&self.executor, question, cancel);
        let found = match tokio::time::timeout(left, replay).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Ok(Err(format!("the job cannot be replayed: {error}"))),
            Err(_) => return Ok(Err("the replay did not end while an appeal is taken".into())),
        };
        // What this worker stands for: its own result, or its ballot.
        let stands_for = match case.role {
            Role::Author => true,
            Role::Disputer => false,
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
pub(super) async fn outcome(
    meters: &Meters,
    job: JobId,
    call: Call,
    start: Instant,
    sent: MarketResult<InFlight>,
) -> Result<TxOutcome> {
    let what = call.name();
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
        TxOutcome::Succeeded => meters.finalized(call, start.elapsed()),
        TxOutcome::Failed { error } => {
            meters.trouble(Trouble::Refused);
            tracing::warn!(job, "the chain refused the {what}: {error}");
        }
        TxOutcome::Unknown { reason } => {
            tracing::debug!(job, "not known yet whether the {what} is in: {reason}");
        }
    }
    Ok(outcome)
}
