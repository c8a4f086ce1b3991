//! Seeds: there when their blocks are over, the same for a day, then gone.

use crate::{
    mock::*,
    primitives::{audit::combined_seed, BlockNumber, H256},
    randomness::RANDOMNESS_KEPT,
    BlockOutputs,
};
use frame_support::traits::Hooks;

fn seed(block: BlockNumber, count: BlockNumber) -> Option<H256> {
    Inference::seed_after(block, count)
}

/// What the outputs of some blocks make.
fn of(blocks: impl IntoIterator<Item = BlockNumber>) -> Option<H256> {
    let outputs: Vec<_> = blocks
        .into_iter()
        .map(|block| output_of(block, 0))
        .collect();
    Some(combined_seed(&outputs))
}

#[test]
fn a_seed_is_there_once_its_last_block_is_over() {
    bare_market(|| {
        jump_to(12);
        assert_eq!(seed(10, 2), None, "block 12 is running");
        jump_to(13);
        assert_eq!(seed(10, 2), of([11, 12]));
        assert_eq!(seed(10, 3), None);
        jump_to(100);
        assert_eq!(seed(10, 2), of([11, 12]), "it does not change");
        assert_eq!(seed(98, 2), None);
        assert_eq!(seed(98, 1), of([99]));
    });
}

#[test]
fn an_event_and_what_was_before_it_have_no_part_in_its_seed() {
    bare_market(|| {
        set_randomness(Some(7));
        // The output of block 10 is written down in block 11.
        jump_to(11);
        set_randomness(Some(0));
        jump_to(13);
        assert_eq!(seed(10, 2), of([11, 12]));
        assert_eq!(
            seed(9, 2),
            Some(combined_seed(&[output_of(10, 7), output_of(11, 0)]))
        );
    });
}

#[test]
fn seeds_are_forgotten_after_a_day() {
    bare_market(|| {
        jump_to(10 + RANDOMNESS_KEPT);
        assert_eq!(seed(9, 2), of([10, 11]));
        jump_to(11 + RANDOMNESS_KEPT);
        assert_eq!(seed(9, 2), None, "block 10 is too old");
        assert_eq!(seed(10, 2), of([11, 12]));
        assert_eq!(
            BlockOutputs::<Test>::iter_keys().count(),
            RANDOMNESS_KEPT as usize
        );
    });
}

#[test]
fn a_block_without_output_adds_nothing() {
    bare_market(|| {
        jump_to(11);
        set_randomness(None);
        jump_to(12);
        set_randomness(Some(0));
        jump_to(14);
        assert_eq!(seed(9, 3), of([10, 12]), "block 11 had none");
        assert_eq!(seed(10, 1), None, "nothing makes no seed");
    });
}

#[test]
fn a_clock_that_skips_blocks_leaves_no_outputs_behind() {
    bare_market(|| {
        jump_to(60);
        let far = 3 * RANDOMNESS_KEPT;
        begin_block(far);
        assert_eq!(seed(10, 2), None);
        assert_eq!(seed(far - 3, 2), of([far - 1]), "the others were skipped");
        // 59 are left over; two of them go in each block.
        jump_to(far + 29);
        let kept: Vec<_> = BlockOutputs::<Test>::iter_keys()
            .map(|key| key.block())
            .collect();
        assert_eq!(kept, (far - 1..far + 29).collect::<Vec<_>>());
    });
}

#[test]
fn nonsense_has_no_seed() {
    bare_market(|| {
        jump_to(20);
        assert_eq!(seed(10, 0), None);
        assert_eq!(seed(BlockNumber::MAX, 1), None);
        assert_eq!(seed(10, BlockNumber::MAX), None);
        System::set_block_number(0);
        Inference::on_initialize(0);
        assert_eq!(seed(0, 1), None);
    });
}
