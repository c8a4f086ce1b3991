//! Weights in the layout the matrix kernels read.

use half::f16;

use crate::{
    q4_0,
    q8_0::{self, quantize_weights, WeightFault},
    quantize_row::{blocks, BLOCK},
};

use super::weight_memory::WeightMemory;

/// Output rows interleaved in a tile: one row in each lane of a 512-bit register, so that no
/// kernel ever adds across lanes.
pub const TILE: usize = 16;

/// How the weights of a matrix are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFormat {
    /// 32 signed bytes and an f16 scale: 34 bytes for 32 weights.
    Q8_0,
    /// 32 four-bit numbers and an f16 scale: 18 bytes for 32 weights.
    Q4_0,
}

impl WeightFormat {
    /// Bytes of a stored block of 32 weights, the scale included.
    pub const fn stored_bytes(self) -> usize {
        match self {
            Self::Q8_0 => q8_0::STORED_BYTES,
            Self::Q4_0 => q4_0::STORED_BYTES,
        }
    }

    /// Groups of four bytes a row in each block.
    pub(super) const fn groups(self) -> usize {
        match self {
            Self::Q8_0 => BLOCK / 4,
            Self::Q4_0 => BLOCK / 8,
        }
    }

    /// A group of zeros.
    const fn zero_group(self) -> Group {
        Group(
            [match self {
                Self::Q8_0 => SIGN,
                Self::Q4_0 => 0x88,
            }; 4 * TILE],
        )
    }
}

/// Four consecutive bytes of each of the 16 rows of a tile, row after row.
///
/// Q8_0: every byte is a weight with its sign bit flipped (weight + 128), which is what `vpdpbusd`
/// takes. Q4_0: the stored bytes; low nibbles (weight + 8) are four consecutive weights, high ones
/// those 16 further on.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Group(pub(super) [u8; 4 * TILE]);

/// The sign bit of a byte.
pub(super) const SIGN: u8 = 0x80;

/// Why a row of stored blocks cannot be taken into a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredRowError {
    /// The row holds another number of bytes than its blocks take.
    Length {
        /// Bytes that the matrix's columns take in this format.
        expected: usize,
        /// Bytes given.
        given: usize,
    },
    /// Columns are not a multiple of 32, which stored blocks require.
    Columns(usize),
    /// A Q8_0 row for a Q4_0 matrix: its numbers do not fit.
    Format,
    /// A block holds what the definition refuses.
    Weights(WeightFault),
}

impl std::fmt::Display for StoredRowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length { expected, given } => {
                write!(
                    f,
                    "a row of stored blocks takes {expected} bytes, not {given}"
                )
            }
            Self::Columns(columns) => {
                write!(f, "{columns} columns cannot be stored in blocks of {BLOCK}")
            }
            Self::Format => f.write_str("Q8_0 blocks do not fit a Q4_0 matrix; use a Q8_0 one"),
            Self::Weights(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for StoredRowError {}

impl From<WeightFault> for StoredRowError {
    fn from(fault: WeightFault) -> Self {
        Self::Weights(fault)
    }
}

/// A matrix of `rows` x `columns` quantised weights, 16 rows interleaved.
///
/// Rows are padded to a multiple of 16 (such rows are never read back) and columns to the next
/// multiple of 32, with zeros.
#[derive(Clone, Debug)]
pub struct PackedMatrix {
    format: WeightFormat,
    rows: usize,
    columns: usize,
    /// `[tile][block][row in tile]`.
    scales: WeightMemory<[f16; TILE]>,
    /// `[tile][block][group]`.
    groups: WeightMemory<Group>,
}

impl PackedMatrix {
    /// A Q8_0 matrix of zeros, to be filled with [`PackedMatrix::set_row`] or
    /// [`PackedMatrix::set_stored_row`].
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self::zeros_in(WeightFormat::Q8_0, rows, columns)
    }

    /// A matrix of zeros in a format.
    pub fn zeros_in(format: WeightFormat, rows: usize, columns: usize) -> Self {
        let tile_blocks = rows.div_ceil(TILE) * blocks(columns);
        Self {
            format,
            rows,
            columns,
            scales: WeightMemory::filled([f16::ZERO; TILE], tile_blocks),
            groups: WeightMemory::filled(format.zero_group(), tile_blocks * format.groups()),
        }
    }

    /// Quantises `weights` (`columns` elements) into row `row` of a Q8_0 matrix.
    ///
    /// # Errors
    /// [`WeightFault`] if the weights cannot be quantised.
    ///
    /// # Panics
    /// If the row does not exist, `weights` has another length, or the matrix is not Q8_0 (the
    /// definition has no Q4_0 quantiser).
    pub fn set_row(&mut self, row: usize, weights: &[f32]) -> Result<(), WeightFault> {
        assert!(row < self.rows && weights.len() == self.columns);
        assert_eq!(self.format, WeightFormat::Q8_0, "only Q8_0 is quantised");
        for (block, weights) in weights.chunks(BLOCK).enumerate() {
            let (scale, quants) = quantize_weights(weights)?;
            self.set_block(row, block, scale, quants.map(|q| q as u8 ^ SIGN));
        }
        Ok(())
    }

    /// Takes row `row` from blocks as GGUF stores them (scale, then quants), bit for bit.
    ///
    /// Q4_0 blocks may go into a Q8_0 matrix too, where a tensor of each kind shares one matrix:
    /// every product keeps its bits.
    ///
    /// # Errors
    /// [`StoredRowError`]; the row's content is unspecified then.
    ///
    /// # Panics
    /// If the row does not exist.
    pub fn set_stored_row(
        &mut self,
        row: usize,
        format: WeightFormat,
        stored: &[u8],
    ) -> Result<(), StoredRowError> {
        assert!(row < self.rows);
        if !self.columns.is_multiple_of(BLOCK) {
            return Err(StoredRowError::Columns(self.columns));
        }
        let expected = self.blocks() * format.stored_bytes();
        if stored.len() != expected {
            return Err(StoredRowError::Length {
                expected,
                given: stored.len(),
            });
        }
        match (format, self.format) {
            (WeightFormat::Q8_0, WeightFormat::Q8_0) => {
                for (block, stored) in stored.as_chunks().0.iter().enumerate() {
                    let (scale, quants) = q8_0::read_stored(stored)?;
                    self.set_block(row, block, scale, quants.map(|q| q as u8 ^ SIGN));
                }
            }
            (WeightFormat::Q4_0, WeightFormat::Q8_0) => {
                for (block, stored) in stored.as_chunks().0.iter().enumerate() {
                    let (scale, bytes) = q4_0::read_stored(stored)?;
                    let quants = q4_0::unpack(&bytes).map(|q| q as u8 ^ SIGN);
                    self.set_block(row, block, scale, quants);
                }
            }
            (WeightFormat::Q4_0, WeightFormat::Q4_0) => {
                for (block, stored) in stored.as_chunks().0.iter().enumerate() {
                    let (scale, bytes) = q4_0::read_stored(stored)?;
                    self.set_block(row, block, scale, bytes);
                }
            }
            (WeightFormat::Q8_0, WeightFormat::Q4_0) => return Err(StoredRowError::Format),
        }
        Ok(())
    }

    /// Writes a block of a row; `bytes` as [`Group`] holds them.
    fn set_block<const N: usize>(&mut self, row: usize, block: usize, scale: f16, bytes: [u8; N]) {
        let at = row / TILE * self.blocks() + block;
        let lane = row % TILE;
        self.scales[at][lane] = scale;
        let groups = &mut self.groups[at * (N / 4)..(at + 1) * (N / 4)];
        for (group, bytes) in groups.iter_mut().zip(bytes.chunks_exact(4)) {
            group.0[4 * lane..4 * lane + 4].copy_from_slice(bytes);
        }
    }

    /// Reads row `row` back: one scale a block and 32 signed numbers a block.
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
            let n = self.format.groups();
            let groups = &self.groups[at * n..(at + 1) * n];
            quants.copy_from_slice(&self.format.lane(groups, lane));
        }
    }

    /// How its weights are stored.
    pub fn format(&self) -> WeightFormat {
        self.format
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

    /// Scales of the tiles from `tile` on, one array of 16 a block.
    pub(super) fn scales_from(&self, tile: usize) -> &[[f16; TILE]] {
        &self.scales[tile * self.blocks()..]
    }

    /// Groups of the tiles from `tile` on, [`WeightFormat::groups`] a block.
    pub(super) fn groups_from(&self, tile: usize) -> &[Group] {
        &self.groups[tile * self.blocks() * self.format.groups()..]
    }
}

impl WeightFormat {
    /// The 32 weights of one lane of a block's groups.
    pub(super) fn lane(self, groups: &[Group], lane: usize) -> [i8; BLOCK] {
        let byte = |i: usize| groups[i / 4].0[4 * lane + i % 4];
        match self {
            Self::Q8_0 => std::array::from_fn(|i| (byte(i) ^ SIGN) as i8),
            Self::Q4_0 => q4_0::unpack(&std::array::from_fn(byte)),
        }
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
}
