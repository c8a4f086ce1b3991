//! Weights measured on this runtime: see `scripts/weights.sh`.

#[cfg(not(feature = "runtime-benchmarks"))]
pub mod pallet_balances;
#[cfg(not(feature = "runtime-benchmarks"))]
pub mod pallet_inference;
pub mod storage;
