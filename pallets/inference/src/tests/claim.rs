//! Claiming jobs.

use crate::{mock::*, primitives::*, Config, Error, Event};
use frame_support::{assert_ok, traits::Get};
use sp_runtime::{traits::BadOrigin, DispatchResult};

fn claim(who: AccountId, job: JobId) -> DispatchResult {
    Inference::claim_job(signed(who), job)
        .map(drop)
        .map_err(|refusal| refusal.error)
}

#[test]
fn a_claim_fixes_the_price_and_reserves_stake() {
    market(|| {
        let job = submit();
        jump_to(3);
        events();
        assert_ok!(claim(BOB, job));
        let view = Inference::job(job).unwrap();
        assert_eq!(view.status, JobStatus::Claimed);
        assert_eq!((view.worker, view.prices), (Some(BOB), Some(PRICES)));
        assert_eq!(view.worst_case_fee, Some(WORST_CASE));
        let bob = Inference::worker(BOB).unwrap();
        assert_eq!((bob.exposure, bob.free_stake), (EXPOSURE, STAKE - EXPOSURE));
        assert_eq!(
            events(),
            [Event::JobClaimed {
                job,
                worker: BOB,
                price_input: 10,
                price_output: 20,
                worst_case_fee: WORST_CASE,
                exposure: EXPOSURE,
                deliver_by: 13
            }]
        );
    });
}

#[test]
fn a_job_is_claimed_once() {
    market(|| {
        let job = claimed();
        refuses(|| claim(BOB, job), Error::AlreadyClaimedByYou);
        refuses(|| claim(CAROL, job), Error::AlreadyClaimed);
        assert_ok!(deliver(BOB, job));
        refuses(|| claim(CAROL, job), Error::AlreadyDelivered);
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        refuses(|| claim(CAROL, job), Error::JobIsFinal);
    });
}

#[test]
fn unknown_and_cancelled_jobs_cannot_be_claimed() {
    market(|| {
        refuses(|| claim(BOB, 0), Error::JobUnknown);
        let job = submit();
        assert_ok!(Inference::cancel_job(signed(ALICE), job));
        refuses(|| claim(BOB, job), Error::JobIsFinal);
        jump_to(32);
        undoes(|| claim(BOB, job), Error::JobUnknown);
    });
}

#[test]
fn a_job_can_be_claimed_in_its_last_block_and_not_after() {
    market(|| {
        let job = submit();
        let other = submit();
        jump_to(21);
        assert_ok!(claim(BOB, job));
        jump_to(22);
        undoes(|| claim(BOB, other), Error::ClaimWindowOver);
    });
}

#[test]
fn only_workers_with_an_offer_claim() {
    market(|| {
        let job = submit();
        refuses(|| claim(EVE, job), Error::NotAWorker);
        assert_ok!(Inference::register_worker(signed(EVE), STAKE, bytes("")));
        refuses(|| claim(EVE, job), Error::NoOffer);
    });
}

#[test]
fn an_offers_capacity_bounds_its_running_jobs() {
    market(|| {
        let jobs: Vec<_> = (0..4).map(|_| submit()).collect();
        for job in &jobs[..3] {
            assert_ok!(claim(BOB, *job));
        }
        refuses(|| claim(BOB, jobs[3]), Error::AtCapacity);
        assert_ok!(deliver(BOB, jobs[1]));
        assert_ok!(claim(BOB, jobs[3]));
    });
}

#[test]
fn the_highest_capacity_can_be_used_whole() {
    market(|| {
        let most = <Test as Config>::MaxCapacity::get();
        assert_ok!(offer(BOB, PRICES, most));
        assert_ok!(Inference::bond_more(signed(BOB), STAKE));
        let jobs: Vec<_> = (0..most).map(|_| claimed()).collect();
        let job = submit();
        refuses(|| claim(BOB, job), Error::AtCapacity);
        assert_ok!(claim(CAROL, job));

        // In any order, and each makes room for another one.
        assert_ok!(deliver(BOB, jobs[1]));
        assert_ok!(deliver(BOB, jobs[0]));
        let bob = Inference::worker(BOB).unwrap();
        assert_eq!(bob.claims, most - 2);
        let listed: Vec<_> = Inference::jobs_of_worker(BOB)
            .iter()
            .map(|claim| claim.job)
            .collect();
        assert_eq!(listed, jobs[2..]);
        claimed();
    });
}

#[test]
fn each_model_has_its_own_capacity() {
    market(|| {
        let manifest = ModelManifest {
            name: bytes("other"),
            ..manifest()
        };
        let other = manifest.id();
        assert_ok!(Inference::register_model(
            signed(DAVE),
            registration(&manifest)
        ));
        assert_ok!(Inference::set_offer(signed(BOB), other, 10, 20, 1));
        let on_other = || {
            let input = bytes(INPUT);
            let (output, fee) = (MAX_OUTPUT, MAX_FEE);
            assert_ok!(Inference::submit_job(
                signed(ALICE),
                other,
                input,
                output,
                fee
            ));
            last_job()
        };
        let (first, second) = (on_other(), on_other());
        assert_ok!(claim(BOB, first));
        refuses(|| claim(BOB, second), Error::AtCapacity);
        let jobs: Vec<_> = (0..3).map(|_| claimed()).collect();
        let job = submit();
        refuses(|| claim(BOB, job), Error::AtCapacity);
        assert_ok!(deliver(BOB, jobs[0]));
        refuses(|| claim(BOB, second), Error::AtCapacity);
        assert_ok!(claim(BOB, job));
    });
}

#[test]
fn price_caps_and_escrow_bind_the_worker() {
    market(|| {
        let capped = |max_price_input, max_price_output| {
            submit_under(JobConditions {
                max_price_input,
                max_price_output,
                ..JobConditions::default()
            })
            .unwrap()
        };
        let job = capped(9, 20);
        refuses(|| claim(BOB, job), Error::PriceAboveCap);
        let job = capped(10, 19);
        refuses(|| claim(BOB, job), Error::PriceAboveCap);
        assert_ok!(claim(BOB, capped(10, 20)));

        let submit_for = |max_fee| {
            assert_ok!(Inference::submit_job(
                signed(ALICE),
                model(),
                bytes(INPUT),
                MAX_OUTPUT,
                max_fee
            ));
            last_job()
        };
        let job = submit_for(WORST_CASE - 1);
        refuses(|| claim(BOB, job), Error::WorstCaseAboveEscrow);
        assert_ok!(claim(BOB, submit_for(WORST_CASE)));

        assert_ok!(offer(
            BOB,
            Prices {
                input: Balance::MAX,
                output: 20
            },
            3
        ));
        let job = submit();
        refuses(|| claim(BOB, job), Error::WorstCaseAboveEscrow);
    });
}

#[test]
fn exposure_must_fit_in_free_stake() {
    market(|| {
        assert_ok!(Inference::register_worker(
            signed(EVE),
            2 * EXPOSURE - 1,
            bytes("")
        ));
        assert_ok!(offer(EVE, PRICES, 3));
        let (first, second) = (submit(), submit());
        assert_ok!(claim(EVE, first));
        refuses(|| claim(EVE, second), Error::FreeStakeTooSmall);
        assert_ok!(Inference::bond_more(signed(EVE), 1));
        assert_ok!(claim(EVE, second));
        // Until the job is final, not only until it is delivered.
        let third = submit();
        assert_ok!(deliver(EVE, first));
        refuses(|| claim(EVE, third), Error::FreeStakeTooSmall);
        assert_ok!(Inference::accept_result(signed(ALICE), first));
        assert_ok!(claim(EVE, third));
    });
}

#[test]
fn a_directed_job_is_exclusive_for_a_while_and_then_anyones() {
    market(|| {
        let to_bob = || {
            submit_under(JobConditions {
                worker: Some(BOB),
                ..JobConditions::default()
            })
            .unwrap()
        };
        let (first, second) = (to_bob(), to_bob());
        refuses(|| claim(CAROL, first), Error::DirectedToAnother);
        assert_ok!(claim(BOB, first));
        jump_to(6);
        refuses(|| claim(CAROL, second), Error::DirectedToAnother);
        jump_to(7);
        assert_ok!(claim(CAROL, second));
    });
}

#[test]
fn a_late_directed_job_is_anyones_at_once() {
    market(|| {
        reparametrise(|p| p.exclusive_window = 50);
        let job = submit_under(JobConditions {
            worker: Some(BOB),
            deliver_within: Some(2),
            ..JobConditions::default()
        })
        .unwrap();
        assert_ok!(claim(BOB, job));
        jump_to(4);
        assert_ok!(claim(CAROL, job));
    });
}

#[test]
fn a_claim_moves_an_overdue_job_on_first() {
    market(|| {
        let job = claimed();
        jump_to(12);
        // Nobody has poked: the claim itself finds BOB late and takes over.
        undoes(|| claim(BOB, job), Error::BarredFromJob);
        assert_ok!(claim(CAROL, job));
        assert_eq!(status(job), JobStatus::Claimed);
        assert_eq!(
            Inference::worker(BOB).unwrap().stake,
            STAKE - WORST_CASE / 2
        );
    });
}

#[test]
fn a_requester_may_serve_itself() {
    market(|| {
        assert_ok!(Inference::register_worker(signed(ALICE), STAKE, bytes("")));
        assert_ok!(offer(ALICE, PRICES, 1));
        let before = wealth(ALICE);
        let job = submit();
        assert_ok!(claim(ALICE, job));
        assert_ok!(deliver(ALICE, job));
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        run_to(100);
        // It pays the protocol's share and the delivery, nothing else.
        assert_eq!(wealth(ALICE), before - 1 - DELIVERY_FEE);
    });
}

#[test]
fn only_signed_accounts_claim() {
    market(|| {
        let job = submit();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_eq!(Inference::claim_job(origin, job), Err(BadOrigin.into()));
        }
    });
}
