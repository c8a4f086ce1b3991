//! Workers: their stake, its unbonding, and what of it is at risk.
//!
//! Stake is one hold. Part of it may be unbonding, which takes it out of new claims at once and out
//! of the worker's reach for the unbonding period; until it is withdrawn it answers like the rest.
//!
//! In audit draws stake counts only if it was bonded for a whole period: see [`StakeHistory`].

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

/// The least stake that a worker had bonded in the last periods of audit pools.
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
pub struct StakeHistory {
    /// The period in which it was noted last.
    pub period: u32,
    /// Least bonded stake of the period before that, in base units.
    pub least_before: Balance,
    /// Least bonded stake of that period so far, in base units.
    pub least: Balance,
}

impl StakeHistory {
    /// Of a worker that registers in `period`, and so had no stake in a part of it.
    fn beginning_in(period: u32) -> Self {
        Self {
            period,
            least_before: 0,
            least: 0,
        }
    }

    /// Brings the history to the present period, while `bonded` is what has been bonded since the
    /// last note.
    fn note(&mut self, period: u32, bonded: Balance) {
        match period.checked_sub(self.period) {
            None | Some(0) => return,
            Some(1) => self.least_before = self.least,
            Some(_) => self.least_before = bonded,
        }
        self.least = bonded;
        self.period = period;
    }
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
    /// How many results it was paid for.
    pub settled: u64,
    /// How often it was late.
    pub late: u64,
    /// What stake it had bonded in the last periods.
    pub history: StakeHistory,
    /// How many seats of audits wait for it.
    pub open_audits: u32,
    /// How many of its results were found wrong.
    pub rejected: u64,
    /// When a result of it was found wrong last.
    pub last_rejection: Option<BlockNumber>,
    /// In how many seats it judged right.
    pub audited: u64,
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

    /// The least stake that it had bonded in the period before `period`, the present one: what it
    /// weighs in audit draws.
    pub fn stake_for_pool(&self, period: u32) -> Balance {
        let mut history = self.history;
        history.note(period, self.bonded());
        history.least_before
    }

    /// Changes what is bonded, and keeps the history right. Every change must go through here.
    fn restake<R, E>(
        &mut self,
        period: u32,
        change: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        self.history.note(period, self.bonded());
        let result = change(self)?;
        self.history.least = self.history.least.min(self.bonded());
        Ok(result)
    }

    /// Books a loss of stake in the present period: bonded stake goes first, then the latest
    /// unbonding parts. None if there is not as much stake.
    pub(crate) fn lose(&mut self, period: u32, amount: Balance) -> Option<()> {
        let left = self.stake.checked_sub(amount)?;
        let lost: Result<(), core::convert::Infallible> = self.restake(period, |worker| {
            worker.stake = left;
            let mut surplus = excess(worker.unbonding_total(), left);
            for chunk in worker.unbonding.iter_mut().rev() {
                let taken = chunk.amount.min(surplus);
                chunk.amount -= taken;
                surplus -= taken;
            }
            worker.unbonding.retain(|chunk| chunk.amount > 0);
            Ok(())
        });
        lost.ok()
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
                settled: 0,
                late: 0,
                history: StakeHistory::beginning_in(Self::current_period()),
                open_audits: 0,
                rejected: 0,
                last_rejection: None,
                audited: 0,
            },
        );
        Self::deposit_event(Event::WorkerRegistered { worker: who, stake });
        Ok(())
    }

    pub(crate) fn do_bond_more(who: T::AccountId, amount: Balance) -> DispatchResult {
        let period = Self::current_period();
        Self::change_worker(&who, |worker| {
            ensure!(amount > 0, Error::<T>::AmountZero);
            worker.restake(period, |worker| {
                let stake = worker.stake.checked_add(amount);
                worker.stake = stake.ok_or(Error::<T>::AmountTooLarge)?;
                Self::hold(HoldReason::Stake, &who, amount)
            })
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
        let period = Self::current_period();
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
            worker.restake(period, |worker| {
                let latest = worker.unbonding.last_mut();
                match latest.filter(|chunk| chunk.from == from) {
                    // At most the stake, as the sum of all parts is.
                    Some(chunk) => chunk.amount += amount,
                    None => worker
                        .unbonding
                        .try_push(Unbonding { amount, from })
                        .map_err(|_| Error::<T>::TooManyUnbondings)?,
                }
                Ok::<_, Error<T>>(())
            })?;
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
        // Seats answer for their ballots with the stake.
        ensure!(worker.open_audits == 0, Error::<T>::SeatsOpen);
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

#[cfg(test)]
mod tests {
    use super::*;
    use frame_support::traits::ConstU32;

    fn worker(stake: Balance, history: StakeHistory) -> Worker<ConstU32<4>> {
        Worker {
            stake,
            unbonding: BoundedVec::new(),
            exposure: 0,
            chilled: false,
            endpoint: Endpoint::new(),
            offers: 0,
            settled: 0,
            late: 0,
            history,
            open_audits: 0,
            rejected: 0,
            last_rejection: None,
            audited: 0,
        }
    }

    /// Sets what is bonded in a period.
    fn restake(worker: &mut Worker<ConstU32<4>>, period: u32, stake: Balance) {
        let changed: Result<(), ()> = worker.restake(period, |worker| {
            worker.stake = stake;
            Ok(())
        });
        assert!(changed.is_ok());
    }

    fn weights<const N: usize>(worker: &Worker<ConstU32<4>>, periods: [u32; N]) -> [Balance; N] {
        periods.map(|period| worker.stake_for_pool(period))
    }

    #[test]
    fn stake_counts_after_a_whole_period() {
        let worker = worker(100, StakeHistory::beginning_in(5));
        assert_eq!(weights(&worker, [5, 6, 7, 8, 100]), [0, 0, 100, 100, 100]);
    }

    #[test]
    fn more_stake_counts_after_a_whole_period_and_less_at_the_next() {
        let mut worker = worker(100, StakeHistory::beginning_in(5));
        restake(&mut worker, 10, 300);
        assert_eq!(weights(&worker, [10, 11, 12]), [100, 100, 300]);
        restake(&mut worker, 20, 40);
        assert_eq!(weights(&worker, [20, 21, 22]), [300, 40, 40]);
    }

    #[test]
    fn only_the_least_stake_of_a_period_counts() {
        let mut worker = worker(100, StakeHistory::beginning_in(5));
        restake(&mut worker, 10, 30);
        restake(&mut worker, 10, 500);
        restake(&mut worker, 10, 60);
        assert_eq!(weights(&worker, [10, 11, 12]), [100, 30, 60]);
        restake(&mut worker, 11, 70);
        assert_eq!(weights(&worker, [11, 12, 13]), [30, 60, 70]);
    }

    #[test]
    fn a_loss_counts_from_the_period_in_which_it_happens() {
        let mut worker = worker(100, StakeHistory::beginning_in(5));
        assert_eq!(worker.lose(9, 100_000), None);
        assert_eq!(worker.lose(9, 60), Some(()));
        assert_eq!(weights(&worker, [9, 10, 11]), [100, 40, 40]);
        assert_eq!(worker.lose(9, 40), Some(()));
        assert_eq!(weights(&worker, [9, 10, 11]), [100, 0, 0]);
    }
}
