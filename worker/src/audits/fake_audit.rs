//! Audits in memory, for the tests: one job that this worker judges or has
//! delivered, with fellow auditors who say what they are told to say.

use crate::{
    job_loop::fake_market::{answer, GENESIS, ME, MODEL, RIVAL},
    market::AccountId,
};
use genesisflow_primitives::{
    audit::{ballot_commitment, AuditTerms, Ballot},
    views::{AuditView, AuditorView, BondView, ResultView, RoundView, SeatStatus, SeatView},
    Attestation, BlockNumber, JobId, JobOptions, JobStatus, JobTerms, Parameters, H256,
};
use sp_arithmetic::Percent;

/// Blocks of every phase.
const WINDOW: BlockNumber = 60;
/// A fellow auditor.
const FELLOW: AccountId = [7; 32];

/// What the other seats say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fellows {
    /// The same as this worker.
    Agree,
    /// The opposite, in the first round.
    Outvote,
}

/// What this worker has said in the present round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Committed(H256),
    Revealed(Ballot),
}

/// An audit of a result.
#[derive(Clone, Debug)]
pub struct FakeAudit {
    pub status: JobStatus,
    pub until: BlockNumber,
    /// Whether this worker delivered the result; else it judges it.
    author: bool,
    fellows: Fellows,
    /// Whether the result is that of the model.
    right: bool,
    round: u8,
    committing: bool,
    said: Said,
    verdict: Option<Ballot>,
    appealed: bool,
    disputed: bool,
    /// The chain moves overdue phases on by itself.
    pub alive: bool,
    /// Blocks of every phase from now on.
    pub window: BlockNumber,
    /// Every commitment and every ballot revealed, in order.
    pub commitments: Vec<H256>,
    pub reveals: Vec<Ballot>,
    pub appeals: u32,
    pub disputes: u32,
}

impl FakeAudit {
    fn new(now: BlockNumber, author: bool, right: bool, fellows: Fellows) -> Self {
        Self {
            status: JobStatus::Audit,
            until: now + WINDOW,
            author,
            fellows,
            right,
            round: 0,
            committing: true,
            said: Said::Nothing,
            verdict: None,
            appealed: false,
            disputed: false,
            alive: true,
            window: WINDOW,
            commitments: Vec::new(),
            reveals: Vec::new(),
            appeals: 0,
            disputes: 0,
        }
    }

    /// A seat for this worker, from block `now` on.
    pub fn seat(now: BlockNumber, right: bool, fellows: Fellows) -> Self {
        Self::new(now, false, right, fellows)
    }

    /// A result of this worker that auditors found wrong in block `now`.
    pub fn accusation(now: BlockNumber, right: bool) -> Self {
        let mut audit = Self::new(now, true, right, Fellows::Outvote);
        audit.decide(now, other(false));
        audit
    }

    /// Another's result that nobody has been drawn to check.
    pub fn in_review(now: BlockNumber, right: bool) -> Self {
        let mut audit = Self::new(now, false, right, Fellows::Agree);
        audit.status = JobStatus::Review;
        audit
    }

    /// A result of this worker that nobody has been drawn to check.
    pub fn own_in_review(now: BlockNumber) -> Self {
        Self {
            author: true,
            ..Self::in_review(now, true)
        }
    }

    fn decide(&mut self, now: BlockNumber, verdict: Option<Ballot>) {
        self.verdict = verdict;
        self.status = JobStatus::Decided;
        self.until = now + self.window;
    }

    /// The chain's own steps at the beginning of block `now`.
    pub fn on_block(&mut self, now: BlockNumber) {
        if self.alive && now > self.until {
            self.progress(now);
        }
    }

    /// Moves an overdue phase on.
    pub fn progress(&mut self, now: BlockNumber) -> bool {
        if now <= self.until {
            return false;
        }
        match self.status {
            JobStatus::Audit if self.committing && self.said != Said::Nothing => {
                self.committing = false;
                self.until = now + self.window;
            }
            JobStatus::Audit => {
                let own = self.reveals.last().copied();
                self.decide(now, own);
            }
            JobStatus::Decided if self.verdict.is_some_and(|verdict| !verdict.valid) => {
                self.status = JobStatus::Rejected;
                self.until = BlockNumber::MAX;
            }
            JobStatus::Review | JobStatus::Decided => {
                self.status = JobStatus::Settled;
                self.until = BlockNumber::MAX;
            }
            _ => return false,
        }
        true
    }

    pub fn may_commit(&self, now: BlockNumber) -> bool {
        self.status == JobStatus::Audit
            && self.committing
            && self.said == Said::Nothing
            && now <= self.until
    }

    pub fn commit(&mut self, now: BlockNumber, commitment: H256) -> bool {
        if !self.may_commit(now) {
            return false;
        }
        self.said = Said::Committed(commitment);
        self.commitments.push(commitment);
        if self.alive {
            // The fellows have committed too.
            self.committing = false;
            self.until = now + self.window;
        }
        true
    }

    pub fn may_reveal(&self, job: JobId, now: BlockNumber, ballot: Ballot, salt: H256) -> bool {
        let opened = ballot_commitment(&GENESIS, job, self.round, &ME, &ballot, &salt);
        self.status == JobStatus::Audit
            && !self.committing
            && self.said == Said::Committed(opened)
            && now <= self.until
    }

    pub fn reveal(&mut self, job: JobId, now: BlockNumber, ballot: Ballot, salt: H256) -> bool {
        if !self.may_reveal(job, now, ballot, salt) {
            return false;
        }
        self.said = Said::Revealed(ballot);
        self.reveals.push(ballot);
        if self.alive {
            let verdict = match self.fellows {
                Fellows::Agree => Some(ballot),
                Fellows::Outvote => other(!ballot.valid),
            };
            self.decide(now, verdict);
        }
        true
    }

    /// A dispute of a result in review: the fellows look at it, and tell the
    /// truth.
    pub fn dispute(&mut self, now: BlockNumber) -> bool {
        if self.status != JobStatus::Review || self.disputed || now > self.until {
            return false;
        }
        self.disputed = true;
        self.disputes += 1;
        self.decide(now, other(self.right));
        true
    }

    pub fn appeal(&mut self, now: BlockNumber) -> bool {
        if self.status != JobStatus::Decided || self.appealed || now > self.until {
            return false;
        }
        self.appealed = true;
        self.appeals += 1;
        // Seven others look again, and tell the truth.
        self.decide(now, other(self.right));
        true
    }

    /// The seat as this worker sees it at block `now`.
    pub fn view(&self, job: JobId, now: BlockNumber) -> Option<SeatView<AccountId>> {
        if self.author || self.status != JobStatus::Audit {
            return None;
        }
        let late = now > self.until;
        let status = match (self.said, self.committing) {
            (Said::Revealed(_), _) => SeatStatus::Revealed,
            (Said::Nothing, true) if !late => SeatStatus::ToCommit,
            (Said::Committed(_), true) => SeatStatus::Committed,
            (Said::Committed(_), false) if !late => SeatStatus::ToReveal,
            _ => SeatStatus::Missed,
        };
        let delivered = self.delivered(job);
        Some(SeatView {
            job,
            round: self.round,
            seed: seed(job, self.round),
            status,
            until: self.until,
            reveal_window: WINDOW,
            seats: 1,
            excused: false,
            commitment: match self.said {
                Said::Committed(commitment) => Some(commitment),
                _ => None,
            },
            pay: 10,
            silent_fine: 20,
            wrong_fine: 200,
            model: MODEL,
            input: job.to_string().into_bytes(),
            options: JobOptions::default(),
            terms: terms(),
            output: delivered.output.to_vec(),
            evidence: delivered.evidence.map(Vec::from).unwrap_or_default(),
            attestation: delivered.attestation,
        })
    }

    /// What was delivered: the answer of the tests' executor, or a trace that
    /// is not its own.
    pub fn delivered(&self, job: JobId) -> ResultView<AccountId> {
        let answer = answer(job);
        let attestation = Attestation {
            job,
            model: MODEL,
            worker: if self.author { ME } else { RIVAL },
            input_hash: H256::zero(),
            output_hash: H256::zero(),
            evidence_hash: H256::zero(),
            usage: answer.claim.usage,
            fault: answer.claim.fault,
            trace: if self.right {
                answer.claim.trace
            } else {
                H256::repeat_byte(0xee)
            },
            engine_version: 1,
        };
        ResultView {
            output: answer.output.try_into().unwrap(),
            evidence: Some(answer.evidence.try_into().unwrap()),
            attestation_hash: attestation.hash(),
            attestation,
        }
    }

    /// The audit as anyone sees it.
    pub fn audit_view(&self) -> AuditView<AccountId> {
        let own = AuditorView {
            who: ME,
            seats: 1,
            vacant: false,
            commitment: None,
            ballot: self.reveals.last().copied(),
        };
        let fellow = AuditorView {
            who: FELLOW,
            seats: 2,
            vacant: false,
            commitment: None,
            ballot: self.verdict,
        };
        // In the rounds after an appeal this worker has no seat.
        let first = RoundView {
            number: 0,
            seed: None,
            appeal: false,
            auditors: if self.author {
                vec![fellow.clone()]
            } else {
                vec![own, fellow.clone()]
            },
            verdict: self.verdict.filter(|_| !self.appealed),
        };
        let mut rounds = vec![first];
        if self.appealed {
            rounds.push(RoundView {
                number: 1,
                seed: None,
                appeal: true,
                auditors: vec![fellow],
                verdict: self.verdict,
            });
        }
        AuditView {
            rounds,
            valid: self.verdict.map(|verdict| verdict.valid),
            dispute: self.disputed.then_some(BondView {
                who: ME,
                amount: 100,
            }),
            appeal: self.appealed.then_some(BondView {
                who: ME,
                amount: 100,
            }),
            slashes: Vec::new(),
        }
    }

    /// Who delivered the result.
    pub fn worker(&self) -> AccountId {
        if self.author {
            ME
        } else {
            RIVAL
        }
    }
}

/// A ballot that is not this worker's.
fn other(valid: bool) -> Option<Ballot> {
    Some(Ballot {
        digest: H256::repeat_byte(1),
        valid,
    })
}

/// Seed of a round.
fn seed(job: JobId, round: u8) -> H256 {
    H256::repeat_byte(job as u8 ^ round.wrapping_mul(31) ^ 0x40)
}

fn terms() -> JobTerms {
    crate::job_loop::fake_market::terms()
}

/// Rules of the audits.
pub fn audit_terms() -> AuditTerms {
    AuditTerms {
        commit_window: WINDOW,
        reveal_window: WINDOW,
        appeal_window: WINDOW,
        bond_floor: 100,
        ..Parameters::default().audit_terms(Percent::from_percent(10), 0)
    }
}
