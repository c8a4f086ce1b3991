//! Models: registration and retirement.

use crate::{
    Config, Error, Event, HoldReason, LiveJobs, Manifests, MarketParameters, Models, Pallet,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::ensure;
use genesisflow_primitives::{
    pricing, Balance, ManifestBytes, ManifestError, ModelId, ModelLimits, ModelManifest,
    ModelTerms, Parameters,
};
use scale_info::TypeInfo;
use sp_runtime::DispatchResult;

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
        if let Some(former) = former {
            Self::release(HoldReason::ModelDeposit, &former.owner, former.deposit)?;
        }
        Self::hold(HoldReason::ModelDeposit, &owner, deposit)?;

        Models::<T>::insert(
            id,
            Model {
                owner: owner.clone(),
                deposit,
                retired: false,
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
        if Self::has_live_jobs(id) {
            Models::<T>::insert(id, model);
            Ok(())
        } else {
            Self::drop_model(id, model)
        }
    }

    /// Whether some job on a model is not final.
    pub(crate) fn has_live_jobs(id: ModelId) -> bool {
        LiveJobs::<T>::iter_key_prefix(id).next().is_some()
    }

    /// A retired model goes with its last live job.
    pub(crate) fn drop_if_retired(id: ModelId) -> DispatchResult {
        match Models::<T>::get(id) {
            Some(model) if model.retired => Self::drop_model(id, model),
            Some(_) => Ok(()),
            None => Err(Self::corrupted("a live job's model is missing")),
        }
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

    fn drop_model(id: ModelId, model: Model<T::AccountId>) -> DispatchResult {
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
        Ok(())
    }
}
