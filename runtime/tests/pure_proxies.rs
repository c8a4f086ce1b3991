//! Pure proxies, accounts without a key whose deposits lie on other accounts, would let their owners
//! free what the market holds. This chain has none.

use frame_support::{assert_noop, traits::Contains};
use genesisflow_runtime::{
    configs::{NoPureProxies, ProxyType},
    currency::GEN,
    BalancesConfig, RuntimeCall, RuntimeGenesisConfig, RuntimeOrigin, System,
};
use sp_keyring::Sr25519Keyring as Key;
use sp_runtime::{traits::Dispatchable, BuildStorage};

fn create() -> RuntimeCall {
    RuntimeCall::Proxy(pallet_proxy::Call::create_pure {
        proxy_type: ProxyType::Any,
        delay: 0,
        index: 0,
    })
}

#[test]
fn nobody_makes_a_pure_proxy_directly_or_in_another_call() {
    let storage = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: vec![(Key::Eve.to_account_id(), 10_000 * GEN)],
            ..Default::default()
        },
        ..Default::default()
    }
    .build_storage()
    .expect("the genesis is sound");
    let filtered = || frame_system::Error::<genesisflow_runtime::Runtime>::CallFiltered;
    sp_io::TestExternalities::new(storage).execute_with(|| {
        System::set_block_number(1);
        let eve = || RuntimeOrigin::signed(Key::Eve.to_account_id());
        assert_noop!(
            create().dispatch(eve()).map_err(|refusal| refusal.error),
            filtered()
        );
        let batch = RuntimeCall::Utility(pallet_utility::Call::batch_all {
            calls: vec![create()],
        });
        let outcome = batch.dispatch(eve()).map_err(|refusal| refusal.error);
        assert_eq!(outcome.map(drop), Err(filtered().into()));
    });
}

#[test]
fn other_proxies_remain() {
    assert!(!NoPureProxies::contains(&create()));
    assert!(NoPureProxies::contains(&RuntimeCall::Proxy(
        pallet_proxy::Call::remove_proxies {}
    )));
}
