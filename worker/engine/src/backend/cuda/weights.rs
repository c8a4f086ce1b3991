//! A decoder's weights in a device's memory.

use std::sync::Arc;

use genesisflow_canonical::kernels::WeightFormat;
use genesisflow_cuda::{
    device::{Buffer, Device, DeviceError, Span},
    operators::Matrix,
    pack::{self, Packed},
};

use crate::{
    config::DecoderConfig,
    decoder::{read_weights, DecoderError, Layer, Linear, Part},
    weights::{TensorSource, WeightsError},
};

/// All weights.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) config: DecoderConfig,
    pub(super) embedding: DeviceLinear,
    pub(super) layers: Vec<DeviceLayer>,
    pub(super) final_norm: Buffer,
    /// Absent if the embedding is the head.
    head: Option<DeviceLinear>,
    /// Rotary frequencies of a head's pairs.
    pub(super) frequencies: Vec<f64>,
}

/// One layer's weights.
#[derive(Debug)]
pub(super) struct DeviceLayer {
    pub(super) attention_norm: Buffer,
    pub(super) qkv: DeviceLinear,
    pub(super) query_norm: Option<Buffer>,
    pub(super) key_norm: Option<Buffer>,
    pub(super) output: DeviceLinear,
    pub(super) mlp_norm: Buffer,
    pub(super) inner: Inner,
    pub(super) down: DeviceLinear,
}

/// The inner half of a feed-forward layer.
#[derive(Debug)]
pub(super) enum Inner {
    /// Gate and up as one matrix, whose kernel multiplies them too.
    Gated(DeviceLinear),
    /// Gate and up by themselves, because they are stored in different formats.
    Apart(DeviceLinear, DeviceLinear),
}

/// A matrix, and a bias if the layer has one.
#[derive(Debug)]
pub(super) struct DeviceLinear {
    format: WeightFormat,
    /// Of both halves, if it is gated.
    rows: usize,
    columns: usize,
    gated: bool,
    quants: Buffer,
    scales: Buffer,
    bias: Option<Buffer>,
}

impl DeviceLinear {
    fn new(
        device: &Arc<dyn Device>,
        packed: &Packed,
        bias: Option<&[f32]>,
    ) -> Result<Self, DeviceError> {
        let bias = bias.map(|bias| floats(device, &pack::pack_bias(bias, packed.gated)));
        Ok(Self {
            format: packed.format,
            rows: packed.rows,
            columns: packed.columns,
            gated: packed.gated,
            quants: Buffer::holding(device, &packed.quants)?,
            scales: Buffer::holding(device, &packed.scales)?,
            bias: bias.transpose()?,
        })
    }

    fn plain(device: &Arc<dyn Device>, linear: &Linear) -> Result<Self, DeviceError> {
        let matrix = linear.matrix();
        let packed = pack::pack(
            matrix.format(),
            matrix.rows(),
            matrix.columns(),
            |row, scales, quants| matrix.row(row, scales, quants),
        );
        Self::new(device, &packed, linear.bias())
    }

    /// What the operators take.
    pub(super) fn matrix(&self) -> Matrix<'_> {
        Matrix {
            format: self.format,
            rows: self.rows,
            columns: self.columns,
            gated: self.gated,
            quants: self.quants.span(),
            scales: self.scales.span(),
        }
    }

    /// Its bias, in the matrix's order.
    pub(super) fn bias(&self) -> Option<Span<'_>> {
        self.bias.as_ref().map(Buffer::span)
    }

    fn bytes(&self) -> usize {
        self.quants.bytes() + self.scales.bytes()
    }
}

impl Inner {
    fn new(device: &Arc<dyn Device>, gate: &Linear, up: &Linear) -> Result<Self, DeviceError> {
        let (gates, ups) = (gate.matrix(), up.matrix());
        if gates.format() != ups.format() {
            return Ok(Self::Apart(
                DeviceLinear::plain(device, gate)?,
                DeviceLinear::plain(device, up)?,
            ));
        }
        let outputs = gates.rows();
        let packed = pack::pack_gated(
            gates.format(),
            outputs,
            gates.columns(),
            |row, scales, quants| match row.checked_sub(outputs) {
                None => gates.row(row, scales, quants),
                Some(row) => ups.row(row, scales, quants),
            },
        );
        let biases = gate.bias().zip(up.bias());
        let bias = biases.map(|(gate, up)| [gate, up].concat());
        DeviceLinear::new(device, &packed, bias.as_deref()).map(Self::Gated)
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Gated(both) => both.bytes(),
            Self::Apart(gate, up) => gate.bytes() + up.bytes(),
        }
    }
}

impl DeviceLayer {
    fn new(device: &Arc<dyn Device>, layer: &Layer) -> Result<Self, DeviceError> {
        let norm = |weight: &Option<Vec<f32>>| {
            let weight = weight.as_ref();
            weight.map(|weight| floats(device, weight)).transpose()
        };
        Ok(Self {
            attention_norm: floats(device, &layer.attention_norm)?,
            qkv: DeviceLinear::plain(device, &layer.qkv)?,
            query_norm: norm(&layer.query_norm)?,
            key_norm: norm(&layer.key_norm)?,
            output: DeviceLinear::plain(device, &layer.output)?,
            mlp_norm: floats(device, &layer.mlp_norm)?,
            inner: Inner::new(device, &layer.gate, &layer.up)?,
            down: DeviceLinear::plain(device, &layer.down)?,
        })
    }

    fn bytes(&self) -> usize {
        self.qkv.bytes() + self.output.bytes() + self.inner.bytes() + self.down.bytes()
    }
}

impl Weights {
    /// Reads the weights and copies them to a device, a part at a time.
    pub(super) fn load(
        device: &Arc<dyn Device>,
        config: DecoderConfig,
        source: &mut dyn TensorSource,
    ) -> Result<Self, DecoderError> {
        let (mut embedding, mut layers, mut head) = (None, Vec::new(), None);
        let mut final_norm = None;
        let frequencies = read_weights(&config, source, |part| {
            let mut copy = || -> Result<(), DeviceError> {
                match &part {
                    Part::Embedding(linear) => {
                        embedding = Some(DeviceLinear::plain(device, linear)?);
                    }
                    Part::Layer(layer) => layers.push(DeviceLayer::new(device, layer)?),
                    Part::FinalNorm(weight) => final_norm = Some(floats(device, weight)?),
                    Part::Head(linear) => head = Some(DeviceLinear::plain(device, linear)?),
                }
                Ok(())
            };
            copy().map_err(|error| super::DeviceError::from(error).into())
        })?;
        // Both are always read.
        let missing = |name: &str| WeightsError::MissingTensor(name.into());
        Ok(Self {
            embedding: embedding.ok_or_else(|| missing("model.embed_tokens.weight"))?,
            layers,
            final_norm: final_norm.ok_or_else(|| missing("model.norm.weight"))?,
            head,
            frequencies,
            config,
        })
    }

    /// The head.
    pub(super) fn head(&self) -> &DeviceLinear {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Bytes of the matrices.
    pub(super) fn bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(DeviceLayer::bytes).sum();
        let head = self.head.as_ref().map_or(0, DeviceLinear::bytes);
        self.embedding.bytes() + layers + head
    }

    /// Bytes that a step reads which decodes one token.
    pub(super) fn read_bytes(&self) -> usize {
        match self.head {
            None => self.bytes(),
            Some(_) => self.bytes() - self.embedding.bytes(),
        }
    }
}

/// Numbers in a device's memory.
pub(super) fn floats(device: &Arc<dyn Device>, values: &[f32]) -> Result<Buffer, DeviceError> {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    Buffer::holding(device, &bytes)
}
