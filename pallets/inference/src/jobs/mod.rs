//! A job: its record, its states, and how both are kept in storage.
//!
//! One file per step: the calls in files of their names, `overdue.rs` for the transitions that
//! deadlines make, `close.rs` for what every end has in common.

mod accept;
mod cancel;
mod claim;
mod close;
mod deliver;
mod overdue;
pub(crate) mod submit;

pub(crate) use overdue::Step;
pub use submit::Request;

use crate::{agenda::DueKey, Agenda, Audits, Config, Error, Jobs, OpenJobs, Outputs, Pallet};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use genesisflow_primitives::{
    Attestation, Balance, BlockNumber, Fault, JobId, JobOptions, JobStatus, JobTerms, ModelId,
    Prices, Usage, H256,
};
use scale_info::TypeInfo;
use sp_runtime::Perbill;
use sp_runtime::{traits::BlockNumberProvider, DispatchError};

/// A job's record.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Job<AccountId> {
    /// Who asked for it and pays.
    pub requester: AccountId,
    /// The model it runs on.
    pub model: ModelId,
    /// When it was submitted.
    pub submitted_at: BlockNumber,
    /// Hash of the input.
    pub input_hash: H256,
    /// Bytes of the input.
    pub input_len: u32,
    /// How it is to be run.
    pub options: JobOptions,
    /// Highest prices that the requester accepts.
    pub max_prices: Prices,
    /// Who alone may claim it at first.
    pub directed: Option<Directed<AccountId>>,
    /// The worker that was late with it once. There is none on its first way.
    pub barred: Option<AccountId>,
    /// Period of the audit pool that it refers to; none if the model had no pool.
    pub pool: Option<u32>,
    /// What was fixed when it was submitted.
    pub terms: JobTerms,
    /// The most that it may cost, in base units.
    pub max_fee: Balance,
    /// What is held on the requester as escrow for it.
    pub escrow: Balance,
    /// What is held on the requester as deposit and prepaid delivery for it.
    pub deposit: Balance,
    /// Where it stands.
    pub state: JobState<AccountId>,
    /// The block at which the agenda has it: where its state ends, or before.
    pub listed: BlockNumber,
}

/// A worker that alone may claim a job for a while.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Directed<AccountId> {
    /// The worker.
    pub worker: AccountId,
    /// Last block in which nobody else may claim.
    pub until: BlockNumber,
}

/// Where a job stands.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum JobState<AccountId> {
    /// Waits for a worker.
    #[codec(index = 0)]
    Open {
        /// Last block in which it may be claimed.
        claim_by: BlockNumber,
    },
    /// A worker runs it.
    #[codec(index = 1)]
    Claimed(Claim<AccountId>),
    /// A result is there; the blocks that decide whether it is audited are still to come.
    #[codec(index = 2)]
    Delivered {
        /// Under which claim.
        claim: Claim<AccountId>,
        /// The result.
        delivery: Delivery,
        /// Whether the requester has accepted it. It is still audited if the draw says so.
        accepted: bool,
        /// Last of the blocks that decide.
        until: BlockNumber,
    },
    /// Auditors check the result.
    #[codec(index = 3)]
    Audit {
        /// Under which claim.
        claim: Claim<AccountId>,
        /// The result.
        delivery: Delivery,
        /// Last block of the present phase.
        until: BlockNumber,
    },
    /// The audit is over unless somebody appeals.
    #[codec(index = 4)]
    Decided {
        /// Under which claim.
        claim: Claim<AccountId>,
        /// The result.
        delivery: Delivery,
        /// Last block in which an appeal is possible.
        until: BlockNumber,
    },
    /// A result is there, and its fee is still in escrow.
    #[codec(index = 5)]
    Review {
        /// Under which claim.
        claim: Claim<AccountId>,
        /// The result.
        delivery: Delivery,
        /// Last block in which nothing happens unless the requester accepts.
        until: BlockNumber,
    },
    /// The outcome of an audit is final and paid; slashes wait for their delay.
    #[codec(index = 6)]
    Slashing {
        /// Under which claim.
        claim: Claim<AccountId>,
        /// The result.
        delivery: Delivery,
        /// Whether the result was wrong.
        rejected: bool,
        /// Last block of the delay.
        until: BlockNumber,
    },
    /// The worker was paid.
    #[codec(index = 10)]
    Settled {
        /// Under which claim.
        claim: Claim<AccountId>,
        /// The result.
        delivery: Delivery,
        /// Last block in which the record is kept.
        kept_until: BlockNumber,
    },
    /// The result was wrong.
    #[codec(index = 11)]
    Rejected {
        /// Under which claim.
        claim: Claim<AccountId>,
        /// The result.
        delivery: Delivery,
        /// Last block in which the record is kept.
        kept_until: BlockNumber,
    },
    /// Withdrawn by the requester.
    #[codec(index = 12)]
    Cancelled {
        /// Last block in which the record is kept.
        kept_until: BlockNumber,
    },
    /// Nobody ran it in time.
    #[codec(index = 13)]
    Expired {
        /// Last block in which the record is kept.
        kept_until: BlockNumber,
    },
}

/// A worker's claim of a job.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Claim<AccountId> {
    /// Who claimed.
    pub worker: AccountId,
    /// Its prices at that time.
    pub prices: Prices,
    /// The most that the job can cost at these prices.
    pub worst_case_fee: Balance,
    /// Stake reserved until the job is final.
    pub exposure: Balance,
    /// When it claimed.
    pub claimed_at: BlockNumber,
    /// Last block in which the result is taken.
    pub deliver_by: BlockNumber,
    /// Whether the worker's record on the model was short: the result is audited for certain.
    pub probation: bool,
    /// Whether another result of the worker had been rejected shortly before: the whole stake
    /// answers.
    pub repeated: bool,
}

/// What a worker delivered, without the bytes.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Delivery {
    /// Hash of the output.
    pub output_hash: H256,
    /// Bytes of the output.
    pub output_len: u32,
    /// Hash of the evidence.
    pub evidence_hash: H256,
    /// Units read and written.
    pub usage: Usage,
    /// The fault that ended the run, if one did.
    pub fault: Option<Fault>,
    /// The trace.
    pub trace: H256,
    /// Version of the engine.
    pub engine_version: u32,
    /// What it costs.
    pub fee: Balance,
    /// The chance that it is audited.
    pub audit_chance: Perbill,
    /// What its fee pays for audits.
    pub premium: Balance,
}

impl<AccountId> JobState<AccountId> {
    /// The state's name.
    pub fn status(&self) -> JobStatus {
        match self {
            Self::Open { .. } => JobStatus::Open,
            Self::Claimed(_) => JobStatus::Claimed,
            Self::Delivered { .. } => JobStatus::Delivered,
            Self::Audit { .. } => JobStatus::Audit,
            Self::Decided { .. } => JobStatus::Decided,
            Self::Review { .. } => JobStatus::Review,
            Self::Slashing { .. } => JobStatus::Slashing,
            Self::Rejected { .. } => JobStatus::Rejected,
            Self::Settled { .. } => JobStatus::Settled,
            Self::Cancelled { .. } => JobStatus::Cancelled,
            Self::Expired { .. } => JobStatus::Expired,
        }
    }

    /// Last block of the state. Every state has one.
    pub fn until(&self) -> BlockNumber {
        match self {
            Self::Open { claim_by } => *claim_by,
            Self::Claimed(claim) => claim.deliver_by,
            Self::Delivered { until, .. }
            | Self::Audit { until, .. }
            | Self::Decided { until, .. }
            | Self::Review { until, .. }
            | Self::Slashing { until, .. } => *until,
            Self::Settled { kept_until, .. }
            | Self::Rejected { kept_until, .. }
            | Self::Cancelled { kept_until }
            | Self::Expired { kept_until } => *kept_until,
        }
    }

    /// First block in which the state is overdue.
    pub fn due(&self) -> BlockNumber {
        self.until().saturating_add(1)
    }

    /// The claim, from the claim on.
    pub fn claim(&self) -> Option<&Claim<AccountId>> {
        match self {
            Self::Claimed(claim)
            | Self::Delivered { claim, .. }
            | Self::Audit { claim, .. }
            | Self::Decided { claim, .. }
            | Self::Review { claim, .. }
            | Self::Slashing { claim, .. }
            | Self::Settled { claim, .. }
            | Self::Rejected { claim, .. } => Some(claim),
            Self::Open { .. } | Self::Cancelled { .. } | Self::Expired { .. } => None,
        }
    }

    /// The result, from the delivery on.
    pub fn delivery(&self) -> Option<&Delivery> {
        match self {
            Self::Delivered { delivery, .. }
            | Self::Audit { delivery, .. }
            | Self::Decided { delivery, .. }
            | Self::Review { delivery, .. }
            | Self::Slashing { delivery, .. }
            | Self::Settled { delivery, .. }
            | Self::Rejected { delivery, .. } => Some(delivery),
            Self::Open { .. }
            | Self::Claimed(_)
            | Self::Cancelled { .. }
            | Self::Expired { .. } => None,
        }
    }
}

impl<AccountId: Clone> Job<AccountId> {
    /// What the worker stated by delivering.
    pub fn attestation(&self, id: JobId) -> Option<Attestation<AccountId>> {
        let (claim, delivery) = (self.state.claim()?, self.state.delivery()?);
        Some(Attestation {
            job: id,
            model: self.model,
            worker: claim.worker.clone(),
            input_hash: self.input_hash,
            output_hash: delivery.output_hash,
            evidence_hash: delivery.evidence_hash,
            usage: delivery.usage,
            fault: delivery.fault,
            trace: delivery.trace,
            engine_version: delivery.engine_version,
        })
    }
}

/// A job on its way through a call: read, changed, and written back by [`Pallet::save`].
pub(crate) struct OpenedJob<AccountId> {
    pub id: JobId,
    pub job: Job<AccountId>,
    /// Whether something was overdue, and was applied before the call.
    pub was_overdue: bool,
    /// Whether it ended as the last one of a retired model or of an audit pool, which went with it.
    pub was_last: bool,
}

impl<AccountId> OpenedJob<AccountId> {
    /// Whether the agenda has it at the wrong block, when it is written back at block `now`.
    ///
    /// An entry that is too early can stay until the agenda comes to it: most states end sooner
    /// than their deadlines, and each then saves two writes.
    pub(crate) fn is_misplaced(&self, now: BlockNumber) -> bool {
        let due = self.job.state.due();
        let listed = self.job.listed;
        due < listed || (listed <= now && due != listed)
    }
}

impl<T: Config> Pallet<T> {
    /// The present block.
    pub(crate) fn now() -> BlockNumber {
        T::BlockNumberProvider::current_block_number()
    }

    /// Reads a job as it was left.
    pub(crate) fn open(id: JobId) -> Result<OpenedJob<T::AccountId>, DispatchError> {
        let job = Jobs::<T>::get(id).ok_or(Error::<T>::JobUnknown)?;
        Ok(OpenedJob {
            id,
            was_overdue: false,
            was_last: false,
            job,
        })
    }

    /// Reads a job and applies what is overdue first, but for the steps of an audit: those move
    /// many seats and are left to `progress_job`, so that no other call has to be charged for them.
    pub(crate) fn open_now(id: JobId) -> Result<OpenedJob<T::AccountId>, DispatchError> {
        let opened = Self::open(id)?;
        match Self::catch_up(opened, Self::now())? {
            Some(opened) => Ok(opened),
            None => Err(Error::<T>::JobUnknown.into()),
        }
    }

    /// Writes a new job.
    pub(crate) fn add(id: JobId, job: Job<T::AccountId>) {
        Agenda::<T>::insert(DueKey::from(job.listed), job_key(id), ());
        OpenJobs::<T>::insert(job.model, job_key(id), ());
        Jobs::<T>::insert(id, job);
    }

    /// Writes a job back, and moves its entry in the agenda if it must.
    pub(crate) fn save(opened: OpenedJob<T::AccountId>) {
        let is_misplaced = opened.is_misplaced(Self::now());
        let OpenedJob { id, mut job, .. } = opened;
        if is_misplaced {
            Agenda::<T>::remove(DueKey::from(job.listed), job_key(id));
            job.listed = job.state.due();
            Agenda::<T>::insert(DueKey::from(job.listed), job_key(id), ());
        }
        Jobs::<T>::insert(id, job);
    }

    /// Drops a job's record and its output.
    pub(crate) fn remove(opened: OpenedJob<T::AccountId>) {
        let OpenedJob { id, job, .. } = opened;
        Agenda::<T>::remove(DueKey::from(job.listed), job_key(id));
        Jobs::<T>::remove(id);
        Outputs::<T>::remove(id);
        Audits::<T>::remove(id);
    }
}

/// A job's key in sorted lists.
pub(crate) fn job_key(id: JobId) -> crate::agenda::JobKey {
    id.into()
}
