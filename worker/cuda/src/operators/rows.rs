//! Operators that go over rows: quantise, norm, embedding, gather, gated activation.

use genesisflow_canonical::{
    kernels::WeightFormat,
    quantize_row::{blocks, BLOCK},
};

use super::{launch, narrow, need, number, optional, Activation, Faults, Matrix, Quantized};
use crate::device::{Arg, Device, DeviceError, Span};

/// Widest row that a norm keeps in shared memory.
const STAGED_COLUMNS: usize = 20_000;

/// Operator 1: quantises f32 rows `x`.
///
/// # Errors
/// [`DeviceError`].
pub fn quantize(
    device: &dyn Device,
    x: Span,
    rows: usize,
    columns: usize,
    out: Quantized,
    faults: Faults,
) -> Result<(), DeviceError> {
    need(x, rows * columns * 4, "x");
    out.check(rows, columns);
    let mut args = vec![x.arg(), number(columns), out.quants.arg(), out.scales.arg()];
    args.extend(faults.args(rows));
    let groups = blocks(columns).div_ceil(8);
    launch(device, "gf_quantize", [groups, rows, 1], 256, 0, &args)
}

/// Operator 4 over f32 rows `x`, in one pass with operator 1 of its result. `normed` gets the f32
/// rows, `quantized` the quantised ones; either may be left out.
///
/// # Errors
/// [`DeviceError`].
#[allow(clippy::too_many_arguments)] // Each is one thing, and all are needed.
pub fn rms_norm(
    device: &dyn Device,
    x: Span,
    weight: Span,
    eps: f32,
    rows: usize,
    columns: usize,
    normed: Option<Span>,
    quantized: Option<Quantized>,
    faults: Faults,
) -> Result<(), DeviceError> {
    need(x, rows * columns * 4, "x");
    need(weight, columns * 4, "weight");
    if let Some(normed) = normed {
        need(normed, rows * columns * 4, "normed");
    }
    if let Some(quantized) = quantized {
        quantized.check(rows, columns);
    }
    let staged = columns <= STAGED_COLUMNS;
    let mut args = vec![
        x.arg(),
        weight.arg(),
        Arg::F32(eps),
        number(columns),
        Arg::F32(columns as f32),
        Arg::U32(u32::from(staged)),
        optional(normed),
        optional(quantized.map(|q| q.quants)),
        optional(quantized.map(|q| q.scales)),
    ];
    args.extend(faults.args(rows));
    let shared = 272 + if staged { columns * 4 } else { 0 };
    // A warp for every block of 32 columns, up to 32 warps.
    let threads = (blocks(columns) * BLOCK).clamp(64, 1024);
    launch(device, "gf_rms_norm", [rows, 1, 1], threads, shared, &args)
}

/// Operator 8: rows of the embedding `matrix` (not gated) for u32 `tokens`.
///
/// # Errors
/// [`DeviceError`].
pub fn embed(
    device: &dyn Device,
    matrix: &Matrix,
    tokens: Span,
    rows: usize,
    out: Span,
) -> Result<(), DeviceError> {
    matrix.check();
    assert!(!matrix.gated, "an embedding is not a gated matrix");
    need(tokens, rows * 4, "tokens");
    need(out, rows * matrix.columns * 4, "out");
    let kernel = match matrix.format {
        WeightFormat::Q8_0 => "gf_embed_q8",
        WeightFormat::Q4_0 => "gf_embed_q4",
    };
    let args = [
        matrix.quants.arg(),
        matrix.scales.arg(),
        number(matrix.rows),
        number(matrix.columns),
        tokens.arg(),
        out.arg(),
    ];
    let groups = matrix.columns.div_ceil(256);
    launch(device, kernel, [groups, rows, 1], 256, 0, &args)
}

/// `out[i] = from[rows[i]]` for `count` rows of `width` f32 elements.
///
/// # Errors
/// [`DeviceError`].
pub fn gather(
    device: &dyn Device,
    from: Span,
    rows: Span,
    count: usize,
    width: usize,
    out: Span,
) -> Result<(), DeviceError> {
    need(rows, count * 4, "rows");
    need(out, count * width * 4, "out");
    need(from, width * 4, "from");
    let args = [
        from.arg(),
        number(from.bytes() / (width * 4)),
        rows.arg(),
        number(width),
        out.arg(),
    ];
    let groups = width.div_ceil(256);
    launch(device, "gf_gather", [groups, count, 1], 256, 0, &args)
}

/// `out = act(gate) * up` over `count` f32 elements, for layers whose halves are matrices of
/// different formats. ([`super::linear`] does it itself for a gated matrix.) `out` may be `gate`.
///
/// # Errors
/// [`DeviceError`].
pub fn gated(
    device: &dyn Device,
    gate: Span,
    up: Span,
    activation: Activation,
    count: usize,
    out: Span,
) -> Result<(), DeviceError> {
    for (span, name) in [(gate, "gate"), (up, "up"), (out, "out")] {
        need(span, count * 4, name);
    }
    let args = [
        gate.arg(),
        up.arg(),
        Arg::U32(activation.number()),
        Arg::U32(narrow(count)),
        out.arg(),
    ];
    let groups = count.div_ceil(256).min(4096);
    launch(device, "gf_gated", [groups, 1, 1], 256, 0, &args)
}
