//! What the end-to-end tests stand on: a node, a worker, a small model and a
//! requester, each a real process or a real connection.

// Each test file uses a part of it.
#![allow(dead_code)]

pub mod hub;
pub mod model;
pub mod node;
pub mod requester;
pub mod tls;
pub mod worker;

use std::time::{Duration, Instant};

/// Asks until there is an answer.
///
/// Panics after `patience` with `what` was waited for.
pub async fn eventually<T>(
    what: &str,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            start.elapsed() < patience,
            "waited {} s in vain for {what}",
            patience.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
