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
            ParametersError::SeedBlocks => Self::ParameterSeedBlocksOutOfRange,
            ParametersError::Seats => Self::ParameterSeatsUnsound,
            ParametersError::AuditChance => Self::ParameterAuditChanceUnsound,
            ParametersError::PremiumCap => Self::ParameterPremiumCapUnsound,
            ParametersError::Bond => Self::ParameterBondUnsound,
            ParametersError::Fines => Self::ParameterFinesUnsound,
        }
    }
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_set_parameters(parameters: Parameters) -> DispatchResult {
        parameters.check().map_err(Error::<T>::from)?;
        let former = MarketParameters::<T>::get();
        let revision = former.revision.wrapping_add(1);
        // Periods of another length begin now, so that none is counted twice.
        if parameters.pool_period != former.parameters.pool_period {
            Self::begin_periods_of(parameters.pool_period);
        }
        MarketParameters::<T>::put(ParameterSet {
            revision,
            parameters,
        });
        Self::deposit_event(Event::ParametersSet { revision });
        Ok(())
    }
}
