//! Keys and values in a device's memory.

use std::sync::Arc;

use genesisflow_canonical::kernels::KV_BLOCK;
use genesisflow_cuda::{
    device::{Buffer, Device, DeviceError, Span},
    layout,
};
use half::f16;

use crate::config::DecoderConfig;

/// The blocks of all layers.
#[derive(Debug)]
pub(super) struct Cache {
    keys: Buffer,
    values: Buffer,
    blocks: usize,
    kv_heads: usize,
    head_dim: usize,
    /// Bytes of a layer's keys, and as many of its values.
    layer: usize,
}

impl Cache {
    /// `blocks` blocks, at least one.
    pub(super) fn new(
        device: &Arc<dyn Device>,
        c: &DecoderConfig,
        blocks: usize,
    ) -> Result<Self, DeviceError> {
        let blocks = blocks.max(1);
        let layer = layout::kv_layer_bytes(blocks, c.kv_heads, c.head_dim);
        Ok(Self {
            keys: Buffer::zeroed(device, c.layers * layer)?,
            values: Buffer::zeroed(device, c.layers * layer)?,
            blocks,
            kv_heads: c.kv_heads,
            head_dim: c.head_dim,
            layer,
        })
    }

    /// How many blocks.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// A layer's keys.
    pub(super) fn keys(&self, layer: usize) -> Span<'_> {
        self.keys.span().part(layer * self.layer, self.layer)
    }

    /// A layer's values.
    pub(super) fn values(&self, layer: usize) -> Span<'_> {
        self.values.span().part(layer * self.layer, self.layer)
    }

    /// The key row of a position that was written, all KV heads in ascending order.
    pub(super) fn key_row(
        &self,
        layer: usize,
        table: &[u32],
        position: usize,
    ) -> Result<Vec<f16>, DeviceError> {
        let lines = self.kv_heads * self.head_dim;
        let mut block = vec![0; 2 * KV_BLOCK * lines];
        let from = table[position / KV_BLOCK] as usize * block.len();
        self.keys(layer).from(from).read(&mut block)?;
        let at = 2 * (position % KV_BLOCK);
        let lines = block.chunks_exact(2 * KV_BLOCK);
        Ok(lines
            .map(|line| f16::from_le_bytes([line[at], line[at + 1]]))
            .collect())
    }
}
