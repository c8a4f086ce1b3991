//! Weights and activations in the layout the matrix kernels read.

use half::f16;

use crate::{
    q8_0::{quantize_weights, WeightFault},
    quantize_row::{blocks, ActivationOverflow, BLOCK},
};

use super::Kernel;

/// Output rows interleaved in a tile: one row in each lane of a 512-bit register, so that no
/// kernel ever adds across lanes.
pub const TILE: usize = 16;

/// Groups of four input elements in a block.
pub(super) const GROUPS: usize = BLOCK / 4;

/// Four consecutive input elements of each of the 16 rows of a tile, row after row; every byte is
/// the weight with its sign bit flipped (weight + 128), which is what `vpdpbusd` takes.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Group(pub(super) [u8; 4 * TILE]);

const SIGN: u8 = 0x80;

/// A Q8_0 matrix of `rows` x `columns`: 34 bytes for 32 weights, 16 rows interleaved.
///
/// Rows are padded to a multiple of 16 (such rows are never read back) and columns to the next
/// multiple of 32, with zeros.
#[derive(Clone, Debug)]
pub struct PackedMatrix {
    rows: usize,
    columns: usize,
    /// `[tile][block][row in tile]`.
    scales: Vec<[f16; TILE]>,
    /// `[tile][block][group]`.
    groups: Vec<Group>,
}

impl PackedMatrix {
    /// A matrix of zeros, to be filled with [`PackedMatrix::set_row`].
    pub fn zeros(rows: usize, columns: usize) -> Self {
        let tile_blocks = rows.div_ceil(TILE) * blocks(columns);
        Self {
            rows,
            columns,
            scales: vec![[f16::ZERO; TILE]; tile_blocks],
            groups: vec![Group([SIGN; 4 * TILE]); tile_blocks * GROUPS],
        }
    }

    /// Quantises `weights` (`columns` elements) into row `row`.
    ///
    /// # Errors
    /// [`WeightFault`] if the weights cannot be quantised.
    ///
    /// # Panics
    /// If the row does not exist or `weights` has another length.
    pub fn set_row(&mut self, row: usize, weights: &[f32]) -> Result<(), WeightFault> {
        assert!(row < self.rows && weights.len() == self.columns);
        for (block, weights) in weights.chunks(BLOCK).enumerate() {
            let (scale, quants) = quantize_weights(weights)?;
            let at = row / TILE * self.blocks() + block;
            let lane = row % TILE;
            self.scales[at][lane] = scale;
            for (group, quants) in self.groups[at * GROUPS..].iter_mut().zip(quants.chunks(4)) {
                for (byte, q) in group.0[4 * lane..].iter_mut().zip(quants) {
                    *byte = *q as u8 ^ SIGN;
                }
            }
        }
        Ok(())
    }

    /// Reads row `row` back: one scale a block and 32 bytes a block.
    ///
    /// # Panics
    /// If the row does not exist or a slice has another length.
    pub fn row(&self, row: usize, scales: &mut [f16], quants: &mut [i8]) {
        assert!(row < self.rows && scales.len() == self.blocks());
        assert_eq!(quants.len(), self.blocks() * BLOCK);
        let lane = row % TILE;
        for (block, (scale, quants)) in scales
            .iter_mut()
            .zip(quants.chunks_exact_mut(BLOCK))
            .enumerate()
        {
            let at = row / TILE * self.blocks() + block;
            *scale = self.scales[at][lane];
            for (quants, group) in quants
                .chunks_exact_mut(4)
                .zip(&self.groups[at * GROUPS..(at + 1) * GROUPS])
            {
                for (q, byte) in quants.iter_mut().zip(&group.0[4 * lane..]) {
                    *q = (byte ^ SIGN) as i8;
                }
            }
        }
    }

    /// Output dimension.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input dimension.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of tiles of 16 output rows.
    pub fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE)
    }

    /// Blocks of 32 along a row.
    pub fn blocks(&self) -> usize {
        blocks(self.columns)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(&self.scales[..]) + std::mem::size_of_val(&self.groups[..])
    }

    /// Scales of a tile, one array of 16 a block.
    pub(super) fn tile_scales(&self, tile: usize) -> &[[f16; TILE]] {
        let n = self.blocks();
        &self.scales[tile * n..(tile + 1) * n]
    }

    /// Groups of a tile, eight a block.
    pub(super) fn tile_groups(&self, tile: usize) -> &[Group] {
        let n = self.blocks() * GROUPS;
        &self.groups[tile * n..(tile + 1) * n]
    }
}

/// Rows of activations after operator 1.
#[derive(Clone, Debug, Default)]
pub struct QuantizedRows {
    rows: usize,
    blocks: usize,
    /// `[row][block * 32]`.
    pub(super) quants: Vec<i8>,
    /// `[row][block]`.
    pub(super) scales: Vec<f32>,
    /// `[row][block]`: -128 times the sum of the block, which takes back the weights' offset.
    pub(super) offsets: Vec<i32>,
}

impl QuantizedRows {
    /// Quantises rows of `columns` elements that follow each other in `x`, replacing what was held.
    ///
    /// On a fault the rows before the faulty one are held and its index is returned.
    ///
    /// # Errors
    /// The index of the first row with an element of 2^40 or more, see [`ActivationOverflow`].
    pub fn fill(&mut self, kernel: Kernel, x: &[f32], columns: usize) -> Result<(), usize> {
        debug_assert!(x.len().is_multiple_of(columns));
        let rows = x.len() / columns;
        self.blocks = blocks(columns);
        self.quants.resize(rows * self.blocks * BLOCK, 0);
        self.scales.resize(rows * self.blocks, 0.0);
        self.offsets.resize(rows * self.blocks, 0);
        for (row, x) in x.chunks_exact(columns).enumerate() {
            let from = row * self.blocks;
            let to = from + self.blocks;
            let quants = &mut self.quants[from * BLOCK..to * BLOCK];
            if let Err(ActivationOverflow) =
                kernel.quantize_row(x, quants, &mut self.scales[from..to])
            {
                self.rows = row;
                return Err(row);
            }
            for (offset, block) in self.offsets[from..to]
                .iter_mut()
                .zip(quants.chunks_exact(BLOCK))
            {
                *offset = -128 * block.iter().map(|q| i32::from(*q)).sum::<i32>();
            }
        }
        self.rows = rows;
        Ok(())
    }

    /// Rows held.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Blocks of 32 in each row.
    pub fn blocks(&self) -> usize {
        self.blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_went_in() {
        let mut matrix = PackedMatrix::zeros(19, 45);
        let weights: Vec<f32> = (0..45).map(|i| (i as f32 - 20.0) * 0.37).collect();
        for row in 0..19 {
            let scaled: Vec<f32> = weights.iter().map(|w| w * (row as f32 + 0.5)).collect();
            matrix.set_row(row, &scaled).unwrap();
        }
        for row in 0..19 {
            let scaled: Vec<f32> = weights.iter().map(|w| w * (row as f32 + 0.5)).collect();
            let (mut scales, mut quants) = (vec![f16::ZERO; 2], vec![0i8; 64]);
            matrix.row(row, &mut scales, &mut quants);
            for (block, weights) in scaled.chunks(BLOCK).enumerate() {
                let (scale, bytes) = quantize_weights(weights).unwrap();
                assert_eq!(scales[block], scale);
                assert_eq!(quants[block * BLOCK..][..BLOCK], bytes);
            }
        }
        assert_eq!(matrix.bytes(), 2 * 2 * (32 + 512));
    }

    #[test]
    fn a_faulty_row_is_named_and_those_before_it_kept() {
        let mut rows = QuantizedRows::default();
        let mut x = vec![1.0f32; 3 * 5];
        x[12] = f32::INFINITY;
        assert_eq!(rows.fill(Kernel::SCALAR, &x, 5), Err(2));
        assert_eq!(rows.rows(), 2);
        x[12] = 0.0;
        assert_eq!(rows.fill(Kernel::SCALAR, &x, 5), Ok(()));
        assert_eq!((rows.rows(), rows.blocks()), (3, 1));
    }
}
