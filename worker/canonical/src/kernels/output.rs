//! Where products go: columns of a row-major matrix that threads fill side by side.

use std::{marker::PhantomData, ops::Range};

use super::TILE;

/// Some columns of a row-major matrix of outputs, exclusively borrowed.
///
/// Threads that compute different output columns write to the same rows; cutting the borrow by
/// columns lets them, without a copy.
#[derive(Debug)]
pub struct OutputColumns<'a> {
    /// Element `columns.start` of the first row.
    at: *mut f32,
    /// Elements from one row to the next.
    stride: usize,
    rows: usize,
    columns: Range<usize>,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is an exclusive borrow of its elements, which no other value may touch, like
// `&mut [f32]`.
unsafe impl Send for OutputColumns<'_> {}

impl<'a> OutputColumns<'a> {
    /// All columns of a matrix `[rows][columns]`.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn new(out: &'a mut [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(out.len(), rows * columns, "elements of the output");
        Self {
            at: out.as_mut_ptr(),
            stride: columns,
            rows,
            columns: 0..columns,
            borrow: PhantomData,
        }
    }

    /// Cuts it before column `column` of the whole matrix.
    ///
    /// # Panics
    /// If the column is not one of these, nor the one after them.
    pub fn split_at(self, column: usize) -> (Self, Self) {
        let Range { start, end } = self.columns;
        assert!(start <= column && column <= end, "column out of range");
        // Without rows there are no elements to point at, and none is ever written.
        let offset = if self.rows == 0 { 0 } else { column - start };
        // SAFETY: this stays inside the first row, or one element behind it.
        let at = unsafe { self.at.add(offset) };
        let high = Self {
            at,
            columns: column..end,
            ..self
        };
        let low = Self {
            columns: start..column,
            ..self
        };
        (low, high)
    }

    /// Cuts it into parts of `tiles` tiles each (16 columns a tile); the last may be smaller.
    ///
    /// # Panics
    /// If `tiles` is 0.
    pub fn chunks(self, tiles: usize) -> Vec<Self> {
        assert!(tiles > 0, "tiles of a part");
        let mut parts = Vec::new();
        let mut rest = self;
        while rest.columns.len() > tiles * TILE {
            let (part, after) = {
                let at = rest.columns.start + tiles * TILE;
                rest.split_at(at)
            };
            parts.push(part);
            rest = after;
        }
        parts.push(rest);
        parts
    }

    /// Which columns of the whole matrix these are.
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// Rows of the matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Where a tile's outputs go.
    pub(super) fn destination(&mut self) -> Destination {
        Destination {
            at: self.at,
            row_step: self.stride,
            tile_step: TILE,
            columns: self.columns.len(),
            rows: self.rows,
        }
    }
}

/// Where the outputs of a run of tiles go: row `r` of tile `t` starts at
/// `at + r * row_step + t * tile_step`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination {
    pub(super) at: *mut f32,
    pub(super) row_step: usize,
    pub(super) tile_step: usize,
    /// Outputs a row; the last tile may have fewer than 16.
    pub(super) columns: usize,
    /// Rows there is room for.
    pub(super) rows: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_columns_in_order() {
        let mut out = vec![0.0; 3 * 70];
        let parts = OutputColumns::new(&mut out, 3, 70).chunks(2);
        let columns: Vec<_> = parts.iter().map(OutputColumns::columns).collect();
        assert_eq!(columns, [0..32, 32..64, 64..70]);
        assert!(parts.iter().all(|part| part.rows() == 3));
        let empty = OutputColumns::new(&mut [], 0, 70).chunks(2);
        assert_eq!(empty.len(), 3);
    }
}
