//! Signing and sending: one queue per key, with its own nonce counter.
//!
//! The node's nonce counts what is in blocks, so two transactions in quick
//! succession would collide. Whoever sends holds the counter from signing until
//! the node has taken the transaction; after any doubt it is read again.

use super::{
    client::{within, AtBlock, Client},
    proxied,
};
use crate::{
    error::{Error, Kind},
    journal::SignedTx,
    key::Key,
    market::{BeforeSubmit, InFlight, MarketError, MarketResult, TxOutcome},
};
use futures::FutureExt;
use genesisflow_primitives::{BlockNumber, H256, SECONDS_PER_BLOCK};
use std::{sync::Arc, time::Duration};
use subxt::{
    client::OnlineClientAtBlockImpl,
    config::DefaultExtrinsicParamsBuilder,
    error::{TransactionEventsError, TransactionFinalizedSuccessError, TransactionProgressError},
    tx::{Payload, SubmittableTransaction, TransactionProgress},
    ArcMetadata, SubstrateConfig,
};
use tokio::sync::Mutex;

/// How long to watch a transaction before asking the state instead.
const WATCH: Duration = Duration::from_secs(60);
/// The node's answer to a transaction that it has already.
const ALREADY_IMPORTED: &str = "already imported";

type Sendable = SubmittableTransaction<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;
type Watched = TransactionProgress<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;

/// Signs and sends for one key.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    key: Key,
    /// The next nonce, if it is known.
    nonce: Arc<Mutex<Option<u64>>>,
}

impl Sender {
    /// A sender for `key` over `client`.
    pub fn new(client: Client, key: Key) -> Self {
        Self {
            client,
            key,
            nonce: Arc::new(Mutex::new(None)),
        }
    }

    /// The account that acts: the key's own, or the one it is a proxy of.
    pub fn account(&self) -> [u8; 32] {
        self.key.account()
    }

    /// A number that only the key's owner can know: see [`Key::derive`].
    pub fn secret(&self, purpose: &[u8]) -> H256 {
        self.key.derive(purpose)
    }

    /// The account that signs and pays fees.
    pub fn signer(&self) -> [u8; 32] {
        self.key.signer()
    }

    /// Signs `call` as of block `at`, valid for `lifetime` blocks (a power of
    /// two), shows it to `before_submit`, and submits it.
    ///
    /// # Errors
    /// What `before_submit` says, or that the node did not take it.
    pub async fn send<C: Payload>(
        &self,
        at: &AtBlock,
        call: &C,
        lifetime: BlockNumber,
        before_submit: BeforeSubmit<'_>,
    ) -> MarketResult<InFlight> {
        let mut counter = self.nonce.lock().await;
        // Whatever goes wrong below, the counter is read anew afterwards.
        let nonce = match counter.take() {
            Some(nonce) => nonce,
            None => self.client.next_nonce(self.signer()).await?,
        };
        let (sendable, tx) = self.sign(at, call, nonce, lifetime)?;
        before_submit(&tx)?;
        let progress = within(sendable.submit_and_watch())
            .await
            .map_err(MarketError::Unavailable)??;
        *counter = Some(nonce + 1);
        drop(counter);
        Ok(self.watch(progress, at.metadata()))
    }

    /// Submits signed bytes again.
    ///
    /// # Errors
    /// That the node cannot be asked. If it does not take them, the returned
    /// fate is unknown: they may be in a block already.
    pub async fn send_again(&self, at: &AtBlock, tx: &SignedTx) -> MarketResult<InFlight> {
        let sendable: Sendable = at.transactions().from_bytes(tx.bytes.clone());
        let refused = match within(sendable.submit_and_watch()).await {
            Ok(Ok(progress)) => return Ok(self.watch(progress, at.metadata())),
            Ok(Err(error)) => error.to_string(),
            Err(timeout) => timeout,
        };
        if !refused.to_lowercase().contains(ALREADY_IMPORTED) {
            *self.nonce.lock().await = None;
        }
        let block = Duration::from_secs(SECONDS_PER_BLOCK.into());
        Ok(async move {
            tokio::time::sleep(block).await;
            TxOutcome::Unknown { reason: refused }
        }
        .boxed())
    }

    fn sign<C: Payload>(
        &self,
        at: &AtBlock,
        call: &C,
        nonce: u64,
        lifetime: BlockNumber,
    ) -> MarketResult<(Sendable, SignedTx)> {
        let parameters = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
            .nonce(nonce)
            .mortal_from_unchecked(lifetime.into(), at.block_number(), at.block_hash())
            .build();
        let transactions = at.transactions();
        let pair = self.key.pair();
        let sendable = match self.key.proxied() {
            None => transactions
                .create_signable_offline(call, parameters)?
                .sign(pair)?,
            Some(real) => {
                let wrapped = proxied::wrap(at, real, call)?;
                transactions
                    .create_signable_offline(&wrapped, parameters)?
                    .sign(pair)?
            }
        };
        let valid_until = at.block_number().saturating_add(lifetime.into());
        let tx = SignedTx {
            bytes: sendable.encoded().to_vec(),
            nonce,
            valid_until: BlockNumber::try_from(valid_until).unwrap_or(BlockNumber::MAX),
        };
        Ok((sendable, tx))
    }

    /// Follows a transaction until it is finalised or its fate is unknown.
    fn watch(&self, progress: Watched, metadata: ArcMetadata) -> InFlight {
        let nonce = self.nonce.clone();
        async move {
            let outcome = match tokio::time::timeout(WATCH, fate(progress, metadata)).await {
                Ok(outcome) => outcome,
                Err(_) => unknown(format!("not finalised within {} s", WATCH.as_secs())),
            };
            if matches!(outcome, TxOutcome::Unknown { .. }) {
                *nonce.lock().await = None;
            }
            outcome
        }
        .boxed()
    }
}

async fn fate(progress: Watched, metadata: ArcMetadata) -> TxOutcome {
    match progress.wait_for_finalized_success().await {
        Ok(events) => match proxied::failure(&events, metadata, dispatch_error) {
            None => TxOutcome::Succeeded,
            Some(error) => TxOutcome::Failed { error },
        },
        Err(TransactionFinalizedSuccessError::SuccessError(
            TransactionEventsError::ExtrinsicFailed(error),
        )) => TxOutcome::Failed {
            error: dispatch_error(&error),
        },
        Err(TransactionFinalizedSuccessError::FinalizationError(error)) => unknown(status(&error)),
        Err(error) => unknown(error.to_string()),
    }
}

fn status(error: &TransactionProgressError) -> String {
    match error {
        TransactionProgressError::TransactionStatusError(status) => status.to_string(),
        error => error.to_string(),
    }
}

fn unknown(reason: String) -> TxOutcome {
    TxOutcome::Unknown { reason }
}

/// A dispatch error with the sentence that the pallet has for it.
fn dispatch_error(error: &subxt::error::DispatchError) -> String {
    let subxt::error::DispatchError::Module(module) = error else {
        return error.to_string();
    };
    match module.details() {
        Ok(details) => format!(
            "{}: {}",
            details.variant.name,
            details.variant.docs.join(" ").trim()
        ),
        Err(_) => module.details_string(),
    }
}

/// What to do about a refusal.
fn cure(error: &str) -> &'static str {
    if error.starts_with("NotProxy") {
        "name this key's account with `genesisflow-worker proxy ACCOUNT`, signed by the owner's key"
    } else if error.starts_with("CallFiltered") {
        "a proxy may not do this: run it with the owner's key and without --proxy-for"
    } else {
        "look at `genesisflow-worker doctor` and `status`, which say how the account stands"
    }
}

/// The error for a command whose transaction did not succeed.
pub fn refused(what: &str, outcome: TxOutcome) -> Option<Error> {
    match outcome {
        TxOutcome::Succeeded => None,
        TxOutcome::Failed { error } => {
            let cure = cure(&error);
            let refused = format!("the chain refused to {what}");
            Some(
                Error::new(Kind::Transaction, refused)
                    .because(error)
                    .fix(cure),
            )
        }
        TxOutcome::Unknown { reason } => Some(
            Error::new(
                Kind::Transaction,
                format!("it is not known whether the request to {what} succeeded"),
            )
            .because(reason)
            .fix("run the same command again: what is done already is left alone"),
        ),
    }
}
