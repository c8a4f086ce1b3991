//! Outputs of a linear layer on their way from the threads that multiply to those that go on row
//! by row.

use std::{
    ops::Range,
    sync::{PoisonError, RwLock},
};

use genesisflow_canonical::kernels::{Kernel, TILE};

use super::{linear::Linear, plan::Layout, slice::Slices};

/// Multiply-adds that are worth a piece of their own: about two microseconds.
const PIECE_WORK: usize = 1 << 17;

/// Pieces for each thread, so that a delayed one does not hold up the rest.
const PIECES_EACH: usize = 4;

/// Bytes of weights of a piece at most where several slices pass over them: they stay in the
/// second-level cache meanwhile.
const PIECE_BYTES: usize = 256 << 10;

/// One layer's outputs in pieces of whole tiles, each `[slice][tile][row][16]`.
#[derive(Debug, Default)]
pub(super) struct Products {
    pieces: Vec<RwLock<Vec<f32>>>,
}

/// How a layer's tiles are cut into pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pieces {
    /// How many there are.
    pub(super) count: usize,
    /// Tiles of each but the last.
    tiles: usize,
}

impl Pieces {
    /// For `rows` rows in `slices` slices on a number of threads.
    pub(super) fn new(linear: &Linear, rows: usize, slices: usize, threads: usize) -> Self {
        let matrix = linear.matrix();
        let work = rows * matrix.rows() * matrix.columns();
        let mut count = match threads {
            1 => 1,
            _ => (work / PIECE_WORK).min(PIECES_EACH * threads),
        };
        if slices > 1 {
            count = count.max(matrix.bytes().div_ceil(PIECE_BYTES));
        }
        let tiles = matrix.tiles().div_ceil(count.max(1)).max(1);
        Self {
            count: matrix.tiles().div_ceil(tiles),
            tiles,
        }
    }

    fn tiles(self, piece: usize, linear: &Linear) -> Range<usize> {
        let first = piece * self.tiles;
        first..(first + self.tiles).min(linear.matrix().tiles())
    }
}

impl Products {
    /// Makes room for so many pieces.
    pub(super) fn reserve(&mut self, pieces: usize) {
        if self.pieces.len() < pieces {
            self.pieces.resize_with(pieces, RwLock::default);
        }
    }

    /// Computes one piece for the slices `which`, and hands it to `then`.
    #[allow(clippy::too_many_arguments)] // A product has two factors, each in parts.
    pub(super) fn multiply(
        &self,
        kernel: Kernel,
        linear: &Linear,
        (pieces, piece): (Pieces, usize),
        slices: &Slices,
        layout: &Layout,
        which: Range<usize>,
        then: impl FnOnce(&mut [f32]),
    ) {
        let tiles = pieces.tiles(piece, linear);
        let rows: usize = layout.slices[which.clone()].iter().map(Range::len).sum();
        let mut out = self.pieces[piece]
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let len = rows * tiles.len() * TILE;
        if out.len() < len {
            out.resize(len, 0.0);
        }
        let out = &mut out[..len];
        let mut rest = &mut out[..];
        for slice in which {
            let rows = layout.slices[slice].len();
            if rows == 0 {
                continue;
            }
            let (out, after) = rest.split_at_mut(rows * tiles.len() * TILE);
            rest = after;
            let quantized = &slices.read(slice).quantized;
            kernel.linear(linear.matrix(), quantized, tiles.clone(), out);
            if let Some(bias) = linear.bias() {
                add_bias(&bias[tiles.start * TILE..], out, rows);
            }
        }
        then(out);
    }

    /// Puts the outputs of some rows of slice `slice`, one of `which`, together: `[row][output]`.
    #[allow(clippy::too_many_arguments)] // Where from, which, and where to.
    pub(super) fn gather(
        &self,
        linear: &Linear,
        pieces: Pieces,
        layout: &Layout,
        which: Range<usize>,
        slice: usize,
        wanted: Range<usize>,
        out: &mut [f32],
    ) {
        let outputs = linear.matrix().rows();
        let lens = layout.slices[which.start..slice].iter().map(Range::len);
        let before: usize = lens.sum();
        let rows = layout.slices[slice].len();
        debug_assert_eq!(out.len(), wanted.len() * outputs);
        if wanted.is_empty() {
            return;
        }
        for piece in 0..pieces.count {
            let tiles = pieces.tiles(piece, linear);
            let from = self.pieces[piece]
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            let from = &from[before * tiles.len() * TILE..][..rows * tiles.len() * TILE];
            if rows == 1 {
                // A single row's tiles follow each other.
                let n = from.len().min(outputs - tiles.start * TILE);
                out[tiles.start * TILE..][..n].copy_from_slice(&from[..n]);
                continue;
            }
            for (tile, from) in tiles.zip(from.chunks_exact(rows * TILE)) {
                let n = TILE.min(outputs - tile * TILE);
                let from = from[wanted.start * TILE..].chunks_exact(TILE);
                for (out, from) in out[tile * TILE..].chunks_mut(outputs).zip(from) {
                    out[..n].copy_from_slice(&from[..n]);
                }
            }
        }
    }
}

/// Adds the outputs' biases. `out`: `[tile][row][16]`; padding of the last tile has none.
fn add_bias(bias: &[f32], out: &mut [f32], rows: usize) {
    for (bias, out) in bias.chunks(TILE).zip(out.chunks_exact_mut(rows * TILE)) {
        for out in out.chunks_exact_mut(TILE) {
            for (y, bias) in out.iter_mut().zip(bias) {
                *y += bias;
            }
        }
    }
}
