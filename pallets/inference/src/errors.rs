//! The pallet's errors. Each sentence is shown to the person whose call failed: it says what was wrong
//! and what to do.

use frame_support::pallet_macros::pallet_section;

/// Joins the pallet module in `lib.rs`.
#[pallet_section]
mod errors {
    #[pallet::error]
    pub enum Error<T> {
        /// Your free balance is too small for what has to be held: the escrow, stake or deposit.
        /// Add funds or ask for less.
        BalanceTooLow,
        /// The amount is larger than any balance can be. Use a smaller price, limit or amount.
        AmountTooLarge,

        /// The manifest is longer than 16,384 bytes: name fewer files or sources.
        ManifestTooLong,
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
        /// The endpoint is longer than 256 bytes.
        EndpointTooLong,
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
        /// An offer's capacity is above MaxCapacity. Offer less.
        CapacityTooHigh,
        /// There is no such offer.
        OfferUnknown,

        /// The input is longer than 16,384 bytes: shorten it, or split the job.
        InputTooLong,
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
        /// You have accepted this result already. It is paid once the draw has missed it.
        AlreadyAccepted,
        /// A step of this job's audit is overdue: call `progress_job` first.
        ProgressFirst,

        /// There is no result to dispute yet.
        NothingToDispute,
        /// The blocks that decide whether this result is audited are still to come. Wait for the
        /// review, or for the audit.
        DrawPending,
        /// Auditors are checking this result.
        UnderAudit,
        /// The time in which the result could be disputed is over.
        TooLateToDispute,
        /// You cannot dispute your own result.
        OwnResult,
        /// Fewer than two accounts of the job's audit pool could be drawn.
        NoAuditors,
        /// No audit of this job takes ballots.
        NotUnderAudit,
        /// You have no seat in the present round of this job's audit.
        NoSeat,
        /// The round takes no commitments: its seats are not drawn yet, or the time is over.
        NotCommitting,
        /// You have committed in this round already.
        AlreadyCommitted,
        /// The round takes no reveals: commitments are still to come, or the time is over.
        NotRevealing,
        /// You have committed to nothing in this round.
        NothingCommitted,
        /// You have revealed in this round already.
        AlreadyRevealed,
        /// Digest, verdict and salt are not those that you committed to.
        CommitmentDiffers,
        /// There is no verdict on this job that could be appealed against.
        NothingToAppeal,
        /// The time in which the verdict could be appealed against is over.
        TooLateToAppeal,
        /// There has been an appeal on this job.
        AlreadyAppealed,
        /// Only the job's worker, requester and disputer can appeal, and auditors who were outvoted.
        NoStandingToAppeal,
        /// No slash of this account waits on this job.
        NoSlash,
        /// You have open seats in audits. Act on them first; they end with their round.
        SeatsOpen,

        /// Every window must be 1 to 15,768,000 blocks.
        ParameterWindowOutOfRange,
        /// A default window must not exceed its maximum.
        ParameterDefaultAboveMaximum,
        /// The unbonding period must exceed the longest way from a submission to a slash.
        ParameterUnbondingTooShort,
        /// The protocol's share must be below 100 %.
        ParameterProtocolShareTooHigh,
        /// The late share must be at most 100 %.
        ParameterLateShareTooHigh,
        /// The exposure factor must be at least 1.
        ParameterExposureFactorZero,
        /// The minimum stake must be above 0.
        ParameterMinStakeZero,
        /// A seed must be made of 1 to 64 blocks.
        ParameterSeedBlocksOutOfRange,
        /// Seats must be odd numbers of at least 3 and at most 31, those of a later round not fewer.
        ParameterSeatsUnsound,
        /// The least chance of an audit must be above 0 and at most 100 %, its factor above 1,000.
        ParameterAuditChanceUnsound,
        /// The premium's cap must be above 0, and with the protocol's share at most 90 %; its
        /// percentage must be 100 to 1,000.
        ParameterPremiumCapUnsound,
        /// The share and the floor of bonds must be above 0, the share at most 100 %.
        ParameterBondUnsound,
        /// The fine of a silent seat and its limit must be above 0, the fine below that of a wrong
        /// seat, which must be below 100 %.
        ParameterFinesUnsound,

        /// The market's records contradict each other. This is a bug: please report it.
        Corrupted,
    }
}
