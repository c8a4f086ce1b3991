//! Reading the market.

use crate::{
    mock::*,
    primitives::{
        audit::{ballot_commitment, Ballot},
        views::{Content, SeatStatus},
        *,
    },
};
use frame_support::assert_ok;
use sp_runtime::Perbill;

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

#[test]
fn an_auditor_gets_all_it_needs_in_one_call() {
    audited_market(|| {
        let first = delivered();
        let second = delivered();
        run_to(now() + 3);
        let drawn: Vec<_> = Inference::audit(first).unwrap().rounds[0]
            .auditors
            .iter()
            .map(|auditor| auditor.who)
            .collect();
        let who = drawn[0];
        let seat = Inference::seats(who, None, 16)
            .into_iter()
            .find(|seat| seat.job == first)
            .expect("it was drawn");
        let job = Inference::job(first).unwrap();
        let round = &Inference::audit(first).unwrap().rounds[0];
        assert_eq!(seat.status, SeatStatus::ToCommit);
        assert_eq!((seat.round, Some(seat.seed)), (0, round.seed));
        assert_eq!(seat.until, job.until);
        assert_eq!(seat.input, INPUT.as_bytes());
        assert_eq!(seat.output, OUTPUT.as_bytes());
        assert_eq!(seat.evidence, evidence::encode(&[5, 600, 2]));
        assert_eq!(seat.terms, job.terms);
        assert_eq!(
            seat.attestation,
            Inference::result(first).unwrap().attestation
        );
        assert_eq!(seat.pay, FEE / 10);
        assert_eq!(seat.wrong_fine, EXPOSURE / 5);
        assert_eq!(seat.commitment, None);

        // Pages.
        let both = |after, limit| -> Vec<JobId> {
            AUDITORS
                .iter()
                .filter(|who| Inference::seats(**who, None, 16).len() == 2)
                .flat_map(|who| Inference::seats(*who, after, limit))
                .map(|seat| seat.job)
                .collect()
        };
        assert!(both(None, 1).iter().all(|job| *job == first));
        assert!(both(Some(first), 16).iter().all(|job| *job == second));
        assert!(both(Some(second), 16).is_empty());
        assert!(Inference::seats(who, None, 0).is_empty());
        assert!(Inference::seats(BOB, None, 16).is_empty(), "its own result");

        // When the time is over, and nobody has moved the job on.
        jump_to(seat.until + 1);
        let missed = Inference::seats(who, None, 1);
        assert_eq!(missed[0].status, SeatStatus::Missed);
    });
}

#[test]
fn a_seat_says_what_is_to_be_done_about_it() {
    audited_market(|| {
        let job = delivered();
        run_to(now() + 3);
        let audit = Inference::audit(job).unwrap();
        let drawn: Vec<_> = audit.rounds[0].auditors.iter().map(|a| a.who).collect();
        assert!(drawn.len() > 1, "one alone would end its phase at once");
        let status = |who| Inference::seats(who, None, 1)[0].status;
        let ballot = Ballot {
            digest: H256::repeat_byte(1),
            valid: true,
        };
        let genesis = Inference::genesis_hash();
        let salt = H256::repeat_byte(2);
        for who in &drawn {
            assert_eq!(status(*who), SeatStatus::ToCommit);
            let commitment = ballot_commitment(&genesis, job, 0, who, &ballot, &salt);
            assert_ok!(Inference::commit_ballot(signed(*who), job, commitment));
            if *who != drawn[drawn.len() - 1] {
                assert_eq!(status(*who), SeatStatus::Committed);
                let seat = &Inference::seats(*who, None, 1)[0];
                assert_eq!(seat.commitment, Some(commitment));
            }
        }
        assert_eq!(status(drawn[0]), SeatStatus::ToReveal);
        let reveal =
            |who| Inference::reveal_ballot(signed(who), job, ballot.digest, ballot.valid, salt);
        assert_ok!(reveal(drawn[0]));
        assert_eq!(status(drawn[0]), SeatStatus::Revealed);
        let shown = &Inference::audit(job).unwrap().rounds[0].auditors[0];
        assert_eq!((shown.ballot, shown.commitment), (Some(ballot), None));
        for who in &drawn[1..] {
            assert_ok!(reveal(*who));
        }
        assert!(
            Inference::seats(drawn[0], None, 16).is_empty(),
            "it is over"
        );
        let audit = Inference::audit(job).unwrap();
        assert_eq!(audit.valid, Some(true));
        assert_eq!(audit.rounds[0].verdict, Some(ballot));
        assert_eq!(
            (audit.dispute, audit.appeal, audit.slashes.len()),
            (None, None, 0)
        );
    });
}

#[test]
fn a_delivered_job_shows_how_likely_an_audit_is_and_what_it_pays_for() {
    audited_market(|| {
        let job = claimed();
        let view = Inference::job(job).unwrap();
        assert_eq!((view.audit_chance, view.premium), (None, None));
        assert_ok!(deliver(BOB, job));
        let view = Inference::job(job).unwrap();
        assert_eq!(
            view.audit_chance,
            Some(Perbill::one()),
            "BOB is on probation"
        );
        assert_eq!(view.premium, Some(3 * (FEE / 10)));
    });
}

#[test]
fn the_pool_is_shown_before_and_after_a_job_has_made_it() {
    audited_market(|| {
        let shown = Inference::audit_pool(model());
        assert_eq!(shown.len(), 2 + AUDITORS.len());
        assert!(shown.iter().all(|member| member.stake == STAKE));
        submit();
        assert_eq!(Inference::audit_pool(model()), shown);
        assert!(Inference::audit_pool(H256::zero()).is_empty());
    });
}
