//! What a round decides, and what follows if it does not.

use super::support::*;
use crate::{
    audits::{Phase, RoundKind},
    mock::*,
    primitives::*,
    Event,
};
use frame_support::assert_ok;

fn kinds(id: JobId) -> Vec<RoundKind> {
    audit(id).rounds.iter().map(|round| round.kind).collect()
}

#[test]
fn two_of_three_decide() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Invalid)]);
        assert_eq!(status(id), JobStatus::Decided);
        assert_eq!(verdict(id), Some(true));
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Invalid), (CLEO, Act::Invalid)]);
        assert_eq!(verdict(id), Some(false));
    });
}

#[test]
fn digests_must_agree_too() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Lazy), (BERT, Act::Lazy)]);
        assert_eq!(
            verdict(id),
            None,
            "all say valid, no two have the same digest"
        );
    });
}

#[test]
fn without_a_verdict_more_seats_are_drawn_once() {
    court(|| {
        let id = judged_by_three();
        let told = [(ANNA, Act::Lazy), (BERT, Act::Invalid)];
        events();
        play_as(id, &told);
        assert!(events().contains(&Event::RoundEnded {
            job: id,
            round: 0,
            valid: None
        }));
        assert_eq!(kinds(id), [RoundKind::First, RoundKind::Second]);
        // The last reveal ended the round in the present block.
        assert_eq!(until(id), now() + terms(id).seed_blocks);
        draw(id, &FIVE);
        let seeds: Vec<_> = audit(id).rounds.iter().map(|round| round.seed).collect();
        assert_ne!(seeds[0], seeds[1]);
        play_as(id, &[(ANNA, Act::Invalid), (BERT, Act::Invalid)]);
        assert_eq!(status(id), JobStatus::Decided);
        assert_eq!(verdict(id), Some(true), "three of five");
    });
}

#[test]
fn without_a_verdict_in_two_rounds_the_result_stands() {
    court(|| {
        let id = judged_by_three();
        let told = [(ANNA, Act::Lazy), (BERT, Act::Invalid)];
        play_as(id, &told);
        draw(id, &FIVE);
        events();
        play_as(
            id,
            &[
                (ANNA, Act::Lazy),
                (BERT, Act::Invalid),
                (CLEO, Act::Invalid),
            ],
        );
        let decided_until = now() + terms(id).appeal_window;
        assert_eq!((status(id), until(id)), (JobStatus::Decided, decided_until));
        assert!(events().contains(&Event::AuditDecided {
            job: id,
            valid: None,
            until: decided_until
        }));
        let before = Ledger::now();
        pass(id);
        assert_eq!(status(id), JobStatus::Settled);
        assert_eq!(kinds(id), [RoundKind::First, RoundKind::Second]);
        // Eight seats are due, the pot has the pay of three: 33 x 11 / 88, rounded down, each.
        let share = PREMIUM * PAY / (8 * PAY);
        let twice = PREMIUM * 2 * PAY / (8 * PAY);
        assert_eq!((share, twice), (4, 8));
        let paid = 3 * twice + 2 * share;
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE)),
            (BOB, plus(WAGE)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE)),
            (POT, plus(PREMIUM - paid)),
            (ANNA, plus(twice)),
            (BERT, plus(twice)),
            (CLEO, plus(twice)),
            (DORA, plus(share)),
            (EMIL, plus(share)),
        ]);
        let record = Inference::offers(model(), None, 16);
        let bob = record.iter().find(|offer| offer.worker == BOB).unwrap();
        assert_eq!(
            (bob.audited_valid, bob.audited_failed),
            (0, 0),
            "nothing was found"
        );
    });
}

#[test]
fn an_outage_is_nobodys_fault_and_draws_once_more() {
    court(|| {
        let id = judged_by_three();
        play(id, |_| Act::Silent);
        assert_eq!(kinds(id), [RoundKind::First; 2]);
        // It ended with its window, in the block before.
        assert_eq!(until(id), now() - 1 + terms(id).seed_blocks);
        for (who, _) in THREE {
            let auditor = Inference::worker(who).unwrap();
            assert!(!auditor.chilled);
            assert_eq!(auditor.open_audits, 0);
        }
        draw(id, &THREE);
        all_valid(id);
        assert_eq!(verdict(id), Some(true));
        finish(id);
        assert_eq!(status(id), JobStatus::Settled);
        for who in JURY {
            assert_eq!(stake(who), STAKE, "{who} is not fined");
        }
    });
}

#[test]
fn after_two_outages_the_larger_round_is_drawn_and_then_the_result_stands() {
    court(|| {
        let id = judged_by_three();
        play(id, |_| Act::Silent);
        draw(id, &THREE);
        play(id, |_| Act::Silent);
        draw(id, &FIVE);
        play(id, |_| Act::Silent);
        draw(id, &FIVE);
        play(id, |_| Act::Silent);
        use RoundKind::{First, Second};
        assert_eq!(kinds(id), [First, First, Second, Second]);
        assert_eq!((status(id), verdict(id)), (JobStatus::Decided, None));
        let before = Ledger::now();
        finish(id);
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE)),
            (BOB, plus(WAGE)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE)),
            (POT, plus(PREMIUM)),
        ]);
        for who in JURY {
            assert_eq!(stake(who), STAKE);
            assert!(!Inference::worker(who).unwrap().chilled);
        }
    });
}

#[test]
fn commitments_that_nobody_reveals_are_an_outage() {
    court(|| {
        let id = judged_by_three();
        play(id, |_| Act::Hide);
        assert_eq!(kinds(id), [RoundKind::First; 2]);
        draw(id, &THREE);
        all_valid(id);
        finish(id);
        for who in JURY {
            assert_eq!(stake(who), STAKE);
        }
    });
}

#[test]
fn a_second_round_can_have_an_outage_of_its_own() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Lazy), (BERT, Act::Invalid)]);
        draw(id, &FIVE);
        play(id, |_| Act::Silent);
        use RoundKind::{First, Second};
        assert_eq!(kinds(id), [First, Second, Second]);
        draw(id, &FIVE);
        all_invalid(id);
        assert_eq!(verdict(id), Some(false));
    });
}

#[test]
fn silent_seats_count_against_every_verdict() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Silent), (BERT, Act::Silent)]);
        assert_eq!(verdict(id), None, "one of three seats");
        assert_eq!(kinds(id), [RoundKind::First, RoundKind::Second]);
        for silent in [ANNA, BERT] {
            assert!(Inference::worker(silent).unwrap().chilled);
        }
        assert!(!Inference::worker(CLEO).unwrap().chilled);
    });
}

#[test]
fn vacant_seats_count_against_every_verdict() {
    court(|| {
        let id = delivered();
        fix_draw(id, |_, drawn| drawn == THREE);
        assert_ok!(Inference::chill(signed(ANNA)));
        assert_ok!(Inference::chill(signed(BERT)));
        pass(id);
        assert_eq!(sitting(id), [CLEO]);
        all_valid(id);
        assert_eq!(verdict(id), None);
        assert_eq!(kinds(id), [RoundKind::First, RoundKind::Second]);
    });
}

#[test]
fn an_empty_committee_is_an_outage() {
    court(|| {
        let id = delivered();
        fix_draw(id, |_, drawn| drawn == THREE);
        for (who, _) in THREE {
            assert_ok!(Inference::chill(signed(who)));
        }
        pass(id);
        // Nobody is waited for: the next round's seed is already on its way.
        assert_eq!(audit(id).phase, Phase::Drawing);
        assert_eq!(kinds(id), [RoundKind::First; 2]);
        assert_eq!(until(id), now() - 1 + terms(id).seed_blocks);
        draw(id, &[(CAROL, 1), (DORA, 1), (EMIL, 1)]);
        all_valid(id);
        assert_eq!(verdict(id), Some(true));
    });
}

#[test]
fn without_any_auditor_left_the_result_stands() {
    court(|| {
        let id = delivered();
        for who in JURY {
            assert_ok!(Inference::chill(signed(who)));
        }
        while status(id) != JobStatus::Decided {
            pass(id);
        }
        assert_eq!(verdict(id), None);
        use RoundKind::{First, Second};
        assert_eq!(kinds(id), [First, First, Second, Second]);
        finish(id);
        assert_eq!(status(id), JobStatus::Settled);
    });
}

#[test]
fn one_account_decides_alone_only_with_most_of_the_stake_among_three() {
    for (others, decides) in [(2, true), (1, false)] {
        market(|| {
            set_randomness(Some(0));
            assert_ok!(Inference::remove_offer(signed(CAROL), model()));
            let small = [ANNA, BERT].into_iter().take(others);
            for (who, stake) in small.map(|who| (who, 10_000)).chain([(CLEO, 900_000)]) {
                assert_ok!(Inference::register_worker(signed(who), stake, bytes("")));
                assert_ok!(offer(who, PRICES, 1));
            }
            run_to(2 * PERIOD);
            let id = delivered();
            draw(id, &[(CLEO, 3)]);
            all_valid(id);
            assert_eq!(verdict(id).is_some(), decides, "{others} others");
        });
    }
}

#[test]
fn a_round_ends_the_same_whoever_ends_it_and_when() {
    let outcome = |late: BlockNumber, by_hand: bool| {
        let mut found = None;
        court(|| {
            let id = judged_by_three();
            assert_ok!(commit(ANNA, id, Act::Valid));
            assert_ok!(commit(BERT, id, Act::Valid));
            jump_to(until(id) + 1);
            assert_ok!(Inference::progress_job(signed(EVE), id));
            assert_ok!(reveal(ANNA, id, Act::Valid));
            jump_to(until(id) + 1 + late);
            if by_hand {
                assert_ok!(Inference::progress_job(signed(EVE), id));
            } else {
                idle(frame_support::weights::Weight::MAX);
            }
            let audit = audit(id);
            found = Some((until(id), audit));
        });
        found
    };
    let at_once = outcome(0, true);
    assert!(at_once.is_some());
    // A block later the next round is drawn.
    for late in [0, 1] {
        assert_eq!(outcome(late, false), at_once);
        assert_eq!(outcome(late, true), at_once);
    }
}
