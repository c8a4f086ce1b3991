//! Audit pools: who can be drawn to check the results of a model's jobs.
//!
//! Blocks are counted into periods. A model's pool for a period holds the accounts whose offer and
//! stake were there for the whole period before, and weighs each by the least stake that it had
//! bonded in that time. It is made by the first job of the period and never changed; every job
//! keeps referring to the pool of its submission. So nothing that anybody does about stakes and
//! offers after a job was submitted, or up to a period before, touches a draw on it.
//!
//! A worker that takes no jobs when a pool is made is left out, so that machines which are gone do
//! not weigh for ever.
//!
//! A pool is dropped with the last job that refers to it. The newest one of a model is kept until
//! its period is over, since a job submitted later in the same period must get the same pool; if no
//! job refers to it then, it goes when the next one is made or the model is dropped. A pool without
//! members is kept too, so that one submission of a period looks for members and not every one; no
//! job refers to it, and it goes with the model's last live job at the latest.

use crate::{
    Candidates, Config, LiveJobs, NewestPools, Offers, Pallet, PeriodClock, Pools, WeightInfo,
    Workers,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::Get, weights::Weight, BoundedVec};
use genesisflow_primitives::{audit::MaxPoolSize, Balance, BlockNumber, ModelId};
use scale_info::TypeInfo;
use sp_runtime::DispatchError;

/// Periods from the one in which an offer is placed to the first whose pool can hold it: a whole
/// period lies between them.
const PERIODS_TO_JOIN: u32 = 2;

/// How blocks are counted into periods.
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
pub struct PoolClock {
    /// Number of the period that began at `since`.
    pub index: u32,
    /// First block of that period.
    pub since: BlockNumber,
    /// Blocks of each period from then on.
    pub length: BlockNumber,
}

impl PoolClock {
    /// The period to which a block belongs.
    pub fn period_at(&self, block: BlockNumber) -> u32 {
        let periods = block.saturating_sub(self.since) / self.length.max(1);
        self.index.saturating_add(periods)
    }
}

/// A member of an audit pool.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct PoolMember<AccountId> {
    /// Who.
    pub who: AccountId,
    /// The stake that weighs in draws, in base units; never 0.
    pub stake: Balance,
}

/// A model's audit pool as a submission found it.
pub(crate) struct UsedPool {
    /// Its period; none if nobody could be drawn.
    pub period: Option<u32>,
    /// How many candidates were looked at to make it; none if it had been made before.
    pub looked_at: Option<u32>,
}

/// Whether a candidate becomes a member of a pool.
enum PoolStanding {
    /// Its offer or its stake has not been there for long enough.
    None,
    /// It could, but takes no jobs at the moment.
    Chilled,
    /// With this stake, in base units.
    Member(Balance),
}

impl<T: Config> Pallet<T> {
    /// The period to which the present block belongs.
    pub(crate) fn current_period() -> u32 {
        PeriodClock::<T>::get().period_at(Self::now())
    }

    /// Begins a new period now, and makes it and all that follow `length` blocks long.
    pub(crate) fn begin_periods_of(length: BlockNumber) {
        let now = Self::now();
        PeriodClock::<T>::mutate(|clock| {
            let index = match clock.length {
                // The chain begins: this is the first period.
                0 => 0,
                _ => clock.period_at(now).saturating_add(1),
            };
            *clock = PoolClock {
                index,
                since: now,
                length,
            };
        });
    }

    /// What making the largest pool takes.
    pub(crate) fn most_pool_weight() -> Weight {
        T::WeightInfo::make_pool(<MaxPoolSize as Get<u32>>::get())
    }

    /// Counts a new job of a model under the model's present pool, which is made if need be.
    pub(crate) fn use_pool(model: ModelId) -> UsedPool {
        let period = Self::current_period();
        let (members, looked_at) = match Pools::<T>::decode_len(model, period) {
            Some(members) => (members, None),
            None => {
                let candidates = Candidates::<T>::get(model);
                let looked_at = u32::try_from(candidates.len()).ok();
                let (members, is_final) = Self::choose_members(model, &candidates, period);
                let count = members.len();
                // An empty pool is remembered, so that only the first job of a period looks for
                // members; unless there is nobody to look at.
                if count > 0 || (is_final && !candidates.is_empty()) {
                    Self::forget_newest_pool(model);
                    Pools::<T>::insert(model, period, members);
                    NewestPools::<T>::insert(model, period);
                }
                (count, looked_at)
            }
        };
        let period = (members > 0).then_some(period);
        LiveJobs::<T>::mutate(model, period, |jobs| *jobs = jobs.saturating_add(1));
        UsedPool { period, looked_at }
    }

    /// Counts a job that is final now as live no more. With the last one go its pool, unless that is
    /// the present one, and a retired model. Returns whether it was the last one of its pool.
    pub(crate) fn end_live_job(model: ModelId, pool: Option<u32>) -> Result<bool, DispatchError> {
        let left = LiveJobs::<T>::get(model, pool)
            .checked_sub(1)
            .ok_or_else(|| Self::corrupted("a model counts too few live jobs"))?;
        if left > 0 {
            LiveJobs::<T>::insert(model, pool, left);
            return Ok(false);
        }
        LiveJobs::<T>::remove(model, pool);
        if let Some(period) = pool {
            Self::leave_pool(model, period);
        }
        if !Self::has_live_jobs(model) {
            Self::forget_empty_pool(model);
            Self::drop_if_retired(model)?;
        }
        Ok(true)
    }

    /// No job refers to a pool any more: it goes, unless it is the present one.
    fn leave_pool(model: ModelId, period: u32) {
        let is_newest = NewestPools::<T>::get(model) == Some(period);
        if is_newest && period == Self::current_period() {
            return;
        }
        Pools::<T>::remove(model, period);
        if is_newest {
            NewestPools::<T>::remove(model);
        }
    }

    /// The newest pool of a model is the newest no more: it stays only as long as jobs refer to it.
    pub(crate) fn forget_newest_pool(model: ModelId) {
        if let Some(newest) = NewestPools::<T>::take(model) {
            if LiveJobs::<T>::get(model, Some(newest)) == 0 {
                Pools::<T>::remove(model, newest);
            }
        }
    }

    /// With a model's last live job goes the note that nobody can be drawn.
    fn forget_empty_pool(model: ModelId) {
        if let Some(period) = NewestPools::<T>::get(model) {
            if Pools::<T>::decode_len(model, period) == Some(0) {
                Pools::<T>::remove(model, period);
                NewestPools::<T>::remove(model);
            }
        }
    }

    /// The members of a pool; none if there is no such pool.
    pub(crate) fn pool(model: ModelId, period: u32) -> Vec<PoolMember<T::AccountId>> {
        Pools::<T>::get(model, period)
            .map(BoundedVec::into_inner)
            .unwrap_or_default()
    }

    /// The pool that a job submitted now would refer to.
    pub(crate) fn present_pool(model: ModelId) -> Vec<PoolMember<T::AccountId>> {
        let period = Self::current_period();
        match Pools::<T>::get(model, period) {
            Some(members) => members.into_inner(),
            None => {
                let candidates = Candidates::<T>::get(model);
                let (members, _) = Self::choose_members(model, &candidates, period);
                members.into_inner()
            }
        }
    }

    /// Makes an account that offers a model a candidate for its pools. If there are as many as
    /// there can be, the one with the least bonded stake makes room, unless the newcomer has no
    /// more; whoever loses its place can take it back by setting its offer again.
    pub(crate) fn join_candidates(model: ModelId, who: &T::AccountId) {
        let mut candidates = Candidates::<T>::get(model);
        if candidates.contains(who) {
            return;
        }
        if candidates.try_push(who.clone()).is_err() {
            let least = candidates
                .iter()
                .map(Self::bonded_stake)
                .enumerate()
                .min_by_key(|(_, stake)| *stake);
            let Some((place, stake)) = least else {
                return;
            };
            if stake >= Self::bonded_stake(who) {
                return;
            }
            if let Some(candidate) = candidates.get_mut(place) {
                *candidate = who.clone();
            }
        }
        Candidates::<T>::insert(model, candidates);
    }

    /// Takes an account out of a model's candidates.
    pub(crate) fn leave_candidates(model: ModelId, who: &T::AccountId) {
        let mut candidates = Candidates::<T>::get(model);
        let before = candidates.len();
        candidates.retain(|candidate| candidate != who);
        if candidates.is_empty() {
            Candidates::<T>::remove(model);
        } else if candidates.len() < before {
            Candidates::<T>::insert(model, candidates);
        }
    }

    fn bonded_stake(who: &T::AccountId) -> Balance {
        Workers::<T>::get(who).map_or(0, |worker| worker.bonded())
    }

    /// Chooses the members of a model's pool for the present period. Also returns whether the
    /// choice would be the same for the rest of the period: nobody was left out for being chilled.
    fn choose_members(
        model: ModelId,
        candidates: &[T::AccountId],
        period: u32,
    ) -> (BoundedVec<PoolMember<T::AccountId>, MaxPoolSize>, bool) {
        let mut members = BoundedVec::new();
        let mut is_final = true;
        for who in candidates {
            match Self::standing_in_pool(model, who, period) {
                PoolStanding::None => {}
                PoolStanding::Chilled => is_final = false,
                PoolStanding::Member(stake) => {
                    // There are no more candidates than a pool has members.
                    let _ = members.try_push(PoolMember {
                        who: who.clone(),
                        stake,
                    });
                }
            }
        }
        (members, is_final)
    }

    fn standing_in_pool(model: ModelId, who: &T::AccountId, period: u32) -> PoolStanding {
        let long_enough = Offers::<T>::get(model, who)
            .is_some_and(|offer| offer.since.saturating_add(PERIODS_TO_JOIN) <= period);
        if !long_enough {
            return PoolStanding::None;
        }
        let Some(worker) = Workers::<T>::get(who) else {
            return PoolStanding::None;
        };
        match worker.stake_for_pool(period) {
            0 => PoolStanding::None,
            _ if worker.chilled => PoolStanding::Chilled,
            stake => PoolStanding::Member(stake),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fall_into_periods() {
        let clock = PoolClock {
            index: 7,
            since: 100,
            length: 10,
        };
        let periods = [100, 109, 110, 119, 120].map(|block| clock.period_at(block));
        assert_eq!(periods, [7, 7, 8, 8, 9]);
        assert_eq!(PoolClock::default().period_at(u32::MAX), u32::MAX);
    }
}
