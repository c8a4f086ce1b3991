//! The connection to a node: one WebSocket that reconnects by itself.
//!
//! Only the classic RPC methods are used, which every node has. Nothing here
//! subscribes for long: a subscription that is lost with the connection would
//! have to be back-filled, a question can simply be asked again.

use crate::{
    error::{Error, Kind, Result},
    market::MarketError,
};
use genesisflow_primitives::H256;
use std::{sync::Arc, time::Duration};
use subxt::{
    backend::LegacyBackend,
    config::RpcConfigFor,
    error::{ExtrinsicError, RuntimeApiError},
    rpcs::{
        client::reconnecting_rpc_client::{ExponentialBackoff, RpcClient as ReconnectingClient},
        methods::legacy::LegacyRpcMethods,
        rpc_params, RpcClient,
    },
    OnlineClient, OnlineClientAtBlock, SubstrateConfig,
};

/// How long a command waits for a node that is not there, such as one that is
/// just starting.
const CONNECT_PATIENCE: Duration = Duration::from_secs(8);
const CONNECT_RETRY: Duration = Duration::from_millis(500);
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const FIRST_RECONNECT: u64 = 100;
const LONGEST_RECONNECT: Duration = Duration::from_secs(5);
/// How long the latest block may take: whoever watches the log should soon
/// hear that the node is gone.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// State at one block, as subxt hands it out.
pub type AtBlock = OnlineClientAtBlock<SubstrateConfig>;

/// The connection.
#[derive(Clone)]
pub struct Client {
    api: OnlineClient<SubstrateConfig>,
    rpc: Arc<LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>>,
    raw: RpcClient,
    url: String,
}

impl Client {
    /// Connects to the node at `url`.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] if nothing answers there within seconds,
    /// [`Kind::Usage`] if the address is none.
    pub async fn connect(url: &str) -> Result<Self> {
        if !url.starts_with("ws://") && !url.starts_with("wss://") {
            return Err(
                Error::new(Kind::Usage, format!("`{url}` is no WebSocket address")).fix(
                    "give --url an address such as ws://127.0.0.1:9944 or wss://node.example.org",
                ),
            );
        }
        first_contact(url).await?;
        let raw = ReconnectingClient::builder()
            .request_timeout(REQUEST_TIMEOUT)
            .retry_policy(
                ExponentialBackoff::from_millis(FIRST_RECONNECT).max_delay(LONGEST_RECONNECT),
            )
            .build(url);
        let raw = within(raw)
            .await
            .map_err(|cause| unreachable(url, cause))?
            .map_err(|error| unreachable(url, error))?;
        let raw = RpcClient::new(raw);
        let backend = LegacyBackend::builder().build(raw.clone());
        let api = within(OnlineClient::from_backend(Arc::new(backend)))
            .await
            .map_err(|cause| unreachable(url, cause))?
            .map_err(|error| unreachable(url, error))?;
        Ok(Self {
            api,
            rpc: Arc::new(LegacyRpcMethods::new(raw.clone())),
            raw,
            url: url.to_owned(),
        })
    }

    /// The node's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Hash of the chain's genesis block.
    pub fn genesis(&self) -> H256 {
        H256(self.api.genesis_hash().0)
    }

    /// The chain's name, as its node gives it.
    pub async fn chain_name(&self) -> Result<String> {
        ask(self.rpc.system_chain())
            .await
            .map_err(|cause| unreachable(&self.url, cause))
    }

    /// Whether this is a development or local test chain.
    pub async fn is_development(&self) -> Result<bool> {
        let kind: serde_json::Value = ask(self.raw.request("system_chainType", rpc_params![]))
            .await
            .map_err(|cause| unreachable(&self.url, cause))?;
        Ok(matches!(kind.as_str(), Some("Development" | "Local")))
    }

    /// Hash of the latest finalised block.
    pub async fn finalized_hash(&self) -> std::result::Result<H256, MarketError> {
        let question = self.rpc.chain_get_finalized_head();
        match tokio::time::timeout(HEAD_TIMEOUT, question).await {
            Ok(Ok(hash)) => Ok(H256(hash.0)),
            Ok(Err(error)) => Err(MarketError::Unavailable(error.to_string())),
            Err(_) => Err(MarketError::Unavailable(format!(
                "the node at {} is silent for {} s",
                self.url,
                HEAD_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Hash of the block with a number, on the chain that the node follows.
    pub async fn block_hash(&self, number: u32) -> Result<Option<H256>> {
        ask(self.rpc.chain_get_block_hash(Some(number.into())))
            .await
            .map(|hash| hash.map(|hash| H256(hash.0)))
            .map_err(|cause| unreachable(&self.url, cause))
    }

    /// State at the block with a hash.
    pub async fn at(&self, hash: H256) -> std::result::Result<AtBlock, MarketError> {
        within(self.api.at_block(subxt::utils::H256(hash.0)))
            .await
            .map_err(MarketError::Unavailable)?
            .map_err(|error| MarketError::Unavailable(error.to_string()))
    }

    /// Turns an error of the market into one for a person.
    pub fn give_up(&self, error: MarketError) -> Error {
        match error {
            MarketError::Fatal(error) => error,
            MarketError::Unavailable(cause) => Error::new(
                Kind::Unreachable,
                format!("the node at {} did not answer", self.url),
            )
            .because(cause)
            .fix("check that the node runs and is in sync, and try again"),
        }
    }

    /// The account's next nonce, transactions in the node's pool included.
    pub async fn next_nonce(&self, account: [u8; 32]) -> std::result::Result<u64, MarketError> {
        ask(self.rpc.system_account_next_index(&account.into()))
            .await
            .map_err(MarketError::Unavailable)
    }
}

/// Waits for `question`, but not for ever; errors become text.
pub async fn ask<T, E: std::fmt::Display>(
    question: impl std::future::Future<Output = std::result::Result<T, E>>,
) -> std::result::Result<T, String> {
    within(question).await?.map_err(|error| error.to_string())
}

/// Waits for `work`, but not for ever.
pub async fn within<T>(
    work: impl std::future::Future<Output = T>,
) -> std::result::Result<T, String> {
    // Longer than a request may take, because some work is several requests.
    tokio::time::timeout(2 * REQUEST_TIMEOUT, work)
        .await
        .map_err(|_| format!("no answer within {} s", 2 * REQUEST_TIMEOUT.as_secs()))
}

/// Tries a plain connection first: the reconnecting client would try for ever
/// and keep the reason to itself.
async fn first_contact(url: &str) -> Result<()> {
    let start = tokio::time::Instant::now();
    let mut said = false;
    loop {
        let attempt = tokio::time::timeout(CONNECT_PATIENCE, RpcClient::from_insecure_url(url));
        let cause = match attempt.await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", CONNECT_PATIENCE.as_secs()),
        };
        if start.elapsed() >= CONNECT_PATIENCE {
            return Err(unreachable(url, cause));
        }
        if !said {
            tracing::warn!("no node answers at {url}; trying again for some seconds");
            said = true;
        }
        tokio::time::sleep(CONNECT_RETRY).await;
    }
}

fn unreachable(url: &str, cause: impl std::fmt::Display) -> Error {
    // The layers below each put the same words in front.
    let cause = cause.to_string();
    let cause = cause.rsplit("client error: ").next().unwrap_or(&cause);
    Error::new(Kind::Unreachable, format!("cannot reach a node at {url}"))
        .because(cause)
        .fix("start a node (`genesisflow-node --dev` for a development chain), or give the address of one with --url")
}

/// Errors of a runtime API call: a changed interface cannot be cured by waiting.
impl From<RuntimeApiError> for MarketError {
    fn from(error: RuntimeApiError) -> Self {
        match &error {
            RuntimeApiError::IncompatibleCodegen
            | RuntimeApiError::TraitNotFound(_)
            | RuntimeApiError::MethodNotFound { .. }
            | RuntimeApiError::CouldNotEncodeInputs(_) => Self::Fatal(runtime_changed(&error)),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Errors of making or sending a transaction.
impl From<ExtrinsicError> for MarketError {
    fn from(error: ExtrinsicError) -> Self {
        match &error {
            ExtrinsicError::IncompatibleCodegen
            | ExtrinsicError::PalletNameNotFound(_)
            | ExtrinsicError::CallNameNotFound { .. }
            | ExtrinsicError::EncodeError(_)
            | ExtrinsicError::UnsupportedVersion
            | ExtrinsicError::Params(_) => Self::Fatal(runtime_changed(&error)),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// The error for an interface that is not the one this worker was built for.
pub fn runtime_changed(cause: impl std::fmt::Display) -> Error {
    Error::new(
        Kind::Runtime,
        "the chain's runtime does not match this worker any more",
    )
    .because(cause)
    .fix("use the worker release that belongs to the chain's new runtime; the journal is kept")
}
