//! The fused multiply-add, the one rounding step most operators are made of
//! (docs/canonical.md, "Numbers").
//!
//! The platform's `fma` cannot be trusted: without the CPU instruction, `std` calls whatever
//! maths library the system has, and a portable one may round twice. So the reference brings its
//! own, and kernels use the instruction only where it is known to be there.

/// A way to compute `a * b + c` with a single rounding to nearest even.
///
/// All implementations give the same bits; they differ in speed and in what they ask of the CPU.
pub trait FusedMultiplyAdd: Copy {
    /// `a * b + c`, rounded once.
    fn fma(a: f32, b: f32, c: f32) -> f32;
}

/// Fused multiply-add out of f64 additions and one multiplication: the reference, on any machine.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl FusedMultiplyAdd for Portable {
    #[inline]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        // 24 + 24 significant bits fit in 53: the product is exact.
        let product = f64::from(a) * f64::from(b);
        let addend = f64::from(c);
        let sum = product + addend;
        // TwoSum: `error` is exactly what the rounded sum lost.
        let addend_part = sum - product;
        let error = (product - (sum - addend_part)) + (addend - addend_part);
        // Round to odd: an inexact sum with an even last bit moves to its odd neighbour on the
        // side of the exact value, so that the rounding to f32 below sees on which side it lies.
        // (For an infinite or NaN sum the error is NaN or irrelevant: the sum stands.)
        if !sum.is_finite() || error == 0.0 || sum.to_bits() & 1 == 1 {
            return sum as f32;
        }
        let outwards = (error > 0.0) == (sum > 0.0);
        let bits = if outwards {
            sum.to_bits() + 1
        } else {
            sum.to_bits() - 1
        };
        f64::from_bits(bits) as f32
    }
}

/// Fused multiply-add by the CPU's own instruction.
///
/// Only for code compiled with that instruction enabled (x86-64 with the `fma` feature, any
/// 64-bit ARM): elsewhere it would become a call into the platform's maths library.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct Native;

#[cfg(feature = "std")]
impl FusedMultiplyAdd for Native {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// 1.5 * 2^23: an f32 of this size has no bits below one.
const SHIFT: f32 = 12_582_912.0;

/// Rounds to the nearest integer, ties to even, without a call into a maths library. Returns it
/// and an integer that equals it in the lowest 22 bits: no conversion instruction is needed.
///
/// Defined for `|x| < 2^22`: adding [`SHIFT`] leaves no bits below one, and f32 additions round
/// ties to even.
#[inline(always)]
pub(crate) fn round_ties_even(x: f32) -> (f32, u32) {
    let shifted = x + SHIFT;
    (shifted - SHIFT, shifted.to_bits())
}

/// [`round_ties_even`] of a number that fits a signed byte, as that byte.
#[inline(always)]
pub(crate) fn small_integer(x: f32) -> i8 {
    round_ties_even(x).1 as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fma_bits(a: u32, b: u32, c: u32) -> u32 {
        Portable::fma(f32::from_bits(a), f32::from_bits(b), f32::from_bits(c)).to_bits()
    }

    #[test]
    fn a_subnormal_result_is_rounded_once() {
        // A double-rounding fma gives 0x00100002 here.
        assert_eq!(fma_bits(0x1a00_0001, 0x19ff_fffe, 0x0010_0001), 0x0010_0001);
    }

    #[test]
    fn signs_of_zero_and_infinities_follow_the_standard() {
        assert_eq!(
            Portable::fma(-1.0, 0.0, -0.0).to_bits(),
            (-0.0f32).to_bits()
        );
        assert_eq!(Portable::fma(-1.0, 0.0, 0.0).to_bits(), 0);
        assert_eq!(Portable::fma(1.0, 1.0, -1.0).to_bits(), 0);
        assert_eq!(Portable::fma(f32::MAX, 2.0, 0.0), f32::INFINITY);
        assert_eq!(Portable::fma(f32::MAX, 2.0, -f32::MAX), f32::MAX);
        assert!(Portable::fma(f32::INFINITY, 0.0, 1.0).is_nan());
    }

    #[test]
    fn a_tie_of_the_sum_is_decided_by_the_bits_the_product_lost() {
        // 1 + 2^-24 is a tie and rounds down to 1; a little more must round up, a little less down.
        let tiny = f32::from_bits(0x0080_0000);
        let half_ulp = f32::from_bits(0x3380_0000);
        assert_eq!(Portable::fma(half_ulp, 1.0, 1.0), 1.0);
        let above = f32::from_bits(half_ulp.to_bits() + 1);
        assert!(Portable::fma(above, 1.0, 1.0) > 1.0);
        assert_eq!(Portable::fma(tiny, tiny, 1.0), 1.0);
    }

    /// The CPU's instruction, where there is one, is an independent implementation.
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    #[test]
    fn agrees_with_the_cpu_on_random_bit_patterns() {
        #[target_feature(enable = "fma")]
        fn hardware(a: f32, b: f32, c: f32) -> f32 {
            Native::fma(a, b, c)
        }
        if !std::is_x86_feature_detected!("fma") {
            return;
        }
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            f32::from_bits((state >> 16) as u32)
        };
        for round in 0..2_000_000u32 {
            let (a, b, mut c) = (next(), next(), next());
            if round % 3 == 0 {
                // Addends near the product: cancellation and ties.
                c = -(a * b) * (1.0 + (round % 7) as f32 * f32::EPSILON);
            }
            // SAFETY: the `fma` feature was detected above.
            let expected = unsafe { hardware(a, b, c) };
            let got = Portable::fma(a, b, c);
            assert!(
                got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan()),
                "fma({a:e}, {b:e}, {c:e}) = {got:e}, the CPU says {expected:e}"
            );
        }
    }

    #[test]
    fn rounding_takes_ties_to_even() {
        for (x, expected) in [
            (0.5, 0.0),
            (1.5, 2.0),
            (2.5, 2.0),
            (-0.5, 0.0),
            (-1.5, -2.0),
            (126.5, 126.0),
            (-127.0, -127.0),
            (0.499_999_97, 0.0),
        ] {
            let (rounded, bits) = round_ties_even(x);
            assert_eq!(rounded, expected, "{x}");
            assert_eq!(bits << 10, (expected as i32 as u32) << 10, "{x}");
            assert_eq!(small_integer(x), expected as i8, "{x}");
        }
    }
}
