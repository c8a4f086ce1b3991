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
        fungible::{
            hold::{Balanced as _, Mutate as _},
            Balanced as _, Credit, Inspect, Mutate as _,
        },
        tokens::{Fortitude, Precision, Preservation, Restriction},
        Get, Imbalance,
    },
};
use genesisflow_primitives::{pricing, Balance};
use sp_runtime::{DispatchError, DispatchResult};

/// Money on its way from one account to others.
type CreditOf<T> = Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

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
        Self::note_diversion(payees, received, amount);
        Ok(())
    }

    /// Splits a job's escrow, which is its fee by now, between treasury, audits and worker. The
    /// treasury gets what was prepaid for the delivery with it. What treasury or pot cannot receive
    /// falls to the worker.
    ///
    /// All of it is taken off the requester's hold at once and then handed out: with a transfer to
    /// each payee, the hold would be the dearest part of the work.
    pub(crate) fn pay_fee(
        job: &mut Job<T::AccountId>,
        worker: &T::AccountId,
        premium: Balance,
    ) -> Result<Split, DispatchError> {
        let delivery = Self::take_delivery(job)?;
        let fee = core::mem::take(&mut job.escrow);
        let requester = &job.requester;
        let treasury = T::TreasuryAccount::get();
        let due = fee.saturating_add(delivery);
        let (credit, missing) = T::Currency::slash(&HoldReason::Job.into(), requester, due);
        ensure!(
            missing == 0,
            Self::corrupted("a requester holds less than its job records")
        );

        let (mut protocol, rest) = pricing::split_fee(fee, job.terms.protocol_share);
        let (for_pot, credit) = credit.split(premium.min(rest));
        let premium = for_pot.peek();
        let (premium, credit) = match Self::pay_credit_into_pot(for_pot) {
            Ok(()) => (premium, credit),
            Err(refused) => (0, credit.merge(refused)),
        };
        if premium > 0 {
            AuditPots::<T>::mutate(job.model, |pot| *pot = pot.saturating_add(premium));
        }
        let (for_treasury, credit) = credit.split(protocol.saturating_add(delivery));
        let to_treasury = for_treasury.peek();
        let credit = match Self::resolve(&treasury, for_treasury) {
            Ok(()) => credit,
            Err(refused) => {
                protocol = 0;
                Self::deposit_event(Event::PaymentDiverted {
                    payee: treasury.clone(),
                    instead: Some(worker.clone()),
                    amount: to_treasury,
                });
                credit.merge(refused)
            }
        };
        let to_worker = credit.peek();
        Self::hand_out(credit, &[worker, &treasury, requester]);
        Ok(Split {
            worker: to_worker,
            protocol,
            premium,
        })
    }

    /// Pays money that is on no account to the first of `payees` that can receive it. If nobody
    /// can, it is burnt.
    fn hand_out(mut credit: CreditOf<T>, payees: &[&T::AccountId]) {
        let amount = credit.peek();
        let mut received = None;
        for payee in payees {
            match Self::resolve(payee, credit) {
                Ok(()) => {
                    received = Some(*payee);
                    credit = CreditOf::<T>::zero();
                    break;
                }
                Err(refused) => credit = refused,
            }
        }
        // What is left is burnt with the issuance.
        drop(credit);
        Self::note_diversion(payees, received, amount);
    }

    /// Puts money that is on no account onto one, or gives it back. Nothing can always be received.
    fn resolve(who: &T::AccountId, credit: CreditOf<T>) -> Result<(), CreditOf<T>> {
        credit
            .drop_zero()
            .or_else(|credit| T::Currency::resolve(who, credit))
    }

    /// Tells that a payment went to another than its first payee, if it did.
    fn note_diversion(payees: &[&T::AccountId], received: Option<&T::AccountId>, amount: Balance) {
        if let Some(payee) = payees.first().filter(|payee| Some(**payee) != received) {
            Self::deposit_event(Event::PaymentDiverted {
                payee: (*payee).clone(),
                instead: received.cloned(),
                amount,
            });
        }
    }

    /// Takes what was prepaid for the delivery out of a job's deposit. The caller moves the money.
    pub(crate) fn take_delivery(job: &mut Job<T::AccountId>) -> Result<Balance, DispatchError> {
        let amount = job.terms.delivery_fee;
        job.deposit = job
            .deposit
            .checked_sub(amount)
            .ok_or_else(|| Self::corrupted("a delivery that was not prepaid"))?;
        Ok(amount)
    }

    /// Moves held money into the pot for audits; returns how much, which is all or nothing. The
    /// caller writes down whose it is there.
    pub(crate) fn pay_into_pot(
        reason: HoldReason,
        from: &T::AccountId,
        amount: Balance,
    ) -> Balance {
        let pot = T::AuditPotAccount::get();
        let is_paid = amount > 0
            && Self::pot_is_there()
            && Self::try_transfer(reason, from, &pot, amount).is_ok();
        if is_paid {
            amount
        } else {
            0
        }
    }

    /// Pays money that is on no account into the pot for audits, or gives it back.
    fn pay_credit_into_pot(credit: CreditOf<T>) -> Result<(), CreditOf<T>> {
        if credit.peek() == 0 || !Self::pot_is_there() {
            return Err(credit);
        }
        T::Currency::resolve(&T::AuditPotAccount::get(), credit)
    }

    /// Whether the pot's account has been brought to life. A payment that did so could never be
    /// paid out in full: an account keeps the existential deposit.
    fn pot_is_there() -> bool {
        T::Currency::balance(&T::AuditPotAccount::get()) >= Self::existential_deposit()
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
