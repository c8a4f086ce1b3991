//! A GGUF file: config and tensors of a model in one file.
//!
//! Q8_0 and Q4_0 blocks are taken bit for bit; F32, F16 and BF16 are quantised as from safetensors;
//! Q6_K is dequantised first, and only for the embedding and the head. In files of architecture
//! `llama` the rows of queries and keys come permuted, pairs of the rotation side by side: they are
//! put back where the definition has them.

mod config;
mod container;

use std::{collections::BTreeSet, fs::File, path::Path};

pub use config::GgufConfigError;

use crate::{
    config::DecoderConfig,
    weights::{check_shape, EachRow, Row, TensorSource, WeightsError},
};

use super::rows::{Encoding, Stored};
use container::{Container, TensorInfo, Value};

const ROTARY_DIVISORS: &str = "rope_freqs.weight";

const REMEDY: &str = "supported in GGUF are Q8_0, Q4_0, F32, F16, BF16 (and Q6_K for token_embd \
                      and output), so quantise the model anew with llama-quantize to Q8_0";

/// Names of ggml's element types that occur in files but are not read here.
const OTHER_TYPES: &[(u32, &str)] = &[
    (3, "Q4_1"),
    (6, "Q5_0"),
    (7, "Q5_1"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (12, "Q4_K"),
    (13, "Q5_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

/// How a tensor is stored, if it can be read.
fn encoding(name: &str, info: &TensorInfo) -> Result<Encoding, WeightsError> {
    let refused = |found: String| WeightsError::Type {
        name: name.into(),
        found,
        remedy: REMEDY,
    };
    match info.kind {
        0 => Ok(Encoding::F32),
        1 => Ok(Encoding::F16),
        2 => Ok(Encoding::Q4_0),
        8 => Ok(Encoding::Q8_0),
        30 => Ok(Encoding::Bf16),
        14 if matches!(name, "token_embd.weight" | "output.weight") => Ok(Encoding::Q6K),
        14 => Err(refused("Q6_K".into())),
        other => Err(refused(
            OTHER_TYPES
                .iter()
                .find(|(kind, _)| *kind == other)
                .map_or_else(
                    || format!("of ggml type {other}"),
                    |(_, name)| (*name).into(),
                ),
        )),
    }
}

/// A GGUF file: its header in memory, its tensors on disk.
#[derive(Debug)]
pub struct GgufFile {
    name: String,
    file: File,
    container: Container,
    unused: BTreeSet<String>,
}

impl GgufFile {
    /// Opens a file, checks its header, and that every tensor can be read and lies within it.
    ///
    /// # Errors
    /// [`WeightsError`].
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|source| WeightsError::Io {
            file: name.clone(),
            source,
        })?;
        let container = Container::read(path, &file)?;
        for (tensor, info) in &container.tensors {
            let columns = info.shape.last().copied().unwrap_or(1);
            let rows = info.shape[..info.shape.len() - 1].iter().product::<usize>();
            let encoding = encoding(tensor, info)?;
            let end = encoding
                .bytes(columns)
                .and_then(|row| row.checked_mul(rows))
                .and_then(|bytes| info.offset.checked_add(bytes as u64));
            if end.is_none_or(|end| end > container.length) {
                return Err(WeightsError::Malformed {
                    file: name,
                    format: "GGUF",
                    reason: format!(
                        "tensor `{tensor}` of shape {:?} as {encoding:?} does not fit into it",
                        info.shape
                    ),
                });
            }
        }
        let unused = container.tensors.keys().cloned().collect();
        Ok(Self {
            name,
            file,
            container,
            unused,
        })
    }

    /// What the file says the decoder is made of.
    ///
    /// # Errors
    /// [`GgufConfigError`].
    pub fn config(&self) -> Result<DecoderConfig, GgufConfigError> {
        config::decoder_config(&self.container.metadata, &self.container.tensors)
    }

    /// Heads of a tensor whose rows (or elements, of a bias) come permuted.
    fn permuted_heads(&self, tensor: &str) -> Option<usize> {
        let text = |key: &str| self.container.metadata.get(key);
        if !matches!(text("general.architecture"), Some(Value::Text(a)) if a == "llama") {
            return None;
        }
        let count = |key: &str| match text(key) {
            Some(Value::Whole(n)) => usize::try_from(*n).ok(),
            _ => None,
        };
        let part = tensor.strip_prefix("blk.")?.split_once('.')?.1;
        let queries = count("llama.attention.head_count");
        match part {
            "attn_q.weight" | "attn_q.bias" => queries,
            "attn_k.weight" | "attn_k.bias" => count("llama.attention.head_count_kv").or(queries),
            _ => None,
        }
    }

    /// Reads the tensor that has this name in the file.
    fn read(
        &mut self,
        tensor: &str,
        shape: &[usize],
        each: EachRow<'_>,
    ) -> Result<(), WeightsError> {
        let info = self
            .container
            .tensors
            .get(tensor)
            .ok_or_else(|| WeightsError::MissingTensor(tensor.into()))?;
        check_shape(tensor, &info.shape, shape)?;
        self.unused.remove(tensor);
        let columns = shape.last().copied().unwrap_or(1);
        let stored = Stored {
            file_name: &self.name,
            offset: info.offset,
            encoding: encoding(tensor, info)?,
            rows: shape[..shape.len() - 1].iter().product(),
            columns,
            file: &mut self.file,
        };
        stored.read(tensor, each)
    }
}

impl TensorSource for GgufFile {
    fn rows(&mut self, name: &str, shape: &[usize], each: EachRow<'_>) -> Result<(), WeightsError> {
        let tensor = stored_name(name).ok_or_else(|| WeightsError::MissingTensor(name.into()))?;
        let Some(heads) = self.permuted_heads(&tensor) else {
            return self.read(&tensor, shape, each);
        };
        let outputs = shape[0];
        let pairs = heads.checked_mul(2).filter(|pairs| *pairs > 0);
        if !pairs.is_some_and(|pairs| outputs.is_multiple_of(pairs)) {
            return Err(WeightsError::Values {
                name: tensor,
                reason: format!("{outputs} rows are no pairs of {heads} heads"),
            });
        }
        let head_dim = outputs / heads;
        let mut whole = Vec::new();
        self.read(&tensor, shape, &mut |index, row| match (shape, row) {
            ([_], Row::Values(values)) => {
                whole = vec![0.0; values.len()];
                for (at, value) in values.iter().enumerate() {
                    whole[unpermuted(at, head_dim)] = *value;
                }
                each(0, Row::Values(&whole))
            }
            _ => each(unpermuted(index, head_dim), row),
        })
    }

    fn unused(&self) -> Option<String> {
        self.unused.first().cloned()
    }

    fn is_q4_0(&self, name: &str) -> bool {
        stored_name(name)
            .and_then(|tensor| self.container.tensors.get(&tensor))
            .is_some_and(|info| info.kind == 2)
    }

    fn rotary_divisors(&mut self, pairs: usize) -> Result<Option<Vec<f32>>, WeightsError> {
        if !self.container.tensors.contains_key(ROTARY_DIVISORS) {
            return Ok(None);
        }
        let mut divisors = Vec::new();
        self.read(ROTARY_DIVISORS, &[pairs], &mut |_, row| {
            if let Row::Values(values) = row {
                divisors.extend_from_slice(values);
            }
            Ok(())
        })?;
        match divisors.iter().find(|x| !(x.is_finite() && **x > 0.0)) {
            None if divisors.len() == pairs => Ok(Some(divisors)),
            found => Err(WeightsError::Values {
                name: ROTARY_DIVISORS.into(),
                reason: format!(
                    "its elements must be positive floats, one for each of {pairs} pairs{}",
                    found.map_or(String::new(), |x| format!(", but one is {x}"))
                ),
            }),
        }
    }
}

/// Where row `index` of a permuted tensor belongs: the file has the two of each rotated pair side
/// by side, the definition has them half a head apart.
fn unpermuted(index: usize, head_dim: usize) -> usize {
    let (head, within) = (index / head_dim, index % head_dim);
    head * head_dim + within % 2 * (head_dim / 2) + within / 2
}

/// What GGUF calls a tensor.
fn stored_name(name: &str) -> Option<String> {
    match name {
        "model.embed_tokens.weight" => return Some("token_embd.weight".into()),
        "model.norm.weight" => return Some("output_norm.weight".into()),
        "lm_head.weight" => return Some("output.weight".into()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (part, kind) = part.rsplit_once('.')?;
    let part = match part {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "post_attention_layernorm" => "ffn_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        _ => return None,
    };
    Some(format!("blk.{layer}.{part}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The converter's permutation, as `gguf`'s users write it: heads of (2, d/2) rows become heads
    /// of (d/2, 2).
    #[test]
    fn unpermuting_undoes_the_converter() {
        for (heads, head_dim) in [(1, 2), (3, 8), (2, 10)] {
            let permuted: Vec<usize> = (0..heads)
                .flat_map(|h| {
                    (0..head_dim / 2).flat_map(move |i| {
                        (0..2).map(move |t| h * head_dim + t * (head_dim / 2) + i)
                    })
                })
                .collect();
            for (index, original) in permuted.iter().enumerate() {
                assert_eq!(unpermuted(index, head_dim), *original);
            }
        }
    }

    #[test]
    fn names_are_translated_or_unknown() {
        for (name, stored) in [
            ("lm_head.weight", Some("output.weight")),
            (
                "model.layers.12.self_attn.q_proj.bias",
                Some("blk.12.attn_q.bias"),
            ),
            (
                "model.layers.0.mlp.down_proj.weight",
                Some("blk.0.ffn_down.weight"),
            ),
            ("model.layers.0.self_attn.rotary_emb.inv_freq", None),
            ("model.layers", None),
        ] {
            assert_eq!(stored_name(name).as_deref(), stored);
        }
    }
}
