//! All movement of money. Nothing else in this pallet touches the currency, and nothing here keeps
//! records: callers write down what they hold and release exactly that.
//!
//! Payments ignore freezes and locks (`Fortitude::Force`), so a requester who freezes its funds
//! blocks nothing. A payment can fail for one reason only: the payee's account holds nothing and
//! the amount is below the existential deposit. Such dust goes to the next payee in line and, if
//! nobody can take it, is burnt as the currency itself does with dust. So no payee can block a
//! state change.

use crate::{jobs::Job, AuditPots, Config, Error, Event, HoldReason, Pallet, LOG_TARGET};
use frame_support::{
    ensure,
    storage::with_storage_layer,
    traits::{
        fungible::{hold::Mutate as _, Inspect, Mutate as _},
        tokens::{Fortitude, Precision, Preservation, Restriction},
        Get,
    },
};
use genesisflow_primitives::{pricing, Balance};
use sp_runtime::{DispatchError, DispatchResult};

/// What became of a fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Paid to the worker.
    pub worker: Balance,
    /// Paid to the treasury.
    pub protocol: Balance,
    /// Paid into the pot for audits.
    pub premium: Balance,
}

impl<T: Config> Pallet<T> {
    /// Holds `amount` of an account's free balance.
    pub(crate) fn hold(reason: HoldReason, who: &T::AccountId, amount: Balance) -> DispatchResult {
        if amount == 0 {
            return Ok(());
        }
        T::Currency::hold(&reason.into(), who, amount).map_err(|_| Error::<T>::BalanceTooLow.into())
    }

    /// Gives held money back to its owner.
    pub(crate) fn release(
        reason: HoldReason,
        who: &T::AccountId,
        amount: Balance,
    ) -> DispatchResult {
        Self::pay(reason, who, &[who, &T::TreasuryAccount::get()], amount)
    }

    /// Pays money held on `from` to the first of `payees` that can receive it.
    ///
    /// Fails only if less is held than the caller has recorded.
    pub(crate) fn pay(
        reason: HoldReason,
        from: &T::AccountId,
        payees: &[&T::AccountId],
        amount: Balance,
    ) -> DispatchResult {
        if amount == 0 {
            return Ok(());
        }
        let mut receivers = payees.iter();
        let received = receivers
            .find(|to| Self::try_transfer(reason, from, to, amount).is_ok())
            .copied();
        if received.is_none() {
            T::Currency::burn_held(
                &reason.into(),
                from,
                amount,
                Precision::Exact,
                Fortitude::Force,
            )?;
        }
        if let Some(payee) = payees.first().filter(|payee| Some(**payee) != received) {
            Self::deposit_event(Event::PaymentDiverted {
                payee: (*payee).clone(),
                instead: received.cloned(),
                amount,
            });
        }
        Ok(())
    }

    /// Splits a fee held on the requester between treasury, audits and worker. What treasury or pot
    /// cannot receive falls to the worker.
    pub(crate) fn pay_fee(
        job: &Job<T::AccountId>,
        worker: &T::AccountId,
        fee: Balance,
        premium: Balance,
    ) -> Result<Split, DispatchError> {
        let requester = &job.requester;
        let reason = HoldReason::JobEscrow;
        let treasury = T::TreasuryAccount::get();
        let (mut protocol, mut rest) = pricing::split_fee(fee, job.terms.protocol_share);
        let premium = Self::pay_into_pot(reason, requester, premium.min(rest));
        AuditPots::<T>::mutate_exists(job.model, |pot| {
            let grown = pot.unwrap_or(0).saturating_add(premium);
            *pot = (grown > 0).then_some(grown);
        });
        rest = rest.saturating_sub(premium);
        if protocol > 0 && Self::try_transfer(reason, requester, &treasury, protocol).is_err() {
            Self::deposit_event(Event::PaymentDiverted {
                payee: treasury.clone(),
                instead: Some(worker.clone()),
                amount: protocol,
            });
            rest = rest.saturating_add(protocol);
            protocol = 0;
        }
        Self::pay(reason, requester, &[worker, &treasury, requester], rest)?;
        Ok(Split {
            worker: rest,
            protocol,
            premium,
        })
    }

    /// Moves held money into the pot for audits; returns how much, which is all or nothing. The
    /// caller writes down whose it is there.
    pub(crate) fn pay_into_pot(
        reason: HoldReason,
        from: &T::AccountId,
        amount: Balance,
    ) -> Balance {
        let pot = T::AuditPotAccount::get();
        // A payment that brought the account to life could never be paid out in full: an account
        // keeps the existential deposit.
        let is_there = T::Currency::balance(&pot) >= Self::existential_deposit();
        let paid = amount > 0 && is_there && Self::try_transfer(reason, from, &pot, amount).is_ok();
        if paid {
            amount
        } else {
            0
        }
    }

    /// Pays an auditor out of the pot. False if it cannot receive the amount: it stays in the pot.
    pub(crate) fn pay_from_pot(to: &T::AccountId, amount: Balance) -> bool {
        amount > 0
            && with_storage_layer(|| {
                T::Currency::transfer(
                    &T::AuditPotAccount::get(),
                    to,
                    amount,
                    Preservation::Preserve,
                )
            })
            .is_ok()
    }

    /// Moves held money to a free balance, all of it or nothing.
    fn try_transfer(
        reason: HoldReason,
        from: &T::AccountId,
        to: &T::AccountId,
        amount: Balance,
    ) -> DispatchResult {
        let reason: T::RuntimeHoldReason = reason.into();
        with_storage_layer(|| {
            let moved = if from == to {
                T::Currency::release(&reason, from, amount, Precision::Exact)
            } else {
                T::Currency::transfer_on_hold(
                    &reason,
                    from,
                    to,
                    amount,
                    Precision::Exact,
                    Restriction::Free,
                    Fortitude::Force,
                )
            }?;
            // The currency releases at best effort: undo it if an account was too small.
            ensure!(moved == amount, Error::<T>::BalanceTooLow);
            Ok(())
        })
    }

    /// Least balance that an account can have.
    pub(crate) fn existential_deposit() -> Balance {
        T::Currency::minimum_balance()
    }

    /// Reports a record that contradicts another one.
    pub(crate) fn corrupted(what: &str) -> DispatchError {
        log::error!(target: LOG_TARGET, "records contradict each other: {what}");
        frame_support::defensive!("inference records contradict each other");
        Error::<T>::Corrupted.into()
    }
}
