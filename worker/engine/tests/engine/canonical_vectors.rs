//! The whole-model vectors of the definition, exactly, on every kernel of this machine.
//!
//! `tests/vectors/README.md` says what they are: two other implementations, in C and in Python,
//! made them from the definition's text alone.

use std::{fs, ops::ControlFlow, path::PathBuf};

use genesisflow_canonical::{kernels::Kernel, rope::RopeScaling, SamplerSettings, Trace};
use genesisflow_engine::{
    config::DecoderConfig,
    decoder::{Decoder, Sequence},
    loading::SafetensorsFile,
    threads::Threads,
    Finish, GenerateRequest, Model, Prompt, Sampling,
};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn json(path: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(path)).unwrap()).unwrap()
}

/// The vectors' configs have flags of their own and no `model_type`.
fn config(model: &str) -> DecoderConfig {
    let json = json(&format!("{model}/config.json"));
    let size = |key: &str| json[key].as_u64().unwrap() as usize;
    let flag = |key: &str| json.get(key).is_some_and(|v| v.as_bool().unwrap());
    DecoderConfig {
        hidden_size: size("hidden_size"),
        intermediate_size: size("intermediate_size"),
        layers: size("num_hidden_layers"),
        heads: size("num_attention_heads"),
        kv_heads: size("num_key_value_heads"),
        head_dim: size("head_dim"),
        vocab_size: size("vocab_size"),
        rms_norm_eps: json["rms_norm_eps"].as_f64().unwrap(),
        rope_theta: json["rope_theta"].as_f64().unwrap(),
        rope_scaling: RopeScaling::None,
        window: None,
        tied_embeddings: flag("tie_word_embeddings"),
        qkv_bias: flag("qkv_bias"),
        output_bias: false,
        mlp_bias: false,
        qk_norm: flag("qk_norm"),
    }
}

fn decoder(model: &str, kernel: Kernel, threads: usize) -> Decoder {
    let path = folder().join(model).join("model.safetensors");
    Decoder::new(
        config(model),
        &mut SafetensorsFile::open(&path).unwrap(),
        kernel,
        Threads::new(threads).unwrap(),
    )
    .unwrap()
}

struct Case {
    model: String,
    prompt: Vec<u32>,
    max_new: u32,
    sampling: Sampling,
    seed: [u8; 32],
    expected: Value,
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().unwrap().iter();
    ids.map(|id| id.as_u64().unwrap() as u32).collect()
}

fn cases() -> Vec<Case> {
    let (cases, expected) = (json("cases.json"), json("expected.json"));
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 4);
    cases
        .iter()
        .zip(expected.as_array().unwrap())
        .map(|(case, expected)| Case {
            model: case["model"].as_str().unwrap().into(),
            prompt: ids(&case["prompt"]),
            max_new: case["max_new"].as_u64().unwrap() as u32,
            sampling: Sampling {
                temperature_milli: case["temperature_milli"].as_u64().unwrap() as u32,
                top_k: case["top_k"].as_u64().unwrap() as u16,
                top_p_milli: case["top_p_milli"].as_u64().unwrap() as u16,
            },
            seed: hex::decode(case["seed"].as_str().unwrap())
                .unwrap()
                .try_into()
                .unwrap(),
            expected: expected.clone(),
        })
        .collect()
}

fn hash(floats: &[f32]) -> String {
    let bytes: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
    blake2b_simd::Params::new()
        .hash_length(32)
        .hash(&bytes)
        .to_hex()
        .to_string()
}

#[test]
fn tokens_logits_states_and_traces_are_those_of_the_vectors() {
    for kernel in Kernel::available() {
        for (index, case) in cases().iter().enumerate() {
            let name = format!("case {index} on {}", kernel.name());
            let decoder = decoder(&case.model, kernel, 1);
            let sampling = SamplerSettings::new(
                case.sampling.temperature_milli,
                case.sampling.top_k,
                case.sampling.top_p_milli,
            )
            .unwrap();
            let mut sequence = Sequence::new(&decoder, 512).unwrap();
            let (mut next, mut tokens) = (case.prompt.clone(), Vec::new());
            let (mut states, mut logits) = (Vec::new(), Vec::new());
            for _ in 0..case.max_new {
                let fed = sequence.feed(&next, next.len() - 1);
                assert!(fed.fault.is_none(), "{name}");
                let row = sequence.logits(&fed.states).unwrap();
                let position = sequence.position() as u64;
                let token = kernel.sample(&row, sampling, &case.seed, position);
                tokens.push(token);
                states.extend_from_slice(&fed.states);
                logits.extend_from_slice(&row);
                next = vec![token];
            }
            let first: String = logits[..8]
                .iter()
                .map(|x| hex::encode(x.to_le_bytes()))
                .collect();
            assert_eq!(
                first, case.expected["first_logits_hex"],
                "{name}: first logits"
            );
            assert_eq!(tokens, ids(&case.expected["tokens"]), "{name}: tokens");
            assert_eq!(
                hash(&logits),
                case.expected["logits_blake2b256"],
                "{name}: logits"
            );
            assert_eq!(
                hash(&states),
                case.expected["hidden_blake2b256"],
                "{name}: states"
            );
            let mut trace = Trace::new(&[0; 32], case.max_new);
            trace.state(&states);
            assert_eq!(
                hex::encode(trace.finish()),
                case.expected["trace"],
                "{name}: trace"
            );
        }
    }
}

#[test]
fn generate_gives_the_tokens_and_traces_of_the_vectors() {
    for threads in [1, 3] {
        for case in cases() {
            let model = Model::new(decoder(&case.model, Kernel::detect(), threads), None);
            let mut heard = Vec::new();
            let generation = model
                .generate(
                    &GenerateRequest {
                        model_id: [0; 32],
                        prompt: Prompt::Tokens(case.prompt.clone()),
                        sampling: case.sampling,
                        seed: case.seed,
                        max_output: case.max_new,
                        stop_tokens: vec![],
                        context: 1024,
                        output_bytes: usize::MAX,
                        evidence_bytes: usize::MAX,
                    },
                    &mut |token| {
                        heard.push(token);
                        ControlFlow::Continue(())
                    },
                )
                .unwrap();
            assert_eq!(generation.tokens, ids(&case.expected["tokens"]));
            assert_eq!(generation.tokens, heard);
            assert_eq!(hex::encode(generation.trace), case.expected["trace"]);
            assert_eq!(generation.prompt_tokens as usize, case.prompt.len());
            assert_eq!(generation.finish, Finish::Length);
        }
    }
}
