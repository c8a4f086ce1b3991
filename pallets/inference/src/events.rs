//! The pallet's events.

use frame_support::pallet_macros::pallet_section;

/// Joins the pallet module in `lib.rs`.
#[pallet_section]
mod events {
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
}
