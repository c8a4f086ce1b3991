//! From the outputs for queries, keys and values to rotated queries and the cache.

use super::{launch, need, number, optional, Faults, HeadShape, Rows};
use crate::{
    device::{Arg, Device, DeviceError, Span},
    layout::kv_layer_bytes,
};

/// Tables of the rotary embedding, made on the CPU by `rope::cos_sin`.
#[derive(Clone, Copy, Debug)]
pub struct Rope<'a> {
    /// f32 `[position][head_dim / 2]`.
    pub cosines: Span<'a>,
    /// The same of the sines.
    pub sines: Span<'a>,
    /// Positions in the tables; every row's position is below.
    pub positions: usize,
}

/// What [`heads`] works on.
#[derive(Clone, Copy, Debug)]
pub struct HeadsTask<'a> {
    /// f32 `[row][(heads + 2 kv_heads) * head_dim]`: queries, keys, values, biases added.
    pub qkv: Span<'a>,
    /// The layer's heads.
    pub shape: HeadShape,
    /// f32 weights of the per-head norm of queries, `head_dim`.
    pub query_norm: Option<Span<'a>>,
    /// The same of keys.
    pub key_norm: Option<Span<'a>>,
    /// The norms' epsilon.
    pub eps: f32,
    /// Angles.
    pub rope: Rope<'a>,
    /// The rows.
    pub rows: Rows<'a>,
    /// The layer's keys, f16 `[block][KV head][head_dim][32]`.
    pub keys: Span<'a>,
    /// The layer's values, f16 `[block][KV head][32][head_dim]`.
    pub values: Span<'a>,
    /// Blocks in them.
    pub kv_blocks: usize,
    /// f32 `[row][heads * head_dim]`: where the rotated queries go.
    pub queries: Span<'a>,
}

/// Per-head norms, RoPE, and the rounding of keys and values to f16 into the cache. A key that
/// does not fit f16 is a fault of `faults.code`, a value one of `faults.code + 1`.
///
/// # Errors
/// [`DeviceError`].
pub fn heads(device: &dyn Device, task: &HeadsTask, faults: Faults) -> Result<(), DeviceError> {
    let (shape, rows) = (task.shape, task.rows);
    let all = shape.heads + 2 * shape.kv_heads;
    let dim = shape.head_dim;
    rows.check();
    need(task.qkv, rows.count * all * dim * 4, "qkv");
    need(task.queries, rows.count * shape.heads * dim * 4, "queries");
    for weight in [task.query_norm, task.key_norm].into_iter().flatten() {
        need(weight, dim * 4, "norm weights");
    }
    let angles = task.rope.positions * (dim / 2) * 4;
    need(task.rope.cosines, angles, "cosines");
    need(task.rope.sines, angles, "sines");
    let layer = kv_layer_bytes(task.kv_blocks, shape.kv_heads, dim);
    need(task.keys, layer, "keys");
    need(task.values, layer, "values");
    assert!(task.rope.positions > 0 && task.kv_blocks > 0 && dim.is_multiple_of(2));
    let mut args = vec![
        task.qkv.arg(),
        number(shape.heads),
        number(shape.kv_heads),
        number(dim),
        optional(task.query_norm),
        optional(task.key_norm),
        Arg::F32(task.eps),
        Arg::F32(dim as f32),
        task.rope.cosines.arg(),
        task.rope.sines.arg(),
        number(task.rope.positions),
        rows.positions.arg(),
        rows.sequences.arg(),
        rows.tables.arg(),
        number(rows.table_stride),
        number(rows.sequence_count),
        task.keys.arg(),
        task.values.arg(),
        number(task.kv_blocks),
        task.queries.arg(),
    ];
    args.extend(faults.args(rows.count));
    let shared = 272 + dim * 4;
    launch(device, "gf_heads", [all, rows.count, 1], 64, shared, &args)
}
