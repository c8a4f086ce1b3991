//! Weights of `pallet_balances`, measured. Do not edit: run `scripts/weights.sh`.
//!
//! 16 steps, 10 repeats, on AMD EPYC.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of `pallet_balances` on this runtime.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_balances::WeightInfo for WeightInfo<T> {
    // Least time measured: 52087 ns.
    fn burn_allow_death() -> Weight {
        Weight::from_parts(53149000, 0)
    }
    // Least time measured: 23464 ns.
    fn burn_keep_alive() -> Weight {
        Weight::from_parts(24216000, 0)
    }
    // Least time measured: 6119 ns.
    fn force_adjust_total_issuance() -> Weight {
        Weight::from_parts(6489000, 0)
    }
    // Least time measured: 22173 ns.
    fn force_set_balance_creating() -> Weight {
        Weight::from_parts(23685000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 22284 ns.
    fn force_set_balance_killing() -> Weight {
        Weight::from_parts(23164000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 78186 ns.
    fn force_transfer() -> Weight {
        Weight::from_parts(78496000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Least time measured: 18798 ns.
    fn force_unreserve() -> Weight {
        Weight::from_parts(19219000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 59869 ns.
    fn transfer_all() -> Weight {
        Weight::from_parts(60850000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 79017 ns.
    fn transfer_allow_death() -> Weight {
        Weight::from_parts(102322000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Least time measured: 48062 ns.
    fn transfer_keep_alive() -> Weight {
        Weight::from_parts(48642000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    /// `u` was measured from 1 to 1000.
    // Least time measured: 18267 ns.
    fn upgrade_accounts(u: u32) -> Weight {
        Weight::from_parts(18447000, 0)
            .saturating_add(Weight::from_parts(17840363, 0).saturating_mul(u.into()))
            .saturating_add(T::DbWeight::get().reads(1).saturating_mul(u.into()))
            .saturating_add(T::DbWeight::get().writes(1).saturating_mul(u.into()))
    }
}
