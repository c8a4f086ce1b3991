//! Units of block time.

use crate::BlockNumber;

/// Length of a BABE slot, and so the time between blocks. It cannot change once
/// a chain has started.
pub const SLOT_DURATION_MS: u64 = 2_000;
/// Blocks in a minute.
pub const MINUTES: BlockNumber = 60_000 / SLOT_DURATION_MS as BlockNumber;
/// Blocks in an hour.
pub const HOURS: BlockNumber = MINUTES * 60;
/// Blocks in a day.
pub const DAYS: BlockNumber = HOURS * 24;
/// Slots in a BABE epoch. It cannot change once a chain has started.
pub const EPOCH_SLOTS: u64 = 10 * MINUTES as u64;
/// Share of slots in which the VRF lottery has a winner (BABE's `c`): 1 in 4.
/// The others fall to the secondary author, who also gives a VRF output.
pub const PRIMARY_PROBABILITY: (u64, u64) = (1, 4);
