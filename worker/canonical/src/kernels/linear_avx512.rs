//! Operator 2 with AVX-512 VNNI: a tile's 16 output rows in the 16 lanes of a register.

// Loops over registers are by index: iterators over register arrays hide what is kept where.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use crate::quantize_row::BLOCK;

use super::packed::{PackedMatrix, QuantizedRows, TILE};

const GROUPS: usize = 8;

/// One tile against all activation rows. `out`: `[activation row][row in tile]`.
///
/// # Safety
/// The CPU has AVX-512 F, BW and VNNI; `tile` exists in `matrix`; `rows` has the matrix's number
/// of blocks; `out` holds 16 floats for every activation row.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn linear_tile(
    matrix: &PackedMatrix,
    rows: &QuantizedRows,
    tile: usize,
    out: &mut [f32],
) {
    let mut row = 0;
    while row + 8 <= rows.rows() {
        // SAFETY: as this function's; rows `row..row + 8` exist.
        unsafe { rows_at_once::<8>(matrix, rows, tile, row, out) };
        row += 8;
    }
    while row + 2 <= rows.rows() {
        // SAFETY: as this function's; rows `row..row + 2` exist.
        unsafe { rows_at_once::<2>(matrix, rows, tile, row, out) };
        row += 2;
    }
    if row < rows.rows() {
        // SAFETY: as this function's; row `row` exists.
        unsafe { rows_at_once::<1>(matrix, rows, tile, row, out) };
    }
}

/// `R` activation rows in one pass over the tile's weights.
///
/// # Safety
/// As [`linear_tile`]; activation rows `first..first + R` exist.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn rows_at_once<const R: usize>(
    matrix: &PackedMatrix,
    rows: &QuantizedRows,
    tile: usize,
    first: usize,
    out: &mut [f32],
) {
    let blocks = matrix.blocks();
    let scales = matrix.tile_scales(tile);
    let groups = matrix.tile_groups(tile);
    let mut quants: [&[i8]; R] = [&[]; R];
    let mut row_scales: [&[f32]; R] = [&[]; R];
    let mut offsets: [&[i32]; R] = [&[]; R];
    for r in 0..R {
        let (from, to) = ((first + r) * blocks, (first + r + 1) * blocks);
        quants[r] = &rows.quants[from * BLOCK..to * BLOCK];
        row_scales[r] = &rows.scales[from..to];
        offsets[r] = &rows.offsets[from..to];
    }
    let mut y = [_mm512_setzero_ps(); R];
    for block in 0..blocks {
        // Weights are stored as w + 128; starting at -128 * sum(x) takes the offset back.
        let mut dot = [_mm512_setzero_si512(); R];
        for r in 0..R {
            dot[r] = _mm512_set1_epi32(offsets[r][block]);
        }
        for group in 0..GROUPS {
            // SAFETY: a group is 64 bytes, aligned to 64.
            let w = unsafe { _mm512_load_si512(groups[block * GROUPS + group].0.as_ptr().cast()) };
            for r in 0..R {
                // SAFETY: `block * 32 + 4 * group + 3` lies inside the row's `blocks * 32` quants.
                let x = unsafe {
                    quants[r]
                        .as_ptr()
                        .add(block * BLOCK + 4 * group)
                        .cast::<i32>()
                        .read_unaligned()
                };
                dot[r] = _mm512_dpbusd_epi32(dot[r], w, _mm512_set1_epi32(x));
            }
        }
        // SAFETY: 16 f16 scales are one 256-bit vector.
        let weight_scale =
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(scales[block].as_ptr().cast())) };
        for r in 0..R {
            let scale = _mm512_mul_ps(weight_scale, _mm512_set1_ps(row_scales[r][block]));
            y[r] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(dot[r]), y[r]);
        }
    }
    for (out, y) in out[first * TILE..].chunks_exact_mut(TILE).zip(y) {
        // SAFETY: `out` is a chunk of 16 floats.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), y) };
    }
}
