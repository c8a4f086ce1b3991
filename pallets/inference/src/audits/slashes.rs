//! Slashes: executed a delay after the outcome, so that governance can look and cancel one.

use super::{Audit, SlashCause, UnderAudit};
use crate::{
    jobs::{Claim, JobState, OpenedJob},
    Audits, Config, Error, Event, HoldReason, Pallet, Workers,
};
use frame_support::{ensure, traits::Get};
use genesisflow_primitives::{Balance, BlockNumber, JobId};
use sp_runtime::{DispatchError, DispatchResult};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_cancel_slash(id: JobId, who: T::AccountId) -> DispatchResult {
        let opened = Self::open(id)?;
        let JobState::Slashing {
            claim,
            until,
            rejected,
            ..
        } = &opened.job.state
        else {
            return Err(Error::<T>::NoSlash.into());
        };
        ensure!(Self::now() <= *until, Error::<T>::NoSlash);
        let mut audit = Self::audit_of(id)?;
        let before = audit.slashes.len();
        audit.slashes.retain(|slash| slash.who != who);
        ensure!(audit.slashes.len() < before, Error::<T>::NoSlash);
        Audits::<T>::insert(id, audit);
        if *rejected && claim.worker == who {
            // The rejection stands, but does not count against later claims. A later one does; one
            // before it is known no more.
            let rejected_at = until.saturating_sub(opened.job.terms.audit.slash_delay);
            Workers::<T>::mutate(&who, |worker| {
                if let Some(worker) = worker {
                    worker.last_rejection =
                        worker.last_rejection.filter(|last| *last > rejected_at);
                }
            });
        }
        Self::deposit_event(Event::SlashCancelled { job: id, who });
        Ok(())
    }

    /// Executes the slashes of an audit, whose delay ended in block `at`, and closes the job.
    pub(crate) fn execute_slashes(
        opened: &mut OpenedJob<T::AccountId>,
        under: UnderAudit<T::AccountId>,
        rejected: bool,
        at: BlockNumber,
    ) -> DispatchResult {
        let UnderAudit {
            claim,
            delivery,
            mut audit,
        } = under;
        let id = opened.id;
        let terms = opened.job.terms.audit;
        let judged = audit.judge(&terms, delivery.fee, claim.exposure);
        let slashes = core::mem::take(&mut audit.slashes);
        for slash in slashes {
            let amount = Self::take_stake(&slash.who, slash.amount)?;
            Self::deposit_event(Event::Slashed {
                job: id,
                who: slash.who.clone(),
                amount,
            });
            match slash.cause {
                SlashCause::WrongResult => Self::share_out(
                    &opened.job.requester,
                    &claim,
                    &mut audit,
                    amount,
                    judged.iter().fold(0, |sum: Balance, entry| {
                        let pay = terms.pay(delivery.fee);
                        sum.saturating_add(pay.saturating_mul(entry.right.into()))
                    }),
                )?,
                SlashCause::Auditor => Self::pay(
                    HoldReason::Stake,
                    &slash.who,
                    &[&T::TreasuryAccount::get()],
                    amount,
                )?,
            }
        }
        if rejected {
            Self::release_exposure(&claim, |_| ())?;
            let model = opened.job.model;
            Self::pay_seats(id, model, &terms, &delivery, &mut audit, &judged)?;
        }
        Audits::<T>::insert(id, audit);
        Self::close_result(opened, claim, delivery, rejected, at)
    }

    /// Books a loss of stake, as far as there is any; the money is still held.
    fn take_stake(who: &T::AccountId, amount: Balance) -> Result<Balance, DispatchError> {
        let period = Self::current_period();
        Workers::<T>::mutate(who, |worker| {
            let Some(worker) = worker else {
                return Ok(0);
            };
            let taken = amount.min(worker.stake);
            worker
                .lose(period, taken)
                .ok_or_else(|| Self::corrupted("a worker has less than its stake"))?;
            Ok(taken)
        })
    }

    /// What a wrong result cost its worker goes to the requester, up to the most that the job could
    /// have cost; to the seats; to a disputer and an appellant, up to the same each; and the rest to
    /// the treasury. So nobody earns by provoking rejections.
    fn share_out(
        requester: &T::AccountId,
        claim: &Claim<T::AccountId>,
        audit: &mut Audit<T::AccountId>,
        amount: Balance,
        seats_due: Balance,
    ) -> DispatchResult {
        let reason = HoldReason::Stake;
        let treasury = T::TreasuryAccount::get();
        let mut left = amount;
        let to_requester = claim.worst_case_fee.min(left);
        left = left.saturating_sub(to_requester);
        Self::pay(reason, &claim.worker, &[requester, &treasury], to_requester)?;

        let to_seats = seats_due.saturating_sub(audit.fund).min(left);
        let taken = Self::pay_into_pot(reason, &claim.worker, to_seats);
        audit.fund = audit.fund.saturating_add(taken);
        left = left.saturating_sub(taken);

        // Whoever made others look, by a dispute or by an appeal, is rewarded; one account once.
        let disputer = audit.dispute.as_ref().map(|bond| bond.who.clone());
        let turned = !audit.rejected_before_appeal();
        let appellant = audit.appeal.as_ref().filter(|_| turned);
        let appellant = appellant
            .map(|bond| bond.who.clone())
            .filter(|who| Some(who) != disputer.as_ref());
        let others = [disputer, appellant].into_iter().flatten();
        for who in others.filter(|who| who != requester && *who != claim.worker) {
            let reward = claim.worst_case_fee.min(left);
            left = left.saturating_sub(reward);
            Self::pay(reason, &claim.worker, &[&who, &treasury], reward)?;
        }
        Self::pay(reason, &claim.worker, &[&treasury], left)
    }

    /// Reads what a job's state says is under audit or slashed.
    pub(crate) fn under_audit(
        id: JobId,
        claim: Claim<T::AccountId>,
        delivery: crate::jobs::Delivery,
    ) -> Result<UnderAudit<T::AccountId>, DispatchError> {
        Ok(UnderAudit {
            claim,
            delivery,
            audit: Self::audit_of(id)?,
        })
    }
}
