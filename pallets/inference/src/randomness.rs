//! Where the seeds of draws come from.
//!
//! At the start of every block the pallet writes down what the block before contributed: on a BABE
//! chain the VRF output of its author. The author cannot choose that output, only withhold its
//! block; nobody else knows it before the block is there. A draw takes several blocks *after* the
//! event that it is about, so at that event the seed does not exist. How far authors who withhold
//! blocks can bend a draw is worked out in `docs/economics.md`.
//!
//! What a seed is does not depend on when somebody asks for it: before its last block there is
//! none, from then on it is the same for [`RANDOMNESS_KEPT`] blocks, and after that there is none
//! again.

use crate::{agenda::DueKey, BlockOutputs, Config, Pallet};
use alloc::vec::Vec;
use genesisflow_primitives::{audit::combined_seed, BlockNumber, H256};

/// For how many blocks an output is kept: a day. A draw that nobody has made until then is not made
/// at all; see `audits/draw.rs` for what follows.
pub const RANDOMNESS_KEPT: BlockNumber = 43_200;

/// Most outputs that are forgotten in one block. One is added at most, so that a backlog, which
/// only a clock that skips blocks can leave, shrinks.
const FORGOTTEN_AT_A_TIME: usize = 2;

/// What blocks contribute to seeds.
pub trait BlockRandomness {
    /// Unpredictable output of the block before the present one, as 32 bytes; None: it made none.
    ///
    /// Read at the start of each block, before its transactions. It must not be possible to choose
    /// the output, or to know it long before the block that makes it.
    fn of_previous_block() -> Option<H256>;
}

impl<T: Config> Pallet<T> {
    /// Writes down what the previous block contributed, and forgets what is too old.
    pub(crate) fn record_randomness() {
        let Some(previous) = Self::now().checked_sub(1) else {
            return;
        };
        let too_old: Vec<_> = BlockOutputs::<T>::iter_keys()
            .take_while(|key| !is_kept(key.block(), previous))
            .take(FORGOTTEN_AT_A_TIME)
            .collect();
        too_old.into_iter().for_each(BlockOutputs::<T>::remove);
        if let Some(output) = T::Randomness::of_previous_block() {
            BlockOutputs::<T>::insert(DueKey::from(previous), output);
        }
    }

    /// The seed that the `count` blocks after `block` make. None as long as one of them is still to
    /// come, and once the first of them is older than [`RANDOMNESS_KEPT`].
    ///
    /// A block without an output adds nothing, and without any output there is no seed. On a BABE
    /// chain with VRF outputs in every slot neither happens.
    pub(crate) fn seed_after(block: BlockNumber, count: BlockNumber) -> Option<H256> {
        let first = block.checked_add(1)?;
        let last = block.checked_add(count)?;
        let previous = Self::now().checked_sub(1)?;
        if last > previous || !is_kept(first, previous) {
            return None;
        }
        let outputs: Vec<H256> = (first..=last)
            .filter_map(|block| BlockOutputs::<T>::get(DueKey::from(block)))
            .collect();
        (!outputs.is_empty()).then(|| combined_seed(&outputs))
    }
}

/// Whether a block's output is still kept when `previous` is the newest.
fn is_kept(block: BlockNumber, previous: BlockNumber) -> bool {
    block.saturating_add(RANDOMNESS_KEPT) > previous
}
