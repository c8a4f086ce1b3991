//! The chains that this node knows by name. Their genesis comes from the
//! runtime's presets, so that any tool which reads the runtime can make it too.

use genesisflow_runtime::WASM_BINARY;
use sc_chain_spec::{ChainType, Properties};

/// A chain specification without extensions.
pub type ChainSpec = sc_chain_spec::GenericChainSpec;

/// How wallets show the token and addresses.
fn properties() -> Properties {
    let mut properties = Properties::new();
    properties.insert("tokenSymbol".into(), "GEN".into());
    properties.insert("tokenDecimals".into(), 12.into());
    properties.insert("ss58Format".into(), 42.into());
    properties
}

fn from_preset(
    name: &str,
    id: &str,
    chain_type: ChainType,
    preset: &str,
) -> Result<ChainSpec, String> {
    let wasm = WASM_BINARY.ok_or(
        "this node was built without a runtime (SKIP_WASM_BUILD was set): \
         build it again without, or pass a chain specification file with --chain",
    )?;
    Ok(ChainSpec::builder(wasm, None)
        .with_name(name)
        .with_id(id)
        .with_chain_type(chain_type)
        .with_genesis_config_preset_name(preset)
        .with_properties(properties())
        .build())
}

/// One validator (Alice) and short windows: a whole job takes about a minute.
///
/// # Errors
/// If the node was built without a runtime.
pub fn development() -> Result<ChainSpec, String> {
    from_preset(
        "GenesisFlow Development",
        "genesisflow_dev",
        ChainType::Development,
        sp_genesis_builder::DEV_RUNTIME_PRESET,
    )
}

/// Two validators (Alice, Bob) and the windows of a real network.
///
/// # Errors
/// If the node was built without a runtime.
pub fn local() -> Result<ChainSpec, String> {
    from_preset(
        "GenesisFlow Local Testnet",
        "genesisflow_local",
        ChainType::Local,
        sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET,
    )
}
