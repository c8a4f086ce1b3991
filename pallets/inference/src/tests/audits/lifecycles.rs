//! Accounts, models and parameters that come, go and change while an audit runs.

use super::support::*;
use crate::{
    audits::{RoundKind, Said},
    mock::*,
    primitives::*,
    AuditPots, Error, Event, HoldReason, Models, Workers,
};
use frame_support::assert_ok;

/// A worker that has lost all of its stake leaves, and takes along all that it owns.
fn leave_for_good(who: AccountId) {
    let rest = stake(who);
    if rest > 0 {
        lose_stake(who, rest);
    }
    assert_ok!(Inference::remove_offer(signed(who), model()));
    assert_ok!(Inference::withdraw_unbonded(signed(who)));
    assert!(!Workers::<Test>::contains_key(who));
    assert_ok!(Balances::transfer_all(signed(who), EVE, false));
    assert_eq!(wealth(who), 0);
    assert!(!System::account_exists(&who), "the account is reaped");
}

/// An account sends away all that is not held.
fn empty(who: AccountId) {
    assert_ok!(Balances::transfer_allow_death(signed(who), EVE, free(who)));
}

#[test]
fn an_auditor_that_chills_after_the_draw_still_has_its_seat() {
    for (act, fine) in [(Act::Valid, 0), (Act::Silent, SILENT_FINE)] {
        court(|| {
            let id = judged_by_three();
            assert_ok!(Inference::chill(signed(ANNA)));
            play_as(id, &[(ANNA, act)]);
            finish(id);
            assert_eq!(stake(ANNA), STAKE - fine);
            let paid = if fine == 0 { PAY } else { 0 };
            assert_eq!(wealth(ANNA), WEALTH + paid - fine);
        });
    }
}

#[test]
fn an_auditor_that_takes_its_offer_back_still_has_its_seat() {
    court(|| {
        let id = judged_by_three();
        assert_ok!(Inference::remove_offer(signed(ANNA), model()));
        all_valid(id);
        finish(id);
        assert_eq!(wealth(ANNA), WEALTH + PAY);
    });
}

#[test]
fn an_auditor_between_draw_and_verdict_cannot_withdraw() {
    court(|| {
        let id = judged_by_three();
        assert_ok!(Inference::unbond(signed(ANNA), STAKE));
        // As if the stake had been unbonding for long.
        Workers::<Test>::mutate(ANNA, |worker| {
            let parts = &mut worker.as_mut().unwrap().unbonding;
            parts.iter_mut().for_each(|part| part.from = now());
        });
        let refused = || {
            refuses(
                || Inference::withdraw_unbonded(signed(ANNA)),
                Error::SeatsOpen,
            )
        };
        refused();
        for (who, _) in THREE {
            assert_ok!(commit(who, id, Act::Valid));
        }
        refused();
        for (who, _) in THREE {
            refused();
            assert_ok!(reveal(who, id, Act::Valid));
        }
        assert_ok!(Inference::remove_offer(signed(ANNA), model()));
        assert_ok!(Inference::withdraw_unbonded(signed(ANNA)));
        // Its ballot counts, and it is paid.
        finish(id);
        assert_eq!(wealth(ANNA), WEALTH + PAY);
        assert!(Inference::worker(ANNA).is_none());
    });
}

#[test]
fn an_auditor_that_left_before_the_next_round_has_a_vacant_seat_there() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Lazy), (BERT, Act::Invalid)]);
        fix_draw(id, |_, drawn| {
            let mut five = FIVE.to_vec();
            five.sort();
            drawn == five
        });
        leave_for_good(ANNA);
        pass(id);
        let audit = audit(id);
        let anna = audit.rounds[1].auditors.iter().find(|a| a.who == ANNA);
        assert_eq!(anna.unwrap().said, Said::Vacant);
        play_as(id, &[(BERT, Act::Invalid)]);
        assert_eq!(verdict(id), Some(true), "three of five");
        // Nothing can be taken from her any more, and nothing gets stuck.
        finish(id);
        assert_eq!(status(id), JobStatus::Settled);
        assert_eq!(wealth(ANNA), 0);
    });
}

#[test]
fn a_reaped_auditor_that_is_due_dust_leaves_it_in_the_pot() {
    court(|| {
        let id = judged_by_three();
        all_invalid(id);
        pass(id);
        leave_for_good(ANNA);
        events();
        pass(id);
        assert_eq!(status(id), JobStatus::Rejected);
        assert_eq!(wealth(ANNA), 0, "11 are too few for an account");
        assert_eq!(pot(), PAY, "somebody else will be paid with it");
        assert!(
            events().contains(&Event::AuditorPaid {
                job: id,
                auditor: ANNA,
                seats: 1,
                amount: 0
            }),
            "the event says what was paid"
        );
    });
}

#[test]
fn a_reaped_auditor_that_is_funded_again_is_paid() {
    court(|| {
        let id = judged_by_three();
        all_invalid(id);
        pass(id);
        leave_for_good(ANNA);
        assert_ok!(Balances::transfer_allow_death(signed(EVE), ANNA, ED));
        pass(id);
        assert_eq!(wealth(ANNA), ED + PAY);
        assert_eq!(pot(), 0);
    });
}

#[test]
fn an_account_that_is_registered_anew_answers_for_what_it_did_before() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Invalid)]);
        pass(id);
        leave_for_good(ANNA);
        assert_ok!(Balances::transfer_allow_death(signed(EVE), ANNA, 50_000));
        let again = Inference::register_worker(signed(ANNA), 20_000, bytes(""));
        assert_ok!(again);
        finish(id);
        assert_eq!(stake(ANNA), 20_000 - WRONG_FINE);
    });
}

#[test]
fn a_disputer_whose_account_was_reaped_is_rewarded_in_a_new_one() {
    court(|| {
        assert_ok!(Balances::transfer_allow_death(
            signed(EVE),
            NOBODY,
            DISPUTE_BOND + ED
        ));
        let id = disputed_by(NOBODY);
        all_invalid(id);
        pass(id);
        empty(NOBODY);
        assert!(!System::account_exists(&NOBODY));
        finish(id);
        assert_eq!(wealth(NOBODY), WORST_CASE);
    });
}

#[test]
fn a_reward_too_small_for_a_new_account_goes_to_the_treasury() {
    court(|| {
        assert_ok!(Balances::transfer_allow_death(
            signed(EVE),
            NOBODY,
            DISPUTE_BOND + ED
        ));
        let id = disputed_by(NOBODY);
        all_invalid(id);
        pass(id);
        empty(NOBODY);
        let dust = ED - 1;
        lose_stake(BOB, STAKE - WORST_CASE - 3 * PAY - dust);
        let before = free(TREASURY);
        events();
        finish(id);
        assert_eq!(wealth(NOBODY), 0);
        assert_eq!(free(TREASURY), before + dust);
        assert!(events().contains(&Event::PaymentDiverted {
            payee: NOBODY,
            instead: Some(TREASURY),
            amount: dust
        }));
    });
}

#[test]
fn a_worker_that_runs_away_after_its_delivery_is_caught() {
    court(|| {
        let id = delivered();
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        assert_ok!(Inference::unbond(signed(BOB), STAKE));
        draw(id, &THREE);
        all_invalid(id);
        finish(id);
        assert_eq!(stake(BOB), STAKE - EXPOSURE);
        refuses(
            || Inference::withdraw_unbonded(signed(BOB)),
            Error::NothingToWithdraw,
        );
        jump_to(now() + UNBONDING);
        assert_ok!(Inference::withdraw_unbonded(signed(BOB)));
        assert_eq!(wealth(BOB), WEALTH - EXPOSURE);
    });
}

#[test]
fn a_worker_that_takes_its_offer_back_is_paid_for_what_is_right() {
    court(|| {
        let id = judged_by_three();
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        all_valid(id);
        finish(id);
        assert_eq!(wealth(BOB), WEALTH + WAGE);
    });
}

#[test]
fn auditors_are_fined_even_if_the_worker_is_gone() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Invalid)]);
        pass(id);
        assert_eq!(status(id), JobStatus::Slashing);
        leave_for_good(BOB);
        finish(id);
        assert_eq!(status(id), JobStatus::Settled);
        assert_eq!(stake(ANNA), STAKE - WRONG_FINE);
    });
}

#[test]
fn a_worker_without_stake_stays_until_its_rejection_is_booked() {
    court(|| {
        let id = judged_by_three();
        all_invalid(id);
        pass(id);
        lose_stake(BOB, STAKE);
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        refuses(
            || Inference::withdraw_unbonded(signed(BOB)),
            Error::NothingToWithdraw,
        );
        let before = Ledger::now();
        finish(id);
        assert_eq!(status(id), JobStatus::Rejected);
        before.expect([]);
        assert_ok!(Inference::withdraw_unbonded(signed(BOB)));
        assert!(Inference::worker(BOB).is_none());
    });
}

#[test]
fn a_model_retired_in_between_lives_until_its_audits_are_over() {
    for invalid in [false, true] {
        court(|| {
            let id = judged_by_three();
            assert_ok!(Inference::retire_model(signed(DAVE), model()));
            play(id, |who| match who {
                ANNA => Act::Silent,
                _ if invalid => Act::Invalid,
                _ => Act::Valid,
            });
            assert_ok!(Inference::appeal_verdict(signed(ALICE), id));
            draw(
                id,
                &[(CAROL, 3), (BERT, 1), (CLEO, 1), (DORA, 1), (EMIL, 1)],
            );
            play(id, |_| if invalid { Act::Invalid } else { Act::Valid });
            pass(id);
            assert_eq!(status(id), JobStatus::Slashing);
            assert!(Models::<Test>::contains_key(model()));
            finish(id);
            assert!(!Models::<Test>::contains_key(model()));
            assert_eq!(held(DAVE, HoldReason::ModelDeposit), 0);
        });
    }
}

#[test]
fn what_a_model_saved_for_audits_waits_for_its_return() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Silent)]);
        assert_ok!(Inference::retire_model(signed(DAVE), model()));
        finish(id);
        assert!(!Models::<Test>::contains_key(model()));
        assert_eq!(AuditPots::<Test>::get(model()), PAY);
        let again = Inference::register_model(signed(EVE), registration(&manifest()));
        assert_ok!(again);
        assert_eq!(pot(), PAY);
    });
}

#[test]
fn an_account_that_audits_one_job_and_works_on_another_answers_for_both() {
    court(|| {
        let audited = judged_by_three();
        // ANNA works for EVE meanwhile; BOB, whom she audits, audits her.
        let own = submit_from(EVE);
        assert_ok!(Inference::claim_job(signed(ANNA), own));
        assert_ok!(deliver(ANNA, own));
        draw(own, &[(BOB, 1), (CAROL, 1), (DORA, 1)]);
        all_invalid(own);
        play_as(audited, &[(ANNA, Act::Invalid)]);
        pass(own);
        pass(audited);
        finish(audited);
        finish(own);
        assert_eq!(status(own), JobStatus::Rejected);
        assert_eq!(stake(ANNA), STAKE - EXPOSURE - WRONG_FINE);
        assert_eq!(wealth(BOB), WEALTH + WAGE + PAY);
    });
}

#[test]
fn a_worker_that_is_its_own_requester_is_judged_like_any_other() {
    court(|| {
        let id = submit_from(BOB);
        assert_ok!(Inference::claim_job(signed(BOB), id));
        assert_ok!(deliver(BOB, id));
        let before = Ledger::now();
        draw(id, &THREE);
        refuses(
            || Inference::dispute_result(signed(BOB), id),
            Error::UnderAudit,
        );
        all_invalid(id);
        finish(id);
        let seats = 3 * PAY;
        before.expect([
            (BOB, plus(WORST_CASE) - plus(EXPOSURE)),
            (ANNA, plus(PAY)),
            (BERT, plus(PAY)),
            (CLEO, plus(PAY)),
            (TREASURY, plus(EXPOSURE - WORST_CASE - seats)),
        ]);
    });
}

#[test]
fn a_disputer_may_audit_other_jobs_and_an_auditor_dispute_them() {
    court(|| {
        let judged = judged_by_three();
        reparametrise(|p| p.probation_jobs = 0);
        let other = delivered();
        fix_draw(other, |hit, _| !hit);
        pass(other);
        assert_ok!(Inference::dispute_result(signed(ANNA), other));
        draw(other, &[(BERT, 1), (CLEO, 1), (DORA, 1)]);
        all_valid(judged);
        all_valid(other);
        finish(judged);
        finish(other);
        assert_eq!(wealth(ANNA), WEALTH + PAY - DISPUTE_BOND);
        assert_eq!(wealth(BERT), WEALTH + 2 * PAY);
    });
}

#[test]
fn new_parameters_leave_a_running_audit_alone() {
    let play_through = |change: bool| {
        let mut found = None;
        court(|| {
            let id = delivered();
            if change {
                reparametrise(|p| {
                    p.seed_blocks = 5;
                    p.commit_window = 3;
                    p.reveal_window = 2;
                    p.appeal_window = 1;
                    p.slash_delay = 2;
                    p.repeat_window = 1;
                    p.first_seats = 5;
                    p.second_seats = 9;
                    p.appeal_seats = 11;
                    p.fined_audits = 0;
                    p.premium_percent = 200;
                    p.bond_floor = 10_000;
                    p.wrong_fine = sp_runtime::Permill::from_percent(90);
                    p.silent_fine = sp_runtime::Permill::from_percent(80);
                    p.silent_fine_pays = 1_000;
                    p.exposure_factor = 1;
                    p.protocol_share = sp_runtime::Permill::from_percent(9);
                });
            }
            let before = Ledger::now();
            draw(id, &THREE);
            play_as(id, &[(ANNA, Act::Lazy), (BERT, Act::Invalid)]);
            draw(id, &FIVE);
            play_as(id, &[(ANNA, Act::Silent), (BERT, Act::Invalid)]);
            appeal(ALICE, id, &SEVEN);
            let kinds: Vec<_> = audit(id).rounds.iter().map(|round| round.kind).collect();
            assert_eq!(
                kinds,
                [RoundKind::First, RoundKind::Second, RoundKind::Appeal]
            );
            all_valid(id);
            finish(id);
            found = Some((now(), before.changes()));
        });
        found
    };
    assert!(play_through(false).is_some());
    assert_eq!(play_through(false), play_through(true));
}

#[test]
fn a_treasury_that_cannot_receive_dust_leaves_it_to_the_worker() {
    court(|| {
        reparametrise(|p| {
            p.delivery_fee = 0;
            p.delivery_fee_per_byte = 0;
        });
        let id = judged_by_three();
        empty(TREASURY);
        assert!(!System::account_exists(&TREASURY));
        all_valid(id);
        finish(id);
        assert_eq!(status(id), JobStatus::Settled);
        assert_eq!(wealth(BOB), WEALTH + WAGE + PROTOCOL);
        assert_eq!(wealth(TREASURY), 0);
    });
}

#[test]
fn a_treasury_that_is_gone_comes_back_with_the_first_slash() {
    court(|| {
        let id = judged_by_three();
        empty(TREASURY);
        all_invalid(id);
        finish(id);
        assert_eq!(wealth(TREASURY), EXPOSURE - WORST_CASE - 3 * PAY);
    });
}

#[test]
fn without_a_pot_the_premium_is_the_workers_and_seats_are_paid_by_losers_only() {
    // A small premium could not be received; a large one could, but never be paid out in full.
    for usage in [
        USAGE,
        Usage {
            input: 10,
            output: 10,
        },
    ] {
        court(|| {
            let id = claimed();
            let ids: Vec<u32> = (0..usage.output).collect();
            let claim = ResultClaim {
                usage,
                ..result_claim()
            };
            assert_ok!(deliver_with(BOB, id, b"", &ids, claim));
            draw(id, &THREE);
            empty(POT);
            all_valid(id);
            let before = Ledger::now();
            finish(id);
            assert_eq!(status(id), JobStatus::Settled);
            let fee = Inference::job(id).unwrap().fee.unwrap();
            let protocol = fee / 100;
            before.expect([
                (ALICE, minus(fee + DELIVERY_FEE)),
                (BOB, plus(fee - protocol)),
                (TREASURY, plus(protocol + DELIVERY_FEE)),
            ]);
            assert_eq!(pot(), 0);
        });
    }
}

#[test]
fn a_requester_whose_account_was_emptied_gets_everything_back() {
    court(|| {
        let id = judged_by_three();
        empty_but_holds(ALICE);
        all_invalid(id);
        finish(id);
        pass(id);
        assert_eq!(held(ALICE, HoldReason::Job), 0);
        assert_eq!(
            wealth(ALICE),
            ED + FEE + DELIVERY_FEE + JOB_DEPOSIT + WORST_CASE
        );
    });
}

/// An account sends away all but what an account with holds must keep.
fn empty_but_holds(who: AccountId) {
    let all = free(who) - ED;
    assert_ok!(Balances::transfer_allow_death(signed(who), EVE, all));
}
