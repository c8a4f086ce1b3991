//! Benchmarks: every call in its worst case, and the pieces of `on_idle`.

use super::*;
use crate::{jobs::Request, primitives::*};
use alloc::{vec, vec::Vec};
use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::{
    assert_ok,
    traits::{
        fungible::{Inspect, Unbalanced},
        tokens::Precision,
        EnsureOrigin, Get,
    },
    weights::WeightMeter,
};
use frame_system::RawOrigin;
use sp_runtime::{traits::BlockNumberProvider, Percent};

/// Most output units of the benchmarks' model: enough for the largest evidence in 1-byte ids.
const MAX_OUTPUT: u32 = 20_000;

fn account_with_funds<T: Config>(name: &'static str) -> T::AccountId {
    let who: T::AccountId = account(name, 0, 0);
    let amount = 1_000_000 * GEN;
    assert_ok!(T::Currency::increase_balance(
        &who,
        amount,
        Precision::Exact
    ));
    T::Currency::set_total_issuance(T::Currency::total_issuance() + amount);
    who
}

/// Starts at block 1 with the parameters of a real network and a treasury that exists.
fn set_up<T: Config>() {
    go_to::<T>(1);
    assert_ok!(Pallet::<T>::do_set_parameters(Parameters::default()));
    let treasury = T::TreasuryAccount::get();
    let amount = T::Currency::minimum_balance();
    assert_ok!(T::Currency::increase_balance(
        &treasury,
        amount,
        Precision::Exact
    ));
    T::Currency::set_total_issuance(T::Currency::total_issuance() + amount);
}

fn go_to<T: Config>(block: BlockNumber) {
    T::BlockNumberProvider::set_block_number(block);
}

fn file(role: FileRole, path: Vec<u8>) -> ModelFile {
    let path = path.try_into().expect("at most 128 bytes");
    ModelFile {
        role,
        path,
        sha256: H256::repeat_byte(1),
        size: 1,
    }
}

/// A manifest of about `len` bytes, at least those of its necessary parts.
fn manifest<T: Config>(len: u32) -> ManifestBytes {
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
fn model<T: Config>() -> (T::AccountId, ModelId) {
    let owner = account_with_funds::<T>("owner");
    let manifest = manifest::<T>(600);
    let id = ModelManifest::id_of(&manifest);
    assert_ok!(Pallet::<T>::do_register_model(owner.clone(), manifest));
    (owner, id)
}

/// A worker that offers the model.
fn worker<T: Config>(name: &'static str, model: ModelId) -> T::AccountId {
    let who = account_with_funds::<T>(name);
    assert_ok!(Pallet::<T>::do_register_worker(
        who.clone(),
        100_000 * GEN,
        Endpoint::default()
    ));
    assert_ok!(Pallet::<T>::do_set_offer(who.clone(), model, PRICES, 10));
    who
}

const PRICES: Prices = Prices {
    input: 1,
    output: 1,
};

fn request<T: Config>(model: ModelId, len: u32) -> Request<T::AccountId> {
    Request {
        model,
        input: vec![b'a'; len as usize].try_into().expect("at most 16 KiB"),
        max_output: MAX_OUTPUT,
        max_fee: 10 * GEN,
        options: JobOptions::default(),
        conditions: JobConditions::default(),
    }
}

/// A requester with a job of the largest input.
fn job<T: Config>(model: ModelId) -> (T::AccountId, JobId) {
    let requester = account_with_funds::<T>("requester");
    let id = NextJobId::<T>::get();
    assert_ok!(Pallet::<T>::do_submit(
        requester.clone(),
        request::<T>(model, 16_384)
    ));
    (requester, id)
}

/// The last job of a retired model, claimed by a worker that will be late.
fn claimed_on_retired<T: Config>() -> (T::AccountId, JobId, T::AccountId, ModelId) {
    set_up::<T>();
    let (owner, model) = model::<T>();
    let worker = worker::<T>("worker", model);
    let (requester, job) = job::<T>(model);
    assert_ok!(Pallet::<T>::do_claim(worker.clone(), job));
    assert_ok!(Pallet::<T>::do_retire_model(owner, model));
    (requester, job, worker, model)
}

/// Deadline of a delivery for a claim at block 1.
fn late() -> BlockNumber {
    Parameters::default().deliver_window + 2
}

fn result_claim(output: u32) -> ResultClaim {
    ResultClaim {
        usage: Usage { input: 1, output },
        fault: None,
        trace: H256::zero(),
        engine_version: 1,
    }
}

#[benchmarks]
mod benchmarks {
    use super::*;

    /// A model that changes hands: retired by another owner, with a job still on it.
    #[benchmark]
    fn register_model(m: Linear<600, 11_000>) {
        set_up::<T>();
        let former = account_with_funds::<T>("former");
        let manifest = manifest::<T>(m);
        let id = ModelManifest::id_of(&manifest);
        assert_ok!(Pallet::<T>::do_register_model(
            former.clone(),
            manifest.clone()
        ));
        job::<T>(id);
        assert_ok!(Pallet::<T>::do_retire_model(former, id));
        let owner = account_with_funds::<T>("owner");

        #[extrinsic_call]
        _(RawOrigin::Signed(owner.clone()), manifest.into_inner());

        assert_eq!(Models::<T>::get(id).map(|model| model.owner), Some(owner));
    }

    #[benchmark]
    fn retire_model() {
        set_up::<T>();
        let (owner, id) = model::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(owner), id);

        assert!(!Models::<T>::contains_key(id));
    }

    #[benchmark]
    fn register_worker() {
        set_up::<T>();
        let who = account_with_funds::<T>("worker");
        let endpoint = vec![b'a'; 256];

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), 100_000 * GEN, endpoint);

        assert!(Workers::<T>::contains_key(who));
    }

    #[benchmark]
    fn bond_more() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let who = worker::<T>("worker", model);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), GEN);

        assert_eq!(
            Workers::<T>::get(who).map(|worker| worker.stake),
            Some(100_001 * GEN)
        );
    }

    #[benchmark]
    fn set_endpoint() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let who = worker::<T>("worker", model);
        let endpoint = vec![b'a'; 256];

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), endpoint.clone());

        assert_eq!(
            Workers::<T>::get(who).map(|worker| worker.endpoint),
            endpoint.try_into().ok()
        );
    }

    #[benchmark]
    fn chill() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let who = worker::<T>("worker", model);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert_eq!(
            Workers::<T>::get(who).map(|worker| worker.chilled),
            Some(true)
        );
    }

    #[benchmark]
    fn activate() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let who = worker::<T>("worker", model);
        assert_ok!(Pallet::<T>::do_chill(who.clone()));

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert_eq!(
            Workers::<T>::get(who).map(|worker| worker.chilled),
            Some(false)
        );
    }

    #[benchmark]
    fn unbond() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let who = worker::<T>("worker", model);
        for block in 1..T::MaxUnbondingChunks::get() {
            go_to::<T>(block);
            assert_ok!(Pallet::<T>::do_unbond(who.clone(), GEN));
        }
        go_to::<T>(T::MaxUnbondingChunks::get());

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), GEN);

        let chunks = Workers::<T>::get(who).map(|worker| worker.unbonding.len() as u32);
        assert_eq!(chunks, Some(T::MaxUnbondingChunks::get()));
    }

    #[benchmark]
    fn withdraw_unbonded() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let who = worker::<T>("worker", model);
        for block in 1..=T::MaxUnbondingChunks::get() {
            go_to::<T>(block);
            assert_ok!(Pallet::<T>::do_unbond(who.clone(), GEN));
        }
        go_to::<T>(T::MaxUnbondingChunks::get() + Parameters::default().unbonding_period);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        let chunks = Workers::<T>::get(who).map(|worker| worker.unbonding.len());
        assert_eq!(chunks, Some(0));
    }

    #[benchmark]
    fn set_offer() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let who = account_with_funds::<T>("worker");
        assert_ok!(Pallet::<T>::do_register_worker(
            who.clone(),
            100_000 * GEN,
            Endpoint::default()
        ));

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), model, 1, 1, 10);

        assert!(Offers::<T>::contains_key(model, who));
    }

    #[benchmark]
    fn remove_offer() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let who = worker::<T>("worker", model);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), model);

        assert!(!Offers::<T>::contains_key(model, who));
    }

    #[benchmark]
    fn submit_job(i: Linear<1, 16_384>) {
        set_up::<T>();
        let (_, model) = model::<T>();
        let who = account_with_funds::<T>("requester");
        let Request {
            input,
            max_output,
            max_fee,
            ..
        } = request::<T>(model, i);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(who),
            model,
            input.into_inner(),
            max_output,
            max_fee,
        );

        assert_eq!(Jobs::<T>::iter().count(), 1);
    }

    #[benchmark]
    fn submit_job_with(i: Linear<1, 16_384>) {
        set_up::<T>();
        let (_, model) = model::<T>();
        let worker = worker::<T>("worker", model);
        let who = account_with_funds::<T>("requester");
        let Request {
            input,
            max_output,
            max_fee,
            options,
            ..
        } = request::<T>(model, i);
        let conditions = JobConditions {
            claim_by: Some(100),
            deliver_within: Some(100),
            worker: Some(worker),
            min_auditors: 1,
            ..JobConditions::default()
        };

        #[extrinsic_call]
        _(
            RawOrigin::Signed(who),
            model,
            input.into_inner(),
            max_output,
            max_fee,
            options,
            conditions,
        );

        assert_eq!(Jobs::<T>::iter().count(), 1);
    }

    /// A job whose first worker was late, and nobody has moved it on.
    #[benchmark]
    fn claim_job() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let first = worker::<T>("worker", model);
        let second = worker::<T>("second", model);
        let (_, job) = job::<T>(model);
        assert_ok!(Pallet::<T>::do_claim(first, job));
        go_to::<T>(late());

        #[extrinsic_call]
        _(RawOrigin::Signed(second.clone()), job);

        assert_eq!(
            Workers::<T>::get(second).map(|worker| worker.claims),
            Some(1)
        );
    }

    #[benchmark]
    fn deliver(o: Linear<0, 16_384>, e: Linear<0, 16_384>) {
        let (_, job, worker, _) = claimed_on_retired::<T>();
        let output = vec![b'a'; o as usize];
        let evidence = vec![0; e as usize];

        #[extrinsic_call]
        _(
            RawOrigin::Signed(worker),
            job,
            output,
            evidence,
            result_claim(e),
        );

        assert!(Outputs::<T>::contains_key(job));
    }

    #[benchmark]
    fn accept_result() {
        let (requester, job, worker, model) = claimed_on_retired::<T>();
        let output: Output = vec![b'a'; 16_384].try_into().expect("at most 16 KiB");
        let evidence: EvidenceBytes = vec![0; 16_384].try_into().expect("at most 16 KiB");
        assert_ok!(Pallet::<T>::do_deliver(
            worker,
            job,
            output,
            evidence,
            result_claim(16_384)
        ));

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), job);

        assert!(!Models::<T>::contains_key(model));
    }

    /// A job whose worker was late, and nobody has moved it on.
    #[benchmark]
    fn cancel_job() {
        let (requester, job, _, model) = claimed_on_retired::<T>();
        go_to::<T>(late());

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), job);

        assert!(!Models::<T>::contains_key(model));
    }

    /// Late, open again, expired, dropped: all at once.
    #[benchmark]
    fn progress_job() {
        let (_, job, _, _) = claimed_on_retired::<T>();
        go_to::<T>(1_000_000);
        let anyone = account_with_funds::<T>("anyone");

        #[extrinsic_call]
        _(RawOrigin::Signed(anyone), job);

        assert!(!Jobs::<T>::contains_key(job));
    }

    #[benchmark]
    fn set_parameters() -> Result<(), BenchmarkError> {
        set_up::<T>();
        let origin =
            T::ParametersOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, Parameters::default());

        assert_eq!(MarketParameters::<T>::get().revision, 2);
        Ok(())
    }

    /// Looking at an agenda on which nothing is due.
    #[benchmark]
    fn on_idle_base() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let (_, job) = job::<T>(model);

        #[block]
        {
            Pallet::<T>::run_agenda(&mut WeightMeter::new());
        }

        assert!(Jobs::<T>::contains_key(job));
    }

    /// The longest chain of steps for one job, found through the agenda.
    #[benchmark]
    fn on_idle_job() {
        let (_, job, _, _) = claimed_on_retired::<T>();
        go_to::<T>(1_000_000);

        #[block]
        {
            Pallet::<T>::run_agenda(&mut WeightMeter::new());
        }

        assert!(!Jobs::<T>::contains_key(job));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_chain(), crate::mock::Test);
}
