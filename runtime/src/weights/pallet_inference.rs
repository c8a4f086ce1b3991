//! Weights of `pallet_inference`, measured. Do not edit: run `scripts/weights.sh`.
//!
//! 8 steps, 10 repeats, on AMD EPYC.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of `pallet_inference` on this runtime.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_inference::WeightInfo for WeightInfo<T> {
    // Least time measured: 310501 ns.
    fn accept_result() -> Weight {
        Weight::from_parts(323040000, 0)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(11))
    }
    // Least time measured: 11538 ns.
    fn activate() -> Weight {
        Weight::from_parts(12578000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 177354 ns.
    fn appeal_verdict() -> Weight {
        Weight::from_parts(181520000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 62593 ns.
    fn bond_more() -> Weight {
        Weight::from_parts(63895000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 188550 ns.
    fn cancel_job() -> Weight {
        Weight::from_parts(195541000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 92708 ns.
    fn cancel_slash() -> Weight {
        Weight::from_parts(117234000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 19719 ns.
    fn check_deliver_standing() -> Weight {
        Weight::from_parts(22203000, 0).saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 47701 ns.
    fn check_standing() -> Weight {
        Weight::from_parts(54060000, 0).saturating_add(T::DbWeight::get().reads(3))
    }
    // Least time measured: 11086 ns.
    fn chill() -> Weight {
        Weight::from_parts(11357000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 42103 ns.
    fn claim_job() -> Weight {
        Weight::from_parts(45477000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 118326 ns.
    fn close_last() -> Weight {
        Weight::from_parts(136904000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 96474 ns.
    fn commit_ballot() -> Weight {
        Weight::from_parts(102372000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    /// `o` was measured from 0 to 16384.
    /// `e` was measured from 0 to 16384.
    // Least time measured: 348838 ns.
    fn deliver(o: u32, e: u32) -> Weight {
        Weight::from_parts(230722149, 0)
            .saturating_add(Weight::from_parts(8700, 0).saturating_mul(o.into()))
            .saturating_add(Weight::from_parts(9471, 0).saturating_mul(e.into()))
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 151686 ns.
    fn dispute_result() -> Weight {
        Weight::from_parts(162512000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    /// `c` was measured from 1 to 256.
    // Least time measured: 31496 ns.
    fn make_pool(c: u32) -> Weight {
        Weight::from_parts(32328000, 0)
            .saturating_add(Weight::from_parts(12656388, 0).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().reads(2).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    // Least time measured: 4567 ns.
    fn on_idle_base() -> Weight {
        Weight::from_parts(5859000, 0).saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 453755 ns.
    fn on_idle_draw() -> Weight {
        Weight::from_parts(514194000, 0)
            .saturating_add(T::DbWeight::get().reads(39))
            .saturating_add(T::DbWeight::get().writes(56))
    }
    // Least time measured: 111456 ns.
    fn on_idle_drop() -> Weight {
        Weight::from_parts(126959000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 10245 ns.
    fn on_idle_entry() -> Weight {
        Weight::from_parts(11457000, 0).saturating_add(T::DbWeight::get().reads(2))
    }
    // Least time measured: 192887 ns.
    fn on_idle_expire() -> Weight {
        Weight::from_parts(202401000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 289300 ns.
    fn on_idle_job() -> Weight {
        Weight::from_parts(297883000, 0)
            .saturating_add(T::DbWeight::get().reads(12))
            .saturating_add(T::DbWeight::get().writes(20))
    }
    // Least time measured: 91386 ns.
    fn on_idle_late() -> Weight {
        Weight::from_parts(93920000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 3507232 ns.
    fn on_idle_outcome() -> Weight {
        Weight::from_parts(7586394000, 0)
            .saturating_add(T::DbWeight::get().reads(117))
            .saturating_add(T::DbWeight::get().writes(123))
    }
    // Least time measured: 375879 ns.
    fn on_idle_round() -> Weight {
        Weight::from_parts(389308000, 0)
            .saturating_add(T::DbWeight::get().reads(35))
            .saturating_add(T::DbWeight::get().writes(64))
    }
    // Least time measured: 294818 ns.
    fn on_idle_settle() -> Weight {
        Weight::from_parts(308959000, 0)
            .saturating_add(T::DbWeight::get().reads(8))
            .saturating_add(T::DbWeight::get().writes(12))
    }
    // Least time measured: 5542917 ns.
    fn on_idle_slashes() -> Weight {
        Weight::from_parts(9598905000, 0)
            .saturating_add(T::DbWeight::get().reads(217))
            .saturating_add(T::DbWeight::get().writes(223))
    }
    // Least time measured: 45828 ns.
    fn on_initialize() -> Weight {
        Weight::from_parts(47381000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    /// `m` was measured from 600 to 11000.
    // Least time measured: 118276 ns.
    fn register_model(m: u32) -> Weight {
        Weight::from_parts(110363229, 0)
            .saturating_add(Weight::from_parts(14875, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 58547 ns.
    fn register_worker() -> Weight {
        Weight::from_parts(60070000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 128771 ns.
    fn remove_offer() -> Weight {
        Weight::from_parts(143393000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 58377 ns.
    fn retire_model() -> Weight {
        Weight::from_parts(60550000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 392833 ns.
    fn reveal_ballot() -> Weight {
        Weight::from_parts(397561000, 0)
            .saturating_add(T::DbWeight::get().reads(34))
            .saturating_add(T::DbWeight::get().writes(66))
    }
    // Least time measured: 11527 ns.
    fn set_endpoint() -> Weight {
        Weight::from_parts(12439000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 1119614 ns.
    fn set_offer() -> Weight {
        Weight::from_parts(1164871000, 0)
            .saturating_add(T::DbWeight::get().reads(262))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 7221 ns.
    fn set_parameters() -> Weight {
        Weight::from_parts(7972000, 0)
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 208520 ns.
    fn submit_job(i: u32) -> Weight {
        Weight::from_parts(226446745, 0)
            .saturating_add(Weight::from_parts(7020, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 226036 ns.
    fn submit_job_with(i: u32) -> Weight {
        Weight::from_parts(231511445, 0)
            .saturating_add(Weight::from_parts(9211, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 14562 ns.
    fn unbond() -> Weight {
        Weight::from_parts(15433000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 58697 ns.
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(61801000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
}
