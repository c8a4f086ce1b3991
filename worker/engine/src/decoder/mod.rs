//! The decoder: one forward pass for every family, driven by [`DecoderConfig`].

#[cfg(feature = "f32-mode")]
mod f32_mode;
mod fault;
mod head;
mod layer;
mod linear;
mod pass;
mod plan;
mod products;
mod sequence;
mod slice;
mod step;

pub use fault::FeedFault;
pub(crate) use pass::Pass;
pub use sequence::{Fed, Sequence};
pub(crate) use step::{Choice, Run, RunOutput};

use std::sync::Arc;

use genesisflow_canonical::{
    kernels::Kernel,
    rms_norm::MAX_PARAMETER,
    rope::{self},
};

use crate::{
    config::{ConfigError, DecoderConfig},
    threads::Threads,
    weights::{TensorSource, WeightsError},
};
use linear::Linear;
use products::Pieces;

/// Why a decoder cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum DecoderError {
    /// The config's numbers do not fit together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights do not fit the config, or hold values the definition refuses.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// A decoder's weights, quantised and packed, and the threads it runs on.
#[derive(Debug)]
pub struct Decoder {
    network: Arc<Network>,
    threads: Threads,
}

/// What all threads read.
#[derive(Debug)]
pub(super) struct Network {
    config: DecoderConfig,
    embedding: Linear,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    /// Absent if the embedding is the head.
    head: Option<Linear>,
    /// Rotary frequencies of a head's pairs.
    frequencies: Vec<f64>,
    kernel: Kernel,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    /// Rows of queries, keys and values, one below the other.
    qkv: Linear,
    query_norm: Option<Vec<f32>>,
    key_norm: Option<Vec<f32>>,
    output: Linear,
    mlp_norm: Vec<f32>,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Decoder {
    /// Builds a decoder from tensors with Hugging Face names.
    ///
    /// # Errors
    /// [`DecoderError`] if the config is unusable, a tensor is missing, has another shape or a
    /// value the definition refuses, or belongs to nothing in the config.
    pub fn new(
        config: DecoderConfig,
        source: &mut dyn TensorSource,
        kernel: Kernel,
        threads: Threads,
    ) -> Result<Self, DecoderError> {
        config.check()?;
        let c = &config;
        let hidden = c.hidden_size;
        let embedding = vec![("model.embed_tokens".to_owned(), c.vocab_size)];
        let embedding = Linear::load(source, &embedding, hidden, false)?;
        let mut layers = Vec::new();
        for index in 0..c.layers {
            layers.push(Layer::load(c, source, index)?);
        }
        let final_norm = norm(source, "model.norm.weight", hidden)?;
        let head = if c.tied_embeddings {
            None
        } else {
            let head = vec![("lm_head".to_owned(), c.vocab_size)];
            Some(Linear::load(source, &head, hidden, false)?)
        };
        let mut frequencies: Vec<f64> = (0..c.head_dim / 2)
            .map(|i| rope::frequency(c.rope_theta, i, c.head_dim, c.rope_scaling))
            .collect();
        if let Some(divisors) = source.rotary_divisors(frequencies.len())? {
            for (frequency, divisor) in frequencies.iter_mut().zip(divisors) {
                *frequency /= f64::from(divisor);
            }
        }
        if let Some(name) = source.unused() {
            // Files of tied models often repeat the embedding as the head.
            if !(c.tied_embeddings && name == "lm_head.weight") {
                return Err(WeightsError::UnusedTensor(name).into());
            }
        }
        let network = Network {
            embedding,
            layers,
            final_norm,
            head,
            frequencies,
            kernel,
            config,
        };
        Ok(Self {
            network: Arc::new(network),
            threads,
        })
    }

    /// What it is made of.
    pub fn config(&self) -> &DecoderConfig {
        &self.network.config
    }

    /// The kernel it runs on.
    pub fn kernel(&self) -> Kernel {
        self.network.kernel
    }

    /// The threads it runs on.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Bytes of its packed weights.
    pub fn bytes(&self) -> usize {
        let network = &self.network;
        network.linears().map(|l| l.matrix().bytes()).sum()
    }

    /// Working memory for steps through it.
    pub(crate) fn pass(&self) -> Arc<Pass> {
        Pass::new(self.network.clone())
    }
}

impl Network {
    fn head(&self) -> &Linear {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    fn linears(&self) -> impl Iterator<Item = &Linear> {
        let layers = self.layers.iter();
        layers
            .flat_map(|l| [&l.qkv, &l.output, &l.gate, &l.up, &l.down])
            .chain([&self.embedding])
            .chain(&self.head)
    }

    /// Pieces that any of its layers is cut into at most.
    fn pieces(&self, rows: usize, slices: usize, threads: usize) -> usize {
        let linears = self.linears();
        let pieces = linears.map(|l| Pieces::new(l, rows, slices, threads).count);
        pieces.max().unwrap_or(0)
    }
}

impl Layer {
    fn load(
        c: &DecoderConfig,
        source: &mut dyn TensorSource,
        index: usize,
    ) -> Result<Self, WeightsError> {
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let (queries, keys) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let (hidden, inner) = (c.hidden_size, c.intermediate_size);
        let head_norm = |source: &mut dyn TensorSource, part: &str| {
            c.qk_norm
                .then(|| norm(source, &name(part), c.head_dim))
                .transpose()
        };
        Ok(Self {
            attention_norm: norm(source, &name("input_layernorm.weight"), hidden)?,
            qkv: Linear::load(
                source,
                &[
                    (name("self_attn.q_proj"), queries),
                    (name("self_attn.k_proj"), keys),
                    (name("self_attn.v_proj"), keys),
                ],
                hidden,
                c.qkv_bias,
            )?,
            query_norm: head_norm(source, "self_attn.q_norm.weight")?,
            key_norm: head_norm(source, "self_attn.k_norm.weight")?,
            output: Linear::load(
                source,
                &[(name("self_attn.o_proj"), hidden)],
                queries,
                c.output_bias,
            )?,
            mlp_norm: norm(source, &name("post_attention_layernorm.weight"), hidden)?,
            gate: Linear::load(
                source,
                &[(name("mlp.gate_proj"), inner)],
                hidden,
                c.mlp_bias,
            )?,
            up: Linear::load(source, &[(name("mlp.up_proj"), inner)], hidden, c.mlp_bias)?,
            down: Linear::load(
                source,
                &[(name("mlp.down_proj"), hidden)],
                inner,
                c.mlp_bias,
            )?,
        })
    }
}

/// A norm's weight, checked.
fn norm(source: &mut dyn TensorSource, name: &str, len: usize) -> Result<Vec<f32>, WeightsError> {
    let weight = source.vector(name, len)?;
    check_magnitudes(name, &weight)?;
    Ok(weight)
}

/// Refuses norm weights and biases beyond 2^20, infinities and NaN.
fn check_magnitudes(name: &str, values: &[f32]) -> Result<(), WeightsError> {
    match values
        .iter()
        .position(|v| v.is_nan() || v.abs() > MAX_PARAMETER)
    {
        None => Ok(()),
        Some(at) => Err(WeightsError::Values {
            name: name.into(),
            reason: format!(
                "element {at} is {}, norm weights and biases must lie within ±1,048,576",
                values[at]
            ),
        }),
    }
}
