//! How data lies in a device's memory: sizes that callers allocate, in bytes.

use genesisflow_canonical::{
    kernels::{WeightFormat, KV_BLOCK},
    quantize_row::{blocks, BLOCK},
    sampler::MAX_TOP_K,
};

/// Weight rows of a tile: those of one tensor core product.
pub const TILE_ROWS: usize = 16;

/// Activation rows of a tile.
pub const TILE_COLUMNS: usize = 8;

/// Most rows of a packed matrix, a gated one's padding included: the linear kernels' blocks of
/// threads lie along a grid's second dimension, which has at most 65,535, and take 32 rows or more.
pub const MAX_MATRIX_ROWS: usize = 65_535 * 32;

/// Most query heads, for the same reason.
pub const MAX_HEADS: usize = 65_535;

/// Bytes of a candidate: a logit (f32) and an id (u32).
pub const CANDIDATE_BYTES: usize = 8;

/// Logits that are ordered together.
pub(crate) const STRETCH: usize = 2048;

/// Positions of a partition of attention.
pub(crate) const PARTITION: usize = genesisflow_canonical::attention::PARTITION;

/// Queries that go through prefill attention together.
const PREFILL_QUERIES: usize = 16;
/// The same for heads wider than [`WIDE_HEAD`].
const WIDE_PREFILL_QUERIES: usize = 4;
/// Widest head whose 16 queries fit in shared memory.
const WIDE_HEAD: usize = 256;

/// Bytes of the signed bytes of `rows` quantised rows; rows are padded to a multiple of 8.
pub fn quants_bytes(rows: usize, columns: usize) -> usize {
    rows.next_multiple_of(TILE_COLUMNS) * blocks(columns) * BLOCK
}

/// Bytes of their f32 scales.
pub fn scales_bytes(rows: usize, columns: usize) -> usize {
    rows.next_multiple_of(TILE_COLUMNS) * blocks(columns) * 4
}

/// Bytes of a weight block of a tile, without scales.
pub const fn tile_block_bytes(format: WeightFormat) -> usize {
    match format {
        WeightFormat::Q8_0 => TILE_ROWS * BLOCK,
        WeightFormat::Q4_0 => TILE_ROWS * BLOCK / 2,
    }
}

/// Bytes of the keys, and as many of the values, of one layer in a cache of `kv_blocks` blocks of
/// 32 positions.
pub fn kv_layer_bytes(kv_blocks: usize, kv_heads: usize, head_dim: usize) -> usize {
    kv_blocks * kv_heads * head_dim * KV_BLOCK * 2
}

/// Bytes of working memory for decode attention of `rows` rows at positions below `max_positions`.
pub fn attention_scratch_bytes(
    rows: usize,
    heads: usize,
    head_dim: usize,
    max_positions: usize,
) -> usize {
    rows * heads * max_positions.div_ceil(PARTITION) * (head_dim * 4 + 8)
}

/// Bytes of working memory to find the candidates of `rows` rows of logits.
pub fn candidates_scratch_bytes(rows: usize, width: usize) -> usize {
    rows * width.div_ceil(STRETCH) * usize::from(MAX_TOP_K) * 8
}

/// Bytes of the candidates of `rows` rows: 64 for each.
pub fn candidates_bytes(rows: usize) -> usize {
    rows * usize::from(MAX_TOP_K) * CANDIDATE_BYTES
}

/// Whether prefill attention of such heads goes through its kernel for wide heads.
pub(crate) const fn is_wide(head_dim: usize) -> bool {
    head_dim > WIDE_HEAD
}

pub(crate) const fn prefill_queries(head_dim: usize) -> usize {
    if is_wide(head_dim) {
        WIDE_PREFILL_QUERIES
    } else {
        PREFILL_QUERIES
    }
}

/// Cuts runs of consecutive rows, each of one sequence, into tiles for prefill attention:
/// (first row, rows). `group`: query heads that share a KV head.
///
/// Tiles of long runs' ends come first: they take longest.
pub fn attention_tiles(run_lengths: &[usize], group: usize, head_dim: usize) -> Vec<[u32; 2]> {
    let most = (prefill_queries(head_dim) / group).max(1);
    let mut tiles = Vec::new();
    let mut first = 0;
    for length in run_lengths {
        for from in (0..*length).step_by(most) {
            let rows = most.min(length - from);
            tiles.push([(first + from) as u32, rows as u32]);
        }
        first += length;
    }
    tiles.reverse();
    tiles
}
