//! From GGUF metadata to a decoder's config.
//!
//! Strict, because the numbers decide bits: a key of the architecture that is not known here may
//! change the arithmetic, so it is refused by name instead of ignored.

use std::collections::BTreeMap;

use genesisflow_canonical::rope::RopeScaling;

use crate::config::{why_not, ConfigError, DecoderConfig};

use super::container::{TensorInfo, Value};

/// What is wrong with a GGUF file's metadata.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GgufConfigError {
    /// A key that decides the arithmetic is not there.
    #[error(
        "the GGUF metadata has no `{0}`; the engine takes no default, so convert the model again \
         or add the key with gguf_new_metadata.py"
    )]
    Missing(String),
    /// A value cannot be used.
    #[error("GGUF metadata: `{key}` is {found}, but {expected}")]
    Invalid {
        /// The key.
        key: String,
        /// What was found.
        found: String,
        /// What would do.
        expected: String,
    },
    /// The model needs something this version does not have.
    #[error("GGUF metadata: `{key}` is {found}: {reason}")]
    Unsupported {
        /// The key.
        key: String,
        /// What was found.
        found: String,
        /// Why it is refused and what to do.
        reason: String,
    },
    /// The numbers do not fit together. The error names config.json's keys, which mean the same.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Keys of an architecture that are read below or say nothing about the arithmetic.
const KNOWN: &[&str] = &[
    "attention.causal",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.value_length",
    "block_count",
    // The manifest decides the context.
    "context_length",
    "embedding_length",
    "expert_count",
    "expert_used_count",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "tensor_data_layout",
    "vocab_size",
];

/// What the metadata and the presence of tensors say.
///
/// # Errors
/// [`GgufConfigError`] for a missing, unusable or unsupported value.
pub(super) fn decoder_config(
    metadata: &BTreeMap<String, Value>,
    tensors: &BTreeMap<String, TensorInfo>,
) -> Result<DecoderConfig, GgufConfigError> {
    let architecture = match metadata.get("general.architecture") {
        Some(Value::Text(name)) => name.as_str(),
        Some(other) => return Err(invalid("general.architecture", other, "it must be a name")),
        None => return Err(GgufConfigError::Missing("general.architecture".into())),
    };
    if !matches!(architecture, "llama" | "qwen2" | "qwen3") {
        return Err(unsupported(
            "general.architecture",
            architecture,
            why_not(architecture),
        ));
    }
    if let Some(Value::Whole(parts @ 2..)) = metadata.get("split.count") {
        return Err(unsupported(
            "split.count",
            parts,
            "a model in several GGUF files must be joined first, with llama-gguf-split --merge",
        ));
    }
    let keys = Keys {
        architecture,
        metadata,
    };
    keys.check_known()?;
    if let Some(experts @ 1..) = keys.optional_size("expert_count")? {
        return Err(keys.unsupported(
            "expert_count",
            experts,
            "mixtures of experts are not part of version 1",
        ));
    }
    let (hidden_size, heads) = (
        keys.size("embedding_length")?,
        keys.size("attention.head_count")?,
    );
    let head_dim = match keys.optional_size("attention.key_length")? {
        Some(width) => width,
        // So says the format's description.
        None if heads > 0 && hidden_size % heads == 0 => hidden_size / heads,
        None => return Err(GgufConfigError::Missing(keys.full("attention.key_length"))),
    };
    for (key, what) in [
        (
            "attention.value_length",
            "heads whose values have another width than their keys",
        ),
        ("rope.dimension_count", "partly rotated heads"),
    ] {
        match keys.optional_size(key)? {
            Some(width) if width != head_dim => {
                let reason = format!("{what} are not part of version 1 (keys have {head_dim})");
                return Err(keys.unsupported(key, width, reason));
            }
            _ => {}
        }
    }
    let vocab_size = match tensors.get("token_embd.weight").map(|t| &t.shape[..]) {
        Some([rows, _]) => *rows,
        _ => return Err(GgufConfigError::Missing("token_embd.weight".into())),
    };
    match keys.optional_size("vocab_size")? {
        Some(size) if size != vocab_size => {
            let expected = format!("the embedding has {vocab_size} rows");
            return Err(invalid(&keys.full("vocab_size"), size, expected));
        }
        _ => {}
    }
    let window = match (
        architecture,
        keys.optional_size("attention.sliding_window")?,
    ) {
        (_, None | Some(0)) => None,
        ("llama", window) => window,
        (_, Some(window)) => {
            return Err(keys.unsupported(
                "attention.sliding_window",
                window,
                "a window in some layers only is not part of version 1",
            ))
        }
    };
    let has = |part: &str| tensors.contains_key(&format!("blk.0.{part}"));
    let config = DecoderConfig {
        hidden_size,
        intermediate_size: keys.size("feed_forward_length")?,
        layers: keys.size("block_count")?,
        heads,
        kv_heads: keys
            .optional_size("attention.head_count_kv")?
            .unwrap_or(heads),
        head_dim,
        vocab_size,
        rms_norm_eps: keys.number("attention.layer_norm_rms_epsilon")?,
        rope_theta: keys.number("rope.freq_base")?,
        rope_scaling: keys.rope_scaling()?,
        window,
        tied_embeddings: !tensors.contains_key("output.weight"),
        qkv_bias: has("attn_q.bias"),
        output_bias: has("attn_output.bias"),
        mlp_bias: has("ffn_gate.bias"),
        qk_norm: architecture == "qwen3",
    };
    config.check()?;
    Ok(config)
}

/// The keys of one architecture.
struct Keys<'a> {
    architecture: &'a str,
    metadata: &'a BTreeMap<String, Value>,
}

impl Keys<'_> {
    fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(&self.full(key))
    }

    fn check_known(&self) -> Result<(), GgufConfigError> {
        let prefix = self.full("");
        for (key, value) in self.metadata {
            match key.strip_prefix(&prefix) {
                Some(rest) if !KNOWN.contains(&rest) => {
                    let reason = "this engine does not know what it changes, so it cannot \
                                  promise the right result; a model converted without it can run";
                    return Err(unsupported(key, value, reason));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, GgufConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Whole(n)) => match usize::try_from(*n) {
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(invalid(&self.full(key), n, "it is too large")),
            },
            Some(other) => {
                let expected = "it must be one whole number for all layers";
                Err(invalid(&self.full(key), other, expected))
            }
        }
    }

    fn size(&self, key: &str) -> Result<usize, GgufConfigError> {
        self.optional_size(key)?
            .ok_or_else(|| GgufConfigError::Missing(self.full(key)))
    }

    fn number(&self, key: &str) -> Result<f64, GgufConfigError> {
        match self.get(key) {
            None => Err(GgufConfigError::Missing(self.full(key))),
            Some(Value::Float(x)) => Ok(*x),
            Some(other) => Err(invalid(&self.full(key), other, "it must be a float")),
        }
    }

    fn rope_scaling(&self) -> Result<RopeScaling, GgufConfigError> {
        match self.get("rope.scaling.type") {
            // Llama 3's scaling comes as the tensor `rope_freqs`.
            None if self.get("rope.scaling.factor").is_none() => Ok(RopeScaling::None),
            None => Err(GgufConfigError::Missing(self.full("rope.scaling.type"))),
            Some(Value::Text(kind)) if kind == "none" => Ok(RopeScaling::None),
            Some(Value::Text(kind)) if kind == "linear" => Ok(RopeScaling::Linear {
                factor: self.number("rope.scaling.factor")?,
            }),
            Some(other) => Err(self.unsupported(
                "rope.scaling.type",
                other,
                "version 1 defines `none`, `linear`, and Llama 3's as the tensor rope_freqs",
            )),
        }
    }

    fn unsupported(
        &self,
        key: &str,
        found: impl ToString,
        reason: impl Into<String>,
    ) -> GgufConfigError {
        unsupported(&self.full(key), found, reason)
    }
}

fn invalid(key: &str, found: impl ToString, expected: impl Into<String>) -> GgufConfigError {
    GgufConfigError::Invalid {
        key: key.into(),
        found: found.to_string(),
        expected: expected.into(),
    }
}

fn unsupported(key: &str, found: impl ToString, reason: impl Into<String>) -> GgufConfigError {
    GgufConfigError::Unsupported {
        key: key.into(),
        found: found.to_string(),
        reason: reason.into(),
    }
}
