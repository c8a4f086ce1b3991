//! The market in which calls are measured.

use crate::{
    agenda::DueKey,
    jobs::{job_key, Request},
    primitives::*,
    *,
};
use alloc::{vec, vec::Vec};
use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::{
    assert_ok,
    traits::{
        fungible::{Inspect, Unbalanced},
        tokens::Precision,
        Get,
    },
    BoundedVec,
};
use sp_runtime::{traits::BlockNumberProvider, Percent};

/// Most output units of the benchmarks' model: enough for the largest evidence in 1-byte ids.
pub(super) const MAX_OUTPUT: u32 = 20_000;

pub(super) fn account_with_funds<T: Config>(name: &'static str) -> T::AccountId {
    funded::<T>(name, 0)
}

/// One of many accounts of that name, with funds.
pub(super) fn funded<T: Config>(name: &'static str, index: u32) -> T::AccountId {
    let who: T::AccountId = account(name, index, 0);
    let amount = 1_000_000 * GEN;
    assert_ok!(T::Currency::increase_balance(
        &who,
        amount,
        Precision::Exact
    ));
    T::Currency::set_total_issuance(T::Currency::total_issuance() + amount);
    who
}

/// Leaves an account's balance out of the counts of reads and writes. For the signer of a call, whose
/// balance every transaction reads and writes anyway for its nonce and fee, which is charged with
/// those; and for treasury and pot, of which a block reads and writes each once, not every call.
pub(super) fn not_counted<T: Config>(who: &T::AccountId) {
    let key = frame_system::Account::<T>::hashed_key_for(who);
    frame_benchmarking::benchmarking::add_to_whitelist(key.into());
}

/// A signer of calls with funds.
pub(super) fn signer<T: Config>(name: &'static str) -> T::AccountId {
    let who = account_with_funds::<T>(name);
    not_counted::<T>(&who);
    who
}

/// Starts at block 1 with the parameters of a real network, and a treasury and a pot that exist.
pub(super) fn set_up<T: Config>() {
    go_to::<T>(1);
    assert_ok!(Pallet::<T>::do_set_parameters(Parameters::default()));
    let amount = T::Currency::minimum_balance();
    for who in [T::TreasuryAccount::get(), T::AuditPotAccount::get()] {
        not_counted::<T>(&who);
        assert_ok!(T::Currency::increase_balance(
            &who,
            amount,
            Precision::Exact
        ));
        T::Currency::set_total_issuance(T::Currency::total_issuance() + amount);
    }
}

pub(super) fn go_to<T: Config>(block: BlockNumber) {
    T::BlockNumberProvider::set_block_number(block);
}

pub(super) fn file(role: FileRole, path: Vec<u8>) -> ModelFile {
    let path = path.try_into().expect("at most 128 bytes");
    ModelFile {
        role,
        path,
        sha256: H256::repeat_byte(1),
        size: 1,
    }
}

/// A manifest of about `len` bytes, at least those of its necessary parts.
pub(super) fn manifest<T: Config>(len: u32) -> ManifestBytes {
    let mut manifest = ModelManifest {
        name: b"benchmark".to_vec().try_into().expect("short"),
        task: Task::TextGeneration,
        architecture: b"llama".to_vec().try_into().expect("short"),
        canonical_version: 1,
        files: vec![
            file(FileRole::Config, b"config.json".to_vec()),
            file(FileRole::Tokenizer, b"tokenizer.json".to_vec()),
            file(FileRole::Weights, b"model.safetensors".to_vec()),
        ]
        .try_into()
        .expect("three files"),
        stop_tokens: Default::default(),
        limits: ModelLimits {
            context: 60_000,
            max_output: MAX_OUTPUT,
            prompt_overhead: 100,
        },
        sources: Default::default(),
        terms: ModelTerms {
            min_price_input: 1,
            min_price_output: 1,
            min_fee: 2 * T::Currency::minimum_balance() + 1,
            replay_rate: 1_000,
            seat_pay: Percent::from_percent(10),
        },
    };
    for part in 0..61u8 {
        let mut path = vec![b'a'; 126];
        path.extend([b'0' + part / 10, b'0' + part % 10]);
        let longer = file(FileRole::Weights, path);
        if manifest.encoded_size() + longer.encoded_size() > len as usize {
            break;
        }
        manifest.files.try_push(longer).expect("at most 64 files");
    }
    manifest.encode().try_into().expect("fits")
}

/// Registers the benchmarks' model.
pub(super) fn model<T: Config>() -> (T::AccountId, ModelId) {
    let owner = account_with_funds::<T>("owner");
    let manifest = manifest::<T>(600);
    let id = ModelManifest::id_of(&manifest);
    assert_ok!(Pallet::<T>::do_register_model(owner.clone(), manifest));
    (owner, id)
}

/// A worker that offers the model.
pub(super) fn worker<T: Config>(name: &'static str, model: ModelId) -> T::AccountId {
    worker_number::<T>(name, 0, model)
}

/// One of many workers of that name that offer the model.
pub(super) fn worker_number<T: Config>(
    name: &'static str,
    index: u32,
    model: ModelId,
) -> T::AccountId {
    let who = funded::<T>(name, index);
    assert_ok!(Pallet::<T>::do_register_worker(
        who.clone(),
        100_000 * GEN,
        Endpoint::default()
    ));
    assert_ok!(Pallet::<T>::do_set_offer(who.clone(), model, PRICES, 10));
    who
}

pub(super) const PRICES: Prices = Prices {
    input: 1,
    output: 1,
};

pub(super) fn request<T: Config>(model: ModelId, len: u32) -> Request<T::AccountId> {
    Request {
        model,
        input: vec![b'a'; len as usize].try_into().expect("at most 16 KiB"),
        max_output: MAX_OUTPUT,
        max_fee: 10 * GEN,
        options: JobOptions::default(),
        conditions: JobConditions::default(),
    }
}

/// Gives a worker as many claims on a model as it can have, with room for one more. They have no jobs.
pub(super) fn fill_claims<T: Config>(who: &T::AccountId, model: ModelId) {
    let most = T::MaxCapacity::get();
    assert_ok!(Pallet::<T>::do_set_offer(who.clone(), model, PRICES, most));
    let claimed: Vec<JobId> = (0..most - 1)
        .map(|job| JobId::MAX - JobId::from(job))
        .collect();
    Claims::<T>::insert(who, model, BoundedVec::truncate_from(claimed));
}

/// Lists a job far in the future, so that the next call must move its entry in the agenda. No job of
/// a real chain is listed after its deadline.
pub(super) fn to_be_moved<T: Config>(id: JobId) {
    list_at::<T>(id, BlockNumber::MAX);
}

/// Lists a job at this block, whatever its deadline is.
pub(super) fn list_at<T: Config>(id: JobId, block: BlockNumber) {
    let mut job = Jobs::<T>::get(id).expect("the job exists");
    Agenda::<T>::remove(DueKey::from(job.listed), job_key(id));
    job.listed = block;
    Agenda::<T>::insert(DueKey::from(job.listed), job_key(id), ());
    Jobs::<T>::insert(id, job);
}

/// A requester with a job of the largest input.
pub(super) fn job<T: Config>(model: ModelId) -> (T::AccountId, JobId) {
    let requester = account_with_funds::<T>("requester");
    let id = NextJobId::<T>::get();
    assert_ok!(Pallet::<T>::do_submit(
        requester.clone(),
        request::<T>(model, 16_384)
    ));
    (requester, id)
}

/// The last job of a retired model, claimed by a worker that will be late.
pub(super) fn claimed_on_retired<T: Config>() -> (T::AccountId, JobId, T::AccountId, ModelId) {
    set_up::<T>();
    let (owner, model) = model::<T>();
    let worker = worker::<T>("worker", model);
    fill_claims::<T>(&worker, model);
    let (requester, job) = job::<T>(model);
    assert_ok!(Pallet::<T>::do_claim(worker.clone(), job));
    assert_ok!(Pallet::<T>::do_retire_model(owner, model));
    (requester, job, worker, model)
}

/// Deadline of a delivery for a claim at block 1.
pub(super) fn late() -> BlockNumber {
    Parameters::default().deliver_window + 2
}

pub(super) fn result_claim(output: u32) -> ResultClaim {
    ResultClaim {
        usage: Usage { input: 1, output },
        fault: None,
        trace: H256::zero(),
        engine_version: 1,
    }
}
