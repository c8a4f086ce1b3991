//! `dispute_result`: anyone can have a result checked, at a price if it is right.

use super::support::*;
use crate::{audits::Phase, mock::*, primitives::*, weights::WeightInfo, Error, Event, HoldReason};
use frame_support::assert_ok;
use sp_runtime::traits::BadOrigin;

type Weights = ();

#[test]
fn anyone_can_dispute_a_result_under_review() {
    for who in [ALICE, EVE, CAROL, DORA] {
        court(|| {
            let id = missed();
            events();
            assert_ok!(Inference::dispute_result(signed(who), id));
            let draw_after = now() + terms(id).seed_blocks;
            assert_eq!(
                events(),
                [
                    Event::ResultDisputed {
                        job: id,
                        disputer: who,
                        bond: DISPUTE_BOND
                    },
                    Event::AuditBegun {
                        job: id,
                        disputed: true,
                        draw_after
                    }
                ]
            );
            assert_eq!(held(who, HoldReason::DisputeBond), DISPUTE_BOND);
            assert_eq!((status(id), until(id)), (JobStatus::Audit, draw_after));
            let bond = Inference::audit(id).unwrap().dispute.unwrap();
            assert_eq!((bond.who, bond.amount), (who, DISPUTE_BOND));
            // The fee waits for the verdict.
            assert_eq!(
                held(ALICE, HoldReason::Job),
                FEE + JOB_DEPOSIT + DELIVERY_FEE
            );
        });
    }
}

#[test]
fn the_last_block_of_the_review_is_in_time() {
    court(|| {
        let id = missed();
        jump_to(until(id));
        assert_ok!(Inference::dispute_result(signed(EVE), id));
    });
}

#[test]
fn a_dispute_is_charged_for_moving_the_entry_in_the_agenda_if_it_must() {
    let charged = |id| {
        let info = Inference::dispute_result(signed(EVE), id).unwrap();
        info.actual_weight.unwrap()
    };
    court(|| {
        let id = missed();
        // At the end of the review, later than the audit's draw.
        assert!(job(id).listed > now() + terms(id).seed_blocks + 1);
        assert_eq!(
            charged(id),
            Weights::dispute_result().saturating_add(Weights::on_idle_relist())
        );
        assert_eq!(job(id).listed, job(id).state.due());
    });
    court(|| {
        let id = missed();
        jump_to(until(id));
        assert_eq!(charged(id), Weights::dispute_result());
        assert!(job(id).listed < job(id).state.due());
    });
}

#[test]
fn one_block_later_the_result_is_paid() {
    court(|| {
        let id = missed();
        jump_to(until(id) + 1);
        undoes(
            || Inference::dispute_result(signed(EVE), id),
            Error::TooLateToDispute,
        );
        idle(frame_support::weights::Weight::MAX);
        assert_eq!(status(id), JobStatus::Settled);
        refuses(
            || Inference::dispute_result(signed(EVE), id),
            Error::TooLateToDispute,
        );
    });
}

#[test]
fn there_is_a_time_to_dispute() {
    court(|| {
        refuses(
            || Inference::dispute_result(signed(EVE), 7),
            Error::JobUnknown,
        );
        let id = submit();
        refuses(
            || Inference::dispute_result(signed(EVE), id),
            Error::NothingToDispute,
        );
        assert_ok!(Inference::claim_job(signed(BOB), id));
        refuses(
            || Inference::dispute_result(signed(EVE), id),
            Error::NothingToDispute,
        );
        assert_ok!(deliver(BOB, id));
        refuses(
            || Inference::dispute_result(signed(EVE), id),
            Error::DrawPending,
        );
        draw(id, &THREE);
        refuses(
            || Inference::dispute_result(signed(EVE), id),
            Error::UnderAudit,
        );
        all_invalid(id);
        refuses(
            || Inference::dispute_result(signed(EVE), id),
            Error::UnderAudit,
        );
        pass(id);
        assert_eq!(status(id), JobStatus::Slashing);
        refuses(
            || Inference::dispute_result(signed(EVE), id),
            Error::TooLateToDispute,
        );
        pass(id);
        assert_eq!(status(id), JobStatus::Rejected);
        refuses(
            || Inference::dispute_result(signed(EVE), id),
            Error::TooLateToDispute,
        );
        for id in [submit(), submit()] {
            assert_ok!(Inference::cancel_job(signed(ALICE), id));
            refuses(
                || Inference::dispute_result(signed(EVE), id),
                Error::TooLateToDispute,
            );
        }
    });
}

#[test]
fn a_result_is_disputed_once() {
    court(|| {
        let id = missed();
        assert_ok!(Inference::dispute_result(signed(EVE), id));
        for who in [EVE, ALICE] {
            refuses(
                || Inference::dispute_result(signed(who), id),
                Error::UnderAudit,
            );
        }
    });
}

#[test]
fn nobody_disputes_its_own_result_or_without_a_bond() {
    court(|| {
        let id = missed();
        refuses(
            || Inference::dispute_result(signed(BOB), id),
            Error::OwnResult,
        );
        refuses(
            || Inference::dispute_result(signed(NOBODY), id),
            Error::BalanceTooLow,
        );
        // One unit short of the bond and what an account must keep.
        let short = DISPUTE_BOND + ED - 1;
        assert_ok!(Balances::transfer_keep_alive(signed(EVE), NOBODY, short));
        undoes(
            || Inference::dispute_result(signed(NOBODY), id),
            Error::BalanceTooLow,
        );
        assert_ok!(Balances::transfer_keep_alive(signed(EVE), NOBODY, 1));
        assert_ok!(Inference::dispute_result(signed(NOBODY), id));
    });
}

#[test]
fn a_dispute_needs_two_who_can_judge_besides_the_disputer() {
    market(|| {
        set_randomness(Some(0));
        assert_ok!(Inference::register_worker(signed(ANNA), STAKE, bytes("")));
        assert_ok!(offer(ANNA, PRICES, 1));
        run_to(2 * PERIOD);
        let id = missed();
        // CAROL and ANNA could judge; if one of them disputes, the other would be alone.
        refuses(
            || Inference::dispute_result(signed(ANNA), id),
            Error::NoAuditors,
        );
        assert_ok!(Inference::dispute_result(signed(EVE), id));
    });
}

#[test]
fn the_disputer_gets_no_seat() {
    court(|| {
        let id = missed();
        assert_ok!(Inference::dispute_result(signed(ANNA), id));
        fix_draw(id, |_, drawn| {
            assert!(drawn.iter().all(|(who, _)| *who != ANNA));
            drawn.len() == 1
        });
        pass(id);
        assert_eq!(audit(id).rounds[0].eligible, 5);
    });
}

#[test]
fn a_disputer_who_is_right_gets_the_bond_back_and_one_worst_case_fee() {
    court(|| {
        let id = disputed_by(EVE);
        let before = Ledger::now();
        all_invalid(id);
        events();
        pass(id);
        assert!(events().contains(&Event::BondReturned {
            who: EVE,
            amount: DISPUTE_BOND
        }));
        assert_eq!(held(EVE, HoldReason::DisputeBond), 0);
        pass(id);
        let seats = 3 * PAY;
        before.expect([
            (ALICE, plus(WORST_CASE)),
            (EVE, plus(WORST_CASE)),
            (BOB, minus(EXPOSURE)),
            (ANNA, plus(PAY)),
            (BERT, plus(PAY)),
            (CLEO, plus(PAY)),
            (TREASURY, plus(EXPOSURE - 2 * WORST_CASE - seats)),
        ]);
    });
}

#[test]
fn a_requester_who_disputes_rightly_is_paid_once() {
    court(|| {
        let id = disputed_by(ALICE);
        let before = Ledger::now();
        all_invalid(id);
        finish(id);
        let changes = before.changes();
        assert!(changes.contains(&(ALICE, plus(WORST_CASE))));
        let treasury = EXPOSURE - WORST_CASE - 3 * PAY;
        assert!(changes.contains(&(TREASURY, plus(treasury))));
    });
}

#[test]
fn a_disputer_who_is_wrong_pays_auditors_and_worker() {
    court(|| {
        let id = disputed_by(EVE);
        let before = Ledger::now();
        all_valid(id);
        events();
        pass(id);
        assert!(events().contains(&Event::BondLost {
            who: EVE,
            to_auditors: 3 * PAY,
            rest: DISPUTE_BOND - 3 * PAY
        }));
        assert_eq!(status(id), JobStatus::Settled);
        let premium = 1;
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE)),
            (EVE, minus(DISPUTE_BOND)),
            (BOB, plus(FEE - PROTOCOL - premium + DISPUTE_BOND - 3 * PAY)),
            (ANNA, plus(PAY)),
            (BERT, plus(PAY)),
            (CLEO, plus(PAY)),
            (POT, plus(premium)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE)),
        ]);
    });
}

#[test]
fn a_dispute_without_a_verdict_costs_nobody_anything() {
    court(|| {
        let id = disputed_by(EVE);
        let split = [(ANNA, Act::Lazy), (BERT, Act::Invalid)];
        play_as(id, &split);
        assert_eq!(audit(id).phase, Phase::Drawing);
        draw(
            id,
            &[(CAROL, 1), (ANNA, 1), (BERT, 1), (CLEO, 1), (DORA, 1)],
        );
        play_as(
            id,
            &[(ANNA, Act::Lazy), (BERT, Act::Invalid), (CAROL, Act::Spite)],
        );
        assert_eq!(verdict(id), None);
        let before = Ledger::now();
        pass(id);
        assert_eq!(status(id), JobStatus::Settled);
        assert_eq!(held(EVE, HoldReason::DisputeBond), 0);
        let premium = 1;
        // Nothing is there for the eight seats but the premium; a share of it is nothing.
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE)),
            (BOB, plus(FEE - PROTOCOL - premium)),
            (POT, plus(premium)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE)),
        ]);
    });
}

#[test]
fn a_bond_follows_the_fee_and_the_worst_case() {
    court(|| {
        let terms = parameters().audit_terms(manifest().terms.seat_pay, 1);
        assert_eq!(terms.dispute_bond(FEE, WORST_CASE), DISPUTE_BOND);
        assert_eq!(terms.dispute_bond(FEE, 10), 3 * PAY + terms.bond_floor);
        assert_eq!(
            terms.dispute_bond(10 * FEE, WORST_CASE),
            30 * PAY + 2 * WORST_CASE / 5
        );
    });
}

#[test]
fn only_signed_accounts_dispute() {
    court(|| {
        let id = missed();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_eq!(
                Inference::dispute_result(origin, id).map_err(|e| e.error),
                Err(BadOrigin.into())
            );
        }
    });
}
