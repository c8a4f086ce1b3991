//! `claim_job`: a worker takes a job at its own prices and puts stake behind it.

use super::{job_key, Claim, Job, JobState};
use crate::{Claims, Config, Error, Event, Offers, OpenJobs, Pallet, Workers};
use frame_support::{ensure, weights::Weight};
use genesisflow_primitives::{pricing, BlockNumber, JobId, Usage};
use sp_runtime::{DispatchError, DispatchResult};

impl<T: Config> Pallet<T> {
    /// Returns the weight of what it did besides.
    pub(crate) fn do_claim(who: T::AccountId, id: JobId) -> Result<Weight, DispatchError> {
        let now = Self::now();
        let mut opened = Self::open_now(id)?;
        let job = &mut opened.job;
        let mut worker = Workers::<T>::get(&who).ok_or(Error::<T>::NotAWorker)?;
        ensure!(!worker.chilled, Error::<T>::WorkerChilled);
        Self::ensure_claimable(job, &who, now)?;

        let offer = Offers::<T>::get(job.model, &who).ok_or(Error::<T>::NoOffer)?;
        let mut running = Claims::<T>::get(&who, job.model);
        ensure!(
            running.len() < offer.capacity as usize,
            Error::<T>::AtCapacity
        );
        running.try_push(id).map_err(|_| Error::<T>::AtCapacity)?;
        ensure!(
            offer.prices.input <= job.max_prices.input
                && offer.prices.output <= job.max_prices.output,
            Error::<T>::PriceAboveCap
        );
        let most = Usage {
            input: job.terms.max_input_units,
            output: job.terms.max_output_units,
        };
        let worst_case_fee = pricing::fee(offer.prices, most, job.terms.min_fee)
            .filter(|fee| *fee <= job.max_fee)
            .ok_or(Error::<T>::WorstCaseAboveEscrow)?;
        let exposure = pricing::exposure(worst_case_fee, job.terms.exposure_factor)
            .filter(|exposure| *exposure <= worker.free_stake())
            .ok_or(Error::<T>::FreeStakeTooSmall)?;

        worker.exposure = worker
            .exposure
            .checked_add(exposure)
            .ok_or(Error::<T>::AmountTooLarge)?;
        let deliver_by = now.saturating_add(job.terms.deliver_window);
        let probation = Self::is_on_probation(job, &offer);
        let repeat_window = job.terms.audit.repeat_window;
        let repeated = worker
            .last_rejection
            .is_some_and(|at| now <= at.saturating_add(repeat_window));
        job.state = JobState::Claimed(Claim {
            worker: who.clone(),
            prices: offer.prices,
            worst_case_fee,
            exposure,
            claimed_at: now,
            deliver_by,
            probation,
            repeated,
        });
        OpenJobs::<T>::remove(job.model, job_key(id));
        Claims::<T>::insert(&who, job.model, running);
        Workers::<T>::insert(&who, worker);
        let besides = Self::weight_besides(&opened);
        Self::save(opened);
        Self::deposit_event(Event::JobClaimed {
            job: id,
            worker: who,
            price_input: offer.prices.input,
            price_output: offer.prices.output,
            worst_case_fee,
            exposure,
            deliver_by,
        });
        Ok(besides)
    }

    fn ensure_claimable(
        job: &Job<T::AccountId>,
        who: &T::AccountId,
        now: BlockNumber,
    ) -> DispatchResult {
        match &job.state {
            JobState::Open { .. } => {}
            JobState::Claimed(claim) if claim.worker == *who => {
                return Err(Error::<T>::AlreadyClaimedByYou.into())
            }
            JobState::Claimed(_) => return Err(Error::<T>::AlreadyClaimed.into()),
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
        ensure!(job.barred.as_ref() != Some(who), Error::<T>::BarredFromJob);
        let for_another = job
            .directed
            .as_ref()
            .is_some_and(|directed| directed.worker != *who && now <= directed.until);
        // Once its worker was late, a directed job is anyone's.
        ensure!(
            !for_another || job.barred.is_some(),
            Error::<T>::DirectedToAnother
        );
        Ok(())
    }

    /// Takes a job off the worker that claimed it: delivered, or too late.
    pub(crate) fn end_claim(
        worker: &T::AccountId,
        id: JobId,
        model: genesisflow_primitives::ModelId,
    ) -> Result<(), DispatchError> {
        let mut running = Claims::<T>::get(worker, model);
        let place = running
            .iter()
            .position(|claimed| *claimed == id)
            .ok_or_else(|| Self::corrupted("a claim is not in its worker's list"))?;
        running.remove(place);
        if running.is_empty() {
            Claims::<T>::remove(worker, model);
        } else {
            Claims::<T>::insert(worker, model, running);
        }
        Ok(())
    }
}
