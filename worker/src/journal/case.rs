//! What the journal remembers about one audit: of a result that this worker
//! delivered, or of another's that it was drawn to check.
//!
//! A case is opened before the first step that needs it and closed when
//! nothing can change the outcome any more. A ballot is on disk, salt and all,
//! before its commitment is submitted: a worker that is killed in between
//! commits to the same ballot after its restart, and reveals it without another
//! replay. Should the disk fail, a replay and the key give the same ballot again:
//! its salt is derived from the key.

use super::record::{damaged, now, read, write, SignedTx};
use crate::error::Result;
use codec::{Decode, Encode};
use genesisflow_primitives::{audit::Ballot, H256};

/// One job's audit, as far as it concerns this worker.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Case {
    /// The model that the job is for.
    pub model: [u8; 32],
    /// Unix time in seconds of the last change.
    pub updated: u64,
    /// What this worker has to do with it.
    pub role: Role,
    /// The ballots cast, one per round at most, oldest first.
    pub ballots: Vec<CastBallot>,
    /// The signed appeal, or the signed dispute of a [`Role::Disputer`], if one
    /// was made.
    pub appeal: Option<SignedTx>,
    /// How it ended, if it has.
    pub end: Option<CaseEnd>,
}

/// What a worker has to do with a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Role {
    /// It delivered the result.
    #[codec(index = 0)]
    Author,
    /// It was drawn to check the result.
    #[codec(index = 1)]
    Auditor,
    /// It looked at the result unasked, and found it wrong.
    #[codec(index = 2)]
    Disputer,
}

/// A ballot, committed to or about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CastBallot {
    /// Number of the round.
    pub round: u8,
    /// Seed of the round.
    pub seed: H256,
    /// What the replay found.
    pub ballot: Ballot,
    /// What hides it until it is revealed.
    pub salt: H256,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum CaseEnd {
    /// Author: the result was paid.
    #[codec(index = 0)]
    Paid,
    /// Author: the result was rejected.
    #[codec(index = 1)]
    Rejected,
    /// Auditor: the verdict is this worker's.
    #[codec(index = 2)]
    Upheld,
    /// Auditor: the verdict is another.
    #[codec(index = 3)]
    Overruled,
    /// Auditor: there was no verdict.
    #[codec(index = 4)]
    Undecided,
    /// Auditor: no ballot of this worker counted.
    #[codec(index = 5)]
    Silent,
    /// The chain dropped the record before this worker saw how it ended.
    #[codec(index = 6)]
    Pruned,
    /// Disputer: the dispute was not made, or another's came first.
    #[codec(index = 7)]
    NotDisputed,
}

impl CaseEnd {
    /// A few words for `status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Rejected => "rejected",
            Self::Upheld => "audited, verdict agrees",
            Self::Overruled => "audited, overruled",
            Self::Undecided => "audited, no verdict",
            Self::Silent => "audit missed",
            Self::Pruned => "pruned",
            Self::NotDisputed => "not disputed",
        }
    }
}

impl Case {
    /// A case that begins now.
    pub fn new(model: [u8; 32], role: Role) -> Self {
        Self {
            model,
            updated: now(),
            role,
            ballots: Vec::new(),
            appeal: None,
            end: None,
        }
    }

    /// The ballot of a round. A round is known by its seed too: a ballot is
    /// worth nothing under another.
    pub fn cast_in(&self, round: u8, seed: &H256) -> Option<&CastBallot> {
        self.ballots
            .iter()
            .find(|cast| cast.round == round && cast.seed == *seed)
    }

    /// The bytes on disk.
    pub fn to_bytes(&self) -> Vec<u8> {
        write(self)
    }

    /// Reads what [`Case::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Kind::Journal`](crate::error::Kind::Journal) for bytes of another
    /// version or damaged bytes.
    pub fn from_bytes(job: u64, bytes: &[u8]) -> Result<Self> {
        read(bytes).map_err(|cause| {
            damaged(&format!("the journal's audit of job {job}"), cause).fix(
                "use the worker that wrote it; or move the journal away: committed ballots are found again by replays",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_survives_the_way_to_disk_and_back_and_damage_is_noticed() {
        let mut case = Case::new([1; 32], Role::Auditor);
        case.ballots.push(CastBallot {
            round: 2,
            seed: H256::repeat_byte(3),
            ballot: Ballot {
                digest: H256::repeat_byte(4),
                valid: false,
            },
            salt: H256::repeat_byte(5),
        });
        case.end = Some(CaseEnd::Upheld);
        let mut bytes = case.to_bytes();
        assert_eq!(Case::from_bytes(1, &bytes).unwrap(), case);
        bytes.pop();
        let damaged = Case::from_bytes(1, &bytes).unwrap_err().to_string();
        assert!(damaged.contains("audit of job 1 is damaged"), "{damaged}");
    }

    #[test]
    fn a_ballot_is_found_only_under_its_own_seed() {
        let mut case = Case::new([1; 32], Role::Auditor);
        let seed = H256::repeat_byte(3);
        let ballot = Ballot {
            digest: H256::zero(),
            valid: true,
        };
        case.ballots.push(CastBallot {
            round: 1,
            seed,
            ballot,
            salt: H256::zero(),
        });
        assert!(case.cast_in(1, &seed).is_some());
        assert!(case.cast_in(0, &seed).is_none());
        assert!(case.cast_in(1, &H256::zero()).is_none());
    }
}
