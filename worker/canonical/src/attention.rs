//! Operator 6: attention of one query over an f16 key/value cache.
//!
//! Positions are taken in partitions of 128 absolute positions, each reduced by itself and then
//! folded in ascending order. So however the work is split, the result is the same.

use half::f16;

use crate::{
    activation::soft_cap,
    exp::exp_c,
    fused::FusedMultiplyAdd,
    lane_sum::{lane_sum, SCORE_LANES},
};

/// Absolute positions in a partition.
pub const PARTITION: usize = 128;

/// Widest head the reference handles (its scratch space is on the stack).
pub const MAX_HEAD_DIM: usize = 512;

/// A key or value element is not finite once rounded to f16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyValueOverflow;

/// Rounds a row of keys or values (after bias, norm and RoPE) to f16, subnormals kept.
///
/// # Errors
/// [`KeyValueOverflow`] if a rounded element is infinite or not a number.
#[inline]
pub fn round_key_value(x: &[f32], out: &mut [f16]) -> Result<(), KeyValueOverflow> {
    debug_assert_eq!(x.len(), out.len());
    for (out, x) in out.iter_mut().zip(x) {
        *out = f16::from_f32(*x);
        if !out.is_finite() {
            return Err(KeyValueOverflow);
        }
    }
    Ok(())
}

/// The scale of scores: `1 / sqrt(head_dim)`, computed in f64 and rounded once.
pub fn score_scale(head_dim: usize) -> f32 {
    (1.0 / libm::sqrt(head_dim as f64)) as f32
}

/// First position visible from `position`: the window holds the position itself and the
/// `window - 1` before it.
pub fn first_visible(position: usize, window: Option<usize>) -> usize {
    match window {
        Some(window) => (position + 1).saturating_sub(window),
        None => 0,
    }
}

/// How a layer's scores are made, the same for all its heads.
#[derive(Clone, Copy, Debug)]
pub struct Scoring {
    /// Factor of every score, see [`score_scale`].
    pub scale: f32,
    /// Soft cap of the scaled score, if the model has one.
    pub soft_cap: Option<f32>,
}

/// A running softmax-weighted sum: maximum, denominator and, beside it, the numerator of every
/// output element. Partitions are folded into it in ascending order.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    max: f32,
    denominator: f32,
    started: bool,
}

impl Fold {
    /// Before the first partition.
    pub const EMPTY: Self = Self {
        max: 0.0,
        denominator: 0.0,
        started: false,
    };

    /// Folds the next partition in: its maximum, its denominator and its numerators `partial`.
    /// The first partition is copied.
    #[inline(always)]
    pub fn add<F: FusedMultiplyAdd>(
        &mut self,
        max: f32,
        denominator: f32,
        partial: &[f32],
        out: &mut [f32],
    ) {
        debug_assert_eq!(partial.len(), out.len());
        if !self.started {
            (self.max, self.denominator, self.started) = (max, denominator, true);
            out.copy_from_slice(partial);
            return;
        }
        let joint = if max > self.max { max } else { self.max };
        let a = exp_c::<F>(self.max - joint);
        let b = exp_c::<F>(max - joint);
        self.denominator = F::fma(denominator, b, self.denominator * a);
        for (o, partial) in out.iter_mut().zip(partial) {
            *o = F::fma(*partial, b, *o * a);
        }
        self.max = joint;
    }

    /// Divides the numerators by the denominator: `out` becomes the result.
    #[inline(always)]
    pub fn finish(self, out: &mut [f32]) {
        for o in out {
            *o /= self.denominator;
        }
    }
}

/// Attention of one head at `position`, the scalar reference.
///
/// `query`, `out`: `head_dim` elements, at most [`MAX_HEAD_DIM`]. `keys`, `values`: rows of
/// `head_dim` f16 elements of this head's KV head, for positions from 0 to `position` at least.
pub fn attend<F: FusedMultiplyAdd>(
    query: &[f32],
    keys: &[f16],
    values: &[f16],
    position: usize,
    window: Option<usize>,
    scoring: Scoring,
    out: &mut [f32],
) {
    let dim = query.len();
    debug_assert!(dim <= MAX_HEAD_DIM && out.len() == dim);
    let row = |rows: &[f16], t: usize, into: &mut [f32; MAX_HEAD_DIM]| {
        for (into, x) in into.iter_mut().zip(&rows[t * dim..(t + 1) * dim]) {
            *into = x.to_f32();
        }
    };
    let first = first_visible(position, window);
    let mut fold = Fold::EMPTY;
    let mut wide = [0.0f32; MAX_HEAD_DIM];
    for partition in first / PARTITION..=position / PARTITION {
        let from = first.max(partition * PARTITION);
        let to = (position + 1).min((partition + 1) * PARTITION);
        let mut scores = [0.0f32; PARTITION];
        let scores = &mut scores[..to - from];
        for (score, t) in scores.iter_mut().zip(from..) {
            row(keys, t, &mut wide);
            *score = scoring.scale * lane_sum::<F, SCORE_LANES>(query, &wide[..dim]);
            if let Some(cap) = scoring.soft_cap {
                *score = soft_cap::<F>(*score, cap);
            }
        }
        let mut max = scores[0];
        for score in scores.iter() {
            if *score > max {
                max = *score;
            }
        }
        let mut denominator = 0.0f32;
        let mut partial = [0.0f32; MAX_HEAD_DIM];
        for (score, t) in scores.iter().zip(from..) {
            let p = exp_c::<F>(score - max);
            denominator += p;
            row(values, t, &mut wide);
            for (o, v) in partial[..dim].iter_mut().zip(&wide) {
                *o = F::fma(p, *v, *o);
            }
        }
        fold.add::<F>(max, denominator, &partial[..dim], out);
    }
    fold.finish(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::Portable;

    const SCORING: Scoring = Scoring {
        scale: 1.0,
        soft_cap: None,
    };

    #[test]
    fn one_position_returns_its_value() {
        let q = [0.3f32, -0.2];
        let k = [f16::ONE; 2];
        let v = [f16::from_f32(0.25), f16::from_f32(-3.0)];
        let mut out = [0.0; 2];
        attend::<Portable>(&q, &k, &v, 0, None, SCORING, &mut out);
        assert_eq!(out, [0.25, -3.0]);
    }

    #[test]
    fn equal_scores_average_over_partitions_and_the_window_hides_the_rest() {
        let n = 300;
        let keys = [f16::ZERO; 300];
        let values: [f16; 300] = core::array::from_fn(|t| f16::from_f32(t as f32));
        let mut out = [0.0];
        attend::<Portable>(&[1.0], &keys, &values, n - 1, None, SCORING, &mut out);
        assert_eq!(out[0], 149.5);
        attend::<Portable>(&[1.0], &keys, &values, n - 1, Some(3), SCORING, &mut out);
        assert_eq!(out[0], 298.0);
        attend::<Portable>(&[1.0], &keys, &values, 1, Some(3), SCORING, &mut out);
        assert_eq!(out[0], 0.5);
        // A window that starts inside a partition and ends in another.
        attend::<Portable>(&[1.0], &keys, &values, 129, Some(4), SCORING, &mut out);
        assert_eq!(out[0], 127.5);
    }

    #[test]
    fn keys_and_values_keep_subnormals_and_fault_beyond_f16() {
        let mut out = [f16::ZERO; 3];
        round_key_value(&[5.96e-8, -65_519.0, -0.0], &mut out).unwrap();
        assert_eq!(out.map(f16::to_bits), [1, 0xfbff, 0x8000]);
        for v in [65_520.0, f32::NEG_INFINITY, f32::NAN] {
            assert_eq!(
                round_key_value(&[0.0, v, 0.0], &mut out),
                Err(KeyValueOverflow)
            );
        }
    }

    #[test]
    fn the_scale_is_rounded_once_from_f64() {
        // For these widths 1 / sqrt in f32 differs in the last bit.
        assert_eq!(score_scale(64), 0.125);
        let differs = [24usize, 72, 96]
            .into_iter()
            .filter(|d| score_scale(*d) != 1.0 / libm::sqrtf(*d as f32));
        assert!(differs.count() > 0);
    }
}
