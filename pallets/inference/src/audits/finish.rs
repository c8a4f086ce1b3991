//! The outcome of an audit: the job is paid or refunded, bonds go where they belong, seats are
//! paid, and what is to be slashed is written down.

use super::{judge::Judged, Audit, Bond, Slash, SlashCause, UnderAudit};
use crate::{
    jobs::{Claim, Delivery, Job, JobState, OpenedJob},
    AuditPots, Audits, Config, Event, HoldReason, Offers, Pallet, Workers,
};
use alloc::vec::Vec;
use frame_support::{ensure, traits::Get};
use genesisflow_primitives::{Balance, BlockNumber, JobId, ModelId};
use sp_runtime::{DispatchError, DispatchResult};

impl<T: Config> Pallet<T> {
    /// Makes the outcome final at block `at`. The audit must be over.
    pub(crate) fn finish_audit(
        opened: &mut OpenedJob<T::AccountId>,
        under: UnderAudit<T::AccountId>,
        at: BlockNumber,
    ) -> DispatchResult {
        let UnderAudit {
            claim,
            delivery,
            mut audit,
        } = under;
        let id = opened.id;
        let terms = opened.job.terms.audit;
        let rejected = audit.rejects();
        let judged = audit.judge(&terms, delivery.fee, claim.exposure);
        Self::settle_bonds(&opened.job, &claim, &delivery, &mut audit, &judged)?;

        if rejected {
            Self::reject(opened, &claim, &delivery, &mut audit, at)?;
        } else {
            Self::pay_result(opened, &claim, &delivery)?;
            if audit.verdict().is_some() {
                Self::note_audit(&claim.worker, opened.job.model, true);
            }
            Self::pay_seats(id, opened.job.model, &terms, &delivery, &mut audit, &judged)?;
        }
        for entry in judged.iter().filter(|entry| entry.fine > 0) {
            Self::schedule_slash(&mut audit, entry.who.clone(), entry.fine)?;
        }
        let slash_at = at.saturating_add(terms.slash_delay);
        for slash in &audit.slashes {
            Self::deposit_event(Event::SlashScheduled {
                job: id,
                who: slash.who.clone(),
                amount: slash.amount,
                after: slash_at,
            });
        }
        let over = audit.slashes.is_empty();
        Audits::<T>::insert(id, audit);
        if over {
            Self::close_result(opened, claim, delivery, rejected, at)
        } else {
            opened.job.state = JobState::Slashing {
                claim,
                delivery,
                rejected,
                until: slash_at,
            };
            Ok(())
        }
    }

    /// Drops what only auditors and governance needed, and keeps the record for a while.
    pub(crate) fn close_result(
        opened: &mut OpenedJob<T::AccountId>,
        claim: Claim<T::AccountId>,
        delivery: Delivery,
        rejected: bool,
        at: BlockNumber,
    ) -> DispatchResult {
        Self::close(opened, Some(&delivery))?;
        let OpenedJob { job, .. } = opened;
        let kept_until = at.saturating_add(job.terms.retention);
        job.state = if rejected {
            JobState::Rejected {
                claim,
                delivery,
                kept_until,
            }
        } else {
            JobState::Settled {
                claim,
                delivery,
                kept_until,
            }
        };
        Ok(())
    }

    /// The result is wrong: the requester gets everything back at once, and the worker's stake
    /// answers after the delay.
    fn reject(
        opened: &mut OpenedJob<T::AccountId>,
        claim: &Claim<T::AccountId>,
        delivery: &Delivery,
        audit: &mut Audit<T::AccountId>,
        at: BlockNumber,
    ) -> DispatchResult {
        let OpenedJob { id, job, .. } = opened;
        let refund = core::mem::take(&mut job.escrow)
            .checked_add(Self::take_delivery(job)?)
            .ok_or_else(|| Self::corrupted("a job that holds more than any balance"))?;
        Self::release(HoldReason::Job, &job.requester, refund)?;
        let (stake, chilled) = Workers::<T>::try_mutate(&claim.worker, |worker| {
            let worker = worker
                .as_mut()
                .ok_or_else(|| Self::corrupted("a claim's worker is missing"))?;
            worker.rejected = worker.rejected.saturating_add(1);
            // Jobs may be moved on in another order than they became final.
            worker.last_rejection = worker.last_rejection.max(Some(at));
            let chills = !worker.chilled;
            worker.chilled = true;
            Ok::<_, DispatchError>((worker.stake, chills))
        })?;
        if chilled {
            Self::deposit_event(Event::WorkerChilled {
                worker: claim.worker.clone(),
            });
        }
        Self::note_audit(&claim.worker, job.model, false);
        let amount = if claim.repeated {
            claim.exposure.max(stake)
        } else {
            claim.exposure
        };
        ensure!(
            audit
                .slashes
                .try_push(Slash {
                    who: claim.worker.clone(),
                    amount,
                    cause: SlashCause::WrongResult,
                })
                .is_ok(),
            Self::corrupted("too many slashes")
        );
        Self::deposit_event(Event::JobRejected {
            job: *id,
            worker: claim.worker.clone(),
            fee: delivery.fee,
            refund,
        });
        Ok(())
    }

    fn schedule_slash(
        audit: &mut Audit<T::AccountId>,
        who: T::AccountId,
        amount: Balance,
    ) -> DispatchResult {
        ensure!(
            audit
                .slashes
                .try_push(Slash {
                    who,
                    amount,
                    cause: SlashCause::Auditor,
                })
                .is_ok(),
            Self::corrupted("more slashes than seats")
        );
        Ok(())
    }

    /// Returns the bonds of those who were right, and takes those of the others: for the seats
    /// first, then for a worker who was right, else for the treasury.
    fn settle_bonds(
        job: &Job<T::AccountId>,
        claim: &Claim<T::AccountId>,
        delivery: &Delivery,
        audit: &mut Audit<T::AccountId>,
        judged: &[Judged<T::AccountId>],
    ) -> DispatchResult {
        let rejected = audit.rejects();
        let decided = audit.verdict().is_some();
        let appeal_failed = audit.rejected_before_appeal() == rejected;
        let mut due = Self::pay_due(&job.terms.audit.pay(delivery.fee), judged);

        // Disputed without a verdict: nobody was shown to be wrong.
        let dispute_failed = decided && !rejected;
        if let Some(bond) = audit.dispute.as_mut() {
            let reason = HoldReason::DisputeBond;
            let taken = Self::settle_bond(reason, bond, dispute_failed, due, &claim.worker)?;
            audit.fund = audit.fund.saturating_add(taken);
            due = due.saturating_sub(taken);
        }
        // An appeal that could not be decided pays its seats and gets the rest back.
        let undecided = audit
            .rounds
            .last()
            .is_none_or(|round| round.verdict.is_none());
        if let Some(bond) = audit.appeal.as_mut() {
            let reason = HoldReason::AppealBond;
            let treasury = T::TreasuryAccount::get();
            let rest_to = if undecided {
                bond.who.clone()
            } else if rejected {
                treasury
            } else {
                claim.worker.clone()
            };
            let taken = Self::settle_bond(reason, bond, appeal_failed, due, &rest_to)?;
            audit.fund = audit.fund.saturating_add(taken);
        }
        Ok(())
    }

    /// Returns a bond, or takes up to `due` of it into the pot and gives the rest away. Returns
    /// what the pot got.
    fn settle_bond(
        reason: HoldReason,
        bond: &mut Bond<T::AccountId>,
        failed: bool,
        due: Balance,
        rest_to: &T::AccountId,
    ) -> Result<Balance, DispatchError> {
        let held = core::mem::take(&mut bond.held);
        if !failed {
            Self::release(reason, &bond.who, held)?;
            Self::deposit_event(Event::BondReturned {
                who: bond.who.clone(),
                amount: held,
            });
            return Ok(0);
        }
        let taken = Self::pay_into_pot(reason, &bond.who, held.min(due));
        let rest = held.saturating_sub(taken);
        let treasury = T::TreasuryAccount::get();
        Self::pay(reason, &bond.who, &[rest_to, &treasury, &bond.who], rest)?;
        Self::deposit_event(Event::BondLost {
            who: bond.who.clone(),
            to_auditors: taken,
            rest,
        });
        Ok(taken)
    }

    /// What the seats that were right are due.
    fn pay_due(pay: &Balance, judged: &[Judged<T::AccountId>]) -> Balance {
        judged.iter().fold(0, |sum: Balance, entry| {
            sum.saturating_add(pay.saturating_mul(entry.right.into()))
        })
    }

    /// Pays the seats that were right: out of the audit's fund, then out of what the model's jobs
    /// have paid for audits; each the same part of its due if that does not suffice.
    pub(crate) fn pay_seats(
        id: JobId,
        model: ModelId,
        terms: &genesisflow_primitives::audit::AuditTerms,
        delivery: &Delivery,
        audit: &mut Audit<T::AccountId>,
        judged: &[Judged<T::AccountId>],
    ) -> DispatchResult {
        let pay = terms.pay(delivery.fee);
        let due = Self::pay_due(&pay, judged);
        let fund = core::mem::take(&mut audit.fund);
        let pot = AuditPots::<T>::get(model);
        let there = fund.saturating_add(pot);
        let mut left = there;
        let right: Vec<_> = judged.iter().filter(|entry| entry.right > 0).collect();
        for entry in right {
            let wanted = pay.saturating_mul(entry.right.into());
            let share = share_of_due(wanted, there, due).min(left);
            // Dust that a new account could not hold stays in the pot.
            let amount = if Self::pay_from_pot(&entry.who, share) {
                share
            } else {
                0
            };
            left = left.saturating_sub(amount);
            Workers::<T>::mutate(&entry.who, |worker| {
                if let Some(worker) = worker {
                    worker.audited = worker.audited.saturating_add(entry.right.into());
                }
            });
            Self::deposit_event(Event::AuditorPaid {
                job: id,
                auditor: entry.who.clone(),
                seats: entry.right,
                amount,
            });
        }
        if left > 0 {
            AuditPots::<T>::insert(model, left);
        } else {
            AuditPots::<T>::remove(model);
        }
        Ok(())
    }

    /// Counts an audited result in its worker's record.
    fn note_audit(worker: &T::AccountId, model: ModelId, valid: bool) {
        Offers::<T>::mutate(model, worker, |offer| {
            if let Some(offer) = offer {
                let count = if valid {
                    &mut offer.record.valid
                } else {
                    &mut offer.record.failed
                };
                *count = count.saturating_add(1);
            }
        });
    }
}

/// `wanted x min(1, there / due)`, rounded down.
fn share_of_due(wanted: Balance, there: Balance, due: Balance) -> Balance {
    if there >= due {
        wanted
    } else {
        sp_runtime::helpers_128bit::multiply_by_rational_with_rounding(
            wanted,
            there,
            due.max(1),
            sp_runtime::Rounding::Down,
        )
        .unwrap_or(0)
    }
}
