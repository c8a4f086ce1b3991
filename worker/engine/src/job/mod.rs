//! Jobs: what is fed to the decoder next and what follows from what it gives, one step at a time.
//!
//! The same jobs run alone ([`Model::generate`], [`Model::replay`]) and in an engine's batches.

mod generate;
mod output;
mod replay;

pub(crate) use generate::Generating;
pub(crate) use replay::Replaying;
pub use replay::{Audit, Replay};

use std::ops::ControlFlow;

use crate::{
    decoder::{Choice, FeedFault, RunOutput, Sequence},
    model::Model,
    request::{FaultCode, GenerateError, GenerateRequest, Generation},
    text::PromptError,
    threads::check_arithmetic,
};

/// Positions that a job alone feeds at once at most.
const CHUNK: usize = 128;

/// Hears of every accepted token and may stop the job.
pub(crate) type OnToken<'a> = &'a mut dyn FnMut(u32) -> ControlFlow<()>;

/// What a job feeds.
#[derive(Debug)]
pub(crate) struct Feed {
    /// The prompt and what is known to follow.
    pub(crate) tokens: Vec<u32>,
    /// How many of them are fed.
    pub(crate) fed: usize,
    /// Tokens of the prompt; from the last one on, every position is sampled.
    pub(crate) prompt: usize,
    /// Positions that the job can need at most.
    pub(crate) positions: usize,
    /// How tokens are chosen.
    pub(crate) choice: Choice,
}

impl Feed {
    /// Tokens that are known and not fed yet.
    pub(crate) fn left(&self) -> usize {
        self.tokens.len() - self.fed
    }

    /// The next tokens, at most `rows`, and the index among them from which on they are sampled.
    pub(crate) fn next(&self, rows: usize) -> (&[u32], usize) {
        let tokens = &self.tokens[self.fed..][..rows.min(self.left())];
        let sampled_from = (self.prompt - 1).saturating_sub(self.fed);
        (tokens, sampled_from.min(tokens.len()))
    }

    /// Tokens whose keys and values another job may have computed already: all but those whose
    /// states are wanted.
    pub(crate) fn shareable(&self) -> &[u32] {
        &self.tokens[..self.prompt - 1]
    }
}

/// A job on its way.
pub(crate) trait Job {
    /// What it ends in.
    type Result;

    /// What it feeds.
    fn feed(&mut self) -> &mut Feed;

    /// Takes in what the tokens fed last gave; the result, if the job is over.
    ///
    /// # Errors
    /// [`GenerateError::Cancelled`] if `on_token` stops it; [`GenerateError::Prompt`] if the
    /// tokenizer fails.
    fn absorb(
        &mut self,
        model: &Model,
        output: RunOutput,
        on_token: OnToken<'_>,
    ) -> Result<Option<Self::Result>, GenerateError>;
}

/// A job that is about to start, or its result if nothing needs to be computed.
pub(crate) enum Start<J: Job> {
    Job(J),
    Over(J::Result),
}

impl Model {
    /// Runs a job. `on_token` hears of every token as it is accepted and may stop the run.
    ///
    /// A job that no machine can finish is a result too: it ends in [`crate::Finish::Fault`].
    ///
    /// # Errors
    /// [`GenerateError`] if the request cannot be run, or the caller stopped it.
    pub fn generate(
        &self,
        request: &GenerateRequest,
        on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Generation, GenerateError> {
        self.run_alone(Generating::start(self, request.clone())?, on_token)
    }

    /// Replays a request against claimed output tokens.
    ///
    /// # Errors
    /// [`GenerateError`] if the request itself cannot be run.
    pub fn replay(
        &self,
        request: &GenerateRequest,
        tokens: &[u32],
    ) -> Result<Replay, GenerateError> {
        self.audit(request, tokens, &[]).map(|audit| audit.replay)
    }

    /// Replays a request against claimed output tokens, and shows for each of `seeds` that it did.
    ///
    /// # Errors
    /// [`GenerateError`] if the request itself cannot be run.
    pub fn audit(
        &self,
        request: &GenerateRequest,
        tokens: &[u32],
        seeds: &[[u8; 32]],
    ) -> Result<Audit, GenerateError> {
        let job = Replaying::start(self, request.clone(), tokens.to_vec(), seeds)?;
        self.run_alone(job, &mut |_| ControlFlow::Continue(()))
    }

    /// A job by itself, in a cache of its own.
    fn run_alone<J: Job>(
        &self,
        start: Start<J>,
        on_token: OnToken<'_>,
    ) -> Result<J::Result, GenerateError> {
        check_arithmetic()?;
        let mut job = match start {
            Start::Job(job) => job,
            Start::Over(result) => return Ok(result),
        };
        let positions = job.feed().positions;
        let mut sequence = Sequence::new(self.decoder(), positions)
            .ok_or(GenerateError::Memory { tokens: positions })?;
        loop {
            let feed = job.feed();
            let (tokens, sampled_from) = feed.next(CHUNK);
            let output = sequence.step(tokens, sampled_from, Some(feed.choice))?;
            feed.fed = sequence.position();
            if let Some(result) = job.absorb(self, output, on_token)? {
                return Ok(result);
            }
        }
    }

    /// What a request feeds first, checked against the model and the limits of the request; `None`
    /// if its template fails.
    fn start(&self, request: &GenerateRequest) -> Result<Option<Feed>, GenerateError> {
        let settings = request.settings()?;
        let prompt = match self.prompt_tokens(&request.prompt) {
            Ok(prompt) => prompt,
            Err(PromptError::Template(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let vocabulary = self.decoder().config().vocab_size;
        if let Some(id) = prompt.iter().find(|id| **id as usize >= vocabulary) {
            return Err(GenerateError::UnknownToken {
                id: *id,
                vocabulary,
            });
        }
        let fits = (prompt.len() as u64)
            .checked_add(request.max_output.into())
            .is_some_and(|total| total <= request.context.into());
        if !fits {
            return Err(GenerateError::Context {
                prompt: prompt.len(),
                output: request.max_output,
                context: request.context,
            });
        }
        Ok(Some(Feed {
            fed: 0,
            prompt: prompt.len(),
            // The last token of an output is never fed.
            positions: prompt.len() + request.max_output as usize - 1,
            tokens: prompt,
            choice: Choice {
                settings,
                seed: request.seed,
            },
        }))
    }
}

/// The fault of an input that the template cannot render: before the first position, covering
/// nothing.
fn template_fault() -> FeedFault {
    FeedFault {
        code: FaultCode::Template,
        position: 0,
        last_key_row: Vec::new(),
    }
}
