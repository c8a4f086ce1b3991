//! Weights of `pallet_inference`, measured. Do not edit: run `scripts/weights.sh`.
//!
//! 20 steps, 10 repeats, on AMD EPYC.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of `pallet_inference` on this runtime.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_inference::WeightInfo for WeightInfo<T> {
    // Least time measured: 318854 ns.
    fn accept_result() -> Weight {
        Weight::from_parts(326235000, 0)
            .saturating_add(T::DbWeight::get().reads(9))
            .saturating_add(T::DbWeight::get().writes(14))
    }
    // Least time measured: 16265 ns.
    fn activate() -> Weight {
        Weight::from_parts(26659000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 63314 ns.
    fn bond_more() -> Weight {
        Weight::from_parts(66338000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 240267 ns.
    fn cancel_job() -> Weight {
        Weight::from_parts(332294000, 0)
            .saturating_add(T::DbWeight::get().reads(10))
            .saturating_add(T::DbWeight::get().writes(17))
    }
    // Least time measured: 12298 ns.
    fn chill() -> Weight {
        Weight::from_parts(15663000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 177334 ns.
    fn claim_job() -> Weight {
        Weight::from_parts(189512000, 0)
            .saturating_add(T::DbWeight::get().reads(9))
            .saturating_add(T::DbWeight::get().writes(13))
    }
    /// `o` was measured from 0 to 16384.
    /// `e` was measured from 0 to 16384.
    // Least time measured: 264583 ns.
    fn deliver(o: u32, e: u32) -> Weight {
        Weight::from_parts(219695937, 0)
            .saturating_add(Weight::from_parts(6176, 0).saturating_mul(o.into()))
            .saturating_add(Weight::from_parts(8143, 0).saturating_mul(e.into()))
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(9))
    }
    // Least time measured: 5968 ns.
    fn on_idle_base() -> Weight {
        Weight::from_parts(7401000, 0).saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 390700 ns.
    fn on_idle_job() -> Weight {
        Weight::from_parts(396049000, 0)
            .saturating_add(T::DbWeight::get().reads(12))
            .saturating_add(T::DbWeight::get().writes(17))
    }
    // Least time measured: 384291 ns.
    fn progress_job() -> Weight {
        Weight::from_parts(405483000, 0)
            .saturating_add(T::DbWeight::get().reads(10))
            .saturating_add(T::DbWeight::get().writes(17))
    }
    /// `m` was measured from 600 to 11000.
    // Least time measured: 122653 ns.
    fn register_model(m: u32) -> Weight {
        Weight::from_parts(109454989, 0)
            .saturating_add(Weight::from_parts(16975, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 62012 ns.
    fn register_worker() -> Weight {
        Weight::from_parts(65257000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 94871 ns.
    fn remove_offer() -> Weight {
        Weight::from_parts(98697000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 62122 ns.
    fn retire_model() -> Weight {
        Weight::from_parts(90905000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    // Least time measured: 11877 ns.
    fn set_endpoint() -> Weight {
        Weight::from_parts(13059000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 112216 ns.
    fn set_offer() -> Weight {
        Weight::from_parts(120169000, 0)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 12839 ns.
    fn set_parameters() -> Weight {
        Weight::from_parts(14532000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 162963 ns.
    fn submit_job(i: u32) -> Weight {
        Weight::from_parts(193404980, 0)
            .saturating_add(Weight::from_parts(4260, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(8))
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 136302 ns.
    fn submit_job_with(i: u32) -> Weight {
        Weight::from_parts(164682453, 0)
            .saturating_add(Weight::from_parts(10820, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(8))
            .saturating_add(T::DbWeight::get().writes(8))
    }
    // Least time measured: 23405 ns.
    fn unbond() -> Weight {
        Weight::from_parts(24266000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 85447 ns.
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(93979000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(3))
    }
}
