//! Drives a workload against the node: keeps a bounded number of transactions in flight, follows
//! the best chain, and tells the workload what was included.

use crate::{
    node::Node,
    rpc::{Answer, Outlets, Rpc},
    sign::Signed,
};
use anyhow::{bail, Context, Result};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

/// How long the chain may stand still.
const STALL: Duration = Duration::from_secs(45);
/// The pool's code for a transaction that found no room: it is sent again.
const NO_ROOM: i32 = 1016;
/// The pool's code for a transaction that is not valid. The pool may look at the block before the
/// one that was announced, in which a job is not claimed yet, so it is sent again some times.
const INVALID: i32 = 1010;
const TRIES: u32 = 5;
/// The pool's code for a transaction that it has already.
const KNOWN: i32 = 1013;

/// The pool's code for a transaction that it dropped lately and takes again after a while.
const BANNED: i32 = 1012;
/// Blocks after which a transaction counts as lost by the pool and is sent again, as a wallet would.
const OVERDUE: u32 = 8;
/// Blocks without any of the workload's transactions after which it is given up.
const BARREN: u32 = 60;

/// What a transaction does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Prepares the market.
    Setup,
    /// `Balances.transfer_keep_alive`.
    Transfer,
    /// `Inference.submit_job`.
    Submit,
    /// `Inference.claim_job`.
    Claim,
    /// `Inference.deliver`.
    Deliver,
    /// `Inference.accept_result`.
    Accept,
}

impl Kind {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Transfer => "transfer_keep_alive",
            Self::Submit => "submit_job",
            Self::Claim => "claim_job",
            Self::Deliver => "deliver",
            Self::Accept => "accept_result",
        }
    }
}

/// A transaction that a workload wants to see included.
pub struct Outgoing {
    /// What it does.
    pub kind: Kind,
    /// The transaction.
    pub signed: Signed,
    /// A number by which the workload knows it.
    pub token: u64,
}

/// A source of transactions that follows what becomes of them.
pub trait Workload {
    /// The next transaction, if one is ready.
    ///
    /// # Errors
    /// If one cannot be signed.
    fn next(&mut self) -> Result<Option<Outgoing>>;

    /// A transaction is in a block. Called in the order of execution.
    ///
    /// # Errors
    /// If the workload cannot make sense of it.
    fn included(&mut self, kind: Kind, token: u64) -> Result<()>;

    /// All transactions of a block were told: so many were of this workload.
    fn block_ended(&mut self, _included: usize) {}

    /// Begin nothing new.
    fn stop(&mut self);

    /// Whether all that was begun is done.
    fn is_done(&self) -> bool;
}

/// How hard to drive.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Most transactions that are sent and not included.
    pub in_flight: usize,
    /// Most transactions in one batch.
    pub batch: usize,
}

/// A block that was made while a workload ran.
pub struct Block {
    /// Its height.
    pub number: u32,
    /// Its hash.
    pub hash: String,
    /// When it was seen.
    pub seen: Instant,
    /// What each of its transactions does, in order; `None` for inherents.
    pub kinds: Vec<Option<Kind>>,
    /// Bytes of each of its transactions.
    pub lengths: Vec<u32>,
}

/// What happened while a workload ran.
pub struct Course {
    /// When nothing new was begun any more.
    pub stopped: Instant,
    /// Its blocks.
    pub blocks: Vec<Block>,
    /// Time from handing a transaction to a connection until its block was seen, with the block.
    pub latencies: Vec<(Kind, u32, Duration)>,
    /// Transactions that found the pool full and were sent again.
    pub sent_again: u64,
    /// Transactions that the pool took, and lost, and that were sent again.
    pub lost: u64,
}

struct Sent {
    kind: Kind,
    token: u64,
    at: Instant,
    refused: u32,
    /// The last block that was known when it was sent last.
    after: u32,
}

/// The driver.
pub struct Driver {
    rpc: Rpc,
    outlets: Outlets,
    heads: subxt::ext::jsonrpsee::core::client::Subscription<crate::rpc::Head>,
    pace: Pace,
    flying: HashMap<Signed, Sent>,
    again: VecDeque<Signed>,
    /// To be sent again after the next block.
    later: VecDeque<Signed>,
    /// The pool was full, and no block has emptied it since.
    full: bool,
    sent_again: u64,
    lost: u64,
    /// The last block that was taken in.
    last: u32,
}

impl Driver {
    /// A driver with `connections` connections of its own.
    ///
    /// # Errors
    /// If the node does not take them.
    pub async fn new(rpc: Rpc, url: &str, connections: usize, pace: Pace) -> Result<Self> {
        Ok(Self {
            outlets: Outlets::open(url, connections).await?,
            heads: rpc.heads().await?,
            rpc,
            pace,
            flying: HashMap::new(),
            again: VecDeque::new(),
            later: VecDeque::new(),
            full: false,
            sent_again: 0,
            lost: 0,
            last: 0,
        })
    }

    /// From now on, lets so many transactions be sent and not included.
    pub fn set_in_flight(&mut self, most: usize) {
        self.pace.in_flight = most;
    }

    /// Runs `work` for `time`, then until all that it began is done.
    ///
    /// # Errors
    /// If the node ends, refuses a transaction, or makes no block for long.
    pub async fn run(
        &mut self,
        node: &mut Node,
        work: &mut dyn Workload,
        time: Duration,
    ) -> Result<Course> {
        let end = Instant::now() + time;
        let mut last = self.rpc.best().await?;
        let mut last_news = Instant::now();
        let mut course = Course {
            stopped: end,
            blocks: Vec::new(),
            latencies: Vec::new(),
            sent_again: 0,
            lost: 0,
        };
        (self.sent_again, self.lost, self.last) = (0, 0, last);
        let mut last_filled = last;
        let mut stopped = false;
        loop {
            if !stopped && Instant::now() >= end {
                stopped = true;
                work.stop();
            }
            self.pump(work)?;
            if self.flying.is_empty() && work.is_done() {
                break;
            }
            tokio::select! {
                biased;
                head = self.heads.next() => {
                    let best = head.context("the node announces no blocks any more")??.number()?;
                    last_news = Instant::now();
                    while last < best {
                        last += 1;
                        if self.take_in(last, last_news, work, &mut course).await? > 0 {
                            last_filled = last;
                        }
                    }
                }
                answers = self.outlets.answer() => self.heed(answers?)?,
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            node.check()?;
            if last - last_filled > BARREN && !self.flying.is_empty() {
                bail!(
                    "no transaction was included in {BARREN} blocks, with {} in flight: {}",
                    self.flying.len(),
                    self.in_flight()
                );
            }
            if last_news.elapsed() > STALL {
                bail!(
                    "no block for {} s, with {} transactions in flight; the node says:\n{}",
                    STALL.as_secs(),
                    self.flying.len(),
                    node.last_words()
                );
            }
        }
        // A workload may be done before its time.
        course.stopped = course.stopped.min(Instant::now());
        course.sent_again = self.sent_again;
        course.lost = self.lost;
        Ok(course)
    }

    /// How many transactions of each kind are in flight, in words.
    fn in_flight(&self) -> String {
        let mut kinds = BTreeMap::new();
        for sent in self.flying.values() {
            *kinds.entry(sent.kind.name()).or_insert(0) += 1;
        }
        let kinds: Vec<_> = kinds
            .iter()
            .map(|(kind, n)| format!("{n} {kind}"))
            .collect();
        kinds.join(", ")
    }

    /// Sends what is ready, as far as the bound on what is in flight and the connections allow.
    fn pump(&mut self, work: &mut dyn Workload) -> Result<()> {
        while !self.full && self.outlets.has_room() {
            let mut batch = Vec::with_capacity(self.pace.batch);
            while batch.len() < self.pace.batch {
                if let Some(signed) = self.again.pop_front() {
                    batch.push(signed);
                    continue;
                }
                if self.flying.len() >= self.pace.in_flight {
                    break;
                }
                let Some(Outgoing {
                    kind,
                    signed,
                    token,
                }) = work.next()?
                else {
                    break;
                };
                let at = Instant::now();
                self.flying.insert(
                    signed.clone(),
                    Sent {
                        kind,
                        token,
                        at,
                        refused: 0,
                        after: self.last,
                    },
                );
                batch.push(signed);
            }
            if batch.is_empty() {
                break;
            }
            self.outlets.send(batch)?;
        }
        Ok(())
    }

    fn heed(&mut self, answers: Vec<Answer>) -> Result<()> {
        for (signed, answer) in answers {
            let Err(refusal) = answer else { continue };
            // It may be in a block already: then the answer says nothing.
            let Some(sent) = self.flying.get_mut(&signed) else {
                continue;
            };
            match refusal.code {
                KNOWN | BANNED => {}
                NO_ROOM => {
                    self.sent_again += 1;
                    self.full = true;
                    self.later.push_back(signed);
                }
                INVALID if sent.refused < TRIES => {
                    sent.refused += 1;
                    self.later.push_back(signed);
                }
                code => bail!(
                    "the pool refuses a {}: {} (code {code})",
                    sent.kind.name(),
                    refusal.text
                ),
            }
        }
        Ok(())
    }

    /// Reads a block and tells the workload; returns how many of its transactions are in it.
    async fn take_in(
        &mut self,
        number: u32,
        seen: Instant,
        work: &mut dyn Workload,
        course: &mut Course,
    ) -> Result<usize> {
        let hash = self.rpc.hash(number).await?;
        let body = self.rpc.body(&hash).await?;
        let mut block = Block {
            number,
            hash,
            seen,
            kinds: Vec::with_capacity(body.len()),
            lengths: Vec::with_capacity(body.len()),
        };
        for extrinsic in &body {
            let known = self.flying.remove(extrinsic.as_str());
            if let Some(sent) = &known {
                course
                    .latencies
                    .push((sent.kind, number, seen.saturating_duration_since(sent.at)));
                work.included(sent.kind, sent.token)?;
            }
            block.kinds.push(known.map(|sent| sent.kind));
            block
                .lengths
                .push(u32::try_from((extrinsic.len() - 2) / 2).unwrap_or(u32::MAX));
        }
        let included = block.kinds.iter().flatten().count();
        work.block_ended(included);
        course.blocks.push(block);
        self.full = false;
        self.last = number;
        self.again.append(&mut self.later);
        for (signed, sent) in &mut self.flying {
            if sent.after + OVERDUE <= number {
                sent.after = number;
                self.lost += 1;
                self.again.push_back(signed.clone());
            }
        }
        Ok(included)
    }
}
