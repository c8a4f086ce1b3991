//! A development node of its own for each test.

use genesisflow_worker::chain::Client;
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running node; ended when dropped.
pub struct Node {
    child: Child,
    pub url: String,
    _logs: tempfile::TempDir,
}

impl Node {
    /// Starts a development chain and waits until it finalises blocks.
    pub async fn start() -> Self {
        let logs = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(logs.path().join("node.log")).unwrap();
        let (rpc, p2p) = (free_port(), free_port());
        let child = Command::new(binary())
            .args(["--dev", "--tmp", "--no-telemetry", "--no-prometheus"])
            .args(["--no-mdns", "--rpc-port", &rpc.to_string()])
            .args(["--listen-addr", &format!("/ip4/127.0.0.1/tcp/{p2p}")])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the node starts");
        let node = Self {
            child,
            url: format!("ws://127.0.0.1:{rpc}"),
            _logs: logs,
        };
        super::eventually("the node's first finalised block", PATIENCE, async || {
            let client = Client::connect(&node.url).await.ok()?;
            let hash = client.finalized_hash().await.ok()?;
            let at = client.at(hash).await.ok()?;
            (at.block_number() > 0).then_some(())
        })
        .await;
        node
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
