//! The chain's interface, generated from the metadata in `artifacts/`, and the
//! check that a running chain still has it.

use crate::error::{Error, Kind, Result};
use genesisflow_primitives::{ResultClaim, Usage, H256};
use subxt::{OnlineClientAtBlock, SubstrateConfig};

/// Calls, events, storage and APIs of the runtime that this worker was built
/// for. `scripts/update-metadata.sh` renews the file.
#[allow(missing_docs, clippy::all, rustdoc::all)]
#[subxt::subxt(
    runtime_metadata_path = "artifacts/genesisflow.scale",
    substitute_type(
        path = "genesisflow_primitives::job::ResultClaim",
        with = "::subxt::utils::Static<::genesisflow_primitives::ResultClaim>"
    )
)]
pub mod runtime {}

/// Cargo does not see that the macro above reads the file: this tells it.
const _: &[u8] = include_bytes!("../../artifacts/genesisflow.scale");

/// Makes sure that everything this worker calls and reads has the same shape
/// in the chain's runtime as in the one it was built for.
///
/// # Errors
/// [`Kind::Runtime`], naming what differs and both spec versions.
pub fn check(at: &OnlineClientAtBlock<SubstrateConfig>) -> Result<()> {
    let mut differing = Vec::new();
    check_calls(at, &mut differing);
    check_apis(at, &mut differing);
    if differing.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Runtime,
        format!(
            "the chain's runtime (spec version {}) does not match this worker {}",
            at.spec_version(),
            env!("CARGO_PKG_VERSION")
        ),
    )
    .because(format!("these differ or are missing: {}", differing.join(", ")))
    .fix("use the worker release that belongs to this chain's runtime; if the node is the older one, update the node. Is this a GenesisFlow chain at all?"))
}

fn check_calls(at: &OnlineClientAtBlock<SubstrateConfig>, differing: &mut Vec<&'static str>) {
    let calls = runtime::transactions().inference();
    let transactions = at.transactions();
    let model = H256::zero();
    macro_rules! check {
        ($($name:literal: $call:expr),* $(,)?) => {$(
            if transactions.validate(&$call).is_err() {
                differing.push($name);
            }
        )*};
    }
    check! {
        "register_model": calls.register_model(Vec::new()),
        "register_worker": calls.register_worker(0, Vec::new()),
        "bond_more": calls.bond_more(0),
        "unbond": calls.unbond(0),
        "withdraw_unbonded": calls.withdraw_unbonded(),
        "chill": calls.chill(),
        "set_endpoint": calls.set_endpoint(Vec::new()),
        "activate": calls.activate(),
        "set_offer": calls.set_offer(model, 0, 0, 0),
        "remove_offer": calls.remove_offer(model),
        "claim_job": calls.claim_job(0),
        "deliver": calls.deliver(0, Vec::new(), Vec::new(), no_claim().into()),
        "progress_job": calls.progress_job(0),
        "commit_ballot": calls.commit_ballot(0, H256::zero()),
        "reveal_ballot": calls.reveal_ballot(0, H256::zero(), false, H256::zero()),
        "appeal_verdict": calls.appeal_verdict(0),
        "dispute_result": calls.dispute_result(0),
    }
}

fn check_apis(at: &OnlineClientAtBlock<SubstrateConfig>, differing: &mut Vec<&'static str>) {
    let api = runtime::runtime_apis().inference_api();
    let apis = at.runtime_apis();
    let (model, account) = (H256::zero(), [0; 32]);
    macro_rules! check {
        ($($name:literal: $call:expr),* $(,)?) => {$(
            if apis.validate($call).is_err() {
                differing.push($name);
            }
        )*};
    }
    check! {
        "InferenceApi.job": api.job(0),
        "InferenceApi.job_input": api.job_input(0),
        "InferenceApi.result": api.result(0),
        "InferenceApi.open_jobs": api.open_jobs(model, None, 0),
        "InferenceApi.jobs_of_worker": api.jobs_of_worker(account.into()),
        "InferenceApi.worker": api.worker(account.into()),
        "InferenceApi.offers": api.offers(model, None, 0),
        "InferenceApi.model": api.model(model),
        "InferenceApi.manifest": api.manifest(model),
        "InferenceApi.seats": api.seats(account.into(), None, 0),
        "InferenceApi.audit": api.audit(0),
        "InferenceApi.parameters": api.parameters(),
    }
}

fn no_claim() -> ResultClaim {
    ResultClaim {
        usage: Usage::default(),
        fault: None,
        trace: H256::zero(),
        engine_version: 0,
    }
}
