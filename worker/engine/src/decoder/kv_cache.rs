//! The f16 keys and values of one sequence.

use genesisflow_canonical::{
    attention::{round_key_value, KeyValueOverflow},
    kernels::{HeadCache, KV_BLOCK},
};
use half::f16;

/// Which of a position's rows did not fit f16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    Key,
    Value,
}

/// Keys and values by layer and KV head, in blocks of 32 positions.
#[derive(Debug)]
pub(super) struct KvCache {
    kv_heads: usize,
    head_dim: usize,
    heads: Vec<Head>,
    /// Blocks in the order of their positions, the same for every head.
    table: Vec<u32>,
    row: Vec<f16>,
}

#[derive(Debug, Default)]
struct Head {
    keys: Vec<f16>,
    values: Vec<f16>,
}

impl KvCache {
    /// A cache with room for `positions`; `None` if memory does not suffice.
    pub(super) fn new(
        layers: usize,
        kv_heads: usize,
        head_dim: usize,
        positions: usize,
    ) -> Option<Self> {
        let mut heads = Vec::new();
        for _ in 0..layers * kv_heads {
            let mut head = Head::default();
            let pages = positions.div_ceil(KV_BLOCK);
            let keys = pages.checked_mul(KV_BLOCK * head_dim)?;
            head.keys.try_reserve_exact(keys).ok()?;
            head.values.try_reserve_exact(keys).ok()?;
            heads.push(head);
        }
        Some(Self {
            kv_heads,
            head_dim,
            heads,
            table: (0..u32::try_from(positions.div_ceil(KV_BLOCK)).ok()?).collect(),
            row: vec![f16::ZERO; kv_heads * head_dim],
        })
    }

    /// Rounds and writes the key row, then the value row, of a position in a layer. Both hold all
    /// KV heads in ascending order. Positions are written in order, or again.
    ///
    /// A row that does not fit f16 is not written.
    pub(super) fn write(
        &mut self,
        layer: usize,
        position: usize,
        keys: &[f32],
        values: &[f32],
    ) -> Result<(), Unfit> {
        let dim = self.head_dim;
        let heads = &mut self.heads[layer * self.kv_heads..(layer + 1) * self.kv_heads];
        round_key_value(keys, &mut self.row).map_err(|KeyValueOverflow| Unfit::Key)?;
        let (page, slot) = (position / KV_BLOCK, position % KV_BLOCK);
        for (head, row) in heads.iter_mut().zip(self.row.chunks_exact(dim)) {
            let from = page * KV_BLOCK * dim;
            if head.keys.len() < from + KV_BLOCK * dim {
                head.keys.resize(from + KV_BLOCK * dim, f16::ZERO);
            }
            let lines = head.keys[from..from + KV_BLOCK * dim].chunks_exact_mut(KV_BLOCK);
            for (line, key) in lines.zip(row) {
                line[slot] = *key;
            }
        }
        round_key_value(values, &mut self.row).map_err(|KeyValueOverflow| Unfit::Value)?;
        for (head, row) in heads.iter_mut().zip(self.row.chunks_exact(dim)) {
            let end = (page + 1) * KV_BLOCK * dim;
            if head.values.len() < end {
                head.values.resize(end, f16::ZERO);
            }
            head.values[position * dim..(position + 1) * dim].copy_from_slice(row);
        }
        Ok(())
    }

    /// What attention reads of one KV head.
    pub(super) fn head(&self, layer: usize, kv_head: usize) -> HeadCache<'_> {
        let head = &self.heads[layer * self.kv_heads + kv_head];
        HeadCache {
            keys: &head.keys,
            values: &head.values,
            table: &self.table,
            head_dim: self.head_dim,
        }
    }

    /// The key row of a position that was written, all KV heads in ascending order.
    pub(super) fn key_row(&self, layer: usize, position: usize) -> Vec<f16> {
        let (page, slot) = (position / KV_BLOCK, position % KV_BLOCK);
        let from = page * KV_BLOCK * self.head_dim;
        (0..self.kv_heads)
            .flat_map(|kv_head| {
                self.heads[layer * self.kv_heads + kv_head].keys[from..]
                    .chunks_exact(KV_BLOCK)
                    .take(self.head_dim)
                    .map(move |line| line[slot])
            })
            .collect()
    }
}
