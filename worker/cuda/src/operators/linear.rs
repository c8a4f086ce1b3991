//! Operator 2, by three kernels of the same bits: for few, some and many rows of activations.

use genesisflow_canonical::{kernels::WeightFormat, quantize_row::blocks};

use super::{launch, need, need_aligned, number, optional, Activation, Quantized};
use crate::{
    device::{Arg, Device, DeviceError, Span},
    layout::{tile_block_bytes, TILE_COLUMNS, TILE_ROWS},
    pack::Packed,
};

/// A packed matrix in the device's memory. See [`crate::pack`].
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// How the weights are stored.
    pub format: WeightFormat,
    /// Rows, without padding.
    pub rows: usize,
    /// Columns, without padding.
    pub columns: usize,
    /// Gates and ups of a gated layer, interleaved.
    pub gated: bool,
    /// [`Packed::quants`].
    pub quants: Span<'a>,
    /// [`Packed::scales`].
    pub scales: Span<'a>,
}

impl<'a> Matrix<'a> {
    /// A packed matrix whose content was copied to these spans.
    pub fn new(packed: &Packed, quants: Span<'a>, scales: Span<'a>) -> Self {
        Self {
            format: packed.format,
            rows: packed.rows,
            columns: packed.columns,
            gated: packed.gated,
            quants,
            scales,
        }
    }

    /// Elements of an output row: the rows, or half of them if gated.
    pub fn outputs(&self) -> usize {
        if self.gated {
            self.rows / 2
        } else {
            self.rows
        }
    }

    fn tiles(&self) -> usize {
        if self.gated {
            self.outputs().div_ceil(TILE_ROWS / 2)
        } else {
            self.rows.div_ceil(TILE_ROWS)
        }
    }

    pub(super) fn check(&self) {
        let tile_blocks = self.tiles() * blocks(self.columns);
        let quants = tile_blocks * tile_block_bytes(self.format);
        need_aligned(self.quants, quants, "weights");
        need_aligned(self.scales, tile_blocks * TILE_ROWS * 2, "weight scales");
    }
}

/// Where the outputs of a linear layer go.
#[derive(Clone, Copy, Debug)]
pub struct LinearOutput<'a> {
    /// f32 [`crate::pack::pack_bias`].
    pub bias: Option<Span<'a>>,
    /// Between the halves of a gated matrix; [`Activation::Silu`] elsewhere, where it is not used.
    pub activation: Activation,
    /// f32 `[row][outputs]` that the outputs are added to; may be `out`.
    pub residual: Option<Span<'a>>,
    /// f32 `[row][outputs]`.
    pub out: Span<'a>,
}

impl<'a> LinearOutput<'a> {
    /// The products alone.
    pub fn to(out: Span<'a>) -> Self {
        Self {
            bias: None,
            activation: Activation::Silu,
            residual: None,
            out,
        }
    }
}

/// Most rows for the kernels that are bound by the weights' memory alone.
const FEW_ROWS: usize = 8;
/// Most rows for the kernel with small tiles.
const BATCH_ROWS: usize = 64;

/// Operator 2: `out[row] = (residual[row] +) (W x[row] (+ bias))`, or for a gated matrix
/// `activation(gate) * up` of its halves.
///
/// # Errors
/// [`DeviceError`].
pub fn linear(
    device: &dyn Device,
    matrix: &Matrix,
    x: Quantized,
    rows: usize,
    output: LinearOutput,
) -> Result<(), DeviceError> {
    matrix.check();
    x.check(rows, matrix.columns);
    let outputs = matrix.outputs();
    need(output.out, rows * outputs * 4, "out");
    let (tiles, blocks) = (matrix.tiles(), blocks(matrix.columns));
    if let Some(bias) = output.bias {
        need(bias, tiles * TILE_ROWS * 4, "bias");
    }
    if let Some(residual) = output.residual {
        need(residual, rows * outputs * 4, "residual");
    }
    let activation = if matrix.gated {
        output.activation.number()
    } else {
        0
    };
    let args = [
        matrix.quants.arg(),
        matrix.scales.arg(),
        number(tiles),
        number(blocks),
        x.quants.arg(),
        x.scales.arg(),
        number(rows),
        optional(output.bias),
        optional(output.residual),
        output.out.arg(),
        number(outputs),
        Arg::U32(activation),
    ];
    let weights = tile_block_bytes(matrix.format);
    let row_tiles = rows.div_ceil(TILE_COLUMNS);
    let (name, grid, threads, shared) = if rows <= FEW_ROWS {
        // kernels/linear_few.cu: two chunks of dot products (20 for a row's 16), scales of the
        // weights and of the rows.
        let (name, loads) = if rows <= 4 { ("few4", 8) } else { ("few8", 4) };
        let shared = 2 * loads * 8 * (rows * 20 * 4 + 32 + 32);
        (name, [tiles, 1, 1], 256, shared)
    } else if rows <= BATCH_ROWS {
        let shared = stages_bytes(weights, 2, row_tiles, 4, 6);
        ("batch", [1, tiles.div_ceil(2), 1], row_tiles * 32, shared)
    } else {
        let shared = stages_bytes(weights, 8, 8, 2, 3);
        let grid = [row_tiles.div_ceil(8), tiles.div_ceil(8), 1];
        ("many", grid, 256, shared)
    };
    let format = match matrix.format {
        WeightFormat::Q8_0 => "q8",
        WeightFormat::Q4_0 => "q4",
    };
    let kernel = format!("gf_linear_{name}_{format}");
    launch(device, &kernel, grid, threads, shared, &args)
}

/// Shared memory of kernels/linear_many.cu: `stages` of `depth` blocks of so many tiles.
fn stages_bytes(
    weight_block: usize,
    weight_tiles: usize,
    row_tiles: usize,
    depth: usize,
    stages: usize,
) -> usize {
    stages * depth * (weight_tiles * (weight_block + 32) + row_tiles * (256 + 32))
}
