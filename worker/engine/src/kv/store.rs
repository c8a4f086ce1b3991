//! The f16 keys and values of all blocks.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use genesisflow_canonical::kernels::{HeadCache, KV_BLOCK};
use half::{
    f16,
    slice::{HalfBitsSliceExt, HalfFloatSliceExt},
};

use crate::config::DecoderConfig;

/// Keys and values by layer and KV head.
#[derive(Debug)]
pub(crate) struct KvStore {
    kv_heads: usize,
    head_dim: usize,
    /// `[layer][KV head]`.
    heads: Vec<RwLock<HeadStore>>,
}

/// The blocks of one KV head in one layer.
#[derive(Debug)]
pub(crate) struct HeadStore {
    head_dim: usize,
    /// Bits of f16, `[block][head_dim][32]`: integers, because the system hands out zeroed memory
    /// for them that takes no room until it is written.
    keys: Vec<u16>,
    /// `[block][32][head_dim]`.
    values: Vec<u16>,
}

impl KvStore {
    /// Bytes of one block in all layers.
    pub(crate) fn block_bytes(config: &DecoderConfig) -> usize {
        2 * 2 * KV_BLOCK * config.head_dim * config.kv_heads * config.layers
    }

    /// A store of `blocks` blocks; `None` if so much cannot be addressed or had.
    pub(crate) fn new(config: &DecoderConfig, blocks: usize) -> Option<Self> {
        let elements = blocks.checked_mul(KV_BLOCK * config.head_dim)?;
        let heads = config.layers * config.kv_heads;
        // Fails here where the allocations below would abort.
        let mut probe = Vec::<u16>::new();
        probe
            .try_reserve_exact(elements.checked_mul(2)?.checked_mul(heads)?)
            .ok()?;
        drop(probe);
        let head = || {
            RwLock::new(HeadStore {
                head_dim: config.head_dim,
                keys: vec![0; elements],
                values: vec![0; elements],
            })
        };
        Some(Self {
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            heads: (0..heads).map(|_| head()).collect(),
        })
    }

    /// To read a head's blocks.
    pub(crate) fn read(&self, layer: usize, kv_head: usize) -> RwLockReadGuard<'_, HeadStore> {
        self.heads[layer * self.kv_heads + kv_head]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// To write into a head's blocks.
    pub(crate) fn write(&self, layer: usize, kv_head: usize) -> RwLockWriteGuard<'_, HeadStore> {
        self.heads[layer * self.kv_heads + kv_head]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The key row of a position that was written, all KV heads in ascending order.
    pub(crate) fn key_row(&self, layer: usize, table: &[u32], position: usize) -> Vec<f16> {
        let mut row = Vec::with_capacity(self.kv_heads * self.head_dim);
        for kv_head in 0..self.kv_heads {
            let head = self.read(layer, kv_head);
            let lines = head.keys[head.block(table, position)].chunks_exact(KV_BLOCK);
            row.extend(lines.map(|line| f16::from_bits(line[position % KV_BLOCK])));
        }
        row
    }
}

impl HeadStore {
    /// Writes the key of a position of the sequence with this block table.
    pub(crate) fn write_key(&mut self, table: &[u32], position: usize, key: &[f16]) {
        let block = self.block(table, position);
        let lines = self.keys[block].chunks_exact_mut(KV_BLOCK);
        for (line, key) in lines.zip(key) {
            line[position % KV_BLOCK] = key.to_bits();
        }
    }

    /// Writes the value of a position.
    pub(crate) fn write_value(&mut self, table: &[u32], position: usize, value: &[f16]) {
        let block = self.block(table, position);
        let from = block.start + position % KV_BLOCK * self.head_dim;
        self.values[from..from + self.head_dim].copy_from_slice(value.reinterpret_cast());
    }

    /// What attention reads for the sequence with this block table.
    pub(crate) fn cache<'a>(&'a self, table: &'a [u32]) -> HeadCache<'a> {
        HeadCache {
            keys: self.keys.reinterpret_cast(),
            values: self.values.reinterpret_cast(),
            table,
            head_dim: self.head_dim,
        }
    }

    fn block(&self, table: &[u32], position: usize) -> std::ops::Range<usize> {
        let len = KV_BLOCK * self.head_dim;
        let from = table[position / KV_BLOCK] as usize * len;
        from..from + len
    }
}
