//! `accept_result`: the requester has seen enough.

use super::JobState;
use crate::{Config, Error, Pallet};
use frame_support::ensure;
use genesisflow_primitives::JobId;
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_accept(who: T::AccountId, id: JobId) -> DispatchResult {
        let mut opened = Self::open_now(id)?;
        ensure!(opened.job.requester == who, Error::<T>::NotRequester);
        let (claim, delivery) = match &opened.job.state {
            JobState::Review {
                claim, delivery, ..
            } => (claim.clone(), delivery.clone()),
            JobState::Open { .. } | JobState::Claimed(_) => {
                return Err(Error::<T>::NothingToAccept.into())
            }
            JobState::Settled { .. } | JobState::Cancelled { .. } | JobState::Expired { .. } => {
                return Err(Error::<T>::JobIsFinal.into())
            }
        };
        Self::settle(&mut opened, claim, delivery, Self::now())?;
        Self::save(opened);
        Ok(())
    }
}
