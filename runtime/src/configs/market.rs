//! The inference marketplace.

use crate::{AccountId, Balances, Runtime, RuntimeHoldReason, System};
use frame_support::{parameter_types, traits::ConstU32, PalletId};
use frame_system::EnsureRoot;
use genesisflow_primitives::H256;
use pallet_inference::randomness::BlockRandomness;
use sp_runtime::traits::AccountIdConversion;

parameter_types! {
    /// Keeps what jobs have paid for audits until auditors receive it. It has no key: only the
    /// market moves its money.
    pub AuditPotAccount: AccountId = PalletId(*b"gf/audit").into_account_truncating();
}

/// The VRF output of each block's author.
///
/// BABE stores it when the block is finalised (`on_finalize`) and nowhere else, so from the start
/// of the next block on, whatever the order of the pallets, it is the output of the block before.
/// Every slot has one: see `BABE_GENESIS_EPOCH_CONFIG`.
pub struct AuthorVrf;

impl BlockRandomness for AuthorVrf {
    fn of_previous_block() -> Option<H256> {
        pallet_babe::AuthorVrfRandomness::<Runtime>::get().map(H256)
    }
}

impl pallet_inference::Config for Runtime {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type BlockNumberProvider = System;
    type ParametersOrigin = EnsureRoot<AccountId>;
    type CancelSlashOrigin = EnsureRoot<AccountId>;
    type Randomness = AuthorVrf;
    type TreasuryAccount = super::TreasuryAccount;
    type AuditPotAccount = AuditPotAccount;
    type MaxUnbondingChunks = ConstU32<32>;
    type MaxCapacity = ConstU32<512>;
    #[cfg(not(feature = "runtime-benchmarks"))]
    type WeightInfo = crate::weights::pallet_inference::WeightInfo<Runtime>;
    // While they are measured, the weights measured before may not fit the calls.
    #[cfg(feature = "runtime-benchmarks")]
    type WeightInfo = ();
}
