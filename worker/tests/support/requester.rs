//! A requester: submits jobs and watches what becomes of them.

use genesisflow_primitives::{
    views::{JobView, ResultView},
    JobId, JobStatus, ModelId,
};
use genesisflow_worker::{
    amount::GEN,
    chain::{metadata::runtime, Chain},
    key::{Key, KeySource},
    market::{AccountId, View},
};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);

/// Alice, on one chain.
pub struct Requester {
    chain: Chain,
    submitted: JobId,
}

impl Requester {
    pub async fn connect(url: &str) -> Self {
        let key = Key::load(&KeySource::Dev("//Alice".into())).unwrap();
        Self {
            chain: Chain::connect(url, key).await.unwrap(),
            submitted: 0,
        }
    }

    /// Submits a job and returns its number, which is known: on these chains
    /// nobody else submits any.
    pub async fn submit(&mut self, model: ModelId, input: &str) -> JobId {
        let call = runtime::transactions().inference().submit_job(
            model,
            input.as_bytes().to_vec(),
            12,
            GEN,
        );
        self.chain.execute("submit a job", &call).await.unwrap();
        let job = self.submitted;
        self.submitted += 1;
        job
    }

    pub async fn job(&self, job: JobId) -> JobView<AccountId> {
        let view = self.chain.view().await.unwrap();
        view.job(job).await.unwrap().expect("the job is there")
    }

    /// Waits until a job has a result.
    pub async fn delivered(&self, job: JobId) -> JobView<AccountId> {
        super::eventually("a result", PATIENCE, async || {
            let job = self.job(job).await;
            let is_there = matches!(job.status, JobStatus::Review | JobStatus::Settled);
            is_there.then_some(job)
        })
        .await
    }

    /// Waits until finalised state has a job claimed.
    pub async fn claimed(&self, job: JobId) {
        super::eventually("a claim", PATIENCE, async || {
            (self.job(job).await.status == JobStatus::Claimed).then_some(())
        })
        .await;
    }

    pub async fn result(&self, job: JobId) -> Option<ResultView<AccountId>> {
        let view = self.chain.view().await.unwrap();
        view.result(job).await.unwrap()
    }

    /// Looks through every finalised block.
    pub async fn history(&self) -> History {
        let head = self.chain.view().await.unwrap().head().number;
        let mut history = History::default();
        for number in 1..=head {
            let client = self.chain.client();
            let hash = client.block_hash(number).await.unwrap().unwrap();
            let at = client.at(hash).await.unwrap();
            let events = at.events().fetch().await.unwrap();
            for delivered in events.find::<runtime::inference::events::ResultDelivered>() {
                history.delivered.push(delivered.unwrap().job);
            }
            history.refused += events
                .find::<runtime::system::events::ExtrinsicFailed>()
                .count();
        }
        history
    }
}

/// What happened on a chain.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The job of every delivery, in order.
    pub delivered: Vec<JobId>,
    /// How many transactions were included and refused.
    pub refused: usize,
}
