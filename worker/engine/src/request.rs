//! What is asked of the engine and what it answers.

use genesisflow_canonical::sampler::SettingsError;

use crate::{backend::DeviceError, text::PromptError, threads::ArithmeticError};

/// The input of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Plain text: one user message if the model has a chat template, else the bare text.
    Text(String),
    /// Text that goes to the model without a template.
    Raw(String),
    /// A JSON list of messages, `[{"role": "user", "content": "…"}]`.
    Messages(String),
    /// Token ids, as they are.
    Tokens(Vec<u32>),
}

/// Sampling options; see docs/canonical.md, "Sampler".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Temperature in thousandths; 0 is greedy.
    pub temperature_milli: u32,
    /// Candidates kept, 1 to 64; 1 is greedy.
    pub top_k: u16,
    /// Nucleus in thousandths, 1 to 1000.
    pub top_p_milli: u16,
}

impl Sampling {
    /// Always the most likely token.
    pub const GREEDY: Self = Self {
        temperature_milli: 0,
        top_k: 1,
        top_p_milli: 1000,
    };
}

/// Everything that decides a result, besides the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerateRequest {
    /// Goes into the trace.
    pub model_id: [u8; 32],
    /// The input.
    pub prompt: Prompt,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Key of the sampler's noise.
    pub seed: [u8; 32],
    /// Most output tokens, at least 1.
    pub max_output: u32,
    /// Tokens that end the output.
    pub stop_tokens: Vec<u32>,
    /// Most tokens of prompt and output together.
    pub context: u32,
    /// Most bytes of the text.
    pub output_bytes: usize,
    /// Most bytes of the evidence (the ids as SCALE compact integers).
    pub evidence_bytes: usize,
}

/// The result of a job: the same on every machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Tokens of the prompt; 0 if the template failed.
    pub prompt_tokens: u32,
    /// Output tokens, a final stop token included.
    pub tokens: Vec<u32>,
    /// The output as the requester reads it.
    pub text: String,
    /// Hash over the states that produced the tokens.
    pub trace: [u8; 32],
    /// Why it ended.
    pub finish: Finish,
}

/// Why an output ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A stop token was sampled; it is the last of the tokens.
    Stop,
    /// The output has its largest length.
    Length,
    /// The next token would have taken the text or the evidence over its limit.
    ByteLimit,
    /// No machine can go on from here.
    Fault {
        /// What happened.
        code: FaultCode,
        /// Position in prompt and output of the token whose evaluation failed.
        position: u32,
    },
}

/// Why no machine can finish a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCode {
    /// A row of activations reached 2^40.
    ActivationOverflow,
    /// A key or value does not fit f16.
    KeyValueOverflow,
    /// The chat template, or the list of messages it was given, failed.
    Template,
}

/// Why a job cannot be run here, or at all. Nothing of this is a result to be paid for.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The input gives no prompt.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Prompt and output do not fit the context.
    #[error(
        "a prompt of {prompt} tokens and up to {output} output tokens exceed the context of {context}"
    )]
    Context {
        /// Tokens of the prompt.
        prompt: usize,
        /// Most output tokens.
        output: u32,
        /// The request's context.
        context: u32,
    },
    /// A prompt id is outside the embedding.
    #[error("token {id} is outside the model's vocabulary of {vocabulary}")]
    UnknownToken {
        /// The id.
        id: u32,
        /// Rows of the embedding.
        vocabulary: usize,
    },
    /// A sampling option is outside its limits.
    #[error("{0}")]
    Sampling(SettingsError),
    /// No output was asked for.
    #[error("the output limit is 0 tokens; ask for at least 1")]
    NoOutput,
    /// The cache for prompt and output does not fit in memory.
    #[error("not enough memory for the cache of {tokens} tokens; shorten the job or use a larger machine")]
    Memory {
        /// Tokens of prompt and output.
        tokens: usize,
    },
    /// This thread does not compute by the standard.
    #[error(transparent)]
    Arithmetic(#[from] ArithmeticError),
    /// The device failed on the way.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The caller stopped it.
    #[error("stopped by the caller")]
    Cancelled,
}
