//! Operator 6 for many queries over one KV head.
//!
//! A partition of keys and values is widened to f32 once and used by every query that sees it, four
//! queries at a time where they see the same positions. Keys lie in blocks, transposed, so that 16
//! positions are scored in the lanes of a register.

// Loops over registers are by index: iterators over register arrays hide what is kept where.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use half::f16;

use crate::{
    activation::soft_cap,
    attention::{first_visible, Fold, Scoring, PARTITION},
    exp::exp_c,
    fused::FusedMultiplyAdd,
    lane_sum::SCORE_LANES,
};

use super::{
    lanes::{Lanes, LANES},
    InstructionSet, Kernel,
};

/// Positions in a block of the cache.
pub const KV_BLOCK: usize = 32;

/// Queries that share each key and value that is read.
const TOGETHER: usize = 4;

/// Levels of the tree in which the 16 lanes of a score are added.
const LEVELS: usize = SCORE_LANES.ilog2() as usize + 1;

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
    /// Scores, then weights, of queries that go together: `[query][128]`.
    scores: Vec<f32>,
    /// Their weighted sums, `[query][head_dim]`.
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

impl Kernel {
    /// Operator 6 for a run of queries that share one KV head; `out` is laid out as the queries.
    /// See [`crate::attention::attend`] for the arithmetic.
    ///
    /// # Panics
    /// If lengths disagree, or the block table does not reach the last position or names a block
    /// outside the pool.
    pub fn attend(self, task: AttentionTask<'_>, scratch: &mut AttentionScratch, out: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        use std::arch::x86_64::{__m256, __m512};

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn avx2(task: AttentionTask<'_>, scratch: &mut AttentionScratch, out: &mut [f32]) {
            // SAFETY: this function's features are those that the lanes need.
            unsafe { attend_block::<[__m256; 2]>(task, scratch, out) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn avx512(task: AttentionTask<'_>, scratch: &mut AttentionScratch, out: &mut [f32]) {
            // SAFETY: this function's features are those that the lanes need.
            unsafe { attend_block::<__m512>(task, scratch, out) }
        }
        // SAFETY: a kernel exists only where its instructions were detected.
        unsafe {
            match self.0 {
                InstructionSet::Scalar => attend_block::<[f32; LANES]>(task, scratch, out),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2 => avx2(task, scratch, out),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => avx512(task, scratch, out),
                #[cfg(target_arch = "aarch64")]
                InstructionSet::Neon | InstructionSet::NeonDotprod => {
                    attend_block::<[std::arch::aarch64::float32x4_t; 4]>(task, scratch, out)
                }
            }
        }
    }
}

/// See [`Kernel::attend`].
///
/// # Safety
/// The CPU has the lanes' instructions.
#[inline(always)]
unsafe fn attend_block<L: Lanes>(
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
    scratch.scores.resize(TOGETHER * PARTITION, 0.0);
    scratch.partial.resize(TOGETHER * dim, 0.0);
    scratch.folds.clear();
    scratch.folds.resize(positions.len() * group, Fold::EMPTY);

    let rows = positions.len() * group;
    let first = first_visible(positions.start, window);
    for partition in first / PARTITION..=last / PARTITION {
        let start = partition * PARTITION;
        let end = (last + 1).min(start + PARTITION);
        widen(cache, start, end, &mut scratch.keys, &mut scratch.values);
        // What a row sees of the partition.
        let visible = |row: usize| {
            let position = positions.start + row / group;
            let from = first_visible(position, window).clamp(start, end);
            from - start..(position + 1).clamp(from, end) - start
        };
        let mut row = 0;
        while row < rows {
            let seen = visible(row);
            let mut n = 1;
            while n < TOGETHER && row + n < rows && visible(row + n) == seen {
                n += 1;
            }
            let these = row..row + n;
            row += n;
            if seen.is_empty() {
                continue;
            }
            let queries = &queries[these.start * dim..these.end * dim];
            let out = &mut out[these.start * dim..these.end * dim];
            let folds = &mut scratch.folds[these];
            let (keys, values) = (&scratch.keys[..], &scratch.values[..]);
            let seen = Seen {
                keys,
                values,
                visible: seen,
                scoring,
            };
            let (scores, partial) = (&mut scratch.scores[..], &mut scratch.partial[..]);
            // SAFETY: as this function's.
            unsafe {
                match n {
                    1 => seen.attend::<L, 1>(queries, scores, partial, folds, out),
                    2 => seen.attend::<L, 2>(queries, scores, partial, folds, out),
                    3 => seen.attend::<L, 3>(queries, scores, partial, folds, out),
                    _ => seen.attend::<L, TOGETHER>(queries, scores, partial, folds, out),
                }
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

/// A partition, widened, and the positions of it that some queries see.
struct Seen<'a> {
    /// `[head_dim][128]`.
    keys: &'a [f32],
    /// `[128][head_dim]`.
    values: &'a [f32],
    visible: Range<usize>,
    scoring: Scoring,
}

impl Seen<'_> {
    /// Folds the partition into the results of `Q` queries. `scores` and `partial` are scratch.
    ///
    /// # Safety
    /// The CPU has the lanes' instructions.
    #[inline(always)]
    unsafe fn attend<L: Lanes, const Q: usize>(
        &self,
        queries: &[f32],
        scores: &mut [f32],
        partial: &mut [f32],
        folds: &mut [Fold],
        out: &mut [f32],
    ) {
        let dim = queries.len() / Q;
        // Whole strips: what lies outside the visible range is computed and not looked at.
        let (from, to) = (self.visible.start / LANES * LANES, self.visible.end);
        for at in (from..to).step_by(LANES) {
            // SAFETY: as this function's.
            unsafe { self.score_strip::<L, Q>(queries, at, scores) };
        }
        let mut maxima = [0.0; Q];
        for (max, scores) in maxima.iter_mut().zip(scores.chunks_exact_mut(PARTITION)) {
            *max = self.weigh::<L>(&mut scores[self.visible.clone()]);
        }
        let mut denominators = [0.0; Q];
        let mut at = 0;
        while at < dim {
            let width = (dim - at) / LANES;
            // Every span sums the weights along the way: it costs nothing beside the products.
            // SAFETY: as this function's.
            let (totals, next) = unsafe {
                if width >= 4 && L::ACCUMULATORS >= 4 {
                    let totals = self.span::<L, Q, 4>(scores, dim, at, partial);
                    (totals, at + 4 * LANES)
                } else if width >= 1 {
                    (self.span::<L, Q, 1>(scores, dim, at, partial), at + LANES)
                } else {
                    (self.element::<L, Q>(scores, dim, at, partial), at + 1)
                }
            };
            (denominators, at) = (totals, next);
        }
        let results = partial.chunks_exact(dim).zip(out.chunks_exact_mut(dim));
        for (q, ((partial, out), fold)) in results.zip(folds).enumerate() {
            fold.add::<L::Single>(maxima[q], denominators[q], partial, out);
        }
    }

    /// The lane sums of `Q` queries with the 16 keys from `at` on, positions side by side.
    ///
    /// Lanes of a sum are added as soon as both of a pair are there: in the order of reversed bits
    /// a lane's partner is the one before it, or the sum of those before it.
    ///
    /// # Safety
    /// The CPU has the lanes' instructions.
    #[inline(always)]
    unsafe fn score_strip<L: Lanes, const Q: usize>(
        &self,
        queries: &[f32],
        at: usize,
        scores: &mut [f32],
    ) {
        let dim = queries.len() / Q;
        assert!(at + LANES <= PARTITION && self.keys.len() >= dim * PARTITION);
        assert!(scores.len() >= Q * PARTITION);
        let (keys, queries) = (self.keys.as_ptr(), queries.as_ptr());
        // SAFETY: `i` stays below the head's width, so that keys are read within their lines and
        // queries within their rows; scores are written where they were checked to be. The rest is
        // as this function's.
        unsafe {
            let mut waiting = [[L::splat(0.0); Q]; LEVELS];
            let mut depth = 0;
            for turn in 0..SCORE_LANES {
                let lane = turn.reverse_bits() >> (usize::BITS - SCORE_LANES.ilog2());
                let mut sums = [L::splat(0.0); Q];
                let mut i = lane;
                while i < dim {
                    let key = L::load(keys.add(i * PARTITION + at));
                    for q in 0..Q {
                        let query = L::splat(*queries.add(q * dim + i));
                        sums[q] = sums[q].add_product(query, key);
                    }
                    i += SCORE_LANES;
                }
                for _ in 0..turn.trailing_ones() {
                    depth -= 1;
                    for q in 0..Q {
                        sums[q] = waiting[depth][q].add(sums[q]);
                    }
                }
                waiting[depth] = sums;
                depth += 1;
            }
            for q in 0..Q {
                waiting[0][q].store(scores.as_mut_ptr().add(q * PARTITION + at));
            }
        }
    }

    /// Turns lane sums into weights `exp_c(s - max)`; returns the largest score.
    #[inline(always)]
    fn weigh<L: Lanes>(&self, scores: &mut [f32]) -> f32 {
        for score in scores.iter_mut() {
            *score *= self.scoring.scale;
        }
        if let Some(cap) = self.scoring.soft_cap {
            for score in scores.iter_mut() {
                *score = soft_cap::<L::Single>(*score, cap);
            }
        }
        // In lanes: the sign of a zero may differ from that of a search in order, but no weight
        // depends on it.
        let mut lanes = [scores[0]; LANES];
        let (strips, rest) = scores.as_chunks::<LANES>();
        for strip in strips {
            for (max, score) in lanes.iter_mut().zip(strip) {
                *max = if *score > *max { *score } else { *max };
            }
        }
        let mut max = lanes[0];
        for score in lanes.iter().chain(rest) {
            max = if *score > max { *score } else { max };
        }
        for score in scores.iter_mut() {
            *score = exp_c::<L::Single>(*score - max);
        }
        max
    }

    /// Output elements `at..at + 16 * N` of `Q` queries: weights times values, positions ascending.
    /// Returns the sums of the weights, in the same order.
    ///
    /// # Safety
    /// The CPU has the lanes' instructions.
    #[inline(always)]
    unsafe fn span<L: Lanes, const Q: usize, const N: usize>(
        &self,
        weights: &[f32],
        dim: usize,
        at: usize,
        partial: &mut [f32],
    ) -> [f32; Q] {
        let visible = self.visible.clone();
        assert!(at + N * LANES <= dim && visible.end <= PARTITION);
        assert!(weights.len() >= Q * PARTITION && self.values.len() >= visible.end * dim);
        assert!(partial.len() >= Q * dim);
        // SAFETY: weights and values are read at visible positions, values and results within a
        // row; all three were checked to be that long. The rest is as this function's.
        unsafe {
            let mut sums = [[L::splat(0.0); N]; Q];
            let mut totals = [0.0f32; Q];
            for t in visible {
                let row = self.values.as_ptr().add(t * dim + at);
                let mut values = [L::splat(0.0); N];
                for n in 0..N {
                    values[n] = L::load(row.add(n * LANES));
                }
                for q in 0..Q {
                    let weight = *weights.as_ptr().add(q * PARTITION + t);
                    totals[q] += weight;
                    let weight = L::splat(weight);
                    for n in 0..N {
                        sums[q][n] = sums[q][n].add_product(weight, values[n]);
                    }
                }
            }
            for q in 0..Q {
                for n in 0..N {
                    let to = partial.as_mut_ptr().add(q * dim + at + n * LANES);
                    sums[q][n].store(to);
                }
            }
            totals
        }
    }

    /// [`Seen::span`] of a single element, for widths that are not a multiple of 16.
    #[inline(always)]
    fn element<L: Lanes, const Q: usize>(
        &self,
        weights: &[f32],
        dim: usize,
        at: usize,
        partial: &mut [f32],
    ) -> [f32; Q] {
        std::array::from_fn(|q| {
            let (mut sum, mut total) = (0.0f32, 0.0f32);
            for t in self.visible.clone() {
                let weight = weights[q * PARTITION + t];
                total += weight;
                sum = L::Single::fma(weight, self.values[t * dim + at], sum);
            }
            partial[q * dim + at] = sum;
            total
        })
    }
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
