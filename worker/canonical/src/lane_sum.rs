//! Operator 3: a sum of products over a fixed number of lanes, so that wide and narrow machines
//! add in the same order.

use crate::fused::FusedMultiplyAdd;

/// Lanes of a sum over an attention head (scores).
pub const SCORE_LANES: usize = 16;
/// Lanes of every sum in a norm.
pub const NORM_LANES: usize = 64;

/// Sum of `a[i] * b[i]` over `L` lanes (`L` a power of two).
///
/// Lane `j` takes elements `j`, `j + L`, … ascending by fma from +0; then the upper half of the
/// lanes is added to the lower half until one is left.
#[inline(always)]
pub fn lane_sum<F: FusedMultiplyAdd, const L: usize>(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let mut lanes = [0.0f32; L];
    let (whole_a, whole_b) = (a.chunks_exact(L), b.chunks_exact(L));
    let (rest_a, rest_b) = (whole_a.remainder(), whole_b.remainder());
    for (a, b) in whole_a.zip(whole_b) {
        for j in 0..L {
            lanes[j] = F::fma(a[j], b[j], lanes[j]);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(rest_a).zip(rest_b) {
        *lane = F::fma(*a, *b, *lane);
    }
    let mut half = L / 2;
    while half > 0 {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::Portable;

    #[test]
    fn lanes_take_every_lth_element_and_fold_in_halves() {
        // Lane 0: 2^24 then 1 (lost). Lanes 1 and 2: 1 each, met as lane 0 + 2, then lane 1.
        let mut a = [0.0f32; 6];
        (a[0], a[4]) = (16_777_216.0, 1.0);
        (a[1], a[2], a[3]) = (1.0, 1.0, 1.0);
        let ones = [1.0f32; 6];
        // lane 0 + lane 2 = 2^24 (the 1 is lost), lane 1 + lane 3 = 2, sum 2^24 + 2.
        assert_eq!(lane_sum::<Portable, 4>(&a, &ones), 16_777_218.0);
    }

    #[test]
    fn an_empty_row_sums_to_positive_zero() {
        assert_eq!(lane_sum::<Portable, 64>(&[], &[]).to_bits(), 0);
        // Absent lanes are +0 and take part: -0 does not survive.
        assert_eq!(lane_sum::<Portable, 16>(&[-0.0], &[1.0]).to_bits(), 0);
    }
}
