//! What the read API returns. The runtime API and the pallet's view functions share these types;
//! they repeat what a reader would otherwise have to look up or compute.

use crate::{
    Attestation, Balance, BlockNumber, Endpoint, EvidenceBytes, Fault, JobId, JobOptions,
    JobStatus, JobTerms, ModelId, ModelLimits, ModelTerms, Output, Parameters, Prices, Usage, H256,
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct JobView<AccountId> {
    /// Its number.
    pub id: JobId,
    /// Who asked for it.
    pub requester: AccountId,
    /// The model it runs on.
    pub model: ModelId,
    /// Where it stands.
    pub status: JobStatus,
    /// Last block of that state; from the next block on anyone may move the job on.
    pub until: BlockNumber,
    /// Whether that block has passed, and nobody has moved the job on yet.
    pub overdue: bool,
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
    /// The only worker that may claim, until `exclusive_until`.
    pub directed_to: Option<AccountId>,
    /// Last block in which only that worker may claim.
    pub exclusive_until: Option<BlockNumber>,
    /// The worker that was late once and may not claim again.
    pub barred: Option<AccountId>,
    /// Terms fixed at submission.
    pub terms: JobTerms,
    /// Most that the requester pays.
    pub max_fee: Balance,
    /// What is still held of it.
    pub escrow: Balance,
    /// What is held of the requester's deposit and prepaid delivery.
    pub deposit: Balance,
    /// Who claimed it.
    pub worker: Option<AccountId>,
    /// Prices fixed by the claim.
    pub prices: Option<Prices>,
    /// The most that the claim can cost.
    pub worst_case_fee: Option<Balance>,
    /// Units read and written, once delivered.
    pub usage: Option<Usage>,
    /// The fault that ended the run, if one did.
    pub fault: Option<Fault>,
    /// The fee, once delivered.
    pub fee: Option<Balance>,
}

/// An open job, with what a worker needs to choose.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct JobSummary<AccountId> {
    /// Its number.
    pub id: JobId,
    /// Who asked for it.
    pub requester: AccountId,
    /// Bytes of the input.
    pub input_len: u32,
    /// Most input units that can be charged.
    pub max_input_units: u32,
    /// Most output units.
    pub max_output_units: u32,
    /// How it is to be run.
    pub options: JobOptions,
    /// Highest prices that the requester accepts.
    pub max_prices: Prices,
    /// Most that the requester pays.
    pub max_fee: Balance,
    /// Last block in which it may be claimed.
    pub claim_by: BlockNumber,
    /// Blocks from the claim in which the result must be delivered.
    pub deliver_window: BlockNumber,
    /// The only worker that may claim, until `exclusive_until`.
    pub directed_to: Option<AccountId>,
    /// Last block in which only that worker may claim.
    pub exclusive_until: Option<BlockNumber>,
    /// The worker that was late once and may not claim again.
    pub barred: Option<AccountId>,
}

/// A job that a worker has claimed and not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ClaimView {
    /// The job.
    pub job: JobId,
    /// The model it runs on.
    pub model: ModelId,
    /// When it was claimed.
    pub claimed_at: BlockNumber,
    /// Last block in which the result is taken.
    pub deliver_by: BlockNumber,
    /// Prices fixed by the claim.
    pub prices: Prices,
    /// The most that the job can cost.
    pub worst_case_fee: Balance,
    /// Stake reserved for it.
    pub exposure: Balance,
}

/// What a worker delivered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ResultView<AccountId> {
    /// The output, as the requester reads it: UTF-8.
    pub output: Output,
    /// The output's token ids; dropped once the job is final.
    pub evidence: Option<EvidenceBytes>,
    /// What the worker stated.
    pub attestation: Attestation<AccountId>,
    /// The attestation's hash.
    pub attestation_hash: H256,
}

/// Stake on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct UnbondingView {
    /// How much, in base units.
    pub amount: Balance,
    /// First block in which it can be withdrawn.
    pub from: BlockNumber,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct WorkerView {
    /// Everything held as stake, unbonding stake included.
    pub stake: Balance,
    /// The part of it that is unbonding.
    pub unbonding: Vec<UnbondingView>,
    /// The part of it that can be withdrawn now.
    pub withdrawable: Balance,
    /// Stake reserved for open claims and unpaid results.
    pub exposure: Balance,
    /// Stake that new claims can still reserve.
    pub free_stake: Balance,
    /// Whether it takes no new jobs.
    pub chilled: bool,
    /// Where it may be reached, if it says so.
    pub endpoint: Endpoint,
    /// How many offers it has.
    pub offers: u32,
    /// How many jobs it has claimed and not delivered yet.
    pub claims: u32,
    /// How many results it was paid for.
    pub settled: u64,
    /// How often it was late.
    pub late: u64,
}

/// A worker's offer of a model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct OfferView<AccountId> {
    /// Who offers it.
    pub worker: AccountId,
    /// At which prices.
    pub prices: Prices,
    /// How many jobs at a time.
    pub capacity: u32,
    /// How many of them are running.
    pub running: u32,
    /// Whether a job could be claimed under it now, stake aside.
    pub available: bool,
    /// Stake that the worker's new claims can still reserve.
    pub free_stake: Balance,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ModelView<AccountId> {
    /// Who registered it.
    pub owner: AccountId,
    /// Its name: UTF-8.
    pub name: Vec<u8>,
    /// Whether it takes no new jobs.
    pub retired: bool,
    /// How long a job may get.
    pub limits: ModelLimits,
    /// On which terms it is offered.
    pub terms: ModelTerms,
    /// What the owner deposited.
    pub deposit: Balance,
    /// How many jobs on it are not final.
    pub live_jobs: u32,
    /// How many workers offer it.
    pub offers: u32,
}

/// What a job would cost at most if it were submitted now.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Quote<AccountId> {
    /// The cheapest worst case, in base units: a good `max_fee`.
    pub fee: Balance,
    /// Whose offer that is.
    pub worker: AccountId,
    /// How many workers could claim the job now.
    pub workers: u32,
    /// What would be held besides the fee: the deposit and the prepaid delivery.
    pub deposit: Balance,
}

/// The market's parameters and how often they have been changed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ParametersView {
    /// 0 at genesis, one more with every change.
    pub revision: u32,
    /// The parameters.
    pub parameters: Parameters,
}
