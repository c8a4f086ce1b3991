//! A development node of its own for each test.

use genesisflow_worker::chain::Client;
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A node compiles its runtime first, which takes long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running node; ended when dropped.
pub struct Node {
    child: Child,
    pub url: String,
    _dir: tempfile::TempDir,
}

impl Node {
    /// Starts a development chain and waits until it finalises blocks.
    pub async fn start() -> Self {
        let node = Self::spawn(&["--dev"], tempfile::tempdir().unwrap());
        super::eventually("the node's first finalised block", PATIENCE, async || {
            (node.finalized().await? > 0).then_some(())
        })
        .await;
        node
    }

    /// Starts a chain that says it is a real one, and waits until it answers.
    pub async fn start_real() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spec = dir.path().join("spec.json");
        let exported = Command::new(binary())
            .args(["chain-spec", "export", "--chain", "dev"])
            .output()
            .expect("the node starts");
        let text = String::from_utf8(exported.stdout).unwrap();
        let development = "\"chainType\": \"Development\"";
        assert!(text.contains(development), "{text:.300}");
        std::fs::write(&spec, text.replace(development, "\"chainType\": \"Live\"")).unwrap();
        let node = Self::spawn(&["--chain", spec.to_str().unwrap()], dir);
        super::eventually("the node's answer", PATIENCE, async || {
            node.finalized().await
        })
        .await;
        node
    }

    fn spawn(chain: &[&str], dir: tempfile::TempDir) -> Self {
        let log = std::fs::File::create(dir.path().join("node.log")).unwrap();
        let (rpc, p2p) = (free_port(), free_port());
        let child = Command::new(binary())
            .args(chain)
            .args(["--tmp", "--no-telemetry", "--no-prometheus", "--no-mdns"])
            .args(["--rpc-port", &rpc.to_string()])
            .args(["--listen-addr", &format!("/ip4/127.0.0.1/tcp/{p2p}")])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the node starts");
        Self {
            child,
            url: format!("ws://127.0.0.1:{rpc}"),
            _dir: dir,
        }
    }

    /// Number of the latest finalised block, if the node answers.
    async fn finalized(&self) -> Option<u64> {
        let client = Client::connect(&self.url).await.ok()?;
        let hash = client.finalized_hash().await.ok()?;
        Some(client.at(hash).await.ok()?.block_number())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The node's program: `GENESISFLOW_NODE`, or beside the worker's.
fn binary() -> PathBuf {
    let path = match std::env::var_os("GENESISFLOW_NODE") {
        Some(path) => PathBuf::from(path),
        None => {
            Path::new(env!("CARGO_BIN_EXE_genesisflow-worker")).with_file_name("genesisflow-node")
        }
    };
    assert!(
        path.is_file(),
        "there is no node at {}: build it with `cargo build --release -p genesisflow-node`, or set GENESISFLOW_NODE to its path",
        path.display()
    );
    path
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
