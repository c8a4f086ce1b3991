//! Models: registration and retirement.

use crate::{Config, Error, Event, HoldReason, Manifests, MarketParameters, Models, Pallet};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::ensure;
use genesisflow_primitives::{
    pricing, Balance, ManifestBytes, ManifestError, ModelId, ModelLimits, ModelManifest,
    ModelTerms, Parameters,
};
use scale_info::TypeInfo;
use sp_runtime::{DispatchError, DispatchResult};

/// A registered model. Limits and terms repeat its manifest, so that a submission need not read it.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Model<AccountId> {
    /// Who registered it and made the deposit.
    pub owner: AccountId,
    /// What is held on the owner for it, in base units.
    pub deposit: Balance,
    /// Whether it takes no new jobs.
    pub retired: bool,
    /// How many jobs on it are not final; the manifest is kept as long as there are any.
    pub live_jobs: u32,
    /// Version of the canonical arithmetic.
    pub canonical_version: u16,
    /// How long a job may get.
    pub limits: ModelLimits,
    /// On which terms it is offered.
    pub terms: ModelTerms,
}

impl<T: Config> From<ManifestError> for Error<T> {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Malformed => Self::ManifestMalformed,
            ManifestError::Text => Self::ManifestTextInvalid,
            ManifestError::Path => Self::ManifestPathInvalid,
            ManifestError::DuplicatePath => Self::ManifestPathTwice,
            ManifestError::EmptyFile => Self::ManifestFileEmpty,
            ManifestError::Config => Self::ManifestConfigMissing,
            ManifestError::Weights => Self::ManifestWeightsMissing,
            ManifestError::Tokenizer => Self::ManifestTokenizerMissing,
            ManifestError::CanonicalVersion => Self::ManifestVersionUnknown,
            ManifestError::Limits => Self::ManifestLimitsInvalid,
            ManifestError::ZeroPrice => Self::ManifestPriceZero,
            ManifestError::SeatPay => Self::ManifestSeatPayInvalid,
            ManifestError::ReplayTooSlow => Self::ManifestReplayTooSlow,
        }
    }
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_register_model(
        owner: T::AccountId,
        manifest: ManifestBytes,
    ) -> DispatchResult {
        let parsed = ModelManifest::parse(&manifest).map_err(Error::<T>::from)?;
        let parameters = MarketParameters::<T>::get().parameters;
        Self::ensure_min_fee_payable(&parsed.terms, &parameters)?;

        let id = ModelManifest::id_of(&manifest);
        let former = Models::<T>::get(id);
        ensure!(
            former.as_ref().is_none_or(|model| model.retired),
            Error::<T>::ModelExists
        );

        let bytes = Balance::try_from(manifest.len()).map_err(|_| Error::<T>::AmountTooLarge)?;
        let deposit = parameters
            .model_deposit_per_byte
            .checked_mul(bytes)
            .and_then(|deposit| deposit.checked_add(parameters.model_deposit))
            .ok_or(Error::<T>::AmountTooLarge)?;
        // A retired model that still has jobs changes hands: the former owner is free to go.
        let live_jobs = match former {
            Some(former) => {
                Self::release(HoldReason::ModelDeposit, &former.owner, former.deposit)?;
                former.live_jobs
            }
            None => 0,
        };
        Self::hold(HoldReason::ModelDeposit, &owner, deposit)?;

        Models::<T>::insert(
            id,
            Model {
                owner: owner.clone(),
                deposit,
                retired: false,
                live_jobs,
                canonical_version: parsed.canonical_version,
                limits: parsed.limits,
                terms: parsed.terms,
            },
        );
        Manifests::<T>::insert(id, manifest);
        Self::deposit_event(Event::ModelRegistered {
            model: id,
            owner,
            deposit,
        });
        Ok(())
    }

    pub(crate) fn do_retire_model(who: T::AccountId, id: ModelId) -> DispatchResult {
        let mut model = Models::<T>::get(id).ok_or(Error::<T>::ModelUnknown)?;
        ensure!(model.owner == who, Error::<T>::NotModelOwner);
        ensure!(!model.retired, Error::<T>::ModelRetired);
        model.retired = true;
        Self::deposit_event(Event::ModelRetired { model: id });
        Self::keep_or_drop_model(id, model)?;
        Ok(())
    }

    /// Counts a job that is final now; a retired model goes with its last one. Returns whether it
    /// went.
    pub(crate) fn end_job_on_model(id: ModelId) -> Result<bool, DispatchError> {
        let mut model =
            Models::<T>::get(id).ok_or_else(|| Self::corrupted("a live job's model is missing"))?;
        model.live_jobs = model
            .live_jobs
            .checked_sub(1)
            .ok_or_else(|| Self::corrupted("a model counts too few live jobs"))?;
        Self::keep_or_drop_model(id, model)
    }

    /// Refuses a model whose least fee, after the protocol's share and the largest premium, leaves
    /// a worker less than an account must hold.
    pub(crate) fn ensure_min_fee_payable(
        terms: &ModelTerms,
        parameters: &Parameters,
    ) -> DispatchResult {
        let (_, rest) = pricing::split_fee(terms.min_fee, parameters.protocol_share);
        let premium = pricing::share_of(terms.min_fee, parameters.premium_cap);
        let worker = rest.saturating_sub(premium);
        ensure!(
            worker >= Self::existential_deposit(),
            Error::<T>::MinFeeTooLow
        );
        Ok(())
    }

    /// Returns whether the model was dropped.
    fn keep_or_drop_model(id: ModelId, model: Model<T::AccountId>) -> Result<bool, DispatchError> {
        if !model.retired || model.live_jobs > 0 {
            Models::<T>::insert(id, model);
            return Ok(false);
        }
        let Model { owner, deposit, .. } = model;
        Self::release(HoldReason::ModelDeposit, &owner, deposit)?;
        Models::<T>::remove(id);
        Manifests::<T>::remove(id);
        Self::forget_newest_pool(id);
        Self::deposit_event(Event::ModelDropped {
            model: id,
            owner,
            deposit,
        });
        Ok(true)
    }
}
