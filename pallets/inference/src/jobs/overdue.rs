//! Transitions that deadlines make.
//!
//! Each one is computed from the deadline that has passed, not from the block in which somebody
//! noticed. So it does not matter when a job is moved on, or in how many steps.

use super::{job_key, Claim, JobState, OpenedJob};
use crate::{Config, Error, Event, HoldReason, OpenJobs, Pallet};
use frame_support::{ensure, traits::Get};
use genesisflow_primitives::{pricing, Balance, BlockNumber, JobId};
use sp_runtime::{DispatchError, DispatchResult, Permill};

impl<T: Config> Pallet<T> {
    /// `progress_job`, and one step of the agenda.
    pub(crate) fn do_progress(id: JobId) -> DispatchResult {
        let opened = Self::open(id)?;
        let now = Self::now();
        ensure!(opened.job.state.due() <= now, Error::<T>::NothingDue);
        if let Some(opened) = Self::move_on(opened, now)? {
            Self::save(opened);
        }
        Ok(())
    }

    /// Applies to a job all that is overdue at `now`. None if that ended with its record.
    ///
    /// At most three steps: late and open again, expired, dropped.
    pub(crate) fn move_on(
        mut opened: OpenedJob<T::AccountId>,
        now: BlockNumber,
    ) -> Result<Option<OpenedJob<T::AccountId>>, DispatchError> {
        while opened.job.state.due() <= now {
            match opened.job.state.clone() {
                JobState::Open { claim_by } => {
                    OpenJobs::<T>::remove(opened.job.model, job_key(opened.id));
                    Self::expire(&mut opened, claim_by)?;
                }
                JobState::Claimed(claim) => Self::late(&mut opened, claim)?,
                JobState::Review {
                    claim,
                    delivery,
                    until,
                } => Self::settle(&mut opened, claim, delivery, until)?,
                JobState::Settled { .. }
                | JobState::Cancelled { .. }
                | JobState::Expired { .. } => {
                    let OpenedJob { id, job, .. } = &opened;
                    Self::release(HoldReason::JobDeposit, &job.requester, job.deposit)?;
                    Self::deposit_event(Event::JobDropped { job: *id });
                    Self::remove(opened);
                    return Ok(None);
                }
            }
        }
        Ok(Some(opened))
    }

    /// A worker did not deliver: it compensates the requester. The first time the job is open
    /// again, to all but that worker; the second time it expires.
    fn late(opened: &mut OpenedJob<T::AccountId>, claim: Claim<T::AccountId>) -> DispatchResult {
        let OpenedJob { id, job, .. } = opened;
        let id = *id;
        let compensation = Self::compensate(&job.requester, &claim, job.terms.late_share)?;
        Self::end_claim(&claim.worker, id, job.model)?;
        Self::deposit_event(Event::JobLate {
            job: id,
            worker: claim.worker.clone(),
            compensation,
        });
        if job.barred.is_some() {
            return Self::expire(opened, claim.deliver_by);
        }
        let claim_by = claim.deliver_by.saturating_add(job.terms.open_window);
        job.barred = Some(claim.worker.clone());
        job.state = JobState::Open { claim_by };
        OpenJobs::<T>::insert(job.model, job_key(id), ());
        Self::deposit_event(Event::JobReopened {
            job: id,
            barred: claim.worker,
            claim_by,
        });
        Ok(())
    }

    /// Pays a late worker's share of the worst-case fee out of its stake, as far as there is any.
    fn compensate(
        requester: &T::AccountId,
        claim: &Claim<T::AccountId>,
        late_share: Permill,
    ) -> Result<Balance, DispatchError> {
        let due = pricing::share_of(claim.worst_case_fee, late_share);
        let mut paid = 0;
        let mut books_right = true;
        Self::release_exposure(claim, |worker| {
            worker.late = worker.late.saturating_add(1);
            books_right = worker
                .claims
                .checked_sub(1)
                .map(|left| worker.claims = left)
                .is_some();
            paid = due.min(worker.stake);
            books_right &= worker.lose(paid).is_some();
        })?;
        ensure!(
            books_right,
            Self::corrupted("a late worker's claims or stake are too small")
        );
        Self::pay(
            HoldReason::Stake,
            &claim.worker,
            &[requester, &T::TreasuryAccount::get()],
            paid,
        )?;
        Ok(paid)
    }
}
