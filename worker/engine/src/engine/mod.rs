//! The engine: many jobs at once on one model.
//!
//! A thread of its own runs the scheduler; jobs come in through a bounded queue and their tokens
//! go out through handles, which are streams for any async runtime and can be waited for without
//! one.
//!
//! ```no_run
//! # async fn example(request: genesisflow_engine::GenerateRequest) -> Result<(), Box<dyn std::error::Error>> {
//! use futures::StreamExt;
//! use genesisflow_engine::{Engine, EngineOptions, Model};
//!
//! let model = Model::load("models/example".as_ref())?;
//! let engine = Engine::start(model, EngineOptions::default())?;
//! let mut job = engine.submit(request)?;
//! while let Some(token) = job.next().await {
//!     println!("{token}");
//! }
//! println!("{}", job.finish().await?.text);
//! # Ok(())
//! # }
//! ```

mod handle;
mod queue;
mod scheduler;

pub use handle::{Handle, ReplayHandle};

use std::{sync::Arc, thread};

use genesisflow_canonical::kernels::KV_BLOCK;

use crate::{
    backend::{DeviceError, Pace},
    config::DecoderConfig,
    job::{Generating, Job, Replaying, Start},
    kv::KvStore,
    model::Model,
    request::{GenerateError, GenerateRequest},
};
use queue::{Queue, Refusal, Work};
use scheduler::Scheduler;

/// What an engine may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Bytes for keys, values and the states of outputs. The system gives them out as they are
    /// written; they are never exceeded. A device with memory of its own takes no more of them than
    /// it has room for.
    pub memory: usize,
    /// Positions that go through the layers in one step at most.
    pub step_rows: usize,
    /// Jobs that run at once at most; as many replays may run beside them.
    pub running: usize,
    /// Jobs that wait at most, and replays that do; further ones are refused.
    pub waiting: usize,
    /// Whether jobs that begin with the same tokens share their keys and values. It cannot change
    /// a bit, only save time.
    pub prefix_cache: bool,
}

impl EngineOptions {
    /// The defaults, with steps and batches of the size that the model's device does best.
    pub fn suited_to(model: &Model) -> Self {
        let Pace { step_rows, running } = model.decoder().pace();
        Self {
            step_rows,
            running,
            ..Self::default()
        }
    }
}

impl Default for EngineOptions {
    /// 1 GiB, steps of 128 positions, 16 jobs at once, 64 waiting, with a prefix cache.
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            step_rows: 128,
            running: 16,
            waiting: 64,
            prefix_cache: true,
        }
    }
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The memory holds not a single block, or the system does not have it.
    #[error(
        "{memory} bytes cannot be used for keys and values: a block of 32 positions takes {block}; \
         give the engine more, or what the machine has"
    )]
    Memory {
        /// What the options say.
        memory: usize,
        /// Bytes of a block.
        block: usize,
    },
    /// The system gave no thread.
    #[error("cannot start the engine's thread: {0}")]
    Thread(std::io::Error),
}

/// Why a job was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// As many jobs wait as may.
    #[error("{waiting} jobs are waiting already; try again when some are done")]
    Busy {
        /// Jobs that wait.
        waiting: usize,
    },
    /// The engine has been shut down.
    #[error("the engine is shut down")]
    ShutDown,
    /// The device failed; the engine takes nothing any more.
    #[error(transparent)]
    Device(DeviceError),
    /// The job can never be run here.
    #[error(transparent)]
    Request(#[from] GenerateError),
}

/// How much an engine has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineLoad {
    /// Jobs that wait.
    pub waiting: usize,
    /// Jobs that run.
    pub running: usize,
    /// Blocks of 32 positions that running jobs hold.
    pub held_blocks: usize,
    /// Blocks that there are.
    pub blocks: usize,
}

/// Runs many jobs on one model. Dropping it stops them all.
#[derive(Debug)]
pub struct Engine {
    model: Arc<Model>,
    queue: Arc<Queue>,
    blocks: usize,
    thread: Option<thread::JoinHandle<()>>,
}

impl Engine {
    /// Starts an engine.
    ///
    /// # Errors
    /// [`EngineError`] if the memory or the thread cannot be had.
    pub fn start(
        model: impl Into<Arc<Model>>,
        options: EngineOptions,
    ) -> Result<Self, EngineError> {
        let model: Arc<Model> = model.into();
        let config = model.decoder().config();
        let block = block_bytes(config);
        let memory = EngineError::Memory {
            memory: options.memory,
            block,
        };
        let fit = model.decoder().blocks_that_fit().unwrap_or(usize::MAX);
        let blocks = u32::try_from((options.memory / block).min(fit)).unwrap_or(u32::MAX);
        if blocks == 0 {
            return Err(memory);
        }
        let compute = model.decoder().pool(blocks as usize).ok_or(memory)?;
        let queue = Arc::new(Queue::new(options.waiting, blocks as usize));
        let scheduler = Scheduler::new(model.clone(), queue.clone(), compute, blocks, options);
        let thread = thread::Builder::new()
            .name("engine".into())
            .spawn(move || scheduler.run())
            .map_err(EngineError::Thread)?;
        Ok(Self {
            model,
            queue,
            blocks: blocks as usize,
            thread: Some(thread),
        })
    }

    /// The [`EngineOptions::memory`] that one job of `positions` tokens (prompt and output) needs
    /// on a model.
    pub fn memory_for(model: &Model, positions: usize) -> usize {
        let blocks = positions.div_ceil(KV_BLOCK);
        blocks.saturating_mul(block_bytes(model.decoder().config()))
    }

    /// The model it runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// How much it has to do.
    pub fn load(&self) -> EngineLoad {
        self.queue.load()
    }

    /// Tokens of a request's prompt (0 if its template fails), if the request can be run here when
    /// its turn comes.
    ///
    /// # Errors
    /// [`SubmitError`] if it can never be run, or the engine is shut down.
    pub fn prompt_tokens(&self, request: GenerateRequest) -> Result<u32, SubmitError> {
        self.queue.is_open()?;
        let mut start = Generating::start(&self.model, request)?;
        Ok(self.check_fits(&mut start)?)
    }

    /// Takes a job. Encoding the prompt is done here, on the calling thread.
    ///
    /// # Errors
    /// [`SubmitError`] if it cannot be taken now, or ever.
    pub fn submit(&self, request: GenerateRequest) -> Result<Handle, SubmitError> {
        self.queue.admits(false)?;
        let mut start = Generating::start(&self.model, request)?;
        let (handle, ticket, events) = Handle::new(self.check_fits(&mut start)?);
        match start {
            Start::Over(result) => ticket.generated(&events, Ok(result)),
            Start::Job(job) => {
                let work = Work::Generate(Box::new(job), events);
                self.queue.push(work, ticket)?;
            }
        }
        Ok(handle)
    }

    /// Takes a replay of claimed output tokens, with a digest under each of `seeds`. Replays go
    /// before jobs that wait.
    ///
    /// # Errors
    /// [`SubmitError`] if it cannot be taken now, or ever.
    pub fn replay(
        &self,
        request: GenerateRequest,
        tokens: Vec<u32>,
        seeds: &[[u8; 32]],
    ) -> Result<ReplayHandle, SubmitError> {
        self.queue.admits(true)?;
        let mut start = Replaying::start(&self.model, request, tokens, seeds)?;
        let (handle, ticket, result) = ReplayHandle::new(self.check_fits(&mut start)?);
        match start {
            // Nobody listens any more if the handle is gone.
            Start::Over(audit) => drop(result.send(Ok(audit))),
            Start::Job(job) => {
                let work = Work::Replay(Box::new(job), Some(result));
                self.queue.push(work, ticket)?;
            }
        }
        Ok(handle)
    }

    /// Takes no more jobs, finishes those it has, and ends.
    pub fn shut_down(mut self) {
        self.queue.close(Refusal::Later);
        self.join();
    }

    /// Makes sure that a job can ever have the blocks it needs; tokens of its prompt.
    fn check_fits<J: Job>(&self, start: &mut Start<J>) -> Result<u32, GenerateError> {
        let Start::Job(job) = start else {
            return Ok(0);
        };
        let feed = job.feed();
        let tokens = feed.positions;
        if tokens.div_ceil(KV_BLOCK) > self.blocks {
            return Err(GenerateError::Memory { tokens });
        }
        // It fits the context, which is a u32.
        Ok(feed.prompt as u32)
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so already.
            let _ = thread.join();
        }
    }
}

/// Bytes that the options' memory is divided by: a block in all layers, and the states behind its
/// positions, each of which may have an output token, because the trace needs them.
fn block_bytes(config: &DecoderConfig) -> usize {
    let states = KV_BLOCK * config.hidden_size * std::mem::size_of::<f32>();
    KvStore::block_bytes(config) + states
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue.close(Refusal::All);
        self.join();
    }
}
