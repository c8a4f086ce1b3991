//! Audits: results are checked by accounts that a draw chooses, and paid only if they are right.
//!
//! One audit per job at most. It goes through rounds; every round is drawn, takes commitments, then
//! reveals, and decides or not:
//!
//! ```text
//!            seed known          all committed, or time up      all revealed, or time up
//! Drawing ──────────────> Commit ─────────────────────> Reveal ─────────────────────> decided?
//!    ^                                                                                   │
//!    ├── nobody revealed: the same round once more ──────────────────────────────────────┤
//!    └── no verdict in a first round: one larger round ──────────────────────────────────┘
//! ```
//!
//! What was decided can be appealed against once; the appeal's round is the last. Money moves when
//! nothing can change the outcome any more, stake a slash delay later.
//!
//! | file | step |
//! |---|---|
//! | `draw.rs` | hit or miss, and who gets the seats |
//! | `ballots.rs` | commitments and reveals |
//! | `rounds.rs` | what follows when a round is over |
//! | `dispute.rs`, `appeal.rs` | how an account makes one begin |
//! | `judge.rs` | which seats are paid and which are fined |
//! | `finish.rs` | the outcome: fees, refunds, bonds, pay |
//! | `slashes.rs` | stake, after the delay |

mod appeal;
mod ballots;
mod dispute;
mod draw;
mod finish;
mod judge;
mod rounds;
mod slashes;

use crate::jobs::{Claim, Delivery};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::traits::ConstU32;
use frame_support::BoundedVec;
use genesisflow_primitives::{
    audit::{Ballot, MaxRounds, MaxSeats, Verdict},
    Balance, BlockNumber, H256,
};
use scale_info::TypeInfo;

/// Most accounts that an audit can slash: its worker, and every seat that it drew in two rounds of
/// each kind.
pub type MaxSlashes = ConstU32<187>;

/// A job's audit.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Audit<AccountId> {
    /// What the last round is doing.
    pub phase: Phase,
    /// All rounds, oldest first.
    pub rounds: BoundedVec<Round<AccountId>, MaxRounds>,
    /// The dispute that began it, if one did.
    pub dispute: Option<Bond<AccountId>>,
    /// The appeal, if there is one.
    pub appeal: Option<Bond<AccountId>>,
    /// Money in the pot that is set aside for this audit's seats, in base units.
    pub fund: Balance,
    /// What is slashed when the delay is over.
    pub slashes: BoundedVec<Slash<AccountId>, MaxSlashes>,
}

/// What the last round of an audit is doing.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Phase {
    /// Its seed is not known yet.
    Drawing,
    /// Its auditors replay the job and commit.
    Commit,
    /// Those who committed reveal.
    Reveal,
    /// It is over, and none follows unless somebody appeals.
    Over,
}

/// What a round is for.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum RoundKind {
    /// A few seats: the usual round.
    First,
    /// More seats, because the first had no verdict.
    Second,
    /// Many seats, because somebody appealed. The last word.
    Appeal,
}

/// A round of seats.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Round<AccountId> {
    /// What it is for.
    pub kind: RoundKind,
    /// Its seed; none until it is drawn, and for ever if its blocks were forgotten before.
    pub seed: Option<H256>,
    /// How many accounts could be drawn.
    pub eligible: u32,
    /// Who was drawn, each account once.
    pub auditors: BoundedVec<Auditor<AccountId>, MaxSeats>,
    /// What it decided, if it did.
    pub verdict: Option<Verdict>,
}

/// An account with seats in a round.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Auditor<AccountId> {
    /// Who.
    pub who: AccountId,
    /// How many seats.
    pub seats: u32,
    /// Whether it may stay silent without a fine, because it had enough audits open.
    pub excused: bool,
    /// Whether it held more than half of the stake that could be drawn.
    pub holds_majority: bool,
    /// What it has said.
    pub said: Said,
}

/// What an auditor has said in a round.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Said {
    /// It had left the market, or was chilled, when it was drawn: nothing is expected of it.
    Vacant,
    /// Nothing.
    Nothing,
    /// That it has a ballot.
    Committed(H256),
    /// Its ballot.
    Revealed(Ballot),
}

/// Money that a disputer or an appellant puts at stake.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Bond<AccountId> {
    /// Whose it is.
    pub who: AccountId,
    /// What is held of it, in base units.
    pub held: Balance,
}

/// Stake that an account is going to lose.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Slash<AccountId> {
    /// Whose.
    pub who: AccountId,
    /// How much, in base units, as far as there is any.
    pub amount: Balance,
    /// Why.
    pub cause: SlashCause,
}

/// Why an account is slashed.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum SlashCause {
    /// It delivered a wrong result.
    WrongResult,
    /// It was silent as an auditor, stood against the final verdict, or hid its ballot.
    Auditor,
}

/// A result under audit, on its way through a step.
pub(crate) struct UnderAudit<AccountId> {
    pub claim: Claim<AccountId>,
    pub delivery: Delivery,
    pub audit: Audit<AccountId>,
}

/// What a step leads to. Blocks are the last ones of the state.
pub(crate) enum Next {
    /// The audit goes on.
    Audit(BlockNumber),
    /// It is over unless somebody appeals.
    Decided(BlockNumber),
}

impl<AccountId> Audit<AccountId> {
    /// An audit whose first round waits for its seed.
    pub(crate) fn new(dispute: Option<Bond<AccountId>>) -> Self {
        let mut audit = Self {
            phase: Phase::Drawing,
            rounds: BoundedVec::new(),
            dispute,
            appeal: None,
            fund: 0,
            slashes: BoundedVec::new(),
        };
        audit.begin_round(RoundKind::First);
        audit
    }

    /// Adds a round that waits for its seed. False if there have been too many.
    pub(crate) fn begin_round(&mut self, kind: RoundKind) -> bool {
        self.phase = Phase::Drawing;
        self.rounds
            .try_push(Round {
                kind,
                seed: None,
                eligible: 0,
                auditors: BoundedVec::new(),
                verdict: None,
            })
            .is_ok()
    }

    /// The last round and its number.
    pub fn last_round(&self) -> Option<(u8, &Round<AccountId>)> {
        let number = self.rounds.len().checked_sub(1)?;
        Some((u8::try_from(number).ok()?, self.rounds.last()?))
    }

    /// What was decided last, and in which round.
    pub fn verdict(&self) -> Option<(usize, Verdict)> {
        let decided = |(number, round): (usize, &Round<AccountId>)| Some((number, round.verdict?));
        self.rounds.iter().enumerate().rev().find_map(decided)
    }

    /// Whether the result is rejected as things stand.
    pub fn rejects(&self) -> bool {
        self.verdict().is_some_and(|(_, verdict)| !verdict.valid)
    }

    /// Whether the result would be rejected without the appeal.
    pub fn rejected_before_appeal(&self) -> bool {
        let decided = |round: &Round<AccountId>| match round.kind {
            RoundKind::Appeal => None,
            RoundKind::First | RoundKind::Second => round.verdict,
        };
        let verdict = self.rounds.iter().rev().find_map(decided);
        verdict.is_some_and(|verdict| !verdict.valid)
    }
}

impl<AccountId> Round<AccountId> {
    /// Whether any of its auditors revealed. A round in which none did counts as an outage.
    pub fn anyone_revealed(&self) -> bool {
        let revealed = |auditor: &Auditor<AccountId>| matches!(auditor.said, Said::Revealed(_));
        self.auditors.iter().any(revealed)
    }
}

impl<AccountId> Auditor<AccountId> {
    /// What it committed to or revealed a ballot for.
    pub fn ballot(&self) -> Option<Ballot> {
        match self.said {
            Said::Revealed(ballot) => Some(ballot),
            Said::Vacant | Said::Nothing | Said::Committed(_) => None,
        }
    }
}
