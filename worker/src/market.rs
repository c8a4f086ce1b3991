//! What the worker needs of a chain, as a trait.
//!
//! The job loop and the recovery know the market only through [`Market`]. The
//! real one is [`crate::chain`]; the tests use one in memory that loses
//! transactions, drops connections and lets the worker be killed at any step.

use crate::{
    error::Error,
    journal::{Delivery, Head, SignedTx},
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use genesisflow_primitives::{
    audit::Ballot,
    views::{
        AuditView, ClaimView, JobSummary, JobView, OfferView, ResultView, SeatView, WorkerView,
    },
    Balance, JobId, ModelId, H256,
};

/// An account id, as it is encoded.
pub type AccountId = [u8; 32];

/// Why the market could not answer.
#[derive(Debug)]
pub enum MarketError {
    /// The connection failed or timed out: try again later.
    Unavailable(String),
    /// Trying again would not help.
    Fatal(Error),
}

impl std::fmt::Display for MarketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(cause) => write!(f, "the chain does not answer: {cause}"),
            Self::Fatal(error) => error.fmt(f),
        }
    }
}

impl From<Error> for MarketError {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// Result of asking the market.
pub type MarketResult<T> = Result<T, MarketError>;

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxOutcome {
    /// It is in a finalised block and succeeded.
    Succeeded,
    /// It is in a finalised block and the chain refused it.
    Failed {
        /// Name of the pallet's error, such as `NotOpen`.
        error: String,
    },
    /// It may be included yet, or never: the chain's state tells.
    Unknown {
        /// Why it is not known.
        reason: String,
    },
}

/// Called with a signed transaction before it is submitted.
///
/// An error keeps it from being submitted: the journal comes first.
pub type BeforeSubmit<'a> = &'a mut (dyn FnMut(&SignedTx) -> Result<(), Error> + Send);

/// A transaction that the node has taken: resolves once its fate is known, or
/// known to be unknowable.
pub type InFlight = BoxFuture<'static, TxOutcome>;

/// A chain, with the account that this worker signs for.
#[async_trait]
pub trait Market: Send + Sync + 'static {
    /// State at one block.
    type View: View;

    /// The state at the latest finalised block.
    async fn finalized(&self) -> MarketResult<Self::View>;

    /// Hash of the chain's genesis block.
    fn genesis(&self) -> H256;

    /// The account that signs.
    fn account(&self) -> AccountId;

    /// A number that only the signing key's owner can know; always the same
    /// for the same `purpose`.
    fn secret(&self, purpose: &[u8]) -> H256;

    /// Signs a claim, shows it to `before_submit` and submits it.
    async fn claim(&self, job: JobId, before_submit: BeforeSubmit<'_>) -> MarketResult<InFlight>;

    /// Signs a delivery, shows it to `before_submit` and submits it.
    async fn deliver(
        &self,
        job: JobId,
        delivery: &Delivery,
        before_submit: BeforeSubmit<'_>,
    ) -> MarketResult<InFlight>;

    /// Commits to a ballot. Costs nothing if it is taken, and is not taken
    /// twice: the node refuses it unless a seat waits for it.
    async fn commit(&self, job: JobId, commitment: H256) -> MarketResult<InFlight>;

    /// Reveals a ballot; as [`Market::commit`] otherwise.
    async fn reveal(&self, job: JobId, ballot: Ballot, salt: H256) -> MarketResult<InFlight>;

    /// Signs an appeal against what auditors decided, shows it to
    /// `before_submit` and submits it.
    async fn appeal(&self, job: JobId, before_submit: BeforeSubmit<'_>) -> MarketResult<InFlight>;

    /// Signs a dispute of a result that is not paid yet, shows it to
    /// `before_submit` and submits it.
    async fn dispute(&self, job: JobId, before_submit: BeforeSubmit<'_>) -> MarketResult<InFlight>;

    /// Moves on a job whose deadline is over. Costs nothing if something was
    /// due.
    async fn progress(&self, job: JobId) -> MarketResult<InFlight>;

    /// Submits a transaction again, byte for byte. Safe at any time: its nonce
    /// can be used once.
    async fn resubmit(&self, tx: &SignedTx) -> MarketResult<InFlight>;
}

/// The market's state at one finalised block.
#[async_trait]
pub trait View: Send + Sync + 'static {
    /// The block.
    fn head(&self) -> Head;

    /// The account's next nonce.
    async fn nonce(&self) -> MarketResult<u64>;

    /// The number that the next job will get; all before it have been given.
    async fn next_job(&self) -> MarketResult<JobId>;

    /// A job; `None` if there never was one or its record was pruned.
    async fn job(&self, job: JobId) -> MarketResult<Option<JobView<AccountId>>>;

    /// A job's input, until the job is final.
    async fn job_input(&self, job: JobId) -> MarketResult<Option<Vec<u8>>>;

    /// The jobs on `model` that are open, by id.
    async fn open_jobs(&self, model: ModelId) -> MarketResult<Vec<JobSummary<AccountId>>>;

    /// The jobs that the account has claimed and not delivered.
    async fn claims(&self) -> MarketResult<Vec<ClaimView>>;

    /// The account as a worker.
    async fn worker(&self) -> MarketResult<Option<WorkerView>>;

    /// The account's offer of `model`.
    async fn offer(&self, model: ModelId) -> MarketResult<Option<OfferView<AccountId>>>;

    /// The account's seats in audits, by job.
    async fn seats(&self) -> MarketResult<Vec<SeatView<AccountId>>>;

    /// A job's audit, if there is one.
    async fn audit(&self, job: JobId) -> MarketResult<Option<AuditView<AccountId>>>;

    /// What was delivered for a job.
    async fn result(&self, job: JobId) -> MarketResult<Option<ResultView<AccountId>>>;

    /// What the account can spend, in base units.
    async fn free_balance(&self) -> MarketResult<Balance>;
}
