//! Delivering results.

use crate::{mock::*, primitives::*, Error, Event, Evidence, HoldReason};
use frame_support::{assert_ok, dispatch::Pays};
use sp_runtime::traits::BadOrigin;

fn with_usage(input: u32, output: u32) -> ResultClaim {
    ResultClaim {
        usage: Usage { input, output },
        ..result_claim()
    }
}

#[test]
fn a_delivery_is_metered_and_the_rest_of_the_escrow_is_back_at_once() {
    market(|| {
        let job = claimed();
        events();
        assert_ok!(deliver_with(
            BOB,
            job,
            b"hola",
            &[1, 2, 3],
            with_usage(10, 3)
        ));
        let fee = 10 * 10 + 3 * 20;
        let view = Inference::job(job).unwrap();
        assert_eq!(
            (view.status, view.fee, view.until),
            (JobStatus::Review, Some(fee), 16)
        );
        // What was prepaid for the delivery is spent with the fee.
        assert_eq!(
            held(ALICE, HoldReason::Job),
            fee + JOB_DEPOSIT + DELIVERY_FEE
        );
        let result = Inference::result(job).unwrap();
        assert_eq!(result.output.to_vec(), b"hola");
        assert_eq!(result.attestation.worker, BOB);
        assert_eq!(
            result.attestation.input_hash,
            content_hash(INPUT.as_bytes())
        );
        assert_eq!(
            events(),
            [Event::ResultDelivered {
                job,
                worker: BOB,
                attestation: result.attestation.hash(),
                output_hash: content_hash(b"hola"),
                usage: Usage {
                    input: 10,
                    output: 3
                },
                fault: None,
                fee,
                refund: MAX_FEE - fee,
                // Nobody is there to audit it.
                audit_chance: sp_runtime::Perbill::zero(),
                until: 16
            }]
        );
    });
}

#[test]
fn a_delivery_costs_the_worker_nothing_if_it_is_taken() {
    market(|| {
        let job = claimed();
        let outcome = deliver(BOB, job).unwrap();
        assert_eq!(outcome.pays_fee, Pays::No);
        let refusal = Inference::deliver(
            signed(BOB),
            job,
            bytes("x"),
            Default::default(),
            result_claim(),
        );
        assert_eq!(refusal.unwrap_err().post_info.pays_fee, Pays::Yes);
    });
}

#[test]
fn a_fee_is_at_least_the_models_least() {
    market(|| {
        let job = claimed();
        assert_ok!(deliver_with(BOB, job, b"", &[], with_usage(0, 0)));
        assert_eq!(Inference::job(job).unwrap().fee, Some(FEE));
    });
}

#[test]
fn usage_beyond_the_jobs_limits_is_refused() {
    market(|| {
        let job = claimed();
        let eleven: Vec<u32> = (0..11).collect();
        refuses(
            || deliver_with(BOB, job, b"hola", &[1, 2, 3], with_usage(11, 3)),
            Error::InputUsageTooHigh,
        );
        refuses(
            || deliver_with(BOB, job, b"hola", &eleven, with_usage(4, 11)),
            Error::OutputUsageTooHigh,
        );
        assert_ok!(deliver_with(
            BOB,
            job,
            b"hola",
            &eleven[..10],
            with_usage(10, 10)
        ));
        assert_eq!(Inference::job(job).unwrap().fee, Some(WORST_CASE));
    });
}

#[test]
fn outputs_and_evidence_beyond_the_jobs_limits_are_refused() {
    market(|| {
        let job = claimed();
        refuses(
            || deliver_with(BOB, job, &[b'a'; 161], &[1, 2, 3], result_claim()),
            Error::OutputTooLong,
        );
        refuses(
            || deliver_with(BOB, job, &[0xff], &[1, 2, 3], result_claim()),
            Error::OutputNotUtf8,
        );
        // Ten ids of five bytes each: more than 4 bytes an id.
        refuses(
            || deliver_with(BOB, job, b"a", &[u32::MAX; 10], with_usage(4, 10)),
            Error::EvidenceTooLong,
        );
        refuses(
            || deliver_with(BOB, job, b"a", &[1, 2], result_claim()),
            Error::EvidenceMismatch,
        );
        refuses(
            || {
                let evidence = vec![1];
                Inference::deliver(signed(BOB), job, bytes("a"), evidence, with_usage(4, 1))
                    .map_err(|error| error.error)
            },
            Error::EvidenceMalformed,
        );
        assert_ok!(deliver_with(
            BOB,
            job,
            &[b'a'; 160],
            &[u32::MAX >> 2; 10],
            with_usage(4, 10)
        ));
    });
}

#[test]
fn a_result_is_delivered_once_and_by_its_worker() {
    market(|| {
        refuses(|| deliver(BOB, 0), Error::JobUnknown);
        let job = submit();
        refuses(|| deliver(BOB, job), Error::NotClaimed);
        assert_ok!(Inference::claim_job(signed(BOB), job));
        refuses(|| deliver(CAROL, job), Error::NotYourClaim);
        assert_ok!(deliver(BOB, job));
        refuses(|| deliver(BOB, job), Error::AlreadyDelivered);
        refuses(|| deliver(CAROL, job), Error::NotYourClaim);
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        refuses(|| deliver(BOB, job), Error::AlreadyDelivered);
        refuses(|| deliver(CAROL, job), Error::JobIsFinal);
    });
}

#[test]
fn a_delivery_in_the_last_block_counts_and_one_later_does_not() {
    market(|| {
        let (first, second) = (claimed(), claimed());
        jump_to(11);
        assert_ok!(deliver(BOB, first));
        jump_to(12);
        refuses(|| deliver(BOB, second), Error::TooLate);
        // Also when somebody has moved the job on in the meantime.
        assert_ok!(Inference::progress_job(signed(EVE), second));
        refuses(|| deliver(BOB, second), Error::TooLate);
        assert_ok!(Inference::claim_job(signed(CAROL), second));
        refuses(|| deliver(BOB, second), Error::TooLate);
        assert_ok!(deliver(CAROL, second));
    });
}

#[test]
fn a_fault_is_paid_for_what_was_done_before_it() {
    market(|| {
        let job = claimed();
        let fault = Fault {
            code: FaultCode::ActivationOverflow,
            position: 6,
        };
        let claim = ResultClaim {
            usage: Usage {
                input: 10,
                output: 2,
            },
            fault: Some(fault),
            ..result_claim()
        };
        assert_ok!(deliver_with(BOB, job, b"ho", &[1, 2], claim));
        let view = Inference::job(job).unwrap();
        assert_eq!(
            (view.fault, view.fee),
            (Some(fault), Some(10 * 10 + 2 * 20))
        );
        assert_eq!(
            Inference::result(job).unwrap().attestation.fault,
            Some(fault)
        );
    });
}

#[test]
fn a_template_fault_has_no_tokens_and_earns_the_least_fee() {
    market(|| {
        let job = claimed();
        let claim = ResultClaim {
            usage: Usage::default(),
            fault: Some(Fault {
                code: FaultCode::Template,
                position: 0,
            }),
            ..result_claim()
        };
        assert_ok!(deliver_with(BOB, job, b"", &[], claim));
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        assert_eq!(free(BOB), WEALTH - STAKE - 50 + FEE - 1);
    });
}

#[test]
fn evidence_is_kept_until_the_job_is_final() {
    market(|| {
        let job = delivered();
        assert!(Inference::result(job).unwrap().evidence.is_some());
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        let result = Inference::result(job).unwrap();
        assert_eq!(result.evidence, None);
        assert_eq!(result.output.to_vec(), OUTPUT.as_bytes());
        assert_eq!(Evidence::<Test>::get(job), None);
    });
}

#[test]
fn only_signed_accounts_deliver() {
    market(|| {
        let job = claimed();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            let refusal =
                Inference::deliver(origin, job, bytes("a"), Default::default(), result_claim());
            assert_eq!(refusal.unwrap_err().error, BadOrigin.into());
        }
    });
}
