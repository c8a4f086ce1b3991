//! Weights measured on this runtime: see `scripts/weights.sh`.

pub mod pallet_inference;
