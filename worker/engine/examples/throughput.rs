//! Prefill and decode speed on random weights of real shapes.
//!
//! ```text
//! cargo run --release -p genesisflow-engine --example throughput -- smollm2-135m 512 64
//! ```
//! Arguments: shape (`tiny`, `smollm2-135m`, `llama-1b`), prompt tokens, output tokens. The
//! kernel and the threads are chosen by `GENESISFLOW_KERNEL` and `GENESISFLOW_THREADS`.

use std::{error::Error, time::Instant};

use genesisflow_canonical::rope::RopeScaling;
use genesisflow_engine::{
    config::DecoderConfig,
    decoder::{Decoder, Sequence},
    threads::Threads,
    weights::{EachRow, Row, TensorSource, WeightsError},
    LoadOptions,
};

/// Random weights, made row by row as they are asked for, so that no f32 copy is held.
struct RandomTensors(u64);

impl TensorSource for RandomTensors {
    fn rows(
        &mut self,
        _name: &str,
        shape: &[usize],
        each: EachRow<'_>,
    ) -> Result<(), WeightsError> {
        let columns = shape.last().copied().unwrap_or(1);
        let spread = 1.7 / (columns as f32).sqrt();
        let mut row = vec![0.0; columns];
        for index in 0..shape.iter().product::<usize>() / columns {
            for x in &mut row {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                *x = ((self.0 >> 40) as f32 / 8_388_608.0 - 1.0) * spread;
            }
            each(index, Row::Values(&row))?;
        }
        Ok(())
    }

    fn unused(&self) -> Option<String> {
        None
    }
}

fn shape(name: &str) -> Option<DecoderConfig> {
    // hidden, inner, layers, heads, KV heads, head width, vocabulary, tied
    let (hidden, inner, layers, heads, kv_heads, head_dim, vocabulary, tied) = match name {
        "tiny" => (192, 512, 6, 6, 2, 32, 1024, true),
        "smollm2-135m" => (576, 1536, 30, 9, 3, 64, 49_152, true),
        "llama-1b" => (2048, 8192, 16, 32, 8, 64, 32_000, false),
        _ => return None,
    };
    Some(DecoderConfig {
        hidden_size: hidden,
        intermediate_size: inner,
        layers,
        heads,
        kv_heads,
        head_dim,
        vocab_size: vocabulary,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        window: None,
        tied_embeddings: tied,
        qkv_bias: false,
        output_bias: false,
        mlp_bias: false,
        qk_norm: false,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "smollm2-135m".into());
    let prompt: usize = arguments.next().map_or(Ok(512), |n| n.parse())?;
    let output: usize = arguments.next().map_or(Ok(64), |n| n.parse())?;
    let config = shape(&name).ok_or("unknown shape: tiny, smollm2-135m or llama-1b")?;
    let vocabulary = config.vocab_size as u32;
    let options = LoadOptions::from_environment()?;
    let threads = Threads::new(options.threads)?;
    let decoder = Decoder::new(
        config,
        &mut RandomTensors(88_172_645_463_325_252),
        options.kernel,
        threads,
    )?;

    let tokens: Vec<u32> = (0..prompt as u32).map(|i| i * 7919 % vocabulary).collect();
    let mut sequence = Sequence::new(&decoder, prompt + output).ok_or("not enough memory")?;
    let start = Instant::now();
    let mut fed = sequence.feed(&tokens, prompt - 1);
    let prefill = start.elapsed().as_secs_f64();
    let start = Instant::now();
    for _ in 0..output {
        let logits = sequence.logits(&fed.states).map_err(|_| "a fault")?;
        let best =
            (0..vocabulary).max_by(|a, b| logits[*a as usize].total_cmp(&logits[*b as usize]));
        fed = sequence.feed(&[best.unwrap_or(0)], 0);
    }
    let decode = start.elapsed().as_secs_f64();
    println!(
        "{name}, {} on {} threads, {:.1} MB of weights: prefill({prompt}) {:.0} tokens/s, decode {:.1} tokens/s, {:.1} GB/s of weights",
        options.kernel.name(),
        options.threads,
        decoder.bytes() as f64 / 1e6,
        prompt as f64 / prefill,
        output as f64 / decode,
        output as f64 * decoder.bytes() as f64 / decode / 1e9,
    );
    Ok(())
}
