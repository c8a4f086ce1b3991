//! Paying for results: accepted, or when the review window is over.

use crate::{mock::*, primitives::*, Error, Event, HoldReason, Inputs};
use frame_support::assert_ok;
use sp_runtime::{traits::BadOrigin, DispatchResult};

fn accept(who: AccountId, job: JobId) -> DispatchResult {
    Inference::accept_result(signed(who), job)
        .map(drop)
        .map_err(|refusal| refusal.error)
}

#[test]
fn accepting_pays_worker_and_protocol() {
    market(|| {
        let job = delivered();
        let (bob, treasury) = (free(BOB), free(TREASURY));
        events();
        assert_ok!(accept(ALICE, job));
        assert_eq!(free(BOB), bob + FEE - 1);
        assert_eq!(free(TREASURY), treasury + DELIVERY_FEE + 1);
        assert_eq!(Inference::worker(BOB).unwrap().exposure, 0);
        assert_eq!(Inputs::<Test>::get(job), None);
        assert_eq!(
            events(),
            [Event::JobSettled {
                job,
                worker: BOB,
                paid: FEE - 1,
                protocol: 1,
                premium: 0
            }]
        );
        // Only the record and the four bytes of output are still deposited for.
        assert_eq!(held(ALICE, HoldReason::Job), 20 + 4);
    });
}

#[test]
fn a_whole_job_costs_its_fee_and_its_delivery() {
    market(|| {
        delivered();
        run_to(100);
        assert_eq!(wealth(ALICE), WEALTH - FEE - DELIVERY_FEE);
        assert_eq!(free(ALICE), wealth(ALICE));
        assert_eq!(wealth(BOB), WEALTH + FEE - 1);
        assert_eq!(wealth(TREASURY), ED + DELIVERY_FEE + 1);
    });
}

#[test]
fn silence_pays_when_the_review_window_is_over() {
    market(|| {
        let job = delivered();
        jump_to(16);
        refuses(
            || Inference::progress_job(signed(BOB), job),
            Error::NothingDue,
        );
        jump_to(17);
        assert_ok!(Inference::progress_job(signed(BOB), job));
        assert_eq!(status(job), JobStatus::Settled);
        assert_eq!(wealth(BOB), WEALTH + FEE - 1);
    });
}

#[test]
fn only_the_requester_accepts_and_only_a_result() {
    market(|| {
        refuses(|| accept(ALICE, 0), Error::JobUnknown);
        let job = submit();
        refuses(|| accept(ALICE, job), Error::NothingToAccept);
        assert_ok!(Inference::claim_job(signed(BOB), job));
        refuses(|| accept(ALICE, job), Error::NothingToAccept);
        assert_ok!(deliver(BOB, job));
        refuses(|| accept(BOB, job), Error::NotRequester);
        refuses(|| accept(EVE, job), Error::NotRequester);
        assert_ok!(accept(ALICE, job));
        refuses(|| accept(ALICE, job), Error::JobIsFinal);
    });
}

#[test]
fn accepting_too_late_changes_nothing_that_the_window_has_decided() {
    market(|| {
        let job = delivered();
        jump_to(17);
        undoes(|| accept(ALICE, job), Error::JobIsFinal);
        assert_ok!(Inference::progress_job(signed(EVE), job));
        // Final since the end of the window, not since the poke.
        assert_eq!(self::job(job).state.until(), 16 + 30);
    });
}

#[test]
fn a_settled_worker_is_counted() {
    market(|| {
        let job = delivered();
        assert_ok!(accept(ALICE, job));
        let bob = Inference::worker(BOB).unwrap();
        assert_eq!((bob.settled, bob.late, bob.claims), (1, 0, 0));
    });
}

#[test]
fn only_signed_accounts_accept() {
    market(|| {
        let job = delivered();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_eq!(Inference::accept_result(origin, job), Err(BadOrigin.into()));
        }
    });
}
