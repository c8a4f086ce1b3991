//! The launches of a step.

use genesisflow_canonical::attention::score_scale;
use genesisflow_cuda::{
    device::{Device, DeviceError, Span},
    layout,
    operators::{
        self, Activation, AttentionPlan, AttentionTask, Faults, HeadShape, HeadsTask, LinearOutput,
        Quantized, Rope, Rows,
    },
};

use super::{
    cache::Cache,
    rows::{Input, Sizes},
    stages::Stage,
    weights::{DeviceLayer, DeviceLinear, Inner, Weights},
    workspace::{Results, Workspace, HEAD_ROWS},
};

/// Everything that a step works on. Nothing in it changes from step to step of equal sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) device: &'a dyn Device,
    pub(super) weights: &'a Weights,
    pub(super) space: &'a Workspace,
    pub(super) cache: &'a Cache,
    pub(super) rope: Rope<'a>,
    pub(super) sizes: Sizes,
}

/// Rows that go through a part of a layer.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    rows: Rows<'a>,
    /// How many come first that are alone in their run.
    singles: usize,
    tiles: Span<'a>,
    tile_count: usize,
    /// Which rows of the step they are, if not all.
    row_of: Option<Span<'a>>,
    hidden: Span<'a>,
    queries: Span<'a>,
}

impl<'a> Step<'a> {
    /// From the inputs to the results.
    pub(super) fn launch(&self) -> Result<(), DeviceError> {
        let c = &self.weights.config;
        let all = self.all();
        let results = Results::of(c, &self.sizes);
        let faults = self
            .space
            .results
            .span()
            .part(results.faults, 4 * self.sizes.rows);
        faults.fill(0xff)?;
        let tokens = self.space.input(Input::Tokens, &self.sizes);
        let embedding = self.weights.embedding.matrix();
        operators::embed(self.device, &embedding, tokens, all.rows.count, all.hidden)?;
        if let Some(first) = self.weights.layers.first() {
            self.norm(&first.attention_norm.span(), all, Stage::Normed(0))?;
        }
        for (index, layer) in self.weights.layers.iter().enumerate() {
            self.keys_values(layer, index, all)?;
            let next = self.weights.layers.get(index + 1);
            // After keys and values, the last layer goes on for sampled positions only.
            let rest = match next {
                None if self.sizes.sampled == 0 => return Ok(()),
                None if !self.sizes.all_sampled() => self.leave_behind(all)?,
                _ => all,
            };
            self.attention(layer, index, rest)?;
            self.feed_forward(layer, index, rest)?;
            match next {
                Some(next) => {
                    self.norm(&next.attention_norm.span(), rest, Stage::Normed(index + 1))?;
                }
                None => self.states(rest, index)?,
            }
        }
        if self.sizes.keep > 0 {
            self.head()?;
        }
        Ok(())
    }

    /// All rows.
    fn all(&self) -> Part<'a> {
        let sizes = &self.sizes;
        Part {
            rows: self.rows(sizes.rows, Input::Positions, Input::Sequences),
            singles: sizes.singles,
            tiles: self.space.input(Input::Tiles, sizes),
            tile_count: sizes.tiles,
            row_of: None,
            hidden: self.space.hidden[0].span(),
            queries: self.space.queries[0].span(),
        }
    }

    /// The sampled rows, gathered from all.
    fn leave_behind(&self, all: Part<'a>) -> Result<Part<'a>, DeviceError> {
        let (c, sizes) = (&self.weights.config, &self.sizes);
        let rows = self.rows(
            sizes.sampled,
            Input::SampledPositions,
            Input::SampledSequences,
        );
        let row_of = self.space.input(Input::SampledRows, sizes);
        let sampled = Part {
            rows,
            singles: sizes.sampled_singles,
            tiles: self.space.input(Input::SampledTiles, sizes),
            tile_count: sizes.sampled_tiles,
            row_of: Some(row_of),
            hidden: self.space.hidden[1].span(),
            queries: self.space.queries[1].span(),
        };
        for (from, width, to) in [
            (all.hidden, c.hidden_size, sampled.hidden),
            (all.queries, c.heads * c.head_dim, sampled.queries),
        ] {
            let from = from.part(0, 4 * sizes.rows * width);
            operators::gather(self.device, from, row_of, rows.count, width, to)?;
        }
        Ok(sampled)
    }

    fn rows(&self, count: usize, positions: Input, sequences: Input) -> Rows<'a> {
        Rows {
            count,
            positions: self.space.input(positions, &self.sizes),
            sequences: self.space.input(sequences, &self.sizes),
            tables: self.space.tables.span(),
            table_stride: self.sizes.stride,
            sequence_count: self.sizes.sequences,
        }
    }

    fn faults(&self, row_of: Option<Span<'a>>, stage: Stage) -> Faults<'a> {
        let results = Results::of(&self.weights.config, &self.sizes);
        let at = self.space.results.span();
        Faults {
            at: at.part(results.faults, 4 * self.sizes.rows),
            row_of,
            code: stage.code(),
        }
    }

    fn shape(&self) -> HeadShape {
        let c = &self.weights.config;
        HeadShape {
            heads: c.heads,
            kv_heads: c.kv_heads,
            head_dim: c.head_dim,
        }
    }

    fn eps(&self) -> f32 {
        self.weights.config.rms_norm_eps as f32
    }

    fn quantized(&self) -> Quantized<'a> {
        self.space.quantized()
    }

    /// Norms the residual stream and quantises it.
    fn norm(&self, weight: &Span<'a>, part: Part<'a>, stage: Stage) -> Result<(), DeviceError> {
        operators::rms_norm(
            self.device,
            part.hidden,
            *weight,
            self.eps(),
            part.rows.count,
            self.weights.config.hidden_size,
            None,
            Some(self.quantized()),
            self.faults(part.row_of, stage),
        )
    }

    fn linear(
        &self,
        linear: &'a DeviceLinear,
        rows: usize,
        residual: Option<Span<'a>>,
        out: Span<'a>,
    ) -> Result<(), DeviceError> {
        let output = LinearOutput {
            bias: linear.bias(),
            activation: Activation::Silu,
            residual,
            out,
        };
        operators::linear(
            self.device,
            &linear.matrix(),
            self.quantized(),
            rows,
            output,
        )
    }

    /// Queries, keys and values of all rows; the latter two go into the cache.
    fn keys_values(
        &self,
        layer: &'a DeviceLayer,
        index: usize,
        all: Part<'a>,
    ) -> Result<(), DeviceError> {
        let qkv = self.space.qkv.span();
        self.linear(&layer.qkv, all.rows.count, None, qkv)?;
        let task = HeadsTask {
            qkv,
            shape: self.shape(),
            query_norm: layer.query_norm.as_ref().map(|norm| norm.span()),
            key_norm: layer.key_norm.as_ref().map(|norm| norm.span()),
            eps: self.eps(),
            rope: self.rope,
            rows: all.rows,
            keys: self.cache.keys(index),
            values: self.cache.values(index),
            kv_blocks: self.cache.blocks(),
            queries: all.queries,
        };
        operators::heads(self.device, &task, self.faults(None, Stage::Keys(index)))
    }

    /// Attention and its output, added to the residual stream, which is normed and quantised then.
    fn attention(
        &self,
        layer: &'a DeviceLayer,
        index: usize,
        part: Part<'a>,
    ) -> Result<(), DeviceError> {
        let c = &self.weights.config;
        let (count, width) = (part.rows.count, c.heads * c.head_dim);
        // Queries, keys and values have been taken from there.
        let attended = self.space.qkv.span();
        let stage = Stage::Rest(index);
        let task = |first: usize, count: usize| {
            let words = |span: Span<'a>, each: usize| span.part(4 * first * each, 4 * count * each);
            AttentionTask {
                queries: words(part.queries, width),
                shape: self.shape(),
                rows: Rows {
                    count,
                    positions: words(part.rows.positions, 1),
                    sequences: words(part.rows.sequences, 1),
                    ..part.rows
                },
                keys: self.cache.keys(index),
                values: self.cache.values(index),
                kv_blocks: self.cache.blocks(),
                window: c.window,
                scale: score_scale(c.head_dim),
                soft_cap: None,
                out: words(attended, width),
                quantized: None,
            }
        };
        let faults = self.faults(part.row_of, stage);
        let scratch = self.space.scratch.span();
        let decode = AttentionPlan::Decode {
            max_positions: self.sizes.positions,
            scratch,
        };
        let each = layout::attention_scratch_bytes(1, c.heads, c.head_dim, self.sizes.positions);
        let at_once = (scratch.bytes() / each).max(1);
        if part.singles == count && count <= at_once {
            let task = AttentionTask {
                quantized: Some(self.quantized()),
                ..task(0, count)
            };
            operators::attend(self.device, &task, decode, faults)?;
        } else {
            for first in (0..part.singles).step_by(at_once) {
                let task = task(first, at_once.min(part.singles - first));
                operators::attend(self.device, &task, decode, faults)?;
            }
            if part.singles < count {
                let plan = AttentionPlan::Prefill {
                    tiles: part.tiles,
                    tile_count: part.tile_count,
                };
                let task = task(part.singles, count - part.singles);
                operators::attend(self.device, &task, plan, faults)?;
            }
            let quantized = self.quantized();
            operators::quantize(self.device, attended, count, width, quantized, faults)?;
        }
        self.linear(&layer.output, count, Some(part.hidden), part.hidden)?;
        self.norm(&layer.mlp_norm.span(), part, stage)
    }

    /// The feed-forward layer, added to the residual stream.
    fn feed_forward(
        &self,
        layer: &'a DeviceLayer,
        index: usize,
        part: Part<'a>,
    ) -> Result<(), DeviceError> {
        let width = self.weights.config.intermediate_size;
        let count = part.rows.count;
        let inner = self.space.inner.span();
        match &layer.inner {
            Inner::Gated(both) => self.linear(both, count, None, inner)?,
            Inner::Apart(gate, up) => {
                let ups = self.space.up.span();
                self.linear(gate, count, None, inner)?;
                self.linear(up, count, None, ups)?;
                let n = count * width;
                operators::gated(self.device, inner, ups, Activation::Silu, n, inner)?;
            }
        }
        let faults = self.faults(part.row_of, Stage::Rest(index));
        let quantized = self.quantized();
        operators::quantize(self.device, inner, count, width, quantized, faults)?;
        self.linear(&layer.down, count, Some(part.hidden), part.hidden)
    }

    /// The final norm: states, and what the head reads if tokens are wanted.
    fn states(&self, part: Part<'a>, last: usize) -> Result<(), DeviceError> {
        let c = &self.weights.config;
        let results = Results::of(c, &self.sizes);
        let bytes = 4 * part.rows.count * c.hidden_size;
        let states = self.space.results.span().part(results.states, bytes);
        operators::rms_norm(
            self.device,
            part.hidden,
            self.weights.final_norm.span(),
            self.eps(),
            part.rows.count,
            c.hidden_size,
            Some(states),
            (self.sizes.keep > 0).then(|| self.quantized()),
            self.faults(part.row_of, Stage::Rest(last)),
        )
    }

    /// Logits of the quantised states, and of these the candidates.
    fn head(&self) -> Result<(), DeviceError> {
        let c = &self.weights.config;
        let results = Results::of(c, &self.sizes);
        let candidates = self.space.results.span().from(results.candidates);
        let logits = self.space.logits.span();
        for first in (0..self.sizes.sampled).step_by(HEAD_ROWS) {
            let count = HEAD_ROWS.min(self.sizes.sampled - first);
            self.logits(first, count)?;
            operators::candidates(
                self.device,
                logits,
                count,
                c.vocab_size,
                self.sizes.keep as usize,
                self.space.scratch.span(),
                candidates.from(layout::candidates_bytes(first)),
            )?;
        }
        Ok(())
    }

    /// Logits of some of the quantised rows, the first a multiple of 8.
    pub(super) fn logits(&self, first: usize, count: usize) -> Result<(), DeviceError> {
        let columns = self.weights.config.hidden_size;
        let all = self.quantized();
        let quantized = Quantized {
            quants: all.quants.from(layout::quants_bytes(first, columns)),
            scales: all.scales.from(layout::scales_bytes(first, columns)),
        };
        let head = self.weights.head();
        let output = LinearOutput::to(self.space.logits.span());
        operators::linear(self.device, &head.matrix(), quantized, count, output)
    }
}
