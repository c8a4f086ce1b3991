//! Whole job lives: each job is submitted, claimed, delivered, and then accepted by its requester
//! or left to the chain to settle.
//!
//! Every worker serves a model of its own, so that a job has nobody who could audit it and its life
//! is the same however audits are drawn. A job's number is known only once it is in a block, so
//! what names a job is signed then; submissions are signed beforehand.

use crate::{
    calls,
    drive::{Kind, Outgoing, Workload},
    sign::{Account, AtBlock, Call, Signed},
};
use anyhow::{Context, Result};
use genesisflow_primitives::H256;
use std::collections::{HashMap, VecDeque};

/// Calls in a job's life, each at the earliest in the block after the one before.
const STAGES: usize = 4;
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
    /// Most jobs in progress that were asked for.
    bound: usize,
    /// Most jobs in progress at present.
    most_jobs: usize,
    /// Calls in each of the last blocks.
    filled: VecDeque<usize>,
    /// Jobs that may still begin before the next block.
    may_begin: usize,
    stopped: bool,
    /// Submissions that had to be signed while the clock ran.
    pub signed_late: u64,
}

impl Market {
    /// A market of `workers` workers and `requesters` requesters, half of whom accept, with at most
    /// `bound` jobs in progress: each has one call in flight at a time.
    ///
    /// # Errors
    /// If the chain's calls are not the ones known here.
    pub fn new(at: AtBlock, workers: usize, requesters: usize, bound: usize) -> Result<Self> {
        let calls = Calls {
            claim: calls::claim(&at)?,
            deliver: calls::deliver(&at)?,
            accept: calls::accept(&at)?,
        };
        let workers: Vec<_> = (0..workers)
            .map(|index| Worker {
                account: Account::derive("worker", index),
                model: calls::model(index),
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
            bound,
            most_jobs: bound.div_ceil(2),
            filled: VecDeque::new(),
            may_begin: bound.div_ceil(2 * STAGES),
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
            let batch = calls::become_worker(&self.at, index)?;
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
            .map(|worker| calls::submit(&self.at, worker.model))
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
        if self.may_begin == 0 || self.jobs.len() + self.submitted.len() >= self.most_jobs {
            return Ok(None);
        }
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
        self.may_begin -= 1;
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

    fn block_ended(&mut self, included: usize) {
        // Enough to fill a block and more than half of another. Many more jobs would wait in the
        // same state, and blocks would hold calls of one kind for a long time.
        self.filled.push_back(included);
        if self.filled.len() > STAGES {
            self.filled.pop_front();
        }
        let most = self.filled.iter().max().copied().unwrap_or(0);
        self.most_jobs = (most * 5 / 2).clamp(self.bound.div_ceil(4), self.bound);
        // They begin evenly, for the same reason.
        self.may_begin = self.most_jobs.div_ceil(STAGES);
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
        self.filled.clear();
        self.most_jobs = self.bound.div_ceil(2);
        self.stopped = false;
    }

    /// How many jobs were submitted.
    pub fn jobs_submitted(&self) -> u64 {
        self.next_job
    }
}
