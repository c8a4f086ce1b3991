//! An operator's day on a real chain: set-up, stake in and out, a break, a look
//! at everything, metrics.

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};
use support::{model, node::Node, worker::Setup};

const PATIENCE: Duration = Duration::from_secs(60);

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the endpoint listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sets_up_checks_bonds_rests_and_leaves() {
    let node = Node::start().await;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("model");
    model::write(&folder);
    let folder = folder.to_str().unwrap();
    let data = dir.path().join("data");
    let setup = Setup {
        url: &node.url,
        key: "//Dave",
        data: &data,
    };

    let made = setup.must(&["init"]).stdout;
    assert!(
        made.contains("Created a key") && made.contains("Account: 5"),
        "{made}"
    );
    assert!(setup.must(&["init"]).stdout.contains("Kept the key"));

    // What is missing is said, each with a way out.
    let missing = setup.run(&["doctor"]);
    assert_eq!(missing.code, Some(7), "{}", missing.stdout);
    for line in [
        "ok       key",
        "ok       chain",
        "ok       clock",
        "PROBLEM  stake",
    ] {
        assert!(
            missing.stdout.contains(line),
            "no {line} in\n{}",
            missing.stdout
        );
    }
    assert!(
        missing.stdout.contains("register --stake"),
        "{}",
        missing.stdout
    );
    setup.run(&["bond", "5"]).explains(7, &["no worker"]);

    setup.must(&["register", "--stake", "200"]);
    setup.must(&["bond", "50.5"]);
    setup.must(&["model", "register", folder]);
    let prices = ["--price-input", "0.00001", "--price-output", "0.00002"];
    setup.must(&[&["offer", "--model", folder][..], &prices].concat());
    let healthy = setup.must(&["doctor"]).stdout;
    assert!(
        healthy.contains("250.5 GEN, of which 250.5 GEN are free"),
        "{healthy}"
    );
    assert!(
        healthy.contains("its files are right; offered at 0.00001 GEN"),
        "{healthy}"
    );
    let checks: serde_json::Value =
        serde_json::from_str(&setup.must(&["doctor", "--json"]).stdout).unwrap();
    let checks = checks.as_array().unwrap();
    assert!(checks.len() >= 6);
    assert!(
        checks.iter().all(|check| check["result"] == "ok"),
        "{checks:?}"
    );

    // At work, the endpoint tells how it stands.
    let address = free_address();
    let running = setup.start(&["--metrics", &address.to_string()], None);
    support::eventually("the first look at the chain", PATIENCE, async || {
        get(address, "/ready").contains("200 OK").then_some(())
    })
    .await;
    let metrics = get(address, "/metrics");
    assert!(
        metrics.contains("\ngenesisflow_worker_stake_gen 250.5\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\ngenesisflow_worker_chilled 0\n"),
        "{metrics}"
    );
    assert!(get(address, "/health").contains("alive"));

    // A break, while it runs.
    let rest = setup.must(&["chill"]).stdout;
    assert!(rest.contains("0 claim(s) and 0 audit(s)"), "{rest}");
    assert!(setup.must(&["chill"]).stdout.contains("already"));
    support::eventually("the break to be noticed", PATIENCE, async || {
        get(address, "/ready").contains("is chilled").then_some(())
    })
    .await;
    assert_eq!(running.stop(), Some(0));
    assert!(setup.must(&["doctor"]).stdout.contains("warning  stake"));
    assert_eq!(setup.must(&["jobs", "--all", "--json"]).stdout.trim(), "[]");

    // Stake out.
    setup
        .run(&["withdraw"])
        .explains(7, &["nothing to withdraw yet", "unbond"]);
    setup
        .run(&["unbond", "0"])
        .explains(2, &["the amount is 0"]);
    setup
        .run(&["unbond", "251"])
        .explains(7, &["250.5 GEN are bonded"]);
    setup
        .run(&["unbond", "200"])
        .explains(7, &["50.5 GEN would stay", "at most 150.5 GEN"]);
    let unbonding = setup.must(&["unbond", "150.5"]).stdout;
    assert!(
        unbonding.contains("can be withdrawn in 12000 blocks"),
        "{unbonding}"
    );
    setup
        .run(&["withdraw"])
        .explains(7, &["nothing to withdraw yet", "wait until block"]);
}
