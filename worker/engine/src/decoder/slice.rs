//! Rows that go through the row phases together.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use genesisflow_canonical::kernels::{Kernel, QuantizedRows};
use half::f16;

/// Working memory of some rows of a step.
#[derive(Debug, Default)]
pub(super) struct Slice {
    /// The residual stream, `[row][hidden_size]`.
    pub(super) hidden: Vec<f32>,
    /// What is quantised next, and in the end the states.
    pub(super) normed: Vec<f32>,
    /// What the next linear layer reads.
    pub(super) quantized: QuantizedRows,
    /// What the last linear layer gave.
    pub(super) gathered: Vec<f32>,
    /// Rotated queries, `[row][heads * head_dim]`.
    pub(super) queries: Vec<f32>,
    /// Rounded keys and values, `[row][KV heads * head_dim]`, and which of them are to be written.
    pub(super) keys: Vec<f16>,
    pub(super) values: Vec<f16>,
    pub(super) written: Vec<(bool, bool)>,
    /// `[row][head_dim / 2]`.
    pub(super) cos: Vec<f32>,
    pub(super) sin: Vec<f32>,
}

impl Slice {
    /// Quantises `normed`. `overflow` hears of rows that cannot be; they count as zeros.
    pub(super) fn quantize(
        &mut self,
        kernel: Kernel,
        columns: usize,
        mut overflow: impl FnMut(usize),
    ) {
        while let Err(row) = self.quantized.fill(kernel, &self.normed, columns) {
            overflow(row);
            self.normed[row * columns..(row + 1) * columns].fill(0.0);
        }
    }
}

/// All slices of a step.
#[derive(Debug, Default)]
pub(super) struct Slices(Vec<RwLock<Slice>>);

impl Slices {
    /// Makes room for so many.
    pub(super) fn reserve(&mut self, count: usize) {
        if self.0.len() < count {
            self.0.resize_with(count, RwLock::default);
        }
    }

    pub(super) fn read(&self, index: usize) -> RwLockReadGuard<'_, Slice> {
        self.0[index].read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, index: usize) -> RwLockWriteGuard<'_, Slice> {
        self.0[index]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
