//! Offers.

use crate::{mock::*, primitives::*, Config, Error, Event, HoldReason, OfferCounts};
use frame_support::{assert_ok, traits::Get};
use sp_runtime::traits::BadOrigin;

#[test]
fn a_worker_offers_a_model() {
    market(|| {
        assert_ok!(Inference::register_worker(signed(EVE), STAKE, bytes("")));
        events();
        assert_ok!(Inference::set_offer(signed(EVE), model(), 5, 6, 2));
        assert_eq!(held(EVE, HoldReason::OfferDeposit), 50);
        assert_eq!(OfferCounts::<Test>::get(model()), 3);
        assert_eq!(
            events(),
            [Event::OfferSet {
                model: model(),
                worker: EVE,
                price_input: 5,
                price_output: 6,
                capacity: 2
            }]
        );
    });
}

#[test]
fn offers_that_make_no_sense_are_refused() {
    market(|| {
        refuses(|| offer(EVE, PRICES, 1), Error::NotAWorker);
        refuses(
            || Inference::set_offer(signed(BOB), H256::zero(), 10, 20, 1),
            Error::ModelUnknown,
        );
        refuses(
            || {
                offer(
                    BOB,
                    Prices {
                        input: 1,
                        output: 20,
                    },
                    1,
                )
            },
            Error::PriceBelowMinimum,
        );
        refuses(
            || {
                offer(
                    BOB,
                    Prices {
                        input: 10,
                        output: 2,
                    },
                    1,
                )
            },
            Error::PriceBelowMinimum,
        );
        refuses(|| offer(BOB, PRICES, 0), Error::CapacityZero);
        let most = <Test as Config>::MaxCapacity::get();
        refuses(|| offer(BOB, PRICES, most + 1), Error::CapacityTooHigh);
        assert_ok!(offer(
            BOB,
            Prices {
                input: 2,
                output: 3
            },
            most
        ));
        assert_ok!(Inference::register_worker(
            signed(EVE),
            WEALTH - ED - 49,
            bytes("")
        ));
        refuses(|| offer(EVE, PRICES, 1), Error::BalanceTooLow);
    });
}

#[test]
fn changing_an_offer_keeps_its_deposit() {
    market(|| {
        reparametrise(|p| p.offer_deposit = 5_000);
        assert_ok!(offer(
            BOB,
            Prices {
                input: 11,
                output: 21
            },
            1
        ));
        assert_eq!(held(BOB, HoldReason::OfferDeposit), 50);
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        assert_eq!(held(BOB, HoldReason::OfferDeposit), 0);
        assert_ok!(offer(BOB, PRICES, 1));
        assert_eq!(held(BOB, HoldReason::OfferDeposit), 5_000);
    });
}

#[test]
fn repricing_does_not_touch_claimed_jobs() {
    market(|| {
        let job = claimed();
        assert_ok!(offer(
            BOB,
            Prices {
                input: 500,
                output: 500
            },
            3
        ));
        let usage = Usage {
            input: 10,
            output: 3,
        };
        assert_ok!(deliver_with(
            BOB,
            job,
            b"hola",
            &[1, 2, 3],
            ResultClaim {
                usage,
                ..result_claim()
            }
        ));
        assert_eq!(Inference::job(job).unwrap().fee, Some(10 * 10 + 3 * 20));
    });
}

#[test]
fn an_offer_can_be_withdrawn_while_its_jobs_run() {
    market(|| {
        let job = claimed();
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        refuses(
            || Inference::remove_offer(signed(BOB), model()),
            Error::OfferUnknown,
        );
        let next = submit();
        refuses(|| Inference::claim_job(signed(BOB), next), Error::NoOffer);
        // Offered again, the running job still counts.
        assert_ok!(offer(BOB, PRICES, 1));
        refuses(
            || Inference::claim_job(signed(BOB), next),
            Error::AtCapacity,
        );
        assert_ok!(deliver(BOB, job));
        assert_ok!(Inference::claim_job(signed(BOB), next));
    });
}

#[test]
fn an_offer_may_outlive_its_model() {
    market(|| {
        assert_ok!(Inference::retire_model(signed(DAVE), model()));
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        assert_eq!(held(BOB, HoldReason::OfferDeposit), 0);
    });
}

#[test]
fn only_signed_accounts_offer() {
    market(|| {
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_eq!(
                Inference::set_offer(origin.clone(), model(), 10, 20, 1),
                Err(BadOrigin.into())
            );
            assert_eq!(
                Inference::remove_offer(origin, model()),
                Err(BadOrigin.into())
            );
        }
    });
}
