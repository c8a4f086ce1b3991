//! `config.json`: what a decoder is made of.
//!
//! Every number that decides a bit of the result must be written there. The engine takes no
//! default from a library, so that the manifest, which binds this file by its hash, says it all.

use genesisflow_canonical::{attention::MAX_HEAD_DIM, rope::RopeScaling};
use serde_json::{Map, Value};

/// A decoder of the Llama kind, with the flags by which its relatives differ.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of decoder blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Rows of the embedding and of the head.
    pub vocab_size: usize,
    /// The norms' epsilon.
    pub rms_norm_eps: f64,
    /// Base of the rotary embedding.
    pub rope_theta: f64,
    /// Change of the rotary frequencies for longer contexts.
    pub rope_scaling: RopeScaling,
    /// Positions a query sees, itself included; `None`: all.
    pub window: Option<usize>,
    /// The head is the embedding.
    pub tied_embeddings: bool,
    /// Queries, keys and values have biases (Qwen2).
    pub qkv_bias: bool,
    /// The attention's output has a bias.
    pub output_bias: bool,
    /// The feed-forward layers have biases.
    pub mlp_bias: bool,
    /// Queries and keys are normed per head (Qwen3).
    pub qk_norm: bool,
}

/// What is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or no object.
    #[error("config.json is not a JSON object: {0}")]
    NotJson(String),
    /// A key that decides the arithmetic is not there.
    #[error(
        "config.json has no `{0}`; the engine takes no default, so write the value the model was \
         trained with into the file"
    )]
    Missing(String),
    /// A value cannot be used.
    #[error("config.json: `{key}` is {found}, but {expected}")]
    Invalid {
        /// The key.
        key: String,
        /// What was found.
        found: String,
        /// What would do.
        expected: String,
    },
    /// The model needs something this version does not have.
    #[error("config.json: `{key}` is {found}: {reason}")]
    Unsupported {
        /// The key.
        key: String,
        /// What was found.
        found: String,
        /// Why it is refused and what to do.
        reason: String,
    },
}

/// Largest accepted size of any dimension; a bound on arithmetic, far above real models.
const MAX_SIZE: u64 = 1 << 24;

/// The families, as `model_type` names them.
const FAMILIES: [&str; 4] = ["llama", "mistral", "qwen2", "qwen3"];

/// Why a model of another type is refused, and what to do.
pub(crate) fn why_not(family: &str) -> String {
    let reason = match family {
        name if name.starts_with("gemma") => {
            "Gemma's layers (norms after each part, windows in some layers, a scaled embedding) \
             are not built yet; "
        }
        name if name.contains("moe") || name == "mixtral" => {
            "mixtures of experts are not part of version 1; "
        }
        name if name.contains("_vl") || name.contains("vision") => {
            "only text models are part of version 1; "
        }
        _ => "",
    };
    format!("{reason}supported are llama (also SmolLM2, TinyLlama), mistral, qwen2 and qwen3")
}

impl DecoderConfig {
    /// Reads a Hugging Face `config.json` of a supported family.
    ///
    /// # Errors
    /// [`ConfigError`] for a missing, unusable or unsupported value.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        let keys: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|e| ConfigError::NotJson(e.to_string()))?;
        let keys = Keys(&keys);
        let family = keys.text("model_type")?;
        if !FAMILIES.contains(&family) {
            return Err(unsupported("model_type", family, &why_not(family)));
        }
        keys.check_known_arithmetic(family)?;
        let activation = keys.text("hidden_act")?;
        if activation != "silu" {
            return Err(unsupported(
                "hidden_act",
                activation,
                "supported models of these families use `silu`",
            ));
        }
        let (heads, hidden_size) = (keys.size("num_attention_heads")?, keys.size("hidden_size")?);
        let head_dim = match (keys.get("head_dim"), family) {
            // Qwen3's width is not hidden_size / heads, so there is nothing to derive it from.
            (None, "qwen3") => return Err(ConfigError::Missing("head_dim".into())),
            (None, _) if hidden_size % heads == 0 => hidden_size / heads,
            _ => keys.size("head_dim")?,
        };
        let bias = keys.flag("attention_bias")?;
        let (qkv_bias, output_bias, qk_norm) = match family {
            "llama" | "qwen3" => (bias, bias, family == "qwen3"),
            "mistral" => (false, false, false),
            // qwen2: biases, whatever the key says.
            _ => (true, false, false),
        };
        let config = Self {
            hidden_size,
            intermediate_size: keys.size("intermediate_size")?,
            layers: keys.size("num_hidden_layers")?,
            heads,
            kv_heads: keys.size("num_key_value_heads")?,
            head_dim,
            vocab_size: keys.size("vocab_size")?,
            rms_norm_eps: keys.number("rms_norm_eps")?,
            rope_theta: keys.rope_theta()?,
            rope_scaling: keys.rope_scaling()?,
            window: keys.window(family)?,
            tied_embeddings: keys.required_flag("tie_word_embeddings")?,
            qkv_bias,
            output_bias,
            mlp_bias: keys.flag("mlp_bias")?,
            qk_norm,
        };
        config.check()?;
        Ok(config)
    }

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with the first that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, size) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("vocab_size", self.vocab_size),
        ] {
            if size == 0 || size as u64 > MAX_SIZE {
                return Err(invalid(key, size, "it must be from 1 to 16,777,216"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(invalid(
                "num_key_value_heads",
                self.kv_heads,
                format!("it must divide num_attention_heads ({})", self.heads),
            ));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) || self.head_dim > MAX_HEAD_DIM {
            return Err(invalid(
                "head_dim",
                self.head_dim,
                format!("it must be even and from 2 to {MAX_HEAD_DIM}"),
            ));
        }
        let eps = self.rms_norm_eps as f32;
        if !(eps > 0.0 && eps <= 1.0) {
            return Err(invalid(
                "rms_norm_eps",
                self.rms_norm_eps,
                "as a 32-bit float it must be above 0 and at most 1",
            ));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta >= 1.0) {
            return Err(invalid(
                "rope_theta",
                self.rope_theta,
                "it must be a finite number of at least 1",
            ));
        }
        let factors_fit = match self.rope_scaling {
            RopeScaling::None => true,
            RopeScaling::Linear { factor } => factor.is_finite() && factor >= 1.0,
            RopeScaling::Llama3 {
                factor,
                low_frequency_factor: low,
                high_frequency_factor: high,
                original_context,
            } => {
                [factor, low, high, original_context]
                    .iter()
                    .all(|x| x.is_finite() && *x > 0.0)
                    && factor >= 1.0
                    && high > low
            }
        };
        if !factors_fit {
            return Err(invalid(
                "rope_scaling",
                format!("{:?}", self.rope_scaling),
                "its factors must be finite, `factor` at least 1, and high_freq_factor above \
                 low_freq_factor above 0",
            ));
        }
        if self.window == Some(0) {
            return Err(invalid(
                "sliding_window",
                0,
                "it must be null or at least 1",
            ));
        }
        Ok(())
    }

    /// Query heads that share a KV head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

/// The keys of a JSON object; null counts as absent.
struct Keys<'a>(&'a Map<String, Value>);

impl<'a> Keys<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn require(&self, key: &str) -> Result<&'a Value, ConfigError> {
        self.get(key)
            .ok_or_else(|| ConfigError::Missing(key.into()))
    }

    fn text(&self, key: &str) -> Result<&'a str, ConfigError> {
        let value = self.require(key)?;
        value
            .as_str()
            .ok_or_else(|| invalid(key, value, "it must be a string"))
    }

    fn size(&self, key: &str) -> Result<usize, ConfigError> {
        let value = self.require(key)?;
        match value.as_u64() {
            Some(size) if (1..=MAX_SIZE).contains(&size) => Ok(size as usize),
            _ => Err(invalid(
                key,
                value,
                "it must be a whole number from 1 to 16,777,216",
            )),
        }
    }

    fn number(&self, key: &str) -> Result<f64, ConfigError> {
        let value = self.require(key)?;
        value
            .as_f64()
            .ok_or_else(|| invalid(key, value, "it must be a number"))
    }

    fn required_flag(&self, key: &str) -> Result<bool, ConfigError> {
        self.require(key)?;
        self.flag(key)
    }

    /// A flag whose absence means no. That is safe where it only adds tensors: a tensor in the
    /// weights that nothing uses is refused.
    fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        match self.get(key) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| invalid(key, value, "it must be true or false")),
        }
    }

    /// Newer files keep the rotary numbers together in `rope_parameters`.
    fn rope_parameters(&self) -> Result<Option<Keys<'a>>, ConfigError> {
        let Some((key, value)) = ["rope_parameters", "rope_scaling"]
            .into_iter()
            .find_map(|key| Some((key, self.get(key)?)))
        else {
            return Ok(None);
        };
        match value.as_object() {
            Some(keys) => Ok(Some(Keys(keys))),
            None => Err(invalid(key, value, "it must be an object or null")),
        }
    }

    fn rope_theta(&self) -> Result<f64, ConfigError> {
        match self.rope_parameters()? {
            Some(keys) if keys.get("rope_theta").is_some() => keys.number("rope_theta"),
            _ => self.number("rope_theta"),
        }
    }

    fn rope_scaling(&self) -> Result<RopeScaling, ConfigError> {
        if let Some(factor) = self.get("partial_rotary_factor") {
            if factor.as_f64() != Some(1.0) {
                return Err(unsupported(
                    "partial_rotary_factor",
                    factor,
                    "partly rotated heads are not part of version 1",
                ));
            }
        }
        let Some(keys) = self.rope_parameters()? else {
            return Ok(RopeScaling::None);
        };
        let kind = match keys.get("rope_type").or(keys.get("type")) {
            None => return Err(ConfigError::Missing("rope_scaling.rope_type".into())),
            Some(kind) => kind
                .as_str()
                .ok_or_else(|| invalid("rope_scaling.rope_type", kind, "it must be a string"))?,
        };
        match kind {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear {
                factor: keys.number("factor")?,
            }),
            "llama3" => Ok(RopeScaling::Llama3 {
                factor: keys.number("factor")?,
                low_frequency_factor: keys.number("low_freq_factor")?,
                high_frequency_factor: keys.number("high_freq_factor")?,
                original_context: keys.number("original_max_position_embeddings")?,
            }),
            other => Err(unsupported(
                "rope_scaling.rope_type",
                other,
                "version 1 defines `default`, `linear` and `llama3`",
            )),
        }
    }

    /// Refuses what would change the arithmetic and is not looked at elsewhere.
    fn check_known_arithmetic(&self, family: &str) -> Result<(), ConfigError> {
        if let Some(value) = self.get("quantization_config") {
            let method = value.get("quant_method").and_then(Value::as_str);
            return Err(unsupported(
                "quantization_config",
                method.unwrap_or("there"),
                "weights quantised by other methods are not read; take the checkpoint they were \
                 made from (F32, F16 or BF16), or a GGUF file in Q8_0",
            ));
        }
        for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
            if let Some(value) = self.get(key) {
                let reason = "supported families do not cap their logits";
                return Err(unsupported(key, value, reason));
            }
        }
        let every_layer = match family {
            "mistral" if self.get("sliding_window").is_some() => "sliding_attention",
            _ => "full_attention",
        };
        let layers = self.get("layer_types").and_then(Value::as_array);
        let other = layers
            .into_iter()
            .flatten()
            .find(|kind| kind.as_str() != Some(every_layer));
        match other {
            Some(kind) => Err(unsupported(
                "layer_types",
                kind,
                "a window in some layers only is not part of version 1",
            )),
            None => Ok(()),
        }
    }

    fn window(&self, family: &str) -> Result<Option<usize>, ConfigError> {
        match family {
            "mistral" => match self.0.get("sliding_window") {
                None => Err(ConfigError::Missing(
                    "sliding_window` (null for none) or `sliding_window".into(),
                )),
                Some(Value::Null) => Ok(None),
                Some(_) => Ok(Some(self.size("sliding_window")?)),
            },
            "qwen2" | "qwen3" if self.flag("use_sliding_window")? => Err(unsupported(
                "use_sliding_window",
                true,
                "a window in some layers only is not part of version 1",
            )),
            _ => Ok(None),
        }
    }
}

fn invalid(key: &str, found: impl ToString, expected: impl Into<String>) -> ConfigError {
    ConfigError::Invalid {
        key: key.into(),
        found: found.to_string(),
        expected: expected.into(),
    }
}

fn unsupported(key: &str, found: impl ToString, reason: &str) -> ConfigError {
    ConfigError::Unsupported {
        key: key.into(),
        found: found.to_string(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn llama() -> Value {
        json!({
            "model_type": "llama", "hidden_act": "silu", "hidden_size": 64,
            "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 100, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "tie_word_embeddings": true
        })
    }

    fn read(value: &Value) -> Result<DecoderConfig, ConfigError> {
        DecoderConfig::from_json(value.to_string().as_bytes())
    }

    fn with(key: &str, value: Value) -> Value {
        let mut config = llama();
        config[key] = value;
        config
    }

    #[test]
    fn every_number_must_be_there() {
        let config = read(&llama()).unwrap();
        assert_eq!((config.head_dim, config.group()), (16, 2));
        for key in llama().as_object().unwrap().keys() {
            let mut without = llama();
            without.as_object_mut().unwrap().remove(key);
            assert_eq!(read(&without), Err(ConfigError::Missing(key.clone())));
            assert_eq!(
                read(&with(key, Value::Null)),
                Err(ConfigError::Missing(key.clone()))
            );
        }
    }

    #[test]
    fn unusable_values_are_refused_with_their_key() {
        for (key, value) in [
            ("hidden_size", json!(0)),
            ("hidden_size", json!(-64)),
            ("hidden_size", json!(64.5)),
            ("num_hidden_layers", json!(99_999_999_999u64)),
            ("num_key_value_heads", json!(3)),
            ("head_dim", json!(15)),
            ("head_dim", json!("16")),
            ("head_dim", json!(514)),
            ("rms_norm_eps", json!(0.0)),
            ("rms_norm_eps", json!(1e-60)),
            ("rms_norm_eps", json!(1.5)),
            ("rope_theta", json!("big")),
            ("rope_theta", json!(0.5)),
            ("tie_word_embeddings", json!(1)),
        ] {
            match read(&with(key, value.clone())) {
                Err(ConfigError::Invalid { key: found, .. }) => assert_eq!(found, key, "{value}"),
                other => panic!("{key} = {value}: {other:?}"),
            }
        }
        for bytes in [&b""[..], b"[1]", b"{", b"\xff\xfe"] {
            assert!(matches!(
                DecoderConfig::from_json(bytes),
                Err(ConfigError::NotJson(_))
            ));
        }
    }

    /// A reader that is off in the last bit for some decimals would give other bits than the
    /// definition says.
    #[test]
    fn numbers_are_rounded_correctly() {
        let mut bits = 0x3ee4_f8b5_88e3_68f1u64;
        for _ in 0..3000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Between 2^-33 and 1.
            let eps = f64::from_bits(0x3de0_0000_0000_0000 + bits % 0x0210_0000_0000_0000);
            let text = llama().to_string().replace("0.00001", "1e-5");
            let text = text.replace("1e-5", &format!("{eps:e}"));
            let config = DecoderConfig::from_json(text.as_bytes()).unwrap();
            assert_eq!(config.rms_norm_eps.to_bits(), eps.to_bits(), "{eps:e}");
        }
    }

    #[test]
    fn what_version_1_does_not_define_is_refused_with_the_reason() {
        for (key, value) in [
            ("model_type", json!("gpt2")),
            ("hidden_act", json!("gelu")),
            ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0})),
            ("partial_rotary_factor", json!(0.5)),
            ("quantization_config", json!({"quant_method": "gptq"})),
            (
                "layer_types",
                json!(["full_attention", "sliding_attention"]),
            ),
            ("final_logit_softcapping", json!(30.0)),
        ] {
            assert!(matches!(
                read(&with(key, value)),
                Err(ConfigError::Unsupported { .. })
            ));
        }
    }

    #[test]
    fn other_families_are_refused_with_their_reason() {
        for (family, reason) in [
            ("gemma3_text", "Gemma's layers"),
            ("mixtral", "mixtures of experts"),
            ("qwen3_moe", "mixtures of experts"),
            ("qwen2_vl", "only text models"),
            ("mamba", "supported are llama"),
        ] {
            let refusal = read(&with("model_type", json!(family))).unwrap_err();
            assert!(refusal.to_string().contains(reason), "{refusal}");
        }
    }

    #[test]
    fn rope_scaling_is_read_in_both_layouts() {
        let llama3 = json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192
        });
        let scaling = read(&with("rope_scaling", llama3)).unwrap().rope_scaling;
        assert!(
            matches!(scaling, RopeScaling::Llama3 { original_context, .. } if original_context == 8192.0)
        );
        let linear = json!({"type": "linear", "factor": 2.0});
        let scaling = read(&with("rope_scaling", linear)).unwrap().rope_scaling;
        assert_eq!(scaling, RopeScaling::Linear { factor: 2.0 });
        let mut newer = with(
            "rope_parameters",
            json!({"rope_type": "default", "rope_theta": 5e5}),
        );
        newer.as_object_mut().unwrap().remove("rope_theta");
        assert_eq!(read(&newer).unwrap().rope_theta, 5e5);
        let incomplete = json!({"rope_type": "llama3", "factor": 8.0});
        assert!(matches!(
            read(&with("rope_scaling", incomplete)),
            Err(ConfigError::Missing(_))
        ));
    }

    #[test]
    fn families_set_their_flags() {
        let mut qwen2 = with("model_type", json!("qwen2"));
        qwen2["use_sliding_window"] = json!(false);
        qwen2["sliding_window"] = json!(32768);
        let config = read(&qwen2).unwrap();
        assert!(config.qkv_bias && !config.output_bias && config.window.is_none());
        qwen2["use_sliding_window"] = json!(true);
        assert!(matches!(read(&qwen2), Err(ConfigError::Unsupported { .. })));

        let qwen3 = with("model_type", json!("qwen3"));
        assert_eq!(read(&qwen3), Err(ConfigError::Missing("head_dim".into())));
        let mut qwen3 = qwen3;
        qwen3["head_dim"] = json!(32);
        let config = read(&qwen3).unwrap();
        assert!(config.qk_norm && !config.qkv_bias && config.head_dim == 32);

        let mistral = with("model_type", json!("mistral"));
        assert!(matches!(read(&mistral), Err(ConfigError::Missing(_))));
        let mut mistral = mistral;
        mistral["sliding_window"] = Value::Null;
        assert_eq!(read(&mistral).unwrap().window, None);
        mistral["sliding_window"] = json!(4096);
        assert_eq!(read(&mistral).unwrap().window, Some(4096));
    }
}
