//! `accept_result`: the requester has seen enough.

use super::JobState;
use crate::{Config, Error, Event, Pallet};
use frame_support::{ensure, weights::Weight};
use genesisflow_primitives::JobId;
use sp_runtime::DispatchError;

impl<T: Config> Pallet<T> {
    /// Returns the weight of what it did besides.
    pub(crate) fn do_accept(who: T::AccountId, id: JobId) -> Result<Weight, DispatchError> {
        let mut opened = Self::open_now(id)?;
        ensure!(opened.job.requester == who, Error::<T>::NotRequester);
        match &mut opened.job.state {
            JobState::Review {
                claim, delivery, ..
            } => {
                let (claim, delivery) = (claim.clone(), delivery.clone());
                Self::settle(&mut opened, claim, delivery, Self::now())?;
            }
            // Whether the result is audited is not the requester's to say: a worker could post
            // jobs to itself, and accept what nobody should see.
            JobState::Delivered { accepted, .. } => {
                ensure!(!*accepted, Error::<T>::AlreadyAccepted);
                *accepted = true;
                Self::deposit_event(Event::ResultAccepted { job: id });
            }
            JobState::Audit { .. } | JobState::Decided { .. } => {
                return Err(Error::<T>::UnderAudit.into())
            }
            JobState::Open { .. } | JobState::Claimed(_) => {
                return Err(Error::<T>::NothingToAccept.into())
            }
            JobState::Slashing { .. }
            | JobState::Settled { .. }
            | JobState::Rejected { .. }
            | JobState::Cancelled { .. }
            | JobState::Expired { .. } => return Err(Error::<T>::JobIsFinal.into()),
        }
        let besides = Self::weight_besides(&opened);
        Self::save(opened);
        Ok(besides)
    }
}
