//! Working memory of steps on a device.

use std::sync::Arc;

use genesisflow_cuda::{
    device::{Buffer, Device, DeviceError, Span},
    layout,
    operators::Quantized,
};

use crate::config::DecoderConfig;

use super::rows::{Input, Sizes};

/// Rows of logits that are held at once: a vocabulary is wide.
pub(super) const HEAD_ROWS: usize = 256;

/// Bytes to which the parts of the results are padded.
const PART: usize = 256;

/// Bytes of each buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    hidden: usize,
    quants: usize,
    scales: usize,
    qkv: usize,
    queries: usize,
    inner: usize,
    /// Of a feed-forward layer whose halves are apart.
    up: usize,
    logits: usize,
    scratch: usize,
    inputs: usize,
    tables: usize,
    results: usize,
}

impl Needs {
    /// What a step of these sizes needs.
    pub(super) fn of(c: &DecoderConfig, sizes: &Sizes) -> Self {
        let (rows, sampled) = (sizes.rows.max(sizes.sampled), sizes.sampled);
        let queries = c.heads * c.head_dim;
        let widest = c.hidden_size.max(c.intermediate_size).max(queries);
        let head_rows = if sizes.keep > 0 {
            sampled.min(HEAD_ROWS)
        } else {
            0
        };
        // Room for one row: those for which there is none are taken after each other.
        let singles = sizes.singles.max(sizes.sampled_singles).min(1);
        let attention =
            layout::attention_scratch_bytes(singles, c.heads, c.head_dim, sizes.positions);
        Self {
            hidden: 4 * rows * c.hidden_size,
            quants: layout::quants_bytes(rows, widest),
            scales: layout::scales_bytes(rows, widest),
            qkv: 4 * rows * (queries + 2 * c.kv_heads * c.head_dim),
            queries: 4 * rows * queries,
            inner: 4 * rows * c.intermediate_size,
            up: 4 * rows * c.intermediate_size,
            logits: 4 * head_rows * c.vocab_size,
            scratch: attention.max(layout::candidates_scratch_bytes(head_rows, c.vocab_size)),
            inputs: 4 * Input::total(sizes),
            tables: 4 * sizes.sequences * sizes.stride,
            results: Results::of(c, sizes).bytes,
        }
    }

    /// The larger of both for each buffer.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            hidden: self.hidden.max(other.hidden),
            quants: self.quants.max(other.quants),
            scales: self.scales.max(other.scales),
            qkv: self.qkv.max(other.qkv),
            queries: self.queries.max(other.queries),
            inner: self.inner.max(other.inner),
            up: self.up.max(other.up),
            logits: self.logits.max(other.logits),
            scratch: self.scratch.max(other.scratch),
            inputs: self.inputs.max(other.inputs),
            tables: self.tables.max(other.tables),
            results: self.results.max(other.results),
        }
    }

    /// With room for so many single rows at positions below this side by side.
    pub(super) fn with_singles(self, c: &DecoderConfig, singles: usize, positions: usize) -> Self {
        let scratch = layout::attention_scratch_bytes(singles, c.heads, c.head_dim, positions);
        Self {
            scratch: self.scratch.max(scratch),
            ..self
        }
    }

    /// All bytes.
    pub(super) fn total(&self) -> usize {
        2 * (self.hidden + self.queries)
            + self.quants
            + self.scales
            + self.qkv
            + self.inner
            + self.up
            + self.logits
            + self.scratch
            + self.inputs
            + self.tables
            + self.results
    }
}

/// Where a step's results lie: one stretch of memory, copied out at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Results {
    /// A word for each row.
    pub(super) faults: usize,
    /// 64 candidates for each sampled row.
    pub(super) candidates: usize,
    /// The states of the sampled rows.
    pub(super) states: usize,
    /// All bytes.
    pub(super) bytes: usize,
}

impl Results {
    pub(super) fn of(c: &DecoderConfig, sizes: &Sizes) -> Self {
        let candidates = if sizes.keep > 0 {
            layout::candidates_bytes(sizes.sampled)
        } else {
            0
        };
        let candidates_at = (4 * sizes.rows).next_multiple_of(PART);
        let states_at = (candidates_at + candidates).next_multiple_of(PART);
        Self {
            faults: 0,
            candidates: candidates_at,
            states: states_at,
            bytes: states_at + 4 * sizes.sampled * c.hidden_size,
        }
    }
}

/// The buffers.
#[derive(Debug)]
pub(super) struct Workspace {
    /// The residual stream, and that of the sampled rows.
    pub(super) hidden: [Buffer; 2],
    quants: Buffer,
    scales: Buffer,
    pub(super) qkv: Buffer,
    /// Rotated queries, and those of the sampled rows.
    pub(super) queries: [Buffer; 2],
    pub(super) inner: Buffer,
    pub(super) up: Buffer,
    pub(super) logits: Buffer,
    pub(super) scratch: Buffer,
    pub(super) inputs: Buffer,
    pub(super) tables: Buffer,
    pub(super) results: Buffer,
}

impl Workspace {
    pub(super) fn new(device: &Arc<dyn Device>, needs: Needs) -> Result<Self, DeviceError> {
        let buffer = |bytes| Buffer::zeroed(device, bytes);
        Ok(Self {
            hidden: [buffer(needs.hidden)?, buffer(needs.hidden)?],
            quants: buffer(needs.quants)?,
            scales: buffer(needs.scales)?,
            qkv: buffer(needs.qkv)?,
            queries: [buffer(needs.queries)?, buffer(needs.queries)?],
            inner: buffer(needs.inner)?,
            up: buffer(needs.up)?,
            logits: buffer(needs.logits)?,
            scratch: buffer(needs.scratch)?,
            inputs: buffer(needs.inputs)?,
            tables: buffer(needs.tables)?,
            results: buffer(needs.results)?,
        })
    }

    /// Every buffer, and what it needs.
    fn buffers(&mut self, needs: &Needs) -> [(&mut Buffer, usize); 14] {
        let [hidden, sampled_hidden] = &mut self.hidden;
        let [queries, sampled_queries] = &mut self.queries;
        [
            (hidden, needs.hidden),
            (sampled_hidden, needs.hidden),
            (&mut self.quants, needs.quants),
            (&mut self.scales, needs.scales),
            (&mut self.qkv, needs.qkv),
            (queries, needs.queries),
            (sampled_queries, needs.queries),
            (&mut self.inner, needs.inner),
            (&mut self.up, needs.up),
            (&mut self.logits, needs.logits),
            (&mut self.scratch, needs.scratch),
            (&mut self.inputs, needs.inputs),
            (&mut self.tables, needs.tables),
            (&mut self.results, needs.results),
        ]
    }

    /// Whether every buffer is large enough.
    pub(super) fn has_room(&mut self, needs: &Needs) -> bool {
        let buffers = self.buffers(needs);
        buffers
            .iter()
            .all(|(buffer, bytes)| buffer.bytes() >= *bytes)
    }

    /// Replaces the buffers that are too small. What they held is lost.
    pub(super) fn make_room(
        &mut self,
        device: &Arc<dyn Device>,
        needs: &Needs,
    ) -> Result<(), DeviceError> {
        for (buffer, bytes) in self.buffers(needs) {
            if buffer.bytes() < bytes {
                // Given back first: keys and values have taken what else was free.
                *buffer = Buffer::zeroed(device, 1)?;
                *buffer = Buffer::zeroed(device, bytes)?;
            }
        }
        Ok(())
    }

    /// Where rows are quantised.
    pub(super) fn quantized(&self) -> Quantized<'_> {
        Quantized {
            quants: self.quants.span(),
            scales: self.scales.span(),
        }
    }

    /// A part of the inputs; none if the step has none of it.
    pub(super) fn input(&self, part: Input, sizes: &Sizes) -> Span<'_> {
        let bytes = 4 * part.words(sizes);
        self.inputs.span().part(4 * part.start(sizes), bytes)
    }
}
