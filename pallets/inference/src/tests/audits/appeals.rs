//! `appeal_verdict`: once, by those it concerns, and with the last word.

use super::support::*;
use crate::{
    audits::{Phase, RoundKind},
    mock::*,
    primitives::*,
    Error, Event, HoldReason,
};
use frame_support::assert_ok;
use sp_runtime::traits::BadOrigin;

/// Seven seats without some accounts.
fn seven_without(absent: &[AccountId]) -> Vec<(AccountId, u32)> {
    let mut seats: Vec<_> = JURY
        .into_iter()
        .filter(|who| !absent.contains(who))
        .map(|who| (who, 1))
        .collect();
    let missing = 7 - seats.len() as u32;
    seats[0].1 += missing;
    seats
}

/// ANNA, BERT and CLEO have rejected a result of BOB's.
fn rejected() -> JobId {
    let id = judged_by_three();
    all_invalid(id);
    assert_eq!((status(id), verdict(id)), (JobStatus::Decided, Some(false)));
    id
}

/// They have found it right.
fn upheld() -> JobId {
    let id = judged_by_three();
    all_valid(id);
    id
}

#[test]
fn an_appeal_holds_a_bond_and_draws_a_full_round() {
    court(|| {
        let id = rejected();
        events();
        assert_ok!(Inference::appeal_verdict(signed(BOB), id));
        let draw_after = now() + terms(id).seed_blocks;
        assert_eq!(
            events(),
            [Event::VerdictAppealed {
                job: id,
                appellant: BOB,
                bond: APPEAL_BOND,
                draw_after
            }]
        );
        assert_eq!(held(BOB, HoldReason::AppealBond), APPEAL_BOND);
        assert_eq!((status(id), until(id)), (JobStatus::Audit, draw_after));
        draw(id, &SEVEN);
        let audit = audit(id);
        let (number, round) = audit.last_round().unwrap();
        assert_eq!((number, round.kind), (1, RoundKind::Appeal));
        assert!(Inference::audit(id).unwrap().rounds[1].appeal);
        let bond = Inference::audit(id).unwrap().appeal.unwrap();
        assert_eq!((bond.who, bond.amount), (BOB, APPEAL_BOND));
    });
}

#[test]
fn parties_and_the_outvoted_can_appeal_and_nobody_else() {
    court(|| {
        // BOB's result, disputed by EVE; CLEO is outvoted.
        let id = disputed_by(EVE);
        play_as(id, &[(CLEO, Act::Invalid)]);
        for who in [CAROL, DAVE, DORA, ANNA, BERT, NOBODY] {
            refuses(
                || Inference::appeal_verdict(signed(who), id),
                Error::NoStandingToAppeal,
            );
        }
    });
    for who in [ALICE, BOB, CLEO, EVE] {
        court(|| {
            let id = disputed_by(EVE);
            play_as(id, &[(CLEO, Act::Invalid)]);
            assert_ok!(Inference::appeal_verdict(signed(who), id));
        });
    }
}

#[test]
fn whoever_found_the_wrong_digest_can_appeal_and_whoever_was_silent_cannot() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Silent)]);
        refuses(
            || Inference::appeal_verdict(signed(ANNA), id),
            Error::NoStandingToAppeal,
        );
        let id = delivered();
        draw(id, &[(BERT, 1), (CLEO, 1), (DORA, 1)]);
        play_as(id, &[(BERT, Act::Lazy)]);
        assert_ok!(Inference::appeal_verdict(signed(BERT), id));
    });
}

#[test]
fn without_a_verdict_every_auditor_who_revealed_can_appeal() {
    for (who, may) in [(ANNA, true), (BERT, true), (CLEO, true), (EMIL, false)] {
        court(|| {
            let id = judged_by_three();
            play_as(id, &[(ANNA, Act::Lazy), (BERT, Act::Invalid)]);
            draw(id, &FIVE);
            play_as(
                id,
                &[
                    (ANNA, Act::Lazy),
                    (BERT, Act::Invalid),
                    (CLEO, Act::Invalid),
                    (EMIL, Act::Silent),
                ],
            );
            assert_eq!((status(id), verdict(id)), (JobStatus::Decided, None));
            let appeal = Inference::appeal_verdict(signed(who), id);
            assert_eq!(appeal.is_ok(), may, "{who}");
        });
    }
}

#[test]
fn the_last_block_of_the_appeal_time_counts_and_one_later_does_not() {
    court(|| {
        let id = rejected();
        jump_to(until(id));
        assert_ok!(Inference::appeal_verdict(signed(BOB), id));
    });
    court(|| {
        let id = rejected();
        jump_to(until(id) + 1);
        refuses(
            || Inference::appeal_verdict(signed(BOB), id),
            Error::TooLateToAppeal,
        );
        assert_ok!(Inference::progress_job(signed(EVE), id));
        refuses(
            || Inference::appeal_verdict(signed(BOB), id),
            Error::NothingToAppeal,
        );
    });
}

#[test]
fn there_must_be_something_to_appeal() {
    court(|| {
        refuses(
            || Inference::appeal_verdict(signed(ALICE), 9),
            Error::JobUnknown,
        );
        let id = claimed();
        let nothing = |id| {
            refuses(
                || Inference::appeal_verdict(signed(ALICE), id),
                Error::NothingToAppeal,
            )
        };
        nothing(id);
        assert_ok!(deliver(BOB, id));
        nothing(id);
        draw(id, &THREE);
        nothing(id);
        for (who, _) in THREE {
            assert_ok!(commit(who, id, Act::Valid));
        }
        nothing(id);
        for (who, _) in THREE {
            assert_ok!(reveal(who, id, Act::Valid));
        }
        finish(id);
        nothing(id);
    });
}

#[test]
fn there_is_one_appeal_and_it_has_the_last_word() {
    court(|| {
        let id = rejected();
        appeal(BOB, id, &SEVEN);
        refuses(
            || Inference::appeal_verdict(signed(ALICE), id),
            Error::NothingToAppeal,
        );
        all_valid(id);
        assert_eq!((status(id), verdict(id)), (JobStatus::Decided, Some(true)));
        assert_eq!(until(id), now(), "nothing is left to wait for");
        for who in [ALICE, BOB, ANNA] {
            refuses(
                || Inference::appeal_verdict(signed(who), id),
                Error::AlreadyAppealed,
            );
        }
    });
}

#[test]
fn an_appeal_needs_its_bond() {
    court(|| {
        let id = rejected();
        let short = free(BOB) - APPEAL_BOND + 1;
        assert_ok!(Balances::transfer_allow_death(signed(BOB), EVE, short));
        undoes(
            || Inference::appeal_verdict(signed(BOB), id),
            Error::BalanceTooLow,
        );
        // Everything that BOB has left besides its stake may be held.
        assert_ok!(Balances::transfer_allow_death(signed(EVE), BOB, 1 + ED));
        assert_ok!(Inference::appeal_verdict(signed(BOB), id));
    });
}

#[test]
fn an_appellant_gets_no_seat_and_two_others_must_be_left() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Invalid)]);
        assert_ok!(Inference::appeal_verdict(signed(ANNA), id));
        fix_draw(id, |_, drawn| {
            assert!(drawn.iter().all(|(who, _)| *who != ANNA));
            true
        });
        pass(id);
        assert_eq!(audit(id).rounds[1].eligible, 5);
    });
    market(|| {
        set_randomness(Some(0));
        assert_ok!(Inference::register_worker(signed(ANNA), STAKE, bytes("")));
        assert_ok!(offer(ANNA, PRICES, 1));
        run_to(2 * PERIOD);
        let id = delivered();
        judge(id, |who| {
            if who == ANNA {
                Act::Invalid
            } else {
                Act::Valid
            }
        });
        assert_eq!(status(id), JobStatus::Decided);
        refuses(
            || Inference::appeal_verdict(signed(ANNA), id),
            Error::NoAuditors,
        );
        assert_ok!(Inference::appeal_verdict(signed(ALICE), id));
    });
}

#[test]
fn an_honest_worker_whom_a_bad_round_rejected_loses_nothing() {
    court(|| {
        let before = Ledger::now();
        let id = rejected();
        appeal(BOB, id, &SEVEN);
        play_as(id, &[(ANNA, Act::Invalid)]);
        assert_eq!(verdict(id), Some(true));
        events();
        pass(id);
        assert!(events().contains(&Event::BondReturned {
            who: BOB,
            amount: APPEAL_BOND
        }));
        finish(id);
        assert_eq!(stake(BOB), STAKE);
        let bob = Inference::worker(BOB).unwrap();
        assert_eq!((bob.rejected, bob.last_rejection), (0, None));
        assert!(!bob.chilled);
        // Five seats of the appeal are right; the first round and ANNA's two seats were wrong. The
        // bond went back, so the pot has only the premium.
        let each = PREMIUM * PAY / (5 * PAY);
        let right = [CAROL, BERT, CLEO, DORA, EMIL];
        for who in [CAROL, DORA, EMIL] {
            assert_eq!(wealth(who), WEALTH + each, "{who}");
        }
        for who in [BERT, CLEO] {
            assert_eq!(wealth(who), WEALTH + each - WRONG_FINE);
        }
        assert_eq!(wealth(ANNA), WEALTH - 3 * WRONG_FINE);
        let fines = 5 * WRONG_FINE;
        let paid = each * right.len() as Balance;
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE)),
            (BOB, plus(WAGE)),
            (ANNA, minus(3 * WRONG_FINE)),
            (BERT, plus(each) - plus(WRONG_FINE)),
            (CLEO, plus(each) - plus(WRONG_FINE)),
            (CAROL, plus(each)),
            (DORA, plus(each)),
            (EMIL, plus(each)),
            (POT, plus(PREMIUM - paid)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE + fines)),
        ]);
    });
}

#[test]
fn a_worker_that_appeals_in_vain_pays_the_seats_too() {
    court(|| {
        let id = rejected();
        let before = Ledger::now();
        appeal(BOB, id, &SEVEN);
        all_invalid(id);
        finish(id);
        assert_eq!(status(id), JobStatus::Rejected);
        // Ten right seats: three of the first round, seven of the appeal. The bond pays all of
        // them and has something left for the treasury.
        let seats = 10 * PAY;
        before.expect([
            (ALICE, plus(WORST_CASE)),
            (BOB, minus(EXPOSURE + APPEAL_BOND)),
            (CAROL, plus(PAY)),
            (ANNA, plus(3 * PAY)),
            (BERT, plus(2 * PAY)),
            (CLEO, plus(2 * PAY)),
            (DORA, plus(PAY)),
            (EMIL, plus(PAY)),
            (TREASURY, plus(EXPOSURE + APPEAL_BOND - WORST_CASE - seats)),
        ]);
    });
}

#[test]
fn a_requester_that_appeals_in_vain_pays_the_seats_and_the_worker() {
    court(|| {
        let id = upheld();
        let before = Ledger::now();
        appeal(ALICE, id, &SEVEN);
        all_valid(id);
        finish(id);
        let seats = 10 * PAY;
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE + APPEAL_BOND)),
            (BOB, plus(WAGE + APPEAL_BOND - seats)),
            (POT, plus(PREMIUM)),
            (CAROL, plus(PAY)),
            (ANNA, plus(3 * PAY)),
            (BERT, plus(2 * PAY)),
            (CLEO, plus(2 * PAY)),
            (DORA, plus(PAY)),
            (EMIL, plus(PAY)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE)),
        ]);
    });
}

#[test]
fn an_auditor_whose_appeal_turns_the_verdict_is_rewarded_like_a_disputer() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Invalid)]);
        assert_eq!(verdict(id), Some(true));
        let before = Ledger::now();
        let others = seven_without(&[ANNA]);
        appeal(ANNA, id, &others);
        all_invalid(id);
        assert_eq!(verdict(id), Some(false));
        finish(id);
        // ANNA's seat of the first round is right in the end; BERT's and CLEO's are not.
        let seats = 8 * PAY;
        before.expect([
            (ALICE, plus(WORST_CASE)),
            (BOB, minus(EXPOSURE)),
            (ANNA, plus(WORST_CASE + PAY)),
            (CAROL, plus(3 * PAY)),
            (BERT, plus(PAY) - plus(WRONG_FINE)),
            (CLEO, plus(PAY) - plus(WRONG_FINE)),
            (DORA, plus(PAY)),
            (EMIL, plus(PAY)),
            (
                TREASURY,
                plus(EXPOSURE - 2 * WORST_CASE - seats + 2 * WRONG_FINE),
            ),
        ]);
        assert_eq!(held(ANNA, HoldReason::AppealBond), 0);
    });
}

#[test]
fn disputer_and_appellant_are_each_rewarded_but_one_account_once() {
    for (appellant, rewards) in [(CLEO, 2), (EVE, 1)] {
        court(|| {
            let id = disputed_by(EVE);
            play_as(id, &[(CLEO, Act::Invalid)]);
            let before = Ledger::now();
            appeal(appellant, id, &seven_without(&[CLEO]));
            all_invalid(id);
            finish(id);
            let changes = before.changes();
            let won = |who| changes.iter().find(|(other, _)| *other == who).unwrap().1;
            assert_eq!(won(EVE), plus(WORST_CASE));
            let cleo = if appellant == CLEO { WORST_CASE } else { 0 };
            assert_eq!(won(CLEO), plus(PAY + cleo));
            // ANNA and BERT were wrong in the first round.
            let paid = (1 + rewards) * WORST_CASE + 8 * PAY;
            assert_eq!(won(TREASURY), plus(EXPOSURE - paid + 2 * WRONG_FINE));
        });
    }
}

#[test]
fn an_appeal_that_only_confirms_a_rejection_is_not_rewarded() {
    court(|| {
        // CLEO thinks it right, and appeals against what is upheld.
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Invalid), (BERT, Act::Invalid)]);
        let before = Ledger::now();
        appeal(CLEO, id, &seven_without(&[CLEO]));
        all_invalid(id);
        finish(id);
        let changes = before.changes();
        let cleo = changes.iter().find(|(who, _)| *who == CLEO).unwrap();
        assert_eq!(cleo.1, minus(APPEAL_BOND + WRONG_FINE));
    });
}

#[test]
fn an_undecided_appeal_leaves_what_was_decided_and_pays_its_seats() {
    for wrong in [true, false] {
        court(|| {
            let id = if wrong { rejected() } else { upheld() };
            let appellant = if wrong { BOB } else { ALICE };
            appeal(appellant, id, &SEVEN);
            // Everybody has another digest.
            play(id, |_| if wrong { Act::Spite } else { Act::Lazy });
            assert_eq!(status(id), JobStatus::Decided);
            assert_eq!(verdict(id), Some(!wrong));
            assert_eq!(until(id), now());
            let before = free(appellant);
            events();
            pass(id);
            let lost = events().into_iter().find_map(|event| match event {
                Event::BondLost {
                    who,
                    to_auditors,
                    rest,
                } => Some((who, to_auditors, rest)),
                _ => None,
            });
            // All ten seats say what was decided, and the rest of the bond goes back.
            let seats = 10 * PAY;
            assert_eq!(lost, Some((appellant, seats, APPEAL_BOND - seats)));
            assert!(free(appellant) >= before + APPEAL_BOND - seats);
            assert_eq!(held(appellant, HoldReason::AppealBond), 0);
        });
    }
}

#[test]
fn an_appeal_in_which_nobody_acts_is_drawn_once_more() {
    court(|| {
        let id = rejected();
        appeal(BOB, id, &SEVEN);
        play(id, |_| Act::Silent);
        assert_eq!(audit(id).phase, Phase::Drawing);
        draw(id, &SEVEN);
        play(id, |_| Act::Silent);
        use RoundKind::{Appeal, First};
        let kinds: Vec<_> = audit(id).rounds.iter().map(|round| round.kind).collect();
        assert_eq!(kinds, [First, Appeal, Appeal]);
        assert_eq!((status(id), verdict(id)), (JobStatus::Decided, Some(false)));
        finish(id);
        assert_eq!(status(id), JobStatus::Rejected);
        for who in JURY {
            assert_eq!(stake(who), STAKE);
        }
    });
}

#[test]
fn a_result_that_stands_for_want_of_a_verdict_can_still_be_rejected_or_confirmed() {
    for valid in [true, false] {
        court(|| {
            let id = judged_by_three();
            play_as(id, &[(ANNA, Act::Lazy), (BERT, Act::Invalid)]);
            draw(id, &FIVE);
            play_as(
                id,
                &[(ANNA, Act::Lazy), (BERT, Act::Invalid), (CLEO, Act::Spite)],
            );
            assert_eq!((status(id), verdict(id)), (JobStatus::Decided, None));
            appeal(ALICE, id, &SEVEN);
            play(id, |_| if valid { Act::Valid } else { Act::Invalid });
            assert_eq!(verdict(id), Some(valid));
            finish(id);
            let expected = if valid {
                JobStatus::Settled
            } else {
                JobStatus::Rejected
            };
            assert_eq!(status(id), expected);
            assert_eq!(stake(BOB), if valid { STAKE } else { STAKE - EXPOSURE });
            // Of both rounds before, those who said so are right.
            let right = if valid { EMIL } else { BERT };
            let wrong = if valid { BERT } else { EMIL };
            assert_eq!(stake(right), STAKE);
            assert!(stake(wrong) < STAKE);
        });
    }
}

#[test]
fn the_longest_way_has_six_rounds() {
    court(|| {
        let id = judged_by_three();
        play(id, |_| Act::Silent);
        draw(id, &THREE);
        play_as(id, &[(ANNA, Act::Lazy), (BERT, Act::Invalid)]);
        draw(id, &FIVE);
        play(id, |_| Act::Silent);
        draw(id, &FIVE);
        play(id, |who| {
            if who == CAROL {
                Act::Invalid
            } else {
                Act::Lazy
            }
        });
        assert_eq!(status(id), JobStatus::Decided);
        appeal(ALICE, id, &SEVEN);
        play(id, |_| Act::Silent);
        draw(id, &SEVEN);
        all_invalid(id);
        assert_eq!(audit(id).rounds.len(), 6);
        finish(id);
        assert_eq!(status(id), JobStatus::Rejected);
        assert_eq!(stake(BOB), STAKE - EXPOSURE);
    });
}

#[test]
fn only_signed_accounts_appeal() {
    court(|| {
        let id = rejected();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_eq!(Inference::appeal_verdict(origin, id), Err(BadOrigin.into()));
        }
    });
}
