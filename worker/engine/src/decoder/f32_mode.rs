//! The decoder in plain f32: activations not quantised, keys and values not rounded, softmax by
//! the platform's `exp`. The weights are those of the canonical mode, dequantised.
//!
//! Only for tests that ask how near the canonical arithmetic is to the original. Norms, rotation
//! and SwiGLU are the operators of the canonical mode itself.

use genesisflow_canonical::{
    attention::{first_visible, score_scale},
    quantize_row::BLOCK,
    rope::cos_sin,
};
use half::f16;

use super::{linear::Linear, Decoder, Layer, Network};

impl Decoder {
    /// Logits of every position of a sequence: `[position][vocabulary]`.
    ///
    /// # Panics
    /// If a token is outside the embedding, or the decoder runs on another device than the
    /// processor.
    pub fn f32_logits(&self, tokens: &[u32]) -> Vec<f32> {
        let processor = self.backend.processor();
        let processor = processor.expect("the f32 mode is the processor's");
        processor.network().f32_logits(tokens)
    }
}

impl Network {
    fn f32_logits(&self, tokens: &[u32]) -> Vec<f32> {
        let c = &self.config;
        let mut hidden = Vec::new();
        let mut row = vec![0.0; c.hidden_size];
        for token in tokens {
            dequantise(&self.embedding, *token as usize, &mut row);
            hidden.extend_from_slice(&row);
        }
        for layer in &self.layers {
            self.f32_attention(layer, &mut hidden);
            self.f32_feed_forward(layer, &mut hidden);
        }
        linear(self.head(), &self.f32_norm(&self.final_norm, &hidden))
    }

    fn f32_norm(&self, weight: &[f32], x: &[f32]) -> Vec<f32> {
        let mut out = x.to_vec();
        let eps = self.config.rms_norm_eps as f32;
        for row in out.chunks_exact_mut(weight.len()) {
            self.kernel.rms_norm_in_place(row, weight, eps);
        }
        out
    }

    fn f32_attention(&self, layer: &Layer, hidden: &mut [f32]) {
        let c = &self.config;
        let dim = c.head_dim;
        let mut qkv = linear(&layer.qkv, &self.f32_norm(&layer.attention_norm, hidden));
        let width = (c.heads + 2 * c.kv_heads) * dim;
        for (position, row) in qkv.chunks_exact_mut(width).enumerate() {
            let (cos, sin): (Vec<f32>, Vec<f32>) = self
                .frequencies
                .iter()
                .map(|frequency| cos_sin(position as u32, *frequency))
                .unzip();
            let rotated = row.chunks_exact_mut(dim).take(c.heads + c.kv_heads);
            for (head, x) in rotated.enumerate() {
                let norm = if head < c.heads {
                    &layer.query_norm
                } else {
                    &layer.key_norm
                };
                if let Some(weight) = norm {
                    self.kernel
                        .rms_norm_in_place(x, weight, c.rms_norm_eps as f32);
                }
                self.kernel.rotate(x, &cos, &sin);
            }
        }
        let part = |position: usize, head: usize| -> &[f32] {
            let from = position * width + head * dim;
            &qkv[from..from + dim]
        };
        let scale = score_scale(dim);
        let mut attended = Vec::new();
        for position in 0..qkv.len() / width {
            for head in 0..c.heads {
                let kv_head = head / c.group();
                let first = first_visible(position, c.window);
                let scores: Vec<f32> = (first..=position)
                    .map(|t| scale * dot(part(position, head), part(t, c.heads + kv_head)))
                    .collect();
                let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let weights: Vec<f32> = scores.iter().map(|s| (s - max).exp()).collect();
                let total: f32 = weights.iter().sum();
                let mut out = vec![0.0f32; dim];
                for (weight, t) in weights.iter().zip(first..) {
                    let value = part(t, c.heads + c.kv_heads + kv_head);
                    for (out, value) in out.iter_mut().zip(value) {
                        *out += weight / total * value;
                    }
                }
                attended.extend_from_slice(&out);
            }
        }
        add(hidden, &linear(&layer.output, &attended));
    }

    fn f32_feed_forward(&self, layer: &Layer, hidden: &mut [f32]) {
        let x = self.f32_norm(&layer.mlp_norm, hidden);
        let mut product = linear(&layer.gate, &x);
        self.kernel.swiglu(&mut product, &linear(&layer.up, &x));
        add(hidden, &linear(&layer.down, &product));
    }
}

/// Row `row` of a layer's weights as f32.
fn dequantise(layer: &Linear, row: usize, out: &mut [f32]) {
    let blocks = layer.matrix().blocks();
    let (mut scales, mut quants) = (vec![f16::ZERO; blocks], vec![0i8; blocks * BLOCK]);
    layer.matrix().row(row, &mut scales, &mut quants);
    for (index, out) in out.iter_mut().enumerate() {
        *out = scales[index / BLOCK].to_f32() * f32::from(quants[index]);
    }
}

/// A linear layer over rows of inputs: `[row of x][output]`.
fn linear(layer: &Linear, x: &[f32]) -> Vec<f32> {
    let (outputs, columns) = (layer.matrix().rows(), layer.matrix().columns());
    let mut out = vec![0.0; x.len() / columns * outputs];
    let mut weights = vec![0.0; columns];
    for output in 0..outputs {
        dequantise(layer, output, &mut weights);
        let bias = layer.bias().map_or(0.0, |bias| bias[output]);
        for (x, out) in x.chunks_exact(columns).zip(out.chunks_exact_mut(outputs)) {
            out[output] = dot(x, &weights) + bias;
        }
    }
    out
}

/// A scalar product in several sums, which the compiler turns into vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a16, b16) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a16
        .remainder()
        .iter()
        .zip(b16.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a16.zip(b16) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn add(hidden: &mut [f32], y: &[f32]) {
    for (h, y) in hidden.iter_mut().zip(y) {
        *h += y;
    }
}
