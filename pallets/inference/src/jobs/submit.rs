//! `submit_job` and `submit_job_with`: everything is checked, fixed in the job's terms and only
//! then paid into escrow.

use super::{Directed, Job, JobState};
use crate::{
    models::Model, pools::UsedPool, Config, Error, Event, HoldReason, Inputs, MarketParameters,
    Models, NextJobId, Pallet, Workers,
};
use alloc::vec::Vec;
use frame_support::ensure;
use genesisflow_primitives::{
    content_hash, job::OptionsError, pricing, Balance, BlockNumber, Input, JobConditions,
    JobOptions, JobTerms, ModelId, Parameters, Prices, Usage,
};
use sp_runtime::{DispatchError, DispatchResult};

/// What a requester asks for.
pub struct Request<AccountId> {
    /// The model to run.
    pub model: ModelId,
    /// The text to run it on.
    pub input: Input,
    /// Most units of output.
    pub max_output: u32,
    /// The most that it may cost.
    pub max_fee: Balance,
    /// How it is to be run.
    pub options: JobOptions,
    /// Under which conditions it may be claimed.
    pub conditions: JobConditions<AccountId>,
}

impl<T: Config> From<OptionsError> for Error<T> {
    fn from(error: OptionsError) -> Self {
        match error {
            OptionsError::Temperature => Self::TemperatureTooHigh,
            OptionsError::TopK => Self::TopKOutOfRange,
            OptionsError::TopP => Self::TopPOutOfRange,
        }
    }
}

/// What a job's storage and delivery cost its requester for a while.
pub(crate) struct Deposit {
    /// Returned with the bytes.
    pub storage: Balance,
    /// Spent when the result is delivered.
    pub delivery: Balance,
}

impl Deposit {
    /// For an input of `input_len` bytes and an output of at most `max_output` units. None if no
    /// balance can be that large.
    pub(crate) fn of(parameters: &Parameters, input_len: u32, max_output: u32) -> Option<Self> {
        let result_bytes = Balance::from(pricing::max_output_bytes(max_output))
            .checked_add(pricing::max_evidence_bytes(max_output).into())?;
        let stored_bytes = result_bytes.checked_add(input_len.into())?;
        Some(Self {
            storage: parameters
                .job_deposit_per_byte
                .checked_mul(stored_bytes)?
                .checked_add(parameters.job_deposit)?,
            delivery: parameters
                .delivery_fee_per_byte
                .checked_mul(result_bytes)?
                .checked_add(parameters.delivery_fee)?,
        })
    }

    pub(crate) fn total(&self) -> Option<Balance> {
        self.storage.checked_add(self.delivery)
    }
}

impl<T: Config> Pallet<T> {
    /// Returns how many candidates for an audit pool were looked at, if it had to be made: that takes
    /// weight of its own.
    pub(crate) fn do_submit(
        requester: T::AccountId,
        request: Request<T::AccountId>,
    ) -> Result<Option<u32>, DispatchError> {
        let now = Self::now();
        let crate::ParameterSet {
            revision,
            parameters,
        } = MarketParameters::<T>::get();
        let model = Models::<T>::get(request.model).ok_or(Error::<T>::ModelUnknown)?;
        ensure!(!model.retired, Error::<T>::ModelRetired);

        let input_len = Self::check_input(&request.input)?;
        request.options.check().map_err(Error::<T>::from)?;
        let max_input_units = Self::check_price(&request, input_len, &model, &parameters)?;
        let (open_window, deliver_window) =
            Self::check_windows(&request.conditions, now, &parameters)?;
        Self::check_worker(&request.conditions)?;

        let deposit = Deposit::of(&parameters, input_len, request.max_output)
            .ok_or(Error::<T>::AmountTooLarge)?;
        let deposited = deposit.total().ok_or(Error::<T>::AmountTooLarge)?;
        let held = deposited
            .checked_add(request.max_fee)
            .ok_or(Error::<T>::AmountTooLarge)?;
        let id = NextJobId::<T>::get();
        let next = id.checked_add(1).ok_or(Error::<T>::AmountTooLarge)?;

        Self::hold(HoldReason::Job, &requester, held)?;

        let UsedPool {
            period: pool,
            looked_at,
        } = Self::use_pool(request.model);
        Self::check_auditors(&request, &requester, pool)?;
        let claim_by = now.saturating_add(open_window);
        let replay_blocks = model
            .terms
            .replay_blocks(max_input_units.saturating_add(request.max_output))
            .ok_or(Error::<T>::AmountTooLarge)?;
        let input_hash = content_hash(&request.input);
        let terms = JobTerms {
            revision,
            canonical_version: model.canonical_version,
            min_fee: model.terms.min_fee,
            max_input_units,
            max_output_units: request.max_output,
            max_output_bytes: pricing::max_output_bytes(request.max_output),
            max_evidence_bytes: pricing::max_evidence_bytes(request.max_output),
            open_window,
            deliver_window,
            review_window: parameters.review_window,
            retention: parameters.retention,
            protocol_share: parameters.protocol_share,
            late_share: parameters.late_share,
            exposure_factor: parameters.exposure_factor,
            record_deposit: parameters.job_deposit,
            deposit_per_byte: parameters.job_deposit_per_byte,
            delivery_fee: deposit.delivery,
            audit: parameters.audit_terms(model.terms.seat_pay, replay_blocks),
        };
        let Request {
            model: model_id,
            input,
            max_fee,
            options,
            conditions,
            ..
        } = request;
        let job = Job {
            requester: requester.clone(),
            model: model_id,
            submitted_at: now,
            input_hash,
            input_len,
            options,
            max_prices: Prices {
                input: conditions.max_price_input,
                output: conditions.max_price_output,
            },
            directed: conditions.worker.map(|worker| Directed {
                worker,
                until: now.saturating_add(parameters.exclusive_window),
            }),
            barred: None,
            pool,
            terms,
            max_fee,
            escrow: max_fee,
            deposit: deposited,
            state: JobState::Open { claim_by },
            // Not later than where a claim in this very block would end, so that the first claim need
            // not move it.
            listed: claim_by
                .min(now.saturating_add(deliver_window))
                .saturating_add(1),
        };
        NextJobId::<T>::put(next);
        Inputs::<T>::insert(id, input);
        Self::add(id, job);
        Self::deposit_event(Event::JobSubmitted {
            job: id,
            requester,
            model: model_id,
            input_hash,
            max_fee,
            claim_by,
        });
        Ok(looked_at)
    }

    fn check_input(input: &Input) -> Result<u32, DispatchError> {
        ensure!(!input.is_empty(), Error::<T>::InputEmpty);
        ensure!(
            core::str::from_utf8(input).is_ok(),
            Error::<T>::InputNotUtf8
        );
        u32::try_from(input.len()).map_err(|_| Error::<T>::AmountTooLarge.into())
    }

    /// Checks that some worker could take the job at all, and returns the most input units.
    fn check_price(
        request: &Request<T::AccountId>,
        input_len: u32,
        model: &Model<T::AccountId>,
        parameters: &Parameters,
    ) -> Result<u32, DispatchError> {
        let Request {
            max_output,
            max_fee,
            conditions,
            ..
        } = request;
        ensure!(*max_output > 0, Error::<T>::OutputLimitZero);
        ensure!(
            *max_output <= model.limits.max_output,
            Error::<T>::OutputLimitTooHigh
        );
        let max_input_units = pricing::max_input_units(input_len, &model.limits, *max_output)
            .ok_or(Error::<T>::OutputLimitTooHigh)?;

        let lowest = Prices {
            input: model.terms.min_price_input,
            output: model.terms.min_price_output,
        };
        ensure!(
            conditions.max_price_input >= lowest.input
                && conditions.max_price_output >= lowest.output,
            Error::<T>::PriceCapTooLow
        );
        let most = Usage {
            input: max_input_units,
            output: *max_output,
        };
        let worst_case =
            pricing::fee(lowest, most, model.terms.min_fee).ok_or(Error::<T>::AmountTooLarge)?;
        ensure!(*max_fee >= worst_case, Error::<T>::EscrowTooSmall);
        // The shares may have grown since the model was registered.
        Self::ensure_min_fee_payable(&model.terms, parameters)?;
        Ok(max_input_units)
    }

    /// The job's windows: how long it is open, how long a delivery may take.
    fn check_windows(
        conditions: &JobConditions<T::AccountId>,
        now: BlockNumber,
        parameters: &Parameters,
    ) -> Result<(BlockNumber, BlockNumber), DispatchError> {
        let open_window = match conditions.claim_by {
            Some(claim_by) => {
                let window = claim_by
                    .checked_sub(now)
                    .filter(|window| *window > 0)
                    .ok_or(Error::<T>::ClaimDeadlinePassed)?;
                ensure!(
                    window <= parameters.max_open_window,
                    Error::<T>::ClaimDeadlineTooFar
                );
                window
            }
            None => parameters.open_window,
        };
        let deliver_window = conditions
            .deliver_within
            .unwrap_or(parameters.deliver_window);
        ensure!(
            (1..=parameters.max_deliver_window).contains(&deliver_window),
            Error::<T>::DeliverWindowOutOfRange
        );
        Ok((open_window, deliver_window))
    }

    fn check_worker(conditions: &JobConditions<T::AccountId>) -> DispatchResult {
        if let Some(worker) = &conditions.worker {
            ensure!(
                Workers::<T>::contains_key(worker),
                Error::<T>::DirectedToNoWorker
            );
        }
        Ok(())
    }

    /// Checks that enough accounts could be drawn, whoever of them becomes the worker.
    fn check_auditors(
        request: &Request<T::AccountId>,
        requester: &T::AccountId,
        pool: Option<u32>,
    ) -> DispatchResult {
        let wanted = request.conditions.min_auditors;
        if wanted == 0 {
            return Ok(());
        }
        let members = pool.map_or_else(Vec::new, |period| Self::pool(request.model, period));
        let others = members.iter().filter(|member| member.who != *requester);
        ensure!(
            others.count() >= wanted as usize,
            Error::<T>::TooFewAuditors
        );
        Ok(())
    }
}
