//! Weights of `pallet_inference`, measured. Do not edit: run `scripts/weights.sh`.
//!
//! 8 steps, 10 repeats, on AMD EPYC.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of `pallet_inference` on this runtime.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_inference::WeightInfo for WeightInfo<T> {
    // Least time measured: 211775 ns.
    fn accept_result() -> Weight {
        Weight::from_parts(224363000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 10756 ns.
    fn activate() -> Weight {
        Weight::from_parts(11657000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 160198 ns.
    fn appeal_verdict() -> Weight {
        Weight::from_parts(174629000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 60781 ns.
    fn bond_more() -> Weight {
        Weight::from_parts(61432000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 120389 ns.
    fn cancel_job() -> Weight {
        Weight::from_parts(126798000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 96203 ns.
    fn cancel_slash() -> Weight {
        Weight::from_parts(105417000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 16274 ns.
    fn check_deliver_standing() -> Weight {
        Weight::from_parts(26520000, 0).saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 42713 ns.
    fn check_standing() -> Weight {
        Weight::from_parts(50004000, 0).saturating_add(T::DbWeight::get().reads(3))
    }
    // Least time measured: 10365 ns.
    fn chill() -> Weight {
        Weight::from_parts(11107000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 41021 ns.
    fn claim_job() -> Weight {
        Weight::from_parts(42373000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 119608 ns.
    fn close_last() -> Weight {
        Weight::from_parts(130444000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 83875 ns.
    fn commit_ballot() -> Weight {
        Weight::from_parts(91596000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    /// `o` was measured from 0 to 16384.
    /// `e` was measured from 0 to 16384.
    // Least time measured: 284733 ns.
    fn deliver(o: u32, e: u32) -> Weight {
        Weight::from_parts(168262483, 0)
            .saturating_add(Weight::from_parts(7645, 0).saturating_mul(o.into()))
            .saturating_add(Weight::from_parts(11277, 0).saturating_mul(e.into()))
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 140218 ns.
    fn dispute_result() -> Weight {
        Weight::from_parts(144445000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    /// `c` was measured from 1 to 256.
    // Least time measured: 29063 ns.
    fn make_pool(c: u32) -> Weight {
        Weight::from_parts(4016195, 0)
            .saturating_add(Weight::from_parts(8250670, 0).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().reads(2).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    // Least time measured: 4087 ns.
    fn on_idle_base() -> Weight {
        Weight::from_parts(4677000, 0).saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 415667 ns.
    fn on_idle_draw() -> Weight {
        Weight::from_parts(440014000, 0)
            .saturating_add(T::DbWeight::get().reads(39))
            .saturating_add(T::DbWeight::get().writes(56))
    }
    // Least time measured: 101281 ns.
    fn on_idle_drop() -> Weight {
        Weight::from_parts(109694000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 9043 ns.
    fn on_idle_entry() -> Weight {
        Weight::from_parts(9434000, 0).saturating_add(T::DbWeight::get().reads(2))
    }
    // Least time measured: 116013 ns.
    fn on_idle_expire() -> Weight {
        Weight::from_parts(128410000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(9))
    }
    // Least time measured: 249340 ns.
    fn on_idle_job() -> Weight {
        Weight::from_parts(253096000, 0)
            .saturating_add(T::DbWeight::get().reads(14))
            .saturating_add(T::DbWeight::get().writes(21))
    }
    // Least time measured: 85708 ns.
    fn on_idle_late() -> Weight {
        Weight::from_parts(87780000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 3345292 ns.
    fn on_idle_outcome() -> Weight {
        Weight::from_parts(3388526000, 0)
            .saturating_add(T::DbWeight::get().reads(119))
            .saturating_add(T::DbWeight::get().writes(123))
    }
    fn on_idle_relist() -> Weight {
        Weight::from_parts(60000000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 358392 ns.
    fn on_idle_round() -> Weight {
        Weight::from_parts(370471000, 0)
            .saturating_add(T::DbWeight::get().reads(35))
            .saturating_add(T::DbWeight::get().writes(64))
    }
    // Least time measured: 224394 ns.
    fn on_idle_settle() -> Weight {
        Weight::from_parts(227408000, 0)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(11))
    }
    // Least time measured: 5309751 ns.
    fn on_idle_slashes() -> Weight {
        Weight::from_parts(5362309000, 0)
            .saturating_add(T::DbWeight::get().reads(218))
            .saturating_add(T::DbWeight::get().writes(223))
    }
    // Least time measured: 41021 ns.
    fn on_initialize() -> Weight {
        Weight::from_parts(43285000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    /// `m` was measured from 600 to 11000.
    // Least time measured: 114670 ns.
    fn register_model(m: u32) -> Weight {
        Weight::from_parts(104168032, 0)
            .saturating_add(Weight::from_parts(15923, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 56745 ns.
    fn register_worker() -> Weight {
        Weight::from_parts(58647000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 130685 ns.
    fn remove_offer() -> Weight {
        Weight::from_parts(135632000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 60970 ns.
    fn retire_model() -> Weight {
        Weight::from_parts(63123000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 362849 ns.
    fn reveal_ballot() -> Weight {
        Weight::from_parts(380785000, 0)
            .saturating_add(T::DbWeight::get().reads(34))
            .saturating_add(T::DbWeight::get().writes(66))
    }
    // Least time measured: 10645 ns.
    fn set_endpoint() -> Weight {
        Weight::from_parts(11107000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 1096790 ns.
    fn set_offer() -> Weight {
        Weight::from_parts(1171631000, 0)
            .saturating_add(T::DbWeight::get().reads(262))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 6489 ns.
    fn set_parameters() -> Weight {
        Weight::from_parts(7030000, 0)
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 138656 ns.
    fn submit_job(i: u32) -> Weight {
        Weight::from_parts(150491239, 0)
            .saturating_add(Weight::from_parts(7160, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 156843 ns.
    fn submit_job_with(i: u32) -> Weight {
        Weight::from_parts(176827947, 0)
            .saturating_add(Weight::from_parts(6687, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 13400 ns.
    fn unbond() -> Weight {
        Weight::from_parts(15593000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 57615 ns.
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(59148000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
}
