//! Operator 2 over tiles: the entry point, and the portable kernel.

use std::ops::Range;

use crate::{
    fused::{FusedMultiplyAdd, Portable},
    quantize_row::BLOCK,
};

use super::{
    packed::{PackedMatrix, QuantizedRows, WeightFormat, TILE},
    InstructionSet, Kernel,
};

impl Kernel {
    /// Products of a range of tiles with every row of activations.
    ///
    /// `out`: `[tile in range][activation row][row in tile]`, so that threads that take different
    /// tiles write apart; for one activation row that is simply the output rows in order. Rows
    /// beyond the matrix's last (padding of the last tile) come out as +0.
    ///
    /// # Panics
    /// If the tiles do not exist, the inner dimensions differ, or `out` has another length.
    pub fn linear(
        self,
        matrix: &PackedMatrix,
        rows: &QuantizedRows,
        tiles: Range<usize>,
        out: &mut [f32],
    ) {
        assert!(tiles.end <= matrix.tiles(), "tiles out of range");
        assert_eq!(matrix.blocks(), rows.blocks(), "inner dimensions differ");
        assert_eq!(out.len(), tiles.len() * rows.rows() * TILE, "output length");
        if rows.rows() == 0 {
            return;
        }
        for (tile, out) in tiles.zip(out.chunks_exact_mut(rows.rows() * TILE)) {
            match self.0 {
                _ if matrix.format() == WeightFormat::Q4_0 => {
                    linear_tile::<Portable>(matrix, rows, tile, out)
                }
                InstructionSet::Scalar => linear_tile::<Portable>(matrix, rows, tile, out),
                // SAFETY: this variant exists only where AVX2, FMA and F16C were detected; the
                // lengths were checked above.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2 => unsafe {
                    super::linear_avx2::linear_tile(matrix, rows, tile, out)
                },
                // SAFETY: this variant exists only where AVX-512 F, BW and VNNI were detected; the
                // lengths were checked above.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => unsafe {
                    super::linear_avx512::linear_tile(matrix, rows, tile, out)
                },
                #[cfg(target_arch = "aarch64")]
                InstructionSet::Neon => {
                    linear_tile::<crate::fused::Native>(matrix, rows, tile, out)
                }
            }
        }
    }
}

/// One tile, any machine. `out`: `[activation row][row in tile]`.
fn linear_tile<F: FusedMultiplyAdd>(
    matrix: &PackedMatrix,
    rows: &QuantizedRows,
    tile: usize,
    out: &mut [f32],
) {
    let blocks = matrix.blocks();
    let format = matrix.format();
    for (row, out) in out.chunks_exact_mut(TILE).enumerate() {
        let quants = &rows.quants[row * blocks * BLOCK..(row + 1) * blocks * BLOCK];
        let scales = &rows.scales[row * blocks..(row + 1) * blocks];
        let mut y = [0.0f32; TILE];
        for (((weight_scales, groups), quants), scale) in matrix
            .tile_scales(tile)
            .iter()
            .zip(matrix.tile_groups(tile).chunks_exact(format.groups()))
            .zip(quants.chunks_exact(BLOCK))
            .zip(scales)
        {
            for (lane, (y, weight_scale)) in y.iter_mut().zip(weight_scales).enumerate() {
                let weights = format.lane(groups, lane);
                let mut dot = 0i32;
                for (w, x) in weights.iter().zip(quants) {
                    dot += i32::from(*w) * i32::from(*x);
                }
                *y = F::fma(weight_scale.to_f32() * scale, dot as f32, *y);
            }
        }
        out.copy_from_slice(&y);
    }
}
