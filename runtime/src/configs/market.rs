//! The inference marketplace.

use crate::{AccountId, Balances, Runtime, RuntimeHoldReason, System};
use frame_support::traits::ConstU32;
use frame_system::EnsureRoot;

impl pallet_inference::Config for Runtime {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type BlockNumberProvider = System;
    type ParametersOrigin = EnsureRoot<AccountId>;
    type TreasuryAccount = super::TreasuryAccount;
    type MaxUnbondingChunks = ConstU32<32>;
    type MaxClaims = ConstU32<512>;
    type WeightInfo = crate::weights::pallet_inference::WeightInfo<Runtime>;
}
