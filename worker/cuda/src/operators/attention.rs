//! Operator 6 over the paged cache, for decode and for prefill.

use genesisflow_canonical::{attention::MAX_HEAD_DIM, quantize_row::BLOCK};

use super::{
    launch, need, need_aligned, number, optional, quantize, Faults, HeadShape, Quantized, Rows,
};
use crate::{
    device::{Arg, Device, DeviceError, Span},
    layout::{self, PARTITION},
};

/// How the work of [`attend`] is cut. All give the same bits.
#[derive(Clone, Copy, Debug)]
pub enum AttentionPlan<'a> {
    /// Rows of any sequences, each by itself: partitions side by side, then folded. Launches do
    /// not depend on the positions.
    Decode {
        /// All positions are below this.
        max_positions: usize,
        /// [`layout::attention_scratch_bytes`] bytes.
        scratch: Span<'a>,
    },
    /// Rows that follow each other in their sequences, several at once.
    Prefill {
        /// u32 `[tile][2]` as [`layout::attention_tiles`] makes them.
        tiles: Span<'a>,
        /// How many.
        tile_count: usize,
    },
}

/// What [`attend`] works on.
#[derive(Clone, Copy, Debug)]
pub struct AttentionTask<'a> {
    /// f32 `[row][heads * head_dim]`, rotated.
    pub queries: Span<'a>,
    /// The layer's heads.
    pub shape: HeadShape,
    /// The rows. Their keys and values are in the cache.
    pub rows: Rows<'a>,
    /// The layer's keys.
    pub keys: Span<'a>,
    /// The layer's values.
    pub values: Span<'a>,
    /// Blocks in them.
    pub kv_blocks: usize,
    /// Positions a query sees, itself included; `None`: all.
    pub window: Option<usize>,
    /// Factor of every score.
    pub scale: f32,
    /// Soft cap of the scaled scores.
    pub soft_cap: Option<f32>,
    /// f32 `[row][heads * head_dim]`.
    pub out: Span<'a>,
    /// The same quantised, as the output layer reads it.
    pub quantized: Option<Quantized<'a>>,
}

/// Threads of attention's blocks.
const THREADS: usize = 128;
/// Query heads that decode attention takes at once.
const DECODE_QUERIES: usize = 4;
/// Shared memory that every card of compute capability 8.0 and newer gives to a block of threads.
const MAX_SHARED_BYTES: usize = 96 * 1024;
/// Blocks of threads that decode attention spreads over a card.
const DECODE_BLOCKS: usize = 2048;

/// Operator 6, and operator 1 of its result if `quantized` is given.
///
/// # Errors
/// [`DeviceError`].
pub fn attend(
    device: &dyn Device,
    task: &AttentionTask,
    plan: AttentionPlan,
    faults: Faults,
) -> Result<(), DeviceError> {
    let (shape, rows) = (task.shape, task.rows);
    let (heads, dim) = (shape.heads, shape.head_dim);
    let columns = heads * dim;
    let group = heads / shape.kv_heads;
    assert!(
        dim > 0 && dim <= MAX_HEAD_DIM && group * shape.kv_heads == heads && task.kv_blocks > 0,
        "{shape:?}"
    );
    rows.check();
    need(task.queries, rows.count * columns * 4, "queries");
    need(task.out, rows.count * columns * 4, "out");
    let layer = layout::kv_layer_bytes(task.kv_blocks, shape.kv_heads, dim);
    need_aligned(task.keys, layer, "keys");
    need_aligned(task.values, layer, "values");
    if let Some(quantized) = task.quantized {
        quantized.check(rows.count, columns);
    }
    let mut args = vec![
        task.queries.arg(),
        rows.positions.arg(),
        rows.sequences.arg(),
        rows.tables.arg(),
        number(rows.table_stride),
        number(rows.sequence_count),
        task.keys.arg(),
        task.values.arg(),
        number(task.kv_blocks),
        number(heads),
        number(shape.kv_heads),
        number(dim),
        number(task.window.unwrap_or(0)),
        Arg::F32(task.scale),
        Arg::F32(task.soft_cap.unwrap_or(0.0)),
    ];
    match plan {
        AttentionPlan::Decode {
            max_positions,
            scratch,
        } => {
            let partitions = max_positions.div_ceil(PARTITION);
            let bytes = layout::attention_scratch_bytes(rows.count, heads, dim, max_positions);
            need_aligned(scratch, bytes, "scratch");
            let sums = rows.count * heads * partitions * dim * 4;
            let weights = scratch.from(sums.next_multiple_of(8).min(scratch.bytes()));
            args.extend([scratch.arg(), weights.arg(), number(partitions)]);
            let groups = shape.kv_heads * group.div_ceil(DECODE_QUERIES);
            let at_once = DECODE_BLOCKS.div_ceil(groups * rows.count).min(partitions);
            // A partition of keys and one of values, if there is room.
            let staged = shared_bytes(DECODE_QUERIES, dim, false) + 2 * PARTITION * dim * 2;
            let (kernel, shared) = if staged <= MAX_SHARED_BYTES {
                ("gf_attention_decode", staged)
            } else {
                let shared = shared_bytes(DECODE_QUERIES, dim, false);
                ("gf_attention_decode_wide", shared)
            };
            let grid = [at_once, groups, rows.count];
            launch(device, kernel, grid, THREADS, shared, &args)?;
            fold(device, task, (scratch, weights, partitions), faults)
        }
        AttentionPlan::Prefill { tiles, tile_count } => {
            need(tiles, tile_count * 8, "tiles");
            args.extend([tiles.arg(), number(rows.count), task.out.arg()]);
            let queries = layout::prefill_queries(dim);
            let kernel = if layout::is_wide(dim) {
                "gf_attention_prefill_wide"
            } else {
                "gf_attention_prefill"
            };
            let grid = [tile_count, shape.kv_heads * group.div_ceil(queries), 1];
            let shared = shared_bytes(queries, dim, true);
            launch(device, kernel, grid, THREADS, shared, &args)?;
            match task.quantized {
                Some(out) => quantize(device, task.out, rows.count, columns, out, faults),
                None => Ok(()),
            }
        }
    }
}

/// Folds the partitions of decode attention.
fn fold(
    device: &dyn Device,
    task: &AttentionTask,
    (sums, weights, partitions): (Span, Span, usize),
    faults: Faults,
) -> Result<(), DeviceError> {
    let (heads, dim, rows) = (task.shape.heads, task.shape.head_dim, task.rows.count);
    // Quantisation blocks that span heads are made in a pass of their own.
    let here = task.quantized.filter(|_| dim.is_multiple_of(BLOCK));
    let mut args = vec![
        task.rows.positions.arg(),
        number(heads),
        number(dim),
        number(task.window.unwrap_or(0)),
        sums.arg(),
        weights.arg(),
        number(partitions),
        task.out.arg(),
        optional(here.map(|q| q.quants)),
        optional(here.map(|q| q.scales)),
    ];
    args.extend(faults.args(rows));
    let threads = dim.next_multiple_of(32);
    let grid = [heads, rows, 1];
    launch(device, "gf_attention_fold", grid, threads, 0, &args)?;
    match task.quantized {
        Some(out) if here.is_none() => quantize(device, task.out, rows, heads * dim, out, faults),
        _ => Ok(()),
    }
}

/// Shared memory of kernels/attention.cu for so many queries: queries, weights, maxima of four
/// warps, folds (12 bytes), factors (8), bounds (8); for prefill the sums.
const fn shared_bytes(queries: usize, dim: usize, sums: bool) -> usize {
    let once = queries * (dim * 4 + PARTITION * 4 + 16 + 12 + 8 + 8);
    once + if sums { queries * dim * 4 } else { 0 }
}
