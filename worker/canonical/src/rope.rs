//! Operator 5: rotary position embedding, with the scalings of version 1.
//!
//! Frequencies and angles are f64, their sines and cosines come from `libm` in software, and each
//! is rounded once to f32: tables are the same on every machine.

use crate::fused::FusedMultiplyAdd;

/// How the frequencies are changed for longer contexts. Formulas, operation by operation, are in
/// docs/canonical.md, "RoPE scaling".
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Frequencies as they are.
    None,
    /// Every frequency divided by `factor`.
    Linear {
        /// The divisor, above zero.
        factor: f64,
    },
    /// Llama 3: low frequencies divided by `factor`, high ones kept, a ramp between.
    Llama3 {
        /// The divisor of the low frequencies.
        factor: f64,
        /// Wavelengths above `original_context / low_frequency_factor` are scaled.
        low_frequency_factor: f64,
        /// Wavelengths below `original_context / high_frequency_factor` are kept.
        high_frequency_factor: f64,
        /// The context the model was trained for first, in tokens.
        original_context: f64,
    },
}

/// The frequency of pair `i` of a rotated width `d`: `theta^(-2i / d)`, then the scaling.
pub fn frequency(theta: f64, i: usize, d: usize, scaling: RopeScaling) -> f64 {
    let inverse = libm::pow(theta, (-2.0 * i as f64) / d as f64);
    match scaling {
        RopeScaling::None => inverse,
        RopeScaling::Linear { factor } => inverse / factor,
        RopeScaling::Llama3 {
            factor,
            low_frequency_factor,
            high_frequency_factor,
            original_context,
        } => {
            let wavelength = (2.0 * core::f64::consts::PI) / inverse;
            if wavelength > original_context / low_frequency_factor {
                inverse / factor
            } else if wavelength < original_context / high_frequency_factor {
                inverse
            } else {
                let smooth = (original_context / wavelength - low_frequency_factor)
                    / (high_frequency_factor - low_frequency_factor);
                ((1.0 - smooth) * inverse) / factor + smooth * inverse
            }
        }
    }
}

/// Cosine and sine of `position * frequency`, rounded to f32.
pub fn cos_sin(position: u32, frequency: f64) -> (f32, f32) {
    let angle = f64::from(position) * frequency;
    (libm::cos(angle) as f32, libm::sin(angle) as f32)
}

/// Rotates one head in place: pairs `(i, i + d/2)` by `cos[i]`, `sin[i]`, both of length `d/2`.
#[inline(always)]
pub fn rotate<F: FusedMultiplyAdd>(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    debug_assert!(head.len() == 2 * cos.len() && cos.len() == sin.len());
    let (low, high) = head.split_at_mut(cos.len());
    for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
        let (old_a, old_b) = (*a, *b);
        *a = F::fma(old_a, *c, -(old_b * s));
        *b = F::fma(old_b, *c, old_a * s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::Portable;

    #[test]
    fn position_zero_turns_nothing() {
        assert_eq!(cos_sin(0, 0.7), (1.0, 0.0));
        let mut head = [1.0f32, 2.0, 3.0, 4.0];
        rotate::<Portable>(&mut head, &[1.0, 1.0], &[0.0, 0.0]);
        assert_eq!(head, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn a_quarter_turn_swaps_the_pair() {
        let mut head = [1.0f32, 5.0];
        rotate::<Portable>(&mut head, &[0.0], &[1.0]);
        assert_eq!(head, [-5.0, 1.0]);
    }

    #[test]
    fn the_power_is_taken_of_a_negative_exponent() {
        // pow(theta, -x) and 1 / pow(theta, x) differ in the last bit for some pairs.
        let differs = (0..64)
            .filter(|i| {
                let x = 2.0 * f64::from(*i) / 128.0;
                frequency(500_000.0, *i as usize, 128, RopeScaling::None)
                    != 1.0 / libm::pow(500_000.0, x)
            })
            .count();
        assert!(differs > 0);
    }

    #[test]
    fn llama3_keeps_high_scales_low_and_joins_between() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_context: 8192.0,
        };
        let plain = |i| frequency(500_000.0, i, 128, RopeScaling::None);
        let scaled = |i| frequency(500_000.0, i, 128, scaling);
        assert_eq!(scaled(0), plain(0));
        assert_eq!(scaled(63), plain(63) / 8.0);
        let between = (0..64).filter(|i| scaled(*i) < plain(*i) && scaled(*i) > plain(*i) / 8.0);
        assert!(between.count() >= 3);
        assert!((1..64).all(|i| scaled(i) < scaled(i - 1)));
    }

    /// Golden hash of whole tables: a change of libm, its version or a formula shows here.
    #[test]
    fn tables_have_not_moved() {
        let mut hash = blake2b_simd::Params::new().hash_length(32).to_state();
        for scaling in [
            RopeScaling::None,
            RopeScaling::Linear { factor: 4.0 },
            RopeScaling::Llama3 {
                factor: 32.0,
                low_frequency_factor: 1.0,
                high_frequency_factor: 4.0,
                original_context: 8192.0,
            },
        ] {
            for (theta, d) in [(10_000.0, 64), (500_000.0, 128), (1_000_000.0, 96)] {
                for i in 0..d / 2 {
                    let f = frequency(theta, i, d, scaling);
                    for position in [0, 1, 2, 127, 128, 511, 4095, 131_071] {
                        let (c, s) = cos_sin(position, f);
                        hash.update(&c.to_le_bytes()).update(&s.to_le_bytes());
                    }
                }
            }
        }
        assert_eq!(hash.finalize().to_hex().as_str(), GOLDEN_TABLES);
    }

    const GOLDEN_TABLES: &str = "825668203d533b9f922251f8a36186de982f85b37360ca0ee08d646cddb8d4fb";
}
