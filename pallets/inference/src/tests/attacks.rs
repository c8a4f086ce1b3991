//! Attacks on the market, each shown to fail. `docs/threat-model.md` names them all, says what each
//! would gain, and what is not protected.
//!
//! Every test is one attack; the comment says what the attacker wants. BOB works, ALICE asks,
//! ANNA to EMIL and CAROL audit, EVE is whoever helps an attacker from outside.

use super::audits::support::*;
use crate::{
    audits::{Phase, RoundKind},
    mock::*,
    primitives::{
        audit::{ballot_commitment, Ballot},
        *,
    },
    Error, HoldReason, Jobs,
};
use frame_support::{assert_ok, traits::Hooks, weights::Weight};
use sp_runtime::Perbill;

// Auditors who do not work, or want to decide more than their stake.

/// BERT wants pay without running the model: he commits what ANNA committed, and reveals what she
/// reveals.
#[test]
fn copied_commit() {
    court(|| {
        let id = judged_by_three();
        let anna = ballot(ANNA, id, Act::Valid).unwrap();
        let copied = commitment(ANNA, id, anna);
        assert_ok!(commit(ANNA, id, Act::Valid));
        assert_ok!(Inference::commit_ballot(signed(BERT), id, copied));
        assert_ok!(commit(CLEO, id, Act::Valid));
        assert_ok!(reveal(ANNA, id, Act::Valid));
        refuses(|| reveal(BERT, id, Act::Valid), Error::CommitmentDiffers);
        assert_ok!(reveal(CLEO, id, Act::Valid));
        finish(id);
        assert_eq!(wealth(BERT), WEALTH - WRONG_FINE);
    });
}

/// BERT waits for ANNA's reveal, to say the same without having committed to it.
#[test]
fn reveal_without_commit() {
    court(|| {
        let id = judged_by_three();
        assert_ok!(commit(ANNA, id, Act::Valid));
        assert_ok!(commit(CLEO, id, Act::Valid));
        pass(id);
        assert_ok!(reveal(ANNA, id, Act::Valid));
        refuses(|| reveal(BERT, id, Act::Valid), Error::NothingCommitted);
        // A commitment of an earlier audit does not help either.
        assert_ok!(reveal(CLEO, id, Act::Valid));
        finish(id);
        assert_eq!(wealth(BERT), WEALTH - SILENT_FINE);
    });
}

/// BERT commits once he has seen what ANNA reveals.
#[test]
fn commit_after_reveals_began() {
    court(|| {
        let id = judged_by_three();
        assert_ok!(commit(ANNA, id, Act::Valid));
        assert_ok!(commit(CLEO, id, Act::Valid));
        pass(id);
        assert_eq!(audit(id).phase, Phase::Reveal);
        assert_ok!(reveal(ANNA, id, Act::Valid));
        refuses(|| commit(BERT, id, Act::Valid), Error::NotCommitting);
    });
}

/// EMIL has seen the digest that won the first round, and repeats it in the appeal, where he would
/// have to run the model again.
#[test]
fn copied_digest_in_the_appeal_round() {
    court(|| {
        let id = judged_by_three();
        let seen = ballot(ANNA, id, Act::Valid).unwrap();
        all_valid(id);
        appeal(ALICE, id, &SEVEN);
        assert_ne!(replayed(id), seen.digest);
        for who in JURY {
            let ballot = if who == EMIL {
                seen
            } else {
                ballot(who, id, Act::Valid).unwrap()
            };
            let commitment = commitment(who, id, ballot);
            assert_ok!(Inference::commit_ballot(signed(who), id, commitment));
        }
        for who in JURY.into_iter().filter(|who| *who != EMIL) {
            assert_ok!(reveal(who, id, Act::Valid));
        }
        let (digest, valid) = (seen.digest, seen.valid);
        assert_ok!(Inference::reveal_ballot(
            signed(EMIL),
            id,
            digest,
            valid,
            SALT
        ));
        finish(id);
        assert_eq!(wealth(EMIL), WEALTH - WRONG_FINE);
    });
}

/// ANNA says that everything is right and never runs a model.
#[test]
fn rubber_stamp() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Lazy)]);
        finish(id);
        assert_eq!(wealth(ANNA), WEALTH - WRONG_FINE);
    });
}

/// A hostile minority reveals what cannot win, so that no round has a verdict.
#[test]
fn digests_made_up_to_spoil_the_round() {
    court(|| {
        // BOB's result is wrong; ANNA, BERT and EMIL are with him.
        let id = judged_by_three();
        let hostile = |who| match who {
            ANNA => Act::Spite,
            BERT | EMIL => Act::Lazy,
            _ => Act::Invalid,
        };
        play(id, hostile);
        draw(id, &FIVE);
        play(id, hostile);
        assert_eq!((status(id), verdict(id)), (JobStatus::Decided, None));
        // Whoever found the result wrong can have it rejected, and earns by it.
        appeal(
            CLEO,
            id,
            &[(CAROL, 2), (ANNA, 1), (BERT, 1), (DORA, 2), (EMIL, 1)],
        );
        play(id, hostile);
        assert_eq!(verdict(id), Some(false));
        finish(id);
        assert_eq!(stake(BOB), STAKE - EXPOSURE);
        assert_eq!(wealth(CLEO), WEALTH + WORST_CASE + 2 * PAY);
        // ANNA's made-up digest lost in the round that decided; the others were wrong in all.
        assert_eq!(stake(ANNA), STAKE - WRONG_FINE);
        assert_eq!(stake(BERT), STAKE - 3 * WRONG_FINE);
        assert_eq!(stake(EMIL), STAKE - 2 * WRONG_FINE);
    });
}

/// ANNA wants two ballots, one for each outcome, and to reveal whichever wins.
#[test]
fn two_ballots_for_one_account() {
    court(|| {
        let id = delivered();
        draw(id, &[(ANNA, 2), (BERT, 1)]);
        assert_ok!(commit(ANNA, id, Act::Valid));
        refuses(|| commit(ANNA, id, Act::Invalid), Error::AlreadyCommitted);
        assert_ok!(commit(BERT, id, Act::Valid));
        assert_ok!(reveal(ANNA, id, Act::Valid));
        refuses(|| reveal(ANNA, id, Act::Invalid), Error::AlreadyRevealed);
        assert_eq!(audit(id).rounds[0].auditors.len(), 2);
    });
}

/// ANNA alone has all seats, and wants them to be a quorum.
#[test]
fn a_committee_of_one() {
    court(|| {
        let id = delivered();
        draw(id, &[(ANNA, 3)]);
        all_invalid(id);
        assert_eq!(verdict(id), None, "one account, however many seats");
        draw(id, &[(ANNA, 5)]);
        all_invalid(id);
        assert_eq!((status(id), verdict(id)), (JobStatus::Decided, None));
        finish(id);
        assert_eq!(stake(BOB), STAKE);
    });
}

/// 300,000 are split among three accounts, to be drawn more often.
#[test]
fn split_accounts_against_one_large_stake() {
    let seats_of = |stakes: &[(AccountId, Balance)]| {
        let mut drawn = Vec::new();
        market(|| {
            set_randomness(Some(0));
            for (who, stake) in stakes {
                assert_ok!(Inference::register_worker(signed(*who), *stake, bytes("")));
                assert_ok!(offer(*who, PRICES, 1));
            }
            run_to(2 * PERIOD);
            // Every result is drawn, however many were right.
            reparametrise(|p| p.probation_jobs = 1_000);
            for salt in 0..20 {
                set_randomness(Some(salt));
                let id = submit();
                assert_ok!(Inference::claim_job(signed(BOB), id));
                assert_ok!(deliver(BOB, id));
                pass(id);
                let theirs = seats(id, 0).into_iter().filter(|(who, _)| *who != CAROL);
                drawn.push(theirs.map(|(_, seats)| seats).sum::<u32>());
                // Nobody else joins; the next job comes after this one.
                judge(id, |_| Act::Valid);
                finish(id);
                run_to(2 * PERIOD + 60 * (salt as BlockNumber + 1));
            }
        });
        drawn
    };
    let whole = seats_of(&[(ANNA, 3 * STAKE), (BERT, 10_000)]);
    let split = seats_of(&[(ANNA, STAKE), (CLEO, STAKE), (DORA, STAKE), (BERT, 10_000)]);
    assert!(whole.iter().any(|seats| *seats < 3));
    assert_eq!(whole, split);
}

/// ALICE, who would get her money back, and EVE, who would get a reward, want to judge themselves.
#[test]
fn requester_or_disputer_as_auditor() {
    court(|| {
        // ANNA asks, BERT disputes.
        reparametrise(|p| p.probation_jobs = 0);
        let id = submit_from(ANNA);
        assert_ok!(Inference::claim_job(signed(BOB), id));
        assert_ok!(deliver(BOB, id));
        fix_draw(id, |hit, _| !hit);
        pass(id);
        assert_ok!(Inference::dispute_result(signed(BERT), id));
        draw(id, &[(CAROL, 1), (CLEO, 1), (DORA, 1)]);
        for party in [ANNA, BERT, BOB] {
            refuses(
                || Inference::commit_ballot(signed(party), id, H256::zero()),
                Error::NoSeat,
            );
        }
        all_valid(id);
        assert_ok!(Inference::appeal_verdict(signed(ANNA), id));
        pass(id);
        let sitting = sitting(id);
        assert!(sitting.iter().all(|who| ![ANNA, BERT, BOB].contains(who)));
    });
}

/// What was committed on one job, in one round or on another chain, is to be used on the next.
#[test]
fn ballots_used_again() {
    court(|| {
        let id = judged_by_three();
        let ballot = ballot(ANNA, id, Act::Valid).unwrap();
        let of = |genesis, job, round, who: AccountId| {
            ballot_commitment(&genesis, job, round, &who, &ballot, &SALT)
        };
        let genesis = Inference::genesis_hash();
        let other_chain = H256::repeat_byte(1);
        for foreign in [
            of(other_chain, id, 0, ANNA),
            of(genesis, id + 1, 0, ANNA),
            of(genesis, id, 1, ANNA),
            of(genesis, id, 0, BERT),
        ] {
            assert_ne!(foreign, of(genesis, id, 0, ANNA));
        }
        assert_ok!(Inference::commit_ballot(
            signed(ANNA),
            id,
            of(genesis, id, 1, ANNA)
        ));
        assert_ok!(commit(BERT, id, Act::Valid));
        assert_ok!(commit(CLEO, id, Act::Valid));
        refuses(|| reveal(ANNA, id, Act::Valid), Error::CommitmentDiffers);
    });
}

/// An account that is drawn again hopes to inherit what it revealed before.
#[test]
fn a_seat_drawn_again_inherits_nothing() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Lazy), (BERT, Act::Invalid)]);
        draw(id, &FIVE);
        let second = &audit(id).rounds[1];
        assert!(second
            .auditors
            .iter()
            .all(|auditor| auditor.ballot().is_none()));
        refuses(|| reveal(ANNA, id, Act::Lazy), Error::NothingCommitted);
    });
}

// Draws.

/// Somebody joins, leaves or stakes more once a job is there that it wants to judge.
#[test]
fn joining_leaving_or_restaking_between_delivery_and_draw() {
    let seats_after = |what: fn()| {
        let mut drawn = Vec::new();
        court(|| {
            let id = delivered();
            what();
            pass(id);
            drawn = seats(id, 0);
        });
        drawn
    };
    let drawn = seats_after(|| {});
    let join = || {
        assert_ok!(Inference::register_worker(signed(EVE), 900_000, bytes("")));
        assert_ok!(offer(EVE, PRICES, 1));
    };
    let leave = || {
        assert_ok!(Inference::remove_offer(signed(EMIL), model()));
        assert_ok!(Inference::unbond(signed(DORA), STAKE));
    };
    let restake = || {
        assert_ok!(Inference::bond_more(signed(CLEO), 800_000));
        assert_ok!(Inference::unbond(signed(CAROL), STAKE - 10_000));
    };
    assert_eq!(seats_after(join), drawn);
    assert_eq!(seats_after(leave), drawn);
    assert_eq!(seats_after(restake), drawn);
}

/// BOB calls `progress_job` in the block whose seed suits him.
#[test]
fn poking_early_or_late_to_change_a_draw() {
    let seats_if_poked = |late: BlockNumber| {
        let mut found = None;
        court(|| {
            let id = delivered();
            jump_to(until(id));
            refuses(
                || Inference::progress_job(signed(BOB), id),
                Error::NothingDue,
            );
            jump_to(until(id) + 1 + late);
            assert_ok!(Inference::progress_job(signed(BOB), id));
            found = Some((seats(id, 0), audit(id).rounds[0].seed, until(id)));
        });
        found
    };
    let at_once = seats_if_poked(0);
    assert!(at_once.is_some());
    for late in [1, 2, 5, 8] {
        assert_eq!(seats_if_poked(late), at_once, "{late} blocks late");
    }
}

/// BOB looks at what the draw would be before he delivers, and delivers only what it will miss.
#[test]
fn knowing_the_draw_before_the_delivery() {
    court(|| {
        let id = claimed();
        let seeds_known = Inference::seed_after(now(), terms(id).seed_blocks);
        assert_eq!(seeds_known, None);
        assert_ok!(deliver(BOB, id));
        assert_eq!(until(id), now() + terms(id).seed_blocks);
        assert_eq!(Inference::seed_after(now(), terms(id).seed_blocks), None);
        jump_to(until(id));
        let seed = Inference::seed_after(until(id) - 2, 2);
        assert_eq!(seed, None, "its last block is not over");
    });
}

/// BOB knows which blocks his friends will author, and delivers right before a run of theirs.
#[test]
fn a_delivery_timed_for_friendly_authors() {
    let drawn_if_delivered_after = |blocks| {
        let mut drawn = None;
        court(|| {
            reparametrise(|p| p.seed_interval = 10);
            run_to(2 * PERIOD + 1);
            let id = claimed();
            jump_to(now() + blocks);
            assert_ok!(deliver(BOB, id));
            let ends = until(id);
            jump_to(ends + 1);
            assert_ok!(Inference::progress_job(signed(EVE), id));
            drawn = Some((ends, audit(id).rounds[0].seed));
        });
        drawn.unwrap()
    };
    let (ends, seed) = drawn_if_delivered_after(0);
    assert_eq!(ends, 3 * PERIOD + parameters().seed_blocks);
    // Whenever he delivers before block 30, it is the same draw.
    for blocks in 1..10 {
        assert_eq!(drawn_if_delivered_after(blocks), (ends, seed));
    }
}

/// BOB claims little usage, so that the chance of an audit, if it followed the fee, would fall.
#[test]
fn little_usage_to_lower_the_chance_of_an_audit() {
    court(|| {
        reparametrise(|p| p.probation_jobs = 0);
        let id = claimed();
        let usage = Usage {
            input: 0,
            output: 0,
        };
        let claim = ResultClaim {
            usage,
            ..result_claim()
        };
        assert_ok!(deliver_with(BOB, id, b"no", &[], claim));
        let view = Inference::job(id).unwrap();
        let honest = terms(id).chance(WORST_CASE, EXPOSURE, false);
        assert_eq!(view.audit_chance, Some(honest));
    });
}

// Results that are wrong. On chain each is the same: auditors who replay the job find it wrong.

/// BOB delivers `claim` and `output`, and is caught; the requester has its money back and more.
fn caught(output: &[u8], ids: &[u32], claim: ResultClaim) {
    court(|| {
        let before = Ledger::now();
        let id = claimed();
        assert_ok!(deliver_with(BOB, id, output, ids, claim));
        draw(id, &THREE);
        let seat = &Inference::seats(ANNA, None, 1)[0];
        assert_eq!(seat.attestation.usage, claim.usage);
        assert_eq!(seat.attestation.trace, claim.trace);
        assert_eq!(seat.attestation.fault, claim.fault);
        assert_eq!(seat.output, output);
        all_invalid(id);
        finish(id);
        assert_eq!(status(id), JobStatus::Rejected);
        before.expect([
            (ALICE, plus(WORST_CASE)),
            (BOB, minus(EXPOSURE)),
            (ANNA, plus(PAY * wage_of(id))),
            (BERT, plus(PAY * wage_of(id))),
            (CLEO, plus(PAY * wage_of(id))),
            (
                TREASURY,
                plus(EXPOSURE - WORST_CASE - 3 * PAY * wage_of(id)),
            ),
        ]);
    });
}

/// How many times the usual fee a job's fee is.
fn wage_of(id: JobId) -> Balance {
    let fee = Inference::job(id).unwrap().fee.unwrap();
    assert_eq!(
        fee % FEE,
        0,
        "the tests' usages cost a multiple of the usual fee"
    );
    fee / FEE
}

/// BOB did not run the model, and makes up the trace.
#[test]
fn wrong_trace() {
    let claim = ResultClaim {
        trace: H256::zero(),
        ..result_claim()
    };
    caught(OUTPUT.as_bytes(), &[5, 600, 2], claim);
}

/// BOB charges for more tokens than the prompt has: 10 x 10 + 6 x 20 is twice the usual fee.
#[test]
fn usage_inflated() {
    let usage = Usage {
        input: 10,
        output: 6,
    };
    let claim = ResultClaim {
        usage,
        ..result_claim()
    };
    caught(OUTPUT.as_bytes(), &[5, 600, 2, 2, 2, 2], claim);
}

/// BOB charges for more than the job's terms allow at all.
#[test]
fn usage_beyond_the_escrow() {
    court(|| {
        let id = claimed();
        let claim = |input, output| ResultClaim {
            usage: Usage { input, output },
            ..result_claim()
        };
        let eleven: Vec<u32> = (0..11).collect();
        refuses(
            || deliver_with(BOB, id, b"", &eleven, claim(10, 11)),
            Error::OutputUsageTooHigh,
        );
        refuses(
            || deliver_with(BOB, id, b"", &[1], claim(11, 1)),
            Error::InputUsageTooHigh,
        );
        assert_ok!(deliver_with(BOB, id, b"", &eleven[..10], claim(10, 10)));
        assert_eq!(
            held(ALICE, HoldReason::Job),
            WORST_CASE + JOB_DEPOSIT + DELIVERY_FEE
        );
        const { assert!(WORST_CASE <= MAX_FEE) };
    });
}

/// BOB puts an advertisement into the answer, with the evidence of the true one.
#[test]
fn output_altered() {
    caught(b"buy now", &[5, 600, 2], result_claim());
}

/// BOB saves the work: the model has overflowed, he says.
#[test]
fn false_fault() {
    let claim = ResultClaim {
        usage: Usage::default(),
        fault: Some(Fault {
            code: FaultCode::ActivationOverflow,
            position: 0,
        }),
        ..result_claim()
    };
    caught(b"", &[], claim);
}

/// BOB wants to be paid twice, or to put a better answer in the place of the one he is caught with.
#[test]
fn deliver_twice() {
    court(|| {
        let id = delivered();
        refuses(|| deliver(BOB, id), Error::AlreadyDelivered);
        draw(id, &THREE);
        refuses(|| deliver(BOB, id), Error::AlreadyDelivered);
        all_invalid(id);
        refuses(|| deliver(BOB, id), Error::AlreadyDelivered);
        finish(id);
        refuses(|| deliver(BOB, id), Error::AlreadyDelivered);
    });
}

/// CAROL wants the job that BOB has claimed in the same block.
#[test]
fn claim_race() {
    court(|| {
        let id = submit();
        assert_ok!(Inference::claim_job(signed(BOB), id));
        refuses(
            || Inference::claim_job(signed(CAROL), id),
            Error::AlreadyClaimed,
        );
        refuses(|| deliver(CAROL, id), Error::NotYourClaim);
        assert_eq!(Inference::worker(CAROL).unwrap().exposure, 0);
    });
}

/// CAROL sees BOB's delivery on its way and delivers it as her own.
#[test]
fn somebody_elses_answer() {
    court(|| {
        let (bobs, carols) = (claimed(), submit());
        assert_ok!(Inference::claim_job(signed(CAROL), carols));
        refuses(|| deliver(CAROL, bobs), Error::NotYourClaim);
        assert_ok!(deliver(BOB, bobs));
        // The attestation is bound to worker and job, so his is of no use to her.
        assert_ok!(deliver(CAROL, carols));
        let hash = |id| Inference::result(id).unwrap().attestation_hash;
        assert_ne!(hash(bobs), hash(carols));
    });
}

// Disputes and appeals for profit or for delay.

/// EVE freezes payouts for nothing.
#[test]
fn dispute_without_bond_or_after_the_window() {
    court(|| {
        let id = missed();
        refuses(
            || Inference::dispute_result(signed(NOBODY), id),
            Error::BalanceTooLow,
        );
        jump_to(until(id) + 1);
        undoes(
            || Inference::dispute_result(signed(EVE), id),
            Error::TooLateToDispute,
        );
    });
}

/// EVE disputes what she knows to be right, again and again, to keep BOB from his money.
#[test]
fn disputes_that_freeze_funds() {
    court(|| {
        let id = disputed_by(EVE);
        all_valid(id);
        pass(id);
        // Seven blocks of appeal time, and BOB has his fee and what EVE put at stake.
        assert_eq!(status(id), JobStatus::Settled);
        assert!(wealth(BOB) > WEALTH + WAGE + PREMIUM);
        assert_eq!(wealth(EVE), WEALTH - DISPUTE_BOND);
        refuses(
            || Inference::dispute_result(signed(EVE), id),
            Error::TooLateToDispute,
        );
    });
}

/// BOB delivers rubbish to EVE, his accomplice, who disputes it and is rewarded.
#[test]
fn self_dispute_for_profit() {
    court(|| {
        reparametrise(|p| p.probation_jobs = 0);
        let together = |who: &[AccountId]| who.iter().map(|who| wealth(*who)).sum::<Balance>();
        let gang = [BOB, EVE, DAVE, EMIL];
        let before = together(&gang);
        // EVE asks, DAVE disputes, EMIL sits with them.
        let id = submit_from(EVE);
        assert_ok!(Inference::claim_job(signed(BOB), id));
        assert_ok!(deliver(BOB, id));
        fix_draw(id, |hit, _| !hit);
        pass(id);
        assert_ok!(Inference::dispute_result(signed(DAVE), id));
        draw(id, &[(CLEO, 1), (DORA, 1), (EMIL, 1)]);
        all_invalid(id);
        finish(id);
        let won = 2 * WORST_CASE + PAY;
        assert_eq!(together(&gang), before - EXPOSURE + won);
        assert!(won < EXPOSURE / 10);
    });
}

/// Rejected rightly, BOB appeals, to keep his stake longer, or for another try.
#[test]
fn appeals_to_gain_time() {
    court(|| {
        let id = judged_by_three();
        all_invalid(id);
        appeal(BOB, id, &SEVEN);
        all_invalid(id);
        refuses(
            || Inference::appeal_verdict(signed(BOB), id),
            Error::AlreadyAppealed,
        );
        finish(id);
        assert_eq!(wealth(BOB), WEALTH - EXPOSURE - APPEAL_BOND);
    });
}

/// ALICE promises a fortune, most of which comes back to her, so that BOB cannot pay the bond of an
/// appeal against her friends' verdict.
#[test]
fn an_escrow_so_large_that_no_appeal_can_be_paid() {
    court(|| {
        assert_ok!(Inference::submit_job(
            signed(ALICE),
            model(),
            bytes(INPUT),
            MAX_OUTPUT,
            WEALTH / 2
        ));
        let id = last_job();
        assert_ok!(Inference::claim_job(signed(BOB), id));
        assert_ok!(deliver(BOB, id));
        draw(id, &THREE);
        all_invalid(id);
        assert_ok!(Inference::appeal_verdict(signed(BOB), id));
        assert_eq!(held(BOB, HoldReason::AppealBond), APPEAL_BOND);
    });
}

/// Two of three auditors are hostile, and reject what is right.
#[test]
fn majority_wrong_in_the_first_round_and_put_right_on_appeal() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Invalid), (BERT, Act::Invalid)]);
        assert_eq!(verdict(id), Some(false));
        appeal(BOB, id, &SEVEN);
        play_as(id, &[(ANNA, Act::Invalid), (BERT, Act::Invalid)]);
        assert_eq!(verdict(id), Some(true));
        finish(id);
        // BOB is paid in full; CLEO, whom they outvoted, too; they pay for each of their seats.
        assert_eq!(wealth(BOB), WEALTH + WAGE);
        assert_eq!(stake(CLEO), STAKE);
        assert!(wealth(CLEO) > WEALTH);
        assert_eq!(stake(ANNA), STAKE - 3 * WRONG_FINE);
        assert_eq!(stake(BERT), STAKE - 2 * WRONG_FINE);
    });
}

// Ways around an audit.

/// BOB asks himself, accepts at once, and so is past his probation before anybody looks.
#[test]
fn probation_washed_by_self_dealt_accepts() {
    market(|| {
        // While nobody can audit, results count nothing, accepted or not.
        for _ in 0..5 {
            let id = submit_from(EVE);
            assert_ok!(Inference::claim_job(signed(BOB), id));
            assert_ok!(deliver(BOB, id));
            assert_ok!(Inference::accept_result(signed(EVE), id));
            assert_eq!(status(id), JobStatus::Settled);
        }
        let record = |who| {
            let offers = Inference::offers(model(), None, 16);
            let offer = offers.into_iter().find(|offer| offer.worker == who);
            offer.unwrap().audited_valid
        };
        assert_eq!(record(BOB), 0);
    });
    court(|| {
        let id = submit_from(EVE);
        assert_ok!(Inference::claim_job(signed(BOB), id));
        assert_ok!(deliver(BOB, id));
        assert_ok!(Inference::accept_result(signed(EVE), id));
        assert_eq!(
            Inference::job(id).unwrap().audit_chance,
            Some(Perbill::one())
        );
        pass(id);
        assert_eq!(status(id), JobStatus::Audit);
    });
}

/// EVE, BOB's accomplice, accepts his result before it can be drawn.
#[test]
fn accept_to_escape_an_audit() {
    court(|| {
        let id = submit_from(EVE);
        assert_ok!(Inference::claim_job(signed(BOB), id));
        assert_ok!(deliver(BOB, id));
        assert_ok!(Inference::accept_result(signed(EVE), id));
        assert_eq!(status(id), JobStatus::Delivered, "not paid yet");
        draw(id, &THREE);
        refuses(
            || Inference::accept_result(signed(EVE), id),
            Error::UnderAudit,
        );
        all_invalid(id);
        finish(id);
        assert_eq!(stake(BOB), STAKE - EXPOSURE);
    });
}

/// BOB takes his stake out before he can be slashed.
#[test]
fn exit_before_slash() {
    court(|| {
        let id = delivered();
        assert_ok!(Inference::unbond(signed(BOB), STAKE));
        draw(id, &THREE);
        all_invalid(id);
        pass(id);
        // Even if all of it had finished unbonding, what answers for the job stays.
        crate::Workers::<Test>::mutate(BOB, |worker| {
            let parts = &mut worker.as_mut().unwrap().unbonding;
            parts.iter_mut().for_each(|part| part.from = now());
        });
        assert_ok!(Inference::withdraw_unbonded(signed(BOB)));
        assert_eq!(stake(BOB), EXPOSURE);
        refuses(
            || Inference::withdraw_unbonded(signed(BOB)),
            Error::StakeBacksJobs,
        );
        finish(id);
        assert_eq!(stake(BOB), 0);
        assert_eq!(wealth(BOB), WEALTH - EXPOSURE);
    });
    // And it cannot have finished unbonding: that takes longer than any claim.
    assert!(parameters().unbonding_period > parameters().longest_job());
    assert!(Parameters::default().unbonding_period > Parameters::default().longest_job());
}

/// ANNA begins to unbond when the pool has just counted her stake, to sit on late jobs of the period
/// with stake that is gone before she can be fined.
#[test]
fn an_auditor_that_unbonds_before_the_job_it_is_drawn_for() {
    court(|| {
        reparametrise(|p| p.unbonding_period = p.longest_job() + 1);
        run_to(3 * PERIOD);
        assert_ok!(Inference::unbond(signed(ANNA), STAKE - 10_000));
        run_to(4 * PERIOD - 1);
        let id = delivered();
        let pool = Inference::audit_pool(model());
        let weight = pool.iter().find(|member| member.who == ANNA).unwrap();
        assert_eq!(weight.stake, STAKE, "she still weighs what she had");
        // Open and claimed twice, draw, review, six rounds, appeal time, delay of the slash.
        let longest = 2 * (100 + 50) + 3 + 15 + 6 * (3 + 1_800 + 6) + 7 + 20;
        let free_from = crate::Workers::<Test>::get(ANNA).unwrap().unbonding[0].from;
        assert!(free_from > job(id).submitted_at + longest);
    });
}

/// BOB claims more than his stake can answer for: cheating on all of it would pay.
#[test]
fn more_claims_than_the_stake_covers() {
    court(|| {
        reparametrise(|p| p.exposure_factor = 150);
        let (first, second) = (claimed(), claimed());
        let third = submit();
        refuses(
            || Inference::claim_job(signed(BOB), third),
            Error::FreeStakeTooSmall,
        );
        for id in [first, second] {
            assert_ok!(deliver(BOB, id));
            refuses(
                || Inference::claim_job(signed(BOB), third),
                Error::FreeStakeTooSmall,
            );
        }
    });
}

/// BOB leaves his offer and makes another: a wrong result is to be forgotten.
#[test]
fn a_new_offer_to_wash_a_record() {
    court(|| {
        let id = judged_by_three();
        all_invalid(id);
        pass(id);
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        assert_ok!(offer(BOB, PRICES, 3));
        assert_ok!(Inference::activate(signed(BOB)));
        let again = claimed();
        let record = job(again);
        let claim = record.state.claim().unwrap();
        assert!(claim.repeated, "the whole stake answers");
        assert!(claim.probation, "and it is audited for certain");
    });
}

// Prices and claims.

/// BOB raises his price when he sees what ALICE is ready to pay.
#[test]
fn repricing_before_a_claim() {
    court(|| {
        let id = submit_under(JobConditions {
            max_price_input: PRICES.input,
            max_price_output: PRICES.output,
            ..JobConditions::default()
        })
        .unwrap();
        let dearer = Prices {
            output: PRICES.output + 1,
            ..PRICES
        };
        assert_ok!(offer(BOB, dearer, 3));
        refuses(
            || Inference::claim_job(signed(BOB), id),
            Error::PriceAboveCap,
        );
        // Without caps the escrow is the limit.
        let id = submit();
        assert_ok!(offer(
            BOB,
            Prices {
                input: 50,
                output: 51
            },
            3
        ));
        refuses(
            || Inference::claim_job(signed(BOB), id),
            Error::WorstCaseAboveEscrow,
        );
        // And a price that is taken is fixed.
        assert_ok!(offer(BOB, PRICES, 3));
        assert_ok!(Inference::claim_job(signed(BOB), id));
        assert_ok!(offer(BOB, dearer, 3));
        assert_ok!(deliver(BOB, id));
        assert_eq!(Inference::job(id).unwrap().fee, Some(FEE));
    });
}

/// BOB claims all jobs, to keep them from others, and delivers none.
#[test]
fn squatting_on_claims() {
    court(|| {
        let jobs: Vec<_> = (0..3).map(|_| claimed()).collect();
        let one_more = submit();
        refuses(
            || Inference::claim_job(signed(BOB), one_more),
            Error::AtCapacity,
        );
        run_to(until(jobs[0]) + 1);
        // Each costs him half of what it could have earned, and he cannot take it again.
        assert_eq!(stake(BOB), STAKE - 3 * WORST_CASE / 2);
        for id in &jobs {
            assert_eq!(status(*id), JobStatus::Open);
            refuses(
                || Inference::claim_job(signed(BOB), *id),
                Error::BarredFromJob,
            );
        }
        assert_ok!(Inference::claim_job(signed(CAROL), jobs[0]));
    });
}

/// ALICE takes answers without money for them.
#[test]
fn free_inference() {
    court(|| {
        refuses(
            || Inference::submit_job(signed(NOBODY), model(), bytes(INPUT), MAX_OUTPUT, MAX_FEE),
            Error::BalanceTooLow,
        );
        // What she has promised she cannot spend, whatever she freezes or sends away.
        let id = claimed();
        let all = free(ALICE);
        assert!(Balances::transfer_allow_death(signed(ALICE), EVE, all + 1).is_err());
        assert_ok!(Balances::transfer_allow_death(signed(ALICE), EVE, all - ED));
        assert_ok!(deliver(BOB, id));
        judge(id, |_| Act::Valid);
        finish(id);
        assert_eq!(status(id), JobStatus::Settled);
        assert!(wealth(BOB) > WEALTH);
    });
}

// Silence, outages, changes from above.

/// All auditors keep silent, so that nothing is ever decided, and nobody paid.
#[test]
fn all_auditors_silent() {
    court(|| {
        let id = delivered();
        judge(id, |_| Act::Silent);
        assert_eq!((status(id), verdict(id)), (JobStatus::Decided, None));
        finish(id);
        assert_eq!(status(id), JobStatus::Settled);
        assert_eq!(wealth(BOB), WEALTH + WAGE);
    });
}

/// Auditors stay silent in turn, to drag an audit out: each silence costs, and chills.
#[test]
fn silence_to_drag_an_audit_out() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Silent), (BERT, Act::Silent)]);
        draw(
            id,
            &[(CAROL, 1), (ANNA, 1), (BERT, 1), (CLEO, 1), (DORA, 1)],
        );
        // The two are chilled, so nothing is expected of them any more.
        assert_eq!(sitting(id).len(), 3);
        all_valid(id);
        assert_eq!(verdict(id), Some(true), "three of five seats");
        finish(id);
        assert_eq!(stake(ANNA), STAKE - SILENT_FINE);
    });
}

/// Nobody's attack: the network of the auditors is down for a while.
#[test]
fn an_outage() {
    court(|| {
        let id = judged_by_three();
        assert_ok!(commit(ANNA, id, Act::Valid));
        pass(id);
        pass(id);
        let kinds: Vec<_> = audit(id).rounds.iter().map(|round| round.kind).collect();
        assert_eq!(kinds, [RoundKind::First; 2]);
        draw(id, &THREE);
        all_valid(id);
        finish(id);
        for who in JURY {
            assert_eq!(stake(who), STAKE);
        }
        assert_eq!(wealth(BOB), WEALTH + WAGE);
    });
}

/// Governance changes the rules of an audit that runs.
#[test]
fn parameter_change_mid_audit() {
    court(|| {
        let id = judged_by_three();
        let before = terms(id);
        reparametrise(|p| {
            p.first_seats = 7;
            p.second_seats = 7;
            p.wrong_fine = sp_runtime::Permill::from_percent(99);
            p.reveal_window = 1;
            p.exposure_factor = 1;
        });
        assert_eq!(terms(id), before);
        play_as(id, &[(ANNA, Act::Invalid)]);
        assert_eq!(verdict(id), Some(true), "two of three, not of seven");
        finish(id);
        assert_eq!(stake(ANNA), STAKE - WRONG_FINE);
    });
}

/// Blocks are kept full, so that `on_idle` never runs: deadlines are to pass unnoticed.
#[test]
fn full_blocks_to_stop_the_clock() {
    court(|| {
        let id = delivered();
        fix_draw(id, |_, drawn| drawn == THREE);
        jump_to(until(id) + 1);
        // Any account moves it on, and pays nothing for that.
        for _ in 0..20 {
            if status(id).is_final() {
                break;
            }
            jump_to(until(id) + 1);
            assert_eq!(Inference::on_idle(now(), Weight::zero()), Weight::zero());
            let moved = Inference::progress_job(signed(EVE), id).unwrap();
            assert_eq!(moved.pays_fee, frame_support::dispatch::Pays::No);
        }
        assert_eq!(status(id), JobStatus::Settled);
    });
}

/// The requester never answers, nor does anybody else: escrow is to be stuck.
#[test]
fn escrow_stuck_on_silence() {
    court(|| {
        let id = missed();
        finish(id);
        assert_eq!(held(ALICE, HoldReason::Job), 20 + OUTPUT.len() as Balance);
        let unclaimed = submit();
        finish(unclaimed);
        assert_eq!(status(unclaimed), JobStatus::Expired);
        assert_eq!(
            held(ALICE, HoldReason::Job),
            2 * 20 + OUTPUT.len() as Balance
        );
        run_to(until(unclaimed).max(until(id)) + 1);
        assert_eq!(Jobs::<Test>::iter().count(), 0);
        assert_eq!(held(ALICE, HoldReason::Job), 0);
    });
}

/// A verdict comes after shares of the fee were paid out, and only a part can be had back.
#[test]
fn paid_before_the_last_word() {
    court(|| {
        let id = judged_by_three();
        all_valid(id);
        let before = Ledger::now();
        jump_to(until(id));
        before.expect([]);
        assert_eq!(
            held(ALICE, HoldReason::Job),
            FEE + JOB_DEPOSIT + DELIVERY_FEE
        );
        assert_ok!(Inference::appeal_verdict(signed(ALICE), id));
        draw(id, &SEVEN);
        all_invalid(id);
        pass(id);
        assert_eq!(
            held(ALICE, HoldReason::Job),
            JOB_DEPOSIT,
            "fee and delivery came back"
        );
        finish(id);
        assert_eq!(stake(BOB), STAKE - EXPOSURE);
    });
}

/// A chain of ballots that nobody asked for: hashes without meaning, to fill storage.
#[test]
fn ballots_without_a_seat() {
    court(|| {
        let id = judged_by_three();
        for who in [EVE, DORA, EMIL, CAROL] {
            refuses(
                || Inference::commit_ballot(signed(who), id, H256::zero()),
                Error::NoSeat,
            );
        }
        let made_up = Ballot {
            digest: H256::zero(),
            valid: false,
        };
        refuses(
            || {
                let Ballot { digest, valid } = made_up;
                Inference::reveal_ballot(signed(EVE), id, digest, valid, SALT)
            },
            Error::NoSeat,
        );
    });
}

/// The names of tests on the page, such as `attacks::copied_commit`.
fn tests_that_the_threat_model_names() -> Vec<&'static str> {
    let page = include_str!("../../../../docs/threat-model.md");
    // Between backticks is every other part.
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.contains("::")).collect()
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests");
    let named = tests_that_the_threat_model_names();
    assert!(named.len() > 50, "{named:?}");
    for name in named {
        let (file, function) = name.rsplit_once("::").expect("it was chosen by that");
        let module = tests.join(file.replace("::", "/"));
        let path = match module.is_dir() {
            true => module.join("mod.rs"),
            false => module.with_extension("rs"),
        };
        let source = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{name}: {}: {error}", path.display()));
        let found = source.contains(&format!("#[test]\nfn {function}()"));
        assert!(found, "{} has no test {function}", path.display());
    }
}

#[test]
fn the_threat_model_names_every_attack_of_this_file() {
    let named = tests_that_the_threat_model_names();
    let tests = include_str!("attacks.rs").split("#[test]\nfn ").skip(1);
    for test in tests.filter_map(|rest| rest.split_once("()")) {
        let name = format!("attacks::{}", test.0);
        let is_attack = !name.contains("threat_model");
        assert!(
            !is_attack || named.contains(&name.as_str()),
            "{name} is missing"
        );
    }
}
