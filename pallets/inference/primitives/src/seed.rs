//! The sampler's seed: fixed by the chain, the job and the requester, so that the worker who
//! samples has no say in what comes out.

use crate::{JobId, H256};
use alloc::vec::Vec;
use codec::Encode;

/// Domain of the sampler's seed.
pub const DOMAIN: &[u8] = b"genesisflow/seed/v1";

/// Seed of a job's sampler:
/// `blake2_256("genesisflow/seed/v1" ‖ genesis hash ‖ job id, u64 little-endian ‖ requester's seed)`.
///
/// `genesis_hash` is the hash of block 0, so that equal job numbers on two chains sample
/// differently.
pub fn sampling_seed(genesis_hash: &H256, job: JobId, requester_seed: &H256) -> H256 {
    let mut bytes = Vec::with_capacity(DOMAIN.len() + 32 + 8 + 32);
    bytes.extend_from_slice(DOMAIN);
    bytes.extend_from_slice(genesis_hash.as_bytes());
    job.encode_to(&mut bytes);
    bytes.extend_from_slice(requester_seed.as_bytes());
    crate::content_hash(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_changes_the_seed() {
        let base = sampling_seed(&H256::zero(), 1, &H256::zero());
        assert_ne!(base, sampling_seed(&H256::repeat_byte(1), 1, &H256::zero()));
        assert_ne!(base, sampling_seed(&H256::zero(), 2, &H256::zero()));
        assert_ne!(base, sampling_seed(&H256::zero(), 1, &H256::repeat_byte(1)));
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let mut bytes = b"genesisflow/seed/v1".to_vec();
        bytes.extend([7u8; 32]);
        bytes.extend(0x0102_0304_0506_0708u64.to_le_bytes());
        bytes.extend([9u8; 32]);
        assert_eq!(bytes.len(), 19 + 32 + 8 + 32);
        assert_eq!(
            sampling_seed(&H256([7; 32]), 0x0102_0304_0506_0708, &H256([9; 32])).0,
            sp_crypto_hashing::blake2_256(&bytes)
        );
    }
}
