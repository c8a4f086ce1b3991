//! The market's parameters: one set, changed as a whole by the chain's governance. What a job needs
//! of them is copied into its terms when it is submitted, so a change touches later jobs only.

use crate::{Balance, BlockNumber, GEN};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_arithmetic::Permill;

/// Longest window that can be set: a year.
pub const MAX_WINDOW: BlockNumber = 365 * 24 * 1_800;

/// The market's parameters. Windows are in blocks, amounts in base units.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Parameters {
    /// Blocks in which only the worker that a job names may claim it.
    pub exclusive_window: BlockNumber,
    /// Blocks for which a job stays open if it does not say.
    pub open_window: BlockNumber,
    /// Longest that a job may stay open.
    pub max_open_window: BlockNumber,
    /// Blocks from a claim to its delivery if the job does not say.
    pub deliver_window: BlockNumber,
    /// Longest that a job may leave for its delivery.
    pub max_deliver_window: BlockNumber,
    /// Blocks for which a requester can look at a result before it is paid.
    pub review_window: BlockNumber,
    /// Blocks for which a final job's record and output are kept.
    pub retention: BlockNumber,
    /// Blocks from unbonding stake to withdrawing it.
    pub unbonding_period: BlockNumber,
    /// The protocol's share of every fee.
    pub protocol_share: Permill,
    /// The part of the worst-case fee that a late worker pays the requester.
    pub late_share: Permill,
    /// Stake that a claim reserves, in worst-case fees.
    pub exposure_factor: u32,
    /// Least stake of a worker.
    pub min_stake: Balance,
    /// Deposit for a model, besides its bytes.
    pub model_deposit: Balance,
    /// Deposit for each byte of a manifest.
    pub model_deposit_per_byte: Balance,
    /// Deposit for an offer.
    pub offer_deposit: Balance,
    /// Deposit for a job's record.
    pub job_deposit: Balance,
    /// Deposit for each byte of a job's input, largest output and largest evidence.
    pub job_deposit_per_byte: Balance,
    /// Prepaid for including a delivery.
    pub delivery_fee: Balance,
    /// Prepaid for each byte of the largest output and evidence.
    pub delivery_fee_per_byte: Balance,
}

impl Default for Parameters {
    /// The parameters of a real network.
    fn default() -> Self {
        Self {
            exclusive_window: 10,
            open_window: 1_800,
            max_open_window: 43_200,
            deliver_window: 150,
            max_deliver_window: 1_800,
            review_window: 150,
            retention: 1_800,
            unbonding_period: 14 * 43_200,
            protocol_share: Permill::from_percent(1),
            late_share: Permill::from_percent(50),
            exposure_factor: 50,
            min_stake: 100 * GEN,
            model_deposit: 10 * GEN,
            model_deposit_per_byte: GEN / 1_000,
            offer_deposit: GEN / 10,
            job_deposit: GEN / 100,
            job_deposit_per_byte: GEN / 1_000_000,
            delivery_fee: GEN / 10_000,
            delivery_fee_per_byte: GEN / 100_000_000,
        }
    }
}

/// Why a set of parameters is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParametersError {
    /// A window is 0 or longer than a year.
    Window,
    /// A default window is longer than its maximum.
    DefaultAboveMaximum,
    /// Stake could be withdrawn before the jobs it backs are over.
    UnbondingTooShort,
    /// The protocol would take a whole fee.
    ProtocolShare,
    /// A late worker would pay more than the job could have cost.
    LateShare,
    /// The exposure would not cover what a late worker pays.
    ExposureFactor,
    /// Workers need no stake.
    MinStake,
}

impl core::fmt::Display for ParametersError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Window => "every window must be 1 to 15,768,000 blocks",
            Self::DefaultAboveMaximum => "a default window must not exceed its maximum",
            Self::UnbondingTooShort => {
                "unbonding_period must exceed max_deliver_window + review_window"
            }
            Self::ProtocolShare => "protocol_share must be below 100 % (1,000,000 parts)",
            Self::LateShare => "late_share must be at most 100 % (1,000,000 parts)",
            Self::ExposureFactor => "exposure_factor must be at least 1",
            Self::MinStake => "min_stake must be above 0",
        })
    }
}

impl core::error::Error for ParametersError {}

impl Parameters {
    /// Longest that a claim can keep stake at risk: its delivery and its review.
    pub fn longest_claim(&self) -> BlockNumber {
        self.max_deliver_window.saturating_add(self.review_window)
    }

    /// Checks the relations without which the market's promises would not hold.
    pub fn check(&self) -> Result<(), ParametersError> {
        let windows = [
            self.exclusive_window,
            self.open_window,
            self.max_open_window,
            self.deliver_window,
            self.max_deliver_window,
            self.review_window,
            self.retention,
            self.unbonding_period,
        ];
        if windows
            .iter()
            .any(|window| !(1..=MAX_WINDOW).contains(window))
        {
            return Err(ParametersError::Window);
        }
        if self.open_window > self.max_open_window || self.deliver_window > self.max_deliver_window
        {
            return Err(ParametersError::DefaultAboveMaximum);
        }
        if self.unbonding_period <= self.longest_claim() {
            return Err(ParametersError::UnbondingTooShort);
        }
        // SCALE refuses shares above one, but a chain specification's JSON does not.
        if self.protocol_share >= Permill::one() {
            return Err(ParametersError::ProtocolShare);
        }
        if self.late_share > Permill::one() {
            return Err(ParametersError::LateShare);
        }
        if self.exposure_factor == 0 {
            return Err(ParametersError::ExposureFactor);
        }
        if self.min_stake == 0 {
            return Err(ParametersError::MinStake);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Parameters)) -> ParametersError {
        let mut parameters = Parameters::default();
        change(&mut parameters);
        parameters.check().unwrap_err()
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(Parameters::default().check(), Ok(()));
    }

    #[test]
    fn windows_are_neither_nothing_nor_for_ever() {
        assert_eq!(refused(|p| p.exclusive_window = 0), ParametersError::Window);
        assert_eq!(refused(|p| p.open_window = 0), ParametersError::Window);
        assert_eq!(refused(|p| p.deliver_window = 0), ParametersError::Window);
        assert_eq!(refused(|p| p.review_window = 0), ParametersError::Window);
        assert_eq!(
            refused(|p| p.retention = MAX_WINDOW + 1),
            ParametersError::Window
        );
        assert_eq!(
            refused(|p| p.open_window = 43_201),
            ParametersError::DefaultAboveMaximum
        );
        assert_eq!(
            refused(|p| p.deliver_window = 1_801),
            ParametersError::DefaultAboveMaximum
        );
    }

    #[test]
    fn stake_outlasts_the_jobs_it_backs() {
        assert_eq!(
            refused(|p| p.unbonding_period = 1_950),
            ParametersError::UnbondingTooShort
        );
        let longer = Parameters {
            unbonding_period: 1_951,
            ..Parameters::default()
        };
        assert_eq!(longer.check(), Ok(()));
    }

    #[test]
    fn shares_and_stakes_make_sense() {
        assert_eq!(
            refused(|p| p.protocol_share = Permill::one()),
            ParametersError::ProtocolShare
        );
        assert_eq!(
            refused(|p| p.exposure_factor = 0),
            ParametersError::ExposureFactor
        );
        assert_eq!(refused(|p| p.min_stake = 0), ParametersError::MinStake);
    }
}
