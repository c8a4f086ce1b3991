//! Stopping in two steps: first no new jobs, then no more waiting.

use std::{future::Future, time::Duration};
use tokio::sync::watch;

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// At work.
    Running,
    /// No new jobs; those in hand are brought to an end.
    Draining,
    /// Stop now. The journal knows everything, so nothing is lost.
    Stopped,
}

/// The side that asks for a stop. Clones ask for the same.
#[derive(Clone, Debug)]
pub struct Trigger(watch::Sender<Phase>);

/// The side that is asked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Phase>);

/// A connected pair, running.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Moves on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let moves = phase > *current;
            *current = phase.max(*current);
            moves
        });
    }

    /// Drains at the first SIGINT or SIGTERM, and stops at the second, or
    /// `grace` after the first.
    pub async fn follow_signals(self, grace: Duration) {
        signal().await;
        tracing::info!(
            "stopping: no new jobs are taken; the job in hand has {} s (a second signal stops at once)",
            grace.as_secs()
        );
        self.advance(Phase::Draining);
        tokio::select! {
            () = signal() => {}
            () = tokio::time::sleep(grace) => {}
        }
        self.advance(Phase::Stopped);
        // Kept open for as long as anyone listens.
        self.0.closed().await;
    }
}

impl Shutdown {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until `phase` is reached, or the trigger is gone.
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that the trigger was dropped: nobody can ask any more.
        let _ = self.0.wait_for(|current| *current >= phase).await;
    }

    /// Runs `work`, or gives it up when the worker stops.
    pub async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.reached(Phase::Stopped) => None,
        }
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{signal, SignalKind};
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without handlers the signals end the process at once, which the
        // journal is made for.
        _ => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_never_goes_back() {
        let (trigger, mut shutdown) = channel();
        assert_eq!(shutdown.phase(), Phase::Running);
        trigger.advance(Phase::Stopped);
        trigger.advance(Phase::Draining);
        assert_eq!(shutdown.phase(), Phase::Stopped);
        shutdown.reached(Phase::Draining).await;
    }

    #[tokio::test]
    async fn work_is_given_up_when_the_worker_stops() {
        let (trigger, mut shutdown) = channel();
        assert_eq!(shutdown.unless_stopped(async { 7 }).await, Some(7));
        trigger.advance(Phase::Stopped);
        let never = shutdown.unless_stopped(std::future::pending::<()>());
        assert_eq!(never.await, None);
    }
}
