//! The read API of the inference market.
//!
//! The pallet offers the same functions as view functions. They exist as a runtime API too because
//! Polkadot.js and its Apps (Developer -> Runtime calls) show runtime APIs but no view functions.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

use alloc::vec::Vec;
use codec::Codec;
use genesisflow_primitives::{
    views::{
        AuditView, ClaimView, Content, JobSummary, JobView, ModelView, OfferView, ParametersView,
        PoolMemberView, Quote, ResultView, SeatView, WorkerView,
    },
    JobId, ModelId,
};

sp_api::decl_runtime_apis! {
    /// Reads the inference market: jobs, results, audits, workers, offers, models, prices.
    ///
    /// Lists come in pages of at most 256 items; `after` is the last item of the page before.
    pub trait InferenceApi<AccountId>
    where
        AccountId: Codec,
    {
        /// A job, until its record is dropped.
        fn job(job: JobId) -> Option<JobView<AccountId>>;

        /// A job's input, until the job is final.
        fn job_input(job: JobId) -> Option<Content>;

        /// What a worker delivered for a job, until the job's record is dropped.
        fn result(job: JobId) -> Option<ResultView<AccountId>>;

        /// Jobs on a model that wait for a worker, oldest first.
        fn open_jobs(
            model: ModelId,
            after: Option<JobId>,
            limit: u32,
        ) -> Vec<JobSummary<AccountId>>;

        /// Jobs that a worker has claimed and not delivered yet, oldest first.
        fn jobs_of_worker(worker: AccountId) -> Vec<ClaimView>;

        /// A worker.
        fn worker(worker: AccountId) -> Option<WorkerView>;

        /// Offers of a model, in no particular order.
        fn offers(
            model: ModelId,
            after: Option<AccountId>,
            limit: u32,
        ) -> Vec<OfferView<AccountId>>;

        /// A model.
        fn model(model: ModelId) -> Option<ModelView<AccountId>>;

        /// A model's manifest, as it was registered.
        fn manifest(model: ModelId) -> Option<Content>;

        /// The cheapest worst case for a job on a model with an input of `input_len` bytes and at
        /// most `max_output` units of output; none if no worker could claim it now.
        fn quote(model: ModelId, input_len: u32, max_output: u32) -> Option<Quote<AccountId>>;

        /// Seats of audits that wait for an account, oldest job first, each with everything that is
        /// needed to replay the job; at most 16 at a time.
        fn seats(
            auditor: AccountId,
            after: Option<JobId>,
            limit: u32,
        ) -> Vec<SeatView<AccountId>>;

        /// A job's audit, until the job's record is dropped.
        fn audit(job: JobId) -> Option<AuditView<AccountId>>;

        /// The audit pool that jobs on a model refer to if they are submitted now.
        fn audit_pool(model: ModelId) -> Vec<PoolMemberView<AccountId>>;

        /// The market's parameters.
        fn parameters() -> ParametersView;
    }
}
