//! Weights of `pallet_inference`, measured. Do not edit: run `scripts/weights.sh`.
//!
//! 8 steps, 10 repeats, on AMD EPYC.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of `pallet_inference` on this runtime.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_inference::WeightInfo for WeightInfo<T> {
    // Least time measured: 220848 ns.
    fn accept_result() -> Weight {
        Weight::from_parts(235240000, 0)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(11))
    }
    // Least time measured: 10776 ns.
    fn activate() -> Weight {
        Weight::from_parts(11507000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 145466 ns.
    fn appeal_verdict() -> Weight {
        Weight::from_parts(153518000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 60379 ns.
    fn bond_more() -> Weight {
        Weight::from_parts(61662000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 141049 ns.
    fn cancel_job() -> Weight {
        Weight::from_parts(151435000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 87300 ns.
    fn cancel_slash() -> Weight {
        Weight::from_parts(91406000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 16514 ns.
    fn check_deliver_standing() -> Weight {
        Weight::from_parts(19098000, 0).saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 32939 ns.
    fn check_standing() -> Weight {
        Weight::from_parts(45898000, 0).saturating_add(T::DbWeight::get().reads(3))
    }
    // Least time measured: 9995 ns.
    fn chill() -> Weight {
        Weight::from_parts(10636000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 40630 ns.
    fn claim_job() -> Weight {
        Weight::from_parts(45057000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 120739 ns.
    fn close_last() -> Weight {
        Weight::from_parts(165897000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 73349 ns.
    fn commit_ballot() -> Weight {
        Weight::from_parts(86469000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    /// `o` was measured from 0 to 16384.
    /// `e` was measured from 0 to 16384.
    // Least time measured: 291353 ns.
    fn deliver(o: u32, e: u32) -> Weight {
        Weight::from_parts(189571512, 0)
            .saturating_add(Weight::from_parts(6559, 0).saturating_mul(o.into()))
            .saturating_add(Weight::from_parts(10652, 0).saturating_mul(e.into()))
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 129783 ns.
    fn dispute_result() -> Weight {
        Weight::from_parts(138165000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    /// `c` was measured from 1 to 256.
    // Least time measured: 30135 ns.
    fn make_pool(c: u32) -> Weight {
        Weight::from_parts(30826000, 0)
            .saturating_add(Weight::from_parts(8176001, 0).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().reads(2).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    // Least time measured: 7411 ns.
    fn on_idle_base() -> Weight {
        Weight::from_parts(8222000, 0).saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 412073 ns.
    fn on_idle_draw() -> Weight {
        Weight::from_parts(434566000, 0)
            .saturating_add(T::DbWeight::get().reads(39))
            .saturating_add(T::DbWeight::get().writes(56))
    }
    // Least time measured: 106548 ns.
    fn on_idle_drop() -> Weight {
        Weight::from_parts(115612000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 16705 ns.
    fn on_idle_entry() -> Weight {
        Weight::from_parts(17486000, 0).saturating_add(T::DbWeight::get().reads(2))
    }
    // Least time measured: 133418 ns.
    fn on_idle_expire() -> Weight {
        Weight::from_parts(138235000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 347236 ns.
    fn on_idle_job() -> Weight {
        Weight::from_parts(361487000, 0)
            .saturating_add(T::DbWeight::get().reads(12))
            .saturating_add(T::DbWeight::get().writes(20))
    }
    // Least time measured: 87731 ns.
    fn on_idle_late() -> Weight {
        Weight::from_parts(92477000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 3258562 ns.
    fn on_idle_outcome() -> Weight {
        Weight::from_parts(3337219000, 0)
            .saturating_add(T::DbWeight::get().reads(117))
            .saturating_add(T::DbWeight::get().writes(123))
    }
    // Least time measured: 347035 ns.
    fn on_idle_round() -> Weight {
        Weight::from_parts(362689000, 0)
            .saturating_add(T::DbWeight::get().reads(35))
            .saturating_add(T::DbWeight::get().writes(64))
    }
    // Least time measured: 214999 ns.
    fn on_idle_settle() -> Weight {
        Weight::from_parts(231283000, 0)
            .saturating_add(T::DbWeight::get().reads(8))
            .saturating_add(T::DbWeight::get().writes(12))
    }
    // Least time measured: 5099999 ns.
    fn on_idle_slashes() -> Weight {
        Weight::from_parts(5176703000, 0)
            .saturating_add(T::DbWeight::get().reads(217))
            .saturating_add(T::DbWeight::get().writes(223))
    }
    // Least time measured: 39198 ns.
    fn on_initialize() -> Weight {
        Weight::from_parts(42223000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    /// `m` was measured from 600 to 11000.
    // Least time measured: 114099 ns.
    fn register_model(m: u32) -> Weight {
        Weight::from_parts(104442097, 0)
            .saturating_add(Weight::from_parts(15164, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 56474 ns.
    fn register_worker() -> Weight {
        Weight::from_parts(58036000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 128711 ns.
    fn remove_offer() -> Weight {
        Weight::from_parts(135601000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 58858 ns.
    fn retire_model() -> Weight {
        Weight::from_parts(60490000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 341908 ns.
    fn reveal_ballot() -> Weight {
        Weight::from_parts(364752000, 0)
            .saturating_add(T::DbWeight::get().reads(34))
            .saturating_add(T::DbWeight::get().writes(66))
    }
    // Least time measured: 10887 ns.
    fn set_endpoint() -> Weight {
        Weight::from_parts(11588000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 1091422 ns.
    fn set_offer() -> Weight {
        Weight::from_parts(1120175000, 0)
            .saturating_add(T::DbWeight::get().reads(262))
            .saturating_add(T::DbWeight::get().writes(5))
    }
    // Least time measured: 11347 ns.
    fn set_parameters() -> Weight {
        Weight::from_parts(14872000, 0)
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 137204 ns.
    fn submit_job(i: u32) -> Weight {
        Weight::from_parts(155314028, 0)
            .saturating_add(Weight::from_parts(6932, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 160428 ns.
    fn submit_job_with(i: u32) -> Weight {
        Weight::from_parts(182859178, 0)
            .saturating_add(Weight::from_parts(6901, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 13570 ns.
    fn unbond() -> Weight {
        Weight::from_parts(14922000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 56755 ns.
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(57636000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
}
