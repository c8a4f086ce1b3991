//! Weights in the order in which the kernels read them.
//!
//! 16 rows by 32 columns are one tensor core product, and lie as its A fragment: lane `4 g + t`
//! of a warp reads, side by side, columns `4 t..4 t + 4` of row `g`, the same of row `g + 8`, and
//! both again 16 columns further on. Blocks of a tile follow each other, then the next tile.

use genesisflow_canonical::{
    kernels::WeightFormat,
    quantize_row::{blocks, BLOCK},
};
use half::f16;

use crate::layout::{tile_block_bytes, TILE_ROWS};

/// A matrix as the device takes it, still in the host's memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// How the weights are stored.
    pub format: WeightFormat,
    /// Rows, without padding.
    pub rows: usize,
    /// Columns, without padding.
    pub columns: usize,
    /// Tiles hold 8 rows of gates, then 8 of ups.
    pub gated: bool,
    /// `[tile][block][lane]` of 16 (Q8_0) or 8 (Q4_0) bytes.
    pub quants: Vec<u8>,
    /// f16 `[tile][block][16]`.
    pub scales: Vec<u8>,
}

/// Packs a matrix. `read` fills in a row's scales (one a block) and numbers (32 a block; in
/// -8..=7 for Q4_0), such as the CPU's `PackedMatrix::row` does.
pub fn pack(
    format: WeightFormat,
    rows: usize,
    columns: usize,
    read: impl FnMut(usize, &mut [f16], &mut [i8]),
) -> Packed {
    pack_ordered(format, rows, columns, false, Some, read)
}

/// Packs the two halves of a gated layer as one matrix: rows `0..outputs` of `read` are gates,
/// `outputs..2 * outputs` ups. They are interleaved so that both halves of an output meet in one
/// thread.
pub fn pack_gated(
    format: WeightFormat,
    outputs: usize,
    columns: usize,
    read: impl FnMut(usize, &mut [f16], &mut [i8]),
) -> Packed {
    let source = |row| gated_source(row, outputs);
    let mut packed = pack_ordered(
        format,
        2 * outputs.next_multiple_of(8),
        columns,
        true,
        source,
        read,
    );
    packed.rows = 2 * outputs;
    packed
}

/// Row of the unpacked halves behind a packed row; `None` for padding.
fn gated_source(row: usize, outputs: usize) -> Option<usize> {
    let (output, is_up) = (row / 16 * 8 + row % 8, row % 16 >= 8);
    (output < outputs).then_some(if is_up { outputs + output } else { output })
}

/// A bias in the order of the packed rows, padded to whole tiles. For a gated matrix: the gates'
/// biases, then the ups'.
pub fn pack_bias(bias: &[f32], gated: bool) -> Vec<f32> {
    let at = |row: Option<usize>| row.and_then(|row| bias.get(row)).copied().unwrap_or(0.0);
    if gated {
        let outputs = bias.len() / 2;
        let rows = 0..2 * outputs.next_multiple_of(8);
        rows.map(|row| at(gated_source(row, outputs))).collect()
    } else {
        let rows = 0..bias.len().next_multiple_of(TILE_ROWS);
        rows.map(|row| at(Some(row))).collect()
    }
}

fn pack_ordered(
    format: WeightFormat,
    rows: usize,
    columns: usize,
    gated: bool,
    source: impl Fn(usize) -> Option<usize>,
    mut read: impl FnMut(usize, &mut [f16], &mut [i8]),
) -> Packed {
    let (blocks, block_bytes) = (blocks(columns), tile_block_bytes(format));
    let tiles = rows.div_ceil(TILE_ROWS);
    let mut packed = Packed {
        format,
        rows,
        columns,
        gated,
        quants: vec![0; tiles * blocks * block_bytes],
        scales: vec![0; tiles * blocks * TILE_ROWS * 2],
    };
    let (mut scales, mut numbers) = (vec![f16::ZERO; blocks], vec![0i8; blocks * BLOCK]);
    for row in 0..rows {
        let Some(from) = source(row) else {
            continue;
        };
        read(from, &mut scales, &mut numbers);
        for (block, (scale, numbers)) in scales.iter().zip(numbers.chunks_exact(BLOCK)).enumerate()
        {
            let tile_block = row / TILE_ROWS * blocks + block;
            let at = (tile_block * TILE_ROWS + row % TILE_ROWS) * 2;
            packed.scales[at..at + 2].copy_from_slice(&scale.to_le_bytes());
            let into = &mut packed.quants[tile_block * block_bytes..][..block_bytes];
            for (column, number) in numbers.iter().enumerate() {
                put(format, into, row % TILE_ROWS, column, *number);
            }
        }
    }
    packed
}

/// Puts a number into a zeroed block of a tile.
fn put(format: WeightFormat, block: &mut [u8], row: usize, column: usize, number: i8) {
    let lane = row % 8 * 4 + column % 16 / 4;
    let (word, byte) = (column / 16 * 2 + row / 8, column % 4);
    match format {
        WeightFormat::Q8_0 => block[lane * 16 + word * 4 + byte] = number as u8,
        // Low nibbles are rows 0..8, high ones rows 8..16, as two's complement.
        WeightFormat::Q4_0 => {
            debug_assert!((-8..8).contains(&number), "{number} does not fit four bits");
            block[lane * 8 + word / 2 * 4 + byte] |= (number as u8 & 15) << (word % 2 * 4);
        }
    }
}
