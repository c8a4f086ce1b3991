//! What has to be shown on an NVIDIA card: that it gives the bits of the processor, and how fast.
//!
//! ```text
//! cargo run --release -p genesisflow-engine --example gpu_check -- equality [--card 0] [--tokens 100000]
//! cargo run --release -p genesisflow-engine --example gpu_check -- bench [--card 0] [--json]
//! ```
//! `equality` generates on the card, with batches of 1 to 64 and contexts up to 8192, and has the
//! processor replay every output: tokens and the hashes over all states must be the same. It ends
//! with an error at the first difference.

use std::{error::Error, sync::Arc, time::Instant};

use genesisflow_canonical::rope::RopeScaling;
use genesisflow_cuda::driver::{self, CudaDevice};
use genesisflow_engine::{
    bench::{self, BenchPlan, Lengths, RandomWeights, Shape, StoredFormat},
    config::DecoderConfig,
    decoder::Decoder,
    devices::Place,
    threads::Threads,
    Engine, EngineOptions, GenerateRequest, LoadOptions, Model, Prompt, Replay, Sampling,
};

type Checked<T> = Result<T, Box<dyn Error>>;

/// Bytes that are copied to measure the card's bandwidth.
const COPIED: usize = 4 << 30;

fn main() -> Checked<()> {
    let (mut card, mut tokens, mut json) = (0, 100_000, false);
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    while let Some(flag) = arguments.next() {
        match flag.as_str() {
            "--json" => json = true,
            "--card" => card = arguments.next().ok_or("--card needs a number")?.parse()?,
            "--tokens" => tokens = arguments.next().ok_or("--tokens needs a number")?.parse()?,
            other => return Err(format!("unknown flag {other}").into()),
        }
    }
    for card in driver::cards()? {
        eprintln!("{card}");
    }
    match what.as_str() {
        "equality" => equality(card, tokens),
        "bench" => benchmark(card, json),
        _ => Err("say what to do: equality or bench".into()),
    }
}

/// A model for the equality run: small enough for the processor to follow.
fn families() -> Vec<(&'static str, StoredFormat, DecoderConfig)> {
    let llama = DecoderConfig {
        hidden_size: 512,
        intermediate_size: 1376,
        layers: 6,
        heads: 8,
        kv_heads: 2,
        head_dim: 64,
        vocab_size: 32_000,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        window: None,
        tied_embeddings: false,
        qkv_bias: false,
        output_bias: false,
        mlp_bias: false,
        qk_norm: false,
    };
    let eights = StoredFormat::Q8_0;
    vec![
        ("llama", eights, llama.clone()),
        ("llama in fours", StoredFormat::Q4_0, llama.clone()),
        (
            "llama3",
            eights,
            DecoderConfig {
                head_dim: 128,
                heads: 4,
                kv_heads: 1,
                rope_theta: 500_000.0,
                rope_scaling: RopeScaling::Llama3 {
                    factor: 8.0,
                    low_frequency_factor: 1.0,
                    high_frequency_factor: 4.0,
                    original_context: 2048.0,
                },
                ..llama.clone()
            },
        ),
        (
            "smollm2",
            eights,
            DecoderConfig {
                hidden_size: 576,
                intermediate_size: 1536,
                heads: 9,
                kv_heads: 3,
                vocab_size: 49_152,
                tied_embeddings: true,
                ..llama.clone()
            },
        ),
        (
            "mistral",
            eights,
            DecoderConfig {
                window: Some(1000),
                ..llama.clone()
            },
        ),
        (
            "qwen2",
            eights,
            DecoderConfig {
                hidden_size: 896,
                heads: 14,
                qkv_bias: true,
                tied_embeddings: true,
                ..llama.clone()
            },
        ),
        (
            "qwen3",
            eights,
            DecoderConfig {
                head_dim: 96,
                qk_norm: true,
                ..llama
            },
        ),
    ]
}

/// Batches of one run of the equality check: sequences, tokens of a prompt, tokens of an output.
const BATCHES: [(usize, usize, u32); 10] = [
    (1, 7900, 200),
    (1, 17, 500),
    (2, 40, 200),
    (3, 3000, 100),
    (7, 100, 120),
    (8, 33, 120),
    (9, 128, 120),
    (16, 64, 120),
    (33, 50, 120),
    (64, 20, 120),
];

fn request(number: usize, prompt: usize, output: u32, vocabulary: usize) -> GenerateRequest {
    let token = |i: usize| ((i * 7919 + number * 104_729 + 31) % vocabulary) as u32;
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    GenerateRequest {
        model_id: [7; 32],
        prompt: Prompt::Tokens((0..prompt).map(token).collect()),
        sampling: Sampling {
            temperature_milli: [0, 700, 1000, 2000][number % 4],
            top_k: [1, 40, 64][number % 3],
            top_p_milli: [1000, 950][number % 2],
        },
        seed,
        max_output: output,
        stop_tokens: Vec::new(),
        context: 8192,
        output_bytes: usize::MAX,
        evidence_bytes: usize::MAX,
    }
}

fn equality(card: usize, wanted: usize) -> Checked<()> {
    let options = LoadOptions::from_environment()?;
    let threads = Threads::new(options.threads)?;
    let (mut compared, mut number) = (0, 0);
    let start = Instant::now();
    while compared < wanted {
        for (name, format, config) in families() {
            let vocabulary = config.vocab_size;
            let device = Arc::new(CudaDevice::open(card)?);
            let weights = || RandomWeights::new(format);
            let subject = Decoder::on_device(config.clone(), &mut weights(), device)?;
            let kernel = options.kernel;
            let reference = Decoder::new(config, &mut weights(), kernel, threads.clone())?;
            let memory = |model: &Model| 80 * Engine::memory_for(model, 8192);
            let engine = |decoder: Decoder| -> Checked<Engine> {
                let model = Model::new(decoder, None);
                let options = EngineOptions {
                    memory: memory(&model).min(16 << 30),
                    waiting: 1000,
                    ..EngineOptions::suited_to(&model)
                };
                Ok(Engine::start(model, options)?)
            };
            let (subject, reference) = (engine(subject)?, engine(reference)?);
            let before = compared;
            for (sequences, prompt, output) in BATCHES {
                let mut requests = Vec::new();
                for _ in 0..sequences {
                    requests.push(request(number, prompt, output, vocabulary));
                    number += 1;
                }
                let jobs = requests.iter().map(|r| subject.submit(r.clone()));
                let jobs: Vec<_> = jobs.collect::<Result<_, _>>()?;
                let mut replays = Vec::new();
                for (request, job) in requests.iter().zip(jobs) {
                    let made = job.wait()?;
                    let tokens = made.tokens.clone();
                    // The card replays its own outputs too: as one prefill.
                    replays.push((
                        reference.replay(request.clone(), tokens.clone(), &[])?,
                        subject.replay(request.clone(), tokens, &[])?,
                        made,
                    ));
                }
                for (by_processor, by_card, made) in replays {
                    let same = Replay::Matches(made.clone());
                    if by_processor.wait()?.replay != same {
                        return Err(format!("{name}: the processor finds other bits").into());
                    }
                    if by_card.wait()?.replay != same {
                        return Err(format!("{name}: the card's prefill finds other bits").into());
                    }
                    compared += made.tokens.len();
                }
            }
            println!("{name}: {} tokens, no difference", compared - before);
        }
    }
    println!(
        "{compared} tokens in {number} outputs, batches of 1 to 64, contexts to 8192: no difference \
         ({:.0} s)",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn benchmark(card: usize, json: bool) -> Checked<()> {
    let place = Place::card(card);
    let plan = BenchPlan {
        shapes: vec![Shape::llama_8b()],
        formats: vec![StoredFormat::Q8_0],
        batches: vec![1, 64],
        lengths: Lengths {
            moved: COPIED,
            ..place.lengths()
        },
        repeats: 5,
        replay: true,
    };
    let report = bench::run(&plan, &place, &mut |what| eprintln!("measuring {what}"))?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
