//! Operator 8: token embeddings, read from Q8_0 rows.

use half::f16;

use crate::quantize_row::BLOCK;

/// One row of the embedding: `out[i] = d * q`, with `scales` one a block and `quants` 32 a block.
///
/// `out` has the hidden size, which may end inside the last block. `multiplier`, if the family has
/// one, is computed in f64 and rounded once by the caller.
pub fn embed(scales: &[f16], quants: &[i8], multiplier: Option<f32>, out: &mut [f32]) {
    debug_assert!(out.len() <= quants.len() && quants.len() == scales.len() * BLOCK);
    for ((out, q), scale) in out
        .chunks_mut(BLOCK)
        .zip(quants.chunks_exact(BLOCK))
        .zip(scales)
    {
        for (out, q) in out.iter_mut().zip(q) {
            *out = scale.to_f32() * f32::from(*q);
            if let Some(multiplier) = multiplier {
                *out *= multiplier;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_times_byte_then_the_multiplier() {
        let mut quants = [0i8; 64];
        (quants[0], quants[1], quants[32]) = (-128, 3, 7);
        let scales = [f16::from_f32(0.5), f16::from_bits(1)];
        let mut out = [1.0f32; 33];
        embed(&scales, &quants, None, &mut out);
        assert_eq!((out[0], out[1], out[2]), (-64.0, 1.5, 0.0));
        assert_eq!(out[32], 7.0 * f16::from_bits(1).to_f32());
        embed(&scales, &quants, Some(2.0), &mut out);
        assert_eq!(out[1], 3.0);
    }
}
