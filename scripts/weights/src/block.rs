//! Full blocks of the dearest kinds, made by the compiled runtime and timed.
//!
//! Each is filled by its weight, its length or for want of more, as an author fills it, but without
//! a clock. What is timed is what an author does: hooks, every transaction with its signature, and
//! the block's end with its state root.

use crate::stage::Stage;
use anyhow::{anyhow, bail, Context, Result};
use codec::{Decode, Encode};
use frame_support::dispatch::DispatchClass;
use genesisflow_runtime::{
    configs::{RuntimeBlockLength, RuntimeBlockWeights},
    Header, Runtime, RuntimeCall, System, UncheckedExtrinsic,
};
use sc_executor::WasmExecutor;
use sp_consensus_babe::{
    digests::{PreDigest, SecondaryPlainPreDigest},
    BABE_ENGINE_ID,
};
use sp_core::traits::{CallContext, CodeExecutor, RuntimeCode, WrappedRuntimeCode};
use sp_externalities::Externalities;
use sp_runtime::{
    traits::Header as _,
    transaction_validity::{InvalidTransaction, TransactionValidityError},
    ApplyExtrinsicResult, Digest, DigestItem,
};
use std::time::{Duration, Instant};

/// Time that a block may take to make: see `block_proposal_slot_portion` in `node/src/service.rs`.
const MOST_TIME: Duration = Duration::from_millis(1_333);
/// Weight that a block may be charged, as a part of its limit. What operational calls are promised
/// is reserved, so it comes on top when hooks have worked off overdue jobs, with an eighth of the
/// block, before calls of the normal class took all of theirs.
const MOST_WEIGHT: f64 = 1.125;
/// How often each block is made; the least time counts.
const TIMES: usize = 3;

type Executor = WasmExecutor<sp_io::SubstrateHostFunctions>;

/// What a full block takes.
pub struct Filled {
    /// Of what.
    pub kind: &'static str,
    /// How many transactions.
    pub calls: usize,
    /// Steps of the agenda that its hooks made.
    pub steps: usize,
    /// Weight charged, in milliseconds of `ref_time`.
    pub charged: f64,
    /// Part of the block's limit of weight.
    pub weight: f64,
    /// Part of the block's limit of length.
    pub length: f64,
    /// Time to make it.
    pub time: Duration,
}

impl Filled {
    /// Whether an author has the time for it.
    pub fn fits(&self) -> bool {
        self.time <= MOST_TIME && self.weight <= MOST_WEIGHT && self.length <= 1.0
    }
}

/// Fills blocks of all kinds with the compiled runtime `wasm`, and prints what they take.
///
/// # Errors
/// If one of them does not fit.
pub fn measure(wasm: &[u8]) -> Result<()> {
    println!(
        "{:<44} {:>6} {:>6} {:>10} {:>7} {:>7} {:>9}",
        "a block full of", "calls", "steps", "charged ms", "weight", "length", "took ms"
    );
    let executor: Executor = WasmExecutor::builder().build();
    let mut misfits = Vec::new();
    for (kind, fill) in KINDS {
        let mut best: Option<Filled> = None;
        for _ in 0..TIMES {
            let filled = make(&executor, wasm, kind, *fill)?;
            if best.as_ref().is_none_or(|best| filled.time < best.time) {
                best = Some(filled);
            }
        }
        let filled = best.context("no block was made")?;
        println!(
            "{:<44} {:>6} {:>6} {:>10.0} {:>6.0}% {:>6.0}% {:>9.0}",
            filled.kind,
            filled.calls,
            filled.steps,
            filled.charged,
            100.0 * filled.weight,
            100.0 * filled.length,
            filled.time.as_secs_f64() * 1e3,
        );
        if !filled.fits() {
            misfits.push(filled.kind);
        }
    }
    if !misfits.is_empty() {
        bail!(
            "blocks that take longer than {} ms or exceed a limit: {}",
            MOST_TIME.as_millis(),
            misfits.join(", ")
        );
    }
    Ok(())
}

/// Transactions, in groups: of each as many go into the block, in order, as there is room for.
type Groups = Vec<Vec<Vec<u8>>>;
type Fill = fn(&mut Stage) -> Groups;

/// What blocks are filled with.
const KINDS: &[(&str, Fill)] = &[
    ("transfers", transfers),
    ("submissions of 16 KiB, the first makes a pool", |stage| {
        vec![(0..300).map(|n| stage.submission(n)).collect()]
    }),
    ("claims", |stage| {
        vec![(0..500).map(|n| stage.claim(n)).collect()]
    }),
    ("deliveries of 32 KiB", |stage| {
        vec![(0..200).map(|n| stage.delivery(n)).collect()]
    }),
    ("acceptances", |stage| {
        vec![(0..480).map(|n| stage.acceptance(n)).collect()]
    }),
    ("offers that displace one of 256 candidates", |stage| {
        vec![(0..500).map(|n| stage.newcomer(n)).collect()]
    }),
    ("last reveals of 31-seat appeals", |stage| {
        vec![(0..400).map(|n| stage.last_reveal(n)).collect()]
    }),
    ("slashes of 82-seat audits, by the hooks", |stage| {
        (0..60).for_each(|n| stage.due_slashes(n));
        Vec::new()
    }),
    ("the dearest of all classes", |stage| {
        (0..60).for_each(|n| stage.due_slashes(n));
        vec![
            (60..100).map(|n| stage.delivery(n)).collect(),
            (0..500).map(|n| stage.newcomer(n)).collect(),
            (100..400).map(|n| stage.last_reveal(n)).collect(),
        ]
    }),
];

fn transfers(stage: &mut Stage) -> Groups {
    let transfers = (0..4_500)
        .map(|n| {
            let who = n % 1_800;
            let dest = stage.who(who + 1).into();
            let call = pallet_balances::Call::transfer_keep_alive {
                dest,
                value: 1_000_000,
            };
            stage.sign(who, call.into())
        })
        .collect();
    vec![transfers]
}

fn make(executor: &Executor, wasm: &[u8], kind: &'static str, fill: Fill) -> Result<Filled> {
    let mut stage = Stage::new(wasm)?;
    let offered = fill(&mut stage);
    stage
        .state
        .commit_all()
        .map_err(|error| anyhow!("the stage cannot be committed: {error}"))?;
    let entries = stage.state.execute_with(due_entries);

    let fetcher = WrappedRuntimeCode(wasm.into());
    let code = RuntimeCode {
        code_fetcher: &fetcher,
        heap_pages: None,
        hash: sp_crypto_hashing::blake2_256(wasm).to_vec(),
    };
    let longest = *RuntimeBlockLength::get()
        .max
        .get(DispatchClass::Operational) as usize;
    let number = stage.state.execute_with(System::block_number) + 1;
    let slot = u64::from(number);
    let pre = PreDigest::SecondaryPlain(SecondaryPlainPreDigest {
        authority_index: 0,
        slot: slot.into(),
    });
    let digest = Digest {
        logs: vec![DigestItem::PreRuntime(BABE_ENGINE_ID, pre.encode())],
    };
    let header = Header::new(
        number,
        Default::default(),
        Default::default(),
        Default::default(),
        digest,
    );
    let mut ext = stage.state.ext();
    let call = |ext: &mut dyn Externalities, method: &str, data: &[u8]| -> Result<Vec<u8>> {
        let context = CallContext::Onchain { import: false };
        executor
            .call(ext, &code, method, data, context)
            .0
            .map_err(|error| anyhow!("{method}: {error}"))
    };
    // Compiles the runtime before the clock runs.
    call(&mut ext, "Core_version", &[])?;

    let began = Instant::now();
    call(&mut ext, "Core_initialize_block", &header.encode())?;
    let now: RuntimeCall = pallet_timestamp::Call::set {
        now: slot * genesisflow_runtime::time::SLOT_DURATION_MS,
    }
    .into();
    let inherent = UncheckedExtrinsic::new_bare(now).encode();
    let mut length = inherent.len();
    is_in(&call(&mut ext, "BlockBuilder_apply_extrinsic", &inherent)?)?;
    let mut calls = 0;
    for group in &offered {
        for extrinsic in group {
            ext.storage_start_transaction();
            let answer = call(&mut ext, "BlockBuilder_apply_extrinsic", extrinsic)?;
            let fits = length + extrinsic.len() <= longest && is_in(&answer)?;
            let ended = if fits {
                ext.storage_commit_transaction()
            } else {
                ext.storage_rollback_transaction()
            };
            ended.map_err(|()| anyhow!("a transaction of storage was not open"))?;
            if !fits {
                break;
            }
            calls += 1;
            length += extrinsic.len();
        }
    }
    call(&mut ext, "BlockBuilder_finalize_block", &[])?;
    let time = began.elapsed();
    drop(ext);

    let (weight, left) = stage
        .state
        .execute_with(|| (System::block_weight().total(), due_entries()));
    let limit = RuntimeBlockWeights::get().max_block;
    Ok(Filled {
        kind,
        calls,
        steps: entries.saturating_sub(left),
        charged: weight.ref_time() as f64 / 1e9,
        weight: weight.ref_time() as f64 / limit.ref_time() as f64,
        length: length as f64 / longest as f64,
        time,
    })
}

/// Whether a transaction is in the block. One that found it full is not.
fn is_in(answer: &[u8]) -> Result<bool> {
    let full = TransactionValidityError::Invalid(InvalidTransaction::ExhaustsResources);
    match ApplyExtrinsicResult::decode(&mut &answer[..])? {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) => bail!("a transaction failed: {error:?}"),
        Err(error) if error == full => Ok(false),
        Err(error) => bail!("a transaction was refused: {error:?}"),
    }
}

/// Entries of the agenda that are overdue.
fn due_entries() -> usize {
    pallet_inference::Agenda::<Runtime>::iter_keys()
        .take_while(|(due, _)| due.block() <= System::block_number())
        .count()
}
