//! A linear layer: a packed matrix, a bias, and how its work is split.

use genesisflow_canonical::kernels::{Kernel, PackedMatrix, QuantizedRows, TILE};

use crate::{
    loading::matrix,
    threads::Split,
    weights::{TensorSource, WeightsError},
};

use super::check_magnitudes;

#[derive(Debug)]
pub(super) struct Linear {
    matrix: PackedMatrix,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Loads layers of `columns` inputs as one, their outputs one below the other.
    ///
    /// `parts`: names (of which `.weight` and, if `biased`, `.bias` are read) and numbers of
    /// outputs.
    pub(super) fn load(
        source: &mut dyn TensorSource,
        parts: &[(String, usize)],
        columns: usize,
        biased: bool,
    ) -> Result<Self, WeightsError> {
        let weights: Vec<_> = parts
            .iter()
            .map(|(part, rows)| (format!("{part}.weight"), *rows))
            .collect();
        let matrix = matrix::stacked(source, &weights, columns)?;
        let mut bias = biased.then(Vec::new);
        if let Some(bias) = &mut bias {
            for (part, rows) in parts {
                let name = format!("{part}.bias");
                let values = source.vector(&name, *rows)?;
                check_magnitudes(&name, &values)?;
                bias.extend_from_slice(&values);
            }
        }
        Ok(Self { matrix, bias })
    }

    pub(super) fn matrix(&self) -> &PackedMatrix {
        &self.matrix
    }

    /// The bias, if there is one.
    #[cfg(feature = "f32-mode")]
    pub(super) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    pub(super) fn bytes(&self) -> usize {
        self.matrix.bytes()
    }

    /// Multiply-adds for one row of activations.
    pub(super) fn work(&self) -> u64 {
        self.matrix.rows() as u64 * self.matrix.columns() as u64
    }

    /// Applies the layer to every row of `x`; `out`: `[row of x][output]`. `tiled` is scratch.
    pub(super) fn apply(
        &self,
        kernel: Kernel,
        split: Split,
        x: &QuantizedRows,
        tiled: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let (rows, outputs, tiles) = (x.rows(), self.matrix.rows(), self.matrix.tiles());
        debug_assert_eq!(out.len(), rows * outputs);
        if rows == 0 {
            return;
        }
        let work = rows as u64 * self.work();
        let tile_len = rows * TILE;
        // A few pieces for each thread, so that a delayed one does not hold up the rest.
        let pieces = match split.parts(work) {
            1 => 1,
            parts => (4 * parts)
                .min((work >> 17) as usize)
                .clamp(parts, tiles.max(parts)),
        };
        let tiles_each = tiles.div_ceil(pieces).max(1);
        tiled.resize(tiles * tile_len, 0.0);
        split.chunks(tiled, tiles_each * tile_len, work, |index, chunk| {
            let first = index * tiles_each;
            let last = first + chunk.len() / tile_len;
            kernel.linear(&self.matrix, x, first..last, chunk);
        });
        for (tile, tiled) in tiled.chunks_exact(tile_len).enumerate() {
            let first = tile * TILE;
            let n = TILE.min(outputs - first);
            for (out, tiled) in out.chunks_exact_mut(outputs).zip(tiled.chunks_exact(TILE)) {
                out[first..first + n].copy_from_slice(&tiled[..n]);
            }
        }
        if let Some(bias) = &self.bias {
            for out in out.chunks_exact_mut(outputs) {
                for (y, bias) in out.iter_mut().zip(bias) {
                    *y += bias;
                }
            }
        }
    }
}
