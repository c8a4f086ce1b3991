//! Where the agenda has a job: never later than it is overdue, and moved as seldom as possible.

use crate::{
    agenda::{DueKey, JobKey},
    mock::*,
    primitives::*,
    weights::WeightInfo,
    Agenda,
};
use frame_support::{assert_ok, dispatch::PostDispatchInfo, weights::Weight};

type Weights = ();

/// The only entry of a job; that there is no other is an invariant.
fn entry(id: JobId) -> BlockNumber {
    let listed = job(id).listed;
    assert!(Agenda::<Test>::contains_key(
        DueKey::from(listed),
        JobKey::from(id)
    ));
    listed
}

fn charged(call: Result<PostDispatchInfo, impl core::fmt::Debug>) -> Weight {
    call.unwrap().actual_weight.unwrap()
}

#[test]
fn a_new_job_is_listed_where_its_first_claim_could_end() {
    market(|| {
        // A claim in this block would have to be delivered by block 11; it is open until 21.
        assert_eq!(entry(submit()), 12);
        let short = submit_under(JobConditions {
            claim_by: Some(3),
            ..JobConditions::default()
        });
        assert_eq!(
            entry(short.unwrap()),
            4,
            "open for less than a delivery takes"
        );
    });
}

#[test]
fn neither_claim_nor_acceptance_moves_the_entry() {
    market(|| {
        let id = submit();
        for (block, step) in [(1, 12), (7, 18)] {
            jump_to(block);
            let id = submit();
            let weight = charged(Inference::claim_job(signed(BOB), id));
            assert_eq!(weight, Weights::claim_job());
            assert_eq!((entry(id), job(id).state.due()), (step, step));
        }
        // Claimed later than it was submitted: the entry is too early now.
        let weight = charged(Inference::claim_job(signed(BOB), id));
        assert_eq!(weight, Weights::claim_job());
        assert_eq!((entry(id), job(id).state.due()), (12, 18));

        // The review would end at block 22.
        assert_ok!(deliver(BOB, id));
        assert_eq!((entry(id), job(id).state.due()), (12, 23));
        let weight = charged(Inference::accept_result(signed(ALICE), id));
        assert_eq!(weight, Weights::accept_result());
        assert_eq!((entry(id), job(id).state.due()), (12, 38));
    });
}

#[test]
fn an_earlier_deadline_moves_the_entry_and_is_charged() {
    market(|| {
        // Late at block 3, and open again for 20 blocks: listed where that ends.
        let id = submit_under(JobConditions {
            deliver_within: Some(1),
            ..JobConditions::default()
        })
        .unwrap();
        assert_ok!(Inference::claim_job(signed(CAROL), id));
        run_to(3);
        assert_eq!(status(id), JobStatus::Open);
        assert_eq!(entry(id), 23);
        let weight = charged(Inference::claim_job(signed(BOB), id));
        assert_eq!(
            weight,
            Weights::claim_job().saturating_add(Weights::on_idle_relist())
        );
        assert_eq!((entry(id), job(id).state.due()), (5, 5));
    });
}

#[test]
fn an_entry_that_is_too_early_moves_when_the_agenda_comes_to_it() {
    market(|| {
        let id = submit();
        run_to(11);
        assert_eq!(entry(id), 12);
        jump_to(12);
        let room = Weights::on_idle_base()
            .saturating_add(Weights::on_idle_entry())
            .saturating_add(Weights::on_idle_relist());
        assert_eq!(idle(Weight::MAX), room);
        assert_eq!((entry(id), job(id).state.due()), (22, 22));
        assert_eq!(status(id), JobStatus::Open);
        run_to(22);
        assert_eq!(status(id), JobStatus::Expired);
        assert_eq!(entry(id), 52);
    });
}

#[test]
fn an_entry_that_the_agenda_has_not_come_to_is_moved_by_the_next_call() {
    market(|| {
        let id = submit();
        // Blocks without on_idle: the entry at 12 is still there.
        jump_to(15);
        let weight = charged(Inference::claim_job(signed(BOB), id));
        assert_eq!(
            weight,
            Weights::claim_job().saturating_add(Weights::on_idle_relist())
        );
        assert_eq!((entry(id), job(id).state.due()), (26, 26));

        let id = submit();
        assert_eq!(entry(id), 26);
        jump_to(30);
        let weight = charged(Inference::cancel_job(signed(ALICE), id));
        assert_eq!(
            weight,
            Weights::cancel_job().saturating_add(Weights::on_idle_relist())
        );
        assert_eq!((entry(id), job(id).state.due()), (61, 61));

        let id = submit();
        // Else the audit pool would go with the job.
        submit();
        jump_to(40);
        assert_ok!(Inference::claim_job(signed(BOB), id));
        assert_ok!(deliver(BOB, id));
        assert_eq!((entry(id), job(id).state.due()), (41, 56));
        jump_to(45);
        let weight = charged(Inference::accept_result(signed(ALICE), id));
        assert_eq!(
            weight,
            Weights::accept_result().saturating_add(Weights::on_idle_relist())
        );
        assert_eq!((entry(id), job(id).state.due()), (76, 76));
    });
}

#[test]
fn an_accepted_job_is_dropped_when_its_retention_is_over() {
    market(|| {
        let id = delivered();
        let until = job(id).state.until();
        jump_to(3);
        assert_ok!(Inference::accept_result(signed(ALICE), id));
        run_to(until + 1);
        assert_eq!(entry(id), 3 + 30 + 1);
        run_to(3 + 30);
        assert_eq!(status(id), JobStatus::Settled);
        run_to(3 + 30 + 1);
        assert_eq!(Inference::job(id), None);
        assert_eq!(Agenda::<Test>::iter().count(), 0);
    });
}
