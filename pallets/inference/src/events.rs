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
            /// The chance that it is audited; 0 if too few accounts could be drawn.
            audit_chance: Perbill,
            /// Last block before the draw; if there is none, last block in which the result can be
            /// looked at before it is paid.
            until: BlockNumber,
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
            /// The part that pays for audits, in base units.
            premium: Balance,
        },
        /// A requester accepted a result before the draw: it is paid if the draw misses it.
        ResultAccepted {
            /// The job.
            job: JobId,
        },
        /// The draw missed a result.
        AuditMissed {
            /// The job.
            job: JobId,
            /// Last block in which it can be looked at before it is paid.
            review_until: BlockNumber,
        },
        /// A result is checked by auditors.
        AuditBegun {
            /// The job.
            job: JobId,
            /// Whether somebody disputed it; else the draw hit it.
            disputed: bool,
            /// Last of the blocks that make the seed of the first round.
            draw_after: BlockNumber,
        },
        /// A round of an audit has its auditors.
        SeatsDrawn {
            /// The job.
            job: JobId,
            /// Number of the round, from 0.
            round: u8,
            /// Who was drawn and is there; each once, however many seats it has.
            auditors: Vec<T::AccountId>,
            /// Last block in which they can commit.
            commit_until: BlockNumber,
        },
        /// An auditor committed to a ballot.
        BallotCommitted {
            /// The job.
            job: JobId,
            /// Number of the round.
            round: u8,
            /// Who.
            auditor: T::AccountId,
        },
        /// All have committed, or the time is over: those who committed reveal.
        RevealBegun {
            /// The job.
            job: JobId,
            /// Last block in which they can reveal.
            until: BlockNumber,
        },
        /// An auditor revealed its ballot.
        BallotRevealed {
            /// The job.
            job: JobId,
            /// Number of the round.
            round: u8,
            /// Who.
            auditor: T::AccountId,
            /// What its replay gave.
            digest: H256,
            /// Whether it found the result right.
            valid: bool,
        },
        /// A round is over.
        RoundEnded {
            /// The job.
            job: JobId,
            /// Number of the round.
            round: u8,
            /// Whether the result is right; none without a verdict.
            valid: Option<bool>,
        },
        /// No round follows unless somebody appeals.
        AuditDecided {
            /// The job.
            job: JobId,
            /// Whether the result is right; none if no round had a verdict: it stands then.
            valid: Option<bool>,
            /// Last block in which an appeal is possible, or the present one after an appeal.
            until: BlockNumber,
        },
        /// Somebody wants a result to be checked, and put up a bond.
        ResultDisputed {
            /// The job.
            job: JobId,
            /// Who.
            disputer: T::AccountId,
            /// What is held for it, in base units.
            bond: Balance,
        },
        /// Somebody wants a full round to look at a result again, and put up a bond.
        VerdictAppealed {
            /// The job.
            job: JobId,
            /// Who.
            appellant: T::AccountId,
            /// What is held for it, in base units.
            bond: Balance,
            /// Last of the blocks that make the seed of the round.
            draw_after: BlockNumber,
        },
        /// A result was found wrong for good; its requester has everything back.
        JobRejected {
            /// The job.
            job: JobId,
            /// Who delivered it.
            worker: T::AccountId,
            /// The fee that it does not get, in base units.
            fee: Balance,
            /// What was returned to the requester, the prepaid delivery included, in base units.
            refund: Balance,
        },
        /// A disputer or an appellant got its bond back.
        BondReturned {
            /// Who.
            who: T::AccountId,
            /// How much, in base units.
            amount: Balance,
        },
        /// A disputer or an appellant lost its bond.
        BondLost {
            /// Who.
            who: T::AccountId,
            /// What pays the auditors, in base units.
            to_auditors: Balance,
            /// What went to the worker who was right, to the treasury, or back, in base units.
            rest: Balance,
        },
        /// An auditor was paid for its seats.
        AuditorPaid {
            /// The job.
            job: JobId,
            /// Who.
            auditor: T::AccountId,
            /// For how many seats.
            seats: u32,
            /// How much, in base units.
            amount: Balance,
        },
        /// An account is going to lose stake.
        SlashScheduled {
            /// The job.
            job: JobId,
            /// Who.
            who: T::AccountId,
            /// How much, in base units, as far as there is any then.
            amount: Balance,
            /// Last block in which it can be cancelled.
            after: BlockNumber,
        },
        /// A slash was cancelled by governance.
        SlashCancelled {
            /// The job.
            job: JobId,
            /// Who keeps its stake.
            who: T::AccountId,
        },
        /// An account lost stake.
        Slashed {
            /// The job.
            job: JobId,
            /// Who.
            who: T::AccountId,
            /// How much, in base units.
            amount: Balance,
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
