//! Whether a result is audited and by whom: nobody's choice, and known only afterwards.

use super::support::*;
use crate::{
    audits::{Phase, Said},
    mock::*,
    primitives::{
        audit::{combined_seed, is_audited},
        *,
    },
    randomness::RANDOMNESS_KEPT,
    Error, Event,
};
use frame_support::assert_ok;
use sp_runtime::Perbill;

#[test]
fn a_result_on_probation_is_drawn_for_certain_once_its_seed_is_there() {
    court(|| {
        let id = delivered();
        let delivered_at = now();
        fix_draw(id, |_, drawn| drawn == THREE);
        let seeded_at = delivered_at + terms(id).seed_blocks;
        assert_eq!(until(id), seeded_at);
        jump_to(seeded_at);
        refuses(
            || Inference::progress_job(signed(EVE), id),
            Error::NothingDue,
        );
        events();
        run_to(seeded_at + 1);
        let commit_until = seeded_at + terms(id).commit_window;
        assert_eq!(until(id), commit_until);
        let mut drawn = THREE.map(|(who, _)| who).to_vec();
        let events = events();
        let [Event::AuditBegun {
            job,
            disputed,
            draw_after,
        }, Event::SeatsDrawn { auditors, .. }] = &events[..]
        else {
            panic!("an audit begins and its seats are drawn: {events:?}");
        };
        assert_eq!((*job, *disputed, *draw_after), (id, false, seeded_at));
        let mut named = auditors.clone();
        named.sort();
        drawn.sort();
        assert_eq!(named, drawn);
        assert_eq!(sitting(id).len(), 3);
        for who in drawn {
            let seats = Inference::seats(who, None, 16);
            assert_eq!(seats.len(), 1);
            assert_eq!((seats[0].job, seats[0].round, seats[0].seats), (id, 0, 1));
            assert_eq!(seats[0].until, commit_until);
            assert_eq!(seats[0].pay, PAY);
            assert_eq!(seats[0].wrong_fine, WRONG_FINE);
            assert_eq!(seats[0].silent_fine, SILENT_FINE);
            assert_eq!(Inference::worker(who).unwrap().open_audits, 1);
        }
        assert!(Inference::seats(DORA, None, 16).is_empty());
    });
}

#[test]
fn beyond_probation_chance_decides_as_the_seed_says() {
    court(|| {
        reparametrise(|p| p.probation_jobs = 0);
        let (mut hits, mut misses) = (0, 0);
        for salt in 0..60 {
            set_randomness(Some(salt));
            let id = submit();
            assert_ok!(Inference::claim_job(signed(BOB), id));
            assert_ok!(deliver(BOB, id));
            let chance = Inference::job(id).unwrap().audit_chance.unwrap();
            // 2.222 x W / (50 W + W).
            assert_eq!(chance.deconstruct() / 100_000, 435);
            let blocks = now() + 1..=now() + 2;
            let outputs: Vec<_> = blocks.map(|block| output_of(block, salt)).collect();
            let hit = is_audited(&combined_seed(&outputs), id, chance);
            pass(id);
            let expected = if hit {
                JobStatus::Audit
            } else {
                JobStatus::Review
            };
            assert_eq!(status(id), expected);
            if hit {
                hits += 1;
                judge(id, |_| Act::Valid);
            } else {
                misses += 1;
                assert_ok!(Inference::accept_result(signed(ALICE), id));
            }
            finish(id);
        }
        assert!(hits > 0 && misses > hits, "{hits} of 60 audited");
    });
}

#[test]
fn a_miss_leads_to_the_review_and_costs_the_premium_all_the_same() {
    court(|| {
        let id = missed();
        assert_eq!(until(id), now() - 1 + job(id).terms.review_window);
        let premium = Inference::job(id).unwrap().premium.unwrap();
        assert_eq!(premium, 1, "4.4 % of three seats' pay");
        let before = Ledger::now();
        finish(id);
        assert_eq!(status(id), JobStatus::Settled);
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE)),
            (BOB, plus(FEE - PROTOCOL - premium)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE)),
            (POT, plus(premium)),
        ]);
        assert_eq!(pot(), premium);
    });
}

#[test]
fn an_early_acceptance_skips_the_review_but_not_the_draw() {
    court(|| {
        // Missed: paid as soon as the draw is known.
        reparametrise(|p| p.probation_jobs = 0);
        let id = delivered();
        fix_draw(id, |hit, _| !hit);
        assert_ok!(Inference::accept_result(signed(ALICE), id));
        refuses(
            || Inference::accept_result(signed(ALICE), id),
            Error::AlreadyAccepted,
        );
        refuses(
            || Inference::accept_result(signed(EVE), id),
            Error::NotRequester,
        );
        pass(id);
        assert_eq!(status(id), JobStatus::Settled);

        // Hit: accepted or not, it is audited.
        let id = delivered();
        fix_draw(id, |hit, _| hit);
        assert_ok!(Inference::accept_result(signed(ALICE), id));
        pass(id);
        assert_eq!(status(id), JobStatus::Audit);
        refuses(
            || Inference::accept_result(signed(ALICE), id),
            Error::UnderAudit,
        );
    });
}

#[test]
fn an_acceptance_after_the_seed_is_known_waits_for_the_draw() {
    court(|| {
        let id = delivered();
        jump_to(until(id) + 1);
        refuses(
            || Inference::accept_result(signed(ALICE), id),
            Error::ProgressFirst,
        );
    });
}

#[test]
fn neither_worker_nor_requester_get_a_seat() {
    court(|| {
        // ANNA asks, BERT works.
        let id = submit_from(ANNA);
        assert_ok!(Inference::claim_job(signed(BERT), id));
        assert_ok!(deliver(BERT, id));
        let record = job(id);
        let claim = record.state.claim().unwrap();
        let mut eligible: Vec<_> = Inference::eligible(&record, claim, &[])
            .iter()
            .map(|member| member.who)
            .collect();
        eligible.sort();
        assert_eq!(eligible, [BOB, CAROL, CLEO, DORA, EMIL]);
        pass(id);
        assert!(sitting(id).iter().all(|who| ![ANNA, BERT].contains(who)));
        assert_eq!(audit(id).rounds[0].eligible, 5);
    });
}

#[test]
fn seats_go_to_whoever_has_the_stake() {
    market(|| {
        set_randomness(Some(0));
        for (who, stake) in [(ANNA, 10_000), (BERT, 10_000), (CLEO, 980_000)] {
            assert_ok!(Inference::register_worker(signed(who), stake, bytes("")));
            assert_ok!(offer(who, PRICES, 1));
        }
        assert_ok!(Inference::remove_offer(signed(CAROL), model()));
        run_to(2 * PERIOD);
        let id = delivered();
        draw(id, &[(CLEO, 3)]);
        let audit = audit(id);
        assert!(audit.rounds[0].auditors[0].holds_majority);
        assert_eq!(audit.rounds[0].eligible, 3);
        // 98 % of the stake has all three seats nearly always, by any other salt, too.
        reparametrise(|p| p.probation_jobs = 1_000);
        let all = (0..40)
            .filter(|salt| {
                set_randomness(Some(*salt));
                let id = delivered();
                pass(id);
                let got = seats(id, 0) == [(CLEO, 3)];
                judge(id, |_| Act::Valid);
                finish(id);
                got
            })
            .count();
        assert!(all > 30, "{all} of 40");
    });
}

#[test]
fn exactly_half_of_the_stake_is_no_majority() {
    market(|| {
        set_randomness(Some(0));
        for (who, stake) in [(ANNA, STAKE), (BERT, 2 * STAKE)] {
            assert_ok!(Inference::register_worker(signed(who), stake, bytes("")));
            assert_ok!(offer(who, PRICES, 1));
        }
        // With CAROL: 100,000 + 100,000 + 200,000.
        run_to(2 * PERIOD);
        let id = delivered();
        draw(id, &[(BERT, 3)]);
        assert!(!audit(id).rounds[0].auditors[0].holds_majority);
    });
}

#[test]
fn fewer_than_two_accounts_make_no_audit_and_no_premium() {
    market(|| {
        run_to(2 * PERIOD);
        // Only CAROL could judge BOB.
        let id = delivered();
        assert_eq!(status(id), JobStatus::Review);
        assert_eq!(until(id), now() + job(id).terms.review_window);
        let view = Inference::job(id).unwrap();
        assert_eq!(view.audit_chance, Some(Perbill::zero()));
        assert_eq!(view.premium, Some(0));
        refuses(
            || Inference::dispute_result(signed(ALICE), id),
            Error::NoAuditors,
        );
        let before = Ledger::now();
        finish(id);
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE)),
            (BOB, plus(FEE - PROTOCOL)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE)),
        ]);
    });
}

#[test]
fn two_accounts_are_enough_to_audit() {
    market(|| {
        set_randomness(Some(0));
        assert_ok!(Inference::register_worker(signed(ANNA), STAKE, bytes("")));
        assert_ok!(offer(ANNA, PRICES, 1));
        run_to(2 * PERIOD);
        let id = delivered();
        draw(id, &[(CAROL, 2), (ANNA, 1)]);
        all_valid(id);
        assert_eq!(verdict(id), Some(true));
        // Neither decides alone, whatever it holds: two are too few for that.
        let id = delivered();
        draw(id, &[(CAROL, 3)]);
        all_valid(id);
        assert_eq!(verdict(id), None);
        assert_eq!(audit(id).phase, Phase::Drawing);
    });
}

#[test]
fn the_chance_follows_the_worst_case_and_not_the_workers_word() {
    court(|| {
        reparametrise(|p| p.probation_jobs = 0);
        let chance_at = |usage: Usage| {
            let id = claimed();
            let ids: Vec<u32> = (0..usage.output).collect();
            let claim = ResultClaim {
                usage,
                ..result_claim()
            };
            assert_ok!(deliver_with(BOB, id, b"", &ids, claim));
            let view = Inference::job(id).unwrap();
            (view.fee.unwrap(), view.audit_chance.unwrap())
        };
        let (cheap, low) = chance_at(Usage {
            input: 0,
            output: 0,
        });
        let (dear, high) = chance_at(Usage {
            input: 10,
            output: 10,
        });
        assert!(cheap < dear);
        assert_eq!(low, high);
    });
}

#[test]
fn probation_ends_with_results_that_auditors_found_right() {
    court(|| {
        let chance = |id| Inference::job(id).unwrap().audit_chance.unwrap();
        for _ in 0..parameters().probation_jobs {
            let id = delivered();
            assert_eq!(chance(id), Perbill::one());
            judge(id, |_| Act::Valid);
            finish(id);
        }
        let offers = Inference::offers(model(), None, 16);
        let bob = offers.iter().find(|offer| offer.worker == BOB).unwrap();
        assert_eq!((bob.audited_valid, bob.audited_failed), (2, 0));
        let id = delivered();
        assert!(chance(id) < Perbill::from_percent(5));

        // A new offer begins anew.
        fix_draw(id, |hit, _| !hit);
        finish(id);
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        assert_ok!(offer(BOB, PRICES, 3));
        assert_eq!(chance(delivered()), Perbill::one());
    });
}

#[test]
fn a_claim_made_on_probation_stays_on_probation() {
    court(|| {
        reparametrise(|p| p.probation_jobs = 1);
        let (first, second) = (claimed(), claimed());
        assert_ok!(deliver(BOB, first));
        judge(first, |_| Act::Valid);
        pass(first);
        let id = submit();
        assert_ok!(Inference::claim_job(signed(BOB), id));
        assert!(!job(id).state.claim().unwrap().probation);
        assert!(job(second)
            .state
            .claim()
            .is_none_or(|claim| claim.probation));
    });
}

#[test]
fn seats_beyond_the_fourth_audit_may_stay_silent() {
    court(|| {
        // Long enough for all of them to be open at a time.
        reparametrise(|p| {
            p.deliver_window = 50;
            p.commit_window = 60;
        });
        // All on ANNA, BERT and CLEO.
        let jobs: Vec<_> = (0..5)
            .map(|n| {
                let requester = if n % 2 == 0 { ALICE } else { EVE };
                let worker = if n < 3 { BOB } else { CAROL };
                let id = submit_from(requester);
                assert_ok!(Inference::claim_job(signed(worker), id));
                id
            })
            .collect();
        let mut excused = Vec::new();
        for id in jobs {
            let worker = job(id).state.claim().unwrap().worker;
            // The draw of each begins a block after the one before.
            assert_ok!(deliver(worker, id));
            fix_draw(id, |_, drawn| drawn == THREE);
            pass(id);
            let audit = audit(id);
            let auditor = &audit.rounds[0].auditors[0];
            excused.push(auditor.excused);
        }
        assert_eq!(excused, [false, false, false, false, true]);
        assert_eq!(Inference::worker(ANNA).unwrap().open_audits, 5);
        assert!(Inference::seats(ANNA, None, 16)[4].excused);
    });
}

#[test]
fn a_draw_that_nobody_made_for_a_day_is_a_miss() {
    court(|| {
        let id = delivered();
        jump_to(now() + RANDOMNESS_KEPT + 1);
        idle(frame_support::weights::Weight::MAX);
        // What follows from the miss is overdue, too: it is paid, and its record dropped.
        assert!(crate::Jobs::<Test>::get(id).is_none());
        assert_eq!(wealth(BOB), WEALTH + WAGE);
    });
}

#[test]
fn a_dispute_whose_seeds_were_forgotten_ends_without_a_verdict() {
    court(|| {
        let id = missed();
        assert_ok!(Inference::dispute_result(signed(EVE), id));
        jump_to(now() + RANDOMNESS_KEPT + 100);
        let before = Ledger::now();
        let mut rounds = Vec::new();
        while crate::Jobs::<Test>::contains_key(id) {
            rounds = audit(id).rounds.to_vec();
            assert_ok!(Inference::progress_job(signed(EVE), id));
        }
        assert_eq!(held(EVE, crate::HoldReason::DisputeBond), 0);
        assert!(rounds.iter().all(|round| round.seed.is_none()));
        assert_eq!(rounds.len(), 4, "each kind once more, as in an outage");
        // The job is paid, and nothing else moves.
        before.expect([
            (ALICE, minus(FEE + DELIVERY_FEE)),
            (BOB, plus(FEE - PROTOCOL - 1)),
            (TREASURY, plus(PROTOCOL + DELIVERY_FEE)),
            (POT, plus(1)),
        ]);
    });
}

#[test]
fn blocks_without_outputs_audit_nothing_and_block_nothing() {
    court(|| {
        let id = delivered();
        set_randomness(None);
        pass(id);
        assert_eq!(status(id), JobStatus::Review);
        assert_ok!(Inference::dispute_result(signed(ALICE), id));
        for _ in 0..4 {
            assert_eq!(status(id), JobStatus::Audit);
            pass(id);
        }
        assert_eq!(status(id), JobStatus::Decided);
        assert_eq!(verdict(id), None);
        finish(id);
        assert_eq!(status(id), JobStatus::Settled);
    });
}

#[test]
fn seats_of_the_chilled_are_vacant() {
    court(|| {
        let id = delivered();
        fix_draw(id, |_, drawn| drawn == THREE);
        assert_ok!(Inference::chill(signed(ANNA)));
        pass(id);
        let audit = audit(id);
        for auditor in &audit.rounds[0].auditors {
            let expected = if auditor.who == ANNA {
                Said::Vacant
            } else {
                Said::Nothing
            };
            assert_eq!(auditor.said, expected);
        }
        assert!(Inference::seats(ANNA, None, 16).is_empty());
        let view = Inference::audit(id).unwrap();
        assert_eq!(
            view.rounds[0].auditors.iter().filter(|a| a.vacant).count(),
            1
        );
        // Too late to come back for this one.
        assert_ok!(Inference::activate(signed(ANNA)));
        undoes(|| commit(ANNA, id, Act::Valid), Error::NoSeat);
    });
}
