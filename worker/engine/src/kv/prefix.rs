//! Names for the beginnings of sequences.

use blake2b_simd::Params;
use genesisflow_canonical::kernels::KV_BLOCK;

/// Says which tokens a sequence has up to the end of one of its blocks: a hash of the one before
/// and the block's 32 tokens.
///
/// A collision would let one job read another's keys and values, so the hash is a cryptographic
/// one of 256 bits: nobody can make prompts that collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PrefixHash([u8; 32]);

impl PrefixHash {
    /// Before the first block.
    pub(crate) const START: Self = Self([0; 32]);

    /// With one more block of tokens.
    pub(crate) fn then(&self, tokens: &[u32]) -> Self {
        debug_assert_eq!(tokens.len(), KV_BLOCK);
        let mut state = Params::new().hash_length(32).to_state();
        state.update(&self.0);
        for token in tokens {
            state.update(&token.to_le_bytes());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(state.finalize().as_bytes());
        Self(hash)
    }

    /// The hashes of all whole blocks of `tokens`.
    pub(crate) fn chain(tokens: &[u32]) -> impl Iterator<Item = Self> + '_ {
        tokens
            .chunks_exact(KV_BLOCK)
            .scan(Self::START, |hash, block| {
                *hash = hash.then(block);
                Some(*hash)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_hash_stands_for_all_tokens_before_it() {
        let tokens: Vec<u32> = (0..100).collect();
        let chain: Vec<_> = PrefixHash::chain(&tokens).collect();
        assert_eq!(chain.len(), 3);
        let mut seen: HashSet<_> = chain.iter().copied().collect();
        for changed in [0, 31, 32, 95] {
            let mut other = tokens.clone();
            other[changed] += 1_000;
            let others: Vec<_> = PrefixHash::chain(&other).collect();
            for (block, (ours, theirs)) in chain.iter().zip(&others).enumerate() {
                assert_eq!(ours == theirs, block < changed / KV_BLOCK);
            }
            seen.extend(others);
        }
        // 3, and 3, 3, 2 and 1 that differ from them.
        assert_eq!(seen.len(), 3 + 3 + 3 + 2 + 1);
    }
}
