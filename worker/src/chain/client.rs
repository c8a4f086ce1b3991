//! The connection to a node: one WebSocket that reconnects by itself, to
//! another node if there are several and this one falls silent.
//!
//! Only the classic RPC methods are used, which every node has. Nothing here
//! subscribes for long: a subscription that is lost with the connection would
//! have to be back-filled, a question can simply be asked again.

use crate::{
    error::{Error, Kind, Result},
    market::MarketError,
};
use genesisflow_primitives::H256;
use std::{
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc, PoisonError, RwLock,
    },
    time::Duration,
};
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
/// How long another node may take to answer when one has fallen silent.
const SWITCH_PATIENCE: Duration = Duration::from_secs(3);
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

/// How often in a row a node may not say which block is the latest, before
/// another one is asked.
const PATIENT_FAILURES: u32 = 2;

/// The connection. Clones share it.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    urls: Vec<String>,
    genesis: H256,
    current: RwLock<Connection>,
    /// Failures in a row of the present node.
    failures: AtomicU32,
    /// Held while another node is looked for.
    switching: tokio::sync::Mutex<()>,
}

/// A connection to one node.
#[derive(Clone)]
struct Connection {
    /// Which of the addresses it is.
    index: usize,
    api: OnlineClient<SubstrateConfig>,
    rpc: Arc<LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>>,
    raw: RpcClient,
}

impl Client {
    /// Connects to the node at `url`; or, if that has several addresses with
    /// commas between, to the first that answers.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] if nothing answers there within seconds,
    /// [`Kind::Usage`] if an address is none.
    pub async fn connect(url: &str) -> Result<Self> {
        let urls: Vec<String> = url.split(',').map(|url| url.trim().to_owned()).collect();
        for url in &urls {
            require_web_socket(url)?;
        }
        let mut refused = None;
        for index in 0..urls.len() {
            match Connection::open(&urls, index, CONNECT_PATIENCE).await {
                Ok(connection) => {
                    return Ok(Self(Arc::new(Shared {
                        genesis: H256(connection.api.genesis_hash().0),
                        urls,
                        current: RwLock::new(connection),
                        failures: AtomicU32::new(0),
                        switching: tokio::sync::Mutex::new(()),
                    })))
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(|| unreachable(url, "no address was given")))
    }

    /// The address of the node that is asked at present.
    pub fn url(&self) -> &str {
        let index = self.connection().index;
        self.0.urls.get(index).map_or("", String::as_str)
    }

    /// Hash of the chain's genesis block.
    pub fn genesis(&self) -> H256 {
        self.0.genesis
    }

    /// The chain's name, as its node gives it.
    pub async fn chain_name(&self) -> Result<String> {
        ask(self.connection().rpc.system_chain())
            .await
            .map_err(|cause| unreachable(self.url(), cause))
    }

    /// Whether this is a development or local test chain.
    pub async fn is_development(&self) -> Result<bool> {
        let raw = self.connection().raw;
        let kind: serde_json::Value = ask(raw.request("system_chainType", rpc_params![]))
            .await
            .map_err(|cause| unreachable(self.url(), cause))?;
        Ok(matches!(kind.as_str(), Some("Development" | "Local")))
    }

    /// Hash of the latest finalised block. If the node does not say it some
    /// times in a row, another one is asked from then on.
    pub async fn finalized_hash(&self) -> std::result::Result<H256, MarketError> {
        let connection = self.connection();
        let question = connection.rpc.chain_get_finalized_head();
        let cause = match tokio::time::timeout(HEAD_TIMEOUT, question).await {
            Ok(Ok(hash)) => {
                self.0.failures.store(0, Ordering::Relaxed);
                return Ok(H256(hash.0));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "the node at {} is silent for {} s",
                self.url(),
                HEAD_TIMEOUT.as_secs()
            ),
        };
        let failures = self.0.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= PATIENT_FAILURES {
            self.switch(connection.index).await;
        }
        Err(MarketError::Unavailable(cause))
    }

    /// Hash of the block with a number, on the chain that the node follows.
    pub async fn block_hash(&self, number: u32) -> Result<Option<H256>> {
        let rpc = self.connection().rpc;
        ask(rpc.chain_get_block_hash(Some(number.into())))
            .await
            .map(|hash| hash.map(|hash| H256(hash.0)))
            .map_err(|cause| unreachable(self.url(), cause))
    }

    /// State at the block with a hash.
    pub async fn at(&self, hash: H256) -> std::result::Result<AtBlock, MarketError> {
        within(self.connection().api.at_block(subxt::utils::H256(hash.0)))
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
                format!("the node at {} did not answer", self.url()),
            )
            .because(cause)
            .fix("check that the node runs and is in sync, and try again"),
        }
    }

    /// The account's next nonce, transactions in the node's pool included.
    pub async fn next_nonce(&self, account: [u8; 32]) -> std::result::Result<u64, MarketError> {
        ask(self
            .connection()
            .rpc
            .system_account_next_index(&account.into()))
        .await
        .map_err(MarketError::Unavailable)
    }

    fn connection(&self) -> Connection {
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes over to the next node that answers and has the same chain, away
    /// from the one at `from`. Stays if there is none.
    async fn switch(&self, from: usize) {
        let count = self.0.urls.len();
        if count < 2 {
            return;
        }
        let _alone = self.0.switching.lock().await;
        if self.connection().index != from {
            return;
        }
        for step in 1..count {
            let index = (from + step) % count;
            let url = &self.0.urls[index];
            let opened = Connection::open(&self.0.urls, index, SWITCH_PATIENCE).await;
            match opened {
                Ok(connection) if connection.api.genesis_hash().0 == self.0.genesis.0 => {
                    tracing::warn!(
                        "the node at {} is silent; going over to {url}",
                        self.0.urls[from]
                    );
                    let current = self.0.current.write();
                    *current.unwrap_or_else(PoisonError::into_inner) = connection;
                    self.0.failures.store(0, Ordering::Relaxed);
                    return;
                }
                Ok(_) => tracing::error!("the node at {url} has another chain: not used"),
                Err(error) => tracing::debug!("not going over to {url}: {error}"),
            }
        }
    }
}

impl Connection {
    /// Connects to one of `urls`.
    async fn open(urls: &[String], index: usize, patience: Duration) -> Result<Self> {
        let url = urls.get(index).map_or("", String::as_str);
        first_contact(url, patience).await?;
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
            index,
            api,
            rpc: Arc::new(LegacyRpcMethods::new(raw.clone())),
            raw,
        })
    }
}

fn require_web_socket(url: &str) -> Result<()> {
    if url.starts_with("ws://") || url.starts_with("wss://") {
        return Ok(());
    }
    Err(
        Error::new(Kind::Usage, format!("`{url}` is no WebSocket address")).fix(
            "give --url an address such as ws://127.0.0.1:9944 or wss://node.example.org, or several with commas between",
        ),
    )
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
async fn first_contact(url: &str, patience: Duration) -> Result<()> {
    let start = tokio::time::Instant::now();
    let mut said = false;
    loop {
        let attempt = tokio::time::timeout(patience, RpcClient::from_insecure_url(url));
        let cause = match attempt.await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", patience.as_secs()),
        };
        if start.elapsed() >= patience {
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
