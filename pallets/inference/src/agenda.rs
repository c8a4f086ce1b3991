//! How overdue jobs are found.
//!
//! Every job has exactly one entry: at the first block in which it is overdue, or before. A call that
//! gives a job a later deadline leaves the entry where it is; when the agenda comes to an entry that
//! is too early, it moves it to where the job is by then. So an entry is never late, and most claims
//! and acceptances save two writes. A job is looked at in vain at most once for every deadline that
//! it has had. Block and job are
//! stored big-endian and unhashed, so the storage trie itself keeps the entries sorted: the earliest
//! one is always the first key. That makes a cursor, which could fall behind or skip, unnecessary,
//! and costs nothing for blocks in which nothing is due. Neither number can be chosen by an
//! attacker beyond its window, so keys cannot be ground.

use crate::{
    jobs::{OpenedJob, Step},
    Agenda, Config, Jobs, Pallet, WeightInfo, LOG_TARGET,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
    storage::with_storage_layer,
    traits::Get,
    weights::{Weight, WeightMeter},
};
use genesisflow_primitives::{BlockNumber, JobId};
use scale_info::TypeInfo;

/// A block number whose encoding sorts as the number does: big-endian.
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
pub struct DueKey([u8; 4]);

impl From<BlockNumber> for DueKey {
    fn from(block: BlockNumber) -> Self {
        Self(block.to_be_bytes())
    }
}

impl DueKey {
    /// The block.
    pub fn block(self) -> BlockNumber {
        BlockNumber::from_be_bytes(self.0)
    }
}

/// A job's number whose encoding sorts as the number does: big-endian.
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
pub struct JobKey([u8; 8]);

impl From<JobId> for JobKey {
    fn from(job: JobId) -> Self {
        Self(job.to_be_bytes())
    }
}

impl JobKey {
    /// The job.
    pub fn job(self) -> JobId {
        JobId::from_be_bytes(self.0)
    }
}

/// `on_idle` takes at most this part of a block, however empty the rest is: it runs when the time for
/// transactions is over, and must leave enough to finish the block.
const ON_IDLE_PART: u64 = 6;
/// While entries wait that the block before had no room for, `on_poll` takes up to this part of a
/// block before any transaction: full blocks cannot hold up the agenda.
const ON_POLL_PART: u64 = 8;

impl<T: Config> Pallet<T> {
    /// The most that `on_idle` takes of a block.
    pub(crate) fn most_on_idle() -> Weight {
        let limits = <T as frame_system::Config>::BlockWeights::get();
        limits.max_block.saturating_div(ON_IDLE_PART)
    }

    /// What is kept for the agenda in every block, full or not, as long as entries wait.
    pub(crate) fn kept_for_agenda() -> Weight {
        let limits = <T as frame_system::Config>::BlockWeights::get();
        limits.max_block.saturating_div(ON_POLL_PART)
    }

    /// Works off the entries that the block before had no room for.
    pub(crate) fn work_off_backlog(meter: &mut WeightMeter) {
        if meter.try_consume(T::WeightInfo::on_idle_base()).is_err() {
            return;
        }
        let waits = Agenda::<T>::iter_keys()
            .next()
            .is_some_and(|(due, _)| due.block() < Self::now());
        if waits {
            let most = Self::kept_for_agenda().min(meter.remaining());
            let mut kept = WeightMeter::with_limit(most);
            Self::run_agenda(&mut kept);
            meter.consume(kept.consumed());
        }
    }

    /// Works off the entries up to this block, earliest first, as far as the weight allows: jobs that
    /// are overdue move on, the others' entries move to where they will be.
    pub(crate) fn run_agenda(meter: &mut WeightMeter) {
        let now = Self::now();
        if meter.try_consume(T::WeightInfo::on_idle_base()).is_err() {
            return;
        }
        // Entries made on the way lie in the future and end the loop.
        for (due, job) in Agenda::<T>::iter_keys() {
            if due.block() > now {
                return;
            }
            let job = job.job();
            let step = Self::step_at(job, now);
            let usual = T::WeightInfo::on_idle_entry()
                .saturating_add(step.map_or(Weight::zero(), Self::step_weight));
            let most = match step {
                Some(Step::Expire | Step::Late | Step::Settle) => {
                    usual.saturating_add(T::WeightInfo::close_last())
                }
                Some(Step::Relist | Step::Drop | Step::Round | Step::Outcome) | None => usual,
            };
            if !meter.can_consume(most) {
                return;
            }
            // Undone as a whole if the records contradict each other. The entry then stays, and
            // the loop goes on behind it, so one bad record cannot hold up the others.
            let done = with_storage_layer(|| match step {
                Some(Step::Relist) => Self::relist(job).map(|()| false),
                _ => Self::do_step(job),
            });
            meter.consume(match done {
                Ok(false) => usual,
                Ok(true) => most,
                Err(error) => {
                    log::error!(target: LOG_TARGET, "job {job} cannot be moved on: {error:?}");
                    most
                }
            });
        }
    }
}

impl<T: Config> Pallet<T> {
    /// What a call takes that found the job overdue, must move its entry in the agenda, or ended it
    /// as the last one of its model or pool. To be asked before the job is written back.
    pub(crate) fn weight_besides(opened: &OpenedJob<T::AccountId>) -> Weight {
        let mut weight = Weight::zero();
        if opened.was_overdue {
            weight.saturating_accrue(T::WeightInfo::on_idle_job());
        }
        if opened.is_misplaced(Self::now()) {
            weight.saturating_accrue(T::WeightInfo::on_idle_relist());
        }
        if opened.was_last {
            weight.saturating_accrue(T::WeightInfo::close_last());
        }
        weight
    }

    /// The most that [`Self::weight_besides`] can be.
    pub(crate) fn most_besides() -> Weight {
        T::WeightInfo::on_idle_job()
            .saturating_add(T::WeightInfo::on_idle_relist())
            .saturating_add(T::WeightInfo::close_last())
    }

    /// The most that `progress_job` can take for any job.
    pub(crate) fn most_progress_weight() -> Weight {
        T::WeightInfo::on_idle_job()
            .saturating_add(Self::round_weight().max(Self::outcome_weight()))
    }

    /// The most that `progress_job` can take for a job in its present state.
    pub(crate) fn progress_weight(id: JobId) -> Weight {
        let plain = T::WeightInfo::on_idle_job();
        match Self::step_at(id, Self::now()) {
            Some(step) if !step.is_plain() => plain.saturating_add(Self::step_weight(step)),
            _ => plain,
        }
    }

    /// What is to be done with a job at block `now` if the agenda comes to it. None if there is no
    /// such job.
    fn step_at(id: JobId, now: BlockNumber) -> Option<Step> {
        let state = Jobs::<T>::get(id)?.state;
        Some(if state.due() <= now {
            state.next_step()
        } else {
            Step::Relist
        })
    }

    /// The most that one step can take.
    fn step_weight(step: Step) -> Weight {
        match step {
            Step::Relist => T::WeightInfo::on_idle_relist(),
            Step::Expire => T::WeightInfo::on_idle_expire(),
            // The second time, the job expires.
            Step::Late => {
                T::WeightInfo::on_idle_late().saturating_add(T::WeightInfo::on_idle_expire())
            }
            Step::Settle => T::WeightInfo::on_idle_settle(),
            Step::Drop => T::WeightInfo::on_idle_drop(),
            Step::Round => Self::round_weight(),
            Step::Outcome => Self::outcome_weight(),
        }
    }

    fn round_weight() -> Weight {
        T::WeightInfo::on_idle_draw().max(T::WeightInfo::on_idle_round())
    }

    fn outcome_weight() -> Weight {
        T::WeightInfo::on_idle_outcome().max(T::WeightInfo::on_idle_slashes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_numbers_do() {
        let blocks = [0, 1, 255, 256, 65_536, u32::MAX];
        let mut keys: Vec<_> = blocks
            .iter()
            .rev()
            .map(|b| DueKey::from(*b).encode())
            .collect();
        keys.sort();
        let sorted: Vec<_> = keys
            .iter()
            .map(|k| DueKey::decode(&mut &k[..]).unwrap().block())
            .collect();
        assert_eq!(sorted, blocks);

        assert!(JobKey::from(255).encode() < JobKey::from(256).encode());
        assert_eq!(JobKey::from(77).job(), 77);
    }
}
