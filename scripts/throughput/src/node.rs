//! A development node of its own: free ports of this machine's loopback, a base path that is
//! deleted, and the process ended by its id when the value is dropped.

use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// Base units in one GEN.
pub const GEN: u128 = 1_000_000_000_000;

/// What differs from the chain that `--dev` starts.
pub struct Genesis {
    /// Accounts, as SS58 addresses, and what each holds.
    pub balances: Vec<(String, u128)>,
    /// Blocks for which a result can be looked at.
    pub review_window: u32,
    /// Blocks for which a final job is kept.
    pub retention: u32,
    /// A runtime in place of the one that the node carries.
    pub runtime: Option<Vec<u8>>,
}

/// A running node. Dropping it ends the process and deletes its files.
pub struct Node {
    process: Child,
    url: String,
    log: PathBuf,
    folder: TempDir,
}

/// Arguments for the pool, but those that `extra` has.
///
/// A chain with one author has no forks, and the pool that keeps track of them checks every
/// transaction again for every block. The default limits turn transactions away when blocks come
/// late.
fn pool_arguments(extra: &[String]) -> impl Iterator<Item = &'static str> + '_ {
    [
        ["--pool-type", "single-state"],
        ["--pool-limit", "65536"],
        ["--pool-kbytes", "131072"],
    ]
    .into_iter()
    .filter(|[name, _]| !extra.iter().any(|argument| argument.starts_with(name)))
    .flatten()
}

impl Node {
    /// Starts `binary` on a development chain with the given genesis.
    ///
    /// # Errors
    /// If the binary cannot be run or its chain specification is not understood.
    pub fn start(binary: &Path, genesis: &Genesis, extra: &[String]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("genesisflow-throughput-")
            .tempdir()
            .context("cannot create a temporary folder")?;
        let spec = folder.path().join("chain.json");
        fs::write(&spec, chain_spec(binary, genesis)?)?;
        let log = folder.path().join("node.log");
        let output = fs::File::create(&log)?;
        let [rpc, network] = free_ports()?;
        let process = Command::new(binary)
            .arg("--dev")
            .arg("--chain")
            .arg(&spec)
            .arg("--base-path")
            .arg(folder.path().join("base"))
            .args(["--rpc-port", &rpc.to_string()])
            .args(["--listen-addr", &format!("/ip4/127.0.0.1/tcp/{network}")])
            .args(["--no-mdns", "--no-telemetry", "--no-prometheus"])
            .args(pool_arguments(extra))
            .args(extra)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        Ok(Self {
            process,
            url: format!("ws://127.0.0.1:{rpc}"),
            log,
            folder,
        })
    }

    /// The address of its WebSocket.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |_| String::new(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// The last lines of its log, for an error message.
    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Bytes of its database on disk.
    pub fn disk_bytes(&self) -> u64 {
        bytes_below(&self.folder.path().join("base"))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// If it has ended, with its last words.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the node ended with {status}:\n{}", self.last_words());
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself; nothing is left to do then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn chain_spec(binary: &Path, genesis: &Genesis) -> Result<Vec<u8>> {
    let exported = Command::new(binary)
        .args(["chain-spec", "export", "--chain", "dev"])
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    if !exported.status.success() {
        bail!(
            "{} cannot export its chain specification: {}",
            binary.display(),
            String::from_utf8_lossy(&exported.stderr)
        );
    }
    let mut spec: Value = serde_json::from_slice(&exported.stdout)
        .context("the node's chain specification is no JSON")?;
    if let Some(runtime) = &genesis.runtime {
        *spec
            .pointer_mut("/genesis/runtimeGenesis/code")
            .context("the node's chain specification has no runtime")? =
            format!("0x{}", hex::encode(runtime)).into();
    }
    let patch = spec
        .pointer_mut("/genesis/runtimeGenesis/patch")
        .context("the node's chain specification has no genesis patch")?;
    patch
        .pointer_mut("/balances/balances")
        .and_then(Value::as_array_mut)
        .context("the genesis patch has no balances")?
        .extend(
            genesis
                .balances
                .iter()
                .map(|(account, amount)| serde_json::json!([account, amount])),
        );
    let parameters = patch
        .pointer_mut("/inference/parameters")
        .and_then(Value::as_object_mut)
        .context("the genesis patch has no parameters of the market")?;
    for (name, value) in [
        ("reviewWindow", genesis.review_window),
        ("retention", genesis.retention),
    ] {
        if parameters.insert(name.into(), value.into()).is_none() {
            bail!("the market has no parameter `{name}` any more: adapt this benchmark");
        }
    }
    Ok(serde_json::to_vec(&spec)?)
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are bound before the first is given back, so that they differ.
    let mut ports = [0; N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let meta = entry.metadata().ok()?;
            Some(if meta.is_dir() {
                bytes_below(&entry.path())
            } else {
                meta.len()
            })
        })
        .sum()
}
