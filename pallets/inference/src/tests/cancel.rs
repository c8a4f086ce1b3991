//! Cancelling jobs.

use crate::{mock::*, primitives::*, Error, Event, HoldReason};
use frame_support::assert_ok;
use sp_runtime::{traits::BadOrigin, DispatchResult};

fn cancel(who: AccountId, job: JobId) -> DispatchResult {
    Inference::cancel_job(signed(who), job)
        .map(drop)
        .map_err(|refusal| refusal.error)
}

#[test]
fn an_open_job_is_cancelled_for_nothing() {
    market(|| {
        let job = submit();
        events();
        assert_ok!(cancel(ALICE, job));
        assert_eq!(status(job), JobStatus::Cancelled);
        assert_eq!(held(ALICE, HoldReason::Job), 20);
        assert_eq!(
            events(),
            [Event::JobCancelled {
                job,
                refund: MAX_FEE
            }]
        );
        run_to(32);
        assert_eq!(free(ALICE), WEALTH);
    });
}

#[test]
fn only_the_requester_cancels_and_only_an_open_job() {
    market(|| {
        refuses(|| cancel(ALICE, 0), Error::JobUnknown);
        let job = submit();
        refuses(|| cancel(BOB, job), Error::NotRequester);
        assert_ok!(Inference::claim_job(signed(BOB), job));
        refuses(|| cancel(ALICE, job), Error::CannotCancelClaimed);
        assert_ok!(deliver(BOB, job));
        refuses(|| cancel(ALICE, job), Error::AlreadyDelivered);
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        refuses(|| cancel(ALICE, job), Error::JobIsFinal);
        let job = submit();
        assert_ok!(cancel(ALICE, job));
        refuses(|| cancel(ALICE, job), Error::JobIsFinal);
    });
}

#[test]
fn cancelling_works_in_the_last_open_block_and_not_after() {
    market(|| {
        let (first, second) = (submit(), submit());
        jump_to(21);
        assert_ok!(cancel(ALICE, first));
        jump_to(22);
        undoes(|| cancel(ALICE, second), Error::ClaimWindowOver);
        assert_ok!(Inference::progress_job(signed(ALICE), second));
        assert_eq!(status(second), JobStatus::Expired);
    });
}

#[test]
fn a_job_whose_worker_is_late_can_be_cancelled_and_is_compensated() {
    market(|| {
        let job = claimed();
        jump_to(12);
        // Nobody has poked yet: cancelling finds the worker late first.
        assert_ok!(cancel(ALICE, job));
        assert_eq!(status(job), JobStatus::Cancelled);
        assert_eq!(wealth(ALICE), WEALTH + WORST_CASE / 2);
    });
}

#[test]
fn only_signed_accounts_cancel() {
    market(|| {
        let job = submit();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_eq!(Inference::cancel_job(origin, job), Err(BadOrigin.into()));
        }
    });
}
