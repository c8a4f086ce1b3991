//! Calls of the market that cost nothing, inside of other calls: only those with standing pass.

mod tiny_model;

use frame_support::{assert_ok, dispatch::GetDispatchInfo};
use genesisflow_primitives::{ModelId, Parameters, ResultClaim, Usage, H256};
use genesisflow_runtime::{
    configs::{ProxyType, Wrappers},
    currency::GEN,
    AccountId, BalancesConfig, Inference, InferenceConfig, Proxy, Runtime, RuntimeCall,
    RuntimeGenesisConfig, RuntimeOrigin, SudoConfig, System,
};
use pallet_inference::extension::{
    CheckStanding, MAX_CARRIED, NOT_CARRIED, NO_CLAIM, TOO_MANY_CARRIED,
};
use sp_keyring::Sr25519Keyring as Key;
use sp_runtime::{
    traits::{DispatchTransaction, Hash},
    transaction_validity::{InvalidTransaction, TransactionSource, TransactionValidityError},
    BuildStorage,
};
use tiny_model::manifest;

fn account(key: Key) -> AccountId {
    key.to_account_id()
}

fn signed(key: Key) -> RuntimeOrigin {
    RuntimeOrigin::signed(account(key))
}

/// Runs a test on a chain with a job that Bob has claimed. Alice's key is root's.
fn with_a_claim(test: impl FnOnce(ModelId)) {
    let storage = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: Key::well_known()
                .map(|key| (account(key), 10_000 * GEN))
                .collect(),
            ..Default::default()
        },
        sudo: SudoConfig {
            key: Some(account(Key::Alice)),
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
        let manifest = manifest();
        let model = manifest.id();
        let registration = codec::Encode::encode(&manifest);
        assert_ok!(Inference::register_model(signed(Key::Dave), registration));
        assert_ok!(Inference::register_worker(
            signed(Key::Bob),
            1_000 * GEN,
            Vec::new()
        ));
        assert_ok!(Inference::set_offer(signed(Key::Bob), model, 1, 1, 9));
        assert_ok!(Inference::submit_job(
            signed(Key::Charlie),
            model,
            b"hello".to_vec(),
            10,
            GEN
        ));
        assert_ok!(Inference::claim_job(signed(Key::Bob), 0));
        test(model)
    });
}

fn delivery() -> RuntimeCall {
    RuntimeCall::Inference(pallet_inference::Call::deliver {
        job: 0,
        output: b"hola".to_vec(),
        evidence: vec![20],
        claim: ResultClaim {
            usage: Usage {
                input: 4,
                output: 1,
            },
            fault: None,
            trace: H256::repeat_byte(3),
            engine_version: 1,
        },
    })
}

/// A call that needs no standing, and is of the normal class.
fn remark() -> RuntimeCall {
    RuntimeCall::System(frame_system::Call::remark { remark: Vec::new() })
}

fn batch(calls: Vec<RuntimeCall>) -> RuntimeCall {
    RuntimeCall::Utility(pallet_utility::Call::batch_all { calls })
}

fn for_bob(call: RuntimeCall) -> RuntimeCall {
    RuntimeCall::Proxy(pallet_proxy::Call::proxy {
        real: account(Key::Bob).into(),
        force_proxy_type: None,
        call: Box::new(call),
    })
}

/// What the pool says about a call: nothing, or the code of its refusal.
fn check(key: Key, call: RuntimeCall) -> Result<(), u8> {
    let checked = CheckStanding::<Runtime, Wrappers>::default().validate_only(
        signed(key),
        &call,
        &call.get_dispatch_info(),
        0,
        TransactionSource::External,
        0,
    );
    match checked {
        Ok(_) => Ok(()),
        Err(TransactionValidityError::Invalid(InvalidTransaction::Custom(code))) => Err(code),
        Err(other) => panic!("not one of the documented refusals: {other:?}"),
    }
}

#[test]
fn a_batch_needs_the_standing_of_all_that_is_in_it() {
    with_a_claim(|_| {
        assert_eq!(check(Key::Bob, delivery()), Ok(()));
        assert_eq!(check(Key::Eve, delivery()), Err(NO_CLAIM));
        assert_eq!(check(Key::Bob, batch(vec![delivery()])), Ok(()));
        assert_eq!(check(Key::Eve, batch(vec![delivery()])), Err(NO_CLAIM));
        let nested = batch(vec![batch(vec![delivery()]), batch(vec![delivery()])]);
        assert_eq!(check(Key::Bob, nested.clone()), Ok(()));
        assert_eq!(check(Key::Eve, nested), Err(NO_CLAIM));
        let many = |count| batch(vec![delivery(); count]);
        assert_eq!(check(Key::Bob, many(MAX_CARRIED as usize)), Ok(()));
        assert_eq!(
            check(Key::Bob, many(MAX_CARRIED as usize + 1)),
            Err(TOO_MANY_CARRIED)
        );
    });
}

#[test]
fn a_batch_of_the_normal_class_needs_no_standing() {
    with_a_claim(|_| {
        assert_eq!(check(Key::Eve, batch(vec![remark(), delivery()])), Ok(()));
    });
}

#[test]
fn a_workers_hot_key_delivers_in_its_name_and_nobody_elses_does() {
    with_a_claim(|_| {
        assert_eq!(check(Key::Ferdie, for_bob(delivery())), Err(NOT_CARRIED));
        assert_ok!(Proxy::add_proxy(
            signed(Key::Bob),
            account(Key::Ferdie).into(),
            ProxyType::WorkerOperation,
            0
        ));
        assert_eq!(check(Key::Ferdie, for_bob(delivery())), Ok(()));
        assert_eq!(check(Key::Eve, for_bob(delivery())), Err(NOT_CARRIED));
        // In its own name it has no standing.
        assert_eq!(check(Key::Ferdie, delivery()), Err(NO_CLAIM));
        // Wrappers in wrappers.
        let both = for_bob(batch(vec![delivery()]));
        assert_eq!(check(Key::Ferdie, both), Ok(()));
        assert_eq!(check(Key::Ferdie, batch(vec![for_bob(delivery())])), Ok(()));

        assert_ok!(Inference::deliver(
            signed(Key::Bob),
            0,
            b"hola".to_vec(),
            vec![20],
            match delivery() {
                RuntimeCall::Inference(pallet_inference::Call::deliver { claim, .. }) => claim,
                _ => unreachable!("it is a delivery"),
            }
        ));
        assert_eq!(check(Key::Ferdie, for_bob(delivery())), Err(NO_CLAIM));
    });
}

#[test]
fn a_proxy_with_a_delay_must_have_announced_the_call() {
    with_a_claim(|_| {
        assert_ok!(Proxy::add_proxy(
            signed(Key::Bob),
            account(Key::Ferdie).into(),
            ProxyType::WorkerOperation,
            5
        ));
        assert_eq!(check(Key::Ferdie, for_bob(delivery())), Err(NOT_CARRIED));
        let announced = RuntimeCall::Proxy(pallet_proxy::Call::proxy_announced {
            delegate: account(Key::Ferdie).into(),
            real: account(Key::Bob).into(),
            force_proxy_type: None,
            call: Box::new(delivery()),
        });
        assert_eq!(check(Key::Eve, announced.clone()), Err(NOT_CARRIED));
        assert_ok!(Proxy::announce(
            signed(Key::Ferdie),
            account(Key::Bob).into(),
            sp_runtime::traits::BlakeTwo256::hash_of(&delivery())
        ));
        assert_eq!(check(Key::Eve, announced), Ok(()));
    });
}

#[test]
fn other_wrappers_lend_no_standing_either() {
    with_a_claim(|_| {
        let derivative = RuntimeCall::Utility(pallet_utility::Call::as_derivative {
            index: 0,
            call: Box::new(delivery()),
        });
        assert_eq!(check(Key::Bob, derivative), Err(NO_CLAIM));
        let multisig = RuntimeCall::Multisig(pallet_multisig::Call::as_multi_threshold_1 {
            other_signatories: vec![account(Key::Eve)],
            call: Box::new(delivery()),
        });
        assert_eq!(check(Key::Bob, multisig), Err(NO_CLAIM));
        let either = RuntimeCall::Utility(pallet_utility::Call::if_else {
            main: Box::new(delivery()),
            fallback: Box::new(delivery()),
        });
        assert_eq!(check(Key::Bob, either.clone()), Ok(()));
        assert_eq!(check(Key::Eve, either), Err(NO_CLAIM));
        let for_root = RuntimeCall::Utility(pallet_utility::Call::with_weight {
            call: Box::new(delivery()),
            weight: Default::default(),
        });
        assert_eq!(check(Key::Bob, for_root.clone()), Err(NOT_CARRIED));
        let sudo = |call| {
            RuntimeCall::Sudo(pallet_sudo::Call::sudo {
                call: Box::new(call),
            })
        };
        assert_eq!(check(Key::Bob, sudo(delivery())), Err(NOT_CARRIED));
        assert_eq!(check(Key::Alice, sudo(for_root)), Ok(()));
    });
}
