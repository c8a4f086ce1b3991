//! What every end of a job has in common: escrow that is left goes back, bytes that nobody needs
//! any more are dropped with their deposit, the model counts one job less.

use super::{Claim, Delivery, JobState, OpenedJob};
use crate::{Config, Event, Evidence, HoldReason, Inputs, Pallet, Workers};
use genesisflow_primitives::{Balance, BlockNumber};
use sp_runtime::{DispatchError, DispatchResult};

impl<T: Config> Pallet<T> {
    /// Pays the worker of an unaudited result and ends the job at block `at`.
    pub(crate) fn settle(
        opened: &mut OpenedJob<T::AccountId>,
        claim: Claim<T::AccountId>,
        delivery: Delivery,
        at: BlockNumber,
    ) -> DispatchResult {
        Self::pay_result(opened, &claim, &delivery)?;
        Self::close_result(opened, claim, delivery, false, at)
    }

    /// Splits the fee between protocol, audits and worker, spends what was prepaid for the delivery,
    /// and frees the worker's stake.
    pub(crate) fn pay_result(
        opened: &mut OpenedJob<T::AccountId>,
        claim: &Claim<T::AccountId>,
        delivery: &Delivery,
    ) -> DispatchResult {
        let OpenedJob { id, job, .. } = opened;
        let split = Self::pay_fee(job, &claim.worker, delivery.premium)?;
        Self::release_exposure(claim, |worker| {
            worker.settled = worker.settled.saturating_add(1);
        })?;
        Self::deposit_event(Event::JobSettled {
            job: *id,
            worker: claim.worker.clone(),
            paid: split.worker,
            protocol: split.protocol,
            premium: split.premium,
        });
        Ok(())
    }

    /// Ends a job that nobody ran, at block `at`.
    pub(crate) fn expire(opened: &mut OpenedJob<T::AccountId>, at: BlockNumber) -> DispatchResult {
        let refund = Self::close(opened, None)?;
        let OpenedJob { id, job, .. } = opened;
        let kept_until = at.saturating_add(job.terms.retention);
        job.state = JobState::Expired { kept_until };
        Self::deposit_event(Event::JobExpired { job: *id, refund });
        Ok(())
    }

    /// Returns what is left of the escrow, drops input and evidence, and returns the deposit of
    /// everything but the record and the output. Returns the amount of escrow.
    pub(crate) fn close(
        opened: &mut OpenedJob<T::AccountId>,
        delivery: Option<&Delivery>,
    ) -> Result<Balance, DispatchError> {
        let OpenedJob {
            id, job, was_last, ..
        } = opened;
        let refund = job.escrow;
        job.escrow = 0;
        let kept_bytes = delivery.map_or(0, |delivery| delivery.output_len);
        let kept = job
            .terms
            .deposit_per_byte
            .checked_mul(kept_bytes.into())
            .and_then(|bytes| bytes.checked_add(job.terms.record_deposit))
            .ok_or_else(|| Self::corrupted("a deposit larger than any balance"))?;
        let returned = job
            .deposit
            .checked_sub(kept)
            .ok_or_else(|| Self::corrupted("a job's deposit does not cover its record"))?;
        job.deposit = kept;
        let released = refund
            .checked_add(returned)
            .ok_or_else(|| Self::corrupted("a job that holds more than any balance"))?;
        Self::release(HoldReason::Job, &job.requester, released)?;

        Inputs::<T>::remove(*id);
        Evidence::<T>::remove(*id);
        *was_last |= Self::end_live_job(job.model, job.pool)?;
        Ok(refund)
    }

    /// Frees the stake behind a claim.
    pub(crate) fn release_exposure(
        claim: &Claim<T::AccountId>,
        also: impl FnOnce(&mut crate::workers::Worker<T::MaxUnbondingChunks>),
    ) -> DispatchResult {
        Workers::<T>::try_mutate(&claim.worker, |worker| {
            let worker = worker
                .as_mut()
                .ok_or_else(|| Self::corrupted("a claim's worker is missing"))?;
            worker.exposure = worker
                .exposure
                .checked_sub(claim.exposure)
                .ok_or_else(|| Self::corrupted("a worker's exposure is too small"))?;
            also(worker);
            Ok(())
        })
    }
}
