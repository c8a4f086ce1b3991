//! Submitting jobs.

use crate::{mock::*, primitives::*, Error, Event, HoldReason, Inputs};
use frame_support::assert_ok;
use frame_support::pallet_prelude::DispatchResultWithPostInfo;
use sp_runtime::traits::BadOrigin;

fn submit_as(input: &[u8], max_output: u32, max_fee: Balance) -> DispatchResultWithPostInfo {
    Inference::submit_job(signed(ALICE), model(), input.to_vec(), max_output, max_fee)
}

fn conditions() -> JobConditions<AccountId> {
    JobConditions::default()
}

fn with_options(options: JobOptions) -> DispatchResultWithPostInfo {
    Inference::submit_job_with(
        signed(ALICE),
        model(),
        bytes(INPUT),
        MAX_OUTPUT,
        MAX_FEE,
        options,
        conditions(),
    )
}

#[test]
fn a_job_holds_its_escrow_and_its_deposit() {
    market(|| {
        let job = submit();
        assert_eq!(job, 0);
        assert_eq!(
            held(ALICE, HoldReason::Job),
            MAX_FEE + JOB_DEPOSIT + DELIVERY_FEE
        );
        assert_eq!(wealth(ALICE), WEALTH);
        assert_eq!(Inputs::<Test>::get(job).unwrap().to_vec(), INPUT.as_bytes());
        let view = Inference::job(job).unwrap();
        assert_eq!(
            (view.status, view.until, view.overdue),
            (JobStatus::Open, 21, false)
        );
        assert_eq!(view.terms.max_input_units, 10);
        assert_eq!(
            events(),
            [Event::JobSubmitted {
                job,
                requester: ALICE,
                model: model(),
                input_hash: content_hash(INPUT.as_bytes()),
                max_fee: MAX_FEE,
                claim_by: 21
            }]
        );
        assert_eq!(submit(), 1);
    });
}

#[test]
fn a_bad_input_is_refused_before_any_money_moves() {
    market(|| {
        refuses(|| submit_as(b"", 10, MAX_FEE), Error::InputEmpty);
        refuses(|| submit_as(&[0xff], 10, MAX_FEE), Error::InputNotUtf8);
        refuses(|| submit_as(b"hi", 0, MAX_FEE), Error::OutputLimitZero);
        refuses(|| submit_as(b"hi", 41, MAX_FEE), Error::OutputLimitTooHigh);
        refuses(
            || Inference::submit_job(signed(ALICE), H256::zero(), bytes("hi"), 10, MAX_FEE),
            Error::ModelUnknown,
        );
    });
}

#[test]
fn an_input_longer_than_16_kib_is_refused_by_name() {
    market(|| {
        let too_long = vec![b'a'; 16_385];
        refuses(|| submit_as(&too_long, 10, MAX_FEE), Error::InputTooLong);
        refuses(
            || {
                Inference::submit_job_with(
                    signed(ALICE),
                    model(),
                    too_long.clone(),
                    10,
                    MAX_FEE,
                    Default::default(),
                    Default::default(),
                )
            },
            Error::InputTooLong,
        );
    });
}

#[test]
fn a_long_input_is_charged_for_no_more_than_the_context_holds() {
    market(|| {
        // 16 KiB of text, but only 100 - 40 tokens of prompt fit: 60 x 2 + 40 x 3.
        let long = vec![b'a'; 16_384];
        refuses(|| submit_as(&long, 40, 239), Error::EscrowTooSmall);
        assert_ok!(submit_as(&long, 40, 240));
        assert_eq!(job(last_job()).terms.max_input_units, 60);
    });
}

#[test]
fn an_output_that_leaves_no_room_for_a_prompt_is_refused() {
    market(|| {
        let mut wide = manifest();
        wide.limits.max_output = wide.limits.context;
        assert_ok!(Inference::register_model(signed(DAVE), registration(&wide)));
        let submit = |max_output| {
            Inference::submit_job(signed(ALICE), wide.id(), bytes("hi"), max_output, MAX_FEE)
        };
        refuses(|| submit(100), Error::OutputLimitTooHigh);
        assert_eq!(Inference::quote(wide.id(), 2, 100), None);
        assert_ok!(submit(99));
        assert_eq!(job(last_job()).terms.max_input_units, 1);
    });
}

#[test]
fn the_escrow_must_cover_the_worst_case_at_the_models_least_prices() {
    market(|| {
        // 10 x 2 + 10 x 3 = 50 is below the least fee of 110.
        refuses(|| submit_as(b"hello", 10, 109), Error::EscrowTooSmall);
        assert_ok!(submit_as(b"hello", 10, 110));
        // 10 x 2 + 40 x 3 = 140.
        refuses(|| submit_as(b"hello", 40, 139), Error::EscrowTooSmall);
        assert_ok!(submit_as(b"hello", 40, 140));
    });
}

#[test]
fn who_cannot_pay_cannot_submit() {
    market(|| {
        undoes(|| submit_as(b"hello", 10, WEALTH), Error::BalanceTooLow);
        // Enough for the escrow, not for the deposit.
        let short = WEALTH - ED - JOB_DEPOSIT - DELIVERY_FEE + 1;
        undoes(|| submit_as(b"hello", 10, short), Error::BalanceTooLow);
        assert_ok!(submit_as(b"hello", 10, short - 1));
        assert_eq!(free(ALICE), ED);
    });
}

#[test]
fn options_out_of_range_are_refused() {
    market(|| {
        let base = JobOptions::default();
        refuses(
            || {
                with_options(JobOptions {
                    temperature_milli: 100_001,
                    ..base
                })
            },
            Error::TemperatureTooHigh,
        );
        refuses(
            || with_options(JobOptions { top_k: 0, ..base }),
            Error::TopKOutOfRange,
        );
        refuses(
            || with_options(JobOptions { top_k: 65, ..base }),
            Error::TopKOutOfRange,
        );
        refuses(
            || {
                with_options(JobOptions {
                    top_p_milli: 0,
                    ..base
                })
            },
            Error::TopPOutOfRange,
        );
        refuses(
            || {
                with_options(JobOptions {
                    top_p_milli: 1_001,
                    ..base
                })
            },
            Error::TopPOutOfRange,
        );
        assert_ok!(with_options(JobOptions {
            format: InputFormat::Raw,
            temperature_milli: 100_000,
            top_k: 64,
            top_p_milli: 1,
            seed: H256::repeat_byte(9),
        }));
    });
}

#[test]
fn price_caps_below_the_models_least_prices_are_refused() {
    market(|| {
        let caps = |max_price_input, max_price_output| {
            submit_under(JobConditions {
                max_price_input,
                max_price_output,
                ..conditions()
            })
        };
        refuses(|| caps(1, 100), Error::PriceCapTooLow);
        refuses(|| caps(100, 2), Error::PriceCapTooLow);
        assert_ok!(caps(2, 3));
    });
}

#[test]
fn a_claim_deadline_must_lie_ahead_and_not_too_far() {
    market(|| {
        jump_to(10);
        let by = |claim_by| {
            submit_under(JobConditions {
                claim_by: Some(claim_by),
                ..conditions()
            })
        };
        refuses(|| by(0), Error::ClaimDeadlinePassed);
        refuses(|| by(9), Error::ClaimDeadlinePassed);
        refuses(|| by(10), Error::ClaimDeadlinePassed);
        refuses(|| by(111), Error::ClaimDeadlineTooFar);
        refuses(|| by(u32::MAX), Error::ClaimDeadlineTooFar);
        assert_eq!(job(by(11).unwrap()).state.until(), 11);
        assert_eq!(job(by(110).unwrap()).state.until(), 110);
    });
}

#[test]
fn a_delivery_window_must_be_within_the_limits() {
    market(|| {
        let within = |blocks| {
            submit_under(JobConditions {
                deliver_within: Some(blocks),
                ..conditions()
            })
        };
        refuses(|| within(0), Error::DeliverWindowOutOfRange);
        refuses(|| within(51), Error::DeliverWindowOutOfRange);
        assert_eq!(job(within(1).unwrap()).terms.deliver_window, 1);
        assert_eq!(job(within(50).unwrap()).terms.deliver_window, 50);
    });
}

#[test]
fn a_job_can_only_be_directed_to_a_worker() {
    market(|| {
        let to = |worker| {
            submit_under(JobConditions {
                worker: Some(worker),
                ..conditions()
            })
        };
        refuses(|| to(EVE), Error::DirectedToNoWorker);
        assert_ok!(to(BOB));
    });
}

#[test]
fn a_job_can_ask_for_others_who_could_check_it() {
    market(|| {
        let among = |min_auditors| {
            submit_under(JobConditions {
                min_auditors,
                ..conditions()
            })
        };
        // Nobody has been there for long enough yet.
        refuses(|| among(1), Error::TooFewAuditors);
        assert_ok!(among(0));
        // The requester's own offer does not count.
        assert_ok!(Inference::register_worker(signed(ALICE), STAKE, bytes("")));
        assert_ok!(offer(ALICE, PRICES, 1));
        run_to(2 * PERIOD);
        undoes(|| among(3), Error::TooFewAuditors);
        assert_ok!(among(2));
    });
}

#[test]
fn prices_beyond_every_balance_are_refused() {
    market(|| {
        reparametrise(|p| p.job_deposit_per_byte = Balance::MAX);
        refuses(|| submit_as(b"hello", 10, MAX_FEE), Error::AmountTooLarge);
        let mut dear = manifest();
        dear.terms.min_price_output = Balance::MAX;
        reparametrise(|p| p.job_deposit_per_byte = 1);
        assert_ok!(Inference::register_model(signed(DAVE), registration(&dear)));
        refuses(
            || Inference::submit_job(signed(ALICE), dear.id(), bytes("hi"), 10, Balance::MAX),
            Error::AmountTooLarge,
        );
    });
}

#[test]
fn only_signed_accounts_submit() {
    market(|| {
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_eq!(
                Inference::submit_job(origin.clone(), model(), bytes("hi"), 10, MAX_FEE),
                Err(BadOrigin.into())
            );
            assert_eq!(
                Inference::submit_job_with(
                    origin,
                    model(),
                    bytes("hi"),
                    10,
                    MAX_FEE,
                    JobOptions::default(),
                    conditions()
                ),
                Err(BadOrigin.into())
            );
        }
    });
}
