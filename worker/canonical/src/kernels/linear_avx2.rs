//! Operator 2 with AVX2 and FMA: a tile's 16 output rows in two registers.

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
/// As [`multiply`]; the CPU has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn multiply_avx2(job: &Job<'_>) {
    // SAFETY: as this function's.
    unsafe { multiply::<Avx2>(job) }
}

/// AVX2. It has no exact product of eight-bit numbers: `vpmaddubsw` adds two products in 16 bits,
/// where those of Q8_0 overflow. So Q8_0 is multiplied as 16-bit numbers (`vpmaddwd`), for which
/// the panels hold the activations widened. The products of Q4_0 are small: all eight sums of a
/// block fit 16 bits (8 * 2 * 15 * 127 = 30,480).
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2;

impl Unit for Avx2 {
    type Sums = [__m256; 2];
    type Dots = [__m256i; 2];

    // Four rows by one tile: eight dot products in registers.
    const SHAPE: UnitShape = UnitShape {
        rows: 4,
        tiles: 1,
        pairs: true,
    };

    #[inline(always)]
    unsafe fn zero() -> [__m256; 2] {
        // SAFETY: for all functions of this trait, the caller has the instructions; and below,
        // pointers reach what the trait says.
        unsafe { [_mm256_setzero_ps(); 2] }
    }

    #[inline(always)]
    unsafe fn dots_q8<const R: usize, const T: usize>(
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[[__m256i; 2]; R]; T] {
        // SAFETY: see `zero`.
        unsafe {
            // Weights are stored as w + 128; starting at -128 * sum(x) takes the offset back.
            let mut dots = [[[_mm256_setzero_si256(); 2]; R]; T];
            for r in 0..R {
                let offset = _mm256_set1_epi32(*x.add(9 * R + r));
                for t in 0..T {
                    dots[t][r] = [offset; 2];
                }
            }
            let pairs = x.add(10 * R);
            let low_bytes = _mm256_set1_epi16(0xff);
            for group in 0..8 {
                for t in 0..T {
                    // Of each row's four bytes, 0 and 2 as 16-bit numbers, then 1 and 3.
                    let mut even = [_mm256_setzero_si256(); 2];
                    let mut odd = [_mm256_setzero_si256(); 2];
                    for half in 0..2 {
                        let bytes = weights[t].add(group).cast::<__m256i>().add(half);
                        let bytes = _mm256_load_si256(bytes);
                        even[half] = _mm256_and_si256(bytes, low_bytes);
                        odd[half] = _mm256_srli_epi16::<8>(bytes);
                    }
                    for r in 0..R {
                        let at = pairs.add(2 * (group * R + r));
                        let (q_even, q_odd) =
                            (_mm256_set1_epi32(*at), _mm256_set1_epi32(*at.add(1)));
                        for half in 0..2 {
                            let products = _mm256_madd_epi16(even[half], q_even);
                            dots[t][r][half] = _mm256_add_epi32(dots[t][r][half], products);
                            let products = _mm256_madd_epi16(odd[half], q_odd);
                            dots[t][r][half] = _mm256_add_epi32(dots[t][r][half], products);
                        }
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
    ) -> [[[__m256i; 2]; R]; T] {
        // SAFETY: see `zero`.
        unsafe {
            let mut sums = [[[_mm256_setzero_si256(); 2]; R]; T];
            let nibble = _mm256_set1_epi8(15);
            // Unrolled, this loop is reordered so that unpacked weights go through the stack.
            for group in 0..std::hint::black_box(4) {
                for t in 0..T {
                    let mut low = [_mm256_setzero_si256(); 2];
                    let mut high = [_mm256_setzero_si256(); 2];
                    for half in 0..2 {
                        let bytes = weights[t].add(group).cast::<__m256i>().add(half);
                        let bytes = _mm256_load_si256(bytes);
                        low[half] = _mm256_and_si256(bytes, nibble);
                        high[half] = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
                    }
                    for r in 0..R {
                        let q_low = _mm256_set1_epi32(*x.add(group * R + r));
                        let q_high = _mm256_set1_epi32(*x.add((group + 4) * R + r));
                        for half in 0..2 {
                            let sum = &mut sums[t][r][half];
                            let products = _mm256_maddubs_epi16(low[half], q_low);
                            *sum = _mm256_add_epi16(*sum, products);
                            let products = _mm256_maddubs_epi16(high[half], q_high);
                            *sum = _mm256_add_epi16(*sum, products);
                        }
                    }
                }
            }
            // Nibbles are w + 8, and -8 * sum(x) is a sixteenth of what the panel holds.
            let ones = _mm256_set1_epi16(1);
            for r in 0..R {
                let offset = _mm256_srai_epi32::<4>(_mm256_set1_epi32(*x.add(9 * R + r)));
                for t in 0..T {
                    for half in 0..2 {
                        let sum = _mm256_madd_epi16(sums[t][r][half], ones);
                        sums[t][r][half] = _mm256_add_epi32(sum, offset);
                    }
                }
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn widen(scales: *const [f16; TILE]) -> [__m256; 2] {
        // SAFETY: see `zero`.
        unsafe {
            let scales = scales.cast::<__m128i>();
            [
                _mm256_cvtph_ps(_mm_loadu_si128(scales)),
                _mm256_cvtph_ps(_mm_loadu_si128(scales.add(1))),
            ]
        }
    }

    #[inline(always)]
    unsafe fn chain(y: [__m256; 2], dw: [__m256; 2], dx: f32, dots: [__m256i; 2]) -> [__m256; 2] {
        // SAFETY: see `zero`.
        unsafe {
            let dx = _mm256_set1_ps(dx);
            let mut sums = y;
            for half in 0..2 {
                let scale = _mm256_mul_ps(dw[half], dx);
                sums[half] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(dots[half]), y[half]);
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn add(y: [__m256; 2], to: *const f32) -> [__m256; 2] {
        // SAFETY: see `zero`.
        unsafe {
            [
                _mm256_add_ps(y[0], _mm256_loadu_ps(to)),
                _mm256_add_ps(y[1], _mm256_loadu_ps(to.add(8))),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store(y: [__m256; 2], to: *mut f32) {
        // SAFETY: see `zero`.
        unsafe {
            _mm256_storeu_ps(to, y[0]);
            _mm256_storeu_ps(to.add(8), y[1]);
        }
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const u8) {
        // SAFETY: a prefetch of any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
}
