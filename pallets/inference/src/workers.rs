//! Workers: their stake, its unbonding, and what of it is at risk.
//!
//! Stake is one hold. Part of it may be unbonding, which takes it out of new claims at once and out
//! of the worker's reach for the unbonding period; until it is withdrawn it answers like the rest.

use crate::{Config, Error, Event, HoldReason, MarketParameters, Pallet, Workers};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
    ensure, traits::Get, BoundedVec, CloneNoBound, DebugNoBound, EqNoBound, PartialEqNoBound,
};
use genesisflow_primitives::{Balance, BlockNumber, Endpoint};
use scale_info::TypeInfo;
use sp_runtime::DispatchResult;

/// Stake on its way out.
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
pub struct Unbonding {
    /// How much, in base units; never 0.
    pub amount: Balance,
    /// First block in which it can be withdrawn.
    pub from: BlockNumber,
}

/// A registered worker.
#[derive(
    CloneNoBound,
    DebugNoBound,
    PartialEqNoBound,
    EqNoBound,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
#[scale_info(skip_type_params(MaxChunks))]
#[codec(mel_bound())]
pub struct Worker<MaxChunks: Get<u32>> {
    /// Everything held as stake, unbonding stake included.
    pub stake: Balance,
    /// The unbonding parts of it, oldest first.
    pub unbonding: BoundedVec<Unbonding, MaxChunks>,
    /// Stake reserved for jobs that are claimed or delivered and not final.
    pub exposure: Balance,
    /// Whether it takes no new jobs.
    pub chilled: bool,
    /// Where it may be reached, if it says so.
    pub endpoint: Endpoint,
    /// How many offers it has.
    pub offers: u32,
    /// How many jobs it has claimed and not delivered.
    pub claims: u32,
    /// How many results it was paid for.
    pub settled: u64,
    /// How often it was late.
    pub late: u64,
}

/// How much of `amount` exceeds `other`. A comparison: bookings use checked arithmetic.
fn excess(amount: Balance, other: Balance) -> Balance {
    amount.max(other) - other
}

impl<MaxChunks: Get<u32>> Worker<MaxChunks> {
    /// Stake that is unbonding. At most the stake.
    pub fn unbonding_total(&self) -> Balance {
        self.unbonding
            .iter()
            .fold(0, |sum, chunk| sum.saturating_add(chunk.amount))
    }

    /// Stake that is not unbonding.
    pub fn bonded(&self) -> Balance {
        excess(self.stake, self.unbonding_total())
    }

    /// Stake that new claims can still reserve: bonded and behind no job. None is left if
    /// unbonding or a late job's payment has made the exposure exceed what is bonded.
    pub fn free_stake(&self) -> Balance {
        excess(self.bonded(), self.exposure)
    }

    /// What can be withdrawn at `now`: unbonded, and not needed by any job.
    pub fn withdrawable(&self, now: BlockNumber) -> Balance {
        let matured = self
            .unbonding
            .iter()
            .filter(|chunk| chunk.from <= now)
            .fold(0, |sum: Balance, chunk| sum.saturating_add(chunk.amount));
        let unneeded = excess(self.stake, self.exposure);
        matured.min(unneeded)
    }

    /// Takes `amount` out of the parts that have finished unbonding at `now`, oldest first. A part
    /// may finish before an older one if the unbonding period was shortened in between.
    fn drain_matured(&mut self, now: BlockNumber, mut amount: Balance) {
        for chunk in self.unbonding.iter_mut().filter(|chunk| chunk.from <= now) {
            let taken = chunk.amount.min(amount);
            chunk.amount -= taken;
            amount -= taken;
        }
        self.unbonding.retain(|chunk| chunk.amount > 0);
    }

    /// Books a loss of stake: bonded stake goes first, then the latest unbonding parts.
    /// None if there is not as much stake.
    pub(crate) fn lose(&mut self, amount: Balance) -> Option<()> {
        self.stake = self.stake.checked_sub(amount)?;
        let mut surplus = excess(self.unbonding_total(), self.stake);
        for chunk in self.unbonding.iter_mut().rev() {
            let taken = chunk.amount.min(surplus);
            chunk.amount -= taken;
            surplus -= taken;
        }
        self.unbonding.retain(|chunk| chunk.amount > 0);
        Some(())
    }
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_register_worker(
        who: T::AccountId,
        stake: Balance,
        endpoint: Endpoint,
    ) -> DispatchResult {
        ensure!(!Workers::<T>::contains_key(&who), Error::<T>::WorkerExists);
        Self::ensure_endpoint(&endpoint)?;
        let min_stake = MarketParameters::<T>::get().parameters.min_stake;
        ensure!(stake >= min_stake, Error::<T>::StakeBelowMinimum);
        Self::hold(HoldReason::Stake, &who, stake)?;
        Workers::<T>::insert(
            &who,
            Worker {
                stake,
                unbonding: BoundedVec::new(),
                exposure: 0,
                chilled: false,
                endpoint,
                offers: 0,
                claims: 0,
                settled: 0,
                late: 0,
            },
        );
        Self::deposit_event(Event::WorkerRegistered { worker: who, stake });
        Ok(())
    }

    pub(crate) fn do_bond_more(who: T::AccountId, amount: Balance) -> DispatchResult {
        Self::change_worker(&who, |worker| {
            ensure!(amount > 0, Error::<T>::AmountZero);
            worker.stake = worker
                .stake
                .checked_add(amount)
                .ok_or(Error::<T>::AmountTooLarge)?;
            Self::hold(HoldReason::Stake, &who, amount)
        })?;
        Self::deposit_event(Event::StakeAdded {
            worker: who,
            amount,
        });
        Ok(())
    }

    pub(crate) fn do_set_endpoint(who: T::AccountId, endpoint: Endpoint) -> DispatchResult {
        Self::change_worker(&who, |worker| {
            Self::ensure_endpoint(&endpoint)?;
            worker.endpoint = endpoint;
            Ok(())
        })?;
        Self::deposit_event(Event::EndpointSet { worker: who });
        Ok(())
    }

    pub(crate) fn do_chill(who: T::AccountId) -> DispatchResult {
        Self::change_worker(&who, |worker| {
            ensure!(!worker.chilled, Error::<T>::AlreadyChilled);
            worker.chilled = true;
            Ok(())
        })?;
        Self::deposit_event(Event::WorkerChilled { worker: who });
        Ok(())
    }

    pub(crate) fn do_activate(who: T::AccountId) -> DispatchResult {
        let min_stake = MarketParameters::<T>::get().parameters.min_stake;
        Self::change_worker(&who, |worker| {
            ensure!(worker.chilled, Error::<T>::AlreadyActive);
            ensure!(worker.bonded() >= min_stake, Error::<T>::StakeBelowMinimum);
            worker.chilled = false;
            Ok(())
        })?;
        Self::deposit_event(Event::WorkerActivated { worker: who });
        Ok(())
    }

    pub(crate) fn do_unbond(who: T::AccountId, amount: Balance) -> DispatchResult {
        let parameters = MarketParameters::<T>::get().parameters;
        let from = Self::now().saturating_add(parameters.unbonding_period);
        let chills = Self::change_worker(&who, |worker| {
            ensure!(amount > 0, Error::<T>::AmountZero);
            let left = worker
                .bonded()
                .checked_sub(amount)
                .ok_or(Error::<T>::NotEnoughStake)?;
            ensure!(
                left == 0 || left >= parameters.min_stake,
                Error::<T>::RemainderBelowMinimum
            );
            match worker
                .unbonding
                .last_mut()
                .filter(|chunk| chunk.from == from)
            {
                // At most the stake, as the sum of all parts is.
                Some(chunk) => chunk.amount += amount,
                None => worker
                    .unbonding
                    .try_push(Unbonding { amount, from })
                    .map_err(|_| Error::<T>::TooManyUnbondings)?,
            }
            let chills = left == 0 && !worker.chilled;
            worker.chilled |= chills;
            Ok(chills)
        })?;
        Self::deposit_event(Event::Unbonding {
            worker: who.clone(),
            amount,
            from,
        });
        if chills {
            Self::deposit_event(Event::WorkerChilled { worker: who });
        }
        Ok(())
    }

    pub(crate) fn do_withdraw_unbonded(who: T::AccountId) -> DispatchResult {
        let mut worker = Workers::<T>::get(&who).ok_or(Error::<T>::NotAWorker)?;
        let now = Self::now();
        // A worker that lost all of its stake has nothing to withdraw, but may leave.
        let lost_all = worker.stake == 0 && worker.exposure == 0;
        ensure!(
            lost_all || worker.unbonding.iter().any(|chunk| chunk.from <= now),
            Error::<T>::NothingToWithdraw
        );
        let amount = worker.withdrawable(now);
        ensure!(lost_all || amount > 0, Error::<T>::StakeBacksJobs);
        worker.drain_matured(now, amount);
        worker.stake = worker
            .stake
            .checked_sub(amount)
            .ok_or_else(|| Self::corrupted("a worker unbonds more than its stake"))?;

        Self::release(HoldReason::Stake, &who, amount)?;
        Self::deposit_event(Event::StakeWithdrawn {
            worker: who.clone(),
            amount,
        });
        if worker.stake > 0 {
            Workers::<T>::insert(&who, worker);
        } else {
            ensure!(worker.offers == 0, Error::<T>::OffersRemain);
            Workers::<T>::remove(&who);
            Self::deposit_event(Event::WorkerRemoved { worker: who });
        }
        Ok(())
    }

    fn change_worker<R>(
        who: &T::AccountId,
        change: impl FnOnce(&mut Worker<T::MaxUnbondingChunks>) -> Result<R, sp_runtime::DispatchError>,
    ) -> Result<R, sp_runtime::DispatchError> {
        Workers::<T>::try_mutate(who, |worker| {
            change(worker.as_mut().ok_or(Error::<T>::NotAWorker)?)
        })
    }

    fn ensure_endpoint(endpoint: &Endpoint) -> DispatchResult {
        ensure!(
            core::str::from_utf8(endpoint).is_ok(),
            Error::<T>::EndpointNotUtf8
        );
        Ok(())
    }
}
