//! Operator 2 with AVX-512 VNNI: a tile's 16 output rows in the 16 lanes of a register.

// Loops over registers are by index: iterators over register arrays hide what is kept where.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use half::f16;

use super::{
    linear::{multiply, Job, Unit, UnitShape},
    matrix::{Group, TILE},
};

/// [`multiply`] with these instructions.
///
/// # Safety
/// As [`multiply`]; the CPU has AVX-512 F, BW, DQ, VL and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn multiply_avx512(job: &Job<'_>) {
    // SAFETY: as this function's.
    unsafe { multiply::<Vnni>(job) }
}

/// AVX-512 with its byte dot product, `vpdpbusd`: four unsigned times four signed bytes in each
/// lane, added to an i32.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vnni;

impl Unit for Vnni {
    type Sums = __m512;
    type Dots = __m512i;

    // Eight rows by two tiles: 16 dot products in registers, and five loads for every eight
    // multiplications. The sums move to and from the stack once a block, which is cheap.
    const SHAPE: UnitShape = UnitShape {
        rows: 8,
        tiles: 2,
        pairs: false,
    };

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        // SAFETY: for all functions of this trait, the caller has the instructions; and below,
        // pointers reach what the trait says.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn dots_q8<const R: usize, const T: usize>(
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[__m512i; R]; T] {
        // SAFETY: see `zero`.
        unsafe {
            // Weights are stored as w + 128; starting at -128 * sum(x) takes the offset back.
            let mut dots = [[_mm512_setzero_si512(); R]; T];
            for r in 0..R {
                let offset = _mm512_set1_epi32(*x.add(9 * R + r));
                for t in 0..T {
                    dots[t][r] = offset;
                }
            }
            for group in 0..8 {
                let mut w = [_mm512_setzero_si512(); T];
                for t in 0..T {
                    w[t] = _mm512_load_si512(weights[t].add(group).cast());
                }
                for r in 0..R {
                    let q = _mm512_set1_epi32(*x.add(group * R + r));
                    for t in 0..T {
                        dots[t][r] = _mm512_dpbusd_epi32(dots[t][r], w[t], q);
                    }
                }
            }
            dots
        }
    }

    #[inline(always)]
    unsafe fn dots_q4<const R: usize, const T: usize>(
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[__m512i; R]; T] {
        // SAFETY: see `zero`.
        unsafe {
            // Nibbles are w + 8, and -8 * sum(x) is a sixteenth of what the panel holds.
            let mut dots = [[_mm512_setzero_si512(); R]; T];
            for r in 0..R {
                let offset = _mm512_srai_epi32::<4>(_mm512_set1_epi32(*x.add(9 * R + r)));
                for t in 0..T {
                    dots[t][r] = offset;
                }
            }
            let nibble = _mm512_set1_epi8(15);
            for group in 0..4 {
                let mut low = [_mm512_setzero_si512(); T];
                let mut high = [_mm512_setzero_si512(); T];
                for t in 0..T {
                    let bytes = _mm512_load_si512(weights[t].add(group).cast());
                    low[t] = _mm512_and_si512(bytes, nibble);
                    high[t] = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), nibble);
                }
                for r in 0..R {
                    let q = _mm512_set1_epi32(*x.add(group * R + r));
                    for t in 0..T {
                        dots[t][r] = _mm512_dpbusd_epi32(dots[t][r], low[t], q);
                    }
                }
                for r in 0..R {
                    let q = _mm512_set1_epi32(*x.add((group + 4) * R + r));
                    for t in 0..T {
                        dots[t][r] = _mm512_dpbusd_epi32(dots[t][r], high[t], q);
                    }
                }
            }
            dots
        }
    }

    #[inline(always)]
    unsafe fn widen(scales: *const [f16; TILE]) -> __m512 {
        // SAFETY: see `zero`.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(scales.cast())) }
    }

    #[inline(always)]
    unsafe fn chain(y: __m512, dw: __m512, dx: f32, dots: __m512i) -> __m512 {
        // SAFETY: see `zero`.
        unsafe {
            let scale = _mm512_mul_ps(dw, _mm512_set1_ps(dx));
            _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(dots), y)
        }
    }

    #[inline(always)]
    unsafe fn add(y: __m512, to: *const f32) -> __m512 {
        // SAFETY: see `zero`.
        unsafe { _mm512_add_ps(y, _mm512_loadu_ps(to)) }
    }

    #[inline(always)]
    unsafe fn store(y: __m512, to: *mut f32) {
        // SAFETY: see `zero`.
        unsafe { _mm512_storeu_ps(to, y) }
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const u8) {
        // SAFETY: a prefetch of any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
}
