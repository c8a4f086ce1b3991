//! Sixteen f32 side by side, in the registers of each instruction set.

use crate::fused::FusedMultiplyAdd;

/// Numbers in a [`Lanes`].
pub(super) const LANES: usize = 16;

/// Sixteen f32 and what attention does with them, one rounded operation in each lane.
///
/// # Safety
/// Of every function: the CPU has the instructions; pointers reach 16 floats.
pub(super) trait Lanes: Copy {
    /// The same instructions for single numbers.
    type Single: FusedMultiplyAdd;

    /// How many of them for each of four queries stay in registers, with some to spare.
    const ACCUMULATORS: usize;

    /// 16 times the same.
    unsafe fn splat(x: f32) -> Self;

    /// Reads 16 floats.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes 16 floats.
    unsafe fn store(self, to: *mut f32);

    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;

    /// `fma(a, b, self)`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

/// Without instructions of its own.
impl Lanes for [f32; LANES] {
    type Single = crate::fused::Portable;

    const ACCUMULATORS: usize = 1;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: by the caller, 16 floats can be read.
        unsafe { from.cast::<Self>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: by the caller, 16 floats can be written.
        unsafe { to.cast::<Self>().write(self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|i| Self::Single::fma(a[i], b[i], self[i]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, LANES};
    use crate::fused::Native;
    use std::arch::x86_64::*;

    /// AVX-512.
    impl Lanes for __m512 {
        type Single = Native;

        const ACCUMULATORS: usize = 4;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: for all functions here, by the caller: the CPU has the instructions, and 16
            // floats lie behind a pointer.
            unsafe { _mm512_set1_ps(x) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see `splat`.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see `splat`.
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see `splat`.
            unsafe { _mm512_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: see `splat`.
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }
    }

    /// AVX2 and FMA.
    impl Lanes for [__m256; 2] {
        type Single = Native;

        const ACCUMULATORS: usize = 1;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: as in AVX-512.
            unsafe { [_mm256_set1_ps(x); 2] }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as in AVX-512.
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(LANES / 2))] }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as in AVX-512.
            unsafe {
                _mm256_storeu_ps(to, self[0]);
                _mm256_storeu_ps(to.add(LANES / 2), self[1]);
            }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: as in AVX-512.
            unsafe {
                [
                    _mm256_add_ps(self[0], other[0]),
                    _mm256_add_ps(self[1], other[1]),
                ]
            }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: as in AVX-512.
            unsafe {
                [
                    _mm256_fmadd_ps(a[0], b[0], self[0]),
                    _mm256_fmadd_ps(a[1], b[1], self[1]),
                ]
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::{Lanes, LANES};
    use crate::fused::Native;
    use std::arch::aarch64::*;

    /// Lanes of a register.
    const EACH: usize = LANES / 4;

    /// NEON.
    impl Lanes for [float32x4_t; 4] {
        type Single = Native;

        const ACCUMULATORS: usize = 1;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: every 64-bit ARM has NEON; for all functions here, by the caller, 16 floats
            // lie behind a pointer.
            unsafe { [vdupq_n_f32(x); 4] }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see `splat`.
            std::array::from_fn(|i| unsafe { vld1q_f32(from.add(i * EACH)) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            for (i, lanes) in self.into_iter().enumerate() {
                // SAFETY: see `splat`.
                unsafe { vst1q_f32(to.add(i * EACH), lanes) }
            }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see `splat`.
            std::array::from_fn(|i| unsafe { vaddq_f32(self[i], other[i]) })
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: see `splat`.
            std::array::from_fn(|i| unsafe { vfmaq_f32(self[i], a[i], b[i]) })
        }
    }
}
