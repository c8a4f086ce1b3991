//! The node's RPC: one connection for questions and new blocks, several for transactions.

use crate::sign::Signed;
use anyhow::{Context, Result};
use serde::{de::DeserializeOwned, Deserialize};
use std::{sync::Arc, time::Duration};
use subxt::ext::jsonrpsee::{
    core::{
        client::{ClientT, Subscription, SubscriptionClientT},
        params::{ArrayParams, BatchRequestBuilder},
    },
    rpc_params,
    ws_client::{WsClient, WsClientBuilder},
};
use tokio::{
    sync::mpsc,
    time::{sleep, Instant},
};

/// Largest answer: a full block as text, and some room.
const MAX_MESSAGE: u32 = 64 * 1024 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a node may take to open its WebSocket.
const START: Duration = Duration::from_secs(30);
/// Keys asked for at a time.
const PAGE: u32 = 1_000;
/// Batches that one connection works on at a time: the node decodes one while it checks another.
const BATCHES: usize = 2;

/// The connection for questions.
#[derive(Clone)]
pub struct Rpc {
    client: Arc<WsClient>,
}

/// A new best block, as the node announces it.
#[derive(Deserialize)]
pub struct Head {
    number: String,
}

impl Head {
    /// Its height.
    ///
    /// # Errors
    /// If the node's text is no number.
    pub fn number(&self) -> Result<u32> {
        let digits = self.number.trim_start_matches("0x");
        u32::from_str_radix(digits, 16)
            .with_context(|| format!("the node announces block `{}`", self.number))
    }
}

#[derive(Deserialize)]
struct SignedBlock {
    block: Body,
}

#[derive(Deserialize)]
struct Body {
    extrinsics: Vec<String>,
}

impl Rpc {
    /// Connects to a node that is just starting.
    ///
    /// # Errors
    /// If it does not answer within half a minute.
    pub async fn connect(url: &str) -> Result<Self> {
        let deadline = Instant::now() + START;
        loop {
            match client(url).await {
                Ok(client) => {
                    return Ok(Self {
                        client: Arc::new(client),
                    })
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn ask<R: DeserializeOwned>(&self, method: &str, params: ArrayParams) -> Result<R> {
        self.client
            .request(method, params)
            .await
            .with_context(|| format!("the node does not answer {method}"))
    }

    /// New best blocks.
    ///
    /// # Errors
    /// If the node does not offer them.
    pub async fn heads(&self) -> Result<Subscription<Head>> {
        self.client
            .subscribe(
                "chain_subscribeNewHeads",
                rpc_params![],
                "chain_unsubscribeNewHeads",
            )
            .await
            .context("the node does not announce its blocks")
    }

    /// Height of the best block.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn best(&self) -> Result<u32> {
        let head: Head = self.ask("chain_getHeader", rpc_params![]).await?;
        head.number()
    }

    /// Hash of the block at a height, as `0x…`.
    ///
    /// # Errors
    /// If there is none.
    pub async fn hash(&self, number: u32) -> Result<String> {
        let hash: Option<String> = self.ask("chain_getBlockHash", rpc_params![number]).await?;
        hash.with_context(|| format!("the node has no block {number}"))
    }

    /// The transactions of a block, inherents included, as `0x…`.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn body(&self, hash: &str) -> Result<Vec<String>> {
        let block: SignedBlock = self.ask("chain_getBlock", rpc_params![hash]).await?;
        Ok(block.block.extrinsics)
    }

    /// The value under a key at a block.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn value(&self, key: &[u8], hash: &str) -> Result<Option<Vec<u8>>> {
        let value: Option<String> = self
            .ask("state_getStorage", rpc_params![text(key), hash])
            .await?;
        value
            .map(|value| hex::decode(value.trim_start_matches("0x")).context("a value is no hex"))
            .transpose()
    }

    /// How many keys a prefix has at a block, and how many bytes keys and values take together.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn size(&self, prefix: &[u8], hash: &str) -> Result<(u64, u64)> {
        let prefix = text(prefix);
        let mut last: Option<String> = None;
        let (mut keys, mut bytes) = (0, 0);
        loop {
            let page: Vec<String> = self
                .ask(
                    "state_getKeysPaged",
                    rpc_params![&prefix, PAGE, &last, hash],
                )
                .await?;
            keys += page.len() as u64;
            bytes += page
                .iter()
                .map(|key| (key.len() as u64 - 2) / 2)
                .sum::<u64>();
            let is_last = page.len() < PAGE as usize;
            last = page.into_iter().next_back();
            if is_last {
                break;
            }
        }
        // Of a prefix, the node gives the sum over all values below it.
        let values: Option<u64> = self
            .ask("state_getStorageSize", rpc_params![&prefix, hash])
            .await?;
        Ok((keys, bytes + values.unwrap_or(0)))
    }
}

async fn client(url: &str) -> Result<WsClient> {
    WsClientBuilder::default()
        .max_request_size(MAX_MESSAGE)
        .max_response_size(MAX_MESSAGE)
        .request_timeout(REQUEST_TIMEOUT)
        .build(url)
        .await
        .with_context(|| format!("no node answers at {url}"))
}

fn text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Why a transaction was not taken.
pub struct Refusal {
    /// The pool's code.
    pub code: i32,
    /// The pool's words.
    pub text: String,
}

/// What the node said of one transaction.
pub type Answer = (Signed, std::result::Result<(), Refusal>);

/// The connections for transactions. Each takes a batch at a time.
pub struct Outlets {
    queues: Vec<mpsc::Sender<Vec<Signed>>>,
    answers: mpsc::UnboundedReceiver<Result<Vec<Answer>>>,
    next: usize,
}

impl Outlets {
    /// Opens `count` connections.
    ///
    /// # Errors
    /// If the node does not take as many.
    pub async fn open(url: &str, count: usize) -> Result<Self> {
        let (report, answers) = mpsc::unbounded_channel();
        let mut queues = Vec::with_capacity(count);
        for _ in 0..count {
            let client = Arc::new(client(url).await?);
            for _ in 0..BATCHES {
                let (queue, batches) = mpsc::channel(1);
                tokio::spawn(serve(client.clone(), batches, report.clone()));
                queues.push(queue);
            }
        }
        Ok(Self {
            queues,
            answers,
            next: 0,
        })
    }

    /// Whether a connection can take a batch now.
    pub fn has_room(&self) -> bool {
        self.queues.iter().any(|queue| queue.capacity() > 0)
    }

    /// Hands a batch to a connection with room.
    ///
    /// # Errors
    /// If there is none: ask [`Self::has_room`] first.
    pub fn send(&mut self, batch: Vec<Signed>) -> Result<()> {
        let count = self.queues.len();
        let free = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|&queue| self.queues[queue].capacity() > 0)
            .context("all connections are busy")?;
        self.next = (free + 1) % count;
        self.queues[free]
            .try_send(batch)
            .map_err(|_| anyhow::anyhow!("a connection for transactions was lost"))
    }

    /// Waits for the node's answer to a batch.
    ///
    /// # Errors
    /// If a connection was lost.
    pub async fn answer(&mut self) -> Result<Vec<Answer>> {
        self.answers
            .recv()
            .await
            .context("all connections for transactions were lost")?
    }
}

async fn serve(
    client: Arc<WsClient>,
    mut batches: mpsc::Receiver<Vec<Signed>>,
    report: mpsc::UnboundedSender<Result<Vec<Answer>>>,
) {
    while let Some(batch) = batches.recv().await {
        let answers = submit(&client, batch).await;
        let lost = answers.is_err();
        if report.send(answers).is_err() || lost {
            return;
        }
    }
}

async fn submit(client: &WsClient, batch: Vec<Signed>) -> Result<Vec<Answer>> {
    let mut request = BatchRequestBuilder::new();
    for signed in &batch {
        request.insert("author_submitExtrinsic", rpc_params![&**signed])?;
    }
    let answers = client
        .batch_request::<String>(request)
        .await
        .context("the node does not take transactions any more")?;
    Ok(batch
        .into_iter()
        .zip(answers)
        .map(|(signed, answer)| {
            let answer = answer.map(|_| ()).map_err(|error| Refusal {
                code: error.code(),
                text: match error.data() {
                    Some(data) => format!("{}: {data}", error.message()),
                    None => error.message().to_owned(),
                },
            });
            (signed, answer)
        })
        .collect())
}
