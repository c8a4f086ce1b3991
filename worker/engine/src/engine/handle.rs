//! What a caller holds of a job.

use std::{
    pin::Pin,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    task::{Context, Poll},
    time::Instant,
};

use futures::{
    channel::{mpsc, oneshot},
    executor::block_on,
    Stream, StreamExt,
};

use crate::{
    job::Audit,
    request::{GenerateError, Generation},
};

/// What a generation tells its handle.
#[derive(Debug)]
pub(super) enum Event {
    /// A token, and when it was accepted.
    Token(u32, Instant),
    Over(Box<Result<Generation, GenerateError>>),
}

/// Where a generation's events go.
pub(super) type Events = mpsc::UnboundedSender<Event>;

/// Where a replay's result goes.
pub(super) type ReplayResult = oneshot::Sender<Result<Audit, GenerateError>>;

/// The engine's side of a handle: whether the job is still wanted.
#[derive(Clone, Debug)]
pub(super) struct Ticket(Arc<AtomicBool>);

impl Ticket {
    pub(super) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sends a result.
    pub(super) fn generated(&self, events: &Events, result: Result<Generation, GenerateError>) {
        // Nobody listens any more if the handle is gone.
        let _ = events.unbounded_send(Event::Over(Box::new(result)));
    }
}

/// Cancels when it goes.
#[derive(Debug)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A generation in an engine: a stream of its tokens, as they are accepted, and then its result.
/// Dropping it stops the job.
#[derive(Debug)]
pub struct Handle {
    prompt_tokens: u32,
    accepted: Option<(Instant, Instant)>,
    events: mpsc::UnboundedReceiver<Event>,
    result: Option<Result<Generation, GenerateError>>,
    cancel: CancelOnDrop,
}

impl Handle {
    pub(super) fn new(prompt_tokens: u32) -> (Self, Ticket, Events) {
        // As many events as the job has tokens at most.
        let (sender, events) = mpsc::unbounded();
        let cancelled = Arc::new(AtomicBool::new(false));
        let handle = Self {
            prompt_tokens,
            accepted: None,
            events,
            result: None,
            cancel: CancelOnDrop(cancelled.clone()),
        };
        (handle, Ticket(cancelled), sender)
    }

    /// Tokens of the prompt; 0 if its template failed.
    pub fn prompt_tokens(&self) -> u32 {
        self.prompt_tokens
    }

    /// When the engine accepted the first and the last of the tokens that were taken from the
    /// stream. However late they were taken: on a busy machine that says little about the engine.
    pub fn accepted(&self) -> Option<(Instant, Instant)> {
        self.accepted
    }

    /// Stops the job between two steps; its result is [`GenerateError::Cancelled`], unless it was
    /// over already.
    pub fn cancel(&self) {
        self.cancel.0.store(true, Ordering::Relaxed);
    }

    /// The result. Tokens that were not taken from the stream are in it too.
    ///
    /// # Errors
    /// [`GenerateError::Cancelled`] if the job or the engine was stopped.
    pub async fn finish(mut self) -> Result<Generation, GenerateError> {
        while self.next().await.is_some() {}
        self.result.take().unwrap_or(Err(GenerateError::Cancelled))
    }

    /// Waits for the result, without an async runtime.
    ///
    /// # Errors
    /// As [`Handle::finish`].
    pub fn wait(self) -> Result<Generation, GenerateError> {
        block_on(self.finish())
    }
}

impl Stream for Handle {
    type Item = u32;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<u32>> {
        if self.result.is_some() {
            return Poll::Ready(None);
        }
        self.events.poll_next_unpin(context).map(|event| {
            match event? {
                Event::Token(token, at) => {
                    let first = self.accepted.map_or(at, |(first, _)| first);
                    self.accepted = Some((first, at));
                    return Some(token);
                }
                Event::Over(result) => self.result = Some(*result),
            }
            None
        })
    }
}

/// A replay in an engine. Dropping it stops the replay.
#[derive(Debug)]
pub struct ReplayHandle {
    prompt_tokens: u32,
    result: oneshot::Receiver<Result<Audit, GenerateError>>,
    cancel: CancelOnDrop,
}

impl ReplayHandle {
    pub(super) fn new(prompt_tokens: u32) -> (Self, Ticket, ReplayResult) {
        let (sender, result) = oneshot::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let handle = Self {
            prompt_tokens,
            result,
            cancel: CancelOnDrop(cancelled.clone()),
        };
        (handle, Ticket(cancelled), sender)
    }

    /// Tokens of the prompt; 0 if its template failed.
    pub fn prompt_tokens(&self) -> u32 {
        self.prompt_tokens
    }

    /// Stops the replay between two steps.
    pub fn cancel(&self) {
        self.cancel.0.store(true, Ordering::Relaxed);
    }

    /// The result.
    ///
    /// # Errors
    /// [`GenerateError::Cancelled`] if the replay or the engine was stopped.
    pub async fn finish(mut self) -> Result<Audit, GenerateError> {
        let result = (&mut self.result).await;
        result.unwrap_or(Err(GenerateError::Cancelled))
    }

    /// Waits for the result, without an async runtime.
    ///
    /// # Errors
    /// As [`ReplayHandle::finish`].
    pub fn wait(self) -> Result<Audit, GenerateError> {
        block_on(self.finish())
    }
}
