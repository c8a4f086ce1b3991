//! What the journal remembers about one job.
//!
//! A record is a version byte and the SCALE encoding of [`Record`]. Indices
//! are written out, so that a later version can add stages without breaking
//! the journals of running workers.

use crate::error::{Error, Kind, Result};
use codec::{Decode, DecodeAll, Encode};
use genesisflow_primitives::ResultClaim;

/// Version byte in front of every record.
const VERSION: u8 = 1;

/// One job, as far as this worker has come with it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// The model that the job is for.
    pub model: [u8; 32],
    /// Unix time in seconds of the last change.
    pub updated: u64,
    /// How far the job is.
    pub stage: Stage,
}

/// The stages of a job; each is on disk before the step that follows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Stage {
    /// The claim is signed and about to be submitted, or in flight.
    #[codec(index = 0)]
    Claiming {
        /// The signed claim.
        tx: SignedTx,
    },
    /// The chain has finalised that the job is ours.
    #[codec(index = 1)]
    Claimed,
    /// The result is there and not submitted.
    #[codec(index = 2)]
    Computed {
        /// The result.
        delivery: Delivery,
    },
    /// The delivery is signed and about to be submitted, or in flight.
    #[codec(index = 3)]
    Submitted {
        /// The result, in case it must be signed again.
        delivery: Delivery,
        /// The signed delivery.
        tx: SignedTx,
    },
    /// Nothing is left to do.
    #[codec(index = 4)]
    Done {
        /// How it ended.
        outcome: Outcome,
    },
}

impl Stage {
    /// One word for logs and `status`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Claiming { .. } => "claiming",
            Self::Claimed => "claimed",
            Self::Computed { .. } => "computed",
            Self::Submitted { .. } => "submitted",
            Self::Done { .. } => "done",
        }
    }

    /// How the job ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Done { outcome } => Some(*outcome),
            _ => None,
        }
    }
}

/// A signed transaction.
///
/// Submitting the same bytes again is always safe: its nonce can be used once.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedTx {
    /// The extrinsic, as submitted.
    pub bytes: Vec<u8>,
    /// The account's nonce in it.
    pub nonce: u64,
    /// Last block that may include it.
    pub valid_until: u32,
}

/// A result, exactly as it is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Delivery {
    /// What the requester reads (UTF-8 for a text job).
    pub output: Vec<u8>,
    /// The output's token ids, compact.
    pub evidence: Vec<u8>,
    /// Usage, fault, trace and engine version.
    pub claim: ResultClaim,
}

/// How a job ended for this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    /// The chain has finalised our delivery.
    #[codec(index = 0)]
    Delivered,
    /// The claim was lost to another worker, refused or never included.
    #[codec(index = 1)]
    NotClaimed,
    /// The deadline passed before the delivery.
    #[codec(index = 2)]
    Late,
    /// The chain dropped its record before this worker saw how it ended.
    #[codec(index = 3)]
    Pruned,
}

impl Outcome {
    /// A word or two for `status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::NotClaimed => "not claimed",
            Self::Late => "late",
            Self::Pruned => "pruned",
        }
    }
}

impl Record {
    /// A record of `model` at `stage`, changed now.
    pub fn new(model: [u8; 32], stage: Stage) -> Self {
        Self {
            model,
            updated: now(),
            stage,
        }
    }

    /// The bytes on disk.
    pub fn to_bytes(&self) -> Vec<u8> {
        write(self)
    }

    /// Reads what [`Record::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Kind::Journal`] for bytes of another version or damaged bytes.
    pub fn from_bytes(job: u64, bytes: &[u8]) -> Result<Self> {
        read(bytes).map_err(|cause| {
            damaged(&format!("the journal's record of job {job}"), cause).fix(
                "use the worker that wrote it; or move the journal away: a new one is begun from what the chain says, and results that are due are computed again",
            )
        })
    }
}

/// Why bytes on disk cannot be read.
pub(super) enum Unreadable {
    /// Another worker's version wrote them.
    Version(Option<u8>),
    /// They are not what was written.
    Damaged(codec::Error),
}

/// The bytes of a value with the version in front.
pub(super) fn write<T: Encode>(value: &T) -> Vec<u8> {
    (VERSION, value).encode()
}

/// Reads what [`write`] wrote.
pub(super) fn read<T: Decode>(bytes: &[u8]) -> std::result::Result<T, Unreadable> {
    match bytes.split_first() {
        Some((&VERSION, mut rest)) => T::decode_all(&mut rest).map_err(Unreadable::Damaged),
        version => Err(Unreadable::Version(version.map(|(version, _)| *version))),
    }
}

/// The error about bytes of the journal that cannot be read; `what` they are.
pub(super) fn damaged(what: &str, cause: Unreadable) -> Error {
    match cause {
        Unreadable::Damaged(error) => {
            Error::new(Kind::Journal, format!("{what} is damaged")).because(error)
        }
        Unreadable::Version(version) => Error::new(
            Kind::Journal,
            format!("{what} has version {version:?}, this worker writes {VERSION}"),
        )
        .because("a newer worker wrote it; use that one"),
    }
}

/// Unix time in seconds.
pub(super) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_way_to_disk_and_back() {
        let tx = SignedTx {
            bytes: vec![1, 2, 3],
            nonce: 7,
            valid_until: 99,
        };
        for stage in [
            Stage::Claiming { tx },
            Stage::Claimed,
            Stage::Done {
                outcome: Outcome::Late,
            },
        ] {
            let record = Record::new([9; 32], stage);
            assert_eq!(Record::from_bytes(1, &record.to_bytes()).unwrap(), record);
        }
    }

    #[test]
    fn damaged_and_newer_records_are_refused_with_different_words() {
        let mut bytes = Record::new([9; 32], Stage::Claimed).to_bytes();
        bytes.push(0);
        let damaged = Record::from_bytes(4, &bytes).unwrap_err();
        assert!(damaged.to_string().contains("job 4 is damaged"));
        bytes[0] = 2;
        let newer = Record::from_bytes(4, &bytes).unwrap_err();
        assert!(newer.to_string().contains("newer worker"), "{newer}");
    }
}
