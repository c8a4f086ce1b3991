//! A market in memory, for the tests: it makes a block whenever it is looked
//! at, loses what it is told to lose, and lets the worker be killed at any
//! step.

use crate::{
    audits::fake_audit::{audit_terms, FakeAudit},
    executor::{
        Assignment, Cancel, ExecutionError, Executor, ReplayOutcome, ReplayTask, Replayed,
        TrueResult,
    },
    journal::{Delivery, Head, SignedTx},
    market::{
        AccountId, BeforeSubmit, InFlight, Market, MarketError, MarketResult, TxOutcome, View,
    },
};
use async_trait::async_trait;
use codec::{Decode, Encode};
use futures::FutureExt;
use genesisflow_primitives::{
    audit::{AuditDigest, Ballot},
    views::{
        AuditView, ClaimView, JobSummary, JobView, OfferView, ResultView, SeatView, WorkerView,
    },
    Balance, BlockNumber, JobId, JobOptions, JobStatus, JobTerms, ModelId, Prices, ResultClaim,
    Usage, GEN, H256,
};
use sha2::{Digest, Sha256};
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
/// What each job costs at most.
const WORST_CASE: Balance = 1_000;
const TICK: Duration = Duration::from_millis(1);

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
enum Call {
    Claim(JobId),
    Deliver(JobId, Delivery),
    Commit(JobId, H256),
    Reveal(JobId, Ballot, H256),
    Appeal(JobId),
    Dispute(JobId),
    Progress(JobId),
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
    /// Audits that concern this worker, by job.
    pub audits: BTreeMap<JobId, FakeAudit>,
    /// Calls to move a job on that succeeded.
    pub progressed: u32,
    /// What the account can spend.
    pub free: Balance,
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
        for audit in self.audits.values_mut() {
            audit.on_block(height);
        }
        for (nonce, valid_until, call) in pool {
            if nonce < self.nonce || height > valid_until || !self.has_standing(&call) {
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

    /// Whether the transaction extension lets a free call pass.
    fn has_standing(&self, call: &Call) -> bool {
        let height = self.height;
        let audit = |job| self.audits.get(job);
        match call {
            Call::Commit(job, _) => audit(job).is_some_and(|audit| audit.may_commit(height)),
            Call::Reveal(job, ballot, salt) => {
                audit(job).is_some_and(|audit| audit.may_reveal(*job, height, *ballot, *salt))
            }
            _ => true,
        }
    }

    /// Whether the pool has a free call of the same standing already.
    fn is_waiting(&self, call: &Call) -> bool {
        self.pool.iter().any(|(_, _, other)| match (call, other) {
            (Call::Commit(job, _), Call::Commit(other, _))
            | (Call::Reveal(job, ..), Call::Reveal(other, ..)) => job == other,
            _ => false,
        })
    }

    fn apply(&mut self, call: Call) -> bool {
        let height = self.height;
        let mut audited = |job, act: &mut dyn FnMut(&mut FakeAudit) -> bool| {
            self.audits.get_mut(&job).is_some_and(&mut *act)
        };
        match call {
            Call::Commit(job, commitment) => {
                audited(job, &mut |audit| audit.commit(height, commitment))
            }
            Call::Reveal(job, ballot, salt) => {
                audited(job, &mut |audit| audit.reveal(job, height, ballot, salt))
            }
            Call::Dispute(job) => audited(job, &mut |audit| audit.dispute(height)),
            Call::Appeal(job) => audited(job, &mut |audit| audit.appeal(height)),
            Call::Progress(job) => {
                let moved = audited(job, &mut |audit| audit.progress(height));
                self.progressed += u32::from(moved);
                moved
            }
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

    /// Kills after so many more steps.
    pub fn die_after(&self, steps: u32) {
        *self.left.lock().unwrap() = Some(steps);
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
                free: 10 * GEN,
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

    /// Lets the chain have delivered a job of this worker, and gone on with it.
    pub fn set_status(&self, id: JobId, status: JobStatus) {
        if let Some(job) = self.chain().jobs.get_mut(&id) {
            job.status = status;
        }
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
            if !chain.has_standing(&call) || chain.is_waiting(&call) {
                return Err(MarketError::Unavailable("no standing".into()));
            }
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
            audits: chain.audits.clone(),
            free: chain.free,
        })
    }

    fn genesis(&self) -> H256 {
        GENESIS
    }

    fn account(&self) -> AccountId {
        ME
    }

    fn secret(&self, purpose: &[u8]) -> H256 {
        H256(Sha256::digest(purpose).into())
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

    async fn commit(&self, job: JobId, commitment: H256) -> MarketResult<InFlight> {
        self.send(Call::Commit(job, commitment), &mut |_| Ok(()))
            .await
    }

    async fn reveal(&self, job: JobId, ballot: Ballot, salt: H256) -> MarketResult<InFlight> {
        self.send(Call::Reveal(job, ballot, salt), &mut |_| Ok(()))
            .await
    }

    async fn appeal(&self, job: JobId, before_submit: BeforeSubmit<'_>) -> MarketResult<InFlight> {
        self.send(Call::Appeal(job), before_submit).await
    }

    async fn dispute(&self, job: JobId, before_submit: BeforeSubmit<'_>) -> MarketResult<InFlight> {
        self.send(Call::Dispute(job), before_submit).await
    }

    async fn progress(&self, job: JobId) -> MarketResult<InFlight> {
        self.send(Call::Progress(job), &mut |_| Ok(())).await
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
    audits: BTreeMap<JobId, FakeAudit>,
    free: Balance,
}

impl FakeView {
    /// A job: one of the market, or one that is audited.
    fn find(&self, id: JobId) -> Option<Job> {
        let audited = self.audits.get(&id).map(|audit| Job {
            status: audit.status,
            until: audit.until,
            worker: Some(audit.worker()),
            deliver_window: 0,
        });
        audited.or_else(|| self.jobs.get(&id).cloned())
    }
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

    async fn next_job(&self) -> MarketResult<JobId> {
        let jobs = self.jobs.keys().chain(self.audits.keys());
        Ok(jobs.max().map_or(0, |last| last + 1))
    }

    async fn job(&self, id: JobId) -> MarketResult<Option<JobView<AccountId>>> {
        Ok(self.find(id).map(|job| JobView {
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
            worst_case_fee: Some(WORST_CASE),
            usage: None,
            fault: None,
            fee: None,
            audit_chance: None,
            premium: None,
        }))
    }

    async fn job_input(&self, id: JobId) -> MarketResult<Option<Vec<u8>>> {
        Ok(self.find(id).map(|_| id.to_string().into_bytes()))
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
        let jobs = self.jobs.keys().chain(self.audits.keys());
        let open = jobs.filter_map(|id| self.find(*id)).filter(|job| {
            let is_final = matches!(job.status, JobStatus::Settled | JobStatus::Rejected);
            job.worker == Some(ME) && !is_final
        });
        let factor = Balance::from(terms().exposure_factor);
        Ok(Some(WorkerView {
            stake: 1_000_000,
            unbonding: Vec::new(),
            withdrawable: 0,
            exposure: WORST_CASE * factor * open.count() as Balance,
            free_stake: 1_000_000,
            chilled: false,
            endpoint: Default::default(),
            offers: 1,
            claims: 0,
            settled: 0,
            late: 0,
            rejected: 0,
            last_rejection: None,
            audited: 0,
            open_audits: 0,
        }))
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
            audited_valid: 0,
            audited_failed: 0,
        }))
    }

    async fn seats(&self) -> MarketResult<Vec<SeatView<AccountId>>> {
        let seats = self.audits.iter();
        Ok(seats
            .filter_map(|(job, audit)| audit.view(*job, self.head))
            .collect())
    }

    async fn audit(&self, job: JobId) -> MarketResult<Option<AuditView<AccountId>>> {
        Ok(self.audits.get(&job).map(FakeAudit::audit_view))
    }

    async fn result(&self, job: JobId) -> MarketResult<Option<ResultView<AccountId>>> {
        Ok(self.audits.get(&job).map(|audit| audit.delivered(job)))
    }

    async fn free_balance(&self) -> MarketResult<Balance> {
        Ok(self.free)
    }
}

const PRICES: Prices = Prices {
    input: 1,
    output: 1,
};

pub fn terms() -> JobTerms {
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
        audit: audit_terms(),
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
    /// Replays, by job.
    pub replays: Arc<Mutex<Vec<JobId>>>,
    /// Whether the model is not there.
    pub is_without_model: bool,
}

impl FakeExecutor {
    pub fn new(killer: Arc<Killer>) -> Self {
        Self {
            killer,
            runs: Arc::default(),
            expected: Duration::from_secs(1),
            takes: TICK,
            refuses: false,
            replays: Arc::default(),
            is_without_model: false,
        }
    }
}

#[async_trait]
impl Executor for FakeExecutor {
    fn serves(&self, model: ModelId) -> bool {
        model == MODEL && !self.is_without_model
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

    async fn replay(&self, task: ReplayTask, _: Cancel) -> Result<Replayed, ExecutionError> {
        self.killer.step().await;
        self.replays.lock().unwrap().push(task.assignment.job);
        tokio::time::sleep(self.takes).await;
        self.killer.step().await;
        let truth = answer(task.assignment.job);
        let mut digest = AuditDigest::new(&task.seed);
        digest.state(&truth.output);
        Ok(Replayed {
            outcome: ReplayOutcome::Matches(TrueResult {
                input_units: truth.claim.usage.input,
                output: truth.output,
                fault: truth.claim.fault,
                trace: truth.claim.trace,
            }),
            digest: digest.finish(),
        })
    }
}
