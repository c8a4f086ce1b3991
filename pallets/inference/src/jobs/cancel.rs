//! `cancel_job`: the requester changes its mind before anyone has claimed.

use super::{job_key, JobState};
use crate::{Config, Error, Event, OpenJobs, Pallet};
use frame_support::{ensure, weights::Weight};
use genesisflow_primitives::JobId;
use sp_runtime::DispatchError;

impl<T: Config> Pallet<T> {
    /// Returns the weight of what it did besides.
    pub(crate) fn do_cancel(who: T::AccountId, id: JobId) -> Result<Weight, DispatchError> {
        let mut opened = Self::open_now(id)?;
        ensure!(opened.job.requester == who, Error::<T>::NotRequester);
        match opened.job.state {
            JobState::Open { .. } => {}
            JobState::Claimed(_) => return Err(Error::<T>::CannotCancelClaimed.into()),
            JobState::Delivered { .. }
            | JobState::Audit { .. }
            | JobState::Decided { .. }
            | JobState::Review { .. } => return Err(Error::<T>::AlreadyDelivered.into()),
            JobState::Expired { .. } => return Err(Error::<T>::ClaimWindowOver.into()),
            JobState::Slashing { .. }
            | JobState::Settled { .. }
            | JobState::Rejected { .. }
            | JobState::Cancelled { .. } => return Err(Error::<T>::JobIsFinal.into()),
        }
        OpenJobs::<T>::remove(opened.job.model, job_key(id));
        let refund = Self::close(&mut opened, None)?;
        let kept_until = Self::now().saturating_add(opened.job.terms.retention);
        opened.job.state = JobState::Cancelled { kept_until };
        let besides = Self::weight_besides(&opened);
        Self::save(opened);
        Self::deposit_event(Event::JobCancelled { job: id, refund });
        Ok(besides)
    }
}
