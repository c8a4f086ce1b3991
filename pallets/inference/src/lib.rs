//! # The inference market
//!
//! Anyone posts a job for an AI model with the money in escrow; a worker with stake claims it, runs
//! it and delivers; the chain pays for what was used and gives the rest back.
//!
//! ## Terms
//!
//! - **Model**: named by the hash of its manifest, which says what it computes, where its files are
//!   and on which terms it is offered. See [`genesisflow_primitives::manifest`].
//! - **Requester**: posts jobs. All it can lose is the fee that it agreed to.
//! - **Worker**: runs jobs. Its **stake** is held, and answers for what it does.
//! - **Offer**: a worker's prices and capacity for one model.
//! - **Escrow**: the most that a job may cost, held on the requester's own account.
//! - **Exposure**: the part of a worker's stake that a claim reserves until the job is final.
//! - **Deposit**: paid for storage while it is used, and returned when it is freed.
//! - **Attestation**: what a worker states by delivering: this input, this output, this usage.
//!
//! ## Two stories
//!
//! *Ada wants a sentence translated.* She calls [`Pallet::submit_job`] with the sentence and at
//! most 0.01 GEN. Half a minute later the job carries an answer. She calls
//! [`Pallet::accept_result`], or does nothing: after the review window the worker is paid for the
//! tokens used and the rest of the 0.01 GEN has long been hers again.
//!
//! *Bo owns a graphics card.* Bo calls [`Pallet::register_worker`] with a stake and
//! [`Pallet::set_offer`] for each model that fits the card. Bo's machine looks for open jobs at
//! Bo's prices, calls [`Pallet::claim_job`], runs them and calls [`Pallet::deliver`], which costs
//! nothing. One night the machine hangs: for each job that it was late with, Bo pays the requester
//! half of what the job could have cost, and another worker takes over.
//!
//! ## The life of a job
//!
//! ```text
//!            cancel_job                          draw misses
//!      ┌──────────────> Cancelled           ┌──────────────> Review ── accepted, or window over ─> Settled
//!      │                                    │                  │
//!    Open ──claim_job──> Claimed ──deliver──> Delivered        └─dispute_result─┐
//!      │  ^                 │               │                                   v
//!      │  └─ first lateness ┤               └──draw hits──> Audit ──────────> Decided ──┬─> Settled
//!      │                    │                                 ^  commit, reveal  │      │
//!      │                    └─ second lateness ─> Expired     └──appeal_verdict──┘      └─> Rejected
//!      └─ nobody claims in time ────────────────> Expired          slashes wait in Slashing for their delay
//!
//!    Settled, Rejected, Cancelled, Expired ── retention over ──> nothing is left, all deposits are back
//! ```
//!
//! Every arrow that needs no signature is taken when its deadline is over: by `on_idle`, by anyone
//! with [`Pallet::progress_job`], or by the next call that touches the job. What happens is
//! computed from the deadlines alone, so it never depends on who takes it or when.
//!
//! ## Promises
//!
//! 1. From every state a deadline leads out, and no account can block it.
//! 2. What jobs, stakes and deposits record is what is held on each account, at every block
//!    (see `invariants.rs`, checked after every test).
//! 3. A job's terms are fixed when it is submitted.
//! 4. A worker's word is never trusted on price: fees are bounded by escrow, limits and frozen
//!    prices.
//!
//! ## Where things are
//!
//! | file | reason to change it |
//! |---|---|
//! | `models.rs`, `workers.rs`, `offers.rs` | their rules |
//! | `jobs/` | a job's states and calls, one file per step |
//! | `audits/` | draws, ballots, disputes, appeals, slashes |
//! | `pools.rs` | who can be drawn |
//! | `randomness.rs` | where seeds come from |
//! | `extension.rs` | who may send calls that cost nothing |
//! | `agenda.rs` | how overdue jobs are found |
//! | `escrow.rs` | how money moves; nothing else touches the currency |
//! | `events.rs`, `errors.rs` | what the chain says |
//! | `views.rs` | what can be read |
//! | `invariants.rs` | what must always hold |

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod agenda;
pub mod audits;
mod errors;
mod escrow;
mod events;
pub mod extension;
// In every native build, so that tests of a whole runtime can check them.
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod invariants;
pub mod jobs;
pub mod models;
pub mod offers;
mod parameters;
pub mod pools;
pub mod randomness;
mod views;
pub mod weights;
pub mod workers;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use genesisflow_primitives as primitives;
pub use pallet::*;
pub use weights::WeightInfo;

use frame_support::{pallet_macros::import_section, traits::fungible::Inspect};

/// The currency's balance.
pub type BalanceOf<T> =
    <<T as Config>::Currency as Inspect<<T as frame_system::Config>::AccountId>>::Balance;

/// Target of the pallet's log lines.
pub(crate) const LOG_TARGET: &str = "runtime::inference";

#[import_section(errors::errors)]
#[import_section(events::events)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use crate::{
        agenda::{DueKey, JobKey},
        audits::Audit,
        jobs::{Job, Request},
        models::Model,
        offers::Offer,
        pools::{PoolClock, PoolMember},
        randomness::BlockRandomness,
        workers::Worker,
    };
    use alloc::vec::Vec;
    use frame_support::{
        dispatch::{DispatchResultWithPostInfo, Pays},
        pallet_prelude::*,
        traits::fungible,
        weights::WeightMeter,
        Identity,
    };
    use frame_system::pallet_prelude::*;
    use genesisflow_primitives::{
        audit::{Ballot, MaxPoolSize, MaxRounds, MaxSeats},
        parameters,
        views::{
            AuditView, ClaimView, Content, JobSummary, JobView, ModelView, OfferView,
            ParametersView, PoolMemberView, Quote, ResultView, SeatView, WorkerView,
        },
        Balance, BlockNumber, EvidenceBytes, Fault, Input, JobConditions, JobId, JobOptions,
        ManifestBytes, MaxEndpointLen, MaxEvidenceLen, MaxInputLen, MaxManifestLen, MaxOutputLen,
        ModelId, Output, Parameters, Prices, ResultClaim, Usage, H256,
    };
    use sp_runtime::{traits::BlockNumberProvider, Perbill};

    /// Version of the pallet's storage.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;

        /// The currency of escrows, stakes and deposits.
        type Currency: fungible::Inspect<Self::AccountId, Balance = Balance>
            + fungible::Mutate<Self::AccountId>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>
            + fungible::hold::Balanced<Self::AccountId>;

        /// The clock of every deadline. On a solo chain: `frame_system::Pallet`.
        type BlockNumberProvider: BlockNumberProvider<BlockNumber = BlockNumber>;

        /// Who may change the market's parameters.
        type ParametersOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// Who may cancel a slash before it is executed.
        type CancelSlashOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// What each block contributes to the seeds of later draws.
        type Randomness: BlockRandomness;

        /// The account that receives the protocol's share.
        type TreasuryAccount: Get<Self::AccountId>;

        /// The account that keeps what jobs have paid for audits, and pays auditors. It must hold
        /// the existential deposit from the start.
        type AuditPotAccount: Get<Self::AccountId>;

        /// Most parts in which a worker's stake can be unbonding at a time.
        #[pallet::constant]
        type MaxUnbondingChunks: Get<u32>;

        /// Highest capacity of an offer: most jobs on one model that a worker can have claimed and not
        /// delivered.
        #[pallet::constant]
        type MaxCapacity: Get<u32>;

        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    #[pallet::extra_constants]
    impl<T: Config> Pallet<T> {
        /// Most bytes of a manifest.
        fn max_manifest_len() -> u32 {
            <MaxManifestLen as Get<u32>>::get()
        }

        /// Most bytes of a job's input.
        fn max_input_len() -> u32 {
            <MaxInputLen as Get<u32>>::get()
        }

        /// Most bytes of a job's output.
        fn max_output_len() -> u32 {
            <MaxOutputLen as Get<u32>>::get()
        }

        /// Most bytes of a job's evidence.
        fn max_evidence_len() -> u32 {
            <MaxEvidenceLen as Get<u32>>::get()
        }

        /// Most bytes of a worker's endpoint.
        fn max_endpoint_len() -> u32 {
            <MaxEndpointLen as Get<u32>>::get()
        }
    }

    /// Why the market holds money on an account.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The most that a job may still cost its requester, the deposit for its bytes in storage
        /// and its prepaid delivery. One reason for all, so that they move together.
        #[codec(index = 0)]
        Job,
        /// A worker's stake, unbonding stake included.
        #[codec(index = 1)]
        Stake,
        /// A model's bytes in storage.
        #[codec(index = 2)]
        ModelDeposit,
        /// An offer's bytes in storage.
        #[codec(index = 3)]
        OfferDeposit,
        /// What a disputer puts at stake.
        #[codec(index = 4)]
        DisputeBond,
        /// What an appellant puts at stake.
        #[codec(index = 5)]
        AppealBond,
    }

    /// The market's parameters in force.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
    pub struct ParameterSet {
        /// 0 at genesis, one more with every change.
        pub revision: u32,
        /// The parameters.
        pub parameters: Parameters,
    }

    /// The market's parameters in force. Written at genesis and by `set_parameters`.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type MarketParameters<T> = StorageValue<_, ParameterSet, ValueQuery>;

    /// Registered models. A retired one stays until its last job is final.
    #[pallet::storage]
    pub type Models<T: Config> = StorageMap<_, Identity, ModelId, Model<T::AccountId>>;

    /// The manifest of each model in `Models`, as it was registered.
    #[pallet::storage]
    pub type Manifests<T: Config> = StorageMap<_, Identity, ModelId, ManifestBytes>;

    /// Registered workers. One leaves when the last of its stake is withdrawn.
    #[pallet::storage]
    pub type Workers<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Worker<T::MaxUnbondingChunks>>;

    /// Offers by model and worker. An offer may outlive its model: the id binds the terms, so it
    /// means the same if the model is registered again.
    #[pallet::storage]
    pub type Offers<T: Config> =
        StorageDoubleMap<_, Identity, ModelId, Blake2_128Concat, T::AccountId, Offer>;

    /// How many offers each model has; absent for none.
    #[pallet::storage]
    pub type OfferCounts<T: Config> = StorageMap<_, Identity, ModelId, u32, ValueQuery>;

    /// The number of the next job.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type NextJobId<T> = StorageValue<_, JobId, ValueQuery>;

    /// Jobs, until their retention is over.
    #[pallet::storage]
    pub type Jobs<T: Config> = StorageMap<_, Twox64Concat, JobId, Job<T::AccountId>>;

    /// Inputs of jobs that are not final.
    #[pallet::storage]
    pub type Inputs<T: Config> = StorageMap<_, Twox64Concat, JobId, Input>;

    /// Outputs of delivered jobs, as long as the job is kept.
    #[pallet::storage]
    pub type Outputs<T: Config> = StorageMap<_, Twox64Concat, JobId, Output>;

    /// Evidence of delivered jobs that are not final.
    #[pallet::storage]
    pub type Evidence<T: Config> = StorageMap<_, Twox64Concat, JobId, EvidenceBytes>;

    /// Open jobs by model, oldest first.
    #[pallet::storage]
    pub type OpenJobs<T: Config> = StorageDoubleMap<_, Identity, ModelId, Identity, JobKey, ()>;

    /// Claimed and undelivered jobs by worker and model, in the order of the claims; absent for none.
    #[pallet::storage]
    pub type Claims<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        ModelId,
        BoundedVec<JobId, T::MaxCapacity>,
        ValueQuery,
    >;

    /// Every job at the first block in which it is overdue or before, earliest first. The job's record
    /// says where.
    #[pallet::storage]
    pub type Agenda<T: Config> = StorageDoubleMap<_, Identity, DueKey, Identity, JobKey, ()>;

    /// What each of the last blocks contributed to seeds. See `randomness.rs`.
    #[pallet::storage]
    pub type BlockOutputs<T: Config> = StorageMap<_, Identity, DueKey, H256>;

    /// How blocks are counted into the periods of audit pools.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type PeriodClock<T> = StorageValue<_, PoolClock, ValueQuery>;

    /// Accounts that offer a model and may become members of its pools, in no particular order.
    #[pallet::storage]
    pub type Candidates<T: Config> =
        StorageMap<_, Identity, ModelId, BoundedVec<T::AccountId, MaxPoolSize>, ValueQuery>;

    /// Audit pools by model and period, as long as jobs refer to them.
    #[pallet::storage]
    pub type Pools<T: Config> = StorageDoubleMap<
        _,
        Identity,
        ModelId,
        Twox64Concat,
        u32,
        BoundedVec<PoolMember<T::AccountId>, MaxPoolSize>,
    >;

    /// How many jobs that are not final each model has, by the pool that they refer to: its period,
    /// or none. A model and a pool are kept as long as there are any.
    #[pallet::storage]
    pub type LiveJobs<T: Config> =
        StorageDoubleMap<_, Identity, ModelId, Twox64Concat, Option<u32>, u32, ValueQuery>;

    /// Period of the newest pool of each model. It stays until its period is over, jobs or not.
    #[pallet::storage]
    pub type NewestPools<T: Config> = StorageMap<_, Identity, ModelId, u32>;

    /// Audits, as long as their jobs are kept.
    #[pallet::storage]
    pub type Audits<T: Config> = StorageMap<_, Twox64Concat, JobId, Audit<T::AccountId>>;

    /// Jobs whose present round has seats for an account, oldest first.
    #[pallet::storage]
    pub type Seats<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, JobKey, ()>;

    /// What each model's jobs have paid for audits and auditors have not received yet. It lies on
    /// `AuditPotAccount`.
    #[pallet::storage]
    pub type AuditPots<T: Config> = StorageMap<_, Identity, ModelId, Balance, ValueQuery>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The market's parameters; those of a real network if left out.
        pub parameters: Parameters,
        #[serde(skip)]
        #[doc(hidden)]
        pub _config: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Err(error) = self.parameters.check() {
                panic!("the genesis parameters of the inference market are unsound: {error}");
            }
            MarketParameters::<T>::put(ParameterSet {
                revision: 0,
                parameters: self.parameters.clone(),
            });
            Pallet::<T>::begin_periods_of(self.parameters.pool_period);
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::record_randomness();
            T::WeightInfo::on_initialize()
        }

        fn on_poll(_: BlockNumberFor<T>, meter: &mut WeightMeter) {
            Self::work_off_backlog(meter);
        }

        fn on_idle(_: BlockNumberFor<T>, remaining: Weight) -> Weight {
            let mut meter = WeightMeter::with_limit(remaining.min(Self::most_on_idle()));
            Self::run_agenda(&mut meter);
            meter.consumed()
        }

        fn integrity_test() {
            assert!(
                T::MaxUnbondingChunks::get() > 0,
                "MaxUnbondingChunks is 0: workers could never get their stake back"
            );
            assert!(
                T::MaxCapacity::get() > 0,
                "MaxCapacity is 0: workers could never claim a job"
            );
            if let Err(error) = Parameters::default().check() {
                panic!("the default parameters are unsound: {error}");
            }
            // A seed must outlive every delay that on_idle can have, and the longest seed itself.
            const {
                assert!(
                    randomness::RANDOMNESS_KEPT > 100 * parameters::MAX_SEED_BLOCKS,
                    "outputs are forgotten before a late draw can use them"
                )
            };
            // Two rounds of each kind, all silent, and the worker itself.
            assert!(
                <audits::MaxSlashes as Get<u32>>::get()
                    > <MaxRounds as Get<u32>>::get() * <MaxSeats as Get<u32>>::get(),
                "an audit could slash more accounts than it can note down"
            );
            // The heaviest step must fit in what every block keeps for the agenda, or it would wait
            // for somebody to call progress_job.
            let step =
                T::WeightInfo::on_idle_base().saturating_add(Pallet::<T>::most_progress_weight());
            assert!(
                step.all_lte(Pallet::<T>::kept_for_agenda()),
                "the heaviest step takes more than a block keeps for the agenda"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call(weight = <T as Config>::WeightInfo)]
    impl<T: Config> Pallet<T> {
        /// Register a model, so that jobs can be submitted for it. A deposit is held until the
        /// model is retired and its last job is final.
        ///
        /// - `manifest`: the SCALE bytes of the model's manifest. Their hash is the model's id.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::register_model(manifest.len() as u32))]
        pub fn register_model(origin: OriginFor<T>, manifest: Vec<u8>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let manifest = manifest
                .try_into()
                .map_err(|_| Error::<T>::ManifestTooLong)?;
            Self::do_register_model(who, manifest)
        }

        /// Retire a model that you registered: it takes no new jobs. Jobs already submitted go on.
        /// Anyone may register it again.
        #[pallet::call_index(1)]
        pub fn retire_model(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_retire_model(who, model)
        }

        /// Become a worker.
        ///
        /// - `stake`: held on your account; it answers for the jobs that you claim.
        /// - `endpoint`: where you may be reached, such as a URL; may be empty.
        #[pallet::call_index(2)]
        pub fn register_worker(
            origin: OriginFor<T>,
            #[pallet::compact] stake: BalanceOf<T>,
            endpoint: Vec<u8>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let endpoint = endpoint
                .try_into()
                .map_err(|_| Error::<T>::EndpointTooLong)?;
            Self::do_register_worker(who, stake, endpoint)
        }

        /// Add to your stake, so that you can claim more and larger jobs at a time.
        #[pallet::call_index(3)]
        pub fn bond_more(
            origin: OriginFor<T>,
            #[pallet::compact] amount: BalanceOf<T>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_bond_more(who, amount)
        }

        /// Change where you may be reached; may be empty.
        #[pallet::call_index(4)]
        pub fn set_endpoint(origin: OriginFor<T>, endpoint: Vec<u8>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let endpoint = endpoint
                .try_into()
                .map_err(|_| Error::<T>::EndpointTooLong)?;
            Self::do_set_endpoint(who, endpoint)
        }

        /// Take no new jobs. Jobs that you have claimed must still be delivered.
        #[pallet::call_index(5)]
        pub fn chill(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_chill(who)
        }

        /// Take jobs again.
        #[pallet::call_index(6)]
        pub fn activate(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_activate(who)
        }

        /// Begin to take stake out. It can be withdrawn after the unbonding period; until then it
        /// still answers for your jobs. Unbonding all of it chills you.
        #[pallet::call_index(7)]
        pub fn unbond(
            origin: OriginFor<T>,
            #[pallet::compact] amount: BalanceOf<T>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_unbond(who, amount)
        }

        /// Get back the stake that has finished unbonding, as far as no job needs it. With the last
        /// of it you are no worker any more.
        #[pallet::call_index(8)]
        pub fn withdraw_unbonded(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_withdraw_unbonded(who)
        }

        /// Offer a model, or change your offer. Jobs that you have claimed keep their prices.
        ///
        /// - `price_input`, `price_output`: per unit (for text: token), in base units.
        /// - `capacity`: how many jobs you run at a time under this offer, at most `MaxCapacity`.
        #[pallet::call_index(9)]
        pub fn set_offer(
            origin: OriginFor<T>,
            model: ModelId,
            #[pallet::compact] price_input: BalanceOf<T>,
            #[pallet::compact] price_output: BalanceOf<T>,
            capacity: u32,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let prices = Prices {
                input: price_input,
                output: price_output,
            };
            Self::do_set_offer(who, model, prices, capacity)
        }

        /// Withdraw your offer of a model. Jobs that you have claimed must still be delivered.
        #[pallet::call_index(10)]
        pub fn remove_offer(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_remove_offer(who, model)
        }

        /// Ask a model, with plain text and the usual windows.
        ///
        /// Held on your account: `max_fee`, of which you pay only what is used, and a deposit that
        /// comes back. The text is public, and stays so.
        ///
        /// - `model`: the model's id.
        /// - `input`: your text, at most 16 KiB of UTF-8.
        /// - `max_output`: the longest answer that you want, in the model's units (tokens).
        /// - `max_fee`: the most that you pay. The read API's `quote` suggests an amount.
        #[pallet::call_index(11)]
        #[pallet::weight(
            T::WeightInfo::submit_job(input.len() as u32).saturating_add(Pallet::<T>::most_pool_weight())
        )]
        pub fn submit_job(
            origin: OriginFor<T>,
            model: ModelId,
            input: Vec<u8>,
            max_output: u32,
            #[pallet::compact] max_fee: BalanceOf<T>,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let weight = T::WeightInfo::submit_job(input.len() as u32);
            let input = input.try_into().map_err(|_| Error::<T>::InputTooLong)?;
            let looked_at = Self::do_submit(
                who,
                Request {
                    model,
                    input,
                    max_output,
                    max_fee,
                    options: JobOptions::default(),
                    conditions: JobConditions::default(),
                },
            )?;
            let pool = looked_at.map_or(Weight::zero(), T::WeightInfo::make_pool);
            Ok(Some(weight.saturating_add(pool)).into())
        }

        /// Ask a model, with your own options and conditions.
        ///
        /// - `model`, `input`, `max_output`, `max_fee`: as for `submit_job`.
        /// - `options`: how the input is read and the output sampled.
        /// - `conditions`: price caps, deadlines, and who may take the job.
        #[pallet::call_index(12)]
        #[pallet::weight(
            T::WeightInfo::submit_job_with(input.len() as u32).saturating_add(Pallet::<T>::most_pool_weight())
        )]
        pub fn submit_job_with(
            origin: OriginFor<T>,
            model: ModelId,
            input: Vec<u8>,
            max_output: u32,
            #[pallet::compact] max_fee: BalanceOf<T>,
            options: JobOptions,
            conditions: JobConditions<T::AccountId>,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let weight = T::WeightInfo::submit_job_with(input.len() as u32);
            let input = input.try_into().map_err(|_| Error::<T>::InputTooLong)?;
            let looked_at = Self::do_submit(
                who,
                Request {
                    model,
                    input,
                    max_output,
                    max_fee,
                    options,
                    conditions,
                },
            )?;
            let pool = looked_at.map_or(Weight::zero(), T::WeightInfo::make_pool);
            Ok(Some(weight.saturating_add(pool)).into())
        }

        /// Take an open job at the prices of your offer. Deliver its result in time, or you pay the
        /// requester out of your stake.
        #[pallet::call_index(13)]
        #[pallet::weight(T::WeightInfo::claim_job().saturating_add(Pallet::<T>::most_besides()))]
        pub fn claim_job(origin: OriginFor<T>, job: JobId) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let besides = Self::do_claim(who, job)?;
            Ok(Some(T::WeightInfo::claim_job().saturating_add(besides)).into())
        }

        /// Deliver the result of a job that you have claimed. Costs nothing if it is taken.
        ///
        /// - `output`: the output as the requester reads it: UTF-8.
        /// - `evidence`: the output's token ids, each as a SCALE compact u32.
        /// - `claim`: usage, fault if there was one, trace, version of the engine.
        #[pallet::call_index(14)]
        #[pallet::weight((
            T::WeightInfo::deliver(output.len() as u32, evidence.len() as u32),
            DispatchClass::Operational,
        ))]
        pub fn deliver(
            origin: OriginFor<T>,
            job: JobId,
            output: Vec<u8>,
            evidence: Vec<u8>,
            claim: ResultClaim,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let output = output.try_into().map_err(|_| Error::<T>::OutputTooLong)?;
            let evidence = evidence
                .try_into()
                .map_err(|_| Error::<T>::EvidenceTooLong)?;
            Self::do_deliver(who, job, output, evidence, claim)?;
            Ok(Pays::No.into())
        }

        /// Accept the result of your job: its worker is paid at once.
        #[pallet::call_index(15)]
        #[pallet::weight(T::WeightInfo::accept_result().saturating_add(Pallet::<T>::most_besides()))]
        pub fn accept_result(origin: OriginFor<T>, job: JobId) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let besides = Self::do_accept(who, job)?;
            Ok(Some(T::WeightInfo::accept_result().saturating_add(besides)).into())
        }

        /// Withdraw a job that nobody has claimed. All of its escrow is returned.
        #[pallet::call_index(16)]
        #[pallet::weight(T::WeightInfo::cancel_job().saturating_add(Pallet::<T>::most_besides()))]
        pub fn cancel_job(origin: OriginFor<T>, job: JobId) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let besides = Self::do_cancel(who, job)?;
            Ok(Some(T::WeightInfo::cancel_job().saturating_add(besides)).into())
        }

        /// Move on a job whose deadline is over. Anyone may; the outcome is the same for all.
        /// Costs nothing if something was due.
        #[pallet::call_index(17)]
        #[pallet::weight(Pallet::<T>::most_progress_weight())]
        pub fn progress_job(origin: OriginFor<T>, job: JobId) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            let weight = Self::progress_weight(job);
            Self::do_progress(job)?;
            Ok((Some(weight), Pays::No).into())
        }

        /// Change the market's parameters. Jobs submitted before keep theirs.
        #[pallet::call_index(18)]
        pub fn set_parameters(origin: OriginFor<T>, parameters: Parameters) -> DispatchResult {
            T::ParametersOrigin::ensure_origin(origin)?;
            Self::do_set_parameters(parameters)
        }

        /// Have a result checked by auditors before it is paid. Anyone may, once per job, while it
        /// can be reviewed.
        ///
        /// A bond is held on your account. If the result is found wrong you get it back, and as
        /// much again as the job could have cost at most out of the worker's stake. If it is found
        /// right, the bond pays the auditors, and the rest the worker.
        #[pallet::call_index(19)]
        #[pallet::weight(T::WeightInfo::dispute_result().saturating_add(Pallet::<T>::most_besides()))]
        pub fn dispute_result(origin: OriginFor<T>, job: JobId) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let besides = Self::do_dispute(who, job)?;
            Ok(Some(T::WeightInfo::dispute_result().saturating_add(besides)).into())
        }

        /// Commit to your ballot on a job that you were drawn to audit. Costs nothing if it is
        /// taken.
        ///
        /// - `commitment`: hash over chain, job, round, your account, digest, verdict and a random
        ///   salt; see `ballot_commitment` of the primitives. Keep the salt: you need it to reveal.
        #[pallet::call_index(20)]
        #[pallet::weight((T::WeightInfo::commit_ballot(), DispatchClass::Operational))]
        pub fn commit_ballot(
            origin: OriginFor<T>,
            job: JobId,
            commitment: H256,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_commit(who, job, commitment)?;
            Ok(Pays::No.into())
        }

        /// Reveal the ballot that you committed to. Costs nothing if it is taken.
        ///
        /// - `digest`: what your replay gave under the round's seed.
        /// - `valid`: whether the result is right in every respect.
        /// - `salt`: the one of your commitment.
        #[pallet::call_index(21)]
        #[pallet::weight((T::WeightInfo::reveal_ballot(), DispatchClass::Operational))]
        pub fn reveal_ballot(
            origin: OriginFor<T>,
            job: JobId,
            digest: H256,
            valid: bool,
            salt: H256,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_reveal(who, job, Ballot { digest, valid }, salt)?;
            Ok(Pays::No.into())
        }

        /// Appeal against what auditors decided, or could not decide: a full round of seats
        /// decides for good. Open to the job's worker, requester and disputer, and to auditors of
        /// it who were outvoted; once per job.
        ///
        /// A bond is held on your account. You get it back if the outcome changes; else it pays the
        /// auditors.
        #[pallet::call_index(22)]
        pub fn appeal_verdict(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_appeal(who, job)
        }

        /// Cancel a slash that waits for its delay.
        #[pallet::call_index(23)]
        pub fn cancel_slash(origin: OriginFor<T>, job: JobId, who: T::AccountId) -> DispatchResult {
            T::CancelSlashOrigin::ensure_origin(origin)?;
            Self::do_cancel_slash(job, who)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// A job, until its record is dropped.
        pub fn job(job: JobId) -> Option<JobView<T::AccountId>> {
            Self::view_job(job)
        }

        /// A job's input, until the job is final.
        pub fn job_input(job: JobId) -> Option<Content> {
            let bytes = Inputs::<T>::get(job)?.into_inner();
            Some(Content { bytes })
        }

        /// What a worker delivered for a job, until the job's record is dropped.
        pub fn result(job: JobId) -> Option<ResultView<T::AccountId>> {
            Self::view_result(job)
        }

        /// Jobs on a model that wait for a worker, oldest first; at most 256 at a time.
        pub fn open_jobs(
            model: ModelId,
            after: Option<JobId>,
            limit: u32,
        ) -> Vec<JobSummary<T::AccountId>> {
            Self::view_open_jobs(model, after, limit)
        }

        /// Jobs that a worker has claimed and not delivered yet, oldest first.
        pub fn jobs_of_worker(worker: T::AccountId) -> Vec<ClaimView> {
            Self::view_jobs_of_worker(worker)
        }

        /// A worker.
        pub fn worker(worker: T::AccountId) -> Option<WorkerView> {
            Self::view_worker(worker)
        }

        /// Offers of a model, in no particular order; at most 256 at a time.
        pub fn offers(
            model: ModelId,
            after: Option<T::AccountId>,
            limit: u32,
        ) -> Vec<OfferView<T::AccountId>> {
            Self::view_offers(model, after, limit)
        }

        /// A model.
        pub fn model(model: ModelId) -> Option<ModelView<T::AccountId>> {
            Self::view_model(model)
        }

        /// A model's manifest, as it was registered.
        pub fn manifest(model: ModelId) -> Option<Content> {
            let bytes = Manifests::<T>::get(model)?.into_inner();
            Some(Content { bytes })
        }

        /// The cheapest worst case for a job on a model with an input of `input_len` bytes and at
        /// most `max_output` units of output; none if no worker could claim it now.
        pub fn quote(
            model: ModelId,
            input_len: u32,
            max_output: u32,
        ) -> Option<Quote<T::AccountId>> {
            Self::view_quote(model, input_len, max_output)
        }

        /// Seats that wait for an account, oldest job first, each with everything that is needed to
        /// replay the job; at most 16 at a time.
        pub fn seats(
            auditor: T::AccountId,
            after: Option<JobId>,
            limit: u32,
        ) -> Vec<SeatView<T::AccountId>> {
            Self::view_seats(auditor, after, limit)
        }

        /// A job's audit, until the job's record is dropped.
        pub fn audit(job: JobId) -> Option<AuditView<T::AccountId>> {
            Self::view_audit(job)
        }

        /// The audit pool that jobs on a model refer to if they are submitted now.
        pub fn audit_pool(model: ModelId) -> Vec<PoolMemberView<T::AccountId>> {
            Self::view_pool(model)
        }

        /// The market's parameters.
        pub fn parameters() -> ParametersView {
            let ParameterSet {
                revision,
                parameters,
            } = MarketParameters::<T>::get();
            ParametersView {
                revision,
                parameters,
            }
        }
    }
}
