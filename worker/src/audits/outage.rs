//! What audits need while the journal cannot be written.

use super::AuditLoop;
use crate::{
    error::Result,
    executor::Executor,
    market::{Market, MarketError},
    shutdown::{Phase, Shutdown},
};

impl<M: Market, E: Executor> AuditLoop<M, E> {
    /// Commits to and reveals what the journal knows, and nothing that it would
    /// have to learn, until it can be written again.
    ///
    /// # Returns
    /// Whether it can be; else the worker is to stop.
    ///
    /// # Errors
    /// As [`AuditLoop::run`].
    pub async fn hold_out(mut self, mut shutdown: Shutdown) -> Result<bool> {
        self.draining = true;
        loop {
            match self.worker.journal.try_to_write() {
                Ok(()) => return Ok(true),
                Err(error) if error.may_pass() => tracing::debug!("{error}"),
                Err(error) => return Err(error),
            }
            match self.look().await {
                Ok(()) => {}
                Err(MarketError::Fatal(error)) if error.may_pass() => tracing::debug!("{error}"),
                Err(MarketError::Fatal(error)) => return Err(error),
                Err(MarketError::Unavailable(cause)) => {
                    tracing::debug!("cannot look at the audits: {cause}");
                }
            }
            let pause = tokio::time::sleep(self.worker.pace.first_retry);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    biased;
                    () = shutdown.reached(Phase::Draining) => return Ok(false),
                    Some(ended) = self.tasks.join_next() => self.ended(ended)?,
                    () = &mut pause => break,
                }
            }
        }
    }
}
