//! Weights of `pallet_balances`, measured. Do not edit: run `scripts/weights.sh`.
//!
//! 8 steps, 10 repeats, on AMD EPYC.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of `pallet_balances` on this runtime.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_balances::WeightInfo for WeightInfo<T> {
    // Least time measured: 52929 ns.
    fn burn_allow_death() -> Weight {
        Weight::from_parts(54211000, 0)
    }
    // Least time measured: 24036 ns.
    fn burn_keep_alive() -> Weight {
        Weight::from_parts(24627000, 0)
    }
    // Least time measured: 5829 ns.
    fn force_adjust_total_issuance() -> Weight {
        Weight::from_parts(6269000, 0)
    }
    // Least time measured: 22694 ns.
    fn force_set_balance_creating() -> Weight {
        Weight::from_parts(23125000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 22754 ns.
    fn force_set_balance_killing() -> Weight {
        Weight::from_parts(23565000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 77846 ns.
    fn force_transfer() -> Weight {
        Weight::from_parts(78797000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 18437 ns.
    fn force_unreserve() -> Weight {
        Weight::from_parts(19549000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 60440 ns.
    fn transfer_all() -> Weight {
        Weight::from_parts(61341000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 76483 ns.
    fn transfer_allow_death() -> Weight {
        Weight::from_parts(77826000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 50826 ns.
    fn transfer_keep_alive() -> Weight {
        Weight::from_parts(51947000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    /// `u` was measured from 1 to 1000.
    // Least time measured: 18587 ns.
    fn upgrade_accounts(u: u32) -> Weight {
        Weight::from_parts(18748000, 0)
            .saturating_add(Weight::from_parts(17910130, 0).saturating_mul(u.into()))
            .saturating_add(T::DbWeight::get().reads(1).saturating_mul(u.into()))
            .saturating_add(T::DbWeight::get().writes(1).saturating_mul(u.into()))
    }
}
