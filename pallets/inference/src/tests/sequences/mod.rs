//! Random lives of a whole market: whatever anyone does in whatever order, with blocks passing in
//! between, the promises hold after every single call.
//!
//! `INFERENCE_SEQUENCES=20000` runs more sequences, `INFERENCE_SEED=7` others. A failure names the
//! seed of its sequence, and proptest shrinks the sequence to the calls that matter.

mod action;
mod play;
mod reach;

use self::{
    action::{action, Action},
    play::{chosen, play, JURY, PEOPLE},
    reach::{check_reach, Reached},
};
use crate::{
    mock::*, primitives::*, Agenda, Audits, Claims, Error, HoldReason, Jobs, LiveJobs, Seats,
    Workers,
};
use frame_support::{assert_ok, weights::Weight};
use proptest::{
    collection::vec,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::cell::RefCell;

/// How many sequences are played if nothing else is said.
const SEQUENCES: u64 = 900;

/// Issuance, and how much of it was burnt as dust on purpose.
fn check_issuance(before: Balance) {
    let burnt: Balance = System::read_events_for_pallet::<crate::Event<Test>>()
        .into_iter()
        .map(|event| match event {
            crate::Event::PaymentDiverted {
                instead: None,
                amount,
                ..
            } => amount,
            _ => 0,
        })
        .sum();
    // Transfers may leave dust of their own, which the currency burns.
    let dust: Balance = System::read_events_for_pallet::<pallet_balances::Event<Test>>()
        .into_iter()
        .map(|event| match event {
            pallet_balances::Event::DustLost { amount, .. } => amount,
            _ => 0,
        })
        .sum();
    let issuance = pallet_balances::TotalIssuance::<Test>::get();
    assert_eq!(
        issuance + burnt + dust,
        before,
        "money appeared or vanished"
    );
}

/// Two models and five workers to begin with, who can audit each other, and three results.
fn open_market(probation_jobs: u32) {
    set_randomness(Some(0));
    reparametrise(|p| p.probation_jobs = probation_jobs);
    for which in [false, true] {
        assert_ok!(Inference::register_model(
            signed(DAVE),
            registration(&chosen(which))
        ));
    }
    for worker in JURY {
        assert_ok!(Inference::register_worker(signed(worker), STAKE, bytes("")));
        assert_ok!(offer(worker, PRICES, 2));
        assert_ok!(Inference::set_offer(
            signed(worker),
            chosen(true).id(),
            10,
            40,
            2
        ));
    }
    run_to(2 * PERIOD);
    for worker in [BOB, CAROL, BOB] {
        let job = submit();
        assert_ok!(Inference::claim_job(signed(worker), job));
        assert_ok!(deliver(worker, job));
    }
}

/// Plays a sequence and checks every promise after every action. At the end all deadlines pass,
/// and nothing of any job may be left.
fn live(actions: &[Action], reached: &mut Reached) {
    new_chain().execute_with(|| {
        // Some markets audit everything at first, some hardly anything.
        open_market(3 * (actions.len() % 3) as u32);
        for action in actions {
            System::reset_events();
            let before = pallet_balances::TotalIssuance::<Test>::get();
            match play(action) {
                Ok(()) => {
                    check_issuance(before);
                    check_everything();
                    reached.note(action);
                }
                // Undone: nothing has changed.
                Err(refusal) => {
                    assert_ne!(refusal, Error::<Test>::Corrupted.into(), "{action:?}");
                }
            }
        }
        // Every state lasts for less than this, and no job goes through more of them.
        for _ in 0..40 {
            System::set_block_number(now() + 1_000);
            begin_block(now() + 1);
            idle(Weight::MAX);
        }
        check_everything();
        nothing_is_left();
    });
}

/// All jobs are over: nothing of them may be stored or held.
fn nothing_is_left() {
    assert_eq!(Jobs::<Test>::iter().count(), 0, "a job found no way out");
    assert_eq!(Audits::<Test>::iter().count(), 0, "an audit is left");
    assert_eq!(Seats::<Test>::iter().count(), 0, "a seat is left");
    assert_eq!(Claims::<Test>::iter().count(), 0, "a claim is left");
    assert_eq!(Agenda::<Test>::iter().count(), 0, "an entry is left");
    assert_eq!(LiveJobs::<Test>::iter().count(), 0, "a live job is counted");
    for worker in Workers::<Test>::iter_values() {
        assert_eq!(worker.exposure, 0, "stake is left behind a job");
        assert_eq!(worker.open_audits, 0, "a seat is counted");
    }
    for who in PEOPLE {
        for reason in [
            HoldReason::Job,
            HoldReason::DisputeBond,
            HoldReason::AppealBond,
        ] {
            assert_eq!(held(who, reason), 0, "{reason:?} is left on {who}");
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

#[test]
fn the_promises_hold_whatever_anyone_does() {
    let sequences = setting("INFERENCE_SEQUENCES", SEQUENCES);
    let first = setting("INFERENCE_SEED", 1);
    let strategy = vec(action(), 120..220);
    let reached = RefCell::new(Reached::default());
    for seed in first..first + sequences {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            cases: 1,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
        let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |actions| {
            live(&actions, &mut reached.borrow_mut());
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("sequence with INFERENCE_SEED={seed} INFERENCE_SEQUENCES=1 fails: {error}");
        }
    }
    if sequences >= SEQUENCES {
        check_reach(&reached.borrow());
    }
}
