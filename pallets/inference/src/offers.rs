//! Offers: at which prices a worker runs a model. Who offers a model is also called to audit
//! others' results on it: see `pools.rs`.

use crate::{
    Config, Error, Event, HoldReason, MarketParameters, Models, OfferCounts, Offers, Pallet,
    Workers,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{ensure, traits::Get};
use genesisflow_primitives::{Balance, ModelId, Prices};
use scale_info::TypeInfo;
use sp_runtime::DispatchResult;

/// How a worker's results on one model fared in audits.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct AuditRecord {
    /// Found right.
    pub valid: u32,
    /// Found wrong.
    pub failed: u32,
}

/// A worker's offer of one model.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Offer {
    /// Prices per unit, taken over by each claim.
    pub prices: Prices,
    /// How many jobs at a time, at most `MaxCapacity`.
    pub capacity: u32,
    /// What is held for it, in base units.
    pub deposit: Balance,
    /// The worker's audits on the model. It lasts as long as the offer: whoever takes its offer
    /// back and makes another begins anew.
    pub record: AuditRecord,
    /// The period of audit pools in which it was placed.
    pub since: u32,
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_set_offer(
        who: T::AccountId,
        id: ModelId,
        prices: Prices,
        capacity: u32,
    ) -> DispatchResult {
        let mut worker = Workers::<T>::get(&who).ok_or(Error::<T>::NotAWorker)?;
        let model = Models::<T>::get(id).ok_or(Error::<T>::ModelUnknown)?;
        ensure!(!model.retired, Error::<T>::ModelRetired);
        ensure!(
            prices.input >= model.terms.min_price_input
                && prices.output >= model.terms.min_price_output,
            Error::<T>::PriceBelowMinimum
        );
        ensure!(capacity > 0, Error::<T>::CapacityZero);
        ensure!(
            capacity <= T::MaxCapacity::get(),
            Error::<T>::CapacityTooHigh
        );

        let offer = match Offers::<T>::get(id, &who) {
            Some(offer) => Offer {
                prices,
                capacity,
                ..offer
            },
            None => {
                let deposit = MarketParameters::<T>::get().parameters.offer_deposit;
                Self::hold(HoldReason::OfferDeposit, &who, deposit)?;
                worker.offers = worker
                    .offers
                    .checked_add(1)
                    .ok_or(Error::<T>::AmountTooLarge)?;
                Workers::<T>::insert(&who, worker);
                OfferCounts::<T>::try_mutate(id, |count| {
                    *count = count.checked_add(1).ok_or(Error::<T>::AmountTooLarge)?;
                    Ok::<_, Error<T>>(())
                })?;
                Offer {
                    prices,
                    capacity,
                    deposit,
                    record: AuditRecord::default(),
                    since: Self::current_period(),
                }
            }
        };
        Offers::<T>::insert(id, &who, offer);
        Self::join_candidates(id, &who);
        Self::deposit_event(Event::OfferSet {
            model: id,
            worker: who,
            price_input: prices.input,
            price_output: prices.output,
            capacity,
        });
        Ok(())
    }

    pub(crate) fn do_remove_offer(who: T::AccountId, id: ModelId) -> DispatchResult {
        let offer = Offers::<T>::take(id, &who).ok_or(Error::<T>::OfferUnknown)?;
        Workers::<T>::try_mutate(&who, |worker| {
            let worker = worker
                .as_mut()
                .ok_or_else(|| Self::corrupted("an offer's worker is missing"))?;
            worker.offers = worker
                .offers
                .checked_sub(1)
                .ok_or_else(|| Self::corrupted("a worker counts too few offers"))?;
            DispatchResult::Ok(())
        })?;
        OfferCounts::<T>::try_mutate_exists(id, |count| {
            let left = count
                .unwrap_or(0)
                .checked_sub(1)
                .ok_or_else(|| Self::corrupted("a model counts too few offers"))?;
            *count = (left > 0).then_some(left);
            DispatchResult::Ok(())
        })?;
        Self::leave_candidates(id, &who);
        Self::release(HoldReason::OfferDeposit, &who, offer.deposit)?;
        Self::deposit_event(Event::OfferRemoved {
            model: id,
            worker: who,
        });
        Ok(())
    }
}
