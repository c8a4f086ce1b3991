//! Changing the market's parameters.

use crate::{mock::*, primitives::*, Error, Event, GenesisConfig};
use frame_support::assert_ok;
use sp_runtime::{traits::BadOrigin, BuildStorage, Permill};

fn set(change: impl FnOnce(&mut Parameters)) -> Result<(), sp_runtime::DispatchError> {
    let mut changed = parameters();
    change(&mut changed);
    Inference::set_parameters(RuntimeOrigin::root(), changed)
}

#[test]
fn only_root_changes_parameters() {
    bare_market(|| {
        for origin in [signed(ALICE), RuntimeOrigin::none()] {
            assert_eq!(
                Inference::set_parameters(origin, parameters()),
                Err(BadOrigin.into())
            );
        }
        assert_ok!(set(|p| p.review_window = 16));
        assert_eq!(Inference::parameters().parameters.review_window, 16);
        assert_eq!(Inference::parameters().revision, 1);
        assert_eq!(events(), [Event::ParametersSet { revision: 1 }]);
    });
}

#[test]
fn unsound_parameters_are_refused_each_with_its_reason() {
    bare_market(|| {
        refuses(
            || set(|p| p.review_window = 0),
            Error::ParameterWindowOutOfRange,
        );
        refuses(
            || set(|p| p.open_window = 101),
            Error::ParameterDefaultAboveMaximum,
        );
        refuses(
            || set(|p| p.unbonding_period = p.longest_job()),
            Error::ParameterUnbondingTooShort,
        );
        refuses(
            || set(|p| p.protocol_share = Permill::one()),
            Error::ParameterProtocolShareTooHigh,
        );
        refuses(
            || set(|p| p.exposure_factor = 0),
            Error::ParameterExposureFactorZero,
        );
        refuses(|| set(|p| p.min_stake = 0), Error::ParameterMinStakeZero);
        refuses(
            || set(|p| p.seed_blocks = 65),
            Error::ParameterSeedBlocksOutOfRange,
        );
        refuses(|| set(|p| p.first_seats = 4), Error::ParameterSeatsUnsound);
        refuses(
            || set(|p| p.least_audit_chance = Permill::zero()),
            Error::ParameterAuditChanceUnsound,
        );
        refuses(
            || set(|p| p.premium_cap = Permill::zero()),
            Error::ParameterPremiumCapUnsound,
        );
        refuses(|| set(|p| p.bond_floor = 0), Error::ParameterBondUnsound);
        refuses(
            || set(|p| p.silent_fine = p.wrong_fine),
            Error::ParameterFinesUnsound,
        );
        // No call can name a share above 100 %, but a genesis can.
        let late = Error::<Test>::from(ParametersError::LateShare);
        assert!(matches!(late, Error::ParameterLateShareTooHigh));
    });
}

/// Every error that the pallet can give is what some test expects.
#[test]
fn every_error_has_a_test() {
    let errors = include_str!("../errors.rs").lines();
    let names: Vec<_> = errors
        .filter_map(|line| line.strip_prefix("        ")?.strip_suffix(','))
        .filter(|name| name.chars().all(char::is_alphanumeric))
        .collect();
    assert!(names.len() > 80, "{names:?}");
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests");
    let mut sources = String::new();
    for folder in [tests.clone(), tests.join("audits"), tests.join("sequences")] {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let words: std::collections::BTreeSet<_> = sources
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let untested: Vec<_> = names.iter().filter(|name| !words.contains(*name)).collect();
    assert!(untested.is_empty(), "no test expects {untested:?}");
}

#[test]
#[should_panic(expected = "unbonding_period must exceed")]
fn a_genesis_with_unsound_parameters_does_not_build() {
    let parameters = Parameters {
        unbonding_period: 1,
        ..parameters()
    };
    let _ = GenesisConfig::<Test> {
        parameters,
        ..Default::default()
    }
    .build_storage();
}

/// All that could be changed, changed.
fn everything_else(p: &mut Parameters) {
    *p = Parameters {
        exclusive_window: 90,
        open_window: 90,
        max_open_window: 91,
        deliver_window: 1,
        max_deliver_window: 1,
        review_window: 90,
        retention: 900,
        unbonding_period: 15_000,
        protocol_share: Permill::from_percent(9),
        late_share: Permill::from_percent(1),
        exposure_factor: 1,
        min_stake: 1,
        model_deposit: 1,
        model_deposit_per_byte: 9,
        offer_deposit: 9,
        job_deposit: 999,
        job_deposit_per_byte: 9,
        delivery_fee: 999,
        delivery_fee_per_byte: 9,
        pool_period: 77,
        seed_interval: 3,
        seed_blocks: 9,
        commit_window: 99,
        reveal_window: 99,
        appeal_window: 99,
        slash_delay: 99,
        repeat_window: 99,
        first_seats: 5,
        second_seats: 9,
        appeal_seats: 11,
        fined_audits: 9,
        probation_jobs: 9,
        least_audit_chance: Permill::from_percent(9),
        audit_chance_factor_milli: 9_999,
        premium_percent: 101,
        premium_cap: Permill::from_percent(9),
        bond_share: Permill::from_percent(99),
        bond_floor: 999,
        wrong_fine: Permill::from_percent(9),
        silent_fine: Permill::from_percent(8),
        silent_fine_pays: 9,
    };
}

#[test]
fn a_change_does_not_touch_jobs_already_submitted() {
    // Each life is lived twice: with a change right after the submission, and without.
    type Life = (&'static str, fn(JobId));
    let lives: [Life; 5] = [
        ("settled", |job| {
            jump_to(10);
            assert_ok!(Inference::claim_job(signed(BOB), job));
            jump_to(20);
            assert_ok!(deliver(BOB, job));
        }),
        ("late", |job| {
            assert_ok!(Inference::claim_job(signed(BOB), job));
        }),
        ("expired", |_| ()),
        ("cancelled", |job| {
            assert_ok!(Inference::cancel_job(signed(ALICE), job));
        }),
        ("directed", |job| {
            jump_to(7);
            assert_ok!(Inference::claim_job(signed(CAROL), job));
            assert_ok!(deliver(CAROL, job));
        }),
    ];
    for (name, live) in lives {
        let mut histories = Vec::new();
        for change in [false, true] {
            market(|| {
                let worker = (name == "directed").then_some(BOB);
                let job = submit_under(JobConditions {
                    worker,
                    ..JobConditions::default()
                })
                .unwrap();
                if change {
                    reparametrise(everything_else);
                }
                live(job);
                let mut history = Vec::new();
                for block in now() + 1..120 {
                    run_to(block);
                    let wealths = [ALICE, BOB, CAROL, TREASURY].map(wealth);
                    history.push((block, Inference::job(job), wealths));
                }
                assert_eq!(history.last().unwrap().1, None, "{name}");
                histories.push(history);
            });
        }
        assert_eq!(histories[0], histories[1], "{name}");
    }
}

#[test]
fn a_change_applies_to_the_next_job() {
    market(|| {
        reparametrise(everything_else);
        let terms = {
            assert_ok!(Inference::submit_job(
                signed(ALICE),
                model(),
                bytes(INPUT),
                10,
                2_000
            ));
            job(last_job()).terms
        };
        assert_eq!(
            (terms.revision, terms.review_window, terms.deliver_window),
            (1, 90, 1)
        );
    });
}
