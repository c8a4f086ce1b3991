//! What the tests of audits share: a market with a jury, results on their way to it, rounds in
//! which every auditor does as it is told, and a ledger of who won and lost what.

use crate::{
    audits::{Audit, Phase, Said},
    jobs::JobState,
    mock::*,
    primitives::{
        audit::{
            ballot_commitment, combined_seed, draw_seats, is_audited, AuditDigest, AuditTerms,
            Ballot,
        },
        *,
    },
    Audits, HoldReason,
};
use frame_support::{
    assert_ok,
    pallet_prelude::DispatchResultWithPostInfo,
    traits::{
        fungible::MutateHold,
        tokens::{Fortitude, Precision, Restriction},
    },
};

pub const ANNA: AccountId = AUDITORS[0];
pub const BERT: AccountId = AUDITORS[1];
pub const CLEO: AccountId = AUDITORS[2];
pub const DORA: AccountId = AUDITORS[3];
pub const EMIL: AccountId = AUDITORS[4];
/// Everybody who can sit on a result of BOB's for ALICE, each with the same stake.
pub const JURY: [AccountId; 6] = [CAROL, ANNA, BERT, CLEO, DORA, EMIL];
/// One seat each: the usual first round.
pub const THREE: [(AccountId, u32); 3] = [(ANNA, 1), (BERT, 1), (CLEO, 1)];
/// The usual second round.
pub const FIVE: [(AccountId, u32); 5] = [(ANNA, 1), (BERT, 1), (CLEO, 1), (DORA, 1), (EMIL, 1)];
/// The usual appeal.
pub const SEVEN: [(AccountId, u32); 6] = [
    (CAROL, 1),
    (ANNA, 2),
    (BERT, 1),
    (CLEO, 1),
    (DORA, 1),
    (EMIL, 1),
];

/// Pay of a seat: 10 % of the fee.
pub const PAY: Balance = FEE / 10;
/// What the usual job pays for audits: all of the usual round, as its worker is on probation.
pub const PREMIUM: Balance = 3 * PAY;
/// The protocol's share of the usual fee.
pub const PROTOCOL: Balance = FEE / 100;
/// What is left to the worker.
pub const WAGE: Balance = FEE - PROTOCOL - PREMIUM;
/// Fine of a wrong seat.
pub const WRONG_FINE: Balance = EXPOSURE / 5;
/// Fine of a silent seat: two pays, which is less than 2 % of the exposure.
pub const SILENT_FINE: Balance = 2 * PAY;
/// Three seats and two fifths of the most that the job could have cost.
pub const DISPUTE_BOND: Balance = 3 * PAY + 2 * WORST_CASE / 5;
/// Seven seats and a tenth of the same.
pub const APPEAL_BOND: Balance = 7 * PAY + 2 * WORST_CASE / 5;

/// Salt of all ballots.
pub const SALT: H256 = H256::repeat_byte(9);

/// Runs a test on the usual chain, with JURY in the pool.
pub fn court(test: impl FnOnce()) {
    set_randomness(Some(0));
    audited_market(test);
}

/// What an auditor does in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Replays the job and finds the result right.
    Valid,
    /// Replays the job and finds the result wrong.
    Invalid,
    /// Finds the result right without having run the model.
    Lazy,
    /// Finds the result wrong without having run the model.
    Spite,
    /// Commits and never reveals.
    Hide,
    /// Says nothing.
    Silent,
}

/// The ballot of an account in the present round.
pub fn ballot(who: AccountId, id: JobId, act: Act) -> Option<Ballot> {
    let made_up = H256::from_low_u64_be(who);
    let (digest, valid) = match act {
        Act::Valid | Act::Hide => (replayed(id), true),
        Act::Invalid => (replayed(id), false),
        Act::Lazy => (made_up, true),
        Act::Spite => (made_up, false),
        Act::Silent => return None,
    };
    Some(Ballot { digest, valid })
}

/// What a replay of a job gives under the seed of the present round.
pub fn replayed(id: JobId) -> H256 {
    let audit = audit(id);
    let (_, round) = audit.last_round().expect("an audit has a round");
    let mut digest = AuditDigest::new(&round.seed.expect("the round is drawn"));
    digest.state(b"what the model computes");
    digest.finish()
}

/// A job's audit.
pub fn audit(id: JobId) -> Audit<AccountId> {
    Audits::<Test>::get(id).expect("the job has an audit")
}

/// Whether the result is right, as decided last.
pub fn verdict(id: JobId) -> Option<bool> {
    audit(id).verdict().map(|(_, verdict)| verdict.valid)
}

/// The terms of a job's audit.
pub fn terms(id: JobId) -> AuditTerms {
    job(id).terms.audit
}

/// Last block of a job's state.
pub fn until(id: JobId) -> BlockNumber {
    job(id).state.until()
}

/// The seats of a round, by account.
pub fn seats(id: JobId, round: usize) -> Vec<(AccountId, u32)> {
    let mut seats: Vec<_> = audit(id).rounds[round]
        .auditors
        .iter()
        .map(|auditor| (auditor.who, auditor.seats))
        .collect();
    seats.sort();
    seats
}

/// Who is expected to act in the present round.
pub fn sitting(id: JobId) -> Vec<AccountId> {
    let audit = audit(id);
    let (_, round) = audit.last_round().expect("an audit has a round");
    let there = round.auditors.iter().filter(|a| a.said != Said::Vacant);
    there.map(|auditor| auditor.who).collect()
}

/// Goes to the first block after the present state of a job; to the next one if that has begun, as
/// a block makes one step of each job.
pub fn pass(id: JobId) {
    run_to((until(id) + 1).max(now() + 1));
}

/// Lets all deadlines of a job pass until it is final.
pub fn finish(id: JobId) {
    while !status(id).is_final() {
        pass(id);
    }
}

/// Lets the chain draw so that `wanted` holds for hit or miss and for the seats, by account. The
/// blocks of the draw must not have begun.
pub fn fix_draw(id: JobId, wanted: impl Fn(bool, &[(AccountId, u32)]) -> bool) {
    let record = job(id);
    let terms = record.terms.audit;
    let (members, round, seats, chance) = match &record.state {
        JobState::Delivered {
            claim, delivery, ..
        } => {
            let members = Inference::eligible(&record, claim, &[]);
            (members, 0, terms.first_seats, Some(delivery.audit_chance))
        }
        JobState::Audit { claim, .. } => {
            let audit = audit(id);
            assert_eq!(audit.phase, Phase::Drawing, "the seats are drawn already");
            let members = Inference::eligible_for(&record, claim, &audit);
            let (number, round) = audit.last_round().expect("an audit has a round");
            let seats = Inference::seats_of(&terms, round.kind);
            (members, number, seats, None)
        }
        other => panic!("nothing is to be drawn: {:?}", other.status()),
    };
    let last = record.state.until();
    let first = last + 1 - terms.seed_blocks;
    assert!(now() <= first, "the draw has begun");
    let stakes: Vec<_> = members.iter().map(|member| member.stake).collect();
    let salt = (0..200_000).find(|salt| {
        let outputs: Vec<_> = (first..=last)
            .map(|block| output_of(block, *salt))
            .collect();
        let seed = combined_seed(&outputs);
        let hit = chance.is_none_or(|chance| is_audited(&seed, id, chance));
        let mut drawn: Vec<(AccountId, u32)> = Vec::new();
        for index in draw_seats(&seed, id, round, seats, &stakes) {
            let who = members[index].who;
            match drawn.iter_mut().find(|(other, _)| *other == who) {
                Some((_, seats)) => *seats += 1,
                None => drawn.push((who, 1)),
            }
        }
        drawn.sort();
        wanted(hit, &drawn)
    });
    set_randomness(Some(salt.expect("some draw is as wanted")));
}

/// Lets exactly these accounts get the seats, and draws them.
pub fn draw(id: JobId, wanted: &[(AccountId, u32)]) {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    fix_draw(id, |hit, drawn| hit && drawn == wanted);
    pass(id);
    assert_eq!(status(id), JobStatus::Audit);
    let round = audit(id)
        .rounds
        .iter()
        .rposition(|round| round.seed.is_some());
    assert_eq!(seats(id, round.expect("a round is drawn")), wanted);
}

/// A result of BOB's for ALICE that ANNA, BERT and CLEO are to judge.
pub fn judged_by_three() -> JobId {
    let id = delivered();
    draw(id, &THREE);
    assert_eq!(audit(id).phase, Phase::Commit);
    id
}

/// A result of BOB's for ALICE that the draw missed: BOB is not on probation.
pub fn missed() -> JobId {
    reparametrise(|p| p.probation_jobs = 0);
    let id = delivered();
    fix_draw(id, |hit, _| !hit);
    pass(id);
    assert_eq!(status(id), JobStatus::Review);
    id
}

/// A result that the draw missed and `who` disputes, before ANNA, BERT and CLEO.
pub fn disputed_by(who: AccountId) -> JobId {
    let id = missed();
    assert_ok!(Inference::dispute_result(signed(who), id));
    draw(id, &THREE);
    id
}

/// What an account commits to in the present round.
pub fn commitment(who: AccountId, id: JobId, ballot: Ballot) -> H256 {
    let audit = audit(id);
    let (round, _) = audit.last_round().expect("an audit has a round");
    ballot_commitment(&Inference::genesis_hash(), id, round, &who, &ballot, &SALT)
}

/// An account commits as it acts.
pub fn commit(who: AccountId, id: JobId, act: Act) -> DispatchResultWithPostInfo {
    let ballot = ballot(who, id, act).expect("there is something to commit");
    Inference::commit_ballot(signed(who), id, commitment(who, id, ballot))
}

/// An account reveals as it acts.
pub fn reveal(who: AccountId, id: JobId, act: Act) -> DispatchResultWithPostInfo {
    let ballot = ballot(who, id, act).expect("there is something to reveal");
    Inference::reveal_ballot(signed(who), id, ballot.digest, ballot.valid, SALT)
}

/// Plays the present round to its end, everybody as told.
pub fn play(id: JobId, act: impl Fn(AccountId) -> Act) {
    assert_eq!(audit(id).phase, Phase::Commit, "the seats are not drawn");
    let rounds = audit(id).rounds.len();
    let sitting = sitting(id);
    let ballots: Vec<_> = sitting
        .iter()
        .map(|who| (*who, act(*who), ballot(*who, id, act(*who))))
        .collect();
    for (who, act, _) in ballots.iter().filter(|(_, act, _)| *act != Act::Silent) {
        assert_ok!(commit(*who, id, *act));
    }
    if ballots.iter().any(|(_, act, _)| *act == Act::Silent) {
        pass(id);
    }
    if audit(id).rounds.len() > rounds || audit(id).phase != Phase::Reveal {
        return;
    }
    for (who, act, ballot) in &ballots {
        if let Some(ballot) = ballot.filter(|_| *act != Act::Hide) {
            let (digest, valid) = (ballot.digest, ballot.valid);
            assert_ok!(Inference::reveal_ballot(
                signed(*who),
                id,
                digest,
                valid,
                SALT
            ));
        }
    }
    if ballots.iter().any(|(_, act, _)| *act == Act::Hide) {
        pass(id);
    }
}

/// Plays all rounds of an audit that is or will be drawn, everybody as told, until it is over.
pub fn judge(id: JobId, act: impl Fn(AccountId) -> Act) {
    while matches!(status(id), JobStatus::Delivered | JobStatus::Audit) {
        let ready = Audits::<Test>::get(id).is_some_and(|audit| audit.phase == Phase::Commit);
        if ready {
            play(id, &act);
        } else {
            pass(id);
        }
    }
}

/// Everybody finds the result right.
pub fn all_valid(id: JobId) {
    play(id, |_| Act::Valid);
}

/// Everybody finds the result wrong.
pub fn all_invalid(id: JobId) {
    play(id, |_| Act::Invalid);
}

/// Everybody does as in the list; those who are not in it find the result right.
pub fn play_as(id: JobId, acts: &[(AccountId, Act)]) {
    play(id, |who| {
        let told = acts.iter().find(|(other, _)| *other == who);
        told.map_or(Act::Valid, |(_, act)| *act)
    });
}

/// `who` appeals; the seats of the round are drawn as wanted.
pub fn appeal(who: AccountId, id: JobId, wanted: &[(AccountId, u32)]) {
    assert_ok!(Inference::appeal_verdict(signed(who), id));
    draw(id, wanted);
}

/// What everybody owns, held or free, at some time.
pub struct Ledger(Vec<(AccountId, Balance)>);

impl Ledger {
    /// As it is now.
    pub fn now() -> Self {
        let everybody = [ALICE, BOB, CAROL, DAVE, EVE, NOBODY, POT, TREASURY];
        let everybody = everybody.into_iter().chain(AUDITORS);
        Self(everybody.map(|who| (who, wealth(who))).collect())
    }

    /// Who has more or less since then, and by how much.
    pub fn changes(&self) -> Vec<(AccountId, i128)> {
        let mut changes: Vec<_> = self
            .0
            .iter()
            .map(|(who, before)| (*who, wealth(*who) as i128 - *before as i128))
            .filter(|(_, change)| *change != 0)
            .collect();
        changes.sort();
        changes
    }

    /// Asserts that exactly these accounts have more or less since then.
    #[track_caller]
    pub fn expect<const N: usize>(&self, mut changes: [(AccountId, i128); N]) {
        changes.sort();
        assert_eq!(self.changes(), changes);
    }
}

/// An account loses stake to DAVE for reasons that have nothing to do with audits.
pub fn lose_stake(who: AccountId, amount: Balance) {
    crate::Workers::<Test>::mutate(who, |worker| {
        let worker = worker.as_mut().expect("it is a worker");
        let lost = worker.lose(Inference::current_period(), amount);
        lost.expect("it has as much stake");
    });
    assert_ok!(Balances::transfer_on_hold(
        &HoldReason::Stake.into(),
        &who,
        &DAVE,
        amount,
        Precision::Exact,
        Restriction::Free,
        Fortitude::Force,
    ));
}

/// An amount that is won.
pub fn plus(amount: Balance) -> i128 {
    amount as i128
}

/// An amount that is lost.
pub fn minus(amount: Balance) -> i128 {
    -(amount as i128)
}

/// An account's stake.
pub fn stake(who: AccountId) -> Balance {
    crate::Workers::<Test>::get(who).map_or(0, |worker| worker.stake)
}

/// What the chain records as paid for audits of the model and not spent.
pub fn pot() -> Balance {
    crate::AuditPots::<Test>::get(model())
}
