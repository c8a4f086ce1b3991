//! The sampler's candidates.

use genesisflow_canonical::sampler::MAX_TOP_K;

use super::{launch, need, need_aligned, number};
use crate::{
    device::{Device, DeviceError, Span},
    layout::{candidates_bytes, candidates_scratch_bytes, STRETCH},
};

/// The first `keep` (1 to 64) of each row of f32 `logits`, ordered by (logit descending, id
/// ascending), for `sampler::choose`.
///
/// `scratch`: [`candidates_scratch_bytes`]. `out`: [`candidates_bytes`]; `[row][64]` of a logit and
/// an id, the first `min(keep, width)` of them set.
///
/// # Errors
/// [`DeviceError`].
pub fn candidates(
    device: &dyn Device,
    logits: Span,
    rows: usize,
    width: usize,
    keep: usize,
    scratch: Span,
    out: Span,
) -> Result<(), DeviceError> {
    assert!((1..=usize::from(MAX_TOP_K)).contains(&keep), "{keep}");
    need(logits, rows * width * 4, "logits");
    need_aligned(scratch, candidates_scratch_bytes(rows, width), "scratch");
    need_aligned(out, candidates_bytes(rows), "out");
    let stretches = width.div_ceil(STRETCH);
    let shared = STRETCH * 8;
    let args = [logits.arg(), number(width), number(keep), scratch.arg()];
    let grid = [stretches, rows, 1];
    launch(device, "gf_candidates_of_stretch", grid, 256, shared, &args)?;
    let args = [
        scratch.arg(),
        number(stretches * keep),
        logits.arg(),
        number(width),
        number(keep),
        out.arg(),
    ];
    launch(device, "gf_candidates", [rows, 1, 1], 256, shared, &args)
}
