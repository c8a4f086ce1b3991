//! The way to the node is cut: for a while, and the worker goes on with its job
//! when it is back; or for good, and the worker goes over to another node.

mod support;

use genesisflow_primitives::ModelId;
use genesisflow_worker::model_store::parse_id;
use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex,
    },
    time::Duration,
};
use support::{model, node::Node, requester::Requester, worker::Setup};

/// Blocks for the delivery: more than any cut takes.
const BLOCKS: u32 = 150;
/// Seconds for which the way is cut. Longer than a request may take, and shorter
/// than a delivery.
const CUT: &str = "GENESISFLOW_TEST_CUT";
const SHORT_CUT: Duration = Duration::from_secs(25);

fn cut() -> Duration {
    std::env::var(CUT).map_or(SHORT_CUT, |seconds| {
        Duration::from_secs(seconds.parse().expect("a number of seconds"))
    })
}

/// A way to a node that can be cut.
struct Wire {
    url: String,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// A loopback port from which everything goes to `node` and back.
    fn to(node: &Node) -> Self {
        let target: SocketAddr = node.url.trim_start_matches("ws://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (cut, open) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let wire = Self {
            url,
            cut,
            open: Arc::clone(&open),
        };
        let cut = wire.cut.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if cut.load(Ordering::Relaxed) {
                    continue;
                }
                let server = TcpStream::connect(target).expect("the node listens");
                let mut kept = open.lock().unwrap();
                kept.extend([&client, &server].map(|end| end.try_clone().unwrap()));
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        // It ends when either end does.
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        wire
    }

    /// Breaks every connection, and takes no new one until [`Wire::mend`].
    fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        for end in self.open.lock().unwrap().drain(..) {
            // It may be closed already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.cut.store(false, Ordering::Relaxed);
    }
}

/// Registers Bob with a small model over `url`.
fn register(setup: &Setup, folder: &Path) -> ModelId {
    model::write(folder);
    let folder = folder.to_str().unwrap();
    setup.must(&["register", "--stake", "1000"]);
    setup.must(&["model", "register", folder]);
    let prices = ["--price-input", "0.000002", "--price-output", "0.000003"];
    setup.must(&[&["offer", "--model", folder][..], &prices].concat());
    parse_id(setup.must(&["model", "id", folder]).stdout.trim()).expect("an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_for_a_while_costs_nothing_and_one_for_good_is_gone_around() {
    let node = Node::start().await;
    let (wire, other) = (Wire::to(&node), Wire::to(&node));
    let data = tempfile::tempdir().unwrap();
    let mut requester = Requester::connect(&node.url).await;
    let one = Setup {
        url: &wire.url,
        key: "//Bob",
        data: data.path(),
    };
    let model = register(&one, &data.path().join("model"));

    // One way only, cut while a job is on its way to the worker.
    let running = one.start(&[], None);
    let first = requester
        .submit_without_haste(model, "Before the cut", BLOCKS)
        .await;
    requester.claimed(first).await;
    wire.cut();
    tokio::time::sleep(cut()).await;
    running.wait_for_log("cannot look at the chain");
    wire.mend();
    running.wait_for_log("the chain answers again");
    requester.delivered(first).await;
    assert_eq!(running.stop(), Some(0));

    // Two ways, and the first is cut for good.
    let both = format!("{},{}", wire.url, other.url);
    let two = Setup { url: &both, ..one };
    let running = two.start(&[], None);
    wire.cut();
    let second = requester.submit(model, "After the cut").await;
    requester.delivered(second).await;
    assert_eq!(running.stop(), Some(0));
    // A command finds its way too.
    assert!(two.must(&["status"]).stdout.contains("0 late, 0 rejected"));

    let history = requester.history().await;
    assert_eq!(history.delivered, [first, second]);
    assert_eq!(history.refused, 0);
}
