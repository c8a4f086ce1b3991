//! Units of money.

use crate::Balance;

/// Base units in one GEN: the token has 12 decimals.
pub const GEN: Balance = 1_000_000_000_000;
/// A thousandth of a GEN.
pub const MILLIGEN: Balance = GEN / 1_000;
/// A millionth of a GEN.
pub const MICROGEN: Balance = GEN / 1_000_000;

/// The least that an account must hold to exist.
pub const EXISTENTIAL_DEPOSIT: Balance = MILLIGEN;

/// Deposit for `items` entries and `bytes` bytes kept in the chain's state.
/// A gigabyte locks up ten million GEN.
pub const fn deposit(items: u32, bytes: u32) -> Balance {
    items as Balance * 20 * MILLIGEN + bytes as Balance * 10 * MILLIGEN
}
