//! Ways to cheat, so that the end-to-end tests can see cheats being caught.
//!
//! Exists only with the Cargo feature `cheats`, which no build for use has, and
//! is obeyed only with a development key.

use crate::{
    executor::{Assignment, Cancel, ExecutionError, Executor, ReplayTask, Replayed},
    journal::Delivery,
};
use async_trait::async_trait;
use genesisflow_primitives::{evidence, ModelId};
use std::time::Duration;

/// The environment variable that names the cheat: `alter-token`,
/// `inflate-usage` or `alter-text`.
pub const VARIABLE: &str = "GENESISFLOW_TEST_CHEAT";

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
    /// The first output token is another.
    AlterToken,
    /// One token more of input is claimed than was read.
    InflateUsage,
    /// The text is not that of the tokens.
    AlterText,
}

impl Cheat {
    /// Reads [`VARIABLE`], for workers with a development key only.
    pub fn from_environment(has_dev_key: bool) -> Option<Self> {
        let value = std::env::var(VARIABLE).ok().filter(|_| has_dev_key)?;
        match value.as_str() {
            "alter-token" => Some(Self::AlterToken),
            "inflate-usage" => Some(Self::InflateUsage),
            "alter-text" => Some(Self::AlterText),
            _ => None,
        }
    }

    /// Makes an honest result a wrong one that the chain takes.
    pub fn spoil(self, delivery: &mut Delivery) {
        match self {
            Self::AlterToken => {
                let mut ids = evidence::decode(&delivery.evidence).unwrap_or_default();
                // Never longer than before.
                if let Some(id) = ids.first_mut() {
                    *id = if *id == 0 { 1 } else { *id - 1 };
                }
                delivery.evidence = evidence::encode(&ids);
            }
            Self::InflateUsage => delivery.claim.usage.input += 1,
            Self::AlterText => {
                delivery.output.pop();
                while std::str::from_utf8(&delivery.output).is_err() {
                    delivery.output.pop();
                }
            }
        }
    }
}

/// An executor that spoils what it delivers, and replays others honestly.
pub struct Cheating<E> {
    honest: E,
    cheat: Option<Cheat>,
}

impl<E> Cheating<E> {
    /// `honest` with a cheat, if one is wanted.
    pub fn new(honest: E, cheat: Option<Cheat>) -> Self {
        if let Some(cheat) = cheat {
            tracing::warn!("CHEATING, for a test: {cheat:?}");
        }
        Self { honest, cheat }
    }
}

#[async_trait]
impl<E: Executor> Executor for Cheating<E> {
    fn serves(&self, model: ModelId) -> bool {
        self.honest.serves(model)
    }

    async fn estimate(&self, assignment: &Assignment) -> Result<Duration, ExecutionError> {
        self.honest.estimate(assignment).await
    }

    async fn execute(
        &self,
        assignment: Assignment,
        cancel: Cancel,
    ) -> Result<Delivery, ExecutionError> {
        let mut delivery = self.honest.execute(assignment, cancel).await?;
        if let Some(cheat) = self.cheat {
            cheat.spoil(&mut delivery);
        }
        Ok(delivery)
    }

    async fn replay(&self, task: ReplayTask, cancel: Cancel) -> Result<Replayed, ExecutionError> {
        self.honest.replay(task, cancel).await
    }
}
