//! A model in memory is its packed weights and little more, also while it is read.
#![cfg(target_os = "linux")]

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use genesisflow_canonical::kernels::Kernel;
use genesisflow_engine::{
    bench::Shape, config::DecoderConfig, decoder::Decoder, loading::SafetensorsFile,
    threads::Threads, Engine, EngineOptions, GenerateRequest, Model, Prompt, Sampling,
};
use serde_json::{json, Map, Value};

use crate::{another_process, random_model::Numbers};

const SHAPE: &str = "smollm2-135m";
const JOBS: usize = 8;
const PROMPT: usize = 64;
const OUTPUT: usize = 65;

/// Names and shapes of a model's tensors.
fn layout(c: &DecoderConfig) -> Vec<(String, Vec<usize>)> {
    let (queries, keys) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    let (hidden, inner) = (c.hidden_size, c.intermediate_size);
    let mut layout = vec![
        (
            "model.embed_tokens.weight".into(),
            vec![c.vocab_size, hidden],
        ),
        ("model.norm.weight".into(), vec![hidden]),
    ];
    for layer in 0..c.layers {
        for (part, shape) in [
            ("input_layernorm", vec![hidden]),
            ("post_attention_layernorm", vec![hidden]),
            ("self_attn.q_proj", vec![queries, hidden]),
            ("self_attn.k_proj", vec![keys, hidden]),
            ("self_attn.v_proj", vec![keys, hidden]),
            ("self_attn.o_proj", vec![hidden, queries]),
            ("mlp.gate_proj", vec![inner, hidden]),
            ("mlp.up_proj", vec![inner, hidden]),
            ("mlp.down_proj", vec![hidden, inner]),
        ] {
            layout.push((format!("model.layers.{layer}.{part}.weight"), shape));
        }
    }
    layout
}

/// Writes random weights in f16.
fn write(config: &DecoderConfig, file: &Path) {
    let mut header = Map::new();
    let mut offset = 0;
    let layout = layout(config);
    for (name, shape) in &layout {
        let end = offset + 2 * shape.iter().product::<usize>();
        let entry = json!({"dtype": "F16", "shape": shape, "data_offsets": [offset, end]});
        header.insert(name.clone(), entry);
        offset = end;
    }
    let header = Value::Object(header).to_string();
    let mut file = BufWriter::new(File::create(file).unwrap());
    let length = header.len() as u64;
    file.write_all(&length.to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut numbers = Numbers::new(1);
    for (_, shape) in &layout {
        for _ in 0..shape.iter().product() {
            // Norms of 1; else a random sign and fraction, and one exponent for all.
            let bits = match shape.len() {
                1 => 0x3c00,
                _ => 0x2800 | (numbers.bits() as u16 & 0x83ff),
            };
            file.write_all(&bits.to_le_bytes()).unwrap();
        }
    }
    file.flush().unwrap();
}

/// The most memory that this process ever had, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.unwrap().trim().strip_suffix("kB").unwrap().trim();
    kibibytes.parse::<usize>().unwrap() * 1024
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn loads_and_generates() {
    let Some(file) = another_process::task() else {
        return;
    };
    let before = peak();
    let config = Shape::named(SHAPE).unwrap().config;
    let mut source = SafetensorsFile::open(&file).unwrap();
    let threads = Threads::new(2).unwrap();
    let decoder = Decoder::new(config, &mut source, Kernel::detect(), threads).unwrap();
    drop(source);
    let weights = decoder.bytes();
    let loaded = peak();
    let model = Model::new(decoder, None);
    let cache = JOBS * Engine::memory_for(&model, PROMPT + OUTPUT - 1);
    let engine = Engine::start(model, EngineOptions::default()).unwrap();
    let mut numbers = Numbers::new(2);
    let mut job = || GenerateRequest {
        model_id: [0; 32],
        prompt: Prompt::Tokens(numbers.tokens(PROMPT, 49_152)),
        sampling: Sampling::GREEDY,
        seed: [0; 32],
        max_output: OUTPUT as u32,
        stop_tokens: vec![],
        context: 2048,
        output_bytes: usize::MAX,
        evidence_bytes: usize::MAX,
    };
    let handles: Vec<_> = (0..JOBS).map(|_| engine.submit(job()).unwrap()).collect();
    for handle in handles {
        assert_eq!(handle.wait().unwrap().tokens.len(), OUTPUT);
    }
    let generated = peak();
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!(
        "{SHAPE}: weights {:.1} MiB, keys and values of {JOBS} jobs {:.1}; at most {:.1} before, {:.1} when loaded, {:.1} when done: {:.3} x weights besides keys and values",
        mib(weights),
        mib(cache),
        mib(before),
        mib(loaded),
        mib(generated),
        (generated - cache) as f64 / weights as f64
    );
    assert!(weights > 130_000_000, "{weights}");
    assert!(loaded as f64 <= 1.15 * weights as f64);
    assert!(generated as f64 <= 1.15 * weights as f64 + cache as f64);
}

#[test]
fn a_model_takes_little_more_memory_than_its_weights() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.safetensors");
    write(&Shape::named(SHAPE).unwrap().config, &file);
    print!(
        "{}",
        another_process::run("footprint::loads_and_generates", &file, &[])
    );
}
