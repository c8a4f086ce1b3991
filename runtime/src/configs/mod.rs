//! Configuration of the pallets, one file per theme.

mod accounts;
mod carriers;
mod consensus;
mod filter;
mod governance;
mod market;
mod system;

pub use accounts::{ProxyType, TreasuryAccount};
pub use carriers::Wrappers;
pub use consensus::BABE_GENESIS_EPOCH_CONFIG;
pub use filter::NoPureProxies;
pub use market::AuditPotAccount;
pub use system::{RuntimeBlockLength, RuntimeBlockWeights};
