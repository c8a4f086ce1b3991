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
//!            cancel_job                 accept_result, or review window over
//!      ┌──────────────> Cancelled      ┌──────────────────────────────────> Settled
//!      │                               │
//!    Open ──claim_job──> Claimed ──deliver──> Review
//!      │  ^                 │
//!      │  └─ first lateness ┤   half the worst-case fee goes to the requester
//!      │                    └─ second lateness ──> Expired
//!      └─ nobody claims in time ─────────────────> Expired
//!
//!    Settled, Cancelled, Expired ── retention over ──> nothing is left, all deposits are back
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
//! | `agenda.rs` | how overdue jobs are found |
//! | `escrow.rs` | how money moves; nothing else touches the currency |
//! | `views.rs` | what can be read |
//! | `invariants.rs` | what must always hold |
//!
//! Draws, audits and disputes will stand between delivery and settlement; the encoding of
//! [`jobs::JobState`] keeps their place.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod agenda;
mod escrow;
#[cfg(any(test, feature = "try-runtime"))]
mod invariants;
pub mod jobs;
pub mod models;
pub mod offers;
mod parameters;
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

use frame_support::traits::fungible::Inspect;

/// The currency's balance.
pub type BalanceOf<T> =
    <<T as Config>::Currency as Inspect<<T as frame_system::Config>::AccountId>>::Balance;

/// Target of the pallet's log lines.
pub(crate) const LOG_TARGET: &str = "runtime::inference";

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use crate::{
        agenda::{DueKey, JobKey},
        jobs::{Job, Request},
        models::Model,
        offers::Offer,
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
        views::{
            ClaimView, JobSummary, JobView, ModelView, OfferView, ParametersView, Quote,
            ResultView, WorkerView,
        },
        Balance, BlockNumber, Endpoint, EvidenceBytes, Fault, Input, JobConditions, JobId,
        JobOptions, ManifestBytes, MaxEndpointLen, MaxEvidenceLen, MaxInputLen, MaxManifestLen,
        MaxOutputLen, ModelId, Output, Parameters, Prices, ResultClaim, Usage, H256,
    };
    use sp_runtime::traits::BlockNumberProvider;

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
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;

        /// The clock of every deadline. On a solo chain: `frame_system::Pallet`.
        type BlockNumberProvider: BlockNumberProvider<BlockNumber = BlockNumber>;

        /// Who may change the market's parameters.
        type ParametersOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// The account that receives the protocol's share.
        type TreasuryAccount: Get<Self::AccountId>;

        /// Most parts in which a worker's stake can be unbonding at a time.
        #[pallet::constant]
        type MaxUnbondingChunks: Get<u32>;

        /// Most jobs that a worker can have claimed and not delivered.
        #[pallet::constant]
        type MaxClaims: Get<u32>;

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
        /// The most that a job may still cost its requester.
        #[codec(index = 0)]
        JobEscrow,
        /// A job's bytes in storage and its prepaid delivery.
        #[codec(index = 1)]
        JobDeposit,
        /// A worker's stake, unbonding stake included.
        #[codec(index = 2)]
        Stake,
        /// A model's bytes in storage.
        #[codec(index = 3)]
        ModelDeposit,
        /// An offer's bytes in storage.
        #[codec(index = 4)]
        OfferDeposit,
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

    /// How many undelivered jobs each worker runs on each model; absent for none.
    #[pallet::storage]
    pub type Running<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, ModelId, u32, ValueQuery>;

    /// The number of the next job.
    #[pallet::storage]
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

    /// Claimed and undelivered jobs by worker, oldest first.
    #[pallet::storage]
    pub type Claims<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, JobKey, ()>;

    /// Every job at the first block in which it is overdue, earliest first.
    #[pallet::storage]
    pub type Agenda<T: Config> = StorageDoubleMap<_, Identity, DueKey, Identity, JobKey, ()>;

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
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(crate) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A model was registered; jobs can be submitted for it.
        ModelRegistered {
            /// The model.
            model: ModelId,
            /// Who registered it.
            owner: T::AccountId,
            /// What is held for it, in base units.
            deposit: Balance,
        },
        /// A model takes no new jobs any more.
        ModelRetired {
            /// The model.
            model: ModelId,
        },
        /// A retired model's last job is final; its manifest is dropped and its deposit returned.
        ModelDropped {
            /// The model.
            model: ModelId,
            /// Who registered it.
            owner: T::AccountId,
            /// The returned deposit, in base units.
            deposit: Balance,
        },
        /// A worker was registered.
        WorkerRegistered {
            /// The worker.
            worker: T::AccountId,
            /// Its stake, in base units.
            stake: Balance,
        },
        /// A worker added to its stake.
        StakeAdded {
            /// The worker.
            worker: T::AccountId,
            /// How much, in base units.
            amount: Balance,
        },
        /// A worker changed where it may be reached.
        EndpointSet {
            /// The worker.
            worker: T::AccountId,
        },
        /// A worker takes no new jobs.
        WorkerChilled {
            /// The worker.
            worker: T::AccountId,
        },
        /// A worker takes jobs again.
        WorkerActivated {
            /// The worker.
            worker: T::AccountId,
        },
        /// Stake began to unbond. It still answers for the worker's jobs.
        Unbonding {
            /// The worker.
            worker: T::AccountId,
            /// How much, in base units.
            amount: Balance,
            /// First block in which it can be withdrawn.
            from: BlockNumber,
        },
        /// Unbonded stake was returned.
        StakeWithdrawn {
            /// The worker.
            worker: T::AccountId,
            /// How much, in base units.
            amount: Balance,
        },
        /// The last of a worker's stake was returned; it is no worker any more.
        WorkerRemoved {
            /// The former worker.
            worker: T::AccountId,
        },
        /// A worker offers a model, or changed its offer. Jobs claimed before keep their prices.
        OfferSet {
            /// The model.
            model: ModelId,
            /// The worker.
            worker: T::AccountId,
            /// Price per input unit, in base units.
            price_input: Balance,
            /// Price per output unit, in base units.
            price_output: Balance,
            /// How many jobs at a time.
            capacity: u32,
        },
        /// A worker does not offer a model any more.
        OfferRemoved {
            /// The model.
            model: ModelId,
            /// The worker.
            worker: T::AccountId,
        },
        /// A job waits for a worker.
        JobSubmitted {
            /// The job.
            job: JobId,
            /// Who asked for it.
            requester: T::AccountId,
            /// The model it runs on.
            model: ModelId,
            /// Hash of the input.
            input_hash: H256,
            /// The most that it may cost, in base units.
            max_fee: Balance,
            /// Last block in which it may be claimed.
            claim_by: BlockNumber,
        },
        /// A worker took a job. Its prices are fixed.
        JobClaimed {
            /// The job.
            job: JobId,
            /// Who took it.
            worker: T::AccountId,
            /// Price per input unit, in base units.
            price_input: Balance,
            /// Price per output unit, in base units.
            price_output: Balance,
            /// The most that it can cost now, in base units.
            worst_case_fee: Balance,
            /// Stake reserved for it, in base units.
            exposure: Balance,
            /// Last block in which the result is taken.
            deliver_by: BlockNumber,
        },
        /// A job's result is there. What it costs less than the escrow was returned.
        ResultDelivered {
            /// The job.
            job: JobId,
            /// Who ran it.
            worker: T::AccountId,
            /// Hash of the attestation.
            attestation: H256,
            /// Hash of the output.
            output_hash: H256,
            /// Units read and written.
            usage: Usage,
            /// The fault that ended the run, if one did.
            fault: Option<Fault>,
            /// The fee, in base units.
            fee: Balance,
            /// The part of the escrow that was returned, in base units.
            refund: Balance,
            /// Last block in which the result can be looked at before it is paid.
            review_until: BlockNumber,
        },
        /// A result was paid.
        JobSettled {
            /// The job.
            job: JobId,
            /// Who was paid.
            worker: T::AccountId,
            /// The worker's part of the fee, in base units.
            paid: Balance,
            /// The protocol's part of the fee, in base units.
            protocol: Balance,
        },
        /// A requester withdrew a job that nobody had claimed; its escrow was returned.
        JobCancelled {
            /// The job.
            job: JobId,
            /// What was returned, in base units.
            refund: Balance,
        },
        /// A worker did not deliver in time and paid for it.
        JobLate {
            /// The job.
            job: JobId,
            /// The late worker.
            worker: T::AccountId,
            /// What the requester was paid out of the worker's stake, in base units.
            compensation: Balance,
        },
        /// A job whose first worker was late waits for another one.
        JobReopened {
            /// The job.
            job: JobId,
            /// The worker that may not claim it again.
            barred: T::AccountId,
            /// Last block in which it may be claimed.
            claim_by: BlockNumber,
        },
        /// Nobody ran a job in time; its escrow was returned.
        JobExpired {
            /// The job.
            job: JobId,
            /// What was returned, in base units.
            refund: Balance,
        },
        /// A job's record was dropped and the rest of its deposit returned.
        JobDropped {
            /// The job.
            job: JobId,
        },
        /// A payee could not receive an amount, because it is too small for an account that holds
        /// nothing else; it went to the next in line.
        PaymentDiverted {
            /// Who should have received it.
            payee: T::AccountId,
            /// Who received it instead; none if nobody could and it was burnt, as dust is.
            instead: Option<T::AccountId>,
            /// How much, in base units.
            amount: Balance,
        },
        /// The market's parameters changed. Jobs submitted before keep theirs.
        ParametersSet {
            /// The new revision.
            revision: u32,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// Your free balance is too small for what has to be held: the escrow, stake or deposit.
        /// Add funds or ask for less.
        BalanceTooLow,
        /// The amount is larger than any balance can be. Use a smaller price, limit or amount.
        AmountTooLarge,

        /// The manifest cannot be read: check its encoding, the lengths of its lists, and that no
        /// bytes follow it.
        ManifestMalformed,
        /// The manifest's name, architecture and sources must be UTF-8 and not empty.
        ManifestTextInvalid,
        /// A file's path in the manifest must be UTF-8, relative and stay below the model's folder.
        ManifestPathInvalid,
        /// Two files in the manifest have the same path.
        ManifestPathTwice,
        /// A file in the manifest has size 0.
        ManifestFileEmpty,
        /// The manifest must name exactly one config file.
        ManifestConfigMissing,
        /// The manifest must name at least one weights file.
        ManifestWeightsMissing,
        /// The manifest must name exactly one tokenizer file.
        ManifestTokenizerMissing,
        /// The manifest's canonical version is unknown to this chain. Use version 1.
        ManifestVersionUnknown,
        /// The manifest's output limit must be at least 1 and at most its context.
        ManifestLimitsInvalid,
        /// The manifest's prices and its least fee must be above 0.
        ManifestPriceZero,
        /// The manifest's seat pay must be 10 to 100 percent.
        ManifestSeatPayInvalid,
        /// The model's longest job could not be replayed within 1,800 blocks. Shorten the context
        /// or raise the replay rate.
        ManifestReplayTooSlow,
        /// The worker's part of the model's least fee is below the existential deposit, so a worker
        /// might not be able to receive it. The model needs a higher least fee.
        MinFeeTooLow,
        /// A model with this manifest is registered already; use it.
        ModelExists,
        /// No model with this id is registered. Check the id, or register the model first.
        ModelUnknown,
        /// The model is retired and takes no new jobs or offers. Choose another, or register it
        /// again.
        ModelRetired,
        /// Only the account that registered the model can retire it.
        NotModelOwner,

        /// This account is registered as a worker already. Use bond_more to add stake.
        WorkerExists,
        /// This account is not a worker. Call register_worker first.
        NotAWorker,
        /// The stake is below the minimum. See minStake in the parameters.
        StakeBelowMinimum,
        /// The endpoint must be UTF-8.
        EndpointNotUtf8,
        /// The amount must be above 0.
        AmountZero,
        /// The worker is chilled already.
        AlreadyChilled,
        /// The worker takes jobs already.
        AlreadyActive,
        /// The worker is chilled and takes no new jobs. Call activate first.
        WorkerChilled,
        /// The worker has less bonded stake than that. Stake that is unbonding does not count.
        NotEnoughStake,
        /// What stays bonded must be nothing or at least the minimum stake.
        RemainderBelowMinimum,
        /// Too many parts of the stake are unbonding at a time. Withdraw some first.
        TooManyUnbondings,
        /// No stake has finished unbonding yet. See the worker's `unbonding` for when it will.
        NothingToWithdraw,
        /// The stake backs jobs that are not final yet. Withdraw when they are.
        StakeBacksJobs,
        /// Remove your offers before you withdraw the last of your stake.
        OffersRemain,

        /// The price is below the model's minimum.
        PriceBelowMinimum,
        /// An offer's capacity must be at least 1. To stop, use remove_offer or chill.
        CapacityZero,
        /// There is no such offer.
        OfferUnknown,

        /// The input is empty.
        InputEmpty,
        /// The input must be UTF-8 text.
        InputNotUtf8,
        /// The output limit must be at least 1.
        OutputLimitZero,
        /// The output limit is above the model's, or leaves no room for a prompt in its context.
        OutputLimitTooHigh,
        /// The escrow does not cover the worst case even at the model's minimum prices. Raise
        /// max_fee, or lower max_output or the input's length.
        EscrowTooSmall,
        /// A price cap is below the model's minimum price, so no worker could take the job.
        PriceCapTooLow,
        /// The temperature must be at most 100000 thousandths.
        TemperatureTooHigh,
        /// top_k must be 1 to 64.
        TopKOutOfRange,
        /// top_p_milli must be 1 to 1000.
        TopPOutOfRange,
        /// The block until which the job may be claimed has passed. It is a block number, not a
        /// number of blocks.
        ClaimDeadlinePassed,
        /// The job would stay open for too long. See maxOpenWindow in the parameters.
        ClaimDeadlineTooFar,
        /// The delivery window must be at least 1 block and at most maxDeliverWindow in the
        /// parameters.
        DeliverWindowOutOfRange,
        /// The account that the job is directed to is not a worker.
        DirectedToNoWorker,
        /// Fewer accounts offer the model than the job asks for as auditors.
        TooFewAuditors,

        /// No job with this number is kept. It was never submitted, or its retention is over.
        JobUnknown,
        /// The job is not open any more: another worker has claimed it.
        AlreadyClaimed,
        /// You have claimed this job already. Deliver its result.
        AlreadyClaimedByYou,
        /// The job's result has been delivered.
        AlreadyDelivered,
        /// The job is over.
        JobIsFinal,
        /// The time in which the job could be claimed or cancelled is over; it has expired.
        /// progress_job returns the escrow.
        ClaimWindowOver,
        /// For a few more blocks only the worker that the job names can claim it.
        DirectedToAnother,
        /// You were late with this job once and cannot claim it again.
        BarredFromJob,
        /// You do not offer this job's model. Call set_offer first.
        NoOffer,
        /// All of your offer's capacity is in use.
        AtCapacity,
        /// You have claimed as many jobs as a worker can. Deliver some first.
        TooManyClaims,
        /// Your offer's prices are above the requester's caps.
        PriceAboveCap,
        /// At your prices the job could cost more than its escrow.
        WorstCaseAboveEscrow,
        /// Your free stake does not cover the exposure. Add stake, or wait until jobs are final.
        FreeStakeTooSmall,

        /// Nobody has claimed this job.
        NotClaimed,
        /// Another worker has claimed this job.
        NotYourClaim,
        /// The time in which you could deliver is over.
        TooLate,
        /// The usage claims more input units than this job's input can have.
        InputUsageTooHigh,
        /// The usage claims more output units than the job's limit.
        OutputUsageTooHigh,
        /// The output is longer than the job's limit in bytes.
        OutputTooLong,
        /// The output must be UTF-8 text.
        OutputNotUtf8,
        /// The evidence is longer than the job's limit in bytes.
        EvidenceTooLong,
        /// The evidence must be token ids, each as a SCALE compact u32 in its shortest form.
        EvidenceMalformed,
        /// The evidence holds another number of token ids than the usage claims.
        EvidenceMismatch,
        /// Only the job's requester can do this.
        NotRequester,
        /// There is no result to accept yet.
        NothingToAccept,
        /// The job is claimed and cannot be cancelled. It is paid when delivered, or you are
        /// compensated when it is late.
        CannotCancelClaimed,
        /// Nothing is due for this job yet. See `until` of the job.
        NothingDue,

        /// Every window must be 1 to 15,768,000 blocks.
        ParameterWindowOutOfRange,
        /// A default window must not exceed its maximum.
        ParameterDefaultAboveMaximum,
        /// The unbonding period must exceed the longest delivery window and the review window
        /// together.
        ParameterUnbondingTooShort,
        /// The protocol's share must be below 100 %.
        ParameterProtocolShareTooHigh,
        /// The late share must be at most 100 %.
        ParameterLateShareTooHigh,
        /// The exposure factor must be at least 1.
        ParameterExposureFactorZero,
        /// The minimum stake must be above 0.
        ParameterMinStakeZero,

        /// The market's records contradict each other. This is a bug: please report it.
        Corrupted,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_idle(_: BlockNumberFor<T>, remaining: Weight) -> Weight {
            let mut meter = WeightMeter::with_limit(remaining);
            Self::run_agenda(&mut meter);
            meter.consumed()
        }

        fn integrity_test() {
            assert!(
                T::MaxUnbondingChunks::get() > 0,
                "MaxUnbondingChunks is 0: workers could never get their stake back"
            );
            assert!(
                T::MaxClaims::get() > 0,
                "MaxClaims is 0: workers could never claim a job"
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
        pub fn register_model(origin: OriginFor<T>, manifest: ManifestBytes) -> DispatchResult {
            let who = ensure_signed(origin)?;
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
            endpoint: Endpoint,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
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
        pub fn set_endpoint(origin: OriginFor<T>, endpoint: Endpoint) -> DispatchResult {
            let who = ensure_signed(origin)?;
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
        /// - `capacity`: how many jobs you run at a time under this offer.
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
        #[pallet::weight(T::WeightInfo::submit_job(input.len() as u32))]
        pub fn submit_job(
            origin: OriginFor<T>,
            model: ModelId,
            input: Input,
            max_output: u32,
            #[pallet::compact] max_fee: BalanceOf<T>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_submit(
                who,
                Request {
                    model,
                    input,
                    max_output,
                    max_fee,
                    options: JobOptions::default(),
                    conditions: JobConditions::default(),
                },
            )
        }

        /// Ask a model, with your own options and conditions.
        ///
        /// - `model`, `input`, `max_output`, `max_fee`: as for `submit_job`.
        /// - `options`: how the input is read and the output sampled.
        /// - `conditions`: price caps, deadlines, and who may take the job.
        #[pallet::call_index(12)]
        #[pallet::weight(T::WeightInfo::submit_job_with(input.len() as u32))]
        pub fn submit_job_with(
            origin: OriginFor<T>,
            model: ModelId,
            input: Input,
            max_output: u32,
            #[pallet::compact] max_fee: BalanceOf<T>,
            options: JobOptions,
            conditions: JobConditions<T::AccountId>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_submit(
                who,
                Request {
                    model,
                    input,
                    max_output,
                    max_fee,
                    options,
                    conditions,
                },
            )
        }

        /// Take an open job at the prices of your offer. Deliver its result in time, or you pay the
        /// requester out of your stake.
        #[pallet::call_index(13)]
        pub fn claim_job(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_claim(who, job)
        }

        /// Deliver the result of a job that you have claimed. Costs nothing if it is taken.
        ///
        /// - `output`: the output as the requester reads it: UTF-8.
        /// - `evidence`: the output's token ids, each as a SCALE compact u32.
        /// - `claim`: usage, fault if there was one, trace, version of the engine.
        #[pallet::call_index(14)]
        #[pallet::weight(T::WeightInfo::deliver(output.len() as u32, evidence.len() as u32))]
        pub fn deliver(
            origin: OriginFor<T>,
            job: JobId,
            output: Output,
            evidence: EvidenceBytes,
            claim: ResultClaim,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_deliver(who, job, output, evidence, claim)?;
            Ok(Pays::No.into())
        }

        /// Accept the result of your job: its worker is paid at once.
        #[pallet::call_index(15)]
        pub fn accept_result(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_accept(who, job)
        }

        /// Withdraw a job that nobody has claimed. All of its escrow is returned.
        #[pallet::call_index(16)]
        pub fn cancel_job(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_cancel(who, job)
        }

        /// Move on a job whose deadline is over. Anyone may; the outcome is the same for all.
        #[pallet::call_index(17)]
        pub fn progress_job(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_progress(job)
        }

        /// Change the market's parameters. Jobs submitted before keep theirs.
        #[pallet::call_index(18)]
        pub fn set_parameters(origin: OriginFor<T>, parameters: Parameters) -> DispatchResult {
            T::ParametersOrigin::ensure_origin(origin)?;
            Self::do_set_parameters(parameters)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// A job, until its record is dropped.
        pub fn job(job: JobId) -> Option<JobView<T::AccountId>> {
            Self::view_job(job)
        }

        /// A job's input, until the job is final.
        pub fn job_input(job: JobId) -> Option<Vec<u8>> {
            Inputs::<T>::get(job).map(Into::into)
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
        pub fn manifest(model: ModelId) -> Option<Vec<u8>> {
            Manifests::<T>::get(model).map(Into::into)
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
