//! The outcome: what is paid at once, to whom, out of what.

use super::support::*;
use crate::{mock::*, primitives::*, Event, HoldReason};
use frame_support::assert_ok;

#[test]
fn an_upheld_result_pays_worker_protocol_and_seats() {
    court(|| {
        let id = judged_by_three();
        let before = Ledger::now();
        all_valid(id);
        // No money moves before the appeal time is over.
        jump_to(until(id));
        before.expect([]);
        events();
        pass(id);
        assert_eq!(status(id), JobStatus::Settled);
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE)),
            (BOB, plus(WAGE)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE)),
            (ANNA, plus(PAY)),
            (BERT, plus(PAY)),
            (CLEO, plus(PAY)),
        ]);
        assert_eq!(pot(), 0, "the premium was the pay of the seats");
        let events = events();
        assert!(events.contains(&Event::JobSettled {
            job: id,
            worker: BOB,
            paid: WAGE,
            protocol: PROTOCOL,
            premium: PREMIUM
        }));
        for (auditor, seats) in THREE {
            assert!(events.contains(&Event::AuditorPaid {
                job: id,
                auditor,
                seats,
                amount: PAY
            }));
            assert_eq!(Inference::worker(auditor).unwrap().audited, 1);
        }
        let bob = Inference::worker(BOB).unwrap();
        assert_eq!((bob.exposure, bob.settled, bob.rejected), (0, 1, 0));
        assert!(!bob.chilled);
    });
}

#[test]
fn a_rejected_result_is_refunded_at_once_and_slashed_later() {
    court(|| {
        let id = judged_by_three();
        let before = Ledger::now();
        let escrow = free(ALICE);
        all_invalid(id);
        let decided_until = until(id);
        events();
        pass(id);
        let slash_after = decided_until + terms(id).slash_delay;
        assert_eq!((status(id), until(id)), (JobStatus::Slashing, slash_after));
        assert_eq!(free(ALICE), escrow + FEE + DELIVERY_FEE);
        before.expect([]);
        assert_eq!(
            events(),
            [
                Event::WorkerChilled { worker: BOB },
                Event::JobRejected {
                    job: id,
                    worker: BOB,
                    fee: FEE,
                    refund: FEE + DELIVERY_FEE
                },
                Event::SlashScheduled {
                    job: id,
                    who: BOB,
                    amount: EXPOSURE,
                    after: slash_after
                }
            ]
        );
        let bob = Inference::worker(BOB).unwrap();
        assert_eq!((bob.rejected, bob.last_rejection), (1, Some(decided_until)));
        assert_eq!(
            bob.exposure, EXPOSURE,
            "the stake is not free before the slash"
        );
        let offers = Inference::offers(model(), None, 16);
        let offer = offers.iter().find(|offer| offer.worker == BOB).unwrap();
        assert_eq!((offer.audited_valid, offer.audited_failed), (0, 1));
        pass(id);
        assert_eq!(status(id), JobStatus::Rejected);
        before.expect([
            (ALICE, plus(WORST_CASE)),
            (BOB, minus(EXPOSURE)),
            (ANNA, plus(PAY)),
            (BERT, plus(PAY)),
            (CLEO, plus(PAY)),
            (TREASURY, plus(EXPOSURE - WORST_CASE - 3 * PAY)),
        ]);
        assert_eq!(Inference::worker(BOB).unwrap().exposure, 0);
    });
}

#[test]
fn a_fault_is_audited_like_an_output() {
    let fault = Fault {
        code: FaultCode::ActivationOverflow,
        position: 6,
    };
    for valid in [true, false] {
        court(|| {
            let id = claimed();
            let claim = ResultClaim {
                usage: Usage {
                    input: 10,
                    output: 1,
                },
                fault: Some(fault),
                ..result_claim()
            };
            assert_ok!(deliver_with(BOB, id, b"h", &[5], claim));
            draw(id, &THREE);
            assert_eq!(
                Inference::seats(ANNA, None, 1)[0].attestation.fault,
                Some(fault)
            );
            play(id, |_| if valid { Act::Valid } else { Act::Invalid });
            finish(id);
            let lost = if valid { 0 } else { EXPOSURE };
            assert_eq!(stake(BOB), STAKE - lost);
        });
    }
}

#[test]
fn seats_share_what_there_is_pro_rata() {
    court(|| {
        // Missed results have paid 1 into the pot, and a dispute without a verdict leaves the seats
        // with what the pot holds.
        let id = delivered();
        draw(id, &[(ANNA, 2), (BERT, 1)]);
        play_as(id, &[(BERT, Act::Invalid)]);
        draw(id, &FIVE);
        all_valid(id);
        let before = Ledger::now();
        finish(id);
        // Seven seats are right, BERT's first one was not; the premium pays three.
        let one = PREMIUM * PAY / (7 * PAY);
        let three = PREMIUM * 3 * PAY / (7 * PAY);
        assert_eq!((one, three), (4, 14));
        let paid = three + 4 * one;
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE)),
            (BOB, plus(WAGE)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE + WRONG_FINE)),
            (POT, plus(PREMIUM - paid)),
            (ANNA, plus(three)),
            (BERT, plus(one) - plus(WRONG_FINE)),
            (CLEO, plus(one)),
            (DORA, plus(one)),
            (EMIL, plus(one)),
        ]);
        assert_eq!(pot(), PREMIUM - paid);

        // What is left helps the next ones.
        let id = judged_by(&[(CAROL, 1), (CLEO, 1), (DORA, 1)]);
        all_valid(id);
        let before = Ledger::now();
        finish(id);
        assert!(before.changes().contains(&(CAROL, plus(PAY))));
        assert_eq!(pot(), PREMIUM - paid);
    });
}

fn judged_by(wanted: &[(AccountId, u32)]) -> JobId {
    let id = delivered();
    draw(id, wanted);
    id
}

#[test]
fn silent_and_wrong_seats_are_not_paid() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Silent)]);
        pass(id);
        assert_eq!(wealth(ANNA), WEALTH);
        assert_eq!((wealth(BERT), wealth(CLEO)), (WEALTH + PAY, WEALTH + PAY));
        assert_eq!(pot(), PAY, "what she did not earn is kept for later seats");
        let id = judged_by(&[(CAROL, 1), (DORA, 1), (EMIL, 1)]);
        play_as(id, &[(DORA, Act::Lazy)]);
        pass(id);
        assert_eq!((wealth(CAROL), wealth(EMIL)), (WEALTH + PAY, WEALTH + PAY));
        assert_eq!(wealth(DORA), WEALTH, "her fine comes later");
        assert_eq!(pot(), 2 * PAY);
    });
}

#[test]
fn seats_of_the_same_account_are_paid_together() {
    court(|| {
        let id = judged_by(&[(ANNA, 2), (BERT, 1)]);
        all_valid(id);
        events();
        finish(id);
        assert_eq!(wealth(ANNA), WEALTH + 2 * PAY);
        assert!(events().contains(&Event::AuditorPaid {
            job: id,
            auditor: ANNA,
            seats: 2,
            amount: 2 * PAY
        }));
        assert_eq!(Inference::worker(ANNA).unwrap().audited, 2);
    });
}

#[test]
fn the_outcome_is_the_same_whoever_brings_it_about_and_when() {
    let outcome = |late: BlockNumber, invalid: bool| {
        let mut found = None;
        court(|| {
            let before = Ledger::now();
            let id = judged_by_three();
            play_as(id, &[(ANNA, Act::Silent)]);
            if invalid {
                assert_ok!(Inference::appeal_verdict(signed(ALICE), id));
                draw(id, &SEVEN);
                all_invalid(id);
            }
            jump_to(until(id) + 1 + late);
            assert_ok!(Inference::progress_job(signed(EVE), id));
            let slash_after = until(id);
            jump_to(slash_after + 1 + late);
            assert_ok!(Inference::progress_job(signed(DAVE), id));
            assert!(status(id).is_final());
            found = Some((slash_after, until(id), before.changes()));
        });
        found
    };
    for invalid in [false, true] {
        let at_once = outcome(0, invalid);
        assert!(at_once.is_some());
        for late in [1, 7, 15] {
            assert_eq!(outcome(late, invalid), at_once);
        }
    }
}

#[test]
fn on_idle_brings_a_whole_audit_to_its_end() {
    court(|| {
        let id = judged_by_three();
        all_invalid(id);
        run_to(now() + 200);
        assert!(
            crate::Jobs::<Test>::get(id).is_none(),
            "dropped with its record"
        );
        assert!(crate::Audits::<Test>::get(id).is_none());
        assert_eq!(stake(BOB), STAKE - EXPOSURE);
        assert_eq!(held(ALICE, HoldReason::Job), 0);
    });
}

#[test]
fn the_record_of_an_audit_lasts_as_long_as_the_job() {
    court(|| {
        let id = judged_by_three();
        all_valid(id);
        finish(id);
        jump_to(until(id));
        let view = Inference::audit(id).unwrap();
        assert_eq!((view.rounds.len(), view.valid), (1, Some(true)));
        pass(id);
        assert!(Inference::audit(id).is_none());
    });
}
