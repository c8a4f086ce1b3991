//! The chains that can be started by name do start.

use genesisflow_primitives::Parameters;
use genesisflow_runtime::{
    configs::{AuditPotAccount, TreasuryAccount},
    currency::EXISTENTIAL_DEPOSIT,
    genesis_presets, Balances, Inference, RuntimeGenesisConfig,
};
use serde_json::Value;
use sp_runtime::BuildStorage;

/// Writes a patch over a value, as chain specifications do.
fn patch(value: &mut Value, change: Value) {
    match (value, change) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (name, change) in changes {
                patch(fields.entry(name).or_insert(Value::Null), change);
            }
        }
        (value, change) => *value = change,
    }
}

fn chain(preset: &str) -> sp_io::TestExternalities {
    let json = genesis_presets::get_preset(&preset.into()).expect("there is such a preset");
    let mut genesis =
        serde_json::to_value(RuntimeGenesisConfig::default()).expect("it has a JSON form");
    patch(
        &mut genesis,
        serde_json::from_slice(&json).expect("a preset is JSON"),
    );
    let genesis: RuntimeGenesisConfig =
        serde_json::from_value(genesis).expect("a preset has the fields of a genesis");
    genesis
        .build_storage()
        .expect("the genesis is sound")
        .into()
}

#[test]
fn every_preset_builds_and_its_market_can_pay() {
    for preset in genesis_presets::preset_names() {
        chain(preset.as_ref()).execute_with(|| {
            for account in [TreasuryAccount::get(), AuditPotAccount::get()] {
                assert_eq!(Balances::free_balance(account), EXISTENTIAL_DEPOSIT);
            }
            assert_eq!(Inference::parameters().parameters.check(), Ok(()));
        });
    }
}

#[test]
fn a_test_network_has_the_markets_own_parameters_and_a_development_chain_is_quick() {
    let parameters = |preset| chain(preset).execute_with(|| Inference::parameters().parameters);
    assert_eq!(parameters("local_testnet"), Parameters::default());
    let quick = parameters("development");
    // From the delivery to the slash, if everybody acts at once.
    let windows = quick.seed_blocks + quick.review_window + quick.appeal_window + quick.slash_delay;
    assert!(windows <= 60, "{windows} blocks are more than two minutes");
}
