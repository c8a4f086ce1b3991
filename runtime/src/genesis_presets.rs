//! The chains that can be started by name.
//!
//! - `development`: Alice alone makes blocks; every window of the market is
//!   short, so that a whole job with its audit ends in about a minute.
//! - `local_testnet`: Alice and Bob make blocks; the market has the windows of a
//!   real network.
//!
//! In both, the well-known development accounts hold money and Alice is root.
//! Their keys are public: never use these presets where money has value.

use crate::{
    configs::{AuditPotAccount, TreasuryAccount, BABE_GENESIS_EPOCH_CONFIG},
    currency::{EXISTENTIAL_DEPOSIT, GEN},
    AccountId, BabeConfig, BalancesConfig, GrandpaConfig, InferenceConfig, RuntimeGenesisConfig,
    SudoConfig,
};
use alloc::{vec, vec::Vec};
use frame_support::build_struct_json_patch;
use genesisflow_primitives::Parameters;
use sp_consensus_babe::AuthorityId as BabeId;
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// What each development account holds at the start.
const ENDOWMENT: u128 = 1_000_000 * GEN;

/// A validator's BABE and GRANDPA keys.
type Validator = (BabeId, GrandpaId);

fn genesis(validators: Vec<Validator>, parameters: Parameters) -> serde_json::Value {
    let mut balances: Vec<(AccountId, u128)> = Sr25519Keyring::well_known()
        .map(|key| (key.to_account_id(), ENDOWMENT))
        .collect();
    // These two must exist, or amounts below the existential deposit cannot reach them.
    balances.push((TreasuryAccount::get(), EXISTENTIAL_DEPOSIT));
    balances.push((AuditPotAccount::get(), EXISTENTIAL_DEPOSIT));

    build_struct_json_patch!(RuntimeGenesisConfig {
        balances: BalancesConfig { balances },
        babe: BabeConfig {
            authorities: validators
                .iter()
                .map(|(babe, _)| (babe.clone(), 1))
                .collect(),
            epoch_config: BABE_GENESIS_EPOCH_CONFIG,
        },
        grandpa: GrandpaConfig {
            authorities: validators
                .into_iter()
                .map(|(_, grandpa)| (grandpa, 1))
                .collect(),
        },
        sudo: SudoConfig {
            key: Some(Sr25519Keyring::Alice.to_account_id()),
        },
        inference: InferenceConfig { parameters },
    })
}

fn development() -> serde_json::Value {
    genesis(
        vec![(
            Sr25519Keyring::Alice.public().into(),
            Ed25519Keyring::Alice.public().into(),
        )],
        // Short windows, so that a whole job with all its exits can be seen in a minute.
        Parameters {
            open_window: 60,
            max_open_window: 300,
            deliver_window: 30,
            max_deliver_window: 150,
            review_window: 10,
            retention: 100,
            // Longer than Parameters::longest_job, in which every round of an audit counts with
            // the longest commit window that any model can have.
            unbonding_period: 12_000,
            pool_period: 10,
            seed_interval: 1,
            seed_blocks: 2,
            commit_window: 8,
            reveal_window: 10,
            appeal_window: 10,
            slash_delay: 10,
            repeat_window: 1_000,
            ..Parameters::default()
        },
    )
}

fn local_testnet() -> serde_json::Value {
    genesis(
        vec![
            (
                Sr25519Keyring::Alice.public().into(),
                Ed25519Keyring::Alice.public().into(),
            ),
            (
                Sr25519Keyring::Bob.public().into(),
                Ed25519Keyring::Bob.public().into(),
            ),
        ],
        Parameters::default(),
    )
}

/// The JSON patch of a preset, or `None` if there is none of that name.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
    let patch = match id.as_ref() {
        DEV_RUNTIME_PRESET => development(),
        LOCAL_TESTNET_RUNTIME_PRESET => local_testnet(),
        _ => return None,
    };
    Some(
        serde_json::to_string(&patch)
            .expect("a JSON value always has a text form")
            .into_bytes(),
    )
}

/// The names that [`get_preset`] knows.
pub fn preset_names() -> Vec<PresetId> {
    vec![
        PresetId::from(DEV_RUNTIME_PRESET),
        PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET),
    ]
}
