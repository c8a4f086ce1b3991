//! `deliver`: the result is checked against the job's limits, its fee metered, and all escrow above
//! the fee goes back at once.

use super::{Claim, Delivery, Job, JobState};
use crate::{Config, Error, Event, Evidence, HoldReason, Outputs, Pallet};
use frame_support::ensure;
use genesisflow_primitives::{
    content_hash, evidence, pricing, EvidenceBytes, JobId, JobTerms, Output, ResultClaim,
};
use sp_runtime::{DispatchError, DispatchResult};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_deliver(
        who: T::AccountId,
        id: JobId,
        output: Output,
        evidence: EvidenceBytes,
        result: ResultClaim,
    ) -> DispatchResult {
        let now = Self::now();
        let mut opened = Self::open(id)?;
        let claim = Self::ensure_deliverable(&opened.job, &who)?;
        // An overdue delivery is refused as it stands: moving the job on here would be undone
        // with the refusal.
        ensure!(now <= claim.deliver_by, Error::<T>::TooLate);

        let job = &mut opened.job;
        let output_len = Self::check_result(&job.terms, &output, &evidence, &result)?;
        let fee = pricing::metered_fee(claim.prices, result.usage, job.terms.min_fee, job.escrow);
        let refund = job
            .escrow
            .checked_sub(fee)
            .ok_or_else(|| Self::corrupted("a fee above its escrow"))?;
        job.escrow = fee;
        let audit = Self::audit_chance(job, &claim, fee);
        let (audit_chance, premium) = audit.unwrap_or_default();
        let delivery = Delivery {
            output_hash: content_hash(&output),
            output_len,
            evidence_hash: content_hash(&evidence),
            usage: result.usage,
            fault: result.fault,
            trace: result.trace,
            engine_version: result.engine_version,
            fee,
            audit_chance,
            premium,
        };

        Self::release(HoldReason::Job, &job.requester, refund)?;
        Self::end_claim(&who, id, job.model)?;

        Outputs::<T>::insert(id, output);
        Evidence::<T>::insert(id, evidence);
        let output_hash = delivery.output_hash;
        job.state = if audit.is_some() {
            JobState::Delivered {
                claim,
                delivery,
                accepted: false,
                until: job.terms.audit.seeded_at(now),
            }
        } else {
            JobState::Review {
                claim,
                delivery,
                until: now.saturating_add(job.terms.review_window),
            }
        };
        let until = job.state.until();
        let attestation = job
            .attestation(id)
            .ok_or_else(|| Self::corrupted("a delivered job without a result"))?
            .hash();
        Self::save(opened);
        Self::deposit_event(Event::ResultDelivered {
            job: id,
            worker: who,
            attestation,
            output_hash,
            usage: result.usage,
            fault: result.fault,
            fee,
            refund,
            audit_chance,
            until,
        });
        Ok(())
    }

    /// Whether a delivery of this account would be taken now, as far as its standing goes.
    pub(crate) fn check_deliver_standing(
        who: &T::AccountId,
        id: JobId,
    ) -> Result<(), DispatchError> {
        let opened = Self::open(id)?;
        let claim = Self::ensure_deliverable(&opened.job, who)?;
        ensure!(Self::now() <= claim.deliver_by, Error::<T>::TooLate);
        Ok(())
    }

    fn ensure_deliverable(
        job: &Job<T::AccountId>,
        who: &T::AccountId,
    ) -> Result<Claim<T::AccountId>, DispatchError> {
        let error = match &job.state {
            JobState::Claimed(claim) if claim.worker == *who => return Ok(claim.clone()),
            // Already moved on by somebody.
            _ if job.barred.as_ref() == Some(who) => Error::<T>::TooLate,
            JobState::Claimed(_) => Error::<T>::NotYourClaim,
            JobState::Open { .. } => Error::<T>::NotClaimed,
            state if state.claim().is_some_and(|claim| claim.worker == *who) => {
                Error::<T>::AlreadyDelivered
            }
            state if state.status().is_final() => Error::<T>::JobIsFinal,
            _ => Error::<T>::NotYourClaim,
        };
        Err(error.into())
    }

    /// Checks all that the chain can check without running the model; returns the output's length.
    fn check_result(
        terms: &JobTerms,
        output: &Output,
        evidence: &EvidenceBytes,
        result: &ResultClaim,
    ) -> Result<u32, DispatchError> {
        ensure!(
            result.usage.input <= terms.max_input_units,
            Error::<T>::InputUsageTooHigh
        );
        ensure!(
            result.usage.output <= terms.max_output_units,
            Error::<T>::OutputUsageTooHigh
        );
        let output_len = length::<T>(output, terms.max_output_bytes, Error::<T>::OutputTooLong)?;
        length::<T>(
            evidence,
            terms.max_evidence_bytes,
            Error::<T>::EvidenceTooLong,
        )?;
        ensure!(
            core::str::from_utf8(output).is_ok(),
            Error::<T>::OutputNotUtf8
        );
        let ids = evidence::count(evidence).map_err(|_| Error::<T>::EvidenceMalformed)?;
        ensure!(ids == result.usage.output, Error::<T>::EvidenceMismatch);
        Ok(output_len)
    }
}

fn length<T: Config>(bytes: &[u8], most: u32, error: Error<T>) -> Result<u32, Error<T>> {
    match u32::try_from(bytes.len()) {
        Ok(len) if len <= most => Ok(len),
        _ => Err(error),
    }
}
