//! The worker's two loops side by side, and what happens when the journal cannot
//! be written, or no device computes any more.
//!
//! A full disk is no reason to end: models would have to be loaded again, and
//! ballots that wait to be revealed would be fined. Every task is given up, as
//! by a kill, and started again from the journal and the chain once there is
//! room. Until then nothing is claimed, computed, committed to or delivered that
//! the journal does not know yet.

use crate::{
    audits::{Appeals, AuditLoop, Disputes},
    error::{Error, Result},
    executor::Executor,
    job_loop::{JobLoop, Worker},
    market::Market,
    shutdown::{Phase, Shutdown, Trigger},
};
use genesisflow_primitives::ModelId;
use std::{future::Future, sync::Arc, time::Duration};

/// How often to look whether tasks that were given up have ended.
const SOON: Duration = Duration::from_millis(5);

/// Lets the worker work until `lost` says that no device is left, then brings what
/// needs none to its end: results are delivered, ballots revealed. What needs one
/// stays in the journal, for the next start.
///
/// # Errors
/// That of `work`, or what `lost` says.
pub async fn while_devices_last(
    work: impl Future<Output = Result<()>>,
    lost: impl Future<Output = Error>,
    trigger: &Trigger,
    grace: Duration,
) -> Result<()> {
    tokio::pin!(work);
    let error = tokio::select! {
        ended = &mut work => return ended,
        error = lost => error,
    };
    tracing::error!(
        "stopping, because no device is left: what is computed already has {} s to be delivered",
        grace.as_secs()
    );
    trigger.advance(Phase::Draining);
    match tokio::time::timeout(grace, &mut work).await {
        Ok(ended) => ended?,
        Err(_) => {
            trigger.advance(Phase::Stopped);
            work.await?;
        }
    }
    Err(error)
}

/// Works on `models` until `stop`.
///
/// # Errors
/// What cannot be cured by waiting.
pub async fn work<M: Market, E: Executor>(
    worker: Worker<M, E>,
    models: Vec<ModelId>,
    appeals: Appeals,
    disputes: Disputes,
    stop: Shutdown,
) -> Result<()> {
    let worker = Arc::new(worker);
    loop {
        let audits = AuditLoop::new(worker.clone(), appeals)
            .with_disputes(disputes)
            .run(stop.clone());
        let jobs = JobLoop::new(worker.clone(), models.clone()).run(stop.clone());
        // What ends one of them for good ends the worker.
        let error = match tokio::try_join!(audits, jobs) {
            Ok(_) => return Ok(()),
            Err(error) if error.may_pass() => error,
            Err(error) => return Err(error),
        };
        worker.meters.trouble(error.kind().into());
        tracing::error!(
            "{error}\n  Until then this worker claims, computes and delivers nothing, and goes on by itself afterwards; ballots that the journal has are still revealed"
        );
        // No two tasks may ever work on the same job.
        while Arc::strong_count(&worker) > 1 {
            tokio::time::sleep(SOON).await;
        }
        let waiting = AuditLoop::new(worker.clone(), appeals).hold_out(stop.clone());
        if !waiting.await? {
            tracing::info!("stopped while the journal could not be written");
            return Ok(());
        }
        tracing::info!("the journal can be written again: going on");
        while Arc::strong_count(&worker) > 1 {
            tokio::time::sleep(SOON).await;
        }
    }
}
