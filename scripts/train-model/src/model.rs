//! The decoder that is trained: Llama with tied embeddings, in f32.

use std::sync::Arc;

use anyhow::{ensure, Context, Result};
use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::ops::{Attention, CrossEntropy, RmsNorm, Rotary, SwiGlu, HEAD_DIM};
use crate::random::Random;
use crate::tokenizer::{Encoded, VOCABULARY};

/// The shape of the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Width of the residual stream: a multiple of 32.
    pub hidden: usize,
    /// Width inside the MLP: a multiple of 32.
    pub intermediate: usize,
    /// Decoder blocks.
    pub layers: usize,
}

impl Shape {
    /// The shape that ships.
    pub const SHIPPED: Shape = Shape {
        hidden: 128,
        intermediate: 384,
        layers: 5,
    };

    /// Heads of attention; every head has its own keys and values.
    pub fn heads(self) -> usize {
        self.hidden / HEAD_DIM
    }
}

/// Added to the mean square in every norm.
pub const RMS_NORM_EPS: f64 = 1e-5;
/// Base of the rotary positions.
pub const ROPE_THETA: f64 = 10_000.0;
/// Positions that the model promises to take.
pub const MAX_POSITIONS: usize = 256;

/// A parameter under its Hugging Face name.
pub struct Parameter {
    /// Name in `model.safetensors`.
    pub name: String,
    /// The values, `[out, in]` for a linear layer.
    pub var: Var,
}

/// The parameters of a layer, as indices into [`Model::parameters`].
struct Layer {
    input_norm: usize,
    qkv: [usize; 3],
    output: usize,
    post_norm: usize,
    gate_up: [usize; 2],
    down: usize,
}

/// The model under training.
pub struct Model {
    /// Its shape.
    pub shape: Shape,
    /// Embedding first, then the layers' parameters, the final norm last.
    pub parameters: Vec<Parameter>,
    layers: Vec<Layer>,
    rotary: Arc<Rotary>,
}

/// Sequences packed one after the other, and where their answers are.
pub struct Batch {
    ids: Vec<u32>,
    lengths: Arc<Vec<usize>>,
    /// Rows whose next token belongs to an answer.
    rows: Vec<u32>,
    /// Those next tokens.
    pub targets: Arc<Vec<u32>>,
    /// How many of `targets` belong to each sequence.
    pub answers: Vec<usize>,
}

impl Batch {
    /// Packs samples.
    pub fn new(samples: &[Encoded]) -> Self {
        let mut batch = Batch {
            ids: vec![],
            lengths: Arc::new(vec![]),
            rows: vec![],
            targets: Arc::new(vec![]),
            answers: vec![],
        };
        let (mut lengths, mut targets) = (vec![], vec![]);
        for sample in samples {
            // The last token (EOS) is predicted, never fed.
            let fed = sample.ids.len() - 1;
            let offset = batch.ids.len();
            batch.ids.extend(&sample.ids[..fed]);
            lengths.push(fed);
            for position in sample.answer_start..=fed {
                batch.rows.push((offset + position - 1) as u32);
                targets.push(sample.ids[position]);
            }
            batch.answers.push(fed + 1 - sample.answer_start);
        }
        batch.lengths = Arc::new(lengths);
        batch.targets = Arc::new(targets);
        batch
    }

    /// Tokens fed.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }
}

impl Model {
    /// A model with random weights.
    ///
    /// # Errors
    /// If a width of the shape is no multiple of 32.
    pub fn new(shape: Shape, seed: u64) -> Result<Self> {
        ensure!(
            shape.hidden.is_multiple_of(32)
                && shape.intermediate.is_multiple_of(32)
                && shape.layers > 0,
            "hidden ({}) and intermediate ({}) must be multiples of 32, and there must be layers",
            shape.hidden,
            shape.intermediate
        );
        let (hidden, inner) = (shape.hidden, shape.intermediate);
        let mut parameters = Vec::new();
        let mut push = |name: String, rows: usize, columns: usize, std: f32| -> Result<usize> {
            let mut random = Random::new(seed, u64::MAX - parameters.len() as u64);
            let data: Vec<f32> = (0..rows * columns).map(|_| random.normal() * std).collect();
            let var = Var::from_vec(data, (rows, columns), &Device::Cpu)?;
            parameters.push(Parameter { name, var });
            Ok(parameters.len() - 1)
        };
        push("model.embed_tokens.weight".into(), VOCABULARY, hidden, 0.05)?;
        // Layers that write to the residual stream start small.
        let read = 1.0 / (hidden as f32).sqrt();
        let write = 0.3 * read;
        let mut layers = Vec::new();
        for i in 0..shape.layers {
            let mut linear = |part: &str, rows, columns, std| {
                push(
                    format!("model.layers.{i}.{part}.weight"),
                    rows,
                    columns,
                    std,
                )
            };
            layers.push(Layer {
                qkv: [
                    linear("self_attn.q_proj", hidden, hidden, read)?,
                    linear("self_attn.k_proj", hidden, hidden, read)?,
                    linear("self_attn.v_proj", hidden, hidden, read)?,
                ],
                output: linear("self_attn.o_proj", hidden, hidden, write)?,
                gate_up: [
                    linear("mlp.gate_proj", inner, hidden, read)?,
                    linear("mlp.up_proj", inner, hidden, read)?,
                ],
                down: linear("mlp.down_proj", hidden, inner, write)?,
                input_norm: 0,
                post_norm: 0,
            });
        }
        let mut norm = |name: String| -> Result<usize> {
            let var = Var::ones(hidden, candle_core::DType::F32, &Device::Cpu)?;
            parameters.push(Parameter { name, var });
            Ok(parameters.len() - 1)
        };
        for (i, layer) in layers.iter_mut().enumerate() {
            layer.input_norm = norm(format!("model.layers.{i}.input_layernorm.weight"))?;
            layer.post_norm = norm(format!("model.layers.{i}.post_attention_layernorm.weight"))?;
        }
        norm("model.norm.weight".into())?;
        Ok(Self {
            shape,
            parameters,
            layers,
            rotary: Arc::new(Rotary::new(ROPE_THETA, MAX_POSITIONS)),
        })
    }

    fn parameter(&self, index: usize) -> &Tensor {
        self.parameters[index].var.as_tensor()
    }

    fn joined(&self, indices: &[usize]) -> Result<Tensor> {
        let parts: Vec<&Tensor> = indices.iter().map(|&i| self.parameter(i)).collect();
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// Logits `[answer tokens, vocabulary]`: one row for each of the batch's targets.
    ///
    /// # Errors
    /// If a sequence is longer than [`MAX_POSITIONS`].
    pub fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let longest = batch.lengths.iter().max().copied().unwrap_or(0);
        ensure!(
            longest <= MAX_POSITIONS,
            "a sequence has {longest} tokens, more than {MAX_POSITIONS}"
        );
        let ids = Tensor::new(batch.ids.as_slice(), &Device::Cpu)?;
        let rows = Tensor::new(batch.rows.as_slice(), &Device::Cpu)?;
        let embedding = self.parameter(0);
        let norm = |x: &Tensor, weight: usize| {
            let eps = RMS_NORM_EPS as f32;
            x.apply_op2(self.parameter(weight), RmsNorm { eps })
        };
        let mut h = embedding.index_select(&ids, 0)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let qkv = norm(&h, layer.input_norm)?.matmul(&self.joined(&layer.qkv)?.t()?)?;
            let attended = qkv.apply_op1(Attention {
                lengths: batch.lengths.clone(),
                rotary: self.rotary.clone(),
            })?;
            h = (h + attended.matmul(&self.parameter(layer.output).t()?)?)?;
            if i + 1 == self.layers.len() {
                // Nothing after the last attention looks at the other rows.
                h = h.index_select(&rows, 0)?;
            }
            let inner = norm(&h, layer.post_norm)?
                .matmul(&self.joined(&layer.gate_up)?.t()?)?
                .apply_op1(SwiGlu)?;
            h = (h + inner.matmul(&self.parameter(layer.down).t()?)?)?;
        }
        let state = norm(&h, self.parameters.len() - 1)?;
        Ok(state.matmul(&embedding.t()?)?)
    }

    /// Sum of the loss over the batch's targets, and its gradient for each parameter, flat.
    ///
    /// # Errors
    /// As [`Self::logits`].
    pub fn loss_and_gradients(&self, batch: &Batch) -> Result<(f32, Vec<Vec<f32>>)> {
        let targets = batch.targets.clone();
        let loss = self.logits(batch)?.apply_op1(CrossEntropy { targets })?;
        let grads = loss.backward()?;
        let gradients = self
            .parameters
            .iter()
            .map(|parameter| {
                let grad = grads
                    .get(parameter.var.as_tensor())
                    .with_context(|| format!("{} has no gradient", parameter.name))?;
                Ok(grad.flatten_all()?.to_vec1::<f32>()?)
            })
            .collect::<Result<_>>()?;
        Ok((loss.to_scalar::<f32>()?, gradients))
    }

    /// For each sequence: would greedy decoding give its answer, token for token?
    ///
    /// Greedy decoding follows the right answer as long as each of its tokens is the most likely
    /// one after those before it, so one pass over question and answer decides it.
    ///
    /// # Errors
    /// As [`Self::logits`].
    pub fn answers_exactly(&self, batch: &Batch) -> Result<Vec<bool>> {
        let best = self.logits(batch)?.argmax(1)?.to_vec1::<u32>()?;
        let mut right = best.iter().zip(batch.targets.iter()).map(|(a, b)| a == b);
        Ok(batch
            .answers
            .iter()
            // Counts to the end: `all` would leave the rest of a wrong answer to the next sequence.
            .map(|&n| right.by_ref().take(n).filter(|right| !right).count() == 0)
            .collect())
    }
}
