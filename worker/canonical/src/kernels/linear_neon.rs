//! Operator 2 on 64-bit ARM: a tile's 16 output rows in four registers.

// Loops over registers are by index: iterators over register arrays hide what is kept where.
#![allow(clippy::needless_range_loop)]

use std::arch::{aarch64::*, asm};

use half::f16;

use super::{
    linear::{multiply, Job, Unit, UnitShape},
    matrix::{Group, SIGN, TILE},
};

/// [`multiply`] with the dot product instruction.
///
/// # Safety
/// As [`multiply`]; the CPU has the dot product extension.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn multiply_dotprod(job: &Job<'_>) {
    // SAFETY: as this function's.
    unsafe { multiply::<Neon<true>>(job) }
}

/// NEON; with `DOT`, its extension that adds four products of signed bytes to each lane (`sdot`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Neon<const DOT: bool>;

impl<const DOT: bool> Neon<DOT> {
    /// # Safety
    /// As [`Unit::dots_q8`] and [`Unit::dots_q4`].
    #[inline(always)]
    unsafe fn dots<const Q4: bool, const R: usize, const T: usize>(
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[[int32x4_t; 4]; R]; T] {
        // SAFETY: the caller has the instructions, and its pointers reach a block.
        unsafe {
            let zero = vdupq_n_s32(0);
            let mut dots = [[[zero; 4]; R]; T];
            for t in 0..T {
                let mut sums = [[[zero; 2]; 4]; R];
                for step in 0..4 {
                    // Two groups of four input elements: neighbours, or the low and high nibbles.
                    let words = if Q4 {
                        [step, step + 4]
                    } else {
                        [2 * step, 2 * step + 1]
                    };
                    let mut quants = [[vreinterpretq_s8_s32(zero); 2]; R];
                    for r in 0..R {
                        for i in 0..2 {
                            quants[r][i] =
                                vreinterpretq_s8_s32(vld1q_dup_s32(x.add(words[i] * R + r)));
                        }
                    }
                    for quarter in 0..4 {
                        let bytes = |group: usize| {
                            vld1q_u8(weights[t].add(group).cast::<u8>().add(16 * quarter))
                        };
                        let signed = if Q4 {
                            let stored = bytes(step);
                            let low = vandq_u8(stored, vdupq_n_u8(15));
                            [low, vshrq_n_u8::<4>(stored)]
                                .map(|w| vsubq_s8(vreinterpretq_s8_u8(w), vdupq_n_s8(8)))
                        } else {
                            [bytes(words[0]), bytes(words[1])]
                                .map(|w| vreinterpretq_s8_u8(veorq_u8(w, vdupq_n_u8(SIGN))))
                        };
                        for r in 0..R {
                            let sum = &mut sums[r][quarter];
                            *sum = Self::add_products(*sum, signed, quants[r]);
                        }
                    }
                }
                for r in 0..R {
                    for quarter in 0..4 {
                        let [low, high] = sums[r][quarter];
                        dots[t][r][quarter] = if DOT { low } else { vpaddq_s32(low, high) };
                    }
                }
            }
            dots
        }
    }

    /// Adds the products of two registers of bytes. With `DOT` the first sum holds a row in each
    /// lane; without, each sum holds two rows, two lanes a row.
    ///
    /// # Safety
    /// The CPU has the instructions.
    #[inline(always)]
    unsafe fn add_products(
        sum: [int32x4_t; 2],
        w: [int8x16_t; 2],
        x: [int8x16_t; 2],
    ) -> [int32x4_t; 2] {
        // SAFETY: as this function's.
        unsafe {
            if DOT {
                [dot(dot(sum[0], w[0], x[0]), w[1], x[1]), sum[1]]
            } else {
                // Two products of at most 127 * 127 fit 16 bits.
                let low = vmull_s8(vget_low_s8(w[0]), vget_low_s8(x[0]));
                let low = vmlal_s8(low, vget_low_s8(w[1]), vget_low_s8(x[1]));
                let high = vmull_high_s8(w[0], x[0]);
                let high = vmlal_high_s8(high, w[1], x[1]);
                [vpadalq_s16(sum[0], low), vpadalq_s16(sum[1], high)]
            }
        }
    }
}

/// `sdot`: to each lane of `sum`, four products of signed bytes.
///
/// # Safety
/// The CPU has the dot product extension.
#[inline(always)]
unsafe fn dot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: as this function's; the instruction touches registers only.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

impl<const DOT: bool> Unit for Neon<DOT> {
    type Sums = [float32x4_t; 4];
    type Dots = [int32x4_t; 4];

    // As many dot products as registers hold: without the extension each takes twice as many.
    const SHAPE: UnitShape = UnitShape {
        rows: if DOT { 4 } else { 2 },
        tiles: 1,
        pairs: false,
    };

    #[inline(always)]
    unsafe fn zero() -> [float32x4_t; 4] {
        // SAFETY: for all functions of this trait, the caller has the instructions; and below,
        // pointers reach what the trait says.
        unsafe { [vdupq_n_f32(0.0); 4] }
    }

    #[inline(always)]
    unsafe fn dots_q8<const R: usize, const T: usize>(
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[[int32x4_t; 4]; R]; T] {
        // SAFETY: see `zero`.
        unsafe { Self::dots::<false, R, T>(weights, x) }
    }

    #[inline(always)]
    unsafe fn dots_q4<const R: usize, const T: usize>(
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[[int32x4_t; 4]; R]; T] {
        // SAFETY: see `zero`.
        unsafe { Self::dots::<true, R, T>(weights, x) }
    }

    /// In integer operations and one exact multiplication by 2^112, the difference of the exponent
    /// biases: conversion instructions have no stable name yet. Scales are finite.
    #[inline(always)]
    unsafe fn widen(scales: *const [f16; TILE]) -> [float32x4_t; 4] {
        // SAFETY: see `zero`.
        unsafe {
            let mut wide = Self::zero();
            for quarter in 0..4 {
                let bits = vmovl_u16(vld1_u16(scales.cast::<u16>().add(4 * quarter)));
                let magnitude = vshlq_n_u32::<13>(vandq_u32(bits, vdupq_n_u32(0x7fff)));
                let magnitude = vmulq_f32(
                    vreinterpretq_f32_u32(magnitude),
                    vdupq_n_f32(f32::from_bits(0x7780_0000)),
                );
                let sign = vshlq_n_u32::<16>(vandq_u32(bits, vdupq_n_u32(0x8000)));
                wide[quarter] =
                    vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(magnitude), sign));
            }
            wide
        }
    }

    #[inline(always)]
    unsafe fn chain(
        y: [float32x4_t; 4],
        dw: [float32x4_t; 4],
        dx: f32,
        dots: [int32x4_t; 4],
    ) -> [float32x4_t; 4] {
        // SAFETY: see `zero`.
        unsafe {
            let mut sums = y;
            for quarter in 0..4 {
                let scale = vmulq_f32(dw[quarter], vdupq_n_f32(dx));
                sums[quarter] = vfmaq_f32(y[quarter], scale, vcvtq_f32_s32(dots[quarter]));
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn add(y: [float32x4_t; 4], to: *const f32) -> [float32x4_t; 4] {
        // SAFETY: see `zero`.
        unsafe {
            let mut sums = y;
            for quarter in 0..4 {
                sums[quarter] = vaddq_f32(y[quarter], vld1q_f32(to.add(4 * quarter)));
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn store(y: [float32x4_t; 4], to: *mut f32) {
        // SAFETY: see `zero`.
        unsafe {
            for quarter in 0..4 {
                vst1q_f32(to.add(4 * quarter), y[quarter]);
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const u8) {
        // SAFETY: a prefetch of any address is allowed.
        unsafe {
            asm!("prfm pldl1strm, [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
        }
    }
}
