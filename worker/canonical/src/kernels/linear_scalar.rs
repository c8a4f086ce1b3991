//! Operator 2 in plain code, for the layout that all kernels read.

use half::f16;

use crate::{
    fused::{FusedMultiplyAdd, Portable},
    quantize_row::BLOCK,
};

use super::{
    linear::{Unit, UnitShape},
    matrix::{Group, WeightFormat, TILE},
};

/// No instructions but those every CPU has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar;

impl Scalar {
    /// # Safety
    /// As [`Unit::dots_q8`] and [`Unit::dots_q4`].
    unsafe fn dots<const R: usize, const T: usize>(
        format: WeightFormat,
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[[i32; TILE]; R]; T] {
        let mut dots = [[[0; TILE]; R]; T];
        for (dots, groups) in dots.iter_mut().zip(weights) {
            // SAFETY: a block has this many groups.
            let groups = unsafe { std::slice::from_raw_parts(groups, format.groups()) };
            for lane in 0..TILE {
                let w = format.lane(groups, lane);
                for (r, dots) in dots.iter_mut().enumerate() {
                    for (g, w) in w.as_chunks::<4>().0.iter().enumerate() {
                        // SAFETY: a panel's block starts with `[8][R]` words.
                        let x = unsafe { *x.add(g * R + r) }.to_ne_bytes();
                        for (w, x) in w.iter().zip(x) {
                            dots[lane] += i32::from(*w) * i32::from(x as i8);
                        }
                    }
                }
            }
        }
        dots
    }
}

impl Unit for Scalar {
    type Sums = [f32; TILE];
    type Dots = [i32; TILE];

    const SHAPE: UnitShape = UnitShape {
        rows: 4,
        tiles: 1,
        pairs: false,
    };

    unsafe fn zero() -> Self::Sums {
        [0.0; TILE]
    }

    unsafe fn dots_q8<const R: usize, const T: usize>(
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[Self::Dots; R]; T] {
        // SAFETY: as this function's.
        unsafe { Self::dots(WeightFormat::Q8_0, weights, x) }
    }

    unsafe fn dots_q4<const R: usize, const T: usize>(
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[Self::Dots; R]; T] {
        // SAFETY: as this function's.
        unsafe { Self::dots(WeightFormat::Q4_0, weights, x) }
    }

    unsafe fn widen(scales: *const [f16; TILE]) -> Self::Sums {
        // SAFETY: the caller's pointer reaches 16 scales.
        unsafe { *scales }.map(f16::to_f32)
    }

    unsafe fn chain(y: Self::Sums, dw: Self::Sums, dx: f32, dots: Self::Dots) -> Self::Sums {
        std::array::from_fn(|i| Portable::fma(dw[i] * dx, dots[i] as f32, y[i]))
    }

    unsafe fn add(y: Self::Sums, to: *const f32) -> Self::Sums {
        // SAFETY: the caller's pointer reaches 16 floats.
        std::array::from_fn(|i| y[i] + unsafe { *to.add(i) })
    }

    unsafe fn store(y: Self::Sums, to: *mut f32) {
        // SAFETY: the caller's pointer reaches 16 floats.
        unsafe { to.cast::<Self::Sums>().write_unaligned(y) }
    }

    unsafe fn prefetch(_at: *const u8) {}
}

const _: () = assert!(BLOCK == 32, "a panel's block starts with eight words a row");
