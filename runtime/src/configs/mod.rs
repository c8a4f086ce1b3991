//! Configuration of the pallets, one file per theme.

mod accounts;
mod consensus;
mod governance;
mod market;
mod system;

pub use accounts::{ProxyType, TreasuryAccount};
pub use consensus::BABE_GENESIS_EPOCH_CONFIG;
pub use system::{RuntimeBlockLength, RuntimeBlockWeights};
