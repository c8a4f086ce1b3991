//! Draws: whether a result is audited, and by whom.
//!
//! A draw is a pure function of the seed, the job and the pool as it stood when the job was
//! submitted. The seed does not exist before the result is delivered, so nobody can know, while it
//! matters, whether or by whom a result will be checked.

use crate::{Balance, JobId, H256};
use alloc::vec::Vec;
use codec::Encode;
use sp_arithmetic::Perbill;

/// Domain of seeds.
pub const SEED_DOMAIN: &[u8] = b"genesisflow/seed-of-blocks/v1";
/// Domain of the decision whether a result is audited.
pub const HIT_DOMAIN: &[u8] = b"genesisflow/audit-hit/v1";
/// Domain of a seat.
pub const SEAT_DOMAIN: &[u8] = b"genesisflow/audit-seat/v1";

/// The seed that a run of blocks makes:
/// `blake2_256("genesisflow/seed-of-blocks/v1" ‖ output of each block, oldest first)`.
pub fn combined_seed(outputs: &[H256]) -> H256 {
    let mut bytes = SEED_DOMAIN.to_vec();
    for output in outputs {
        bytes.extend_from_slice(output.as_bytes());
    }
    crate::content_hash(&bytes)
}

/// Whether a delivered result is audited:
/// the first 4 bytes, little-endian, of
/// `blake2_256("genesisflow/audit-hit/v1" ‖ seed ‖ job, u64 little-endian)`, as a fraction of 2^32,
/// are below `chance`.
pub fn is_audited(seed: &H256, job: JobId, chance: Perbill) -> bool {
    let hash = hash_of(HIT_DOMAIN, seed, job, &[]);
    let drawn = u64::from(u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]));
    // drawn / 2^32 < parts / 10^9, in integers.
    drawn * 1_000_000_000 < u64::from(chance.deconstruct()) << 32
}

/// Draws seats by stake, with replacement: the index of the account that gets each of them.
///
/// Seat `i` of round `r` takes the first 16 bytes, little-endian, of
/// `blake2_256("genesisflow/audit-seat/v1" ‖ seed ‖ job, u64 ‖ r, u8 ‖ i, u8)` modulo the sum of
/// `stakes`, and belongs to the account in whose stretch of that sum it falls. 2^128 exceeds any
/// sum of stakes so far that the bias does not matter.
///
/// Empty if all stakes are 0.
pub fn draw_seats(
    seed: &H256,
    job: JobId,
    round: u8,
    seats: u32,
    stakes: &[Balance],
) -> Vec<usize> {
    let total = stakes
        .iter()
        .fold(0, |sum: Balance, stake| sum.saturating_add(*stake));
    if total == 0 {
        return Vec::new();
    }
    (0..seats)
        .filter_map(|seat| {
            let hash = hash_of(SEAT_DOMAIN, seed, job, &[round, seat as u8]);
            let mut low = [0; 16];
            low.copy_from_slice(&hash[..16]);
            let mut point = u128::from_le_bytes(low) % total;
            stakes.iter().position(|stake| {
                let here = point < *stake;
                point = point.saturating_sub(*stake);
                here
            })
        })
        .collect()
}

fn hash_of(domain: &[u8], seed: &H256, job: JobId, rest: &[u8]) -> [u8; 32] {
    let mut bytes = domain.to_vec();
    bytes.extend_from_slice(seed.as_bytes());
    job.encode_to(&mut bytes);
    bytes.extend_from_slice(rest);
    crate::content_hash(&bytes).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(n: u64) -> H256 {
        combined_seed(&[H256::from_low_u64_be(n)])
    }

    #[test]
    fn hits_are_as_frequent_as_they_should_be() {
        let hits = |percent| {
            (0..10_000)
                .filter(|n| is_audited(&seed(*n), 7, Perbill::from_percent(percent)))
                .count()
        };
        assert_eq!(hits(0), 0);
        assert_eq!(hits(100), 10_000);
        let some = hits(20);
        // Five standard deviations of 40.
        assert!((1_800..2_200).contains(&some), "{some}");
    }

    #[test]
    fn seats_follow_stakes() {
        let stakes = [100, 0, 300, 600];
        let mut counts = [0u32; 4];
        for n in 0..2_000 {
            let seats = draw_seats(&seed(n), n, 0, 5, &stakes);
            assert_eq!(seats.len(), 5);
            seats.into_iter().for_each(|index| counts[index] += 1);
        }
        assert_eq!(counts[1], 0);
        for (count, expected) in counts.into_iter().zip([1_000u32, 0, 3_000, 6_000]) {
            assert!(count.abs_diff(expected) <= 250, "{count} of {expected}");
        }
    }

    #[test]
    fn splitting_a_stake_changes_no_chance() {
        // The same points fall into the same stretch, however it is cut.
        for n in 0..500 {
            let whole = draw_seats(&seed(n), n, 1, 7, &[500, 300]);
            let split = draw_seats(&seed(n), n, 1, 7, &[200, 200, 100, 300]);
            let joined: Vec<_> = split.iter().map(|index| usize::from(*index == 3)).collect();
            assert_eq!(whole, joined);
        }
    }

    #[test]
    fn job_round_and_seed_change_a_draw() {
        let stakes = [1; 200];
        let base = draw_seats(&seed(1), 1, 0, 7, &stakes);
        assert_ne!(draw_seats(&seed(2), 1, 0, 7, &stakes), base);
        assert_ne!(draw_seats(&seed(1), 2, 0, 7, &stakes), base);
        assert_ne!(draw_seats(&seed(1), 1, 1, 7, &stakes), base);
        assert_eq!(draw_seats(&seed(1), 1, 0, 7, &stakes), base);
    }

    #[test]
    fn without_stake_nobody_is_drawn() {
        assert!(draw_seats(&seed(1), 1, 0, 3, &[]).is_empty());
        assert!(draw_seats(&seed(1), 1, 0, 3, &[0, 0]).is_empty());
    }

    #[test]
    fn every_block_of_a_seed_counts_in_its_place() {
        let outputs = [H256::repeat_byte(1), H256::repeat_byte(2)];
        assert_ne!(combined_seed(&outputs), combined_seed(&outputs[..1]));
        assert_ne!(
            combined_seed(&outputs),
            combined_seed(&[outputs[1], outputs[0]])
        );
    }
}
