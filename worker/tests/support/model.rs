//! A small Llama with random weights: it talks nonsense, always the same.

use serde_json::json;
use std::path::Path;

const HIDDEN: usize = 32;
const FEED_FORWARD: usize = 64;
const HEADS: usize = 2;
const KV_HEADS: usize = 1;
const BYTES: usize = 256;
/// One token a byte, and the end of the sequence.
const VOCABULARY: usize = BYTES + 1;

/// Writes the model's folder.
pub fn write(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let put = |name: &str, bytes: Vec<u8>| std::fs::write(dir.join(name), bytes).unwrap();
    put("config.json", config());
    put("tokenizer.json", tokenizer());
    put("model.safetensors", weights());
    put("manifest.toml", MANIFEST.into());
}

/// Writes the model's folder with the least pay of a seat: so the premium covers
/// an audit of every job on probation.
pub fn write_cheaply_audited(dir: &Path) {
    write(dir);
    let manifest = MANIFEST.replace("seat-pay = 50", "seat-pay = 10");
    assert_ne!(manifest, MANIFEST);
    std::fs::write(dir.join("manifest.toml"), manifest).unwrap();
}

const MANIFEST: &str = r#"
name = "Random bytes"

[limits]
context = 96
max-output = 24
prompt-overhead = 2

[terms]
min-price-input = "0.000001"
min-price-output = "0.000002"
min-fee = "0.05"
replay-rate = 100
seat-pay = 50
"#;

fn config() -> Vec<u8> {
    let config = json!({
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HIDDEN / HEADS,
        "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": null,
        "tie_word_embeddings": true,
        "attention_bias": false,
        "mlp_bias": false,
        "max_position_embeddings": 96,
        "eos_token_id": BYTES,
    });
    serde_json::to_vec(&config).unwrap()
}

/// The letters that stand for bytes in byte-level tokenizers.
fn byte_letters() -> Vec<char> {
    let is_printable = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut next = 256;
    (0..256)
        .map(|byte| {
            let code = if is_printable(byte) {
                byte
            } else {
                next += 1;
                next - 1
            };
            char::from_u32(code).unwrap()
        })
        .collect()
}

fn tokenizer() -> Vec<u8> {
    let vocabulary: serde_json::Map<_, _> = byte_letters()
        .into_iter()
        .enumerate()
        .map(|(id, letter)| (letter.to_string(), json!(id)))
        .collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false
    });
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": BYTES, "content": "</s>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true
        }],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": vocabulary, "merges": []
        }
    });
    serde_json::to_vec(&tokenizer).unwrap()
}

/// The index of a checkpoint whose only shard is `file`.
pub fn index_of(file: &str) -> String {
    let names = tensors().map(|(name, _)| (name, json!(file)));
    let map: serde_json::Map<_, _> = names.into_iter().collect();
    json!({ "metadata": {}, "weight_map": map }).to_string()
}

/// Every tensor with its shape.
fn tensors() -> [(String, Vec<usize>); 11] {
    let kv = HIDDEN / HEADS * KV_HEADS;
    let layer = |part: &str| format!("model.layers.0.{part}.weight");
    [
        ("model.embed_tokens.weight".into(), vec![VOCABULARY, HIDDEN]),
        ("model.norm.weight".into(), vec![HIDDEN]),
        (layer("input_layernorm"), vec![HIDDEN]),
        (layer("post_attention_layernorm"), vec![HIDDEN]),
        (layer("self_attn.q_proj"), vec![HIDDEN, HIDDEN]),
        (layer("self_attn.k_proj"), vec![kv, HIDDEN]),
        (layer("self_attn.v_proj"), vec![kv, HIDDEN]),
        (layer("self_attn.o_proj"), vec![HIDDEN, HIDDEN]),
        (layer("mlp.gate_proj"), vec![FEED_FORWARD, HIDDEN]),
        (layer("mlp.up_proj"), vec![FEED_FORWARD, HIDDEN]),
        (layer("mlp.down_proj"), vec![HIDDEN, FEED_FORWARD]),
    ]
}

/// All tensors as one safetensors file: the header's length, the header, data.
fn weights() -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    let mut noise = Noise(1);
    for (name, shape) in tensors() {
        let start = data.len();
        for _ in 0..shape.iter().product::<usize>() {
            data.extend(noise.next().to_le_bytes());
        }
        let entry = json!({
            "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]
        });
        header.insert(name, entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    file
}

/// A linear congruential generator: the same numbers on every machine.
struct Noise(u64);

impl Noise {
    /// A number between -1 and 1.
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}
