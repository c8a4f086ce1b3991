//! Weights of `pallet_inference`, measured. Do not edit: run `scripts/weights.sh`.
//!
//! 16 steps, 10 repeats, on AMD EPYC.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of `pallet_inference` on this runtime.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_inference::WeightInfo for WeightInfo<T> {
    // Least time measured: 212847 ns.
    fn accept_result() -> Weight {
        Weight::from_parts(218986000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(8))
    }
    // Least time measured: 11296 ns.
    fn activate() -> Weight {
        Weight::from_parts(11898000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 151755 ns.
    fn appeal_verdict() -> Weight {
        Weight::from_parts(177384000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 61071 ns.
    fn bond_more() -> Weight {
        Weight::from_parts(61872000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 115582 ns.
    fn cancel_job() -> Weight {
        Weight::from_parts(132797000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 103584 ns.
    fn cancel_slash() -> Weight {
        Weight::from_parts(112517000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 20460 ns.
    fn check_deliver_standing() -> Weight {
        Weight::from_parts(21462000, 0).saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 49584 ns.
    fn check_standing() -> Weight {
        Weight::from_parts(52368000, 0).saturating_add(T::DbWeight::get().reads(3))
    }
    // Least time measured: 10846 ns.
    fn chill() -> Weight {
        Weight::from_parts(11397000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 42393 ns.
    fn claim_job() -> Weight {
        Weight::from_parts(43625000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    // Least time measured: 118145 ns.
    fn close_last() -> Weight {
        Weight::from_parts(130544000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 84305 ns.
    fn commit_ballot() -> Weight {
        Weight::from_parts(91176000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    /// `o` was measured from 0 to 16384.
    /// `e` was measured from 0 to 16384.
    // Least time measured: 270512 ns.
    fn deliver(o: u32, e: u32) -> Weight {
        Weight::from_parts(175825093, 0)
            .saturating_add(Weight::from_parts(7042, 0).saturating_mul(o.into()))
            .saturating_add(Weight::from_parts(10546, 0).saturating_mul(e.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(8))
    }
    // Least time measured: 127730 ns.
    fn dispute_result() -> Weight {
        Weight::from_parts(141881000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    /// `c` was measured from 1 to 256.
    // Least time measured: 29804 ns.
    fn make_pool(c: u32) -> Weight {
        Weight::from_parts(8303617, 0)
            .saturating_add(Weight::from_parts(8583910, 0).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().reads(2).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    // Least time measured: 4216 ns.
    fn on_idle_base() -> Weight {
        Weight::from_parts(4416000, 0).saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 437690 ns.
    fn on_idle_draw() -> Weight {
        Weight::from_parts(474345000, 0)
            .saturating_add(T::DbWeight::get().reads(44))
            .saturating_add(T::DbWeight::get().writes(66))
    }
    // Least time measured: 101851 ns.
    fn on_idle_drop() -> Weight {
        Weight::from_parts(109533000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 9484 ns.
    fn on_idle_entry() -> Weight {
        Weight::from_parts(10115000, 0).saturating_add(T::DbWeight::get().reads(2))
    }
    // Least time measured: 119497 ns.
    fn on_idle_expire() -> Weight {
        Weight::from_parts(127730000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(9))
    }
    // Least time measured: 252345 ns.
    fn on_idle_job() -> Weight {
        Weight::from_parts(255910000, 0)
            .saturating_add(T::DbWeight::get().reads(14))
            .saturating_add(T::DbWeight::get().writes(20))
    }
    // Least time measured: 93870 ns.
    fn on_idle_late() -> Weight {
        Weight::from_parts(119137000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(9))
    }
    // Least time measured: 3391680 ns.
    fn on_idle_outcome() -> Weight {
        Weight::from_parts(3504678000, 0)
            .saturating_add(T::DbWeight::get().reads(119))
            .saturating_add(T::DbWeight::get().writes(123))
    }
    // Least time measured: 30836 ns.
    fn on_idle_relist() -> Weight {
        Weight::from_parts(32869000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 307367 ns.
    fn on_idle_round() -> Weight {
        Weight::from_parts(365333000, 0)
            .saturating_add(T::DbWeight::get().reads(33))
            .saturating_add(T::DbWeight::get().writes(66))
    }
    // Least time measured: 215310 ns.
    fn on_idle_settle() -> Weight {
        Weight::from_parts(229100000, 0)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(11))
    }
    // Least time measured: 5420245 ns.
    fn on_idle_slashes() -> Weight {
        Weight::from_parts(5509798000, 0)
            .saturating_add(T::DbWeight::get().reads(218))
            .saturating_add(T::DbWeight::get().writes(223))
    }
    // Least time measured: 38177 ns.
    fn on_initialize() -> Weight {
        Weight::from_parts(42142000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    /// `m` was measured from 600 to 11000.
    // Least time measured: 116223 ns.
    fn register_model(m: u32) -> Weight {
        Weight::from_parts(104956056, 0)
            .saturating_add(Weight::from_parts(15511, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 57856 ns.
    fn register_worker() -> Weight {
        Weight::from_parts(59449000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 121140 ns.
    fn remove_offer() -> Weight {
        Weight::from_parts(128331000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 62783 ns.
    fn retire_model() -> Weight {
        Weight::from_parts(63865000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 375188 ns.
    fn reveal_ballot() -> Weight {
        Weight::from_parts(388667000, 0)
            .saturating_add(T::DbWeight::get().reads(34))
            .saturating_add(T::DbWeight::get().writes(66))
    }
    // Least time measured: 10756 ns.
    fn set_endpoint() -> Weight {
        Weight::from_parts(11517000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 1075969 ns.
    fn set_offer() -> Weight {
        Weight::from_parts(1118222000, 0)
            .saturating_add(T::DbWeight::get().reads(262))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 6659 ns.
    fn set_parameters() -> Weight {
        Weight::from_parts(7341000, 0)
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 124505 ns.
    fn submit_job(i: u32) -> Weight {
        Weight::from_parts(144087596, 0)
            .saturating_add(Weight::from_parts(7293, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 147599 ns.
    fn submit_job_with(i: u32) -> Weight {
        Weight::from_parts(163114030, 0)
            .saturating_add(Weight::from_parts(7428, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 14021 ns.
    fn unbond() -> Weight {
        Weight::from_parts(14731000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 56875 ns.
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(59278000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
}
