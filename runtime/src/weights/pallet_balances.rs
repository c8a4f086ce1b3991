//! Weights of `pallet_balances`, measured. Do not edit: run `scripts/weights.sh`.
//!
//! 8 steps, 10 repeats, on AMD EPYC.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of `pallet_balances` on this runtime.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_balances::WeightInfo for WeightInfo<T> {
    // Least time measured: 55142 ns.
    fn burn_allow_death() -> Weight {
        Weight::from_parts(55783000, 0)
    }
    // Least time measured: 24477 ns.
    fn burn_keep_alive() -> Weight {
        Weight::from_parts(25167000, 0)
    }
    // Least time measured: 6169 ns.
    fn force_adjust_total_issuance() -> Weight {
        Weight::from_parts(6449000, 0)
    }
    // Least time measured: 22373 ns.
    fn force_set_balance_creating() -> Weight {
        Weight::from_parts(23094000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 22193 ns.
    fn force_set_balance_killing() -> Weight {
        Weight::from_parts(23235000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 76875 ns.
    fn force_transfer() -> Weight {
        Weight::from_parts(78246000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 18607 ns.
    fn force_unreserve() -> Weight {
        Weight::from_parts(19079000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 59758 ns.
    fn transfer_all() -> Weight {
        Weight::from_parts(60720000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 74921 ns.
    fn transfer_allow_death() -> Weight {
        Weight::from_parts(76434000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 47510 ns.
    fn transfer_keep_alive() -> Weight {
        Weight::from_parts(48142000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    /// `u` was measured from 1 to 1000.
    // Least time measured: 18278 ns.
    fn upgrade_accounts(u: u32) -> Weight {
        Weight::from_parts(18537000, 0)
            .saturating_add(Weight::from_parts(17940599, 0).saturating_mul(u.into()))
            .saturating_add(T::DbWeight::get().reads(1).saturating_mul(u.into()))
            .saturating_add(T::DbWeight::get().writes(1).saturating_mul(u.into()))
    }
}
