//! A small model, as it is registered on chain.

use genesisflow_primitives::{
    FileRole, ModelFile, ModelLimits, ModelManifest, ModelTerms, Task, H256,
};
use genesisflow_runtime::currency::MILLIGEN;
use sp_runtime::Percent;

fn bytes<B: TryFrom<Vec<u8>, Error: core::fmt::Debug>>(text: &str) -> B {
    text.as_bytes().to_vec().try_into().expect("short enough")
}

/// Terms and files of a model that nobody runs.
pub fn manifest() -> ModelManifest {
    let file = |role, path: &str| ModelFile {
        role,
        path: bytes(path),
        sha256: H256::repeat_byte(7),
        size: 1_000,
    };
    ModelManifest {
        name: bytes("tiny"),
        task: Task::TextGeneration,
        architecture: bytes("llama"),
        canonical_version: 1,
        files: vec![
            file(FileRole::Config, "config.json"),
            file(FileRole::Weights, "model.safetensors"),
            file(FileRole::Tokenizer, "tokenizer.json"),
        ]
        .try_into()
        .expect("few files"),
        stop_tokens: vec![2].try_into().expect("few tokens"),
        limits: ModelLimits {
            context: 100,
            max_output: 40,
            prompt_overhead: 5,
        },
        sources: vec![bytes("https://example.org/tiny")]
            .try_into()
            .expect("few sources"),
        terms: ModelTerms {
            min_price_input: 1,
            min_price_output: 1,
            min_fee: 2 * MILLIGEN,
            replay_rate: 1_000,
            seat_pay: Percent::from_percent(10),
        },
    }
}
