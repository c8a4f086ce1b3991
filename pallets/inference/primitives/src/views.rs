//! What the read API returns. The runtime API and the pallet's view functions share these types;
//! they repeat what a reader would otherwise have to look up or compute.

use crate::{
    audit::{Ballot, Verdict},
    Attestation, Balance, BlockNumber, Endpoint, EvidenceBytes, Fault, JobId, JobOptions,
    JobStatus, JobTerms, ModelId, ModelLimits, ModelTerms, Output, Parameters, Prices, Usage, H256,
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use scale_info::TypeInfo;
use sp_arithmetic::Perbill;

/// Bytes that the chain keeps: an input, or a manifest. They stand in a structure because
/// Polkadot.js shows an optional list of bytes undecoded if nothing is around it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
}

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
    /// The chance that the result is audited, once delivered; 0 if nobody could be drawn. A dispute
    /// can still have it audited.
    pub audit_chance: Option<Perbill>,
    /// The part of the fee that pays for audits, once delivered.
    pub premium: Option<Balance>,
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
    /// How many of its results auditors found wrong.
    pub rejected: u64,
    /// When auditors found a result of it wrong last.
    pub last_rejection: Option<BlockNumber>,
    /// In how many seats it judged others right.
    pub audited: u64,
    /// How many seats of audits wait for it. Nothing can be withdrawn meanwhile.
    pub open_audits: u32,
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
    /// How many of its results on the model auditors found right, since it made the offer.
    pub audited_valid: u32,
    /// How many of them auditors found wrong.
    pub audited_failed: u32,
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

/// What an auditor has done about a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum SeatStatus {
    /// The ballot is to be committed.
    ToCommit,
    /// Committed; waits for the others or for the end of the commit window.
    Committed,
    /// The ballot is to be revealed.
    ToReveal,
    /// Revealed; nothing is left to do.
    Revealed,
    /// The time to act is over.
    Missed,
}

/// A seat that waits for an account, with everything that is needed to replay the job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SeatView<AccountId> {
    /// The audited job.
    pub job: JobId,
    /// Number of the round: part of the commitment.
    pub round: u8,
    /// Seed of the round: part of the digest.
    pub seed: H256,
    /// What is to be done.
    pub status: SeatStatus,
    /// Last block of the present phase.
    pub until: BlockNumber,
    /// Blocks in which all reveal, once the phase of commitments is over.
    pub reveal_window: BlockNumber,
    /// How many of the round's seats the account has.
    pub seats: u32,
    /// Whether it may stay silent without a fine, because it had enough audits open.
    pub excused: bool,
    /// What was committed, if it was.
    pub commitment: Option<H256>,
    /// Pay of a seat, in base units, if the pot suffices.
    pub pay: Balance,
    /// Fine of a silent seat, in base units.
    pub silent_fine: Balance,
    /// Fine of a wrong seat, in base units.
    pub wrong_fine: Balance,
    /// The model.
    pub model: ModelId,
    /// The job's input.
    pub input: Vec<u8>,
    /// How it was to be run.
    pub options: JobOptions,
    /// Its limits, and the terms of its audit.
    pub terms: JobTerms,
    /// The output as delivered.
    pub output: Vec<u8>,
    /// The output's token ids as delivered.
    pub evidence: Vec<u8>,
    /// What the worker stated.
    pub attestation: Attestation<AccountId>,
}

/// One account's seats in a round.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct AuditorView<AccountId> {
    /// Who.
    pub who: AccountId,
    /// How many seats.
    pub seats: u32,
    /// Whether it had left the market when it was drawn; its seats count as silent, without a fine.
    pub vacant: bool,
    /// What it committed.
    pub commitment: Option<H256>,
    /// What it revealed.
    pub ballot: Option<Ballot>,
}

/// One round of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct RoundView<AccountId> {
    /// Its number, from 0.
    pub number: u8,
    /// Its seed, once drawn.
    pub seed: Option<H256>,
    /// Whether it decides an appeal.
    pub appeal: bool,
    /// Who was drawn.
    pub auditors: Vec<AuditorView<AccountId>>,
    /// What it decided, if it did.
    pub verdict: Option<Verdict>,
}

/// A bond.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct BondView<AccountId> {
    /// Whose it is.
    pub who: AccountId,
    /// How much is held, in base units.
    pub amount: Balance,
}

/// A job's audit, until its record is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct AuditView<AccountId> {
    /// All rounds, oldest first; the last one may be running.
    pub rounds: Vec<RoundView<AccountId>>,
    /// Whether the result is right, as decided last; none while nothing was decided.
    pub valid: Option<bool>,
    /// Bond of the dispute that began the audit, if one did.
    pub dispute: Option<BondView<AccountId>>,
    /// Bond of the appeal, if there is one.
    pub appeal: Option<BondView<AccountId>>,
    /// Slashes that wait for their delay.
    pub slashes: Vec<SlashView<AccountId>>,
}

/// A slash that waits for its delay. Governance can cancel it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SlashView<AccountId> {
    /// Who loses stake.
    pub who: AccountId,
    /// How much, in base units, if there is as much.
    pub amount: Balance,
    /// In which block.
    pub at: BlockNumber,
}

/// A member of an audit pool.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct PoolMemberView<AccountId> {
    /// Who.
    pub who: AccountId,
    /// The stake that weighs in draws, in base units.
    pub stake: Balance,
}
