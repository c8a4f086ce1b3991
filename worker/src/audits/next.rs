//! What to do next about an audit, from what the chain and the journal say.
//!
//! As for jobs ([`crate::recovery`]), one rule serves start, restart after a
//! kill and every block in between. The chain's finalised state decides; the
//! journal holds what only this worker knows: the ballots and their salts.

use crate::{
    journal::{Case, CaseEnd, CastBallot, Role, SignedTx},
    market::AccountId,
    recovery::Now,
};
use genesisflow_primitives::{
    audit::ballot_commitment,
    views::{AuditView, JobView, SeatStatus, SeatView},
    BlockNumber, JobStatus, H256,
};

/// Blocks for which an overdue job is left to the chain and to others. Then
/// each worker waits some blocks more, by a rule that differs from job to job,
/// so that they do not all pay for the same call.
const LEFT_TO_OTHERS: BlockNumber = 3;
/// Number of those different waits.
const TURNS: u8 = 4;

/// The next thing to do about a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatStep {
    /// Replay the job, write the ballot down, and commit to it.
    Replay,
    /// Commit to the ballot that the journal has.
    Commit(CastBallot),
    /// Reveal it.
    Reveal(CastBallot),
    /// Nothing for now.
    Wait,
    /// The chain has a commitment that the journal cannot open: find out by a
    /// replay what was committed to.
    FindAgain,
    /// The time to act is over.
    Missed,
}

/// Decides about a seat of `account` on the chain with this genesis hash.
pub fn seat_step(
    seat: &SeatView<AccountId>,
    case: Option<&Case>,
    genesis: &H256,
    account: &AccountId,
) -> SeatStep {
    let cast = case.and_then(|case| case.cast_in(seat.round, &seat.seed));
    let opens =
        |cast: &&CastBallot| seat.commitment == Some(commitment(genesis, seat.job, account, cast));
    match seat.status {
        SeatStatus::ToCommit => match cast {
            None => SeatStep::Replay,
            Some(cast) => SeatStep::Commit(*cast),
        },
        SeatStatus::Committed => match cast.filter(opens) {
            Some(_) => SeatStep::Wait,
            None => SeatStep::FindAgain,
        },
        SeatStatus::ToReveal => match cast.filter(opens) {
            Some(cast) => SeatStep::Reveal(*cast),
            None => SeatStep::FindAgain,
        },
        SeatStatus::Revealed => SeatStep::Wait,
        SeatStatus::Missed => SeatStep::Missed,
    }
}

/// What a ballot is committed to as.
pub fn commitment(genesis: &H256, job: u64, account: &AccountId, cast: &CastBallot) -> H256 {
    ballot_commitment(genesis, job, cast.round, account, &cast.ballot, &cast.salt)
}

/// The next thing to do about a case in which no seat waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseStep {
    /// Look again at this block, or later.
    Look(BlockNumber),
    /// Move the job on: its deadline is over and nobody does.
    Progress,
    /// Appeal, if that is wanted and this worker is sure.
    Appeal {
        /// Last block in which an appeal is taken.
        until: BlockNumber,
    },
    /// Submit the same signed appeal again.
    Resubmit(SignedTx),
    /// Write down how it ended.
    End(CaseEnd),
}

/// Decides about a case of `account`. `job`, `audit` and `now` were read at the
/// same finalised block.
pub fn case_step(
    case: &Case,
    job: Option<&JobView<AccountId>>,
    audit: Option<&AuditView<AccountId>>,
    account: &AccountId,
    now: Now,
) -> CaseStep {
    let Some(job) = job else {
        return CaseStep::End(CaseEnd::Pruned);
    };
    let overdue_by = now.head.saturating_sub(job.until);
    let is_stuck = overdue_by > LEFT_TO_OTHERS + turn(account, job.id);
    match job.status {
        // The record of another chain, or of a job that went back on a fork.
        JobStatus::Open | JobStatus::Claimed | JobStatus::Cancelled | JobStatus::Expired => {
            CaseStep::End(CaseEnd::Pruned)
        }
        JobStatus::Settled | JobStatus::Rejected | JobStatus::Slashing => {
            CaseStep::End(end(case, audit, account))
        }
        // Not under audit yet: the dispute is on its way, or lost.
        JobStatus::Review if case.role == Role::Disputer => match &case.appeal {
            Some(tx) if now.may_include(tx) => CaseStep::Resubmit(tx.clone()),
            _ => CaseStep::End(CaseEnd::NotDisputed),
        },
        _ if is_stuck => CaseStep::Progress,
        JobStatus::Decided => {
            let against = audit.is_some_and(|audit| is_against(case, audit, account));
            let appealed = audit.is_some_and(|audit| audit.appeal.is_some());
            // A transaction sent now is included two blocks on at the earliest.
            let in_time = now.head.saturating_add(2) <= job.until;
            match &case.appeal {
                _ if !against || appealed || !in_time => CaseStep::Look(soon(job, now)),
                Some(tx) if now.may_include(tx) => CaseStep::Resubmit(tx.clone()),
                _ => CaseStep::Appeal { until: job.until },
            }
        }
        JobStatus::Delivered | JobStatus::Audit | JobStatus::Review => {
            CaseStep::Look(soon(job, now))
        }
    }
}

/// When to look at a job again: often enough to have most of an appeal window
/// left when it is needed.
fn soon(job: &JobView<AccountId>, now: Now) -> BlockNumber {
    let often = (job.terms.audit.appeal_window / 4).max(1);
    let after_deadline = job.until.saturating_add(1).max(now.head.saturating_add(1));
    after_deadline.min(now.head.saturating_add(often))
}

/// How many blocks this worker lets others try first with this job.
fn turn(account: &AccountId, job: u64) -> BlockNumber {
    let mixed = account.iter().fold(job as u8, |mix, byte| mix ^ byte);
    (mixed % TURNS).into()
}

/// Whether what was decided last contradicts this worker: its result was
/// rejected, or its ballot outvoted. A verdict that differs in the digest alone
/// is none to appeal against: an appeal succeeds only if it turns the outcome.
fn is_against(case: &Case, audit: &AuditView<AccountId>, account: &AccountId) -> bool {
    match (case.role, audit.valid) {
        (Role::Disputer, _) | (_, None) => false,
        (Role::Author, Some(valid)) => !valid,
        (Role::Auditor, Some(valid)) => {
            revealed(audit, account).any(|(_, ballot)| ballot.valid != valid)
        }
    }
}

/// The account's ballots in all rounds, each with whether its round decided.
fn revealed<'a>(
    audit: &'a AuditView<AccountId>,
    account: &'a AccountId,
) -> impl Iterator<Item = (bool, genesisflow_primitives::audit::Ballot)> + 'a {
    let deciding = audit
        .rounds
        .iter()
        .rposition(|round| round.verdict.is_some());
    audit
        .rounds
        .iter()
        .enumerate()
        .filter_map(move |(index, round)| {
            let own = round.auditors.iter().find(|own| own.who == *account)?;
            Some((Some(index) == deciding, own.ballot?))
        })
}

/// How a case ended, once nothing can change the outcome.
fn end(case: &Case, audit: Option<&AuditView<AccountId>>, account: &AccountId) -> CaseEnd {
    let valid = audit.and_then(|audit| audit.valid);
    match (case.role, audit) {
        (Role::Author, _) if valid == Some(false) => CaseEnd::Rejected,
        (Role::Author, _) => CaseEnd::Paid,
        (Role::Disputer, Some(audit))
            if audit
                .dispute
                .as_ref()
                .is_some_and(|bond| bond.who == *account) =>
        {
            match audit.valid {
                Some(false) => CaseEnd::Upheld,
                Some(true) => CaseEnd::Overruled,
                None => CaseEnd::Undecided,
            }
        }
        (Role::Disputer, _) => CaseEnd::NotDisputed,
        (Role::Auditor, None) => CaseEnd::Pruned,
        (Role::Auditor, Some(audit)) => {
            let verdict = audit.rounds.iter().rev().find_map(|round| round.verdict);
            let mut ballots = revealed(audit, account).peekable();
            match (ballots.peek().is_some(), verdict) {
                (false, _) => CaseEnd::Silent,
                (true, None) => CaseEnd::Undecided,
                (true, Some(verdict)) => {
                    let agrees = ballots.all(|(deciding, ballot)| {
                        if deciding {
                            ballot == verdict
                        } else {
                            ballot.valid == verdict.valid
                        }
                    });
                    if agrees {
                        CaseEnd::Upheld
                    } else {
                        CaseEnd::Overruled
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audits::fake_audit::{FakeAudit, Fellows},
        job_loop::fake_market::{GENESIS, ME},
    };
    use genesisflow_primitives::audit::Ballot;

    const JOB: u64 = 7;

    fn seat(status: SeatStatus, commitment: Option<H256>) -> SeatView<AccountId> {
        let audit = FakeAudit::seat(10, true, Fellows::Agree);
        SeatView {
            status,
            commitment,
            ..audit.view(JOB, 10).unwrap()
        }
    }

    fn cast(seat: &SeatView<AccountId>, salt: u8) -> CastBallot {
        CastBallot {
            round: seat.round,
            seed: seat.seed,
            ballot: Ballot {
                digest: H256::repeat_byte(3),
                valid: true,
            },
            salt: H256::repeat_byte(salt),
        }
    }

    fn step(seat: &SeatView<AccountId>, cast: Option<CastBallot>) -> SeatStep {
        let mut case = Case::new([1; 32], Role::Auditor);
        case.ballots.extend(cast);
        seat_step(seat, Some(&case), &GENESIS, &ME)
    }

    #[test]
    fn a_ballot_in_the_journal_is_never_made_anew() {
        let open = seat(SeatStatus::ToCommit, None);
        assert_eq!(seat_step(&open, None, &GENESIS, &ME), SeatStep::Replay);
        let known = cast(&open, 1);
        assert_eq!(step(&open, Some(known)), SeatStep::Commit(known));
        // That of another round, or under another seed, is none.
        let mut foreign = known;
        foreign.seed = H256::zero();
        assert_eq!(step(&open, Some(foreign)), SeatStep::Replay);
        foreign = known;
        foreign.round += 1;
        assert_eq!(step(&open, Some(foreign)), SeatStep::Replay);
    }

    #[test]
    fn only_the_ballot_that_opens_the_commitment_is_revealed() {
        let known = cast(&seat(SeatStatus::ToCommit, None), 1);
        let hidden = Some(commitment(&GENESIS, JOB, &ME, &known));
        let reveal = seat(SeatStatus::ToReveal, hidden);
        assert_eq!(step(&reveal, Some(known)), SeatStep::Reveal(known));
        let other = CastBallot {
            salt: H256::repeat_byte(2),
            ..known
        };
        assert_eq!(step(&reveal, Some(other)), SeatStep::FindAgain);
        assert_eq!(step(&reveal, None), SeatStep::FindAgain);

        let waiting = seat(SeatStatus::Committed, hidden);
        assert_eq!(step(&waiting, Some(known)), SeatStep::Wait);
        assert_eq!(step(&waiting, None), SeatStep::FindAgain);
    }

    #[test]
    fn what_is_over_is_left_alone() {
        let known = cast(&seat(SeatStatus::ToCommit, None), 1);
        let missed = seat(SeatStatus::Missed, None);
        assert_eq!(step(&missed, Some(known)), SeatStep::Missed);
        let revealed = seat(SeatStatus::Revealed, None);
        assert_eq!(step(&revealed, Some(known)), SeatStep::Wait);
    }

    #[test]
    fn workers_do_not_all_move_the_same_job_on_at_once() {
        let mut account = [0; 32];
        let spread: std::collections::HashSet<_> = (0..TURNS)
            .map(|byte| {
                account[5] = byte;
                turn(&account, JOB)
            })
            .collect();
        assert_eq!(spread.len(), usize::from(TURNS));
    }
}
