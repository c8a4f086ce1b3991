//! Weights of `pallet_inference`, measured. Do not edit: run `scripts/weights.sh`.
//!
//! 6 steps, 10 repeats, on AMD EPYC.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of `pallet_inference` on this runtime.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_inference::WeightInfo for WeightInfo<T> {
    // Least time measured: 263301 ns.
    fn accept_result() -> Weight {
        Weight::from_parts(372594000, 0)
            .saturating_add(T::DbWeight::get().reads(10))
            .saturating_add(T::DbWeight::get().writes(14))
    }
    // Least time measured: 11798 ns.
    fn activate() -> Weight {
        Weight::from_parts(12098000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 173808 ns.
    fn appeal_verdict() -> Weight {
        Weight::from_parts(203472000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 64967 ns.
    fn bond_more() -> Weight {
        Weight::from_parts(66219000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 174129 ns.
    fn cancel_job() -> Weight {
        Weight::from_parts(265925000, 0)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 92217 ns.
    fn cancel_slash() -> Weight {
        Weight::from_parts(112927000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 48492 ns.
    fn check_standing() -> Weight {
        Weight::from_parts(59428000, 0).saturating_add(T::DbWeight::get().reads(3))
    }
    // Least time measured: 11187 ns.
    fn chill() -> Weight {
        Weight::from_parts(11367000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 69403 ns.
    fn claim_job() -> Weight {
        Weight::from_parts(71596000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 83024 ns.
    fn commit_ballot() -> Weight {
        Weight::from_parts(102372000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    /// `o` was measured from 0 to 16384.
    /// `e` was measured from 0 to 16384.
    // Least time measured: 342199 ns.
    fn deliver(o: u32, e: u32) -> Weight {
        Weight::from_parts(347822810, 0)
            .saturating_add(Weight::from_parts(635, 0).saturating_mul(o.into()))
            .saturating_add(Weight::from_parts(10260, 0).saturating_mul(e.into()))
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 138105 ns.
    fn dispute_result() -> Weight {
        Weight::from_parts(160289000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 2115764 ns.
    fn make_pool() -> Weight {
        Weight::from_parts(2214551000, 0)
            .saturating_add(T::DbWeight::get().reads(517))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    // Least time measured: 7912 ns.
    fn on_idle_base() -> Weight {
        Weight::from_parts(8863000, 0).saturating_add(T::DbWeight::get().reads(1))
    }
    // Least time measured: 449648 ns.
    fn on_idle_draw() -> Weight {
        Weight::from_parts(541765000, 0)
            .saturating_add(T::DbWeight::get().reads(41))
            .saturating_add(T::DbWeight::get().writes(60))
    }
    // Least time measured: 97165 ns.
    fn on_idle_drop() -> Weight {
        Weight::from_parts(107590000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Least time measured: 9895 ns.
    fn on_idle_entry() -> Weight {
        Weight::from_parts(11708000, 0).saturating_add(T::DbWeight::get().reads(2))
    }
    // Least time measured: 228850 ns.
    fn on_idle_expire() -> Weight {
        Weight::from_parts(244954000, 0)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(12))
    }
    // Least time measured: 283501 ns.
    fn on_idle_job() -> Weight {
        Weight::from_parts(436949000, 0)
            .saturating_add(T::DbWeight::get().reads(11))
            .saturating_add(T::DbWeight::get().writes(18))
    }
    // Least time measured: 90214 ns.
    fn on_idle_late() -> Weight {
        Weight::from_parts(97565000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Least time measured: 6114817 ns.
    fn on_idle_outcome() -> Weight {
        Weight::from_parts(10929392000, 0)
            .saturating_add(T::DbWeight::get().reads(119))
            .saturating_add(T::DbWeight::get().writes(123))
    }
    // Least time measured: 356780 ns.
    fn on_idle_round() -> Weight {
        Weight::from_parts(400936000, 0)
            .saturating_add(T::DbWeight::get().reads(35))
            .saturating_add(T::DbWeight::get().writes(64))
    }
    // Least time measured: 341447 ns.
    fn on_idle_settle() -> Weight {
        Weight::from_parts(365594000, 0)
            .saturating_add(T::DbWeight::get().reads(11))
            .saturating_add(T::DbWeight::get().writes(17))
    }
    // Least time measured: 8348257 ns.
    fn on_idle_slashes() -> Weight {
        Weight::from_parts(22273290000, 0)
            .saturating_add(T::DbWeight::get().reads(219))
            .saturating_add(T::DbWeight::get().writes(223))
    }
    // Least time measured: 40741 ns.
    fn on_initialize() -> Weight {
        Weight::from_parts(54852000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    /// `m` was measured from 600 to 11000.
    // Least time measured: 122763 ns.
    fn register_model(m: u32) -> Weight {
        Weight::from_parts(113840299, 0)
            .saturating_add(Weight::from_parts(14648, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 61932 ns.
    fn register_worker() -> Weight {
        Weight::from_parts(62783000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Least time measured: 137785 ns.
    fn remove_offer() -> Weight {
        Weight::from_parts(154109000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 61742 ns.
    fn retire_model() -> Weight {
        Weight::from_parts(62994000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(4))
    }
    // Least time measured: 379524 ns.
    fn reveal_ballot() -> Weight {
        Weight::from_parts(398662000, 0)
            .saturating_add(T::DbWeight::get().reads(34))
            .saturating_add(T::DbWeight::get().writes(66))
    }
    // Least time measured: 11547 ns.
    fn set_endpoint() -> Weight {
        Weight::from_parts(12268000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 1101577 ns.
    fn set_offer() -> Weight {
        Weight::from_parts(1144791000, 0)
            .saturating_add(T::DbWeight::get().reads(263))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Least time measured: 7801 ns.
    fn set_parameters() -> Weight {
        Weight::from_parts(10726000, 0)
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 205886 ns.
    fn submit_job(i: u32) -> Weight {
        Weight::from_parts(228242923, 0)
            .saturating_add(Weight::from_parts(6699, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(8))
    }
    /// `i` was measured from 1 to 16384.
    // Least time measured: 217633 ns.
    fn submit_job_with(i: u32) -> Weight {
        Weight::from_parts(231635401, 0)
            .saturating_add(Weight::from_parts(10004, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(8))
    }
    // Least time measured: 14962 ns.
    fn unbond() -> Weight {
        Weight::from_parts(15874000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 61391 ns.
    fn withdraw_unbonded() -> Weight {
        Weight::from_parts(62804000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(3))
    }
}
