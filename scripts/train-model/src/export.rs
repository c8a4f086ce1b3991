//! Writing the trained model in the Hugging Face layout.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{anyhow, Context, Result};
use candle_core::DType;
use serde_json::json;
use tokenizers::Tokenizer;

use crate::model::{Model, MAX_POSITIONS, RMS_NORM_EPS, ROPE_THETA};
use crate::ops::HEAD_DIM;
use crate::tokenizer::{ANSWER, BOS, EOS, VOCABULARY};

/// Writes `config.json`, `model.safetensors` (f16), `tokenizer.json` and `tokenizer_config.json` to `folder`.
///
/// # Errors
/// If a file cannot be written.
pub fn export(folder: &Path, model: &Model, tokenizer: &Tokenizer) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let mut tensors = HashMap::new();
    for parameter in &model.parameters {
        let value = parameter.var.as_tensor().to_dtype(DType::F16)?;
        tensors.insert(parameter.name.clone(), value);
    }
    let weights = folder.join("model.safetensors");
    candle_core::safetensors::save(&tensors, &weights)
        .with_context(|| format!("cannot write {}", weights.display()))?;
    let path = folder.join("tokenizer.json");
    tokenizer
        .save(&path, true)
        .map_err(|e| anyhow!("cannot write {}: {e}", path.display()))?;
    let shape = model.shape;
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": false,
        "attention_dropout": 0.0,
        "bos_token_id": BOS.1,
        "eos_token_id": EOS.1,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": MAX_POSITIONS,
        "mlp_bias": false,
        "model_type": "llama",
        "num_attention_heads": shape.heads(),
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.heads(),
        "pretraining_tp": 1,
        "rms_norm_eps": RMS_NORM_EPS,
        "rope_scaling": null,
        "rope_theta": ROPE_THETA,
        "tie_word_embeddings": true,
        "torch_dtype": "float16",
        "use_cache": true,
        "vocab_size": VOCABULARY,
    });
    write_json(&folder.join("config.json"), &config)?;
    let special = |(text, id): (&str, u32)| {
        (
            id.to_string(),
            json!({
                "content": text, "lstrip": false, "normalized": false,
                "rstrip": false, "single_word": false, "special": true,
            }),
        )
    };
    let decoder: serde_json::Map<_, _> = [BOS, EOS, ANSWER].into_iter().map(special).collect();
    let tokenizer_config = json!({
        "added_tokens_decoder": decoder,
        "additional_special_tokens": [ANSWER.0],
        "bos_token": BOS.0,
        "clean_up_tokenization_spaces": false,
        "eos_token": EOS.0,
        "model_max_length": MAX_POSITIONS,
        "tokenizer_class": "PreTrainedTokenizerFast",
    });
    write_json(&folder.join("tokenizer_config.json"), &tokenizer_config)
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
