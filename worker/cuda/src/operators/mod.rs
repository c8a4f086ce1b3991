//! The canonical operators on a device: one function each, which launches the kernel that fits.
//!
//! All take [`Span`]s of device memory and check their sizes; what they hold (token ids, positions,
//! block tables) is bounded by the kernels, so that wrong content gives wrong numbers but never
//! touches memory outside the buffers. Work is asked for, not waited for.
//!
//! # Panics
//! All functions panic if a span is smaller than the shape needs, if quantised rows, weights, keys,
//! values or working memory are not aligned to 16 bytes, or if a number of the shape is 0 or beyond
//! 2^31: the caller computed it wrong.

mod attention;
mod candidates;
mod heads;
mod linear;
mod rows;

pub use attention::{attend, AttentionPlan, AttentionTask};
pub use candidates::candidates;
pub use heads::{heads, HeadsTask, Rope};
pub use linear::{linear, LinearOutput, Matrix};
pub use rows::{embed, gated, gather, quantize, rms_norm};

use crate::{
    device::{Arg, Device, DeviceError, Launch, Span},
    layout,
};

/// Rows of activations quantised to int8, as [`quantize`] makes and [`linear`] reads them.
#[derive(Clone, Copy, Debug)]
pub struct Quantized<'a> {
    /// [`layout::quants_bytes`] bytes.
    pub quants: Span<'a>,
    /// [`layout::scales_bytes`] bytes.
    pub scales: Span<'a>,
}

impl Quantized<'_> {
    fn check(self, rows: usize, columns: usize) {
        need_aligned(self.quants, layout::quants_bytes(rows, columns), "quants");
        need_aligned(self.scales, layout::scales_bytes(rows, columns), "scales");
    }
}

/// Where faults are noted: `at[row]` becomes the least code, so set all to `u32::MAX` before a
/// step and let codes ascend in the order of evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Faults<'a> {
    /// u32 for each row of the step.
    pub at: Span<'a>,
    /// u32 for each row of the operator: its row of the step. `None`: the same.
    pub row_of: Option<Span<'a>>,
    /// The code of a fault found now.
    pub code: u32,
}

impl Faults<'_> {
    fn args(self, rows: usize) -> [Arg; 4] {
        match self.row_of {
            Some(row_of) => need(row_of, rows * 4, "row_of"),
            None => need(self.at, rows * 4, "faults"),
        }
        need(self.at, 4, "faults");
        [
            self.at.arg(),
            number(self.at.bytes() / 4),
            optional(self.row_of),
            Arg::U32(self.code),
        ]
    }
}

/// The function between the halves of a gated layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `silu(gate) * up`.
    Silu,
    /// `gelu_tanh(gate) * up`.
    GeluTanh,
}

impl Activation {
    /// As kernels/arithmetic.cuh numbers them; 0 is none.
    const fn number(self) -> u32 {
        match self {
            Self::Silu => 1,
            Self::GeluTanh => 2,
        }
    }
}

/// Heads of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadShape {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even, at most 512.
    pub head_dim: usize,
}

/// Rows of a step and where they stand in their sequences.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// How many.
    pub count: usize,
    /// u32 for each row: its position.
    pub positions: Span<'a>,
    /// u32 for each row: its sequence, an index into `tables`.
    pub sequences: Span<'a>,
    /// u32 `[sequence][table_stride]`: blocks of the cache in the order of the positions.
    pub tables: Span<'a>,
    /// Entries of a sequence's table.
    pub table_stride: usize,
    /// Tables.
    pub sequence_count: usize,
}

impl Rows<'_> {
    fn check(self) {
        need(self.positions, self.count * 4, "positions");
        need(self.sequences, self.count * 4, "sequences");
        let tables = self.sequence_count * self.table_stride * 4;
        need(self.tables, tables, "tables");
        assert!(tables > 0, "no block tables");
    }
}

/// Checks that a span is large enough.
#[track_caller]
fn need(span: Span, bytes: usize, name: &str) {
    assert!(
        span.bytes() >= bytes,
        "{name} needs {bytes} bytes, not {}",
        span.bytes()
    );
}

/// [`need`], for what kernels read 16 bytes at a time.
#[track_caller]
fn need_aligned(span: Span, bytes: usize, name: &str) {
    need(span, bytes, name);
    let at = span.address();
    assert!(at.0.is_multiple_of(16), "{name} at {at:?} is not aligned");
}

#[track_caller]
fn number(n: usize) -> Arg {
    Arg::U32(narrow(n))
}

#[track_caller]
fn narrow(n: usize) -> u32 {
    assert!(n < 1 << 31, "{n} is beyond what a kernel can count");
    n as u32
}

fn optional(span: Option<Span>) -> Arg {
    span.map_or(Arg::NULL, Span::arg)
}

/// Launches a kernel whose arguments an operator has checked.
#[track_caller]
fn launch(
    device: &dyn Device,
    kernel: &str,
    grid: [usize; 3],
    threads: usize,
    shared_bytes: usize,
    args: &[Arg],
) -> Result<(), DeviceError> {
    let grid = grid.map(narrow);
    assert!(
        grid.iter().all(|n| *n > 0) && grid[1] <= 65_535 && grid[2] <= 65_535,
        "{kernel}: a grid of {grid:?} blocks cannot be launched"
    );
    let launch = Launch {
        kernel,
        grid,
        threads: narrow(threads),
        shared_bytes: narrow(shared_bytes),
        args,
    };
    // SAFETY: the operators of this module pass each kernel's arguments in its order, and have
    // checked that the spans hold what it reads and writes for this shape; indices in memory are
    // bounded by the kernels.
    unsafe { device.launch(&launch) }
}
