//! Blocks: their weight, length and versioning.

use crate::{
    weights::storage::StorageWeight, AccountId, Block, Hash, Nonce, PalletInfo, Runtime,
    RuntimeCall, RuntimeEvent, RuntimeOrigin, RuntimeTask, VERSION,
};
use frame_support::{
    derive_impl,
    dispatch::DispatchClass,
    parameter_types,
    traits::ConstU32,
    weights::{constants::WEIGHT_REF_TIME_PER_SECOND, Weight},
};
use frame_system::limits::{BlockLength, BlockWeights};
use sp_runtime::{traits::AccountIdLookup, Perbill};
use sp_version::RuntimeVersion;

/// Share of a block open to ordinary transactions: what submission, claim and
/// acceptance are of all that a job is charged (1.55 of 3.06 ms). The rest is for what follows from them:
/// deliveries and ballots, which are operational, and the steps of the agenda. With
/// more, submissions would only run ahead of it. See `docs/throughput.md`.
const NORMAL_RATIO: Perbill = Perbill::from_percent(52);
/// 1.45 s of charged compute in a two-second slot, of which an author may use a third
/// less: blocks full of jobs take two thirds to four fifths of what they are charged on a
/// busy node, by the minute and the machine. See `docs/throughput.md`. A solo chain
/// ships no proofs, so proof size has no limit.
const BLOCK_WEIGHT: Weight = Weight::from_parts(WEIGHT_REF_TIME_PER_SECOND / 100 * 145, u64::MAX);
/// Longest block body in bytes.
const BLOCK_BYTES: u32 = 5 * 1024 * 1024;

parameter_types! {
    pub const BlockHashCount: u32 = 4_096;
    pub const Version: RuntimeVersion = VERSION;
    pub const SS58Prefix: u16 = 42;
    pub RuntimeBlockWeights: BlockWeights =
        BlockWeights::with_sensible_defaults(BLOCK_WEIGHT, NORMAL_RATIO);
    pub RuntimeBlockLength: BlockLength = BlockLength::builder()
        .max_length(BLOCK_BYTES)
        .modify_max_length_for_class(DispatchClass::Normal, |max| *max = NORMAL_RATIO * BLOCK_BYTES)
        .build();
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type BaseCallFilter = super::NoPureProxies;
    type Block = Block;
    type BlockWeights = RuntimeBlockWeights;
    type BlockLength = RuntimeBlockLength;
    type BlockHashCount = BlockHashCount;
    type AccountId = AccountId;
    type Lookup = AccountIdLookup<AccountId, ()>;
    type Nonce = Nonce;
    type Hash = Hash;
    type DbWeight = StorageWeight;
    type Version = Version;
    type AccountData = pallet_balances::AccountData<crate::Balance>;
    type SystemWeightInfo = frame_system::weights::SubstrateWeight<Runtime>;
    type ExtensionsWeightInfo = frame_system::SubstrateExtensionsWeight<Runtime>;
    type SS58Prefix = SS58Prefix;
    type MaxConsumers = ConstU32<64>;
}
