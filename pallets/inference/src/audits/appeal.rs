//! `appeal_verdict`: whoever is hurt by a verdict, or by the want of one, can have a full round
//! look again.

use super::{Audit, Bond, Next, RoundKind, UnderAudit};
use crate::{
    jobs::{Claim, Job, JobState},
    Config, Error, Event, HoldReason, Pallet,
};
use frame_support::ensure;
use genesisflow_primitives::JobId;
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_appeal(who: T::AccountId, id: JobId) -> DispatchResult {
        let now = Self::now();
        let mut opened = Self::open(id)?;
        let JobState::Decided {
            claim,
            delivery,
            until,
        } = &opened.job.state
        else {
            return Err(Error::<T>::NothingToAppeal.into());
        };
        ensure!(now <= *until, Error::<T>::TooLateToAppeal);
        let mut audit = Self::audit_of(id)?;
        ensure!(audit.appeal.is_none(), Error::<T>::AlreadyAppealed);
        let (claim, delivery) = (claim.clone(), delivery.clone());
        let job = &opened.job;
        ensure!(
            Self::may_appeal(job, &claim, &audit, &who),
            Error::<T>::NoStandingToAppeal
        );

        // Not a share of the escrow, which a requester could make so large that no worker can appeal.
        let bond = job
            .terms
            .audit
            .appeal_bond(delivery.fee, claim.worst_case_fee);
        audit.appeal = Some(Bond {
            who: who.clone(),
            held: bond,
        });
        ensure!(
            Self::eligible_for(job, &claim, &audit).len() >= 2,
            Error::<T>::NoAuditors
        );
        if !audit.begin_round(RoundKind::Appeal) {
            return Err(Self::corrupted("more rounds than there can be"));
        }
        Self::hold(HoldReason::AppealBond, &who, bond)?;
        let draw_after = job.terms.audit.seeded_at(now);
        Self::deposit_event(Event::VerdictAppealed {
            job: id,
            appellant: who,
            bond,
            draw_after,
        });
        let under = UnderAudit {
            claim,
            delivery,
            audit,
        };
        Self::close_audit(&mut opened, under, Next::Audit(draw_after));
        Self::save(opened);
        Ok(())
    }

    /// The parties, and every auditor whose ballot is not what was decided.
    fn may_appeal(
        job: &Job<T::AccountId>,
        claim: &Claim<T::AccountId>,
        audit: &Audit<T::AccountId>,
        who: &T::AccountId,
    ) -> bool {
        let is_party = *who == claim.worker
            || *who == job.requester
            || audit.dispute.as_ref().is_some_and(|bond| bond.who == *who);
        let verdict = audit.verdict().map(|(_, verdict)| verdict);
        is_party
            || audit
                .rounds
                .iter()
                .flat_map(|round| round.auditors.iter())
                .any(|auditor| {
                    let ballot = auditor.ballot();
                    auditor.who == *who && ballot.is_some() && ballot != verdict
                })
    }
}
