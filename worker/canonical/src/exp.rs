//! Operator 7: the exponential all non-linear operators are built on.

use crate::fused::{round_ties_even, FusedMultiplyAdd};

const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
/// ln 2, in two parts: `LN_2_HIGH + LN_2_LOW`.
const LN_2_HIGH: f32 = f32::from_bits(0x3f31_7218);
const LN_2_LOW: f32 = f32::from_bits(0xb102_e308);
/// Coefficients of the polynomial, highest power first.
const POLYNOMIAL: [f32; 7] = [
    f32::from_bits(0x3ab6_887e),
    f32::from_bits(0x3c09_05b1),
    f32::from_bits(0x3d2a_aa8d),
    f32::from_bits(0x3e2a_aa6f),
    f32::from_bits(0x3f00_0000),
    f32::from_bits(0x3f80_0000),
    f32::from_bits(0x3f80_0000),
];

/// `exp_c(x)`: e^x within 0.95 ulp, from operations that are exact on every machine.
///
/// Below -87 the result is 0, above 88 it is that of 88. Must not be given a NaN; no operator of
/// this crate does.
#[inline(always)]
pub fn exp_c<F: FusedMultiplyAdd>(x: f32) -> f32 {
    let underflows = x < -87.0;
    // Clamped from below as well, so that the steps stay defined where the result is dropped.
    let x = if underflows { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let (n, n_bits) = round_ties_even(x * LOG2_E);
    let r = F::fma(-n, LN_2_HIGH, x);
    let r = F::fma(-n, LN_2_LOW, r);
    let mut p = POLYNOMIAL[0];
    for c in &POLYNOMIAL[1..] {
        p = F::fma(p, r, *c);
    }
    let scaled = p.to_bits().wrapping_add(n_bits << 23);
    if underflows {
        0.0
    } else {
        f32::from_bits(scaled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::Portable;

    #[test]
    fn exact_points_and_ends() {
        assert_eq!(exp_c::<Portable>(0.0), 1.0);
        assert_eq!(exp_c::<Portable>(-0.0), 1.0);
        assert_eq!(exp_c::<Portable>(-87.000_01), 0.0);
        assert_eq!(exp_c::<Portable>(f32::NEG_INFINITY), 0.0);
        assert!(exp_c::<Portable>(-87.0).is_normal());
        assert_eq!(exp_c::<Portable>(f32::INFINITY), exp_c::<Portable>(88.0));
        assert_eq!(exp_c::<Portable>(1.0).to_bits(), 0x402d_f854);
    }

    #[test]
    fn within_one_ulp_of_the_true_value() {
        let mut x = -87.0f32;
        while x < 88.0 {
            let got = f64::from(exp_c::<Portable>(x));
            let exact = libm::exp(f64::from(x));
            let ulp =
                f64::from(f32::from_bits((exact as f32).to_bits() + 1)) - f64::from(exact as f32);
            assert!((got - exact).abs() <= 0.95 * ulp, "x = {x}");
            x += 0.003_7;
        }
    }
}
