//! Operator 4: root mean square norm.

use crate::{
    fused::FusedMultiplyAdd,
    lane_sum::{lane_sum, NORM_LANES},
};

/// Largest magnitude of a norm weight (after 1 + w), bias or position embedding that is accepted
/// at load: 2^20.
pub const MAX_PARAMETER: f32 = 1_048_576.0;

/// `out[i] = (x[i] * r) * weight[i]` with `r = 1 / sqrt(mean(x^2) + eps)`.
///
/// All three slices have the row's length; `eps` lies in (0, 1].
#[inline(always)]
pub fn rms_norm<F: FusedMultiplyAdd>(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    debug_assert!(x.len() == weight.len() && x.len() == out.len());
    let r = reciprocal_rms::<F>(x, eps);
    for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
        *out = (x * r) * w;
    }
}

/// [`rms_norm`] in place, as q/k norms use it: `x` is one head.
#[inline(always)]
pub fn rms_norm_in_place<F: FusedMultiplyAdd>(x: &mut [f32], weight: &[f32], eps: f32) {
    debug_assert_eq!(x.len(), weight.len());
    let r = reciprocal_rms::<F>(x, eps);
    for (x, w) in x.iter_mut().zip(weight) {
        *x = (*x * r) * w;
    }
}

/// The weight of the (1 + w) form, made once at load.
pub fn one_plus(weight: f32) -> f32 {
    1.0 + weight
}

#[inline(always)]
fn reciprocal_rms<F: FusedMultiplyAdd>(x: &[f32], eps: f32) -> f32 {
    let s = lane_sum::<F, NORM_LANES>(x, x);
    1.0 / square_root(s / x.len() as f32 + eps)
}

/// Correctly rounded square root: the CPU's where `std` is, the same bits in software elsewhere.
#[inline(always)]
fn square_root(x: f32) -> f32 {
    #[cfg(feature = "std")]
    return x.sqrt();
    #[cfg(not(feature = "std"))]
    return libm::sqrtf(x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::Portable;

    #[test]
    fn a_constant_row_becomes_its_weights() {
        let mut out = [0.0f32; 3];
        rms_norm::<Portable>(
            &[2.0, 2.0, -2.0],
            &[1.0, 3.0, one_plus(0.5)],
            1e-30,
            &mut out,
        );
        assert_eq!(out, [1.0, 3.0, -1.5]);
    }

    #[test]
    fn a_sum_of_squares_that_overflows_gives_zero_and_goes_on() {
        let mut out = [9.0f32; 2];
        rms_norm::<Portable>(&[3e38, -3e38], &[1.0, 1.0], 1e-5, &mut out);
        assert_eq!(out.map(f32::to_bits), [0, 0x8000_0000]);
    }

    #[test]
    fn zeros_stay_zero() {
        let mut x = [0.0f32; 5];
        rms_norm_in_place::<Portable>(&mut x, &[1.0; 5], 1e-5);
        assert_eq!(x, [0.0; 5]);
    }
}
