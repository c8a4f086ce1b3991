//! Honest work is paid and wrong work is not, whoever sits in the audits.
//!
//! Random markets: up to 20 auditors with random stakes, up to a third of the stake hostile. Every
//! job is audited. Honest auditors vote for what is true and honest parties appeal when outvoted;
//! hostile ones collude on one false ballot, make ballots up, hide them, or are silent. The promise:
//! the outcome is the true one whenever the committee that had the last word had an honest majority,
//! and the money is conserved throughout.
//!
//! `INFERENCE_JOBS` changes how many jobs are played, `INFERENCE_SEED` which.

use crate::{
    audits::{Audit, Phase, RoundKind, Said},
    jobs::JobState,
    mock::*,
    primitives::{
        audit::{ballot_commitment, Ballot},
        *,
    },
    Audits, Pallet,
};
use codec::Encode;
use frame_support::assert_ok;
use frame_support::traits::fungible::Mutate;

/// Jobs in one market.
const JOBS_A_MARKET: u32 = 10;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, not {value}"))
    })
}

/// What an auditor does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Conduct {
    Honest,
    /// Votes against the truth, with the digest of its accomplices.
    Colludes,
    /// Guesses.
    MakesUp,
    /// Commits, and does not reveal.
    Hides,
    Silent,
}

/// What happened in all markets.
#[derive(Debug, Default)]
struct Tally {
    jobs: u32,
    right_at_once: u32,
    put_right_on_appeal: u32,
    undecided_at_first: u32,
    hostile_committees: u32,
    cheats_rejected: u32,
    fines: u32,
}

/// Random numbers that a seed repeats.
struct Dice {
    seed: u64,
    throws: u64,
}

impl Dice {
    fn new(seed: u64) -> Self {
        Self { seed, throws: 0 }
    }

    fn any(&mut self) -> u64 {
        self.throws += 1;
        content_hash(&(self.seed, self.throws).encode()).to_low_u64_le()
    }

    fn below(&mut self, end: u64) -> u64 {
        self.any() % end
    }
}

struct Market {
    dice: Dice,
    auditors: Vec<(AccountId, Conduct)>,
}

fn salt(who: AccountId) -> H256 {
    content_hash(&who.encode())
}

impl Market {
    /// Registers the auditors; hostile ones get at most a third of the stake.
    fn new(mut dice: Dice) -> Self {
        let count = 3 + dice.below(18) as usize;
        let mut auditors = Vec::new();
        let (mut honest, mut hostile) = (0, 0);
        for who in (100..).take(count) {
            let stake = Balance::from(10_000 + dice.below(190_000));
            let wants_harm = dice.below(2) == 0;
            let conduct = if wants_harm && 2 * (hostile + stake) <= honest {
                hostile += stake;
                [
                    Conduct::Colludes,
                    Conduct::Colludes,
                    Conduct::MakesUp,
                    Conduct::Hides,
                    Conduct::Silent,
                ][dice.below(5) as usize]
            } else {
                honest += stake;
                Conduct::Honest
            };
            assert_ok!(Inference::register_worker(signed(who), stake, bytes("")));
            assert_ok!(offer(who, PRICES, 3));
            auditors.push((who, conduct));
        }
        Self { dice, auditors }
    }

    fn conduct(&self, who: AccountId) -> Conduct {
        let found = self.auditors.iter().find(|(auditor, _)| *auditor == who);
        found.map_or(Conduct::Honest, |(_, conduct)| *conduct)
    }

    /// What an auditor's ballot is, if the result is right or wrong. Made-up ones are the same each
    /// time they are asked for.
    fn ballot(&self, who: AccountId, id: JobId, seed: H256, valid: bool) -> Ballot {
        match self.conduct(who) {
            Conduct::Honest | Conduct::Hides | Conduct::Silent => Ballot {
                digest: content_hash(&("replayed", id, seed).encode()),
                valid,
            },
            Conduct::Colludes => Ballot {
                digest: content_hash(&("agreed", id, seed).encode()),
                valid: !valid,
            },
            Conduct::MakesUp => Ballot {
                digest: content_hash(&(who, id, seed).encode()),
                valid: (who + id).is_multiple_of(2),
            },
        }
    }

    /// Lets everybody who sits in a job's round act.
    fn act(&self, id: JobId, valid: bool) {
        let audit: Audit<AccountId> = Audits::<Test>::get(id).expect("under audit");
        let (number, round) = audit.last_round().expect("a round");
        let Some(seed) = round.seed else { return };
        for auditor in &round.auditors {
            let who = auditor.who;
            let ballot = self.ballot(who, id, seed, valid);
            let conduct = self.conduct(who);
            match (audit.phase, auditor.said) {
                (Phase::Commit, Said::Nothing) if conduct != Conduct::Silent => {
                    let genesis = Pallet::<Test>::genesis_hash();
                    let hash = ballot_commitment(&genesis, id, number, &who, &ballot, &salt(who));
                    assert_ok!(Inference::commit_ballot(signed(who), id, hash));
                }
                (Phase::Reveal, Said::Committed(_)) if conduct != Conduct::Hides => {
                    assert_ok!(Inference::reveal_ballot(
                        signed(who),
                        id,
                        ballot.digest,
                        ballot.valid,
                        salt(who)
                    ));
                }
                _ => {}
            }
        }
    }

    /// Honest parties appeal against what is wrong; hostile ones often against what is right.
    fn appeal(&mut self, id: JobId, valid: bool) {
        let audit = Audits::<Test>::get(id).expect("under audit");
        if audit.appeal.is_some() {
            return;
        }
        if audit.rejects() == valid {
            // The worker is wronged, or a wrong result is about to be paid.
            let who = if valid { BOB } else { ALICE };
            assert_ok!(Inference::appeal_verdict(signed(who), id));
            return;
        }
        if self.dice.below(3) == 0 {
            let hostile: Vec<_> = self
                .auditors
                .iter()
                .filter(|(_, conduct)| *conduct != Conduct::Honest)
                .map(|(who, _)| *who)
                .chain((!valid).then_some(BOB))
                .collect();
            for who in hostile {
                // Most have no standing.
                if Inference::appeal_verdict(signed(who), id).is_ok() {
                    return;
                }
            }
        }
    }

    /// Plays one job from its submission until nothing is left to decide.
    fn play(&mut self, valid: bool, tally: &mut Tally) {
        set_randomness(Some(self.dice.any()));
        let id = delivered();
        assert!(
            matches!(job(id).state, JobState::Delivered { .. }),
            "the pool is large enough for a draw"
        );
        let exposure_before = held(BOB, crate::HoldReason::Stake);
        loop {
            run_to(now() + 1);
            match job(id).state {
                JobState::Audit { .. } => self.act(id, valid),
                JobState::Decided { .. } => self.appeal(id, valid),
                JobState::Delivered { .. } => {}
                _ => break,
            }
        }
        let audit = Audits::<Test>::get(id).expect("every job is audited");
        let rejected = audit.rejects();
        self.judge(id, &audit, valid, tally);

        // Until every slash is executed.
        while !status(id).is_final() {
            run_to(now() + 1);
        }
        assert_eq!(status(id) == JobStatus::Rejected, rejected);
        if !rejected {
            assert_eq!(
                held(BOB, crate::HoldReason::Stake),
                exposure_before,
                "a worker that was right lost stake"
            );
        }
        check_everything();
    }

    fn judge(&self, id: JobId, audit: &Audit<AccountId>, valid: bool, tally: &mut Tally) {
        tally.jobs += 1;
        tally.fines += audit
            .slashes
            .iter()
            .filter(|slash| slash.who != BOB)
            .count() as u32;
        let rejected = audit.rejects();
        let right = rejected != valid;
        let last = audit.rounds.last().expect("a round");
        let honest: u32 = last
            .auditors
            .iter()
            .filter(|auditor| auditor.said != Said::Vacant)
            .filter(|auditor| self.conduct(auditor.who) == Conduct::Honest)
            .map(|auditor| auditor.seats)
            .sum();
        let seats: u32 = last.auditors.iter().map(|auditor| auditor.seats).sum();
        let appealed = last.kind == RoundKind::Appeal;
        if appealed && 2 * honest <= seats {
            tally.hostile_committees += 1;
            return;
        }
        assert!(
            right,
            "job {id}: a committee with {honest} honest seats of {seats} had the last word, and the \
             result, {}, was {}: {audit:#?}",
            if valid { "right" } else { "wrong" },
            if rejected { "rejected" } else { "paid" },
        );
        if !valid {
            tally.cheats_rejected += 1;
        }
        let before = audit.rejected_before_appeal();
        if appealed && before != rejected {
            tally.put_right_on_appeal += 1;
        } else if !appealed {
            tally.right_at_once += 1;
        }
        if audit.rounds[0].verdict.is_none() {
            tally.undecided_at_first += 1;
        }
    }
}

/// A chain on which everybody can afford everything, with DAVE's model and BOB as its worker.
fn rich_market(test: impl FnOnce()) {
    new_chain().execute_with(|| {
        for who in [ALICE, BOB].into_iter().chain(100..120) {
            Balances::set_balance(&who, 1_000 * WEALTH);
        }
        let issuance = Balances::total_issuance();
        assert_ok!(Inference::register_model(
            signed(DAVE),
            registration(&manifest())
        ));
        assert_ok!(Inference::register_worker(
            signed(BOB),
            500 * WEALTH,
            bytes("")
        ));
        assert_ok!(offer(BOB, PRICES, 3));
        test();
        check_everything();
        assert_eq!(
            Balances::total_issuance(),
            issuance,
            "money appeared or vanished"
        );
    });
}

#[test]
fn an_honest_majority_on_appeal_makes_the_outcome_true() {
    let jobs = setting("INFERENCE_JOBS", 10_000) as u32;
    let mut seeds = Dice::new(setting("INFERENCE_SEED", 1));
    let mut tally = Tally::default();
    while tally.jobs < jobs {
        let seed = seeds.any();
        rich_market(|| {
            reparametrise(|p| {
                // Everything is audited, whatever it pays; wrong results cost no whole stake, so
                // that one worker can go on cheating.
                p.probation_jobs = u32::MAX;
                p.repeat_window = 1;
                p.exposure_factor = 4;
                p.appeal_seats = 21;
            });
            let mut dice = Dice::new(seed);
            let mut players = Market::new(Dice::new(dice.any()));
            run_to(now() + 3 * PERIOD);
            for _ in 0..JOBS_A_MARKET {
                // A rejected worker is chilled.
                let _ = Inference::activate(signed(BOB));
                let valid = dice.below(2) == 0;
                players.play(valid, &mut tally);
            }
        });
    }
    println!("{tally:?}");
    // The test must not pass because nothing happened.
    assert!(tally.right_at_once > jobs / 4, "{tally:?}");
    assert!(tally.put_right_on_appeal > 0, "{tally:?}");
    assert!(tally.undecided_at_first > 0, "{tally:?}");
    assert!(tally.cheats_rejected > jobs / 4, "{tally:?}");
    assert!(tally.fines > 0, "{tally:?}");
}
