//! A GenesisFlow chain behind a node's RPC.

pub mod client;
pub mod metadata;
mod proxied;
pub mod read;
pub mod tx;

pub use client::Client;
pub use read::ChainView;

use crate::{
    error::{Error, Kind, Result},
    journal::{Delivery, SignedTx},
    key::Key,
    market::{AccountId, BeforeSubmit, InFlight, Market, MarketError, MarketResult},
};
use async_trait::async_trait;
use client::AtBlock;
use genesisflow_primitives::{audit::Ballot, BlockNumber, JobId, H256};
use metadata::runtime;
use std::sync::{Arc, Mutex};
use subxt::tx::Payload;
use tx::Sender;

/// Blocks for which a claim, an appeal or a step may be included: soon it is
/// somebody else's, or too late.
const SHORT_LIFETIME: BlockNumber = 16;
/// Blocks for which any other transaction may be included.
const LIFETIME: BlockNumber = 64;

/// The chain, with the account that this worker signs for.
#[derive(Clone)]
pub struct Chain {
    client: Client,
    sender: Sender,
    /// The view of the latest finalised block, so that looking twice at the
    /// same block costs one request.
    latest: Arc<Mutex<Option<ChainView>>>,
    /// The spec version whose interface was checked.
    checked: Arc<Mutex<Option<u32>>>,
}

impl Chain {
    /// Connects to the node at `url` for `key`, and makes sure that its runtime
    /// is the one this worker was built for.
    ///
    /// # Errors
    /// [`Kind::Unreachable`], [`Kind::Runtime`], or [`Kind::Key`] for a
    /// development key on a real chain.
    pub async fn connect(url: &str, key: Key) -> Result<Self> {
        let client = Client::connect(url).await?;
        if let Some(name) = key.dev_name() {
            refuse_dev_key_on_real_chain(&client, name).await?;
        }
        let chain = Self {
            sender: Sender::new(client.clone(), key),
            client,
            latest: Arc::default(),
            checked: Arc::default(),
        };
        chain.view().await?;
        Ok(chain)
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The state at the latest finalised block, for commands that do not try
    /// again.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] or [`Kind::Runtime`].
    pub async fn view(&self) -> Result<ChainView> {
        self.finalized().await.map_err(|error| self.give_up(error))
    }

    /// Sends a call and waits until it is finalised.
    ///
    /// # Errors
    /// [`Kind::Transaction`] with the pallet's own words, or
    /// [`Kind::Account`] if the account cannot pay the fee.
    pub async fn execute<C: Payload>(&self, what: &str, call: &C) -> Result<()> {
        let at = self.view().await?.at().clone();
        let sent = self.sender.send(&at, call, LIFETIME, &mut |_| Ok(())).await;
        let in_flight = match sent {
            Ok(in_flight) => in_flight,
            Err(MarketError::Unavailable(cause)) => return Err(not_taken(what, &cause)),
            Err(error) => return Err(self.give_up(error)),
        };
        match tx::refused(what, in_flight.await) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Turns an error of the market into one for a person.
    pub fn give_up(&self, error: MarketError) -> Error {
        self.client.give_up(error)
    }

    /// The account that signs and pays fees: the worker's own, or its proxy.
    pub fn signer(&self) -> AccountId {
        self.sender.signer()
    }

    async fn send<C: Payload>(
        &self,
        call: &C,
        lifetime: BlockNumber,
        before_submit: BeforeSubmit<'_>,
    ) -> MarketResult<InFlight> {
        let at = self.finalized().await?.at().clone();
        self.sender.send(&at, call, lifetime, before_submit).await
    }

    /// Checks the runtime's interface whenever its version is a new one.
    fn check_runtime(&self, at: &AtBlock) -> Result<()> {
        let mut checked = self.checked.lock().unwrap_or_else(|e| e.into_inner());
        if *checked == Some(at.spec_version()) {
            return Ok(());
        }
        metadata::check(at)?;
        if let Some(before) = *checked {
            tracing::info!(
                "the runtime was upgraded from spec version {before} to {}; this worker still matches it",
                at.spec_version()
            );
        }
        *checked = Some(at.spec_version());
        Ok(())
    }
}

#[async_trait]
impl Market for Chain {
    type View = ChainView;

    async fn finalized(&self) -> MarketResult<ChainView> {
        let hash = self.client.finalized_hash().await?;
        let known = {
            let latest = self.latest.lock().unwrap_or_else(|e| e.into_inner());
            latest
                .clone()
                .filter(|view| view.at().block_hash().0 == hash.0)
        };
        if let Some(view) = known {
            return Ok(view);
        }
        let at = self.client.at(hash).await?;
        self.check_runtime(&at)?;
        let view = ChainView::new(at, self.account()).signed_by(self.signer());
        *self.latest.lock().unwrap_or_else(|e| e.into_inner()) = Some(view.clone());
        Ok(view)
    }

    fn genesis(&self) -> H256 {
        self.client.genesis()
    }

    fn account(&self) -> AccountId {
        self.sender.account()
    }

    fn secret(&self, purpose: &[u8]) -> H256 {
        self.sender.secret(purpose)
    }

    async fn claim(&self, job: JobId, before_submit: BeforeSubmit<'_>) -> MarketResult<InFlight> {
        let call = calls().claim_job(job);
        self.send(&call, SHORT_LIFETIME, before_submit).await
    }

    async fn deliver(
        &self,
        job: JobId,
        delivery: &Delivery,
        before_submit: BeforeSubmit<'_>,
    ) -> MarketResult<InFlight> {
        let call = calls().deliver(
            job,
            delivery.output.clone(),
            delivery.evidence.clone(),
            delivery.claim.into(),
        );
        self.send(&call, LIFETIME, before_submit).await
    }

    async fn commit(&self, job: JobId, commitment: H256) -> MarketResult<InFlight> {
        let call = calls().commit_ballot(job, commitment);
        self.send(&call, LIFETIME, &mut |_| Ok(())).await
    }

    async fn reveal(&self, job: JobId, ballot: Ballot, salt: H256) -> MarketResult<InFlight> {
        let call = calls().reveal_ballot(job, ballot.digest, ballot.valid, salt);
        self.send(&call, LIFETIME, &mut |_| Ok(())).await
    }

    async fn appeal(&self, job: JobId, before_submit: BeforeSubmit<'_>) -> MarketResult<InFlight> {
        let call = calls().appeal_verdict(job);
        self.send(&call, SHORT_LIFETIME, before_submit).await
    }

    async fn dispute(&self, job: JobId, before_submit: BeforeSubmit<'_>) -> MarketResult<InFlight> {
        let call = calls().dispute_result(job);
        self.send(&call, SHORT_LIFETIME, before_submit).await
    }

    async fn progress(&self, job: JobId) -> MarketResult<InFlight> {
        let call = calls().progress_job(job);
        self.send(&call, SHORT_LIFETIME, &mut |_| Ok(())).await
    }

    async fn resubmit(&self, tx: &SignedTx) -> MarketResult<InFlight> {
        let at = self.finalized().await?.at().clone();
        self.sender.send_again(&at, tx).await
    }
}

fn calls() -> runtime::inference::calls::api::TransactionApi {
    runtime::transactions().inference()
}

/// The market at the latest finalised block, for who only reads it.
///
/// # Errors
/// [`Kind::Unreachable`] or [`Kind::Runtime`].
pub async fn read_only(url: &str) -> Result<(Client, ChainView)> {
    let client = Client::connect(url).await?;
    let hash = client
        .finalized_hash()
        .await
        .map_err(|error| client.give_up(error))?;
    let at = client
        .at(hash)
        .await
        .map_err(|error| client.give_up(error))?;
    metadata::check(&at)?;
    // Whatever belongs to an account is not asked for.
    let view = ChainView::new(at, [0; 32]);
    Ok((client, view))
}

async fn refuse_dev_key_on_real_chain(client: &Client, name: &str) -> Result<()> {
    if client.is_development().await? {
        return Ok(());
    }
    Err(Error::new(
        Kind::Key,
        format!(
            "the development key {name} is publicly known and not accepted on the chain {}",
            client.chain_name().await?
        ),
    )
    .fix("use a key of your own with --key-file"))
}

fn not_taken(what: &str, cause: &str) -> Error {
    // The pool's word for an account that cannot pay for inclusion.
    if cause.contains("Inability to pay some fees") {
        return Error::new(
            Kind::Account,
            format!("the account cannot pay the transaction fee to {what}"),
        )
        .fix("send some GEN to the account shown by `status`");
    }
    Error::new(
        Kind::Transaction,
        format!("the node did not take the request to {what}"),
    )
    .because(cause)
    .fix("run the same command again: what is done already is left alone")
}
