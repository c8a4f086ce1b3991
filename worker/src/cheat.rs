//! Ways to cheat, so that the end-to-end tests can see cheats being caught.
//!
//! Exists only with the Cargo feature `cheats`, which no build for use has, and
//! is obeyed only with a development key.

use crate::{
    error::{Error, Kind, Result},
    executor::{
        Assignment, Cancel, EngineExecutor, ExecutionError, Executor, ModelToLoad, ReplayOutcome,
        ReplayTask, Replayed,
    },
    journal::Delivery,
};
use async_trait::async_trait;
use genesisflow_primitives::{evidence, Fault, FaultCode, JobId, ModelId, Usage, H256};
use std::{path::PathBuf, time::Duration};

/// The environment variable that names the cheats, with commas between:
/// `alter-token`, `inflate-usage`, `alter-text`, `other-model`, `garbage`,
/// `false-fault` for results; `vote-wrong`, `stay-silent` for audits. A job's
/// number says which of them is its turn, for results and audits apart.
pub const VARIABLE: &str = "GENESISFLOW_TEST_CHEAT";
/// The environment variable that names the folder of the model that is served
/// in place of every other, for `other-model`.
pub const OTHER_MODEL: &str = "GENESISFLOW_TEST_OTHER_MODEL";

/// A way to deliver a wrong result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongResult {
    /// The first output token is another.
    AlterToken,
    /// One token more of input is claimed than was read.
    InflateUsage,
    /// The text is not that of the tokens.
    AlterText,
    /// Another model runs the job.
    OtherModel,
    /// Nothing runs it.
    Garbage,
    /// A fault is claimed where there is none.
    FalseFault,
}

/// A way to be a bad auditor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongBallot {
    /// What is right is called wrong.
    Wrong,
    /// Nothing is committed.
    Silent,
}

/// What a cheating worker does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cheats {
    results: Vec<WrongResult>,
    ballots: Vec<WrongBallot>,
}

impl Cheats {
    /// Reads [`VARIABLE`], for workers with a development key only.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that is no cheat: a test must not pass because
    /// nobody cheated.
    pub fn from_environment(has_dev_key: bool) -> Result<Self> {
        let value = std::env::var(VARIABLE).ok().filter(|_| has_dev_key);
        let cheats = Self::parse(value.as_deref().unwrap_or_default())?;
        if cheats != Self::default() {
            tracing::warn!("CHEATING, for a test: {cheats:?}");
        }
        Ok(cheats)
    }

    fn parse(list: &str) -> Result<Self> {
        let mut cheats = Self::default();
        for name in list.split(',').filter(|name| !name.is_empty()) {
            match name {
                "alter-token" => cheats.results.push(WrongResult::AlterToken),
                "inflate-usage" => cheats.results.push(WrongResult::InflateUsage),
                "alter-text" => cheats.results.push(WrongResult::AlterText),
                "other-model" => cheats.results.push(WrongResult::OtherModel),
                "garbage" => cheats.results.push(WrongResult::Garbage),
                "false-fault" => cheats.results.push(WrongResult::FalseFault),
                "vote-wrong" => cheats.ballots.push(WrongBallot::Wrong),
                "stay-silent" => cheats.ballots.push(WrongBallot::Silent),
                _ => {
                    return Err(Error::new(
                        Kind::Usage,
                        format!("{VARIABLE}: `{name}` is no cheat"),
                    )
                    .fix("see worker/src/cheat.rs for their names"))
                }
            }
        }
        Ok(cheats)
    }

    fn for_result(&self, job: JobId) -> Option<WrongResult> {
        turn(&self.results, job)
    }

    fn for_ballot(&self, job: JobId) -> Option<WrongBallot> {
        turn(&self.ballots, job)
    }
}

/// The one of `list` whose turn it is at a job.
fn turn<T: Copy>(list: &[T], job: JobId) -> Option<T> {
    let count = u64::try_from(list.len()).ok()?;
    let index = usize::try_from(job.checked_rem(count)?).ok()?;
    list.get(index).copied()
}

impl WrongResult {
    /// Makes an honest result a wrong one that the chain takes.
    fn spoil(self, delivery: &mut Delivery) {
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
            // The other model's result is wrong as it is.
            Self::OtherModel => {}
            Self::Garbage => {
                let count = evidence::count(&delivery.evidence).unwrap_or_default();
                let ids: Vec<u32> = (0..count).map(|index| index % 7 + 1).collect();
                delivery.evidence = evidence::encode(&ids);
                delivery.output.fill(b'?');
                delivery.claim.trace = H256::repeat_byte(7);
            }
            Self::FalseFault => {
                delivery.output.clear();
                delivery.evidence.clear();
                delivery.claim.usage.output = 0;
                delivery.claim.fault = Some(Fault {
                    code: FaultCode::ActivationOverflow,
                    position: 0,
                });
            }
        }
    }
}

/// An executor that cheats on the results that it delivers and on those that it
/// replays.
pub struct Cheating<E> {
    honest: E,
    other: Option<E>,
    cheats: Cheats,
}

impl<E> Cheating<E> {
    /// `honest` with cheats; `other` runs another model under the same id.
    pub fn new(honest: E, other: Option<E>, cheats: Cheats) -> Self {
        Self {
            honest,
            other,
            cheats,
        }
    }
}

/// Loads the model of [`OTHER_MODEL`] under the ids of `models`, if
/// [`WrongResult::OtherModel`] is among the cheats.
///
/// # Errors
/// [`Kind::Usage`] if the variable is missing, or what loading says.
pub fn other_model(cheats: &Cheats, models: &[ModelToLoad]) -> Result<Option<EngineExecutor>> {
    if !cheats.results.contains(&WrongResult::OtherModel) {
        return Ok(None);
    }
    let dir = std::env::var_os(OTHER_MODEL).map(PathBuf::from);
    let dir = dir.ok_or_else(|| {
        Error::new(
            Kind::Usage,
            format!("`other-model` needs a folder in {OTHER_MODEL}"),
        )
    })?;
    let others = models.iter().map(|model| ModelToLoad {
        id: model.id,
        dir: dir.clone(),
        manifest: model.manifest.clone(),
    });
    EngineExecutor::load(others.collect()).map(Some)
}

#[async_trait]
impl<E: Executor> Executor for Cheating<E> {
    fn serves(&self, model: ModelId) -> bool {
        self.honest.serves(model)
    }

    async fn estimate(
        &self,
        assignment: &Assignment,
    ) -> std::result::Result<Duration, ExecutionError> {
        self.honest.estimate(assignment).await
    }

    fn work(&self, model: ModelId, units: Usage) -> Duration {
        self.honest.work(model, units)
    }

    async fn execute(
        &self,
        assignment: Assignment,
        cancel: Cancel,
    ) -> std::result::Result<Delivery, ExecutionError> {
        let cheat = self.cheats.for_result(assignment.job);
        let job = assignment.job;
        let runs_it = match (&self.other, cheat) {
            (Some(other), Some(WrongResult::OtherModel)) => other,
            _ => &self.honest,
        };
        let mut delivery = runs_it.execute(assignment, cancel).await?;
        if let Some(cheat) = cheat {
            tracing::warn!(job, "CHEATING: {cheat:?}");
            cheat.spoil(&mut delivery);
        }
        Ok(delivery)
    }

    async fn replay(
        &self,
        task: ReplayTask,
        cancel: Cancel,
    ) -> std::result::Result<Replayed, ExecutionError> {
        let job = task.assignment.job;
        let cheat = self.cheats.for_ballot(job);
        if let Some(cheat) = cheat {
            tracing::warn!(job, "CHEATING as an auditor: {cheat:?}");
        }
        match cheat {
            None => self.honest.replay(task, cancel).await,
            Some(WrongBallot::Wrong) => {
                let mut replayed = self.honest.replay(task, cancel).await?;
                replayed.outcome = ReplayOutcome::Differs { index: 0 };
                Ok(replayed)
            }
            Some(WrongBallot::Silent) => Err(ExecutionError::Refused("silent, for a test".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genesisflow_primitives::ResultClaim;

    #[test]
    fn cheats_take_turns_and_an_unknown_one_is_an_error() {
        let cheats = Cheats::parse("garbage,stay-silent,false-fault").unwrap();
        let turns: Vec<_> = (0..3).map(|job| cheats.for_result(job)).collect();
        assert_eq!(
            turns,
            [
                Some(WrongResult::Garbage),
                Some(WrongResult::FalseFault),
                Some(WrongResult::Garbage)
            ]
        );
        assert_eq!(cheats.for_ballot(5), Some(WrongBallot::Silent));
        assert_eq!(Cheats::parse("").unwrap().for_result(0), None);
        assert_eq!(Cheats::parse("honesty").unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn every_wrong_result_is_wrong_and_passes_the_chains_checks() {
        let honest = Delivery {
            output: "été".into(),
            evidence: evidence::encode(&[300, 5, 2]),
            claim: ResultClaim {
                usage: Usage {
                    input: 4,
                    output: 3,
                },
                fault: None,
                trace: H256::repeat_byte(1),
                engine_version: 1,
            },
        };
        for cheat in [
            WrongResult::AlterToken,
            WrongResult::InflateUsage,
            WrongResult::AlterText,
            WrongResult::Garbage,
            WrongResult::FalseFault,
        ] {
            let mut spoilt = honest.clone();
            cheat.spoil(&mut spoilt);
            assert_ne!(spoilt, honest, "{cheat:?}");
            assert!(std::str::from_utf8(&spoilt.output).is_ok(), "{cheat:?}");
            let ids = evidence::count(&spoilt.evidence).unwrap();
            assert_eq!(ids, spoilt.claim.usage.output, "{cheat:?}");
            assert!(spoilt.evidence.len() <= honest.evidence.len(), "{cheat:?}");
            assert!(spoilt.output.len() <= honest.output.len(), "{cheat:?}");
        }
    }
}
