//! The GenesisFlow runtime: consensus by BABE and GRANDPA, accounts and fees,
//! and the inference marketplace.
//!
//! - [`currency`] and [`time`]: units of money and of block time;
//! - [`configs`]: one file per theme of pallet configuration;
//! - [`genesis_presets`]: the `development` and `local_testnet` chains;
//! - [`apis`]: what nodes and clients may ask of the runtime.

#![cfg_attr(not(feature = "std"), no_std)]
// `construct_runtime` expands to a deeply nested type.
#![recursion_limit = "256"]
// Macros of FRAME generate public items without docs.
#![allow(missing_docs)]

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

extern crate alloc;
#[cfg(feature = "runtime-benchmarks")]
#[macro_use]
extern crate frame_benchmarking;

// First, for its macros.
#[cfg(feature = "runtime-benchmarks")]
#[macro_use]
mod benchmarks;

pub mod apis;
pub mod configs;
pub mod currency;
pub mod genesis_presets;
pub mod time;
pub mod weights;

use alloc::vec::Vec;
use sp_runtime::{
    generic, impl_opaque_keys,
    traits::{BlakeTwo256, IdentifyAccount, Verify},
    MultiAddress, MultiSignature,
};
use sp_version::RuntimeVersion;

/// Signature of a transaction: ed25519, sr25519 or ECDSA.
pub type Signature = MultiSignature;
/// An account: the public key, or its hash for ECDSA.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// An amount in base units; 10^12 of them are one GEN.
pub type Balance = u128;
/// Number of transactions that an account has sent.
pub type Nonce = u32;
/// A 32-byte hash.
pub type Hash = sp_core::H256;
/// Height of a block.
pub type BlockNumber = u32;
/// An address as it stands in a transaction.
pub type Address = MultiAddress<AccountId, ()>;
/// Header of a block.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
/// What is checked of a transaction before it runs, in this order.
pub type TxExtension = (
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckEra<Runtime>,
    frame_system::CheckNonce<Runtime>,
    // Before weight and fee, so that a refusal is cheap; after the nonce, so that the sender is known.
    pallet_inference::extension::CheckStanding<Runtime, configs::Wrappers>,
    frame_system::CheckWeight<Runtime>,
    pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);
/// A transaction as it stands in a block.
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// What a transaction's signature covers.
pub type SignedPayload = generic::SignedPayload<RuntimeCall, TxExtension>;
/// Runs blocks.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

/// Types for code that handles blocks without decoding their transactions.
pub mod opaque {
    use super::*;
    pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;

    /// Header of a block.
    pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
    /// A block whose transactions are bytes.
    pub type Block = generic::Block<Header, UncheckedExtrinsic>;
}

impl_opaque_keys! {
    /// The keys with which a validator takes part in consensus.
    pub struct SessionKeys {
        pub babe: Babe,
        pub grandpa: Grandpa,
    }
}

/// Version of the runtime. `spec_version` rises with every change of behaviour,
/// `transaction_version` when the encoding of an existing transaction changes.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: alloc::borrow::Cow::Borrowed("genesisflow"),
    impl_name: alloc::borrow::Cow::Borrowed("genesisflow-node"),
    authoring_version: 1,
    spec_version: 5,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 2,
    system_version: 1,
};

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system::Pallet<Runtime>;
    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp::Pallet<Runtime>;
    #[runtime::pallet_index(2)]
    pub type Babe = pallet_babe::Pallet<Runtime>;
    #[runtime::pallet_index(3)]
    pub type Grandpa = pallet_grandpa::Pallet<Runtime>;

    #[runtime::pallet_index(10)]
    pub type Balances = pallet_balances::Pallet<Runtime>;
    #[runtime::pallet_index(11)]
    pub type TransactionPayment = pallet_transaction_payment::Pallet<Runtime>;

    #[runtime::pallet_index(20)]
    pub type Utility = pallet_utility::Pallet<Runtime>;
    #[runtime::pallet_index(21)]
    pub type Proxy = pallet_proxy::Pallet<Runtime>;
    #[runtime::pallet_index(22)]
    pub type Multisig = pallet_multisig::Pallet<Runtime>;
    #[runtime::pallet_index(23)]
    pub type Sudo = pallet_sudo::Pallet<Runtime>;

    #[runtime::pallet_index(30)]
    pub type Inference = pallet_inference::Pallet<Runtime>;
}
