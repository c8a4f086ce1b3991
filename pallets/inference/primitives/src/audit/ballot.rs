//! What an auditor computes, commits and reveals, and what a round of ballots decides.

use crate::{JobId, H256};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Domain of an auditor's digest.
pub const DIGEST_DOMAIN: &[u8] = b"genesisflow/audit/v1";
/// Domain of an auditor's commitment.
pub const COMMITMENT_DOMAIN: &[u8] = b"genesisflow/audit-commitment/v1";

/// What an auditor found.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Ballot {
    /// The [`AuditDigest`] of its replay under the round's seed.
    pub digest: H256,
    /// Whether the result is right in every respect: tokens, text, stop, limits, usage, trace, or
    /// the fault.
    pub valid: bool,
}

/// What a round decided: the ballot with more than half of the seats.
pub type Verdict = Ballot;

/// Shows that an auditor ran the model over the result:
/// `blake2_256("genesisflow/audit/v1" ‖ seed of the round ‖ h_1 ‖ … ‖ h_n)`, with the states of the
/// trace (see `docs/canonical.md`), each as little-endian f32.
///
/// It cannot be had without running the model, nor copied from an earlier round, whose seed is
/// another. Where the replay ends early, because the job is at fault, the states sampled so far are
/// followed by the last K row written, as f16 little-endian.
#[derive(Clone, Debug)]
pub struct AuditDigest(Vec<u8>);

impl AuditDigest {
    /// A digest of nothing yet.
    pub fn new(seed: &H256) -> Self {
        let mut bytes = DIGEST_DOMAIN.to_vec();
        bytes.extend_from_slice(seed.as_bytes());
        Self(bytes)
    }

    /// Adds a state's bytes.
    pub fn state(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The digest.
    pub fn finish(self) -> H256 {
        crate::content_hash(&self.0)
    }
}

/// What an auditor commits to before anyone reveals:
/// `blake2_256("genesisflow/audit-commitment/v1" ‖ genesis hash ‖ job, u64 ‖ round, u8 ‖ account
/// ‖ digest ‖ valid, one byte ‖ salt)`, little-endian.
///
/// Bound to chain, job, round and account, so that a copy of it opens for nobody else. The salt
/// hides the ballot: take 32 random bytes.
pub fn ballot_commitment<AccountId: Encode>(
    genesis_hash: &H256,
    job: JobId,
    round: u8,
    account: &AccountId,
    ballot: &Ballot,
    salt: &H256,
) -> H256 {
    let mut bytes = COMMITMENT_DOMAIN.to_vec();
    bytes.extend_from_slice(genesis_hash.as_bytes());
    job.encode_to(&mut bytes);
    round.encode_to(&mut bytes);
    account.encode_to(&mut bytes);
    ballot.encode_to(&mut bytes);
    bytes.extend_from_slice(salt.as_bytes());
    crate::content_hash(&bytes)
}

/// What one account of a round has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Its seats.
    pub seats: u32,
    /// What it revealed, if it did.
    pub ballot: Option<Ballot>,
    /// Whether it holds more than half of the stake that could have been drawn.
    pub holds_majority: bool,
}

/// What a round decides: the ballot with more than half of all seats, vacant and silent ones
/// included, if it comes from at least two accounts, or if at least three accounts could have been
/// drawn and it comes from one that holds more than half of their stake.
///
/// In an appeal one account will do, whatever it holds: an appeal has so many seats that more than
/// half of them are no accident, and if it decided nothing a wrong verdict before it would stand
/// against the majority.
///
/// `seats`: how many were drawn; `eligible`: how many accounts could have been.
pub fn verdict(votes: &[Vote], seats: u32, eligible: u32, is_appeal: bool) -> Option<Verdict> {
    let mut candidates: Vec<Ballot> = votes.iter().filter_map(|vote| vote.ballot).collect();
    candidates.sort();
    candidates.dedup();
    candidates.into_iter().find(|candidate| {
        let for_it: Vec<_> = votes
            .iter()
            .filter(|vote| vote.ballot.as_ref() == Some(candidate))
            .collect();
        let weight: u32 = for_it.iter().map(|vote| vote.seats).sum();
        let may_decide = |vote: &&Vote| is_appeal || vote.holds_majority;
        let stands_alone = eligible >= 3 && for_it.iter().copied().any(|vote| may_decide(&vote));
        weight.saturating_mul(2) > seats && (for_it.len() >= 2 || stands_alone)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: Ballot = Ballot {
        digest: H256([1; 32]),
        valid: true,
    };
    const LAZY: Ballot = Ballot {
        digest: H256([2; 32]),
        valid: true,
    };

    fn vote(seats: u32, ballot: Option<Ballot>) -> Vote {
        Vote {
            seats,
            ballot,
            holds_majority: false,
        }
    }

    #[test]
    fn a_verdict_needs_more_than_half_of_all_seats() {
        let two = [vote(1, Some(RIGHT)), vote(1, Some(RIGHT)), vote(1, None)];
        assert_eq!(verdict(&two, 3, 5, false), Some(RIGHT));
        let split = [
            vote(1, Some(RIGHT)),
            vote(1, Some(LAZY)),
            vote(
                1,
                Some(Ballot {
                    valid: false,
                    ..RIGHT
                }),
            ),
        ];
        assert_eq!(verdict(&split, 3, 5, true), None);
        // Exactly half does not do.
        let half = [vote(2, Some(RIGHT)), vote(1, Some(RIGHT)), vote(3, None)];
        assert_eq!(verdict(&half, 6, 5, true), None);
        assert_eq!(verdict(&[], 3, 5, true), None);
    }

    #[test]
    fn one_account_decides_only_if_it_holds_most_of_the_stake_among_three() {
        let mut alone = [vote(3, Some(RIGHT))];
        assert_eq!(verdict(&alone, 3, 5, false), None);
        assert_eq!(verdict(&alone, 3, 3, true), Some(RIGHT));
        assert_eq!(verdict(&alone, 3, 2, true), None);
        alone[0].holds_majority = true;
        assert_eq!(verdict(&alone, 3, 5, false), Some(RIGHT));
        assert_eq!(verdict(&alone, 3, 3, false), Some(RIGHT));
        assert_eq!(verdict(&alone, 3, 2, false), None);
    }

    #[test]
    fn a_commitment_binds_everything() {
        let make = |genesis, job, round, account: u64, ballot, salt| {
            ballot_commitment(
                &H256::repeat_byte(genesis),
                job,
                round,
                &account,
                &ballot,
                &H256::repeat_byte(salt),
            )
        };
        let base = make(1, 2, 3, 4, RIGHT, 5);
        let others = [
            make(0, 2, 3, 4, RIGHT, 5),
            make(1, 0, 3, 4, RIGHT, 5),
            make(1, 2, 0, 4, RIGHT, 5),
            make(1, 2, 3, 0, RIGHT, 5),
            make(1, 2, 3, 4, LAZY, 5),
            make(
                1,
                2,
                3,
                4,
                Ballot {
                    valid: false,
                    ..RIGHT
                },
                5,
            ),
            make(1, 2, 3, 4, RIGHT, 0),
        ];
        assert!(others.iter().all(|other| *other != base));
        assert_eq!(base, make(1, 2, 3, 4, RIGHT, 5));
    }

    #[test]
    fn a_digest_binds_its_seed_and_states() {
        let digest = |seed, states: &[&[u8]]| {
            let mut digest = AuditDigest::new(&H256::repeat_byte(seed));
            states.iter().for_each(|state| digest.state(state));
            digest.finish()
        };
        let mut bytes = b"genesisflow/audit/v1".to_vec();
        bytes.extend([1; 32]);
        bytes.extend([7, 8, 9]);
        assert_eq!(digest(1, &[&[7], &[8, 9]]), crate::content_hash(&bytes));
        assert_ne!(digest(1, &[&[7]]), digest(2, &[&[7]]));
    }
}
