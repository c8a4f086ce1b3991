//! Operator 6 for many queries over one KV head.
//!
//! A partition of keys and values is widened to f32 once and used by every query that sees it.
//! Keys lie in blocks, transposed, so that 16 positions are scored in the lanes of a register.

use std::ops::Range;

use half::f16;

use crate::{
    activation::soft_cap,
    attention::{first_visible, Fold, Scoring, PARTITION},
    exp::exp_c,
    fused::FusedMultiplyAdd,
    lane_sum::SCORE_LANES,
};

/// Positions in a block of the cache.
pub const KV_BLOCK: usize = 32;

/// Positions scored at once.
const STRIP: usize = 32;

/// The cache of one KV head in one layer, as one sequence sees it: a pool of blocks that many
/// sequences may share, and which of them hold this sequence's positions.
#[derive(Clone, Copy, Debug)]
pub struct HeadCache<'a> {
    /// Keys of the pool's blocks, transposed: `[block][head_dim][32]`.
    pub keys: &'a [f16],
    /// Values of the pool's blocks: `[block][32][head_dim]`.
    pub values: &'a [f16],
    /// Blocks of the sequence: entry `i` holds positions `32 * i .. 32 * (i + 1)`. What the last
    /// block holds beyond the sequence's end is read but has no effect.
    pub table: &'a [u32],
    /// Width of the head.
    pub head_dim: usize,
}

impl<'a> HeadCache<'a> {
    /// Keys `[head_dim][32]` and values `[32][head_dim]` of the block that holds positions from
    /// `32 * index` on.
    #[inline(always)]
    fn block(&self, index: usize) -> (&'a [f16], &'a [f16]) {
        let len = KV_BLOCK * self.head_dim;
        let from = self.table[index] as usize * len;
        (&self.keys[from..from + len], &self.values[from..from + len])
    }
}

/// Working memory of [`super::Kernel::attend`], kept between calls to save allocations.
#[derive(Clone, Debug, Default)]
pub struct AttentionScratch {
    /// `[head_dim][128]`.
    keys: Vec<f32>,
    /// `[128][head_dim]`.
    values: Vec<f32>,
    /// Lanes of the scores, `[16][128]`.
    lanes: Vec<f32>,
    partial: Vec<f32>,
    folds: Vec<Fold>,
}

/// Queries at consecutive positions, and what they attend to.
#[derive(Clone, Debug)]
pub struct AttentionTask<'a> {
    /// For each position, `group` heads of `head_dim` elements.
    pub queries: &'a [f32],
    /// Query heads that share the KV head.
    pub group: usize,
    /// Positions of the queries.
    pub positions: Range<usize>,
    /// K and V of every visible position up to the last of `positions`.
    pub cache: HeadCache<'a>,
    /// Positions a query sees, itself included; `None`: all.
    pub window: Option<usize>,
    /// How scores are made.
    pub scoring: Scoring,
}

/// See [`super::Kernel::attend`].
#[inline(always)]
pub(super) fn attend_block<F: FusedMultiplyAdd>(
    task: AttentionTask<'_>,
    scratch: &mut AttentionScratch,
    out: &mut [f32],
) {
    let AttentionTask {
        queries,
        group,
        positions,
        cache,
        window,
        scoring,
    } = task;
    let dim = cache.head_dim;
    let width = group * dim;
    assert_eq!(queries.len(), positions.len() * width);
    assert_eq!(out.len(), queries.len());
    if positions.is_empty() {
        return;
    }
    let last = positions.end - 1;
    scratch.keys.resize(dim * PARTITION, 0.0);
    scratch.values.resize(dim * PARTITION, 0.0);
    scratch.lanes.resize(SCORE_LANES * PARTITION, 0.0);
    scratch.partial.resize(dim, 0.0);
    scratch.folds.clear();
    scratch.folds.resize(positions.len() * group, Fold::EMPTY);

    let first = first_visible(positions.start, window);
    for partition in first / PARTITION..=last / PARTITION {
        let start = partition * PARTITION;
        let end = (last + 1).min(start + PARTITION);
        widen(cache, start, end, &mut scratch.keys, &mut scratch.values);
        let rows = queries.chunks_exact(width).zip(out.chunks_exact_mut(width));
        for ((position, (queries, out)), folds) in positions
            .clone()
            .zip(rows)
            .zip(scratch.folds.chunks_exact_mut(group))
        {
            let from = first_visible(position, window).max(start);
            let to = (position + 1).min(end);
            if from >= to {
                continue;
            }
            let heads = queries.chunks_exact(dim).zip(out.chunks_exact_mut(dim));
            for ((query, out), fold) in heads.zip(folds) {
                let visible = from - start..to - start;
                let (max, denominator) = reduce_partition::<F>(
                    query,
                    &scratch.keys,
                    &scratch.values,
                    visible,
                    scoring,
                    &mut scratch.lanes,
                    &mut scratch.partial,
                );
                fold.add::<F>(max, denominator, &scratch.partial, out);
            }
        }
    }
    for (out, fold) in out.chunks_exact_mut(dim).zip(&scratch.folds) {
        fold.finish(out);
    }
}

/// Positions `start..end` of the cache as f32: keys `[head_dim][128]`, values `[128][head_dim]`.
#[inline(always)]
fn widen(cache: HeadCache<'_>, start: usize, end: usize, keys: &mut [f32], values: &mut [f32]) {
    let dim = cache.head_dim;
    let first = start / KV_BLOCK;
    for (slot, index) in (first..end.div_ceil(KV_BLOCK)).enumerate() {
        let (block_keys, block_values) = cache.block(index);
        for (line, keys) in block_keys
            .chunks_exact(KV_BLOCK)
            .zip(keys.chunks_exact_mut(PARTITION))
        {
            widen_finite(line, &mut keys[slot * KV_BLOCK..(slot + 1) * KV_BLOCK]);
        }
        let rows = KV_BLOCK.min(end - index * KV_BLOCK);
        widen_finite(
            &block_values[..rows * dim],
            &mut values[slot * KV_BLOCK * dim..],
        );
    }
}

/// Finite f16 to f32, exactly, in integer operations and one exact multiplication: compilers make
/// wide code of it for any machine.
#[inline(always)]
fn widen_finite(from: &[f16], to: &mut [f32]) {
    /// 2^112: the difference of the two formats' exponent biases.
    const REBIAS: f32 = f32::from_bits(0x7780_0000);
    for (from, to) in from.iter().zip(to) {
        let bits = u32::from(from.to_bits());
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * REBIAS;
        *to = f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16);
    }
}

/// One query over the visible positions of a partition: its largest score, the sum of weights, and
/// in `partial` the weighted sum of values.
#[inline(always)]
fn reduce_partition<F: FusedMultiplyAdd>(
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    visible: Range<usize>,
    scoring: Scoring,
    lanes: &mut [f32],
    partial: &mut [f32],
) -> (f32, f32) {
    let dim = query.len();
    // Whole strips: what lies outside the visible range is computed and not looked at.
    let strips = visible.start / STRIP..visible.end.div_ceil(STRIP);
    for strip in strips.clone() {
        score_strip::<F>(query, keys, strip * STRIP, lanes);
    }
    fold_lanes(lanes, strips.start * STRIP..strips.end * STRIP);
    let scores = &mut lanes[visible.clone()];
    for score in scores.iter_mut() {
        *score *= scoring.scale;
    }
    if let Some(cap) = scoring.soft_cap {
        for score in scores.iter_mut() {
            *score = soft_cap::<F>(*score, cap);
        }
    }
    let mut max = scores[0];
    for score in scores.iter() {
        if *score > max {
            max = *score;
        }
    }
    for score in scores.iter_mut() {
        *score = exp_c::<F>(*score - max);
    }
    let values = &values[visible.start * dim..visible.end * dim];
    let mut denominator = 0.0;
    let mut at = 0;
    while at < dim {
        // Every span sums the weights along the way: it costs nothing beside the products.
        (denominator, at) = match dim - at {
            64.. => (
                weigh_span::<F, 64>(scores, values, dim, at, partial),
                at + 64,
            ),
            32.. => (
                weigh_span::<F, 32>(scores, values, dim, at, partial),
                at + 32,
            ),
            16.. => (
                weigh_span::<F, 16>(scores, values, dim, at, partial),
                at + 16,
            ),
            8.. => (weigh_span::<F, 8>(scores, values, dim, at, partial), at + 8),
            _ => (weigh_span::<F, 1>(scores, values, dim, at, partial), at + 1),
        };
    }
    (max, denominator)
}

/// The 16 lanes of the query's sums with 32 consecutive keys, positions side by side.
#[inline(always)]
fn score_strip<F: FusedMultiplyAdd>(query: &[f32], keys: &[f32], at: usize, lanes: &mut [f32]) {
    for (j, lane) in lanes.chunks_exact_mut(PARTITION).enumerate() {
        let mut sums = [0.0f32; STRIP];
        let mut i = j;
        while i < query.len() {
            let q = query[i];
            let line = &keys[i * PARTITION + at..][..STRIP];
            for (sum, key) in sums.iter_mut().zip(line) {
                *sum = F::fma(q, *key, *sum);
            }
            i += SCORE_LANES;
        }
        lane[at..at + STRIP].copy_from_slice(&sums);
    }
}

/// Adds the upper half of the lanes to the lower half until one is left, for a range of positions.
#[inline(always)]
fn fold_lanes(lanes: &mut [f32], positions: Range<usize>) {
    let mut half = SCORE_LANES / 2;
    while half > 0 {
        let (lower, upper) = lanes.split_at_mut(half * PARTITION);
        let pairs = lower
            .chunks_exact_mut(PARTITION)
            .zip(upper.chunks_exact(PARTITION));
        for (lower, upper) in pairs {
            let upper = &upper[positions.clone()];
            for (a, b) in lower[positions.clone()].iter_mut().zip(upper) {
                *a += b;
            }
        }
        half /= 2;
    }
}

/// Output elements `at..at + N`: weights times values, positions ascending. Returns the sum of the
/// weights, in the same order.
#[inline(always)]
fn weigh_span<F: FusedMultiplyAdd, const N: usize>(
    weights: &[f32],
    values: &[f32],
    dim: usize,
    at: usize,
    partial: &mut [f32],
) -> f32 {
    let mut sums = [0.0f32; N];
    let mut total = 0.0f32;
    for (p, row) in weights.iter().zip(values.chunks_exact(dim)) {
        total += p;
        for (sum, v) in sums.iter_mut().zip(&row[at..at + N]) {
            *sum = F::fma(*p, *v, *sum);
        }
    }
    partial[at..at + N].copy_from_slice(&sums);
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_is_widened_exactly() {
        let halves: Vec<f16> = (0..=u16::MAX)
            .map(f16::from_bits)
            .filter(|h| h.is_finite())
            .collect();
        let mut wide = vec![0.0; halves.len()];
        widen_finite(&halves, &mut wide);
        for (half, wide) in halves.iter().zip(wide) {
            assert_eq!(wide.to_bits(), half.to_f32().to_bits());
        }
    }
}
