//! Operator 7: activation functions, each a fixed sequence of f32 operations around [`exp_c`].

use crate::{exp::exp_c, fused::FusedMultiplyAdd};

/// `silu(x) = x / (1 + exp_c(-x))`.
#[inline(always)]
pub fn silu<F: FusedMultiplyAdd>(x: f32) -> f32 {
    x / (1.0 + exp_c::<F>(-x))
}

/// SwiGLU over a row: `gate[i] = silu(gate[i]) * up[i]`. Both slices have the same length.
#[inline(always)]
pub fn swiglu<F: FusedMultiplyAdd>(gate: &mut [f32], up: &[f32]) {
    debug_assert_eq!(gate.len(), up.len());
    for (g, u) in gate.iter_mut().zip(up) {
        *g = silu::<F>(*g) * u;
    }
}

/// The tanh form of GELU.
#[inline(always)]
pub fn gelu_tanh<F: FusedMultiplyAdd>(x: f32) -> f32 {
    let inner = F::fma(
        f32::from_bits(0x3d92_2279),
        x * x,
        f32::from_bits(0x3fcc_422a),
    );
    x / (1.0 + exp_c::<F>(-(x * inner)))
}

/// The gated form of it over a row, as Gemma has it: `gate[i] = gelu_tanh(gate[i]) * up[i]`. Both
/// slices have the same length.
#[inline(always)]
pub fn gelu_tanh_gated<F: FusedMultiplyAdd>(gate: &mut [f32], up: &[f32]) {
    debug_assert_eq!(gate.len(), up.len());
    for (g, u) in gate.iter_mut().zip(up) {
        *g = gelu_tanh::<F>(*g) * u;
    }
}

/// The erf form of GELU, erf by a five-term rational approximation.
#[inline(always)]
pub fn gelu_erf<F: FusedMultiplyAdd>(x: f32) -> f32 {
    let z = x.abs() * f32::from_bits(0x3f35_04f3);
    let t = 1.0 / F::fma(f32::from_bits(0x3ea7_ba05), z, 1.0);
    let mut p = f32::from_bits(0x3f87_dc22);
    for c in [0xbfba_00e3, 0x3fb5_f0e3, 0xbe91_a98e, 0x3e82_7906] {
        p = F::fma(p, t, f32::from_bits(c));
    }
    let e = (p * t) * exp_c::<F>(-(z * z));
    (0.5 * x) * if x < 0.0 { e } else { 2.0 - e }
}

/// `tanh_c(x) = 1 - 2 / (exp_c(2x) + 1)`.
#[inline(always)]
pub fn tanh_c<F: FusedMultiplyAdd>(x: f32) -> f32 {
    1.0 - 2.0 / (exp_c::<F>(2.0 * x) + 1.0)
}

/// Soft cap: `cap * tanh_c(x / cap)`. `cap` is finite and above zero.
#[inline(always)]
pub fn soft_cap<F: FusedMultiplyAdd>(x: f32, cap: f32) -> f32 {
    cap * tanh_c::<F>(x / cap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::Portable;

    fn sweep() -> impl Iterator<Item = f32> {
        (-4000..=4000).map(|i| i as f32 * 0.004_3)
    }

    #[test]
    fn near_the_functions_they_stand_for() {
        for x in sweep() {
            let wide = f64::from(x);
            let near = |got: f32, exact: f64, name: &str| {
                let tolerance = 3e-6 * (1.0 + exact.abs());
                assert!(
                    (f64::from(got) - exact).abs() <= tolerance,
                    "{name}({x}) = {got}, not {exact}"
                );
            };
            near(silu::<Portable>(x), wide / (1.0 + libm::exp(-wide)), "silu");
            near(tanh_c::<Portable>(x), libm::tanh(wide), "tanh");
            near(
                gelu_erf::<Portable>(x),
                0.5 * wide * (1.0 + libm::erf(wide / core::f64::consts::SQRT_2)),
                "gelu_erf",
            );
            let inner = 0.797_884_560_802_865_4 * (wide + 0.044_715 * wide * wide * wide);
            near(
                gelu_tanh::<Portable>(x),
                0.5 * wide * (1.0 + libm::tanh(inner)),
                "gelu_tanh",
            );
            near(
                soft_cap::<Portable>(x, 5.0),
                5.0 * libm::tanh(wide / 5.0),
                "soft_cap",
            );
        }
    }

    #[test]
    fn extremes_stay_finite_and_zero_stays_zero() {
        for f in [
            silu::<Portable>,
            gelu_tanh::<Portable>,
            gelu_erf::<Portable>,
        ] {
            assert_eq!(f(0.0), 0.0);
            assert_eq!(f(1e30), 1e30);
            assert!(f(-1e15).abs() < 1e-18);
        }
        assert_eq!(tanh_c::<Portable>(1e30), 1.0);
        assert_eq!(tanh_c::<Portable>(-1e30), -1.0);
    }
}
