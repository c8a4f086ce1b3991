//! Small random decoders for tests: seeded, of every family, with tensors that can be changed.

use genesisflow_canonical::{kernels::Kernel, rope::RopeScaling};
use genesisflow_engine::{
    config::DecoderConfig, decoder::Decoder, threads::Threads, weights::MemoryTensors,
};

/// Pseudo-random numbers, the same on every machine.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// From -1 to 1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() & 0xff_ffff) as f32 / 8_388_608.0 - 1.0
    }

    pub fn tokens(&mut self, count: usize, vocabulary: usize) -> Vec<u32> {
        (0..count).map(|_| self.below(vocabulary) as u32).collect()
    }
}

/// The families by name.
pub const FAMILIES: [&str; 5] = ["llama", "llama3", "mistral", "qwen2", "qwen3"];

/// A small config of a family.
pub fn config(family: &str, numbers: &mut Numbers) -> DecoderConfig {
    let kv_heads = 1 + numbers.below(2);
    let heads = kv_heads * (1 + numbers.below(3));
    let head_dim = [8, 16, 24, 40][numbers.below(4)];
    DecoderConfig {
        hidden_size: 16 + 8 * numbers.below(12),
        intermediate_size: 24 + 8 * numbers.below(20),
        layers: 1 + numbers.below(3),
        heads,
        kv_heads,
        head_dim,
        vocab_size: 40 + numbers.below(60),
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: match family {
            "llama3" => RopeScaling::Llama3 {
                factor: 8.0,
                low_frequency_factor: 1.0,
                high_frequency_factor: 4.0,
                original_context: 64.0,
            },
            "mistral" => RopeScaling::Linear { factor: 2.0 },
            _ => RopeScaling::None,
        },
        window: (family == "mistral").then(|| 1 + numbers.below(150)),
        tied_embeddings: numbers.below(2) == 0,
        qkv_bias: family == "qwen2",
        output_bias: family == "llama3",
        mlp_bias: family == "llama3",
        qk_norm: family == "qwen3",
    }
}

/// Random tensors for a config.
pub fn tensors(c: &DecoderConfig, numbers: &mut Numbers) -> MemoryTensors {
    let mut tensors = MemoryTensors::default();
    let mut add = |name: String, shape: &[usize], centre: f32, spread: f32| {
        let count = shape.iter().product();
        let data = (0..count)
            .map(|_| centre + spread * numbers.unit())
            .collect();
        tensors.insert(name, shape, data);
    };
    let (queries, keys) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    let (hidden, inner) = (c.hidden_size, c.intermediate_size);
    add(
        "model.embed_tokens.weight".into(),
        &[c.vocab_size, hidden],
        0.0,
        1.0,
    );
    add("model.norm.weight".into(), &[hidden], 1.0, 0.2);
    if !c.tied_embeddings {
        add("lm_head.weight".into(), &[c.vocab_size, hidden], 0.0, 0.5);
    }
    for layer in 0..c.layers {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        add(name("input_layernorm.weight"), &[hidden], 1.0, 0.2);
        add(name("post_attention_layernorm.weight"), &[hidden], 1.0, 0.2);
        for (part, rows, columns, bias) in [
            ("self_attn.q_proj", queries, hidden, c.qkv_bias),
            ("self_attn.k_proj", keys, hidden, c.qkv_bias),
            ("self_attn.v_proj", keys, hidden, c.qkv_bias),
            ("self_attn.o_proj", hidden, queries, c.output_bias),
            ("mlp.gate_proj", inner, hidden, c.mlp_bias),
            ("mlp.up_proj", inner, hidden, c.mlp_bias),
            ("mlp.down_proj", hidden, inner, c.mlp_bias),
        ] {
            let spread = 1.7 / (columns as f32).sqrt();
            add(
                name(&format!("{part}.weight")),
                &[rows, columns],
                0.0,
                spread,
            );
            if bias {
                add(name(&format!("{part}.bias")), &[rows], 0.0, 0.3);
            }
        }
        if c.qk_norm {
            add(name("self_attn.q_norm.weight"), &[c.head_dim], 1.0, 0.2);
            add(name("self_attn.k_norm.weight"), &[c.head_dim], 1.0, 0.2);
        }
    }
    tensors
}

/// A decoder on a kernel and a number of threads.
pub fn decoder(
    config: &DecoderConfig,
    tensors: &MemoryTensors,
    kernel: Kernel,
    threads: usize,
) -> Decoder {
    let threads = Threads::new(threads).unwrap();
    Decoder::new(config.clone(), &mut tensors.clone(), kernel, threads).unwrap()
}
