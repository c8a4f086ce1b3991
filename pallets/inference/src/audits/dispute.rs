//! `dispute_result`: anyone who puts up a bond can have a result checked before it is paid.

use super::{Audit, Bond, UnderAudit};
use crate::{
    jobs::{Job, JobState, OpenedJob},
    Audits, Config, Error, Event, HoldReason, Pallet,
};
use frame_support::{ensure, weights::Weight};
use genesisflow_primitives::{BlockNumber, JobId};
use sp_runtime::DispatchError;

impl<T: Config> Pallet<T> {
    /// Returns the weight of what it did besides.
    pub(crate) fn do_dispute(who: T::AccountId, id: JobId) -> Result<Weight, DispatchError> {
        let now = Self::now();
        let mut opened = Self::open_now(id)?;
        let (claim, delivery) = match &opened.job.state {
            JobState::Review {
                claim, delivery, ..
            } => (claim.clone(), delivery.clone()),
            JobState::Open { .. } | JobState::Claimed(_) => {
                return Err(Error::<T>::NothingToDispute.into())
            }
            JobState::Delivered { .. } => return Err(Error::<T>::DrawPending.into()),
            JobState::Audit { .. } | JobState::Decided { .. } => {
                return Err(Error::<T>::UnderAudit.into())
            }
            JobState::Slashing { .. }
            | JobState::Settled { .. }
            | JobState::Rejected { .. }
            | JobState::Cancelled { .. }
            | JobState::Expired { .. } => return Err(Error::<T>::TooLateToDispute.into()),
        };
        ensure!(who != claim.worker, Error::<T>::OwnResult);
        let job = &opened.job;
        ensure!(
            Self::eligible(job, &claim, &[&who]).len() >= 2,
            Error::<T>::NoAuditors
        );
        let bond = job
            .terms
            .audit
            .dispute_bond(delivery.fee, claim.worst_case_fee);
        Self::hold(HoldReason::DisputeBond, &who, bond)?;
        Self::deposit_event(Event::ResultDisputed {
            job: id,
            disputer: who.clone(),
            bond,
        });
        let audit = Audit::new(Some(Bond { who, held: bond }));
        Self::begin_audit(&mut opened, claim, delivery, audit, now);
        let besides = Self::weight_besides(&opened);
        Self::save(opened);
        Ok(besides)
    }

    /// Puts a result under audit at block `at`.
    pub(crate) fn begin_audit(
        opened: &mut OpenedJob<T::AccountId>,
        claim: crate::jobs::Claim<T::AccountId>,
        delivery: crate::jobs::Delivery,
        audit: Audit<T::AccountId>,
        at: BlockNumber,
    ) {
        let seeded_at = opened.job.terms.audit.seeded_at(at);
        Self::deposit_event(Event::AuditBegun {
            job: opened.id,
            disputed: audit.dispute.is_some(),
            draw_after: seeded_at,
        });
        let under = UnderAudit {
            claim,
            delivery,
            audit,
        };
        Self::close_audit(opened, under, super::Next::Audit(seeded_at));
    }

    /// Writes an audit back, and what comes next into the job's state.
    pub(crate) fn close_audit(
        opened: &mut OpenedJob<T::AccountId>,
        under: UnderAudit<T::AccountId>,
        next: super::Next,
    ) {
        let OpenedJob { id, job, .. } = opened;
        let job: &mut Job<T::AccountId> = job;
        let UnderAudit {
            claim,
            delivery,
            audit,
        } = under;
        Audits::<T>::insert(*id, audit);
        job.state = match next {
            super::Next::Audit(until) => JobState::Audit {
                claim,
                delivery,
                until,
            },
            super::Next::Decided(until) => JobState::Decided {
                claim,
                delivery,
                until,
            },
        };
    }
}
