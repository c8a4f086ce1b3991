//! Every weight fits: a call in its class, a step of the agenda in what blocks keep for it.
//!
//! The time that full blocks take is measured by `scripts/weights.sh blocks`.

mod tiny_model;

use codec::Encode;
use frame_support::{
    assert_ok,
    dispatch::GetDispatchInfo,
    traits::{Get, GetCallName, Hooks},
    weights::{Weight, WeightMeter},
};
use genesisflow_primitives::{
    JobConditions, JobOptions, MaxEndpointLen, MaxEvidenceLen, MaxInputLen, MaxManifestLen,
    MaxOutputLen, Parameters, ResultClaim, Usage, H256,
};
use genesisflow_runtime::{
    configs::{RuntimeBlockLength, RuntimeBlockWeights},
    currency::GEN,
    weights::pallet_inference::WeightInfo,
    AccountId, BalancesConfig, Inference, InferenceConfig, Runtime, RuntimeCall,
    RuntimeGenesisConfig, RuntimeOrigin, System,
};
use pallet_inference::{Call, WeightInfo as _};
use sp_keyring::Sr25519Keyring as Key;
use sp_runtime::BuildStorage;
use tiny_model::manifest;

type Weights = WeightInfo<Runtime>;

fn full<S: Get<u32>>() -> Vec<u8> {
    vec![0; S::get() as usize]
}

/// Every call of the market, as large as it can be.
fn calls() -> Vec<Call<Runtime>> {
    let (model, hash, who) = (H256::zero(), H256::zero(), AccountId::from([1; 32]));
    let claim = ResultClaim {
        usage: Usage::default(),
        fault: None,
        trace: hash,
        engine_version: 1,
    };
    let (job, max_fee, max_output) = (0, u128::MAX, u32::MAX);
    vec![
        Call::register_model {
            manifest: full::<MaxManifestLen>(),
        },
        Call::retire_model { model },
        Call::register_worker {
            stake: 1,
            endpoint: full::<MaxEndpointLen>(),
        },
        Call::bond_more { amount: 1 },
        Call::set_endpoint {
            endpoint: full::<MaxEndpointLen>(),
        },
        Call::chill {},
        Call::activate {},
        Call::unbond { amount: 1 },
        Call::withdraw_unbonded {},
        Call::set_offer {
            model,
            price_input: 1,
            price_output: 1,
            capacity: 1,
        },
        Call::remove_offer { model },
        Call::submit_job {
            model,
            input: full::<MaxInputLen>(),
            max_output,
            max_fee,
        },
        Call::submit_job_with {
            model,
            input: full::<MaxInputLen>(),
            max_output,
            max_fee,
            options: JobOptions::default(),
            conditions: JobConditions::default(),
        },
        Call::claim_job { job },
        Call::deliver {
            job,
            output: full::<MaxOutputLen>(),
            evidence: full::<MaxEvidenceLen>(),
            claim,
        },
        Call::accept_result { job },
        Call::cancel_job { job },
        Call::progress_job { job },
        Call::set_parameters {
            parameters: Parameters::default(),
        },
        Call::dispute_result { job },
        Call::commit_ballot {
            job,
            commitment: hash,
        },
        Call::reveal_ballot {
            job,
            digest: hash,
            valid: true,
            salt: hash,
        },
        Call::appeal_verdict { job },
        Call::cancel_slash { job, who },
    ]
}

#[test]
fn every_call_of_the_market_is_tried() {
    let mut tried: Vec<_> = calls().iter().map(GetCallName::get_call_name).collect();
    let mut all = Call::<Runtime>::get_call_names().to_vec();
    tried.sort_unstable();
    all.sort_unstable();
    assert_eq!(tried, all);
}

#[test]
fn every_call_fits_in_a_block_of_its_class_many_times() {
    let limits = RuntimeBlockWeights::get();
    for call in calls() {
        let call = RuntimeCall::Inference(call);
        let info = call.get_dispatch_info();
        let class = limits.get(info.class);
        let most = class.max_extrinsic.expect("the class has a limit");
        let weight = info.total_weight().saturating_add(class.base_extrinsic);
        // None is so dear that it could find no room in a block that is half full.
        assert!(
            weight.saturating_mul(10).all_lte(most),
            "{call:?} takes {weight:?} of {most:?}"
        );
        let longest = *RuntimeBlockLength::get().max.get(info.class) as usize;
        assert!(
            call.encoded_size() * 10 < longest,
            "{} bytes",
            call.encoded_size()
        );
    }
}

#[test]
fn what_every_block_does_is_a_hundredth_of_it_at_most() {
    let limits = RuntimeBlockWeights::get();
    let always = Weights::on_initialize().saturating_add(Weights::on_idle_base());
    assert!(always.saturating_mul(100).all_lte(limits.max_block));
}

#[test]
fn the_dearest_step_fits_several_times_in_what_full_blocks_keep_for_the_agenda() {
    let kept = RuntimeBlockWeights::get().max_block.saturating_div(8);
    let steps = [
        Weights::on_idle_expire().saturating_add(Weights::close_last()),
        Weights::on_idle_late()
            .saturating_add(Weights::on_idle_expire())
            .saturating_add(Weights::close_last()),
        Weights::on_idle_settle().saturating_add(Weights::close_last()),
        Weights::on_idle_drop(),
        Weights::on_idle_draw(),
        Weights::on_idle_round(),
        Weights::on_idle_outcome(),
        Weights::on_idle_slashes(),
    ];
    for step in steps {
        let step = step.saturating_add(Weights::on_idle_entry());
        assert!(step.saturating_mul(3).all_lte(kept), "{step:?} of {kept:?}");
    }
}

/// A block so full that `on_idle` gets nothing; returns what `on_poll` took.
fn full_block() -> Weight {
    let block = System::block_number() + 1;
    System::set_block_number(block);
    Inference::on_initialize(block);
    let limits = RuntimeBlockWeights::get();
    let mut meter = WeightMeter::with_limit(limits.max_block);
    Inference::on_poll(block, &mut meter);
    Inference::on_idle(block, Weight::zero());
    meter.consumed()
}

#[test]
fn a_backlog_is_worked_off_while_blocks_are_full() {
    let storage = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: vec![(Key::Alice.to_account_id(), 1_000_000 * GEN)],
            ..Default::default()
        },
        inference: InferenceConfig {
            parameters: Parameters::default(),
            ..Default::default()
        },
        ..Default::default()
    }
    .build_storage()
    .expect("the genesis is sound");
    sp_io::TestExternalities::new(storage).execute_with(|| {
        System::set_block_number(1);
        let alice = || RuntimeOrigin::signed(Key::Alice.to_account_id());
        let manifest = manifest();
        assert_ok!(Inference::register_model(alice(), manifest.encode()));
        let jobs = 1_500;
        for job in 0..jobs {
            let (model, input) = (manifest.id(), b"hello".to_vec());
            assert_ok!(Inference::submit_job(alice(), model, input, 10, GEN));
            assert_ok!(Inference::cancel_job(alice(), job));
        }
        let left = || pallet_inference::Jobs::<Runtime>::iter_keys().count();
        assert_eq!(left() as u64, jobs);

        System::set_block_number(Parameters::default().retention + 2);
        let kept = RuntimeBlockWeights::get().max_block.saturating_div(8);
        let mut before = left();
        while before > 0 {
            let used = full_block();
            let look = Weights::on_idle_base();
            assert!(
                used.all_lte(kept.saturating_add(look)),
                "too much: {used:?}"
            );
            let done = before - left();
            before = left();
            // More than the chain takes on in a second at its fastest.
            assert!(done >= 250 || before == 0, "{done} records in a full block");
        }
    });
}
