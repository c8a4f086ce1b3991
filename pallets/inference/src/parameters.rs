//! `set_parameters`: for jobs to come.

use crate::{Config, Error, Event, MarketParameters, Pallet, ParameterSet};
use genesisflow_primitives::{Parameters, ParametersError};
use sp_runtime::DispatchResult;

impl<T: Config> From<ParametersError> for Error<T> {
    fn from(error: ParametersError) -> Self {
        match error {
            ParametersError::Window => Self::ParameterWindowOutOfRange,
            ParametersError::DefaultAboveMaximum => Self::ParameterDefaultAboveMaximum,
            ParametersError::UnbondingTooShort => Self::ParameterUnbondingTooShort,
            ParametersError::ProtocolShare => Self::ParameterProtocolShareTooHigh,
            ParametersError::LateShare => Self::ParameterLateShareTooHigh,
            ParametersError::ExposureFactor => Self::ParameterExposureFactorZero,
            ParametersError::MinStake => Self::ParameterMinStakeZero,
        }
    }
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_set_parameters(parameters: Parameters) -> DispatchResult {
        parameters.check().map_err(Error::<T>::from)?;
        let revision = MarketParameters::<T>::get().revision.wrapping_add(1);
        MarketParameters::<T>::put(ParameterSet {
            revision,
            parameters,
        });
        Self::deposit_event(Event::ParametersSet { revision });
        Ok(())
    }
}
