//! A requester: submits jobs and watches what becomes of them.

use genesisflow_primitives::{
    views::{JobView, PoolMemberView, ResultView, WorkerView},
    Balance, JobId, JobStatus, ModelId,
};
use genesisflow_worker::{
    amount::GEN,
    chain::{
        metadata::runtime::{
            self, inference::events as happened,
            runtime_types::genesisflow_primitives::job as asked,
        },
        Chain, ChainView,
    },
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

    /// As [`Requester::submit`], for one worker alone.
    pub async fn submit_to(&mut self, worker: AccountId, model: ModelId, input: &str) -> JobId {
        self.submit_with(model, input, Some(worker), None).await
    }

    /// As [`Requester::submit`], with time for the delivery: so many blocks.
    pub async fn submit_without_haste(
        &mut self,
        model: ModelId,
        input: &str,
        blocks: u32,
    ) -> JobId {
        self.submit_with(model, input, None, Some(blocks)).await
    }

    async fn submit_with(
        &mut self,
        model: ModelId,
        input: &str,
        worker: Option<AccountId>,
        deliver_within: Option<u32>,
    ) -> JobId {
        let options = asked::JobOptions {
            format: asked::InputFormat::Text,
            temperature_milli: 0,
            top_k: 1,
            top_p_milli: 1_000,
            seed: Default::default(),
        };
        let conditions = asked::JobConditions {
            max_price_input: Balance::MAX,
            max_price_output: Balance::MAX,
            claim_by: None,
            deliver_within,
            worker: worker.map(Into::into),
            min_auditors: if worker.is_some() { 2 } else { 0 },
        };
        let call = runtime::transactions().inference().submit_job_with(
            model,
            input.as_bytes().to_vec(),
            12,
            GEN,
            options,
            conditions,
        );
        self.chain.execute("submit a job", &call).await.unwrap();
        let job = self.submitted;
        self.submitted += 1;
        job
    }

    /// The audit pool of a model.
    pub async fn audit_pool(&self, model: ModelId) -> Vec<PoolMemberView<AccountId>> {
        let view = self.chain.view().await.unwrap();
        view.audit_pool(model).await.unwrap()
    }

    /// A worker's standing.
    pub async fn worker(&self, account: AccountId) -> WorkerView {
        let view = self.chain.view().await.unwrap();
        let view = ChainView::new(view.at().clone(), account);
        view.worker().await.unwrap().expect("a worker")
    }

    /// What another account can spend, in base units, and how many transactions
    /// it has signed.
    pub async fn balance_and_nonce(&self, account: AccountId) -> (Balance, u64) {
        let view = self.chain.view().await.unwrap();
        let view = ChainView::new(view.at().clone(), account);
        (
            view.free_balance().await.unwrap(),
            view.nonce().await.unwrap(),
        )
    }

    /// Waits until a job is in a state.
    pub async fn reached(
        &self,
        job: JobId,
        status: JobStatus,
        patience: Duration,
    ) -> JobView<AccountId> {
        super::eventually(&format!("{status:?}"), patience, async || {
            let job = self.job(job).await;
            (job.status == status).then_some(job)
        })
        .await
    }

    pub async fn job(&self, job: JobId) -> JobView<AccountId> {
        let view = self.chain.view().await.unwrap();
        view.job(job).await.unwrap().expect("the job is there")
    }

    /// Waits until a job has a result.
    pub async fn delivered(&self, job: JobId) -> JobView<AccountId> {
        super::eventually("a result", PATIENCE, async || {
            let job = self.job(job).await;
            let is_missing = matches!(job.status, JobStatus::Open | JobStatus::Claimed);
            (!is_missing).then_some(job)
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
            for event in events.find::<happened::BallotCommitted>() {
                let event = event.unwrap();
                history.committed.push((event.job, event.auditor.0));
            }
            for event in events.find::<happened::BallotRevealed>() {
                let event = event.unwrap();
                history
                    .ballots
                    .push((event.job, event.auditor.0, event.valid));
            }
            for event in events.find::<happened::AuditorPaid>() {
                let event = event.unwrap();
                history
                    .paid
                    .push((event.job, event.auditor.0, event.amount));
            }
            for event in events.find::<happened::JobRejected>() {
                let event = event.unwrap();
                // What is above the fee went back with the delivery.
                let delivery = self.job(event.job).await.terms.delivery_fee;
                assert_eq!(event.refund, event.fee + delivery, "all the rest");
                history.rejected.push((event.job, event.worker.0));
            }
            for event in events.find::<happened::Slashed>() {
                let event = event.unwrap();
                history.slashed.push((event.job, event.who.0, event.amount));
            }
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
    /// Commitments: job and auditor.
    pub committed: Vec<(JobId, AccountId)>,
    /// Ballots revealed: job, auditor, whether it found the result right.
    pub ballots: Vec<(JobId, AccountId, bool)>,
    /// Auditors' pay: job, auditor, amount.
    pub paid: Vec<(JobId, AccountId, Balance)>,
    /// Rejected results: job and worker.
    pub rejected: Vec<(JobId, AccountId)>,
    /// Slashes: job, account, amount.
    pub slashed: Vec<(JobId, AccountId, Balance)>,
}
