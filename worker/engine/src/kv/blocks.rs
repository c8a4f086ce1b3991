//! Who holds which block.

use std::{
    collections::{hash_map::Entry, BTreeMap, HashMap},
    sync::Arc,
};

use genesisflow_canonical::kernels::KV_BLOCK;

use super::PrefixHash;

/// The blocks of a store: free, held by sequences, or kept for a prompt that begins the same.
///
/// A sequence gets all blocks it can need at most when it is let in, so it never has to wait or
/// give way later, and memory never exceeds the store. Blocks that nobody holds but whose content
/// is known are given out last, the longest unused first.
#[derive(Debug)]
pub(crate) struct BlockPool {
    /// Sequences that hold each block.
    holders: Vec<u32>,
    /// What each block's positions and all before them hold, if that is complete.
    contents: Vec<Option<PrefixHash>>,
    /// The block with a content.
    known: HashMap<PrefixHash, u32>,
    free: Vec<u32>,
    /// Unheld blocks with a content, by the time they were let go.
    idle: BTreeMap<u64, u32>,
    /// Where each of them is in `idle`.
    idle_since: Vec<u64>,
    clock: u64,
}

/// The blocks of one sequence. To be given back with [`BlockPool::release`].
#[derive(Debug)]
pub(crate) struct Lease {
    /// In the order of the positions.
    pub(crate) table: Arc<[u32]>,
    /// Positions that are there already.
    pub(crate) filled: usize,
    /// Whole blocks that others may use too.
    published: usize,
    /// Hash of the published blocks.
    hash: PrefixHash,
}

impl BlockPool {
    /// `blocks` blocks, all free.
    pub(crate) fn new(blocks: u32) -> Self {
        let n = blocks as usize;
        Self {
            holders: vec![0; n],
            contents: vec![None; n],
            known: HashMap::new(),
            free: (0..blocks).rev().collect(),
            idle: BTreeMap::new(),
            idle_since: vec![0; n],
            clock: 0,
        }
    }

    /// All blocks.
    pub(crate) fn total(&self) -> usize {
        self.holders.len()
    }

    /// Blocks that some sequence holds.
    pub(crate) fn held(&self) -> usize {
        self.total() - self.free.len() - self.idle.len()
    }

    /// Blocks for a sequence of up to `positions` positions, of which the first are `known_tokens`,
    /// or `None` if too few can be had now.
    ///
    /// Blocks of the longest known beginning of `known_tokens` are shared.
    pub(crate) fn lease(&mut self, known_tokens: &[u32], positions: usize) -> Option<Lease> {
        let needed = positions.div_ceil(KV_BLOCK);
        let mut table = Vec::with_capacity(needed);
        let mut last = PrefixHash::START;
        for hash in PrefixHash::chain(known_tokens) {
            let Some(block) = self.known.get(&hash) else {
                break;
            };
            table.push(*block);
            last = hash;
        }
        let shared = table.len();
        let idle_shared = table
            .iter()
            .filter(|block| self.holders[**block as usize] == 0)
            .count();
        if needed - shared > self.free.len() + self.idle.len() - idle_shared {
            return None;
        }
        for block in &table {
            self.hold(*block);
        }
        for _ in shared..needed {
            table.push(self.take()?);
        }
        Some(Lease {
            table: table.into(),
            filled: shared * KV_BLOCK,
            published: shared,
            hash: last,
        })
    }

    /// Makes the whole blocks of a sequence known whose positions are all computed. `tokens`: all
    /// tokens of the computed positions.
    pub(crate) fn publish(&mut self, lease: &mut Lease, tokens: &[u32]) {
        for tokens in tokens.chunks_exact(KV_BLOCK).skip(lease.published) {
            lease.hash = lease.hash.then(tokens);
            let block = lease.table[lease.published];
            lease.published += 1;
            // Two sequences may have computed the same; the first one's block stays the known one.
            if let Entry::Vacant(known) = self.known.entry(lease.hash) {
                known.insert(block);
                self.contents[block as usize] = Some(lease.hash);
            }
        }
    }

    /// Takes a sequence's blocks back.
    pub(crate) fn release(&mut self, lease: Lease) {
        // The last first, so that of a beginning the end is forgotten first.
        for block in lease.table.iter().rev() {
            let holders = &mut self.holders[*block as usize];
            *holders -= 1;
            if *holders > 0 {
                continue;
            }
            if self.contents[*block as usize].is_some() {
                self.clock += 1;
                self.idle.insert(self.clock, *block);
                self.idle_since[*block as usize] = self.clock;
            } else {
                self.free.push(*block);
            }
        }
    }

    fn hold(&mut self, block: u32) {
        let holders = &mut self.holders[block as usize];
        if *holders == 0 {
            self.idle.remove(&self.idle_since[block as usize]);
        }
        *holders += 1;
    }

    /// A block with no content that matters.
    fn take(&mut self) -> Option<u32> {
        let block = match self.free.pop() {
            Some(block) => block,
            None => {
                let (_, block) = self.idle.pop_first()?;
                if let Some(content) = self.contents[block as usize].take() {
                    self.known.remove(&content);
                }
                block
            }
        };
        self.holders[block as usize] = 1;
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(salt: u32, count: usize) -> Vec<u32> {
        (0..count as u32).map(|i| salt * 10_000 + i).collect()
    }

    #[test]
    fn a_known_beginning_is_shared_while_held_and_after() {
        let mut pool = BlockPool::new(8);
        let prompt = tokens(1, 70);
        let mut first = pool.lease(&prompt, 100).unwrap();
        assert_eq!((first.table.len(), first.filled), (4, 0));
        pool.publish(&mut first, &prompt[..64]);
        let second = pool.lease(&prompt, 100).unwrap();
        assert_eq!(second.filled, 64);
        assert_eq!(second.table[..2], first.table[..2]);
        assert_ne!(second.table[2], first.table[2]);
        assert_eq!(pool.held(), 6);
        // 2 are left: a stranger of 3 blocks must wait, one of 2 need not.
        assert!(pool.lease(&tokens(2, 3), 65).is_none());
        pool.release(first);
        pool.release(second);
        assert_eq!(pool.held(), 0);
        assert_eq!(pool.lease(&prompt[..69], 96).unwrap().filled, 64);
    }

    #[test]
    fn the_longest_unused_beginning_is_forgotten_first_and_its_end_before_its_start() {
        let mut pool = BlockPool::new(4);
        for salt in [1, 2] {
            let prompt = tokens(salt, 64);
            let mut lease = pool.lease(&prompt, 64).unwrap();
            pool.publish(&mut lease, &prompt);
            pool.release(lease);
        }
        let stranger = pool.lease(&[], 32).unwrap();
        pool.release(stranger);
        let filled = |pool: &mut BlockPool, salt| {
            let lease = pool.lease(&tokens(salt, 64), 64).unwrap();
            let filled = lease.filled;
            pool.release(lease);
            filled
        };
        assert_eq!(filled(&mut pool, 2), 64);
        assert_eq!(filled(&mut pool, 1), 32);
    }

    proptest! {
        /// Whatever comes and goes: no block has two owners, none is lost, and a shared block holds
        /// what its hash says.
        #[test]
        fn blocks_are_neither_lost_nor_given_twice(
            steps in prop::collection::vec((0u32..6, 1usize..200, 0usize..200, any::<bool>()), 1..120),
        ) {
            let mut pool = BlockPool::new(12);
            let mut held: Vec<(Lease, Vec<u32>)> = Vec::new();
            // What a correct run would have written into each block.
            let mut written: HashMap<u32, Vec<u32>> = HashMap::new();
            for (salt, positions, computed, end) in steps {
                if end && !held.is_empty() {
                    let (lease, _) = held.remove(computed % held.len());
                    pool.release(lease);
                    continue;
                }
                let all = tokens(salt, positions);
                let Some(mut lease) = pool.lease(&all, positions) else { continue };
                prop_assert!(lease.filled <= positions);
                for (index, block) in lease.table[..lease.filled / KV_BLOCK].iter().enumerate() {
                    prop_assert_eq!(&written[block], &all[..(index + 1) * KV_BLOCK]);
                }
                for block in &lease.table[lease.filled / KV_BLOCK..] {
                    let owners = held.iter().filter(|(l, _)| l.table.contains(block));
                    prop_assert_eq!(owners.count(), 0);
                }
                let computed = computed.clamp(lease.filled, positions.max(lease.filled));
                for (index, block) in lease.table.iter().enumerate().skip(lease.filled / KV_BLOCK) {
                    let end = ((index + 1) * KV_BLOCK).min(computed);
                    written.insert(*block, all[..end].to_vec());
                }
                pool.publish(&mut lease, &all[..computed]);
                held.push((lease, all));
                let mut blocks: Vec<u32> = held.iter().flat_map(|(l, _)| l.table.to_vec()).collect();
                blocks.sort_unstable();
                blocks.dedup();
                prop_assert_eq!(blocks.len(), pool.held());
            }
            for (lease, _) in held {
                pool.release(lease);
            }
            prop_assert_eq!(pool.held(), 0);
            prop_assert!(pool.lease(&[], 12 * KV_BLOCK).is_some());
        }
    }
}
