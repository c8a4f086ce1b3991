//! What audits need while the journal cannot be written, and when a new one was
//! begun because the old one was lost.

use super::AuditLoop;
use crate::{
    error::Result,
    executor::Executor,
    journal::{Case, Role},
    market::{Market, MarketError, MarketResult, View},
    shutdown::{Phase, Shutdown},
};
use genesisflow_primitives::{views::WorkerView, JobId, JobStatus};

/// Jobs back from the newest that are looked through for results of this worker
/// that a new journal does not know.
const LOOKED_BACK: JobId = 2_000;
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

    /// Looks at the chain; the first time, takes results into the journal that
    /// were delivered before it was begun.
    pub(super) async fn look_with(&mut self, is_complete: &mut bool) -> MarketResult<()> {
        if !*is_complete {
            self.adopt().await?;
            self.worker.journal.set_complete()?;
            *is_complete = true;
        }
        self.look().await
    }

    /// Opens a case for every recent result of this worker that is not final.
    async fn adopt(&mut self) -> MarketResult<()> {
        let view = self.worker.market.finalized().await?;
        // Stake answers for every result that is not final.
        let is_clear = |worker: WorkerView| worker.exposure == 0;
        if view.worker().await?.is_none_or(is_clear) {
            return Ok(());
        }
        let account = self.worker.market.account();
        let end = view.next_job().await?;
        for id in (end.saturating_sub(LOOKED_BACK)..end).rev() {
            let Some(job) = view.job(id).await? else {
                continue;
            };
            let is_pending = matches!(
                job.status,
                JobStatus::Delivered | JobStatus::Audit | JobStatus::Review | JobStatus::Decided
            );
            if is_pending && job.worker == Some(account) && self.worker.journal.case(id)?.is_none()
            {
                tracing::info!(
                    job = id,
                    "a result delivered before: it is watched from now on"
                );
                let case = Case::new(job.model.0, Role::Author);
                self.worker.journal.put_case(id, &case)?;
                self.cases.insert(id, 0);
            }
        }
        Ok(())
    }
}
