//! Runs models in canonical arithmetic: the same model, input and seed give the same bits on
//! every machine.
//!
//! ```no_run
//! use genesisflow_engine::{GenerateRequest, Model, Prompt, Sampling};
//! use std::ops::ControlFlow;
//!
//! let model = Model::load("models/example".as_ref())?;
//! let request = GenerateRequest {
//!     model_id: [0; 32],
//!     prompt: Prompt::Text("Two and two?".into()),
//!     sampling: Sampling::GREEDY,
//!     seed: [0; 32],
//!     max_output: 32,
//!     stop_tokens: vec![2],
//!     context: 512,
//!     output_bytes: 16 * 1024,
//!     evidence_bytes: 16 * 1024,
//! };
//! let result = model.generate(&request, &mut |_token| ControlFlow::Continue(()))?;
//! println!("{} ({} tokens)", result.text, result.tokens.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What happens where: [`config`] reads what a decoder is made of, [`loading`] finds and reads the
//! tensors, [`decoder`] is the forward pass over the kernels of `genesisflow-canonical`, for rows
//! of many sequences at once, on the compute [`threads`] or whatever else carries out its steps
//! ([`DeviceReport`]); [`text`] and [`template`] turn input into
//! tokens and tokens into text. [`Model::generate`] and [`Model::replay`] run one job by itself,
//! an [`Engine`] many at once. The engine knows no chain.

mod backend;
pub mod bench;
pub mod config;
pub mod decoder;
pub mod devices;
mod engine;
mod job;
mod kv;
pub mod loading;
mod model;
mod request;
pub mod template;
pub mod text;
pub mod threads;
pub mod weights;

pub use backend::{DeviceError, DeviceMemory, DeviceReport, Pace};
pub use engine::{
    Engine, EngineError, EngineLoad, EngineOptions, Handle, ReplayHandle, SubmitError,
};
pub use job::{Audit, Replay};
pub use model::{LoadError, LoadOptions, Model, KERNEL_VARIABLE, THREADS_VARIABLE};
pub use request::{
    FaultCode, Finish, GenerateError, GenerateRequest, Generation, Prompt, Sampling,
};
pub use text::PromptError;

/// Version of this engine, published with every result. Results do not depend on it; it tells
/// which build to look at when two disagree.
pub const ENGINE_VERSION: u32 = 1;
