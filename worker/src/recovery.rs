//! What to do next with a job, from what the chain and the journal say.
//!
//! There is one rule for the worker's whole life: start, restart after a kill,
//! and every block in between all ask [`next_step`]. The chain's finalised
//! state always wins; the journal says what was computed, signed and possibly
//! submitted since.

use crate::{
    journal::{Outcome, SignedTx, Stage},
    market::AccountId,
};
use genesisflow_primitives::{views::JobView, BlockNumber, JobStatus};

/// How a job stands towards this worker, in finalised state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Claimed by this worker and not delivered.
    Ours {
        /// Last block in which the chain takes the result.
        deliver_by: BlockNumber,
    },
    /// Delivered by this worker, whatever auditors say about it.
    Delivered,
    /// Open, or another's, or ended without a result of ours.
    NotOurs,
    /// The chain has no record of it.
    Unknown,
}

impl Standing {
    /// Reads the standing of `job` towards `account`.
    pub fn of(job: Option<&JobView<AccountId>>, account: AccountId) -> Self {
        let Some(job) = job else {
            return Self::Unknown;
        };
        let claimed_by_us = job.worker == Some(account);
        match job.status {
            JobStatus::Claimed if claimed_by_us => Self::Ours {
                deliver_by: job.until,
            },
            JobStatus::Delivered
            | JobStatus::Audit
            | JobStatus::Decided
            | JobStatus::Review
            | JobStatus::Slashing
            | JobStatus::Settled
            | JobStatus::Rejected
                if claimed_by_us =>
            {
                Self::Delivered
            }
            _ => Self::NotOurs,
        }
    }
}

/// Where the chain is: what decides whether a transaction can still be included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The finalised block.
    pub head: BlockNumber,
    /// The account's next nonce in it.
    pub nonce: u64,
}

impl Now {
    /// Whether `tx` can still be included: neither expired nor overtaken by
    /// another transaction with its nonce.
    pub fn may_include(self, tx: &SignedTx) -> bool {
        self.head < tx.valid_until && self.nonce <= tx.nonce
    }
}

/// The next thing to do with a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Compute the result.
    Execute,
    /// Sign the result that the journal has, and submit it.
    Deliver,
    /// Submit the same signed delivery again.
    Resubmit(SignedTx),
    /// Look again at the next block: a claim may still be included.
    Wait,
    /// Write down how it ended.
    Finish(Outcome),
    /// Nothing.
    Rest,
}

/// Decides what to do with a job.
///
/// `stage` is what the journal knows; `standing` and `now` were read at the
/// same finalised block.
pub fn next_step(standing: Standing, stage: Option<&Stage>, now: Now) -> Step {
    let head = now.head;
    match (standing, stage) {
        (
            Standing::Ours { deliver_by },
            Some(Stage::Done {
                outcome: Outcome::Late,
            }),
        ) if head >= deliver_by => Step::Rest,
        // The next block is the first that could include the delivery.
        (Standing::Ours { deliver_by }, _) if head >= deliver_by => Step::Finish(Outcome::Late),
        (Standing::Ours { .. }, Some(Stage::Computed { .. })) => Step::Deliver,
        (Standing::Ours { .. }, Some(Stage::Submitted { tx, .. })) if now.may_include(tx) => {
            Step::Resubmit(tx.clone())
        }
        (Standing::Ours { .. }, Some(Stage::Submitted { .. })) => Step::Deliver,
        // `Done` too: a claim given up as lost can be included after all, and
        // only the finalised state decides whose job it is.
        (
            Standing::Ours { .. },
            None | Some(Stage::Claiming { .. } | Stage::Claimed | Stage::Done { .. }),
        ) => Step::Execute,

        (_, None | Some(Stage::Done { .. })) => Step::Rest,
        (Standing::Delivered, Some(_)) => Step::Finish(Outcome::Delivered),
        (Standing::NotOurs | Standing::Unknown, Some(Stage::Claiming { tx })) => {
            if now.may_include(tx) {
                Step::Wait
            } else {
                Step::Finish(Outcome::NotClaimed)
            }
        }
        (
            Standing::NotOurs,
            Some(Stage::Claimed | Stage::Computed { .. } | Stage::Submitted { .. }),
        ) => Step::Finish(Outcome::Late),
        (
            Standing::Unknown,
            Some(Stage::Claimed | Stage::Computed { .. } | Stage::Submitted { .. }),
        ) => Step::Finish(Outcome::Pruned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Delivery;
    use genesisflow_primitives::{ResultClaim, Usage, H256};

    fn at(head: BlockNumber) -> Now {
        Now { head, nonce: 0 }
    }

    const OURS: Standing = Standing::Ours { deliver_by: 50 };

    fn tx(valid_until: BlockNumber) -> SignedTx {
        SignedTx {
            bytes: vec![1],
            nonce: 0,
            valid_until,
        }
    }

    fn delivery() -> Delivery {
        Delivery {
            output: vec![],
            evidence: vec![],
            claim: ResultClaim {
                usage: Usage::default(),
                fault: None,
                trace: H256::zero(),
                engine_version: 0,
            },
        }
    }

    fn submitted(valid_until: BlockNumber) -> Stage {
        Stage::Submitted {
            delivery: delivery(),
            tx: tx(valid_until),
        }
    }

    fn computed() -> Stage {
        Stage::Computed {
            delivery: delivery(),
        }
    }

    fn done(outcome: Outcome) -> Stage {
        Stage::Done { outcome }
    }

    #[test]
    fn a_job_of_ours_without_a_result_is_computed_whatever_the_journal_missed() {
        let claiming = Stage::Claiming { tx: tx(5) };
        for stage in [
            None,
            Some(&claiming),
            Some(&Stage::Claimed),
            Some(&done(Outcome::NotClaimed)),
        ] {
            assert_eq!(next_step(OURS, stage, at(20)), Step::Execute, "{stage:?}");
        }
    }

    #[test]
    fn a_computed_result_is_delivered_and_never_computed_again() {
        assert_eq!(next_step(OURS, Some(&computed()), at(20)), Step::Deliver);
    }

    #[test]
    fn a_submitted_delivery_is_repeated_byte_for_byte_until_it_has_expired() {
        assert_eq!(
            next_step(OURS, Some(&submitted(21)), at(20)),
            Step::Resubmit(tx(21))
        );
        assert_eq!(next_step(OURS, Some(&submitted(20)), at(20)), Step::Deliver);
    }

    #[test]
    fn a_delivery_whose_nonce_is_used_up_is_signed_again() {
        let now = Now { head: 20, nonce: 1 };
        assert_eq!(next_step(OURS, Some(&submitted(40)), now), Step::Deliver);
        let claiming = Stage::Claiming { tx: tx(40) };
        assert_eq!(
            next_step(Standing::NotOurs, Some(&claiming), now),
            Step::Finish(Outcome::NotClaimed)
        );
    }

    #[test]
    fn a_delivered_job_is_finished_once() {
        for stage in [
            Stage::Claiming { tx: tx(90) },
            Stage::Claimed,
            computed(),
            submitted(90),
        ] {
            assert_eq!(
                next_step(Standing::Delivered, Some(&stage), at(20)),
                Step::Finish(Outcome::Delivered)
            );
        }
        assert_eq!(
            next_step(Standing::Delivered, Some(&done(Outcome::Delivered)), at(20)),
            Step::Rest
        );
        assert_eq!(next_step(Standing::Delivered, None, at(20)), Step::Rest);
    }

    #[test]
    fn a_claim_in_flight_is_waited_for_and_then_given_up() {
        let claiming = Stage::Claiming { tx: tx(21) };
        assert_eq!(
            next_step(Standing::NotOurs, Some(&claiming), at(20)),
            Step::Wait
        );
        assert_eq!(
            next_step(Standing::NotOurs, Some(&claiming), at(21)),
            Step::Finish(Outcome::NotClaimed)
        );
    }

    #[test]
    fn after_the_deadline_nothing_is_computed_or_sent() {
        for stage in [
            None,
            Some(&Stage::Claimed),
            Some(&computed()),
            Some(&submitted(90)),
        ] {
            assert_eq!(
                next_step(OURS, stage, at(50)),
                Step::Finish(Outcome::Late),
                "{stage:?}"
            );
        }
        assert_eq!(
            next_step(OURS, Some(&done(Outcome::Late)), at(50)),
            Step::Rest
        );
    }

    #[test]
    fn a_job_taken_away_is_late_and_a_pruned_one_is_let_go() {
        for stage in [Stage::Claimed, computed(), submitted(90)] {
            for (standing, outcome) in [
                (Standing::NotOurs, Outcome::Late),
                (Standing::Unknown, Outcome::Pruned),
            ] {
                assert_eq!(
                    next_step(standing, Some(&stage), at(20)),
                    Step::Finish(outcome)
                );
            }
        }
        assert_eq!(next_step(Standing::NotOurs, None, at(20)), Step::Rest);
    }
}
