//! Benchmarks: every call in its worst case, and the pieces of the hooks.

mod audits;
mod market;

use self::{audits::*, market::*};
use super::*;
use crate::{
    agenda::DueKey, audits::Phase, jobs::Request, primitives::audit::MaxPoolSize, primitives::*,
    randomness::RANDOMNESS_KEPT,
};
use alloc::vec;
use frame_benchmarking::v2::*;
use frame_support::{
    assert_ok,
    traits::{EnsureOrigin, Get},
    weights::WeightMeter,
};
use frame_system::RawOrigin;

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
        let owner = signer::<T>("owner");

        #[extrinsic_call]
        _(RawOrigin::Signed(owner.clone()), manifest.into_inner());

        assert_eq!(Models::<T>::get(id).map(|model| model.owner), Some(owner));
    }

    #[benchmark]
    fn retire_model() {
        set_up::<T>();
        let (owner, id) = model::<T>();
        not_counted::<T>(&owner);

        #[extrinsic_call]
        _(RawOrigin::Signed(owner), id);

        assert!(!Models::<T>::contains_key(id));
    }

    #[benchmark]
    fn register_worker() {
        set_up::<T>();
        let who = signer::<T>("worker");
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
        not_counted::<T>(&who);

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
        not_counted::<T>(&who);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        let chunks = Workers::<T>::get(who).map(|worker| worker.unbonding.len());
        assert_eq!(chunks, Some(0));
    }

    #[benchmark]
    fn set_offer() {
        set_up::<T>();
        let (_, model) = model::<T>();
        candidates::<T>(model);
        let who = signer::<T>("worker");
        assert_ok!(Pallet::<T>::do_register_worker(
            who.clone(),
            200_000 * GEN,
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
        for number in 1..MaxPoolSize::get() {
            worker_number::<T>("auditor", number, model);
        }
        let who = worker::<T>("worker", model);
        not_counted::<T>(&who);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), model);

        assert!(!Offers::<T>::contains_key(model, who));
    }

    #[benchmark]
    fn submit_job(i: Linear<1, 16_384>) {
        set_up::<T>();
        let (_, model) = model::<T>();
        candidates::<T>(model);
        full_pool::<T>(model);
        let who = signer::<T>("requester");
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
        candidates::<T>(model);
        full_pool::<T>(model);
        let worker = worker::<T>("worker", model);
        let who = signer::<T>("requester");
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

    #[benchmark]
    fn claim_job() {
        set_up::<T>();
        let (_, model) = model::<T>();
        let second = worker::<T>("second", model);
        not_counted::<T>(&second);
        fill_claims::<T>(&second, model);
        let (_, job) = job::<T>(model);
        let listed = Jobs::<T>::get(job).map(|job| job.listed);

        #[extrinsic_call]
        _(RawOrigin::Signed(second.clone()), job);

        assert_eq!(
            Claims::<T>::decode_len(second, model),
            Some(T::MaxCapacity::get() as usize)
        );
        // What moving the entry takes is charged if it happens.
        assert_eq!(Jobs::<T>::get(job).map(|job| job.listed), listed);
    }

    #[benchmark]
    fn deliver(o: Linear<0, 16_384>, e: Linear<0, 16_384>) {
        let (_, job, worker, _) = claimed_with_pool::<T>();
        not_counted::<T>(&worker);
        to_be_moved::<T>(job);
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
        let (requester, job, _, _) = delivered::<T>();
        to_review::<T>(job);
        not_counted::<T>(&requester);
        let listed = Jobs::<T>::get(job).map(|job| job.listed);

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), job);

        let job = Jobs::<T>::get(job).expect("it is kept");
        assert_eq!(job.state.status(), JobStatus::Settled);
        assert_eq!(Some(job.listed), listed);
    }

    #[benchmark]
    fn cancel_job() {
        let (requester, job) = open_with_pool::<T>();
        not_counted::<T>(&requester);
        let listed = Jobs::<T>::get(job).map(|job| job.listed);

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), job);

        let job = Jobs::<T>::get(job).expect("it is kept");
        assert_eq!(job.state.status(), JobStatus::Cancelled);
        assert_eq!(Some(job.listed), listed);
    }

    /// A retired model and a pool that is not the newest any more, which go with their last job.
    #[benchmark]
    fn close_last() {
        let (_, job, _, model) = claimed_with_pool::<T>();
        make_last::<T>(job);
        let period = Pallet::<T>::current_period();
        go_to::<T>(1 + Parameters::default().pool_period);

        #[block]
        {
            assert_eq!(Pallet::<T>::end_live_job(model, Some(period)), Ok(true));
        }

        assert!(!Models::<T>::contains_key(model));
        assert!(!Pools::<T>::contains_key(model, period));
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

    /// The longest chain of steps for one job.
    #[benchmark]
    fn on_idle_job() {
        let (_, job, _, _) = claimed_on_retired::<T>();
        go_to::<T>(1_000_000);

        #[block]
        {
            assert_ok!(Pallet::<T>::do_progress(job));
        }

        assert!(!Jobs::<T>::contains_key(job));
    }

    /// An entry whose job cannot be moved on for want of weight.
    #[benchmark]
    fn on_idle_entry() {
        let (_, job, _, _) = claimed_on_retired::<T>();
        go_to::<T>(late());
        let base = T::WeightInfo::on_idle_base();

        #[block]
        {
            Pallet::<T>::run_agenda(&mut WeightMeter::with_limit(base));
        }

        assert!(Jobs::<T>::contains_key(job));
    }

    /// An entry that comes before anything is due: all but reading it and the job once.
    #[benchmark]
    fn on_idle_relist() {
        let (_, job, _, _) = delivered::<T>();
        to_review::<T>(job);
        let until = Jobs::<T>::get(job).map(|job| job.listed);
        go_to::<T>(until.expect("it is listed"));

        #[block]
        {
            assert_ok!(Pallet::<T>::relist(job));
        }

        let job = Jobs::<T>::get(job).expect("it is kept");
        assert_eq!(job.listed, job.state.due());
    }

    #[benchmark]
    fn on_idle_expire() {
        let (_, job) = open_with_pool::<T>();
        overdue::<T>(job);

        #[block]
        {
            assert_ok!(Pallet::<T>::do_step(job));
        }

        let status = Jobs::<T>::get(job).map(|job| job.state.status());
        assert_eq!(status, Some(JobStatus::Expired));
    }

    #[benchmark]
    fn on_idle_late() {
        let (_, job, _, _) = claimed_on_retired::<T>();
        go_to::<T>(late());

        #[block]
        {
            assert_ok!(Pallet::<T>::do_step(job));
        }

        let status = Jobs::<T>::get(job).map(|job| job.state.status());
        assert_eq!(status, Some(JobStatus::Open));
    }

    #[benchmark]
    fn on_idle_settle() {
        let (_, job, _, _) = delivered::<T>();
        to_review::<T>(job);
        overdue::<T>(job);

        #[block]
        {
            assert_ok!(Pallet::<T>::do_step(job));
        }

        let status = Jobs::<T>::get(job).map(|job| job.state.status());
        assert_eq!(status, Some(JobStatus::Settled));
    }

    /// A record with an audit.
    #[benchmark]
    fn on_idle_drop() {
        let (_, job) = decided::<T>(BALLOT);
        overdue::<T>(job);
        assert_ok!(Pallet::<T>::do_step(job));
        overdue::<T>(job);

        #[block]
        {
            assert_ok!(Pallet::<T>::do_step(job));
        }

        assert!(!Jobs::<T>::contains_key(job));
    }

    /// What a block contributed, while as many are kept as can be.
    #[benchmark]
    fn on_initialize() {
        set_up::<T>();
        go_to::<T>(RANDOMNESS_KEPT + 2);
        for block in 1..=RANDOMNESS_KEPT {
            BlockOutputs::<T>::insert(DueKey::from(block), H256::repeat_byte(1));
        }

        #[block]
        {
            Pallet::<T>::record_randomness();
        }

        assert!(!BlockOutputs::<T>::contains_key(DueKey::from(1)));
    }

    /// A pool of all its candidates, in the place of one that nobody needs.
    #[benchmark]
    fn make_pool(c: Linear<1, 256>) {
        set_up::<T>();
        let (_, model) = model::<T>();
        some_candidates::<T>(model, c);
        go_to::<T>(1 + 2 * Parameters::default().pool_period);
        full_pool::<T>(model);
        go_to::<T>(1 + 3 * Parameters::default().pool_period);

        #[block]
        {
            assert_eq!(Pallet::<T>::use_pool(model).looked_at, Some(c));
        }

        let members = Pools::<T>::get(model, Pallet::<T>::current_period());
        assert_eq!(members.map(|members| members.len() as u32), Some(c));
    }

    #[benchmark]
    fn dispute_result() {
        let (_, job, _, _) = delivered::<T>();
        to_review::<T>(job);
        // Before the audit's draw: the entry stays.
        let listed = 2;
        list_at::<T>(job, listed);
        let who = signer::<T>("disputer");

        #[extrinsic_call]
        _(RawOrigin::Signed(who), job);

        assert!(Audits::<T>::contains_key(job));
        assert_eq!(Jobs::<T>::get(job).map(|job| job.listed), Some(listed));
    }

    /// The last commitment of the largest round.
    #[benchmark]
    fn commit_ballot() {
        let (job, auditors) = in_appeal::<T>(Phase::Commit);
        to_be_moved::<T>(job);
        let who = auditors[0].clone();
        not_counted::<T>(&who);

        #[extrinsic_call]
        _(RawOrigin::Signed(who), job, H256::repeat_byte(1));

        assert_eq!(
            Audits::<T>::get(job).map(|audit| audit.phase),
            Some(Phase::Reveal)
        );
    }

    /// The last reveal of the largest round.
    #[benchmark]
    fn reveal_ballot() {
        let (job, auditors) = in_appeal::<T>(Phase::Reveal);
        to_be_moved::<T>(job);
        let who = auditors[0].clone();
        not_counted::<T>(&who);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(who),
            job,
            BALLOT.digest,
            BALLOT.valid,
            SALT,
        );

        assert_eq!(
            Audits::<T>::get(job).map(|audit| audit.phase),
            Some(Phase::Over)
        );
    }

    #[benchmark]
    fn appeal_verdict() {
        let (requester, job) = decided::<T>(BALLOT);
        to_be_moved::<T>(job);
        not_counted::<T>(&requester);

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), job);

        let appeal = Audits::<T>::get(job).and_then(|audit| audit.appeal);
        assert!(appeal.is_some());
    }

    #[benchmark]
    fn cancel_slash() -> Result<(), BenchmarkError> {
        let (job, worker) = slashing::<T>();
        let origin = T::CancelSlashOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Weightless)?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, job, worker.clone());

        let slashes = Audits::<T>::get(job).map(|audit| audit.slashes);
        assert!(slashes.is_some_and(|all| all.iter().all(|slash| slash.who != worker)));
        Ok(())
    }

    /// Filling the seats of an appeal from a full pool, with an account for each.
    #[benchmark]
    fn on_idle_draw() {
        let (job, seats) = in_appeal::<T>(Phase::Drawing);

        #[block]
        {
            Pallet::<T>::run_agenda(&mut WeightMeter::new());
        }

        let audit = Audits::<T>::get(job).expect("it is not over");
        assert_eq!(audit.phase, Phase::Commit);
        let drawn = audit.rounds.last().map(|round| round.auditors.len());
        assert_eq!(drawn, Some(seats.len()));
    }

    /// The end of an appeal in which all have committed and all but one reveal. The job's entry in the
    /// agenda moves, as it would if another round began.
    #[benchmark]
    fn on_idle_round() {
        let (job, _) = in_appeal::<T>(Phase::Reveal);
        list_at::<T>(job, 1);
        overdue::<T>(job);

        #[block]
        {
            // What the verdict brings is due at once, and another step.
            assert_ok!(Pallet::<T>::do_step(job));
        }

        assert_eq!(
            Audits::<T>::get(job).map(|audit| audit.phase),
            Some(Phase::Over)
        );
    }

    /// The end of an audit with every round that there can be: all seats are to be paid.
    #[benchmark]
    fn on_idle_outcome() {
        let (_, job) = decided::<T>(BALLOT);
        make_last::<T>(job);
        overdue::<T>(job);

        #[block]
        {
            assert_ok!(Pallet::<T>::do_step(job));
        }

        let status = Jobs::<T>::get(job).map(|job| job.state.status());
        assert_eq!(status, Some(JobStatus::Settled));
    }

    /// The slashes of such an audit: every second seat was wrong.
    #[benchmark]
    fn on_idle_slashes() {
        let (job, _) = slashing::<T>();
        make_last::<T>(job);
        overdue::<T>(job);

        #[block]
        {
            assert_ok!(Pallet::<T>::do_step(job));
        }

        let status = Jobs::<T>::get(job).map(|job| job.state.status());
        assert_eq!(status, Some(JobStatus::Rejected));
    }

    /// The dearest check of a free call: a reveal in the largest round.
    #[benchmark]
    fn check_standing() {
        let (job, auditors) = in_appeal::<T>(Phase::Reveal);
        let who = auditors[0].clone();

        #[block]
        {
            assert_ok!(Pallet::<T>::check_reveal_standing(&who, job, BALLOT, SALT));
        }
    }

    #[benchmark]
    fn check_deliver_standing() {
        let (_, job, worker, _) = claimed_with_pool::<T>();

        #[block]
        {
            assert_ok!(Pallet::<T>::check_deliver_standing(&worker, job));
        }
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_chain(), crate::mock::Test);
}
