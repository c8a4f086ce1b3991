//! Operator 2: a row of quantised weights times a row of quantised activations.

use half::f16;

use crate::{fused::FusedMultiplyAdd, quantize_row::BLOCK};

/// One output of a linear layer.
///
/// `scales`, `weights`: a Q8_0 row, one f16 a block and 32 bytes a block. `d`, `q`: the activations
/// as [`crate::quantize_row()`] made them, of the same number of blocks. The dot product inside a
/// block is an exact integer; blocks are chained ascending by fma from +0.
#[inline(always)]
pub fn linear_row<F: FusedMultiplyAdd>(
    scales: &[f16],
    weights: &[i8],
    d: &[f32],
    q: &[i8],
    bias: Option<f32>,
) -> f32 {
    debug_assert_eq!(scales.len(), d.len());
    debug_assert_eq!(weights.len(), q.len());
    let mut y = 0.0f32;
    for (((scale, d), w), x) in scales
        .iter()
        .zip(d)
        .zip(weights.chunks_exact(BLOCK))
        .zip(q.chunks_exact(BLOCK))
    {
        let mut dot = 0i32;
        for (w, x) in w.iter().zip(x) {
            dot += i32::from(*w) * i32::from(*x);
        }
        y = F::fma(scale.to_f32() * d, dot as f32, y);
    }
    match bias {
        Some(bias) => y + bias,
        None => y,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::Portable;

    #[test]
    fn a_block_with_scale_zero_is_added_like_any_other() {
        let (w, q) = ([-1i8; 32], [1i8; 32]);
        // -0 + (0 * -32) must come out as the fma says: +0 from the start value.
        let y = linear_row::<Portable>(&[f16::ONE], &w, &[0.0], &q, None);
        assert_eq!(y.to_bits(), 0);
        let y = linear_row::<Portable>(&[f16::NEG_ONE], &w, &[0.0], &q, Some(-0.0));
        assert_eq!(y.to_bits(), 0);
    }

    #[test]
    fn the_largest_dot_product_is_exact() {
        let y = linear_row::<Portable>(&[f16::ONE], &[-127; 32], &[1.0], &[-127; 32], None);
        assert_eq!(y, 516_128.0);
    }

    #[test]
    fn blocks_are_chained_in_ascending_order() {
        // 2^24 + 1 + 1: ascending loses both ones, another order would not.
        let scales = [f16::from_f32(16384.0), f16::ONE, f16::ONE];
        let mut w = [0i8; 96];
        (w[0], w[32], w[64]) = (32, 1, 1);
        let mut q = [0i8; 96];
        (q[0], q[32], q[64]) = (32, 1, 1);
        let y = linear_row::<Portable>(&scales, &w, &[1.0; 3], &q, Some(0.5));
        assert_eq!(y, 16_777_216.0);
    }
}
