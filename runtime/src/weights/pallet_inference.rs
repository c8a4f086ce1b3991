//! Weights of `pallet_inference`, measured. Do not edit: run `scripts/weights.sh`.
//!
//! 2 steps, 3 repeats, on AMD EPYC.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of `pallet_inference` on this runtime.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_inference::WeightInfo for WeightInfo<T> {
    // Least time measured: 459483 ns.
    fn accept_result() -> Weight {
        Weight::from_parts(508436000, 0)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(11))
    }
    // Least time measured: 26099 ns.
    fn activate() -> Weight {
        Weight::from_parts(27461000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 185335 ns.
    fn appeal_verdict() -> Weight {
        Weight::from_parts(194298000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 101411 ns.
    fn bond_more() -> Weight {
        Weight::from_parts(108110000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 199196 ns.
    fn cancel_job() -> Weight {
        Weight::from_parts(232706000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 113839 ns.
    fn cancel_slash() -> Weight {
        Weight::from_parts(122332000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 21542 ns.
    fn check_deliver_standing() -> Weight {
        Weight::from_parts(22854000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 53850 ns.
    fn check_standing() -> Weight {
        Weight::from_parts(55332000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
    }
    // Least time measured: 22474 ns.
    fn chill() -> Weight {
        Weight::from_parts(25598000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 46178 ns.
    fn claim_job() -> Weight {
        Weight::from_parts(59678000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 135762 ns.
    fn close_last() -> Weight {
        Weight::from_parts(139026000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 116633 ns.
    fn commit_ballot() -> Weight {
        Weight::from_parts(123393000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    /// `o` was measured from 0 to 16384.
    /// `e` was measured from 0 to 16384.
    // Least time measured: 381757 ns.
    fn deliver(o: u32, e: u32) -> Weight {
        Weight::from_parts(318752416, 0)
            .saturating_add(Weight::from_parts(4742, 0).saturating_mul(o.into()))
            .saturating_add(Weight::from_parts(10011, 0).saturating_mul(e.into()))
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 182280 ns.
    fn dispute_result() -> Weight {
        Weight::from_parts(184504000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    /// `c` was measured from 1 to 256.
    // Least time measured: 32278 ns.
    fn make_pool(c: u32) -> Weight {
        Weight::from_parts(12113384, 0)
            .saturating_add(Weight::from_parts(21075949, 0).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().reads(2).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    // Least time measured: 5938 ns.
    fn on_idle_base() -> Weight {
        Weight::from_parts(7771000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 466403 ns.
    fn on_idle_draw() -> Weight {
        Weight::from_parts(519973000, 0)
            .saturating_add(T::DbWeight::get().reads(39))
            .saturating_add(T::DbWeight::get().writes(56))
    }
    // Least time measured: 190543 ns.
    fn on_idle_drop() -> Weight {
        Weight::from_parts(193227000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 11086 ns.
    fn on_idle_entry() -> Weight {
        Weight::from_parts(13490000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
    }
    // Least time measured: 212466 ns.
    fn on_idle_expire() -> Weight {
        Weight::from_parts(223241000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 303401 ns.
    fn on_idle_job() -> Weight {
        Weight::from_parts(307577000, 0)
            .saturating_add(T::DbWeight::get().reads(12))
            .saturating_add(T::DbWeight::get().writes(20))
    }
    // Least time measured: 104275 ns.
    fn on_idle_late() -> Weight {
        Weight::from_parts(144314000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 3468414 ns.
    fn on_idle_outcome() -> Weight {
        Weight::from_parts(3545699000, 0)
            .saturating_add(T::DbWeight::get().reads(117))
            .saturating_add(T::DbWeight::get().writes(123))
    }
    // Least time measured: 387696 ns.
    fn on_idle_round() -> Weight {
        Weight::from_parts(392022000, 0)
            .saturating_add(T::DbWeight::get().reads(35))
            .saturating_add(T::DbWeight::get().writes(64))
    }
    // Least time measured: 463970 ns.
    fn on_idle_settle() -> Weight {
        Weight::from_parts(515146000, 0)
            .saturating_add(T::DbWeight::get().reads(8))
            .saturating_add(T::DbWeight::get().writes(12))
    }
    // Least time measured: 5471431 ns.
    fn on_idle_slashes() -> Weight {
        Weight::from_parts(5570018000, 0)
            .saturating_add(T::DbWeight::get().reads(217))
            .saturating_add(T::DbWeight::get().writes(223))
    }
    // Least time measured: 45948 ns.
    fn on_initialize() -> Weight {
        Weight::from_parts(47461000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    /// `m` was measured from 600 to 11000.
    // Least time measured: 138346 ns.
    fn register_model(m: u32) -> Weight {
        Weight::from_parts(168806307, 0)
            .saturating_add(Weight::from_parts(29762, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 101821 ns.
    fn register_worker() -> Weight {
        Weight::from_parts(101932000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 175130 ns.
    fn remove_offer() -> Weight {
        Weight::from_parts(183743000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 102212 ns.
    fn retire_model() -> Weight {
        Weight::from_parts(107640000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 393976 ns.
    fn reveal_ballot() -> Weight {
        Weight::from_parts(444270000, 0)
            .saturating_add(T::DbWeight::get().reads(34))
            .saturating_add(T::DbWeight::get().writes(66))
    }
    // Least time measured: 17716 ns.
    fn set_endpoint() -> Weight {
        Weight::from_parts(22723000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 1233463 ns.
    fn set_offer() -> Weight {
        Weight::from_parts(1277959000, 0)
            .saturating_add(T::DbWeight::get().reads(262))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 15834 ns.
    fn set_parameters() -> Weight {
        Weight::from_parts(15903000, 0)
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 295259 ns.
    fn submit_job(i: u32) -> Weight {
        Weight::from_parts(331772978, 0)
            .saturating_add(Weight::from_parts(174021, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 265425 ns.
    fn submit_job_with(i: u32) -> Weight {
        Weight::from_parts(292382210, 0)
            .saturating_add(Weight::from_parts(5789, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 24186 ns.
    fn unbond() -> Weight {
        Weight::from_parts(27651000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 75041 ns.
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(91066000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
}
