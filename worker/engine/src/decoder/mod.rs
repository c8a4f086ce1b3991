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

pub(crate) use fault::Before;
pub use fault::FeedFault;
pub(crate) use pass::Pass;
pub use sequence::{Fed, Sequence};
pub(crate) use step::{Choice, Run, RunOutput};

use std::sync::Arc;

use genesisflow_canonical::{kernels::Kernel, rms_norm::MAX_PARAMETER, rope};
use genesisflow_cuda::device::Device;

use crate::{
    backend::{Backend, DeviceError, DeviceReport, OnDevice, Pace, Pool, Processor},
    bench::BandwidthMeter,
    config::{ConfigError, DecoderConfig},
    threads::Threads,
    weights::{TensorSource, WeightsError},
};
pub(crate) use linear::Linear;
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
    /// The device does not take them.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A decoder: its weights, quantised and packed, on the device that it runs on.
#[derive(Debug)]
pub struct Decoder {
    backend: Arc<dyn Backend>,
}

/// A decoder's weights in the system's memory, which all threads read.
#[derive(Debug)]
pub(crate) struct Network {
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

/// One layer's weights.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Vec<f32>,
    /// Rows of queries, keys and values, one below the other.
    pub(crate) qkv: Linear,
    pub(crate) query_norm: Option<Vec<f32>>,
    pub(crate) key_norm: Option<Vec<f32>>,
    pub(crate) output: Linear,
    pub(crate) mlp_norm: Vec<f32>,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl Decoder {
    /// Builds a decoder on the processor, from tensors with Hugging Face names.
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
        let network = Arc::new(Network::load(config, source, kernel)?);
        Ok(Self {
            backend: Arc::new(Processor::new(network, threads)),
        })
    }

    /// Builds a decoder on a device with memory of its own, which no other decoder uses: open a
    /// card once for each. The bits are those of the processor.
    ///
    /// # Errors
    /// As [`Decoder::new`]; [`DecoderError::Device`] if the device fails or has too little memory.
    pub fn on_device(
        config: DecoderConfig,
        source: &mut dyn TensorSource,
        device: Arc<dyn Device>,
    ) -> Result<Self, DecoderError> {
        let backend = OnDevice::load(device, config, source)?;
        Ok(Self {
            backend: Arc::new(backend),
        })
    }

    /// What it is made of.
    pub fn config(&self) -> &DecoderConfig {
        self.backend.config()
    }

    /// What it runs on.
    pub fn device(&self) -> DeviceReport {
        self.backend.device()
    }

    /// How much it does best at once.
    pub fn pace(&self) -> Pace {
        self.backend.pace()
    }

    /// The threads it runs on, if it runs on the processor.
    pub fn threads(&self) -> Option<&Threads> {
        self.backend.processor().map(Processor::threads)
    }

    /// Bytes of its packed weights.
    pub fn bytes(&self) -> usize {
        self.backend.weight_bytes()
    }

    /// Bytes that are read to decode one token behind `positions` others: weights, keys and values.
    pub fn bytes_per_token(&self, positions: usize) -> usize {
        let c = self.config();
        let seen = positions + 1;
        let seen = c.window.map_or(seen, |window| seen.min(window));
        let row = c.kv_heads * c.head_dim * std::mem::size_of::<half::f16>();
        self.backend.read_bytes() + 2 * c.layers * seen * row
    }

    /// What measures the bandwidth of the device, by moving so many bytes. Nothing else may use
    /// the device meanwhile.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has too little memory.
    pub fn bandwidth_meter(&self, bytes: usize) -> Result<Box<dyn BandwidthMeter>, DeviceError> {
        self.backend.bandwidth_meter(bytes)
    }

    /// Blocks of keys and values that the device has room for; none if the system decides.
    pub(crate) fn blocks_that_fit(&self) -> Option<usize> {
        self.backend.blocks_that_fit()
    }

    /// Room for so many blocks of keys and values, and for steps over them.
    pub(crate) fn pool(&self, blocks: usize) -> Option<Box<dyn Pool>> {
        self.backend.pool(blocks)
    }

    /// To be called by the thread that brings all steps.
    pub(crate) fn settle_caller(&self) {
        self.backend.settle_caller();
    }
}

/// A part of a decoder's weights, in the order in which they are read.
#[derive(Debug)]
pub(crate) enum Part {
    /// The embedding, which may be the head too.
    Embedding(Linear),
    /// The next layer.
    Layer(Box<Layer>),
    /// The weight of the norm behind the last layer.
    FinalNorm(Vec<f32>),
    /// The head, if it is not the embedding.
    Head(Linear),
}

/// Reads all weights, checks them, and hands them out one after the other, so that a device with
/// memory of its own never needs all of them in the system's. Returns the rotary frequencies of a
/// head's pairs.
pub(crate) fn read_weights(
    config: &DecoderConfig,
    source: &mut dyn TensorSource,
    mut take: impl FnMut(Part) -> Result<(), DecoderError>,
) -> Result<Vec<f64>, DecoderError> {
    config.check()?;
    let c = config;
    let hidden = c.hidden_size;
    let embedding = vec![("model.embed_tokens".to_owned(), c.vocab_size)];
    let embedding = Linear::load(source, &embedding, hidden, false)?;
    take(Part::Embedding(embedding))?;
    for index in 0..c.layers {
        let layer = Layer::load(c, source, index)?;
        take(Part::Layer(Box::new(layer)))?;
    }
    let final_norm = norm(source, "model.norm.weight", hidden)?;
    take(Part::FinalNorm(final_norm))?;
    if !c.tied_embeddings {
        let head = vec![("lm_head".to_owned(), c.vocab_size)];
        take(Part::Head(Linear::load(source, &head, hidden, false)?))?;
    }
    let mut frequencies: Vec<f64> = (0..c.head_dim / 2)
        .map(|i| rope::frequency(c.rope_theta, i, c.head_dim, c.rope_scaling))
        .collect();
    let divisors = source.rotary_divisors(frequencies.len())?;
    for (frequency, divisor) in frequencies.iter_mut().zip(divisors.unwrap_or_default()) {
        *frequency /= f64::from(divisor);
    }
    if let Some(name) = source.unused() {
        // Files of tied models often repeat the embedding as the head.
        if !(c.tied_embeddings && name == "lm_head.weight") {
            return Err(WeightsError::UnusedTensor(name).into());
        }
    }
    Ok(frequencies)
}

impl Network {
    /// Reads all weights.
    pub(crate) fn load(
        config: DecoderConfig,
        source: &mut dyn TensorSource,
        kernel: Kernel,
    ) -> Result<Self, DecoderError> {
        let (mut embedding, mut layers, mut head) = (None, Vec::new(), None);
        let mut final_norm = Vec::new();
        let frequencies = read_weights(&config, source, |part| {
            match part {
                Part::Embedding(linear) => embedding = Some(linear),
                Part::Layer(layer) => layers.push(*layer),
                Part::FinalNorm(weight) => final_norm = weight,
                Part::Head(linear) => head = Some(linear),
            }
            Ok(())
        })?;
        // It is the first part of all.
        let missing = || WeightsError::MissingTensor("model.embed_tokens.weight".into());
        Ok(Self {
            embedding: embedding.ok_or_else(missing)?,
            layers,
            final_norm,
            head,
            frequencies,
            kernel,
            config,
        })
    }

    /// What the decoder is made of.
    pub(crate) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The kernel it runs on.
    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Bytes of the packed weights.
    pub(crate) fn bytes(&self) -> usize {
        self.linears().map(|l| l.matrix().bytes()).sum()
    }

    /// Bytes that a step reads which decodes one token.
    pub(crate) fn read_bytes(&self) -> usize {
        match self.head {
            None => self.bytes(),
            Some(_) => self.bytes() - self.embedding.matrix().bytes(),
        }
    }

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
