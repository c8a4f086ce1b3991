//! The shapes of models that people run.

use genesisflow_canonical::rope::RopeScaling;

use crate::config::DecoderConfig;

/// A model's shape.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    /// What a decoder of this shape is made of.
    pub config: DecoderConfig,
}

impl Shape {
    /// Every shape, small ones first.
    pub fn all() -> Vec<Self> {
        let llama_1b = DecoderConfig {
            hidden_size: 2048,
            intermediate_size: 8192,
            layers: 16,
            heads: 32,
            kv_heads: 8,
            head_dim: 64,
            vocab_size: 128_256,
            rms_norm_eps: 1e-5,
            rope_theta: 500_000.0,
            rope_scaling: RopeScaling::None,
            window: None,
            tied_embeddings: true,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            qk_norm: false,
        };
        vec![
            Self {
                name: "tiny",
                config: DecoderConfig {
                    hidden_size: 192,
                    intermediate_size: 512,
                    layers: 6,
                    heads: 6,
                    kv_heads: 2,
                    head_dim: 32,
                    vocab_size: 1024,
                    ..llama_1b.clone()
                },
            },
            Self {
                name: "smollm2-135m",
                config: DecoderConfig {
                    hidden_size: 576,
                    intermediate_size: 1536,
                    layers: 30,
                    heads: 9,
                    kv_heads: 3,
                    vocab_size: 49_152,
                    ..llama_1b.clone()
                },
            },
            Self {
                name: "qwen2.5-0.5b",
                config: DecoderConfig {
                    hidden_size: 896,
                    intermediate_size: 4864,
                    layers: 24,
                    heads: 14,
                    kv_heads: 2,
                    vocab_size: 151_936,
                    qkv_bias: true,
                    ..llama_1b.clone()
                },
            },
            // The shape that earlier figures of llama.cpp were taken with.
            Self {
                name: "llama-1b-32k",
                config: DecoderConfig {
                    vocab_size: 32_000,
                    tied_embeddings: false,
                    ..llama_1b.clone()
                },
            },
            Self {
                name: "llama-3.2-1b",
                config: llama_1b,
            },
        ]
    }

    /// Llama 3.1 8B, for machines with a card: by itself, since few others have the memory.
    pub fn llama_8b() -> Self {
        Self {
            name: "llama-3.1-8b",
            config: DecoderConfig {
                hidden_size: 4096,
                intermediate_size: 14_336,
                layers: 32,
                heads: 32,
                kv_heads: 8,
                head_dim: 128,
                vocab_size: 128_256,
                rms_norm_eps: 1e-5,
                rope_theta: 500_000.0,
                rope_scaling: RopeScaling::Llama3 {
                    factor: 8.0,
                    low_frequency_factor: 1.0,
                    high_frequency_factor: 4.0,
                    original_context: 8192.0,
                },
                window: None,
                tied_embeddings: false,
                qkv_bias: false,
                output_bias: false,
                mlp_bias: false,
                qk_norm: false,
            },
        }
    }

    /// The shape with this name, that of Llama 3.1 8B too.
    pub fn named(name: &str) -> Option<Self> {
        let mut shapes = Self::all().into_iter().chain([Self::llama_8b()]);
        shapes.find(|shape| shape.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_a_config_and_has_its_own_name() {
        let shapes = Shape::all();
        Shape::llama_8b().config.check().unwrap();
        for shape in &shapes {
            shape.config.check().unwrap();
            let same = shapes.iter().filter(|other| other.name == shape.name);
            assert_eq!(same.count(), 1);
            assert!(Shape::named(shape.name).is_some());
        }
        assert!(Shape::named("nothing").is_none());
    }
}
