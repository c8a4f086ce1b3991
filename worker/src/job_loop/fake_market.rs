//! A market in memory, for the tests: it makes a block whenever it is looked
//! at, loses what it is told to lose, and lets the worker be killed at any
//! step.

use crate::{
    executor::{Assignment, Cancel, ExecutionError, Executor},
    journal::{Delivery, Head, SignedTx},
    market::{
        AccountId, BeforeSubmit, InFlight, Market, MarketError, MarketResult, TxOutcome, View,
    },
};
use async_trait::async_trait;
use codec::{Decode, Encode};
use futures::FutureExt;
use genesisflow_primitives::{
    views::{ClaimView, JobSummary, JobView, OfferView, WorkerView},
    BlockNumber, JobId, JobOptions, JobStatus, JobTerms, ModelId, Prices, ResultClaim, Usage, H256,
};
use sp_arithmetic::Permill;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::Notify;

pub const ME: AccountId = [1; 32];
pub const RIVAL: AccountId = [2; 32];
pub const MODEL: ModelId = H256::repeat_byte(5);
pub const GENESIS: H256 = H256::repeat_byte(8);
const MORTALITY: BlockNumber = 20;
const TICK: Duration = Duration::from_millis(1);

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
enum Call {
    Claim(JobId),
    Deliver(JobId, Delivery),
}

#[derive(Clone, Debug)]
struct Job {
    status: JobStatus,
    until: BlockNumber,
    worker: Option<AccountId>,
    deliver_window: BlockNumber,
}

/// What the node is told to do wrong, each counted down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Reads that fail.
    pub unreachable: u32,
    /// Transactions that the node takes and then forgets.
    pub lost: u32,
    /// Transactions that the node takes while the answer is lost.
    pub unanswered: u32,
    /// A rival claims every job first.
    pub rival: bool,
}

/// The chain. Its state outlives the worker.
#[derive(Debug, Default)]
pub struct Chain {
    pub height: BlockNumber,
    nonce: u64,
    jobs: BTreeMap<JobId, Job>,
    pool: Vec<(u64, BlockNumber, Call)>,
    fates: BTreeMap<u64, bool>,
    pub faults: Faults,
    pub capacity: u32,
    pub submitted: u32,
    /// Deliveries that succeeded, by job.
    pub delivered: BTreeMap<JobId, Vec<Delivery>>,
    /// Transactions that were included and refused.
    pub refused: u32,
    /// The most jobs that were claimed at the same time.
    pub most_claimed: usize,
}

impl Chain {
    fn claimed(&self) -> impl Iterator<Item = (&JobId, &Job)> {
        self.jobs
            .iter()
            .filter(|(_, job)| job.status == JobStatus::Claimed && job.worker == Some(ME))
    }

    fn make_block(&mut self) {
        self.height += 1;
        let height = self.height;
        self.pool.sort_by_key(|(nonce, _, _)| *nonce);
        let pool = std::mem::take(&mut self.pool);
        for (nonce, valid_until, call) in pool {
            if nonce < self.nonce || height > valid_until {
                continue;
            }
            if nonce > self.nonce {
                self.pool.push((nonce, valid_until, call));
                continue;
            }
            self.nonce += 1;
            let succeeded = self.apply(call);
            self.refused += u32::from(!succeeded);
            self.fates.insert(nonce, succeeded);
        }
        self.most_claimed = self.most_claimed.max(self.claimed().count());
    }

    fn apply(&mut self, call: Call) -> bool {
        let height = self.height;
        match call {
            Call::Claim(id) => {
                let rival = self.faults.rival;
                let Some(job) = self.jobs.get_mut(&id) else {
                    return false;
                };
                if job.status != JobStatus::Open || height > job.until {
                    return false;
                }
                job.status = JobStatus::Claimed;
                job.worker = Some(if rival { RIVAL } else { ME });
                job.until = height + job.deliver_window;
                !rival
            }
            Call::Deliver(id, delivery) => {
                let Some(job) = self.jobs.get_mut(&id) else {
                    return false;
                };
                let ours = job.status == JobStatus::Claimed && job.worker == Some(ME);
                if !ours || height > job.until {
                    return false;
                }
                job.status = JobStatus::Review;
                job.until = height + 10;
                self.delivered.entry(id).or_default().push(delivery);
                true
            }
        }
    }
}

/// Kills the worker at the n-th step that touches anything outside it.
#[derive(Debug)]
pub struct Killer {
    left: Mutex<Option<u32>>,
    pub killed: Notify,
}

impl Killer {
    pub fn after(steps: Option<u32>) -> Arc<Self> {
        Arc::new(Self {
            left: Mutex::new(steps),
            killed: Notify::new(),
        })
    }

    /// Passes, or never returns.
    pub async fn step(&self) {
        let dies = {
            let mut left = self.left.lock().unwrap();
            match left.as_mut() {
                Some(0) => true,
                Some(left) => {
                    *left -= 1;
                    *left == 0
                }
                None => false,
            }
        };
        if dies {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// One worker's connection to the chain.
#[derive(Clone)]
pub struct FakeMarket {
    pub chain: Arc<Mutex<Chain>>,
    pub killer: Arc<Killer>,
}

impl FakeMarket {
    pub fn new() -> Self {
        Self {
            chain: Arc::new(Mutex::new(Chain {
                height: 10,
                capacity: 1,
                ..Chain::default()
            })),
            killer: Killer::after(None),
        }
    }

    /// The same chain, for a worker that is killed after some steps.
    pub fn with_killer(&self, killer: Arc<Killer>) -> Self {
        Self {
            chain: self.chain.clone(),
            killer,
        }
    }

    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    pub fn submit_job(&self, id: JobId, deliver_window: BlockNumber) {
        let job = Job {
            status: JobStatus::Open,
            until: 10_000,
            worker: None,
            deliver_window,
        };
        self.chain().jobs.insert(id, job);
    }

    /// Makes a job this worker's without its knowledge.
    pub fn claim_behind_its_back(&self, id: JobId) {
        assert!(self.chain().apply(Call::Claim(id)));
    }

    fn sign(&self, call: &Call) -> SignedTx {
        let chain = self.chain();
        SignedTx {
            bytes: call.encode(),
            nonce: chain.nonce + chain.pool.len() as u64,
            valid_until: chain.height + MORTALITY,
        }
    }

    /// Takes a transaction into the pool, or does what the faults say.
    fn take(&self, tx: &SignedTx) -> MarketResult<InFlight> {
        let call = Call::decode(&mut &tx.bytes[..]).unwrap();
        {
            let mut chain = self.chain();
            chain.submitted += 1;
            let is_new = tx.nonce >= chain.nonce
                && chain.pool.iter().all(|(nonce, _, _)| *nonce != tx.nonce);
            if chain.faults.lost > 0 {
                chain.faults.lost -= 1;
            } else if is_new {
                chain.pool.push((tx.nonce, tx.valid_until, call));
            }
            if chain.faults.unanswered > 0 {
                chain.faults.unanswered -= 1;
                return Err(MarketError::Unavailable("the answer was lost".into()));
            }
        }
        let (chain, killer, tx) = (self.chain.clone(), self.killer.clone(), tx.clone());
        let watch = async move {
            killer.step().await;
            for _ in 0..100 {
                tokio::time::sleep(TICK).await;
                let fate = chain.lock().unwrap().fates.get(&tx.nonce).copied();
                if let Some(succeeded) = fate {
                    killer.step().await;
                    return if succeeded {
                        TxOutcome::Succeeded
                    } else {
                        TxOutcome::Failed {
                            error: "NotOpen".into(),
                        }
                    };
                }
            }
            TxOutcome::Unknown {
                reason: "timed out".into(),
            }
        };
        Ok(watch.boxed())
    }

    async fn send(&self, call: Call, before_submit: BeforeSubmit<'_>) -> MarketResult<InFlight> {
        self.killer.step().await;
        let tx = self.sign(&call);
        before_submit(&tx)?;
        self.killer.step().await;
        let in_flight = self.take(&tx);
        self.killer.step().await;
        in_flight
    }
}

#[async_trait]
impl Market for FakeMarket {
    type View = FakeView;

    async fn finalized(&self) -> MarketResult<FakeView> {
        self.killer.step().await;
        let mut chain = self.chain();
        chain.make_block();
        if chain.faults.unreachable > 0 {
            chain.faults.unreachable -= 1;
            return Err(MarketError::Unavailable("connection refused".into()));
        }
        Ok(FakeView {
            head: chain.height,
            nonce: chain.nonce,
            capacity: chain.capacity,
            jobs: chain.jobs.clone(),
        })
    }

    fn genesis(&self) -> H256 {
        GENESIS
    }

    fn account(&self) -> AccountId {
        ME
    }

    async fn claim(&self, job: JobId, before_submit: BeforeSubmit<'_>) -> MarketResult<InFlight> {
        self.send(Call::Claim(job), before_submit).await
    }

    async fn deliver(
        &self,
        job: JobId,
        delivery: &Delivery,
        before_submit: BeforeSubmit<'_>,
    ) -> MarketResult<InFlight> {
        self.send(Call::Deliver(job, delivery.clone()), before_submit)
            .await
    }

    async fn resubmit(&self, tx: &SignedTx) -> MarketResult<InFlight> {
        self.killer.step().await;
        self.take(tx)
    }
}

/// The chain at one block.
pub struct FakeView {
    head: BlockNumber,
    nonce: u64,
    capacity: u32,
    jobs: BTreeMap<JobId, Job>,
}

#[async_trait]
impl View for FakeView {
    fn head(&self) -> Head {
        Head {
            number: self.head,
            hash: [0; 32],
        }
    }

    async fn nonce(&self) -> MarketResult<u64> {
        Ok(self.nonce)
    }

    async fn job(&self, id: JobId) -> MarketResult<Option<JobView<AccountId>>> {
        Ok(self.jobs.get(&id).map(|job| JobView {
            id,
            requester: RIVAL,
            model: MODEL,
            status: job.status,
            until: job.until,
            overdue: self.head > job.until,
            submitted_at: 1,
            input_hash: H256::zero(),
            input_len: 2,
            options: JobOptions::default(),
            max_prices: PRICES,
            directed_to: None,
            exclusive_until: None,
            barred: None,
            terms: terms(),
            max_fee: 1_000,
            escrow: 1_000,
            deposit: 0,
            worker: job.worker,
            prices: None,
            worst_case_fee: None,
            usage: None,
            fault: None,
            fee: None,
        }))
    }

    async fn job_input(&self, id: JobId) -> MarketResult<Option<Vec<u8>>> {
        Ok(self
            .jobs
            .contains_key(&id)
            .then(|| id.to_string().into_bytes()))
    }

    async fn open_jobs(&self, model: ModelId) -> MarketResult<Vec<JobSummary<AccountId>>> {
        assert_eq!(model, MODEL);
        let open = self
            .jobs
            .iter()
            .filter(|(_, job)| job.status == JobStatus::Open);
        Ok(open
            .map(|(id, job)| JobSummary {
                id: *id,
                requester: RIVAL,
                input_len: 2,
                max_input_units: 10,
                max_output_units: 10,
                options: JobOptions::default(),
                max_prices: PRICES,
                max_fee: 1_000,
                claim_by: job.until,
                deliver_window: job.deliver_window,
                directed_to: None,
                exclusive_until: None,
                barred: None,
            })
            .collect())
    }

    async fn claims(&self) -> MarketResult<Vec<ClaimView>> {
        let ours = self
            .jobs
            .iter()
            .filter(|(_, job)| job.status == JobStatus::Claimed && job.worker == Some(ME));
        Ok(ours
            .map(|(id, job)| ClaimView {
                job: *id,
                model: MODEL,
                claimed_at: job.until - job.deliver_window,
                deliver_by: job.until,
                prices: PRICES,
                worst_case_fee: 20,
                exposure: 1_000,
            })
            .collect())
    }

    async fn worker(&self) -> MarketResult<Option<WorkerView>> {
        Ok(None)
    }

    async fn offer(&self, _: ModelId) -> MarketResult<Option<OfferView<AccountId>>> {
        let running = self.claims().await?.len() as u32;
        Ok(Some(OfferView {
            worker: ME,
            prices: PRICES,
            capacity: self.capacity,
            running,
            available: running < self.capacity,
            free_stake: 1_000_000,
        }))
    }
}

const PRICES: Prices = Prices {
    input: 1,
    output: 1,
};

fn terms() -> JobTerms {
    JobTerms {
        revision: 0,
        canonical_version: 1,
        min_fee: 1,
        max_input_units: 10,
        max_output_units: 10,
        max_output_bytes: 160,
        max_evidence_bytes: 40,
        open_window: 100,
        deliver_window: 100,
        review_window: 10,
        retention: 100,
        protocol_share: Permill::from_percent(1),
        late_share: Permill::from_percent(50),
        exposure_factor: 50,
        record_deposit: 0,
        deposit_per_byte: 0,
        delivery_fee: 0,
    }
}

/// Answers a job with its own number, in words that cannot be mistaken.
pub fn answer(job: JobId) -> Delivery {
    Delivery {
        output: format!("answer to {job}").into_bytes(),
        evidence: vec![4],
        claim: ResultClaim {
            usage: Usage {
                input: 2,
                output: 1,
            },
            fault: None,
            trace: H256::repeat_byte(3),
            engine_version: 1,
        },
    }
}

/// Runs jobs by [`answer`].
#[derive(Clone)]
pub struct FakeExecutor {
    pub killer: Arc<Killer>,
    pub runs: Arc<Mutex<Vec<JobId>>>,
    pub expected: Duration,
    pub takes: Duration,
    pub refuses: bool,
}

impl FakeExecutor {
    pub fn new(killer: Arc<Killer>) -> Self {
        Self {
            killer,
            runs: Arc::default(),
            expected: Duration::from_secs(1),
            takes: TICK,
            refuses: false,
        }
    }
}

#[async_trait]
impl Executor for FakeExecutor {
    fn serves(&self, model: ModelId) -> bool {
        model == MODEL
    }

    async fn estimate(&self, _: &Assignment) -> Result<Duration, ExecutionError> {
        if self.refuses {
            return Err(ExecutionError::Refused("the prompt is too long".into()));
        }
        Ok(self.expected)
    }

    async fn execute(&self, assignment: Assignment, _: Cancel) -> Result<Delivery, ExecutionError> {
        self.killer.step().await;
        self.runs.lock().unwrap().push(assignment.job);
        tokio::time::sleep(self.takes).await;
        self.killer.step().await;
        Ok(answer(assignment.job))
    }
}
