//! Small random decoders for tests: seeded, of every family, with tensors that can be changed.

use genesisflow_canonical::{kernels::Kernel, rope::RopeScaling};
use genesisflow_engine::{
    config::DecoderConfig,
    decoder::Decoder,
    threads::Threads,
    weights::{EachRow, MemoryTensors, Row, TensorSource, WeightsError},
};
use half::f16;

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
pub const FAMILIES: [&str; 6] = ["llama", "llama3", "smollm2", "mistral", "qwen2", "qwen3"];

/// A small config of a family.
pub fn config(family: &str, numbers: &mut Numbers) -> DecoderConfig {
    let kv_heads = 1 + numbers.below(2);
    let shared_by = 1 + numbers.below(3);
    let heads = kv_heads * if family == "smollm2" { 3 } else { shared_by };
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
        rope_theta: match family {
            "llama3" => 500_000.0,
            "smollm2" => 100_000.0,
            "qwen2" | "qwen3" => 1_000_000.0,
            _ => 10_000.0,
        },
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
        tied_embeddings: numbers.below(2) == 0 || family == "smollm2",
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

/// Makes some linear layers so large that keys leave f16 or activations pass 2^40 now and then.
pub fn spoil(weights: &mut MemoryTensors, config: &DecoderConfig, numbers: &mut Numbers) {
    for layer in 0..config.layers {
        let mut scale = |part: &str, factor: f32| {
            let name = format!("model.layers.{layer}.{part}.weight");
            for x in weights.get_mut(&name).unwrap() {
                *x *= factor;
            }
        };
        match numbers.below(5) {
            0 => scale("self_attn.k_proj", 2.0e4),
            1 => scale("self_attn.v_proj", 2.0e4),
            2 => {
                scale("mlp.gate_proj", 6.0e5);
                scale("mlp.up_proj", 4.0e5);
            }
            3 => scale("mlp.up_proj", 2.0e4),
            _ => {}
        }
    }
}

/// Widens a config so that all rows of its linear layers are whole blocks, as Q4_0 wants them.
pub fn whole_blocks(config: &mut DecoderConfig) {
    config.hidden_size = config.hidden_size.next_multiple_of(32);
    config.intermediate_size = config.intermediate_size.next_multiple_of(32);
    config.head_dim = config.head_dim.next_multiple_of(32);
}

/// A decoder whose linear layers are Q4_0: of the tensors' values, the signs and rough sizes.
pub fn q4_0_decoder(
    config: &DecoderConfig,
    tensors: &MemoryTensors,
    kernel: Kernel,
    threads: usize,
) -> Decoder {
    let threads = Threads::new(threads).unwrap();
    let mut source = InFours(tensors.clone());
    Decoder::new(config.clone(), &mut source, kernel, threads).unwrap()
}

/// Hands the layers' matrices out as stored Q4_0 blocks.
pub struct InFours(pub MemoryTensors);

impl TensorSource for InFours {
    fn rows(&mut self, name: &str, shape: &[usize], each: EachRow<'_>) -> Result<(), WeightsError> {
        if !self.is_q4_0(name) {
            return self.0.rows(name, shape, each);
        }
        self.0.rows(name, shape, &mut |index, row| match row {
            Row::Values(values) => each(index, Row::Q4_0(&fours(values))),
            stored => each(index, stored),
        })
    }

    fn unused(&self) -> Option<String> {
        self.0.unused()
    }

    fn is_q4_0(&self, name: &str) -> bool {
        name.ends_with("_proj.weight")
    }
}

/// Blocks of an f16 scale and 16 bytes of two nibbles.
fn fours(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in values.chunks_exact(32) {
        let largest = block.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        let scale = (largest / 7.0).clamp(1.0e-6, 60_000.0);
        bytes.extend_from_slice(&f16::from_f32(scale).to_le_bytes());
        let nibble = |x: f32| ((x / scale).round().clamp(-8.0, 7.0) + 8.0) as u8;
        for (low, high) in block[..16].iter().zip(&block[16..]) {
            bytes.push(nibble(*low) | nibble(*high) << 4);
        }
    }
    bytes
}
