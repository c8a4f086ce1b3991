//! Slashes: a delay in which governance can look, and then what is due.

use super::support::*;
use crate::{audits::SlashCause, mock::*, primitives::*, Error, Event};
use frame_support::assert_ok;
use sp_runtime::traits::BadOrigin;

/// A result of BOB's that is rejected for good; DORA, who was not silent, is fined, too.
fn slashing() -> JobId {
    let id = delivered();
    draw(id, &[(ANNA, 1), (BERT, 1), (DORA, 1)]);
    play(id, |who| {
        if who == DORA {
            Act::Valid
        } else {
            Act::Invalid
        }
    });
    pass(id);
    assert_eq!(status(id), JobStatus::Slashing);
    id
}

fn cancel(id: JobId, who: AccountId) -> sp_runtime::DispatchResult {
    Inference::cancel_slash(RuntimeOrigin::root(), id, who)
}

#[test]
fn slashes_wait_for_their_delay() {
    court(|| {
        let id = slashing();
        let last = until(id);
        jump_to(last);
        refuses(
            || Inference::progress_job(signed(EVE), id),
            Error::NothingDue,
        );
        assert_eq!((stake(BOB), stake(DORA)), (STAKE, STAKE));
        jump_to(last + 1);
        assert_ok!(Inference::progress_job(signed(EVE), id));
        assert_eq!(stake(BOB), STAKE - EXPOSURE);
        assert_eq!(stake(DORA), STAKE - WRONG_FINE);
        assert_eq!(status(id), JobStatus::Rejected);
    });
}

#[test]
fn the_worker_comes_first_and_then_the_auditors() {
    court(|| {
        let id = slashing();
        let slashes = audit(id).slashes;
        let causes: Vec<_> = slashes
            .iter()
            .map(|slash| (slash.who, slash.cause))
            .collect();
        assert_eq!(
            causes,
            [(BOB, SlashCause::WrongResult), (DORA, SlashCause::Auditor)]
        );
        events();
        let before = Ledger::now();
        pass(id);
        let slashed: Vec<_> = events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Slashed { who, amount, .. } => Some((who, amount)),
                _ => None,
            })
            .collect();
        assert_eq!(slashed, [(BOB, EXPOSURE), (DORA, WRONG_FINE)]);
        before.expect([
            (ALICE, plus(WORST_CASE)),
            (BOB, minus(EXPOSURE)),
            (ANNA, plus(PAY)),
            (BERT, plus(PAY)),
            (DORA, minus(WRONG_FINE)),
            (TREASURY, plus(EXPOSURE - WORST_CASE - 2 * PAY + WRONG_FINE)),
        ]);
    });
}

#[test]
fn governance_cancels_the_slash_of_one_account() {
    court(|| {
        let id = slashing();
        let before = Ledger::now();
        events();
        assert_ok!(cancel(id, DORA));
        assert_eq!(events(), [Event::SlashCancelled { job: id, who: DORA }]);
        pass(id);
        assert_eq!((stake(BOB), stake(DORA)), (STAKE - EXPOSURE, STAKE));
        assert!(before.changes().contains(&(ALICE, plus(WORST_CASE))));
    });
}

#[test]
fn without_the_workers_slash_seats_are_paid_from_the_pot() {
    court(|| {
        // Something is in the pot: the premium of a result whose auditor was silent.
        let first = judged_by_three();
        play_as(first, &[(CLEO, Act::Silent)]);
        finish(first);
        assert_eq!(pot(), PAY);
        let id = slashing();
        let before = Ledger::now();
        assert_ok!(cancel(id, BOB));
        assert_eq!(Inference::worker(BOB).unwrap().last_rejection, None);
        pass(id);
        assert_eq!(status(id), JobStatus::Rejected);
        assert_eq!(stake(BOB), STAKE);
        assert_eq!(Inference::worker(BOB).unwrap().exposure, 0, "free again");
        // Two seats share the pay of one. The requester has its refund, and nothing more.
        before.expect([
            (ANNA, plus(PAY / 2)),
            (BERT, plus(PAY / 2)),
            (POT, minus(PAY / 2 * 2)),
            (DORA, minus(WRONG_FINE)),
            (TREASURY, plus(WRONG_FINE)),
        ]);
    });
}

#[test]
fn with_all_slashes_cancelled_the_job_still_ends() {
    court(|| {
        let id = slashing();
        assert_ok!(cancel(id, BOB));
        assert_ok!(cancel(id, DORA));
        let last = until(id);
        pass(id);
        assert_eq!(status(id), JobStatus::Rejected);
        assert_eq!(until(id), last + job(id).terms.retention);
        assert_eq!((stake(BOB), stake(DORA)), (STAKE, STAKE));
    });
}

#[test]
fn only_what_waits_can_be_cancelled() {
    court(|| {
        refuses(|| cancel(5, BOB), Error::JobUnknown);
        let id = judged_by_three();
        refuses(|| cancel(id, BOB), Error::NoSlash);
        all_invalid(id);
        refuses(|| cancel(id, BOB), Error::NoSlash);
        pass(id);
        refuses(|| cancel(id, ANNA), Error::NoSlash);
        refuses(|| cancel(id, NOBODY), Error::NoSlash);
        assert_ok!(cancel(id, BOB));
        refuses(|| cancel(id, BOB), Error::NoSlash);
    });
}

#[test]
fn the_last_block_of_the_delay_is_in_time_to_cancel_and_one_later_is_not() {
    court(|| {
        let id = slashing();
        jump_to(until(id));
        assert_ok!(cancel(id, BOB));
        jump_to(until(id) + 1);
        refuses(|| cancel(id, DORA), Error::NoSlash);
        idle(frame_support::weights::Weight::MAX);
        refuses(|| cancel(id, DORA), Error::NoSlash);
        assert_eq!((stake(BOB), stake(DORA)), (STAKE, STAKE - WRONG_FINE));
    });
}

#[test]
fn only_governance_cancels() {
    court(|| {
        let id = slashing();
        for origin in [signed(BOB), signed(ALICE), RuntimeOrigin::none()] {
            assert_eq!(
                Inference::cancel_slash(origin, id, BOB),
                Err(BadOrigin.into())
            );
        }
    });
}

#[test]
fn a_claim_soon_after_a_rejection_puts_the_whole_stake_at_risk() {
    court(|| {
        let id = slashing();
        let rejected_at = Inference::worker(BOB).unwrap().last_rejection.unwrap();
        finish(id);
        assert_eq!(stake(BOB), STAKE - EXPOSURE);
        assert_ok!(Inference::activate(signed(BOB)));
        let again = claimed();
        assert!(job(again).state.claim().unwrap().repeated);
        assert_ok!(deliver(BOB, again));
        draw(again, &[(CAROL, 1), (CLEO, 1), (EMIL, 1)]);
        all_invalid(again);
        pass(again);
        let slash = &audit(again).slashes[0];
        assert_eq!((slash.who, slash.amount), (BOB, STAKE - EXPOSURE));
        let before = Ledger::now();
        finish(again);
        assert_eq!(stake(BOB), 0);
        // The parties get no more for it.
        let rest = STAKE - EXPOSURE - WORST_CASE - 3 * PAY;
        before.expect([
            (ALICE, plus(WORST_CASE)),
            (BOB, minus(STAKE - EXPOSURE)),
            (CAROL, plus(PAY)),
            (CLEO, plus(PAY)),
            (EMIL, plus(PAY)),
            (TREASURY, plus(rest)),
        ]);
        assert!(now() < rejected_at + parameters().repeat_window);
    });
}

#[test]
fn after_the_window_a_rejection_is_forgiven() {
    for (late, repeated) in [(0, true), (1, false)] {
        court(|| {
            reparametrise(|p| p.repeat_window = 60);
            let id = slashing();
            let rejected_at = Inference::worker(BOB).unwrap().last_rejection.unwrap();
            finish(id);
            assert_ok!(Inference::activate(signed(BOB)));
            run_to(rejected_at + 60 + late);
            let again = claimed();
            assert_eq!(job(again).state.claim().unwrap().repeated, repeated);
        });
    }
}

#[test]
fn a_cancelled_slash_is_not_held_against_the_worker() {
    court(|| {
        let id = slashing();
        assert_ok!(cancel(id, BOB));
        assert_ok!(Inference::activate(signed(BOB)));
        let again = claimed();
        assert!(!job(again).state.claim().unwrap().repeated);
    });
}

#[test]
fn cancelling_one_of_two_rejections_does_not_forget_the_other() {
    court(|| {
        let (first, second) = (claimed(), claimed());
        for id in [first, second] {
            assert_ok!(deliver(BOB, id));
            draw(id, &THREE);
            all_invalid(id);
        }
        // The second one is rejected a little later.
        while status(second) != JobStatus::Slashing {
            pass(second);
        }
        assert_eq!(status(first), JobStatus::Slashing);
        let later = Inference::worker(BOB).unwrap().last_rejection;
        assert_ok!(cancel(first, BOB));
        assert_eq!(Inference::worker(BOB).unwrap().last_rejection, later);
        assert_ok!(cancel(second, BOB));
        assert_eq!(Inference::worker(BOB).unwrap().last_rejection, None);
    });
}

#[test]
fn the_last_rejection_is_the_last_to_become_final_and_not_the_last_to_be_moved_on() {
    court(|| {
        let (first, second) = (claimed(), claimed());
        for id in [first, second] {
            assert_ok!(deliver(BOB, id));
            draw(id, &THREE);
            all_invalid(id);
        }
        let final_at = until(second);
        assert!(until(first) < final_at);
        jump_to(final_at + 1);
        for id in [second, first] {
            assert_ok!(Inference::progress_job(signed(EVE), id));
            assert_eq!(status(id), JobStatus::Slashing);
        }
        let last = Inference::worker(BOB).unwrap().last_rejection;
        assert_eq!(last, Some(final_at));
    });
}

#[test]
fn two_slashes_take_what_there_is_in_the_order_of_their_blocks() {
    court(|| {
        // The exposure of each is most of the stake.
        reparametrise(|p| p.exposure_factor = 160);
        let (first, second) = (claimed(), claimed());
        let exposure = job(first).state.claim().unwrap().exposure;
        assert_eq!(exposure, 160 * WORST_CASE);
        for id in [first, second] {
            assert_ok!(deliver(BOB, id));
            draw(id, &THREE);
            all_invalid(id);
        }
        // Something else has cost BOB all but one exposure and a half.
        let gone = STAKE - exposure * 3 / 2;
        lose_stake(BOB, gone);
        let before = Ledger::now();
        finish(first);
        assert_eq!(stake(BOB), exposure / 2);
        finish(second);
        assert_eq!(stake(BOB), 0);
        assert!(before.changes().contains(&(ALICE, plus(2 * WORST_CASE))));
        assert_eq!(Inference::worker(BOB).unwrap().exposure, 0);
    });
}

#[test]
fn what_is_left_of_a_stake_is_shared_in_order_requester_seats_disputer_treasury() {
    // What the worker has left, and what each of them gets of it.
    let seats = 3 * PAY;
    let cases = [
        (WORST_CASE - 1, [WORST_CASE - 1, 0, 0, 0]),
        (WORST_CASE + 21, [WORST_CASE, 21, 0, 0]),
        (WORST_CASE + seats + 9, [WORST_CASE, seats, 9, 0]),
        (
            2 * WORST_CASE + seats + 5,
            [WORST_CASE, seats, WORST_CASE, 5],
        ),
    ];
    for (left, [to_requester, to_seats, to_disputer, to_treasury]) in cases {
        court(|| {
            let id = disputed_by(EVE);
            all_invalid(id);
            pass(id);
            let gone = STAKE - left;
            lose_stake(BOB, gone);
            let before = Ledger::now();
            finish(id);
            let changes = before.changes();
            let won = |who| {
                let found = changes.iter().find(|(other, _)| *other == who);
                found.map_or(0, |(_, change)| *change)
            };
            assert_eq!(won(BOB), minus(left));
            assert_eq!(won(ALICE), plus(to_requester));
            assert_eq!(won(ANNA) + won(BERT) + won(CLEO), plus(to_seats));
            assert_eq!(won(EVE), plus(to_disputer));
            assert_eq!(won(TREASURY), plus(to_treasury));
            assert_eq!(won(POT), 0);
        });
    }
}
