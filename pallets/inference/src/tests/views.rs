//! Reading the market.

use crate::{
    mock::*,
    primitives::{views::Content, *},
};
use frame_support::assert_ok;

#[test]
fn open_jobs_come_oldest_first_and_in_pages() {
    market(|| {
        let jobs: Vec<_> = (0..300).map(|_| submit()).collect();
        let ids = |after, limit| -> Vec<_> {
            Inference::open_jobs(model(), after, limit)
                .iter()
                .map(|job| job.id)
                .collect()
        };
        assert_eq!(ids(None, 3), [0, 1, 2]);
        assert_eq!(ids(Some(2), 3), [3, 4, 5]);
        assert_eq!(ids(None, u32::MAX), &jobs[..256]);
        assert_eq!(ids(Some(255), 256), &jobs[256..]);
        // A page goes on behind a job that is not open any more.
        assert_ok!(Inference::cancel_job(signed(ALICE), 2));
        assert_ok!(Inference::claim_job(signed(BOB), 3));
        assert_eq!(ids(Some(2), 2), [4, 5]);
        assert!(Inference::open_jobs(H256::zero(), None, 10).is_empty());
    });
}

#[test]
fn a_summary_says_what_a_worker_needs_to_choose() {
    market(|| {
        let job = submit_under(JobConditions {
            max_price_output: 77,
            worker: Some(BOB),
            deliver_within: Some(8),
            ..JobConditions::default()
        })
        .unwrap();
        let summary = Inference::open_jobs(model(), None, 1).remove(0);
        assert_eq!((summary.id, summary.requester), (job, ALICE));
        assert_eq!(
            (summary.max_input_units, summary.max_output_units),
            (10, 10)
        );
        assert_eq!(
            summary.max_prices,
            Prices {
                input: Balance::MAX,
                output: 77
            }
        );
        assert_eq!((summary.claim_by, summary.deliver_window), (21, 8));
        assert_eq!(
            (summary.directed_to, summary.exclusive_until),
            (Some(BOB), Some(6))
        );
    });
}

#[test]
fn a_workers_jobs_are_those_it_must_still_deliver() {
    market(|| {
        let (first, second) = (claimed(), claimed());
        assert_ok!(deliver(BOB, first));
        let jobs = Inference::jobs_of_worker(BOB);
        assert_eq!(jobs.len(), 1);
        assert_eq!((jobs[0].job, jobs[0].deliver_by), (second, 11));
        assert!(Inference::jobs_of_worker(EVE).is_empty());
    });
}

#[test]
fn a_quote_is_the_cheapest_worst_case_that_can_be_had_now() {
    market(|| {
        assert_ok!(offer(
            CAROL,
            Prices {
                input: 9,
                output: 20
            },
            1
        ));
        let quote = Inference::quote(model(), 5, 10).unwrap();
        assert_eq!((quote.fee, quote.worker, quote.workers), (290, CAROL, 2));
        assert_eq!(quote.deposit, JOB_DEPOSIT + DELIVERY_FEE);
        // It can be submitted and claimed for exactly that.
        assert_ok!(Inference::submit_job(
            signed(ALICE),
            model(),
            bytes(INPUT),
            10,
            quote.fee
        ));
        assert_ok!(Inference::claim_job(signed(CAROL), last_job()));
        // CAROL is full now.
        let quote = Inference::quote(model(), 5, 10).unwrap();
        assert_eq!((quote.fee, quote.worker, quote.workers), (300, BOB, 1));
        assert_ok!(Inference::chill(signed(BOB)));
        assert_eq!(Inference::quote(model(), 5, 10), None);
    });
}

#[test]
fn there_is_no_quote_for_what_cannot_be_submitted() {
    market(|| {
        assert_eq!(Inference::quote(H256::zero(), 5, 10), None);
        assert_eq!(Inference::quote(model(), 5, 0), None);
        assert_eq!(Inference::quote(model(), 5, 41), None);
        submit();
        assert_ok!(Inference::retire_model(signed(DAVE), model()));
        assert_eq!(Inference::quote(model(), 5, 10), None);
    });
}

#[test]
fn offers_come_with_what_is_left_of_them() {
    market(|| {
        claimed();
        let offers = Inference::offers(model(), None, 10);
        assert_eq!(offers.len(), 2);
        let bob = offers.iter().find(|offer| offer.worker == BOB).unwrap();
        assert_eq!((bob.capacity, bob.running, bob.available), (3, 1, true));
        assert_eq!(bob.free_stake, STAKE - EXPOSURE);
        // In pages of one.
        let first = Inference::offers(model(), None, 1);
        let second = Inference::offers(model(), Some(first[0].worker), 1);
        assert_eq!([&first[..], &second[..]].concat(), offers);
        assert!(Inference::offers(model(), Some(second[0].worker), 1).is_empty());
    });
}

#[test]
fn a_model_can_be_rebuilt_from_the_chain_alone() {
    market(|| {
        let content = Inference::manifest(model()).unwrap();
        assert_eq!(ModelManifest::parse(&content.bytes), Ok(manifest()));
        let view = Inference::model(model()).unwrap();
        assert_eq!(
            (view.owner, view.name.as_slice()),
            (DAVE, b"tiny".as_slice())
        );
        assert_eq!((view.offers, view.live_jobs, view.retired), (2, 0, false));
    });
}

#[test]
fn an_overdue_job_says_so() {
    market(|| {
        let job = submit();
        jump_to(22);
        let view = Inference::job(job).unwrap();
        assert_eq!((view.status, view.overdue), (JobStatus::Open, true));
        let bytes = INPUT.as_bytes().to_vec();
        assert_eq!(Inference::job_input(job), Some(Content { bytes }));
        assert_ok!(Inference::progress_job(signed(EVE), job));
        assert_eq!(Inference::job_input(job), None);
    });
}
