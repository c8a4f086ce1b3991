//! Operator 2 with AVX2 and FMA: eight output rows in a register, two registers a tile.

// Loops over registers are by index: iterators over register arrays hide what is kept where.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use crate::quantize_row::BLOCK;

use super::packed::{PackedMatrix, QuantizedRows, TILE};

const GROUPS: usize = 8;

/// One tile against all activation rows. `out`: `[activation row][row in tile]`.
///
/// # Safety
/// The CPU has AVX2, FMA and F16C; `tile` exists in `matrix`; `rows` has the matrix's number of
/// blocks; `out` holds 16 floats for every activation row.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn linear_tile(
    matrix: &PackedMatrix,
    rows: &QuantizedRows,
    tile: usize,
    out: &mut [f32],
) {
    let mut row = 0;
    while row + 4 <= rows.rows() {
        // SAFETY: as this function's; rows `row..row + 4` exist.
        unsafe { rows_at_once::<4>(matrix, rows, tile, row, out) };
        row += 4;
    }
    while row < rows.rows() {
        // SAFETY: as this function's; row `row` exists.
        unsafe { rows_at_once::<1>(matrix, rows, tile, row, out) };
        row += 1;
    }
}

/// `R` activation rows in one pass over the tile's weights.
///
/// # Safety
/// As [`linear_tile`]; activation rows `first..first + R` exist.
#[target_feature(enable = "avx2,fma,f16c")]
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
    let sign = _mm256_set1_epi8(-128);
    let ones = _mm256_set1_epi16(1);
    let mut y = [[_mm256_setzero_ps(); 2]; R];
    for block in 0..blocks {
        let mut dot = [[_mm256_setzero_si256(); 2]; R];
        for group in 0..GROUPS {
            let weights = groups[block * GROUPS + group].0.as_ptr();
            for half in 0..2 {
                // SAFETY: a group is 64 bytes, aligned to 64.
                let w = unsafe { _mm256_load_si256(weights.add(32 * half).cast()) };
                let w = _mm256_xor_si256(w, sign);
                for r in 0..R {
                    let at = ((first + r) * blocks + block) * BLOCK + 4 * group;
                    // SAFETY: four quants from `at` lie inside the row's blocks.
                    let x = unsafe { rows.quants.as_ptr().add(at).cast::<i32>().read_unaligned() };
                    let x = _mm256_set1_epi32(x);
                    // |x| unsigned times w with the sign of x. Weights are never -128, so negating
                    // them is exact and a pair of products stays below 2^15.
                    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(w, x));
                    let fours = _mm256_madd_epi16(pairs, ones);
                    dot[r][half] = _mm256_add_epi32(dot[r][half], fours);
                }
            }
        }
        let scale = scales[block].as_ptr().cast::<__m128i>();
        // SAFETY: 16 f16 scales are two vectors of eight.
        let weight_scale = unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(scale)),
                _mm256_cvtph_ps(_mm_loadu_si128(scale.add(1))),
            ]
        };
        for r in 0..R {
            let scale = _mm256_set1_ps(rows.scales[(first + r) * blocks + block]);
            for half in 0..2 {
                y[r][half] = _mm256_fmadd_ps(
                    _mm256_mul_ps(weight_scale[half], scale),
                    _mm256_cvtepi32_ps(dot[r][half]),
                    y[r][half],
                );
            }
        }
    }
    for (out, y) in out[first * TILE..].chunks_exact_mut(TILE).zip(y) {
        // SAFETY: `out` is a chunk of 16 floats.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), y[0]);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), y[1]);
        }
    }
}
