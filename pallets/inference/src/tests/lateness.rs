//! Workers who do not deliver.

use crate::{mock::*, primitives::*, Error, Event, HoldReason};
use frame_support::assert_ok;

/// A job that BOB was late with, noticed in the first block possible.
fn reopened() -> JobId {
    let job = claimed();
    run_to(12);
    assert_eq!(status(job), JobStatus::Open);
    job
}

#[test]
fn a_late_worker_pays_half_the_worst_case_and_the_job_opens_again() {
    market(|| {
        let job = claimed();
        events();
        run_to(12);
        assert_eq!(wealth(ALICE), WEALTH + WORST_CASE / 2);
        assert_eq!(held(BOB, HoldReason::Stake), STAKE - WORST_CASE / 2);
        let bob = Inference::worker(BOB).unwrap();
        assert_eq!((bob.exposure, bob.claims, bob.late), (0, 0, 1));
        let view = Inference::job(job).unwrap();
        assert_eq!((view.status, view.barred), (JobStatus::Open, Some(BOB)));
        // Deadline of the delivery and the job's own open window: 11 + 20.
        assert_eq!(view.until, 31);
        assert_eq!(
            held(ALICE, HoldReason::Job),
            MAX_FEE + JOB_DEPOSIT + DELIVERY_FEE
        );
        assert_eq!(
            events(),
            [
                Event::JobLate {
                    job,
                    worker: BOB,
                    compensation: WORST_CASE / 2
                },
                Event::JobReopened {
                    job,
                    barred: BOB,
                    claim_by: 31
                }
            ]
        );
    });
}

#[test]
fn the_late_worker_is_barred_and_another_one_takes_over() {
    market(|| {
        let job = reopened();
        refuses(
            || Inference::claim_job(signed(BOB), job),
            Error::BarredFromJob,
        );
        run_to(20);
        assert_ok!(Inference::claim_job(signed(CAROL), job));
        // The delivery window counts from the new claim.
        assert_eq!(self::job(job).state.until(), 30);
        assert_ok!(deliver(CAROL, job));
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        run_to(100);
        assert_eq!(wealth(ALICE), WEALTH + WORST_CASE / 2 - FEE - DELIVERY_FEE);
        assert_eq!(wealth(CAROL), WEALTH + FEE - 1);
    });
}

#[test]
fn a_second_lateness_compensates_again_and_refunds() {
    market(|| {
        let job = reopened();
        assert_ok!(Inference::claim_job(signed(CAROL), job));
        events();
        run_to(23);
        assert_eq!(status(job), JobStatus::Expired);
        assert_eq!(held(ALICE, HoldReason::Job), 20);
        assert_eq!(wealth(ALICE), WEALTH + 2 * (WORST_CASE / 2));
        assert_eq!(held(CAROL, HoldReason::Stake), STAKE - WORST_CASE / 2);
        assert_eq!(
            events(),
            [
                Event::JobLate {
                    job,
                    worker: CAROL,
                    compensation: WORST_CASE / 2
                },
                Event::JobExpired {
                    job,
                    refund: MAX_FEE
                }
            ]
        );
    });
}

#[test]
fn a_reopened_job_that_nobody_takes_expires() {
    market(|| {
        let job = reopened();
        run_to(31);
        assert_eq!(status(job), JobStatus::Open);
        run_to(32);
        assert_eq!(status(job), JobStatus::Expired);
        assert_eq!(wealth(ALICE), WEALTH + WORST_CASE / 2);
    });
}

#[test]
fn a_reopened_job_keeps_its_own_open_window() {
    market(|| {
        let job = submit_under(JobConditions {
            claim_by: Some(4),
            ..JobConditions::default()
        })
        .unwrap();
        assert_ok!(Inference::claim_job(signed(BOB), job));
        run_to(12);
        // Submitted at 1 until 4: three blocks, from the missed deadline.
        assert_eq!(self::job(job).state.until(), 11 + 3);
    });
}

#[test]
fn a_job_that_nobody_claims_is_refunded() {
    market(|| {
        let job = submit();
        events();
        run_to(21);
        assert_eq!(status(job), JobStatus::Open);
        run_to(22);
        assert_eq!(status(job), JobStatus::Expired);
        assert_eq!(held(ALICE, HoldReason::Job), 20);
        assert_eq!(
            events(),
            [Event::JobExpired {
                job,
                refund: MAX_FEE
            }]
        );
    });
}

#[test]
fn lateness_takes_bonded_stake_before_unbonding_stake() {
    market(|| {
        reparametrise(|p| p.exposure_factor = 1);
        claimed();
        assert_ok!(Inference::unbond(signed(BOB), STAKE));
        run_to(12);
        let bob = Inference::worker(BOB).unwrap();
        assert_eq!(bob.stake, STAKE - WORST_CASE / 2);
        assert_eq!(
            bob.unbonding[0].amount, bob.stake,
            "nothing else was left to take"
        );
    });
}

#[test]
fn the_latest_unbonding_part_answers_first() {
    market(|| {
        reparametrise(|p| p.exposure_factor = 1);
        claimed();
        assert_ok!(Inference::unbond(signed(BOB), STAKE - 10_000));
        jump_to(2);
        assert_ok!(Inference::unbond(signed(BOB), 10_000));
        run_to(12);
        let parts: Vec<_> = Inference::worker(BOB)
            .unwrap()
            .unbonding
            .iter()
            .map(|part| part.amount)
            .collect();
        assert_eq!(parts, [STAKE - 10_000, 10_000 - WORST_CASE / 2]);
    });
}
