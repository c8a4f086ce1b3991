//! The phases of the decoder's layers.

use std::{
    cell::RefCell,
    sync::{PoisonError, RwLock},
};

use genesisflow_canonical::{
    attention::{round_key_value, score_scale, KeyValueOverflow, Scoring},
    embedding::embed,
    kernels::{AttentionScratch, AttentionTask},
    quantize_row::{blocks, BLOCK},
    rope::cos_sin,
};
use half::f16;

use crate::request::FaultCode;

use super::{
    fault::Before,
    linear::Linear,
    pass::{Aim, Phases},
    plan::{Layout, RowPlace},
    products::Pieces,
    slice::Slice,
    Layer,
};

thread_local! {
    /// Attention's working memory and gathered queries, one of each per compute thread.
    static ATTENTION: RefCell<(AttentionScratch, Vec<f32>)> = RefCell::default();
}

/// Outputs of the attention tasks, `[block][KV head]`, each `[row of block][group][head_dim]`.
#[derive(Debug, Default)]
pub(super) struct Attended(Vec<RwLock<Vec<f32>>>);

impl Attended {
    /// Makes room for so many tasks.
    pub(super) fn reserve(&mut self, tasks: usize) {
        if self.0.len() < tasks {
            self.0.resize_with(tasks, RwLock::default);
        }
    }
}

impl Phases<'_> {
    /// From the tokens to the states after the final norm.
    pub(super) fn layers(&self) {
        let all = &self.state.plan.all;
        self.rows(all, |slice, index| self.embed(slice, index));
        let layers = &self.network.layers;
        for (index, layer) in layers.iter().enumerate() {
            let is_last = index + 1 == layers.len();
            // After keys and values, the last layer goes on for sampled positions only.
            let rest = if is_last {
                &self.state.plan.sampled
            } else {
                all
            };
            self.product(&layer.qkv, all, |slice, at| {
                self.keys_values(layer, index, rest, slice, at);
            });
            if rest.rows.is_empty() {
                return;
            }
            self.attention(index, rest);
            self.product(&layer.output, rest, |slice, at| {
                self.add_to_stream(rest, slice, at);
                self.norm(&layer.mlp_norm, rest, slice, at);
                self.quantize_stream(rest, slice, at, Before::Values(index));
            });
            self.feed_forward(layer, index, rest);
            self.product(&layer.down, rest, |slice, at| {
                self.add_to_stream(rest, slice, at);
                match layers.get(index + 1) {
                    Some(next) => {
                        self.norm(&next.attention_norm, rest, slice, at);
                        self.quantize_stream(rest, slice, at, Before::Keys(index + 1));
                    }
                    None => {
                        self.norm(&self.network.final_norm, rest, slice, at);
                        if self.state.aim == Aim::Tokens {
                            self.quantize_stream(rest, slice, at, Before::Values(index));
                        }
                    }
                }
            });
        }
    }

    /// A row phase: `f` gets every slice and its index.
    pub(super) fn rows(&self, layout: &Layout, f: impl Fn(&mut Slice, usize)) {
        self.member.each(layout.slices.len(), |index| {
            f(&mut self.state.slices.write(index), index);
        });
    }

    /// A linear layer over the quantised rows, and a row phase that finds its outputs in
    /// `gathered`.
    fn product(&self, linear: &Linear, layout: &Layout, then: impl Fn(&mut Slice, usize)) {
        let (state, kernel) = (self.state, self.network.kernel);
        let slices = layout.slices.len();
        let pieces = Pieces::new(linear, layout.rows.len(), slices, self.member.count());
        let multiply = |piece| {
            let at = (pieces, piece);
            state
                .products
                .multiply(kernel, linear, at, &state.slices, layout, 0..slices, |_| {});
        };
        self.then_rows(layout, pieces.count, multiply, |slice, at| {
            self.gather(linear, pieces, layout, slice, at);
            then(slice, at);
        });
    }

    /// A phase of `n` parts, and a row phase after it.
    fn then_rows(
        &self,
        layout: &Layout,
        n: usize,
        part: impl FnMut(usize),
        then: impl Fn(&mut Slice, usize),
    ) {
        if layout.slices.len() == 1 {
            let alone = || then(&mut self.state.slices.write(0), 0);
            self.member.each_then(n, part, alone);
        } else {
            self.member.each(n, part);
            self.rows(layout, then);
        }
    }

    fn gather(
        &self,
        linear: &Linear,
        pieces: Pieces,
        layout: &Layout,
        slice: &mut Slice,
        at: usize,
    ) {
        let rows = layout.slices[at].len();
        slice.gathered.resize(rows * linear.matrix().rows(), 0.0);
        self.state.products.gather(
            linear,
            pieces,
            layout,
            0..layout.slices.len(),
            at,
            0..rows,
            &mut slice.gathered,
        );
    }

    fn is_alive(&self, place: RowPlace) -> bool {
        self.state.health[place.run].is_alive(place.index)
    }

    fn position(&self, place: RowPlace) -> usize {
        self.state.runs[place.run].first + place.index
    }

    /// The residual stream's beginning, what the layers need to rotate, and the first norm.
    fn embed(&self, slice: &mut Slice, at: usize) {
        let layout = &self.state.plan.all;
        let places = &layout.rows[layout.slices[at].clone()];
        let n = self.network.config.hidden_size;
        slice.hidden.resize(places.len() * n, 0.0);
        let (mut scales, mut quants) = (vec![f16::ZERO; blocks(n)], vec![0i8; blocks(n) * BLOCK]);
        slice.cos.clear();
        slice.sin.clear();
        for (place, hidden) in places.iter().zip(slice.hidden.chunks_exact_mut(n)) {
            let token = self.state.runs[place.run].tokens[place.index];
            let matrix = self.network.embedding.matrix();
            matrix.row(token as usize, &mut scales, &mut quants);
            embed(&scales, &quants, None, hidden);
            for frequency in &self.network.frequencies {
                let (cos, sin) = cos_sin(self.position(*place) as u32, *frequency);
                slice.cos.push(cos);
                slice.sin.push(sin);
            }
        }
        self.norm(&self.network.layers[0].attention_norm, layout, slice, at);
        self.quantize_stream(layout, slice, at, Before::Keys(0));
    }

    /// Adds a layer's outputs to the residual stream.
    fn add_to_stream(&self, layout: &Layout, slice: &mut Slice, at: usize) {
        let n = layout.slices[at].len() * self.network.config.hidden_size;
        for (h, y) in slice.hidden[..n].iter_mut().zip(&slice.gathered) {
            *h += y;
        }
    }

    fn norm(&self, weight: &[f32], layout: &Layout, slice: &mut Slice, at: usize) {
        let n = self.network.config.hidden_size;
        let eps = self.network.config.rms_norm_eps as f32;
        let places = &layout.rows[layout.slices[at].clone()];
        slice.normed.resize(places.len() * n, 0.0);
        let rows = slice
            .hidden
            .chunks_exact(n)
            .zip(slice.normed.chunks_exact_mut(n));
        for (place, (hidden, normed)) in places.iter().zip(rows) {
            if self.is_alive(*place) {
                self.network.kernel.rms_norm(hidden, weight, eps, normed);
            } else {
                normed.fill(0.0);
            }
        }
    }

    fn quantize_stream(&self, layout: &Layout, slice: &mut Slice, at: usize, before: Before) {
        self.quantize(layout, slice, at, self.network.config.hidden_size, before);
    }

    /// Operator 1 over `normed`; overflows are faults at this place.
    fn quantize(
        &self,
        layout: &Layout,
        slice: &mut Slice,
        at: usize,
        columns: usize,
        before: Before,
    ) {
        let places = &layout.rows[layout.slices[at].clone()];
        slice.quantize(self.network.kernel, columns, |row| {
            let place = places[row];
            let health = &self.state.health[place.run];
            health.note(FaultCode::ActivationOverflow, place.index, before);
        });
    }

    /// From the outputs for queries, keys and values: rotated queries of the rows that go on, keys
    /// and values in the cache.
    fn keys_values(
        &self,
        layer: &Layer,
        index: usize,
        rest: &Layout,
        slice: &mut Slice,
        at: usize,
    ) {
        let c = &self.network.config;
        let kernel = self.network.kernel;
        let eps = c.rms_norm_eps as f32;
        let (queries, keys) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let (width, half) = (queries + 2 * keys, c.head_dim / 2);
        let layout = &self.state.plan.all;
        let ranks = layout.slices[at].clone();
        let places = &layout.rows[ranks];
        slice.queries.clear();
        slice.keys.resize(places.len() * keys, f16::ZERO);
        slice.values.resize(places.len() * keys, f16::ZERO);
        slice.written.clear();
        let mut going_on = 0;
        for (row, place) in places.iter().enumerate() {
            let (rotated, values) =
                slice.gathered[row * width..(row + 1) * width].split_at_mut(queries + keys);
            let cos = &slice.cos[row * half..(row + 1) * half];
            let sin = &slice.sin[row * half..(row + 1) * half];
            for (head, x) in rotated.chunks_exact_mut(c.head_dim).enumerate() {
                let norm = if head < c.heads {
                    &layer.query_norm
                } else {
                    &layer.key_norm
                };
                if let Some(weight) = norm {
                    kernel.rms_norm_in_place(x, weight, eps);
                }
                kernel.rotate(x, cos, sin);
            }
            let (rotated_queries, rotated_keys) = rotated.split_at(queries);
            let mut written = (false, false);
            if self.is_alive(*place) {
                let health = &self.state.health[place.run];
                let overflow = |before| {
                    health.note(FaultCode::KeyValueOverflow, place.index, before);
                };
                let at = row * keys..(row + 1) * keys;
                match round_key_value(rotated_keys, &mut slice.keys[at.clone()]) {
                    Ok(()) => written.0 = true,
                    Err(KeyValueOverflow) => overflow(Before::Keys(index)),
                }
                if written.0 {
                    match round_key_value(values, &mut slice.values[at]) {
                        Ok(()) => written.1 = true,
                        Err(KeyValueOverflow) => overflow(Before::Values(index)),
                    }
                }
            }
            slice.written.push(written);
            let goes_on = rest.rows.len() == layout.rows.len()
                || place.index >= self.state.runs[place.run].sampled_from;
            if goes_on {
                slice.queries.extend_from_slice(rotated_queries);
                if going_on < row {
                    let n = c.hidden_size;
                    slice
                        .hidden
                        .copy_within(row * n..(row + 1) * n, going_on * n);
                }
                going_on += 1;
            }
        }
        self.write_keys_values(index, places, slice, at);
    }

    fn write_keys_values(&self, layer: usize, places: &[RowPlace], slice: &Slice, at: usize) {
        let c = &self.network.config;
        let Some(store) = &self.state.store else {
            return;
        };
        let (width, dim) = (c.kv_heads * c.head_dim, c.head_dim);
        for turn in 0..c.kv_heads {
            // Slices begin with different heads, so that they seldom wait for each other.
            let kv_head = (at + turn) % c.kv_heads;
            let mut head = store.write(layer, kv_head);
            for (row, place) in places.iter().enumerate() {
                let table = &self.state.runs[place.run].table;
                let position = self.position(*place);
                let from = row * width + kv_head * dim;
                let (key, value) = slice.written[row];
                if key {
                    head.write_key(table, position, &slice.keys[from..from + dim]);
                }
                if value {
                    head.write_value(table, position, &slice.values[from..from + dim]);
                }
            }
        }
    }

    /// Attention of the rows that go on; their rows are quantised then.
    fn attention(&self, layer: usize, layout: &Layout) {
        let c = &self.network.config;
        let columns = c.heads * c.head_dim;
        let tasks = layout.blocks.len() * c.kv_heads;
        let attend = |task| self.attend(layer, layout, task);
        self.then_rows(layout, tasks, attend, |slice, at| {
            self.gather_attended(layout, slice, at);
            self.quantize(layout, slice, at, columns, Before::Values(layer));
        });
    }

    /// One attention task: the rows of a block, one KV head.
    fn attend(&self, layer: usize, layout: &Layout, task: usize) {
        let c = &self.network.config;
        let Some(store) = &self.state.store else {
            return;
        };
        let (block, kv_head) = (&layout.blocks[task / c.kv_heads], task % c.kv_heads);
        let (group, dim) = (c.group(), c.head_dim);
        let width = group * dim;
        let run = &self.state.runs[block.run];
        let first = layout.rows[block.ranks.start].index;
        // A fault at one row leaves those before it.
        let alive = self.state.health[block.run].alive();
        let rows = block.ranks.len().min(alive.saturating_sub(first));
        if rows == 0 {
            return;
        }
        let head = store.read(layer, kv_head);
        let mut out = self.state.attended.0[task]
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if out.len() < rows * width {
            out.resize(rows * width, 0.0);
        }
        ATTENTION.with_borrow_mut(|(scratch, queries)| {
            queries.clear();
            let mut rank = block.ranks.start;
            let end = rank + rows;
            while rank < end {
                let slice = layout.slice_of[rank];
                let ranks = layout.slices[slice].clone();
                let from = &self.state.slices.read(slice).queries;
                for rank in rank..ranks.end.min(end) {
                    let at = (rank - ranks.start) * c.heads * dim + kv_head * width;
                    queries.extend_from_slice(&from[at..at + width]);
                }
                rank = ranks.end;
            }
            let task = AttentionTask {
                queries,
                group,
                positions: run.first + first..run.first + first + rows,
                cache: head.cache(&run.table),
                window: c.window,
                scoring: Scoring {
                    scale: score_scale(dim),
                    soft_cap: None,
                },
            };
            let out = &mut out[..rows * width];
            self.network.kernel.attend(task, scratch, out);
        });
    }

    /// Puts the heads together in ascending order, for the output projection.
    fn gather_attended(&self, layout: &Layout, slice: &mut Slice, at: usize) {
        let c = &self.network.config;
        let (columns, width) = (c.heads * c.head_dim, c.group() * c.head_dim);
        let ranks = layout.slices[at].clone();
        slice.normed.resize(ranks.len() * columns, 0.0);
        for (rank, normed) in ranks.zip(slice.normed.chunks_exact_mut(columns)) {
            if !self.is_alive(layout.rows[rank]) {
                normed.fill(0.0);
                continue;
            }
            let block = layout.block_of[rank];
            let row = rank - layout.blocks[block].ranks.start;
            for (kv_head, normed) in normed.chunks_exact_mut(width).enumerate() {
                let attended = self.state.attended.0[block * c.kv_heads + kv_head]
                    .read()
                    .unwrap_or_else(PoisonError::into_inner);
                normed.copy_from_slice(&attended[row * width..(row + 1) * width]);
            }
        }
    }

    /// The inner half of the feed-forward layer; its rows are quantised then.
    fn feed_forward(&self, layer: &Layer, index: usize, layout: &Layout) {
        let (state, kernel) = (self.state, self.network.kernel);
        let slices = layout.slices.len();
        let inner = self.network.config.intermediate_size;
        // Both matrices have the same shape, so their pieces are the same.
        let pieces = Pieces::new(&layer.gate, layout.rows.len(), slices, self.member.count());
        let multiply = |piece| {
            let at = (pieces, piece);
            let all = 0..slices;
            let (gate, up) = (&layer.gate, &layer.up);
            state
                .up
                .multiply(kernel, up, at, &state.slices, layout, all.clone(), |up| {
                    state
                        .products
                        .multiply(kernel, gate, at, &state.slices, layout, all, |gate| {
                            kernel.swiglu(gate, up)
                        });
                });
        };
        self.then_rows(layout, pieces.count, multiply, |slice, at| {
            let rows = layout.slices[at].len();
            slice.normed.resize(rows * inner, 0.0);
            let all = 0..slices;
            state.products.gather(
                &layer.gate,
                pieces,
                layout,
                all,
                at,
                0..rows,
                &mut slice.normed,
            );
            let places = &layout.rows[layout.slices[at].clone()];
            for (place, normed) in places.iter().zip(slice.normed.chunks_exact_mut(inner)) {
                if !self.is_alive(*place) {
                    normed.fill(0.0);
                }
            }
            self.quantize(layout, slice, at, inner, Before::Values(index));
        });
    }
}
