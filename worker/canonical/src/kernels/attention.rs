//! Operator 6 for many queries over one KV head.
//!
//! A partition of keys and values is widened to f32 once and used by every query that sees it.
//! Keys lie in pages, transposed, so that 16 positions are scored in the lanes of a register.

use std::ops::Range;

use half::{f16, slice::HalfFloatSliceExt};

use crate::{
    activation::soft_cap,
    attention::{first_visible, Fold, Scoring, PARTITION},
    exp::exp_c,
    fused::FusedMultiplyAdd,
    lane_sum::SCORE_LANES,
};

/// Positions in a page of keys; a page is `[head_dim][32]` f16 elements.
pub const KEY_PAGE: usize = 32;

/// Positions scored at once.
const STRIP: usize = 16;

/// Output elements accumulated in registers at once.
const SPAN: usize = 64;

/// The cache of one KV head in one layer.
#[derive(Clone, Copy, Debug)]
pub struct HeadCache<'a> {
    /// Pages of keys, each `[head_dim][32]`. The last page may be partly written.
    pub keys: &'a [f16],
    /// Rows of values, `[position][head_dim]`.
    pub values: &'a [f16],
    /// Width of the head.
    pub head_dim: usize,
}

/// Working memory of [`super::Kernel::attend`], kept between calls to save allocations.
#[derive(Clone, Debug, Default)]
pub struct AttentionScratch {
    /// `[head_dim][128]`.
    keys: Vec<f32>,
    /// `[128][head_dim]`.
    values: Vec<f32>,
    partial: Vec<f32>,
    folds: Vec<Fold>,
}

/// See [`super::Kernel::attend`].
#[allow(clippy::too_many_arguments)] // The macro that compiles it needs flat arguments.
#[inline(always)]
pub(super) fn attend_block<F: FusedMultiplyAdd>(
    queries: &[f32],
    group: usize,
    positions: Range<usize>,
    cache: HeadCache<'_>,
    window: Option<usize>,
    scoring: Scoring,
    scratch: &mut AttentionScratch,
    out: &mut [f32],
) {
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
    let pages = cache.keys[start * dim..]
        .chunks_exact(KEY_PAGE * dim)
        .take((end - start).div_ceil(KEY_PAGE));
    for (page, slots) in pages.zip(0..) {
        for (line, keys) in page
            .chunks_exact(KEY_PAGE)
            .zip(keys.chunks_exact_mut(PARTITION))
        {
            line.convert_to_f32_slice(&mut keys[slots * KEY_PAGE..(slots + 1) * KEY_PAGE]);
        }
    }
    cache.values[start * dim..end * dim].convert_to_f32_slice(&mut values[..(end - start) * dim]);
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
    partial: &mut [f32],
) -> (f32, f32) {
    let dim = query.len();
    let mut scores = [0.0f32; PARTITION];
    // Whole strips: what lies outside the visible range is computed and not looked at.
    let strips = visible.start / STRIP..visible.end.div_ceil(STRIP);
    for strip in strips {
        let at = strip * STRIP;
        let lanes = score_strip::<F>(query, keys, at);
        for (score, lane) in scores[at..at + STRIP].iter_mut().zip(lanes) {
            *score = scoring.scale * lane;
        }
    }
    let scores = &mut scores[visible.clone()];
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
    let mut denominator = 0.0f32;
    for p in scores.iter() {
        denominator += p;
    }
    let values = &values[visible.start * dim..visible.end * dim];
    let whole = dim / SPAN * SPAN;
    for at in (0..whole).step_by(SPAN) {
        weigh_span::<F, SPAN>(scores, values, dim, at, partial);
    }
    for at in (whole..dim / 8 * 8).step_by(8) {
        weigh_span::<F, 8>(scores, values, dim, at, partial);
    }
    for at in dim / 8 * 8..dim {
        weigh_span::<F, 1>(scores, values, dim, at, partial);
    }
    (max, denominator)
}

/// Lane sums of the query with 16 consecutive keys, positions side by side.
#[inline(always)]
fn score_strip<F: FusedMultiplyAdd>(query: &[f32], keys: &[f32], at: usize) -> [f32; STRIP] {
    let mut lanes = [[0.0f32; STRIP]; SCORE_LANES];
    for (j, lane) in lanes.iter_mut().enumerate() {
        let mut sums = [0.0f32; STRIP];
        for (q, line) in query
            .iter()
            .zip(keys.chunks_exact(PARTITION))
            .skip(j)
            .step_by(SCORE_LANES)
        {
            for (sum, key) in sums.iter_mut().zip(&line[at..at + STRIP]) {
                *sum = F::fma(*q, *key, *sum);
            }
        }
        *lane = sums;
    }
    let mut half = SCORE_LANES / 2;
    while half > 0 {
        for j in 0..half {
            let upper = lanes[j + half];
            for (a, b) in lanes[j].iter_mut().zip(upper) {
                *a += b;
            }
        }
        half /= 2;
    }
    lanes[0]
}

/// Output elements `at..at + N`: weights times values, positions ascending.
#[inline(always)]
fn weigh_span<F: FusedMultiplyAdd, const N: usize>(
    weights: &[f32],
    values: &[f32],
    dim: usize,
    at: usize,
    partial: &mut [f32],
) {
    let mut sums = [0.0f32; N];
    for (p, row) in weights.iter().zip(values.chunks_exact(dim)) {
        for (sum, v) in sums.iter_mut().zip(&row[at..at + N]) {
            *sum = F::fma(*p, *v, *sum);
        }
    }
    partial[at..at + N].copy_from_slice(&sums);
}
