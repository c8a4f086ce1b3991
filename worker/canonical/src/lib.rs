//! Canonical inference arithmetic: the same bits on every machine.
//!
//! The definition is `docs/canonical.md`; this crate is its executable form. The modules at the
//! top level are the **scalar reference**, one operator a file, `no_std`, without allocation, so
//! that a chain runtime can run them too. With the feature `std` (on by default) [`kernels`] adds
//! the fast forms for the CPU at hand, each tested bit for bit against the reference.
//!
//! Nothing here rounds in a way the definition does not name: only `+ - * /`, square root, fused
//! multiply-add, comparisons, exact integer arithmetic and the named conversions are used, each
//! in a written order. Rust never contracts or reorders floating point operations by itself.

#![cfg_attr(not(feature = "std"), no_std)]

pub mod activation;
pub mod attention;
pub mod chacha20;
pub mod embedding;
pub mod exp;
pub mod fused;
#[cfg(feature = "std")]
pub mod kernels;
pub mod lane_sum;
pub mod linear;
pub mod q4_0;
pub mod q8_0;
pub mod quantize_row;
pub mod rms_norm;
pub mod rope;
pub mod sampler;
pub mod trace;

pub use attention::{attend, KeyValueOverflow};
pub use exp::exp_c;
pub use fused::{FusedMultiplyAdd, Portable};
pub use lane_sum::lane_sum;
pub use linear::linear_row;
pub use q8_0::{quantize_weights, WeightFault};
pub use quantize_row::{quantize_row, ActivationOverflow, BLOCK};
pub use rms_norm::rms_norm;
pub use sampler::{sample, SamplerSettings};
pub use trace::Trace;
