//! The forward pass of one sequence.
//!
//! Positions are fed in chunks of any size; each row's result depends on that row's tokens only,
//! so prefill, decoding one by one and everything between give the same bits.

use std::{cell::RefCell, ops::Range};

use genesisflow_canonical::{
    attention::{score_scale, Scoring},
    embedding::embed,
    kernels::{AttentionScratch, AttentionTask, QuantizedRows},
    quantize_row::{blocks, BLOCK},
    rope::cos_sin,
};
use half::f16;

use crate::{request::FaultCode, threads::Split};

use super::{
    kv_cache::{KvCache, Unfit},
    Decoder, Layer,
};

/// Positions that go through the layers together at most: enough to read each weight rarely, few
/// enough to keep activations in cache.
const CHUNK: usize = 128;

/// Positions of one attention task.
const ATTENTION_ROWS: usize = 32;

/// A fault met while feeding.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedFault {
    /// What happened.
    pub code: FaultCode,
    /// The position it happened at, the lowest of all.
    pub position: usize,
    /// The last key row written before it, KV heads in ascending order; empty if there is none.
    pub last_key_row: Vec<f16>,
}

/// What feeding gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Fed {
    /// States after the final norm of the sampled positions, `[position][hidden_size]`; those from
    /// a fault on are not there.
    pub states: Vec<f32>,
    /// The fault, if there was one. The sequence cannot be fed further then.
    pub fault: Option<FeedFault>,
}

/// A fault on its way through a chunk: where, and which key row came last before it.
struct Pending {
    code: FaultCode,
    /// Row of the chunk.
    row: usize,
    /// Layer and position of the last key row.
    last_key: Option<(usize, usize)>,
}

/// One sequence: its cache and its position.
#[derive(Debug)]
pub struct Sequence<'a> {
    decoder: &'a Decoder,
    cache: KvCache,
    position: usize,
    buffers: Buffers,
}

/// Working memory of a pass, kept to save allocations.
#[derive(Debug, Default)]
struct Buffers {
    hidden: Vec<f32>,
    normed: Vec<f32>,
    quantized: QuantizedRows,
    qkv: Vec<f32>,
    attended: Vec<f32>,
    gathered: Vec<f32>,
    mlp: Vec<f32>,
    added: Vec<f32>,
    tiled: Vec<f32>,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl<'a> Sequence<'a> {
    /// A new sequence with room for `positions`; `None` if memory does not suffice.
    pub fn new(decoder: &'a Decoder, positions: usize) -> Option<Self> {
        let c = &decoder.config;
        Some(Self {
            decoder,
            cache: KvCache::new(c.layers, c.kv_heads, c.head_dim, positions)?,
            position: 0,
            buffers: Buffers::default(),
        })
    }

    /// The position the next token gets.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Feeds tokens. Positions `sampled_from..` of them are sampled: their states come back.
    ///
    /// # Panics
    /// If a token is outside the embedding.
    pub fn feed(&mut self, tokens: &[u32], sampled_from: usize) -> Fed {
        let mut fed = Fed {
            states: Vec::new(),
            fault: None,
        };
        let work = tokens.len() as u64 * self.decoder.work_per_token;
        let decoder = self.decoder;
        decoder.threads.run(work, |split| {
            for (index, chunk) in tokens.chunks(CHUNK).enumerate() {
                let sampled = sampled_from.saturating_sub(index * CHUNK).min(chunk.len());
                fed.fault = self.chunk(split, chunk, sampled, &mut fed.states);
                if fed.fault.is_some() {
                    break;
                }
            }
        });
        fed
    }

    /// The head: logits of states, `[state][vocabulary]`.
    ///
    /// # Errors
    /// On an overflow, the index of the first state that cannot be quantised.
    pub fn logits(&mut self, states: &[f32]) -> Result<Vec<f32>, usize> {
        let decoder = self.decoder;
        let head = decoder.head();
        let c = &decoder.config;
        let b = &mut self.buffers;
        let rows = states.len() / c.hidden_size;
        b.quantized.fill(decoder.kernel, states, c.hidden_size)?;
        let mut logits = vec![0.0; rows * c.vocab_size];
        let work = rows as u64 * head.work();
        decoder.threads.run(work, |split| {
            head.apply(
                decoder.kernel,
                split,
                &b.quantized,
                &mut b.tiled,
                &mut logits,
            );
        });
        Ok(logits)
    }

    /// The fault of a state that [`Sequence::logits`] could not quantise, at this position.
    pub fn head_fault(&self, position: usize) -> FeedFault {
        FeedFault {
            code: FaultCode::ActivationOverflow,
            position,
            last_key_row: self.cache.key_row(self.decoder.config.layers - 1, position),
        }
    }

    /// One chunk through all layers; appends the states of the positions from `sampled` on.
    fn chunk(
        &mut self,
        split: Split,
        tokens: &[u32],
        sampled: usize,
        states: &mut Vec<f32>,
    ) -> Option<FeedFault> {
        let c = &self.decoder.config;
        let hidden_size = c.hidden_size;
        self.embed(tokens);
        self.prepare_rope(tokens.len());
        // Rows that are still without a fault: a fault at one position leaves those before it.
        let mut alive = tokens.len();
        let mut pending: Option<Pending> = None;
        for (index, layer) in self.decoder.layers.iter().enumerate() {
            // After keys and values, the last layer goes on for sampled positions only.
            let from = if index + 1 == c.layers { sampled } else { 0 };
            self.keys_values(split, layer, index, &mut alive, &mut pending);
            self.attention(split, layer, index, from, &mut alive, &mut pending);
            self.feed_forward(split, layer, index, from, &mut alive, &mut pending);
            if alive == 0 {
                break;
            }
        }
        let kernel = self.decoder.kernel;
        for row in sampled..alive.max(sampled) {
            let at = states.len();
            states.resize(at + hidden_size, 0.0);
            kernel.rms_norm(
                &self.buffers.hidden[row * hidden_size..(row + 1) * hidden_size],
                &self.decoder.final_norm,
                c.rms_norm_eps as f32,
                &mut states[at..],
            );
        }
        let first = self.position;
        self.position += tokens.len();
        pending.map(|fault| FeedFault {
            code: fault.code,
            position: first + fault.row,
            last_key_row: match fault.last_key {
                Some((layer, position)) => self.cache.key_row(layer, position),
                None => Vec::new(),
            },
        })
    }

    fn embed(&mut self, tokens: &[u32]) {
        let hidden_size = self.decoder.config.hidden_size;
        let n = blocks(hidden_size);
        let (mut scales, mut quants) = (vec![f16::ZERO; n], vec![0i8; n * BLOCK]);
        let hidden = &mut self.buffers.hidden;
        hidden.resize(tokens.len() * hidden_size, 0.0);
        for (token, out) in tokens.iter().zip(hidden.chunks_exact_mut(hidden_size)) {
            let matrix = self.decoder.embedding.matrix();
            matrix.row(*token as usize, &mut scales, &mut quants);
            embed(&scales, &quants, None, out);
        }
    }

    fn prepare_rope(&mut self, rows: usize) {
        let b = &mut self.buffers;
        b.cos.clear();
        b.sin.clear();
        for row in 0..rows {
            for frequency in &self.decoder.frequencies {
                let (cos, sin) = cos_sin((self.position + row) as u32, *frequency);
                b.cos.push(cos);
                b.sin.push(sin);
            }
        }
    }

    /// Norm, queries, keys and values of the living rows; keys and values go into the cache.
    fn keys_values(
        &mut self,
        split: Split,
        layer: &Layer,
        index: usize,
        alive: &mut usize,
        pending: &mut Option<Pending>,
    ) {
        let d = self.decoder;
        let c = &d.config;
        let eps = c.rms_norm_eps as f32;
        let b = &mut self.buffers;
        norm_rows(
            d,
            &layer.attention_norm,
            &b.hidden,
            0..*alive,
            &mut b.normed,
        );
        if let Err(row) = b.quantized.fill(d.kernel, &b.normed, c.hidden_size) {
            let position = self.position + row;
            *alive = row;
            *pending = Some(Pending {
                code: FaultCode::ActivationOverflow,
                row,
                last_key: key_before(c.layers, index, position),
            });
        }
        let (queries, keys) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let width = queries + 2 * keys;
        b.qkv.resize(*alive * width, 0.0);
        layer
            .qkv
            .apply(d.kernel, split, &b.quantized, &mut b.tiled, &mut b.qkv);
        let half = c.head_dim / 2;
        for (row, qkv) in b.qkv.chunks_exact_mut(width).enumerate() {
            let (rotated, values) = qkv.split_at_mut(queries + keys);
            let cos = &b.cos[row * half..(row + 1) * half];
            let sin = &b.sin[row * half..(row + 1) * half];
            for (head, x) in rotated.chunks_exact_mut(c.head_dim).enumerate() {
                let norm = if head < c.heads {
                    &layer.query_norm
                } else {
                    &layer.key_norm
                };
                if let Some(weight) = norm {
                    d.kernel.rms_norm_in_place(x, weight, eps);
                }
                d.kernel.rotate(x, cos, sin);
            }
            let position = self.position + row;
            if let Err(unfit) = self
                .cache
                .write(index, position, &rotated[queries..], values)
            {
                *alive = row;
                *pending = Some(Pending {
                    code: FaultCode::KeyValueOverflow,
                    row,
                    last_key: match unfit {
                        Unfit::Key => key_before(c.layers, index, position),
                        Unfit::Value => Some((index, position)),
                    },
                });
                break;
            }
        }
    }

    /// Attention of the living rows from `from` on, added to the residual stream.
    fn attention(
        &mut self,
        split: Split,
        layer: &Layer,
        index: usize,
        from: usize,
        alive: &mut usize,
        pending: &mut Option<Pending>,
    ) {
        if from >= *alive {
            return;
        }
        let d = self.decoder;
        let c = &d.config;
        let b = &mut self.buffers;
        let width = c.group() * c.head_dim;
        let rows = *alive - from;
        let each = rows.min(ATTENTION_ROWS);
        let tasks = rows.div_ceil(each) * c.kv_heads;
        let seen = c
            .window
            .map_or(self.position + *alive, |w| w.min(self.position + *alive));
        let work = 2 * (rows * c.heads * c.head_dim * seen) as u64;
        let scoring = Scoring {
            scale: score_scale(c.head_dim),
            soft_cap: None,
        };
        let qkv_width = (c.heads + 2 * c.kv_heads) * c.head_dim;
        b.attended.resize(tasks * each * width, 0.0);
        let (cache, qkv, position) = (&self.cache, &b.qkv, self.position);
        // Task t: rows of block t / kv_heads, KV head t % kv_heads.
        split.chunks(&mut b.attended, each * width, work, |task, out| {
            let kv_head = task % c.kv_heads;
            let first = from + task / c.kv_heads * each;
            let last = (first + each).min(from + rows);
            ATTENTION.with_borrow_mut(|(scratch, queries)| {
                queries.clear();
                for row in first..last {
                    let at = row * qkv_width + kv_head * width;
                    queries.extend_from_slice(&qkv[at..at + width]);
                }
                let task = AttentionTask {
                    queries,
                    group: c.group(),
                    positions: position + first..position + last,
                    cache: cache.head(index, kv_head),
                    window: c.window,
                    scoring,
                };
                d.kernel
                    .attend(task, scratch, &mut out[..(last - first) * width]);
            });
        });
        // Heads in ascending order for the output projection.
        b.gathered.resize(rows * c.heads * c.head_dim, 0.0);
        for (row, gathered) in b
            .gathered
            .chunks_exact_mut(c.heads * c.head_dim)
            .enumerate()
        {
            for (kv_head, gathered) in gathered.chunks_exact_mut(width).enumerate() {
                let task = row / each * c.kv_heads + kv_head;
                let at = task * each * width + row % each * width;
                gathered.copy_from_slice(&b.attended[at..at + width]);
            }
        }
        let columns = c.heads * c.head_dim;
        if let Err(row) = b.quantized.fill(d.kernel, &b.gathered, columns) {
            overflow(index, self.position, from + row, alive, pending);
        }
        b.added.resize((*alive - from) * c.hidden_size, 0.0);
        layer
            .output
            .apply(d.kernel, split, &b.quantized, &mut b.tiled, &mut b.added);
        add_rows(&mut b.hidden[from * c.hidden_size..], &b.added);
    }

    /// The feed-forward layer of the living rows from `from` on, added to the residual stream.
    fn feed_forward(
        &mut self,
        split: Split,
        layer: &Layer,
        index: usize,
        from: usize,
        alive: &mut usize,
        pending: &mut Option<Pending>,
    ) {
        if from >= *alive {
            return;
        }
        let d = self.decoder;
        let c = &d.config;
        let b = &mut self.buffers;
        norm_rows(d, &layer.mlp_norm, &b.hidden, from..*alive, &mut b.normed);
        if let Err(row) = b.quantized.fill(d.kernel, &b.normed, c.hidden_size) {
            overflow(index, self.position, from + row, alive, pending);
        }
        let inner = c.intermediate_size;
        b.mlp.resize((*alive - from) * 2 * inner, 0.0);
        layer
            .gate_up
            .apply(d.kernel, split, &b.quantized, &mut b.tiled, &mut b.mlp);
        b.normed.resize((*alive - from) * inner, 0.0);
        for (row, out) in b
            .mlp
            .chunks_exact_mut(2 * inner)
            .zip(b.normed.chunks_exact_mut(inner))
        {
            let (gate, up) = row.split_at_mut(inner);
            d.kernel.swiglu(gate, up);
            out.copy_from_slice(gate);
        }
        if let Err(row) = b.quantized.fill(d.kernel, &b.normed, inner) {
            overflow(index, self.position, from + row, alive, pending);
        }
        b.added.resize((*alive - from) * c.hidden_size, 0.0);
        layer
            .down
            .apply(d.kernel, split, &b.quantized, &mut b.tiled, &mut b.added);
        add_rows(&mut b.hidden[from * c.hidden_size..], &b.added);
    }
}

thread_local! {
    /// Attention's working memory and gathered queries, one of each per compute thread.
    static ATTENTION: RefCell<(AttentionScratch, Vec<f32>)> = RefCell::default();
}

/// The key row written just before the one of `layer` at `position`.
fn key_before(layers: usize, layer: usize, position: usize) -> Option<(usize, usize)> {
    if layer > 0 {
        Some((layer - 1, position))
    } else {
        position.checked_sub(1).map(|before| (layers - 1, before))
    }
}

/// Notes an overflow after the layer's keys and values, at `row` of the chunk.
fn overflow(
    layer: usize,
    position: usize,
    row: usize,
    alive: &mut usize,
    pending: &mut Option<Pending>,
) {
    *alive = row;
    *pending = Some(Pending {
        code: FaultCode::ActivationOverflow,
        row,
        last_key: Some((layer, position + row)),
    });
}

fn norm_rows(
    decoder: &Decoder,
    weight: &[f32],
    hidden: &[f32],
    rows: Range<usize>,
    out: &mut Vec<f32>,
) {
    let n = decoder.config.hidden_size;
    out.resize(rows.len() * n, 0.0);
    let hidden = &hidden[rows.start * n..rows.end * n];
    for (x, out) in hidden.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
        decoder
            .kernel
            .rms_norm(x, weight, decoder.config.rms_norm_eps as f32, out);
    }
}

/// `h + y`, element by element.
fn add_rows(hidden: &mut [f32], added: &[f32]) {
    for (h, y) in hidden.iter_mut().zip(added) {
        *h += y;
    }
}
