//! Registering and retiring models.

use crate::{mock::*, primitives::*, Error, Event, HoldReason, Manifests, Models};
use frame_support::assert_ok;
use sp_runtime::{traits::BadOrigin, DispatchResult, Percent, Permill};

fn register(who: AccountId, manifest: &ModelManifest) -> DispatchResult {
    Inference::register_model(signed(who), registration(manifest))
}

fn changed(change: impl FnOnce(&mut ModelManifest)) -> ModelManifest {
    let mut manifest = manifest();
    change(&mut manifest);
    manifest
}

/// What is held for a model: 500 and 1 per byte.
fn deposit() -> Balance {
    500 + registration(&manifest()).len() as Balance
}

#[test]
fn a_model_is_registered_under_its_manifests_hash() {
    bare_market(|| {
        assert_ok!(register(DAVE, &manifest()));
        assert_eq!(held(DAVE, HoldReason::ModelDeposit), deposit());
        assert_eq!(
            Manifests::<Test>::get(model()),
            Some(ManifestBytes::truncate_from(registration(&manifest())))
        );
        let stored = Models::<Test>::get(model()).unwrap();
        assert_eq!(
            (stored.limits, stored.terms),
            (manifest().limits, manifest().terms)
        );
        assert_eq!(
            events(),
            [Event::ModelRegistered {
                model: model(),
                owner: DAVE,
                deposit: deposit()
            }]
        );
    });
}

#[test]
fn every_fault_of_a_manifest_has_its_error() {
    bare_market(|| {
        let refused = |change: fn(&mut ModelManifest), error| {
            refuses(|| register(DAVE, &changed(change)), error);
        };
        refused(|m| m.name = Default::default(), Error::ManifestTextInvalid);
        refused(
            |m| m.files[0].path = bytes("../config.json"),
            Error::ManifestPathInvalid,
        );
        refused(
            |m| m.files[0].path = bytes("tokenizer.json"),
            Error::ManifestPathTwice,
        );
        refused(|m| m.files[0].size = 0, Error::ManifestFileEmpty);
        refused(
            |m| m.files[0].role = FileRole::Weights,
            Error::ManifestConfigMissing,
        );
        refused(
            |m| m.files[1].role = FileRole::ChatTemplate,
            Error::ManifestWeightsMissing,
        );
        refused(
            |m| m.files[2].role = FileRole::Weights,
            Error::ManifestTokenizerMissing,
        );
        refused(|m| m.canonical_version = 2, Error::ManifestVersionUnknown);
        refused(|m| m.limits.context = 0, Error::ManifestLimitsInvalid);
        refused(|m| m.limits.max_output = 0, Error::ManifestLimitsInvalid);
        refused(|m| m.terms.min_price_output = 0, Error::ManifestPriceZero);
        refused(
            |m| m.terms.seat_pay = Percent::from_percent(9),
            Error::ManifestSeatPayInvalid,
        );
        refused(|m| m.terms.replay_rate = 0, Error::ManifestReplayTooSlow);
        refuses(
            || Inference::register_model(signed(DAVE), vec![0; 16_385]),
            Error::ManifestTooLong,
        );
        refuses(
            || Inference::register_model(signed(DAVE), bytes("no manifest")),
            Error::ManifestMalformed,
        );
    });
}

#[test]
fn the_least_fee_must_leave_a_worker_the_existential_deposit() {
    bare_market(|| {
        // 1 % of 101 is 1 (rounded down), which leaves 100: exactly enough.
        assert_ok!(register(DAVE, &changed(|m| m.terms.min_fee = 101)));
        // 1 % of 100 is 1, which leaves 99.
        refuses(
            || register(DAVE, &changed(|m| m.terms.min_fee = 100)),
            Error::MinFeeTooLow,
        );
    });
}

#[test]
fn a_model_is_registered_once() {
    bare_market(|| {
        assert_ok!(register(DAVE, &manifest()));
        refuses(|| register(DAVE, &manifest()), Error::ModelExists);
        refuses(|| register(EVE, &manifest()), Error::ModelExists);
        // Other terms are another model.
        assert_ok!(register(EVE, &changed(|m| m.terms.min_fee = 1_000)));
    });
}

#[test]
fn a_model_costs_a_deposit() {
    bare_market(|| {
        refuses(|| register(NOBODY, &manifest()), Error::BalanceTooLow);
        reparametrise(|p| p.model_deposit_per_byte = Balance::MAX);
        refuses(|| register(DAVE, &manifest()), Error::AmountTooLarge);
    });
}

#[test]
fn only_signed_accounts_register_and_retire() {
    bare_market(|| {
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_eq!(
                Inference::register_model(origin.clone(), registration(&manifest())),
                Err(BadOrigin.into())
            );
            assert_eq!(
                Inference::retire_model(origin, model()),
                Err(BadOrigin.into())
            );
        }
    });
}

#[test]
fn retiring_an_idle_model_returns_the_deposit_at_once() {
    bare_market(|| {
        assert_ok!(register(DAVE, &manifest()));
        events();
        assert_ok!(Inference::retire_model(signed(DAVE), model()));
        assert_eq!(free(DAVE), WEALTH);
        assert_eq!(Models::<Test>::get(model()), None);
        assert_eq!(Manifests::<Test>::get(model()), None);
        assert_eq!(
            events(),
            [
                Event::ModelRetired { model: model() },
                Event::ModelDropped {
                    model: model(),
                    owner: DAVE,
                    deposit: deposit()
                }
            ]
        );
    });
}

#[test]
fn only_its_owner_retires_a_model_and_only_once() {
    market(|| {
        refuses(
            || Inference::retire_model(signed(DAVE), H256::zero()),
            Error::ModelUnknown,
        );
        refuses(
            || Inference::retire_model(signed(EVE), model()),
            Error::NotModelOwner,
        );
        submit();
        assert_ok!(Inference::retire_model(signed(DAVE), model()));
        refuses(
            || Inference::retire_model(signed(DAVE), model()),
            Error::ModelRetired,
        );
    });
}

#[test]
fn a_retired_model_keeps_serving_the_jobs_it_has() {
    market(|| {
        let waiting = submit();
        let running = claimed();
        assert_ok!(Inference::retire_model(signed(DAVE), model()));
        refuses(
            || Inference::submit_job(signed(ALICE), model(), bytes(INPUT), MAX_OUTPUT, MAX_FEE),
            Error::ModelRetired,
        );
        refuses(|| offer(BOB, PRICES, 9), Error::ModelRetired);
        assert!(
            Inference::manifest(model()).is_some(),
            "its jobs still need the manifest"
        );

        assert_ok!(Inference::claim_job(signed(CAROL), waiting));
        assert_ok!(deliver(CAROL, waiting));
        assert_ok!(deliver(BOB, running));
        assert_ok!(Inference::accept_result(signed(ALICE), waiting));
        assert_eq!(held(DAVE, HoldReason::ModelDeposit), deposit());
        assert_ok!(Inference::accept_result(signed(ALICE), running));
        assert_eq!(free(DAVE), WEALTH);
        assert_eq!(Inference::manifest(model()), None);
    });
}

#[test]
fn a_retired_model_can_be_registered_again_by_anyone() {
    market(|| {
        let job = claimed();
        assert_ok!(Inference::retire_model(signed(DAVE), model()));
        // With a job on it: the new owner takes over, the old one is free.
        assert_ok!(register(EVE, &manifest()));
        assert_eq!(free(DAVE), WEALTH);
        assert_eq!(held(EVE, HoldReason::ModelDeposit), deposit());
        assert_eq!(Inference::model(model()).unwrap().live_jobs, 1);
        assert_ok!(deliver(BOB, job));
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        // And once it is gone.
        assert_ok!(Inference::retire_model(signed(EVE), model()));
        assert_ok!(register(EVE, &manifest()));
        // Offers made before mean the same as ever: the id binds the terms.
        claimed();
    });
}

#[test]
fn a_higher_protocol_share_refuses_models_it_would_starve() {
    market(|| {
        reparametrise(|p| p.protocol_share = Permill::from_percent(50));
        refuses(
            || register(DAVE, &changed(|m| m.stop_tokens = Default::default())),
            Error::MinFeeTooLow,
        );
        // Also at submission, for models registered before.
        refuses(
            || Inference::submit_job(signed(ALICE), model(), bytes(INPUT), MAX_OUTPUT, MAX_FEE),
            Error::MinFeeTooLow,
        );
    });
}
