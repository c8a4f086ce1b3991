//! Keys and values: where they lie, who holds which block, and which blocks can be used again.
//!
//! Memory is cut into blocks of 32 positions. A block belongs to positions of one sequence, or of
//! several that begin with the same tokens.

mod blocks;
mod prefix;
mod store;

pub(crate) use blocks::{BlockPool, Lease};
pub(crate) use prefix::PrefixHash;
pub(crate) use store::KvStore;
