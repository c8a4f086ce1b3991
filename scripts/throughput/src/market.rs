//! Whole job lives: each job is submitted, claimed, delivered, and then accepted by its requester
//! or left to the chain to settle.
//!
//! Every worker serves a model of its own, so that a job has nobody who could audit it and its life
//! is the same however audits are drawn. A job's number is known only once it is in a block, so
//! what names a job is signed then; submissions are signed beforehand.

use crate::{
    drive::{Kind, Outgoing, Workload},
    node::GEN,
    sign::{Account, AtBlock, Call, Signed},
};
use anyhow::{Context, Result};
use codec::Encode;
use genesisflow_primitives::{
    manifest::{
        FileRole, ModelFile, ModelLimits, ModelManifest, ModelTerms, Task, CANONICAL_VERSION,
    },
    H256,
};
use std::collections::{HashMap, VecDeque};
use subxt::{
    dynamic::Value,
    ext::{codec::Compact, scale_value::Composite},
};

/// What a worker puts at stake: enough for thousands of jobs of this size at a time.
const STAKE: u128 = 10_000 * GEN;
/// Price per unit, in base units.
const PRICE: u128 = GEN / 1_000_000;
/// The most that a job may cost.
const MAX_FEE: u128 = GEN / 100;
/// The least that a job costs: twice what an account must hold, so that it can be paid to anyone.
const MIN_FEE: u128 = GEN / 500;
/// Longest answer asked for, in units.
const MAX_OUTPUT: u32 = 64;
/// Jobs that a worker runs at a time, as it offers.
const CAPACITY: u32 = 512;
/// A question of a usual length.
const INPUT: &str = "Why is the sky blue? Answer in one short sentence that a child of six would understand, please.";
/// An answer of a usual length.
const OUTPUT: &str = "Because the air scatters blue light from the sun more than red light, so blue comes from everywhere.";
/// Tokens of the answer.
const OUTPUT_TOKENS: u32 = 24;

/// A worker and its model.
struct Worker {
    account: Account,
    model: H256,
}

struct Requester {
    account: Account,
    /// Whether it accepts its results or leaves them to the chain.
    accepts: bool,
    /// Its signed submissions, in order, each with its worker.
    submissions: VecDeque<(usize, Signed)>,
}

struct Job {
    requester: usize,
    worker: usize,
}

/// The calls, encoded once.
struct Calls {
    claim: Call,
    deliver: Call,
    accept: Call,
}

/// The market's workload.
pub struct Market {
    at: AtBlock,
    calls: Calls,
    workers: Vec<Worker>,
    requesters: Vec<Requester>,
    /// Requesters that may submit, of those that accept and of those that do not.
    ready: [VecDeque<usize>; 2],
    /// Which of the two submits next.
    turn: usize,
    submitted: HashMap<u64, (usize, usize)>,
    jobs: HashMap<u64, Job>,
    to_claim: VecDeque<u64>,
    to_deliver: VecDeque<u64>,
    to_accept: VecDeque<u64>,
    next_token: u64,
    next_job: u64,
    next_worker: usize,
    stopped: bool,
    /// Submissions that had to be signed while the clock ran.
    pub signed_late: u64,
}

fn number(value: impl Into<u128>) -> Value {
    Value::u128(value.into())
}

fn bytes(value: &[u8]) -> Value {
    Value::from_bytes(value)
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Composite<()> {
    Composite::named(fields.map(|(name, value)| (name.to_owned(), value)))
}

impl Market {
    /// A market of `workers` workers and `requesters` requesters, half of whom accept.
    ///
    /// # Errors
    /// If the chain's calls are not the ones known here.
    pub fn new(at: AtBlock, workers: usize, requesters: usize) -> Result<Self> {
        let calls = Calls {
            claim: Call::new(&at, "Inference", "claim_job", named([("job", number(0u8))]))?,
            deliver: deliver(&at)?,
            accept: Call::new(
                &at,
                "Inference",
                "accept_result",
                named([("job", number(0u8))]),
            )?,
        };
        let workers: Vec<_> = (0..workers)
            .map(|index| Worker {
                account: Account::derive("worker", index),
                model: manifest(index).id(),
            })
            .collect();
        let requesters: Vec<_> = (0..requesters)
            .map(|index| Requester {
                account: Account::derive("requester", index),
                accepts: index % 2 == 0,
                submissions: VecDeque::new(),
            })
            .collect();
        let those = |accept: bool| {
            requesters
                .iter()
                .enumerate()
                .filter(move |(_, requester)| requester.accepts == accept)
                .map(|(index, _)| index)
                .collect()
        };
        Ok(Self {
            at,
            calls,
            ready: [those(true), those(false)],
            workers,
            requesters,
            turn: 0,
            submitted: HashMap::new(),
            jobs: HashMap::new(),
            to_claim: VecDeque::new(),
            to_deliver: VecDeque::new(),
            to_accept: VecDeque::new(),
            next_token: 0,
            next_job: 0,
            next_worker: 0,
            stopped: false,
            signed_late: 0,
        })
    }

    /// The addresses of the accounts of the market that need money.
    pub fn addresses(workers: usize, requesters: usize) -> Vec<String> {
        let workers = (0..workers).map(|index| Account::derive("worker", index));
        let requesters = (0..requesters).map(|index| Account::derive("requester", index));
        workers.chain(requesters).map(|a| a.address()).collect()
    }

    /// Signs what makes every worker one: stake, model and offer, in one batch each.
    ///
    /// # Errors
    /// If the chain's calls are not the ones known here.
    pub fn set_up(&mut self) -> Result<Vec<Signed>> {
        let mut signed = Vec::with_capacity(self.workers.len());
        for (index, worker) in self.workers.iter_mut().enumerate() {
            let calls = [
                (
                    "register_worker",
                    named([("stake", number(STAKE)), ("endpoint", bytes(b""))]),
                ),
                (
                    "register_model",
                    named([("manifest", bytes(&manifest(index).encode()))]),
                ),
                (
                    "set_offer",
                    named([
                        ("model", bytes(&worker.model.0)),
                        ("price_input", number(PRICE)),
                        ("price_output", number(PRICE)),
                        ("capacity", number(CAPACITY)),
                    ]),
                ),
            ];
            let calls = calls.map(|(name, arguments)| {
                subxt::dynamic::transaction("Inference", name, arguments).into_value()
            });
            let batch = Call::new(
                &self.at,
                "Utility",
                "batch_all",
                named([("calls", Value::unnamed_composite(calls))]),
            )?;
            signed.push(worker.account.sign(&self.at, &batch)?);
        }
        Ok(signed)
    }

    /// Signs submissions until about `count` are there.
    ///
    /// # Errors
    /// If the chain's call is not the one known here.
    pub fn sign_ahead(&mut self, count: usize) -> Result<()> {
        let calls = self.submissions()?;
        let each = count.div_ceil(self.requesters.len());
        for index in 0..self.requesters.len() {
            while self.requesters[index].submissions.len() < each {
                self.sign_submission(index, &calls)?;
            }
        }
        Ok(())
    }

    /// The call of a submission to each worker's model.
    fn submissions(&self) -> Result<Vec<Call>> {
        self.workers
            .iter()
            .map(|worker| submit(&self.at, worker.model))
            .collect()
    }

    fn sign_submission(&mut self, requester: usize, calls: &[Call]) -> Result<()> {
        let worker = self.next_worker;
        self.next_worker = (worker + 1) % self.workers.len();
        let requester = &mut self.requesters[requester];
        let signed = requester.account.sign(&self.at, &calls[worker])?;
        if requester.accepts {
            // The nonce in between is for the acceptance.
            requester.account.nonce += 1;
        }
        requester.submissions.push_back((worker, signed));
        Ok(())
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    fn submission(&mut self) -> Result<Option<Outgoing>> {
        // Strictly in turn, so that half of the jobs are accepted.
        let Some(index) = self.ready[self.turn].pop_front() else {
            return Ok(None);
        };
        if self.requesters[index].submissions.is_empty() {
            self.signed_late += 1;
            let calls = self.submissions()?;
            self.sign_submission(index, &calls)?;
        }
        let (worker, signed) = self.requesters[index]
            .submissions
            .pop_front()
            .context("a submission was just signed")?;
        if !self.requesters[index].accepts {
            self.ready[self.turn].push_back(index);
        }
        self.turn = 1 - self.turn;
        let token = self.token();
        self.submitted.insert(token, (index, worker));
        Ok(Some(Outgoing {
            kind: Kind::Submit,
            signed,
            token,
        }))
    }

    fn by_worker(&mut self, kind: Kind, job: u64) -> Result<Outgoing> {
        let worker = self
            .jobs
            .get(&job)
            .context("a job without a worker")?
            .worker;
        let call = match kind {
            Kind::Claim => &self.calls.claim,
            _ => &self.calls.deliver,
        };
        let signed = self.workers[worker]
            .account
            .sign(&self.at, &call.on_job(job))?;
        Ok(Outgoing {
            kind,
            signed,
            token: job,
        })
    }

    fn acceptance(&mut self, job: u64) -> Result<Outgoing> {
        let index = self
            .jobs
            .get(&job)
            .context("a job without a requester")?
            .requester;
        let requester = &mut self.requesters[index];
        // The submissions that are signed already come after this one, each with its own gap.
        let behind = 2 * requester.submissions.len() as u64 + 1;
        let last = requester.account.nonce;
        requester.account.nonce = last
            .checked_sub(behind)
            .context("an acceptance without its submission")?;
        let signed = requester
            .account
            .sign(&self.at, &self.calls.accept.on_job(job));
        requester.account.nonce = last;
        self.ready[0].push_back(index);
        Ok(Outgoing {
            kind: Kind::Accept,
            signed: signed?,
            token: job,
        })
    }
}

impl Workload for Market {
    fn next(&mut self) -> Result<Option<Outgoing>> {
        // What ends a job goes first, so that the jobs in progress do not pile up.
        if let Some(job) = self.to_accept.pop_front() {
            return self.acceptance(job).map(Some);
        }
        if let Some(job) = self.to_deliver.pop_front() {
            return self.by_worker(Kind::Deliver, job).map(Some);
        }
        if let Some(job) = self.to_claim.pop_front() {
            return self.by_worker(Kind::Claim, job).map(Some);
        }
        if self.stopped {
            return Ok(None);
        }
        self.submission()
    }

    fn included(&mut self, kind: Kind, token: u64) -> Result<()> {
        match kind {
            Kind::Submit => {
                let (requester, worker) = self
                    .submitted
                    .remove(&token)
                    .context("a submission that was never sent")?;
                // Jobs are numbered as they are executed.
                let id = self.next_job;
                self.next_job += 1;
                self.jobs.insert(id, Job { requester, worker });
                self.to_claim.push_back(id);
            }
            Kind::Claim => self.to_deliver.push_back(token),
            Kind::Deliver => {
                let job = self.jobs.get(&token).context("a delivery without a job")?;
                if self.requesters[job.requester].accepts {
                    self.to_accept.push_back(token);
                } else {
                    self.jobs.remove(&token);
                }
            }
            Kind::Accept => {
                self.jobs.remove(&token);
            }
            Kind::Setup | Kind::Transfer => {}
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn is_done(&self) -> bool {
        self.stopped && self.jobs.is_empty() && self.submitted.is_empty()
    }
}

impl Market {
    /// Lets new jobs begin again.
    pub fn resume(&mut self) {
        self.stopped = false;
    }

    /// How many jobs were submitted.
    pub fn jobs_submitted(&self) -> u64 {
        self.next_job
    }
}

fn submit(at: &AtBlock, model: H256) -> Result<Call> {
    Call::new(
        at,
        "Inference",
        "submit_job",
        named([
            ("model", bytes(&model.0)),
            ("input", bytes(INPUT.as_bytes())),
            ("max_output", number(MAX_OUTPUT)),
            ("max_fee", number(MAX_FEE)),
        ]),
    )
}

fn deliver(at: &AtBlock) -> Result<Call> {
    let evidence: Vec<u8> = (0..OUTPUT_TOKENS)
        .flat_map(|token| Compact(1_000 + token).encode())
        .collect();
    let usage = Value::named_composite([
        ("input", number(INPUT.len() as u32 / 4)),
        ("output", number(OUTPUT_TOKENS)),
    ]);
    let claim = Value::named_composite([
        ("usage", usage),
        ("fault", Value::unnamed_variant("None", [])),
        ("trace", bytes(&[7; 32])),
        ("engine_version", number(1u8)),
    ]);
    Call::new(
        at,
        "Inference",
        "deliver",
        named([
            ("job", number(0u8)),
            ("output", bytes(OUTPUT.as_bytes())),
            ("evidence", bytes(&evidence)),
            ("claim", claim),
        ]),
    )
}

/// The manifest of the model that one worker serves. Nobody runs it.
fn manifest(index: usize) -> ModelManifest {
    let file = |role, path: &str| ModelFile {
        role,
        path: path.as_bytes().to_vec().try_into().unwrap_or_default(),
        sha256: H256::repeat_byte(1),
        size: 1_000,
    };
    let name = format!("throughput-{index}");
    ModelManifest {
        name: name.into_bytes().try_into().unwrap_or_default(),
        task: Task::TextGeneration,
        architecture: b"llama".to_vec().try_into().unwrap_or_default(),
        canonical_version: CANONICAL_VERSION,
        files: vec![
            file(FileRole::Config, "config.json"),
            file(FileRole::Weights, "model.safetensors"),
            file(FileRole::Tokenizer, "tokenizer.json"),
        ]
        .try_into()
        .unwrap_or_default(),
        stop_tokens: vec![2].try_into().unwrap_or_default(),
        limits: ModelLimits {
            context: 512,
            max_output: 256,
            prompt_overhead: 16,
        },
        sources: Default::default(),
        terms: ModelTerms {
            min_price_input: 1,
            min_price_output: 1,
            min_fee: MIN_FEE,
            replay_rate: 100,
            seat_pay: sp_arithmetic::Percent::from_percent(10),
        },
    }
}
