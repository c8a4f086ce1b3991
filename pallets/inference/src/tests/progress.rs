//! Moving overdue jobs on: by anyone, by `on_idle`, early, late, in any number of steps.

use crate::{
    mock::*, primitives::*, weights::WeightInfo, workers::StakeHistory, Agenda, Error, Workers,
};
use frame_support::{
    assert_ok,
    traits::Hooks,
    weights::{Weight, WeightMeter},
};
use sp_runtime::traits::BadOrigin;

#[test]
fn nothing_due_is_an_error_and_so_is_an_unknown_job() {
    market(|| {
        refuses(
            || Inference::progress_job(signed(EVE), 0),
            Error::JobUnknown,
        );
        let job = submit();
        refuses(
            || Inference::progress_job(signed(EVE), job),
            Error::NothingDue,
        );
        jump_to(21);
        refuses(
            || Inference::progress_job(signed(EVE), job),
            Error::NothingDue,
        );
        jump_to(22);
        assert_ok!(Inference::progress_job(signed(EVE), job));
        refuses(
            || Inference::progress_job(signed(EVE), job),
            Error::NothingDue,
        );
    });
}

#[test]
fn anyone_signed_may_progress_a_job_and_nobody_else() {
    market(|| {
        let job = submit();
        jump_to(22);
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_eq!(Inference::progress_job(origin, job), Err(BadOrigin.into()));
        }
        assert_ok!(Inference::progress_job(signed(NOBODY), job));
    });
}

#[test]
fn several_overdue_steps_are_taken_at_once() {
    market(|| {
        let job = claimed();
        // Late at 12, open until 31, expired at 31, kept until 61: all of it has passed.
        jump_to(62);
        assert_ok!(Inference::progress_job(signed(EVE), job));
        assert_eq!(Inference::job(job), None);
        assert_eq!(free(ALICE), WEALTH + WORST_CASE / 2);
    });
    market(|| {
        let job = claimed();
        jump_to(61);
        assert_ok!(Inference::progress_job(signed(EVE), job));
        assert_eq!(status(job), JobStatus::Expired);
        assert_eq!(self::job(job).state.until(), 61);
    });
}

/// Everything that could differ: balances, stake, jobs.
fn outcome() -> impl PartialEq + core::fmt::Debug {
    let balances: Vec<_> = [ALICE, BOB, CAROL, DAVE, EVE, TREASURY]
        .iter()
        .map(|who| (free(*who), wealth(*who)))
        .collect();
    let mut workers: Vec<_> = [BOB, CAROL].iter().map(Workers::<Test>::get).collect();
    for worker in workers.iter_mut().flatten() {
        // It says when stake was lost, which is when somebody booked the loss.
        worker.history = StakeHistory::default();
    }
    let jobs: Vec<_> = (0..4).map(Inference::job).collect();
    let results: Vec<_> = (0..4).map(Inference::result).collect();
    (balances, workers, jobs, results)
}

/// Four jobs on their ways: open, claimed, delivered, and claimed by the second worker after the
/// first was late.
fn four_jobs() {
    let late = submit_under(JobConditions {
        deliver_within: Some(1),
        ..JobConditions::default()
    })
    .unwrap();
    assert_ok!(Inference::claim_job(signed(BOB), late));
    jump_to(3);
    assert_ok!(Inference::claim_job(signed(CAROL), late));
    submit();
    claimed();
    delivered();
}

/// Applies what is overdue to all jobs, as `who`.
fn poke_all(who: AccountId) {
    for job in 0..4 {
        // One step at a time.
        while Inference::progress_job(signed(who), job).is_ok() {}
    }
}

#[test]
fn the_outcome_does_not_depend_on_who_pokes_or_when() {
    // Every block from the first deadline until all records are gone.
    for checked_at in 3..=75 {
        let mut outcomes = Vec::new();
        // 0: on_idle in every block. Others: poked every so many blocks, and at the end.
        for every in [0, 1, 2, 7, 1_000] {
            market(|| {
                four_jobs();
                if every == 0 {
                    run_to(checked_at);
                } else {
                    let who = if every % 2 == 0 { NOBODY } else { EVE };
                    for block in (3..=checked_at).step_by(every) {
                        jump_to(block);
                        poke_all(who);
                    }
                    jump_to(checked_at);
                    poke_all(who);
                }
                outcomes.push(outcome());
            });
        }
        for other in &outcomes[1..] {
            assert_eq!(*other, outcomes[0], "at block {checked_at}");
        }
    }
}

#[test]
fn on_idle_moves_on_what_is_due_and_nothing_else() {
    market(|| {
        let first = submit();
        jump_to(2);
        let second = submit();
        jump_to(22);
        idle(Weight::MAX);
        assert_eq!(
            (status(first), status(second)),
            (JobStatus::Expired, JobStatus::Open)
        );
    });
}

#[test]
fn on_idle_with_room_for_one_job_moves_one_a_block_earliest_first() {
    market(|| {
        let jobs: Vec<_> = (0..4).map(|_| submit()).collect();
        let one = <() as WeightInfo>::on_idle_base()
            .saturating_add(<() as WeightInfo>::on_idle_entry())
            .saturating_add(<() as WeightInfo>::on_idle_expire())
            .saturating_add(<() as WeightInfo>::close_last());
        jump_to(30);
        for done in 1..=4 {
            let used = idle(one);
            assert!(used.all_lte(one), "on_idle used more than it was given");
            let expired = jobs
                .iter()
                .filter(|job| status(**job) == JobStatus::Expired)
                .count();
            assert_eq!(expired, done);
            assert_eq!(status(jobs[done - 1]), JobStatus::Expired, "earliest first");
        }
    });
}

#[test]
fn a_backlog_is_worked_off_in_blocks_that_leave_no_room_for_on_idle() {
    market(|| {
        let jobs: Vec<_> = (0..8).map(|_| submit()).collect();
        let open = |jobs: &[JobId]| {
            let open = |job: &&JobId| status(**job) == JobStatus::Open;
            jobs.iter().filter(open).count()
        };
        let poll = |limit: Weight| {
            let mut meter = WeightMeter::with_limit(limit);
            Inference::on_poll(now(), &mut meter);
            meter.consumed()
        };
        let look = <() as WeightInfo>::on_idle_base();

        // Due in this block, whose on_idle is still to come.
        run_to(21);
        jump_to(22);
        assert_eq!(poll(Weight::MAX), look);
        assert_eq!(open(&jobs), 8);

        // It had no room, and neither have those that follow.
        jump_to(23);
        let two = <() as WeightInfo>::on_idle_entry()
            .saturating_add(<() as WeightInfo>::on_idle_expire())
            .saturating_mul(2)
            .saturating_add(<() as WeightInfo>::close_last())
            .saturating_add(look.saturating_mul(2));
        let used = poll(two);
        assert!(used.all_lte(two), "on_poll used more than it was given");
        assert_eq!(open(&jobs), 6);
        assert_eq!(open(&jobs[..2]), 0, "earliest first");
        jump_to(24);
        let used = poll(Weight::MAX);
        let kept = Inference::kept_for_agenda();
        assert!(
            used.all_lte(kept.saturating_add(look)),
            "on_poll took too much"
        );
        assert_eq!(open(&jobs), 0);
    });
}

#[test]
fn on_idle_leaves_the_rest_of_an_empty_block_alone() {
    market(|| {
        // More than fits in what on_idle may take.
        let one =
            <() as WeightInfo>::on_idle_entry().saturating_add(<() as WeightInfo>::on_idle_drop());
        let most = Inference::most_on_idle();
        let fit = most.ref_time() / one.ref_time();
        for _ in 0..fit + 10 {
            let job = submit();
            assert_ok!(Inference::cancel_job(signed(ALICE), job));
        }
        jump_to(100);
        assert!(idle(Weight::MAX).all_lte(most));
        let left = crate::Jobs::<Test>::iter_keys().count();
        assert!((10..20).contains(&left), "{left} jobs are left");
        idle(Weight::MAX);
        assert_eq!(crate::Jobs::<Test>::iter_keys().count(), 0);
    });
}

#[test]
fn on_idle_without_room_does_nothing_and_uses_nothing() {
    market(|| {
        let job = submit();
        jump_to(22);
        assert_eq!(idle(Weight::zero()), Weight::zero());
        let base = <() as WeightInfo>::on_idle_base();
        assert_eq!(idle(base), base);
        assert_eq!(status(job), JobStatus::Open);
    });
}

#[test]
fn a_record_that_cannot_be_moved_on_does_not_hold_up_the_others() {
    new_chain().execute_with(|| {
        // An entry whose job does not exist stands for any contradiction in the records.
        Agenda::<Test>::insert(
            crate::agenda::DueKey::from(5),
            crate::agenda::JobKey::from(77),
            (),
        );
        assert_ok!(Inference::register_model(
            signed(DAVE),
            registration(&manifest())
        ));
        let job = submit();
        run_to(22);
        assert_eq!(status(job), JobStatus::Expired);
    });
}
