//! Types, limits and hashing that the chain, its workers and its clients share.
//!
//! Everything that two parties must compute alike stands here and nowhere else: how a model's id
//! follows from its manifest, what a job may cost at most, how a result is hashed into an
//! attestation, how output tokens are written as evidence, which seed a sampler gets. The crate is
//! `no_std` and knows neither the pallet nor a client library.
//!
//! | module | what it defines |
//! |---|---|
//! | [`manifest`] | a model: its files, limits and terms, and the checks it must pass |
//! | [`job`] | what a requester asks for, what a worker answers, the states between |
//! | [`pricing`] | bounds on units and bytes, worst-case and metered fees |
//! | [`parameters`] | the market's parameters and the relations they must keep |
//! | [`audit`] | draws, ballots, verdicts, and the sums that follow from them |
//! | [`attestation`] | what a worker states by delivering, and its hash |
//! | [`evidence`] | token ids as bytes |
//! | [`seed`] | the sampler's seed |
//! | [`views`] | what the read API returns |
//!
//! All hashes are BLAKE2b-256 (files are named by SHA-256, as model hubs do). Domain strings are
//! ASCII without a terminator, and parts are concatenated.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod attestation;
pub mod audit;
pub mod evidence;
pub mod job;
pub mod manifest;
pub mod parameters;
pub mod pricing;
pub mod seed;
pub mod views;

pub use attestation::Attestation;
pub use job::{
    Fault, FaultCode, InputFormat, JobConditions, JobOptions, JobStatus, JobTerms, Prices,
    ResultClaim, Usage,
};
pub use manifest::{
    FileRole, ManifestError, ModelFile, ModelLimits, ModelManifest, ModelTerms, Task,
};
pub use parameters::{Parameters, ParametersError};
pub use seed::sampling_seed;

/// 32 bytes that name something by its hash.
pub use sp_core::H256;

use sp_core::{bounded::BoundedVec, ConstU32};

/// An amount of the native token in base units (1 GEN = 10^12 base units).
pub type Balance = u128;

/// A block height. Blocks are 2 seconds apart.
pub type BlockNumber = u32;

/// A job's number: sequential from 0, never used twice.
pub type JobId = u64;

/// A model's name on chain: the BLAKE2b-256 hash of its manifest's bytes.
pub type ModelId = H256;

/// One GEN in base units.
pub const GEN: Balance = 1_000_000_000_000;

/// Seconds from one block to the next.
pub const SECONDS_PER_BLOCK: u32 = 2;

/// Most bytes of a manifest.
pub type MaxManifestLen = ConstU32<16_384>;
/// Most bytes of a job's input.
pub type MaxInputLen = ConstU32<16_384>;
/// Most bytes of a job's output, whatever its output limit.
pub type MaxOutputLen = ConstU32<16_384>;
/// Most bytes of a job's evidence, whatever its output limit.
pub type MaxEvidenceLen = ConstU32<16_384>;
/// Most bytes of a worker's endpoint.
pub type MaxEndpointLen = ConstU32<256>;

/// A manifest as registered.
pub type ManifestBytes = BoundedVec<u8, MaxManifestLen>;
/// A job's input: UTF-8 text.
pub type Input = BoundedVec<u8, MaxInputLen>;
/// A job's output: UTF-8 text, as the requester reads it.
pub type Output = BoundedVec<u8, MaxOutputLen>;
/// A job's evidence: see [`evidence`].
pub type EvidenceBytes = BoundedVec<u8, MaxEvidenceLen>;
/// Where a worker may be reached, if it says so: UTF-8, may be empty.
pub type Endpoint = BoundedVec<u8, MaxEndpointLen>;

/// Most items that one page of the read API returns.
pub const MAX_PAGE: u32 = 256;
/// Most seats that one page of the read API returns: each carries its job's bytes.
pub const MAX_SEATS_PAGE: u32 = 16;

/// The hash that names content on chain: BLAKE2b-256.
///
/// ```
/// use genesisflow_primitives::content_hash;
/// assert_ne!(content_hash(b"a"), content_hash(b"b"));
/// ```
pub fn content_hash(bytes: &[u8]) -> H256 {
    H256(sp_crypto_hashing::blake2_256(bytes))
}
