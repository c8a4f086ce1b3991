//! The market's calls, with a question and an answer of usual length, encoded by the chain's
//! metadata.

use crate::{
    node::GEN,
    sign::{AtBlock, Call},
};
use anyhow::{Context, Result};
use codec::Encode;
use genesisflow_primitives::{
    manifest::{
        FileRole, ModelFile, ModelLimits, ModelManifest, ModelTerms, Task, CANONICAL_VERSION,
    },
    H256,
};
use subxt::{
    dynamic::Value,
    ext::{codec::Compact, scale_value::Composite},
};

/// What a worker puts at stake: enough for thousands of jobs of this size at a time.
const STAKE: u128 = 10_000 * GEN;
/// Price per unit, in base units.
const PRICE: u128 = GEN / 1_000_000;
/// The most that a job may cost.
const MAX_FEE: u128 = GEN / 100;
/// The least that a job costs: twice what an account must hold, so that it can be paid to anyone.
const MIN_FEE: u128 = GEN / 500;
/// Longest answer asked for, in units.
const MAX_OUTPUT: u32 = 64;
/// A question of a usual length.
const INPUT: &str = "Why is the sky blue? Answer in one short sentence that a child of six would understand, please.";
/// An answer of a usual length.
const OUTPUT: &str = "Because the air scatters blue light from the sun more than red light, so blue comes from everywhere.";
/// Tokens of the answer.
const OUTPUT_TOKENS: u32 = 24;

fn number(value: impl Into<u128>) -> Value {
    Value::u128(value.into())
}

fn bytes(value: &[u8]) -> Value {
    Value::from_bytes(value)
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Composite<()> {
    Composite::named(fields.map(|(name, value)| (name.to_owned(), value)))
}

/// Takes job 0.
///
/// # Errors
/// If the chain's call is not the one known here.
pub fn claim(at: &AtBlock) -> Result<Call> {
    Call::new(at, "Inference", "claim_job", named([("job", number(0u8))]))
}

/// Accepts the result of job 0.
///
/// # Errors
/// If the chain's call is not the one known here.
pub fn accept(at: &AtBlock) -> Result<Call> {
    Call::new(
        at,
        "Inference",
        "accept_result",
        named([("job", number(0u8))]),
    )
}

/// What makes an account a worker with a model of its own: stake, model and offer, of as many jobs at
/// a time as the chain allows, in one batch.
///
/// # Errors
/// If the chain's calls or its highest capacity are not in the form known here.
pub fn become_worker(at: &AtBlock, index: usize) -> Result<Call> {
    let highest = subxt::dynamic::constant::<u32>("Inference", "MaxCapacity");
    let capacity = at
        .constants()
        .entry(highest)
        .context("the runtime has no Inference.MaxCapacity")?;
    let calls = [
        (
            "register_worker",
            named([("stake", number(STAKE)), ("endpoint", bytes(b""))]),
        ),
        (
            "register_model",
            named([("manifest", bytes(&manifest(index).encode()))]),
        ),
        (
            "set_offer",
            named([
                ("model", bytes(&model(index).0)),
                ("price_input", number(PRICE)),
                ("price_output", number(PRICE)),
                ("capacity", number(capacity)),
            ]),
        ),
    ];
    let calls = calls.map(|(name, arguments)| {
        subxt::dynamic::transaction("Inference", name, arguments).into_value()
    });
    Call::new(
        at,
        "Utility",
        "batch_all",
        named([("calls", Value::unnamed_composite(calls))]),
    )
}

/// The id of a worker's model.
pub fn model(index: usize) -> H256 {
    manifest(index).id()
}

/// A question to a model.
///
/// # Errors
/// If the chain's call is not the one known here.
pub fn submit(at: &AtBlock, model: H256) -> Result<Call> {
    Call::new(
        at,
        "Inference",
        "submit_job",
        named([
            ("model", bytes(&model.0)),
            ("input", bytes(INPUT.as_bytes())),
            ("max_output", number(MAX_OUTPUT)),
            ("max_fee", number(MAX_FEE)),
        ]),
    )
}

/// The answer to job 0.
///
/// # Errors
/// If the chain's call is not the one known here.
pub fn deliver(at: &AtBlock) -> Result<Call> {
    let evidence: Vec<u8> = (0..OUTPUT_TOKENS)
        .flat_map(|token| Compact(1_000 + token).encode())
        .collect();
    let usage = Value::named_composite([
        ("input", number(INPUT.len() as u32 / 4)),
        ("output", number(OUTPUT_TOKENS)),
    ]);
    let claim = Value::named_composite([
        ("usage", usage),
        ("fault", Value::unnamed_variant("None", [])),
        ("trace", bytes(&[7; 32])),
        ("engine_version", number(1u8)),
    ]);
    Call::new(
        at,
        "Inference",
        "deliver",
        named([
            ("job", number(0u8)),
            ("output", bytes(OUTPUT.as_bytes())),
            ("evidence", bytes(&evidence)),
            ("claim", claim),
        ]),
    )
}

/// The manifest of the model that one worker serves. Nobody runs it.
fn manifest(index: usize) -> ModelManifest {
    let file = |role, path: &str| ModelFile {
        role,
        path: path.as_bytes().to_vec().try_into().unwrap_or_default(),
        sha256: H256::repeat_byte(1),
        size: 1_000,
    };
    let name = format!("throughput-{index}");
    ModelManifest {
        name: name.into_bytes().try_into().unwrap_or_default(),
        task: Task::TextGeneration,
        architecture: b"llama".to_vec().try_into().unwrap_or_default(),
        canonical_version: CANONICAL_VERSION,
        files: vec![
            file(FileRole::Config, "config.json"),
            file(FileRole::Weights, "model.safetensors"),
            file(FileRole::Tokenizer, "tokenizer.json"),
        ]
        .try_into()
        .unwrap_or_default(),
        stop_tokens: vec![2].try_into().unwrap_or_default(),
        limits: ModelLimits {
            context: 512,
            max_output: 256,
            prompt_overhead: 16,
        },
        sources: Default::default(),
        terms: ModelTerms {
            min_price_input: 1,
            min_price_output: 1,
            min_fee: MIN_FEE,
            replay_rate: 100,
            seat_pay: sp_arithmetic::Percent::from_percent(10),
        },
    }
}
