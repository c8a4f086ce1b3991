//! Calls of the market with the largest and worst arguments that fit a block: none may take longer
//! than what it is charged for, nor may the check of its sender's standing.

use crate::{
    market::manifest,
    people::{root, Person, PEOPLE},
    story,
};
use codec::Encode;
use frame_support::dispatch::GetDispatchInfo;
use genesisflow_primitives::{
    FileRole, JobConditions, JobOptions, ModelFile, ResultClaim, Usage, H256,
};
use genesisflow_runtime::{
    configs::Wrappers, currency::GEN, AccountId, Runtime, RuntimeCall, RuntimeOrigin,
};
use pallet_inference::{extension::CheckStanding, Call};
use sp_io::storage as transactions;
use sp_runtime::{
    traits::{DispatchTransaction, Dispatchable, TransactionExtension},
    transaction_validity::TransactionSource,
};
use std::time::{Duration, Instant};

/// Nearly all that ordinary transactions can fill of a block's length.
const HUGE: usize = 3_800_000;
/// Times that each call is played; the fastest counts, as everything else is the machine's.
const TIMES: usize = 7;

fn job() -> ResultClaim {
    ResultClaim {
        usage: Usage {
            input: 0,
            output: 0,
        },
        fault: None,
        trace: H256::zero(),
        engine_version: 0,
    }
}

/// As many files and sources as fit, all paths as long as can be and alike but for the end.
fn largest_manifest() -> Vec<u8> {
    let mut manifest = manifest(0);
    for number in 0.. {
        let mut path = vec![b'x'; 250];
        path.extend(format!("{number:04}").bytes());
        let Ok(path) = path.try_into() else {
            break;
        };
        let file = ModelFile {
            role: FileRole::Weights,
            path,
            sha256: H256::zero(),
            size: 1,
        };
        if manifest.files.try_push(file).is_err() || manifest.encoded_size() > 16_000 {
            break;
        }
    }
    manifest.encode()
}

fn submission(input: Vec<u8>) -> Call<Runtime> {
    Call::submit_job {
        model: manifest(0).id(),
        input,
        max_output: 10,
        max_fee: GEN,
    }
}

fn deliver(output: Vec<u8>, evidence: Vec<u8>) -> Call<Runtime> {
    Call::deliver {
        job: 0,
        output,
        evidence,
        claim: job(),
    }
}

fn cases() -> Vec<(&'static str, Call<Runtime>)> {
    let huge = || vec![b'a'; HUGE];
    // A list that says to be longer than all memory.
    let mut liar = vec![0xff; 16_384];
    liar[0] = 0x03;
    vec![
        (
            "the largest manifest",
            Call::register_model {
                manifest: largest_manifest(),
            },
        ),
        (
            "a manifest that lies about its lengths",
            Call::register_model { manifest: liar },
        ),
        ("a huge manifest", Call::register_model { manifest: huge() }),
        (
            "a huge endpoint of a new worker",
            Call::register_worker {
                stake: 1_000 * GEN,
                endpoint: huge(),
            },
        ),
        ("a huge endpoint", Call::set_endpoint { endpoint: huge() }),
        (
            "the largest input",
            submission("ü".repeat(8_192).into_bytes()),
        ),
        ("a huge input", submission(huge())),
        (
            "a huge input with conditions",
            Call::submit_job_with {
                model: manifest(0).id(),
                input: huge(),
                max_output: 10,
                max_fee: GEN,
                options: JobOptions::default(),
                conditions: JobConditions::default(),
            },
        ),
        ("a huge output", deliver(huge(), Vec::new())),
        ("huge evidence", deliver(Vec::new(), huge())),
        (
            "the largest output and evidence",
            deliver("ü".repeat(8_192).into_bytes(), vec![0; 16_384]),
        ),
    ]
}

fn fastest(mut run: impl FnMut()) -> Duration {
    let times = (0..TIMES).map(|_| {
        transactions::start_transaction();
        let start = Instant::now();
        run();
        let time = start.elapsed();
        transactions::rollback_transaction();
        time
    });
    times.min().unwrap_or_default()
}

fn charged(weight: frame_support::weights::Weight) -> Duration {
    // A unit of reference time is a picosecond.
    Duration::from_nanos(weight.ref_time() / 1_000)
}

#[test]
fn no_argument_makes_a_call_take_longer_than_it_is_charged_for() {
    let mut chain = story::beginning();
    chain.read(|| {
        for (name, call) in cases() {
            let call = RuntimeCall::Inference(call);
            let charged = charged(call.get_dispatch_info().call_weight);
            let taken = fastest(|| {
                let origin = RuntimeOrigin::signed(PEOPLE[1].account.clone());
                let _ = call.clone().dispatch(origin);
            });
            // The copy of the arguments is the harness's own.
            let copied = fastest(|| drop(call.clone()));
            let taken = taken.saturating_sub(copied);
            println!("{name}: {taken:?}, charged {charged:?}");
            assert!(taken <= charged, "{name}: {taken:?}, charged {charged:?}");
        }
    });
}

/// Wrappers of the operational class, as large and as deep as a transaction can hold.
fn wrappers(free: RuntimeCall) -> Vec<(&'static str, RuntimeCall)> {
    let many = HUGE / free.encoded_size();
    let signatories: Vec<AccountId> = (0..(HUGE / 32) as u64)
        .map(|number| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.reverse_bits().to_le_bytes());
            bytes.into()
        })
        .collect();
    let proxied = |call: RuntimeCall| {
        RuntimeCall::Proxy(pallet_proxy::Call::proxy {
            real: PEOPLE[1].account.clone().into(),
            force_proxy_type: None,
            call: Box::new(call),
        })
    };
    vec![
        (
            "a batch of very many",
            RuntimeCall::Utility(pallet_utility::Call::batch {
                calls: vec![free.clone(); many],
            }),
        ),
        (
            "a multisig of very many",
            RuntimeCall::Multisig(pallet_multisig::Call::as_multi_threshold_1 {
                other_signatories: signatories,
                call: Box::new(free.clone()),
            }),
        ),
        (
            "proxies of proxies",
            (0..60).fold(free, |call, _| proxied(call)),
        ),
    ]
}

fn check_standing(who: &Person, call: &RuntimeCall) -> bool {
    let checked = CheckStanding::<Runtime, Wrappers>::default().validate_only(
        RuntimeOrigin::signed(who.account.clone()),
        call,
        &call.get_dispatch_info(),
        0,
        TransactionSource::External,
        0,
    );
    checked.is_ok()
}

#[test]
fn no_wrapper_makes_the_check_of_standing_take_longer_than_it_is_charged_for() {
    let mut chain = story::beginning();
    chain.read(|| {
        let free = RuntimeCall::Inference(Call::commit_ballot {
            job: 0,
            commitment: H256::zero(),
        });
        for (name, call) in wrappers(free) {
            let extension = CheckStanding::<Runtime, Wrappers>::default();
            let charged = charged(extension.weight(&call));
            // The pool asks for the call's class and weight besides.
            let known = fastest(|| {
                let _ = call.get_dispatch_info();
            });
            let taken = fastest(|| assert!(!check_standing(root(), &call))).saturating_sub(known);
            println!("{name}: {taken:?}, charged {charged:?}");
            assert!(taken <= charged, "{name}: {taken:?}, charged {charged:?}");
        }
    });
}
