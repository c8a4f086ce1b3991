//! A job as requester and worker see it: what is asked, under which conditions, what is answered.

use crate::{audit::AuditTerms, Balance, BlockNumber, H256};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_arithmetic::Permill;

/// Highest temperature, in thousandths.
pub const MAX_TEMPERATURE_MILLI: u32 = 100_000;
/// Most candidates a sampler keeps.
pub const MAX_TOP_K: u16 = 64;
/// `top_p` of 1, in thousandths: keep every candidate.
pub const MAX_TOP_P_MILLI: u16 = 1_000;

/// How a text job's input is to be read.
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
pub enum InputFormat {
    /// One user message, put through the model's chat template if it has one, else the bare text.
    #[default]
    Text = 0,
    /// A list of messages in the OpenAI JSON form, put through the model's chat template.
    Messages = 1,
    /// The bare text, without a template.
    Raw = 2,
}

/// How a job is to be run. The default is greedy decoding of plain text.
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
pub struct JobOptions {
    /// How the input is to be read.
    pub format: InputFormat,
    /// Sampling temperature in thousandths: 0 is greedy, at most 100,000.
    pub temperature_milli: u32,
    /// Candidates kept before sampling: 1 to 64.
    pub top_k: u16,
    /// Probability mass kept before sampling, in thousandths: 1 to 1,000.
    pub top_p_milli: u16,
    /// The requester's part of the sampler's seed; any value, zero is as good as another.
    pub seed: H256,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            format: InputFormat::Text,
            temperature_milli: 0,
            top_k: 1,
            top_p_milli: MAX_TOP_P_MILLI,
            seed: H256::zero(),
        }
    }
}

/// A sampling option outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionsError {
    /// The temperature is above [`MAX_TEMPERATURE_MILLI`].
    Temperature,
    /// `top_k` is 0 or above [`MAX_TOP_K`].
    TopK,
    /// `top_p_milli` is 0 or above [`MAX_TOP_P_MILLI`].
    TopP,
}

impl core::fmt::Display for OptionsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Temperature => "temperature_milli must be at most 100,000",
            Self::TopK => "top_k must be 1 to 64",
            Self::TopP => "top_p_milli must be 1 to 1,000",
        })
    }
}

impl core::error::Error for OptionsError {}

impl JobOptions {
    /// Checks that every option lies in its range.
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.temperature_milli > MAX_TEMPERATURE_MILLI {
            return Err(OptionsError::Temperature);
        }
        if self.top_k == 0 || self.top_k > MAX_TOP_K {
            return Err(OptionsError::TopK);
        }
        if self.top_p_milli == 0 || self.top_p_milli > MAX_TOP_P_MILLI {
            return Err(OptionsError::TopP);
        }
        Ok(())
    }
}

/// Under which conditions a job may be claimed. The default leaves everything to the market:
/// no price caps besides the escrow, the usual windows, any worker.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct JobConditions<AccountId> {
    /// Highest price per input unit, in base units.
    pub max_price_input: Balance,
    /// Highest price per output unit, in base units.
    pub max_price_output: Balance,
    /// Last block in which the job may be claimed; none: the market's usual window.
    pub claim_by: Option<BlockNumber>,
    /// Blocks from the claim in which the result must be delivered; none: the usual window.
    pub deliver_within: Option<BlockNumber>,
    /// The only worker that may claim during the exclusive window; afterwards anyone may.
    pub worker: Option<AccountId>,
    /// Fewest accounts, besides the requester's, that must offer the model when the job is
    /// submitted, so that others than its worker are there to check it. 0: do not mind.
    pub min_auditors: u32,
}

impl<AccountId> Default for JobConditions<AccountId> {
    fn default() -> Self {
        Self {
            max_price_input: Balance::MAX,
            max_price_output: Balance::MAX,
            claim_by: None,
            deliver_within: None,
            worker: None,
            min_auditors: 0,
        }
    }
}

/// Prices per unit in base units. For text the unit is the token.
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
pub struct Prices {
    /// Per unit read.
    pub input: Balance,
    /// Per unit written.
    pub output: Balance,
}

/// Units that a run read and wrote. For text the unit is the token; a stop token counts.
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
pub struct Usage {
    /// Units of the formatted prompt.
    pub input: u32,
    /// Units of the output.
    pub output: u32,
}

/// Why no machine can finish a job.
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
pub enum FaultCode {
    /// A row to be quantised holds a value of 2^40 or more, an infinity or a NaN.
    ActivationOverflow = 0,
    /// A key or value is not finite once rounded to f16.
    KeyValueOverflow = 1,
    /// The chat template raised an error, or the list of messages cannot be read.
    Template = 2,
}

/// A defined end of a job that no machine can finish. Tokens sampled before it are delivered and
/// paid for, and so is the input.
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
pub struct Fault {
    /// What happened.
    pub code: FaultCode,
    /// At which position of prompt and output; 0 for a template.
    pub position: u32,
}

/// What a worker claims about the result it delivers.
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
pub struct ResultClaim {
    /// Units read and written.
    pub usage: Usage,
    /// The fault that ended the run, if one did.
    pub fault: Option<Fault>,
    /// The trace of the run.
    pub trace: H256,
    /// Version of the engine that ran it.
    pub engine_version: u32,
}

/// Everything about a job that is fixed when it is submitted. No later change of the market's
/// parameters or of a model touches it.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct JobTerms {
    /// Which revision of the market's parameters the terms were taken from.
    pub revision: u32,
    /// Version of the canonical arithmetic.
    pub canonical_version: u16,
    /// Least fee of the model, in base units.
    pub min_fee: Balance,
    /// Most input units that can be charged.
    pub max_input_units: u32,
    /// Most output units.
    pub max_output_units: u32,
    /// Most bytes of the output.
    pub max_output_bytes: u32,
    /// Most bytes of the evidence.
    pub max_evidence_bytes: u32,
    /// Blocks for which the job stays open, at first and when it is reopened.
    pub open_window: BlockNumber,
    /// Blocks from a claim in which the result must be delivered.
    pub deliver_window: BlockNumber,
    /// Blocks for which a result can be looked at before it is paid.
    pub review_window: BlockNumber,
    /// Blocks for which the record is kept once the job is final.
    pub retention: BlockNumber,
    /// The protocol's share of the fee.
    pub protocol_share: Permill,
    /// The part of the worst-case fee that a late worker pays the requester.
    pub late_share: Permill,
    /// Exposure of a claim, in worst-case fees.
    pub exposure_factor: u32,
    /// Deposit for the record, in base units; returned when the record is dropped.
    pub record_deposit: Balance,
    /// Deposit for each stored byte, in base units; returned when the byte is dropped.
    pub deposit_per_byte: Balance,
    /// Price of including the delivery, prepaid by the requester.
    pub delivery_fee: Balance,
    /// How its result is audited.
    pub audit: AuditTerms,
}

/// Where a job stands. The numbers are those of the pallet's states and of their encoding.
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
pub enum JobStatus {
    /// Waits for a worker.
    #[codec(index = 0)]
    Open,
    /// A worker runs it.
    #[codec(index = 1)]
    Claimed,
    /// A result is there; the blocks that decide whether it is audited are still to come.
    #[codec(index = 2)]
    Delivered,
    /// Auditors check the result.
    #[codec(index = 3)]
    Audit,
    /// Auditors have decided, or could not; an appeal is possible until the appeal window is over.
    #[codec(index = 4)]
    Decided,
    /// A result is there; it is paid when accepted or when the review window is over.
    #[codec(index = 5)]
    Review,
    /// The result was rejected and the requester refunded; the slash waits for its delay.
    #[codec(index = 6)]
    Slashing,
    /// The worker was paid.
    #[codec(index = 10)]
    Settled,
    /// The result was wrong; the worker lost stake.
    #[codec(index = 11)]
    Rejected,
    /// Withdrawn by the requester before anyone claimed it; refunded.
    #[codec(index = 12)]
    Cancelled,
    /// Nobody claimed it in time, or two workers were late; refunded.
    #[codec(index = 13)]
    Expired,
}

impl JobStatus {
    /// Whether nothing can happen to the job any more, besides its record being dropped.
    pub fn is_final(self) -> bool {
        match self {
            Self::Open
            | Self::Claimed
            | Self::Delivered
            | Self::Audit
            | Self::Decided
            | Self::Review
            | Self::Slashing => false,
            Self::Settled | Self::Rejected | Self::Cancelled | Self::Expired => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_options_are_greedy_and_in_range() {
        let options = JobOptions::default();
        assert_eq!(options.check(), Ok(()));
        assert_eq!(options.temperature_milli, 0);
        assert_eq!(options.format, InputFormat::Text);
    }

    #[test]
    fn options_at_their_limits_pass_and_beyond_fail() {
        let base = JobOptions::default();
        let with = |temperature_milli, top_k, top_p_milli| {
            JobOptions {
                temperature_milli,
                top_k,
                top_p_milli,
                ..base
            }
            .check()
        };
        assert_eq!(with(100_000, 64, 1_000), Ok(()));
        assert_eq!(with(100_001, 64, 1_000), Err(OptionsError::Temperature));
        assert_eq!(with(0, 0, 1_000), Err(OptionsError::TopK));
        assert_eq!(with(0, 65, 1_000), Err(OptionsError::TopK));
        assert_eq!(with(0, 1, 0), Err(OptionsError::TopP));
        assert_eq!(with(0, 1, 1_001), Err(OptionsError::TopP));
    }

    #[test]
    fn states_keep_their_numbers_on_the_wire() {
        let numbers = [
            (JobStatus::Open, 0),
            (JobStatus::Claimed, 1),
            (JobStatus::Delivered, 2),
            (JobStatus::Audit, 3),
            (JobStatus::Decided, 4),
            (JobStatus::Review, 5),
            (JobStatus::Slashing, 6),
            (JobStatus::Settled, 10),
            (JobStatus::Rejected, 11),
            (JobStatus::Cancelled, 12),
            (JobStatus::Expired, 13),
        ];
        for (status, number) in numbers {
            assert_eq!(status.encode(), [number]);
        }
    }
}
