//! The key on the worker's machine is a proxy: it earns for the owner of the
//! stake, and cannot take the stake out.

mod support;

use genesisflow_primitives::JobStatus;
use genesisflow_worker::{
    amount::GEN,
    key::{Key, KeySource},
    model_store::parse_id,
};
use std::time::Duration;
use support::{model, node::Node, requester::Requester, worker::Setup};

/// Longer than any wait between two states of a job, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn account(name: &str) -> [u8; 32] {
    let key = Key::load(&KeySource::Dev(name.into())).unwrap();
    key.account()
}

fn address(name: &str) -> String {
    subxt::utils::AccountId32(account(name)).to_string()
}

/// A command line in the name of `owner`.
fn acting_for<'a>(owner: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["--proxy-for", owner], args].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_earns_for_the_owner_and_cannot_take_the_stake() {
    let node = Node::start().await;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("model");
    model::write(&folder);
    let folder = folder.to_str().unwrap();
    let (cold, hot) = (dir.path().join("cold"), dir.path().join("hot"));
    let owner = Setup {
        url: &node.url,
        key: "//Bob",
        data: &cold,
    };
    let daily = Setup {
        url: &node.url,
        key: "//Dave",
        data: &hot,
    };
    let owner_address = address("//Bob");
    let eve = address("//Eve");

    owner.must(&["register", "--stake", "1000"]);
    let id = owner.must(&["model", "register", folder]).stdout;
    assert!(id.contains("Registered"), "{id}");
    // Nobody is a proxy unasked.
    let offer = [
        "offer",
        "--model",
        folder,
        "--price-input",
        "0.00001",
        "--price-output",
        "0.00002",
    ];
    daily
        .run(&acting_for(&owner_address, &offer))
        .explains(10, &["refused to set the offer", "NotProxy"]);
    owner
        .run(&["proxy", &owner_address])
        .explains(2, &["the account itself"]);
    owner
        .run(&["proxy", "5Nonsense"])
        .explains(2, &["no account"]);
    let named = owner.must(&["proxy", &address("//Dave")]).stdout;
    assert!(named.contains("cannot take out stake"), "{named}");

    // The daily work goes through it, and none of what would cost the stake.
    daily.must(&acting_for(&owner_address, &offer));
    let healthy = daily.must(&acting_for(&owner_address, &["doctor"])).stdout;
    assert!(healthy.contains("ok       proxy"), "{healthy}");
    daily
        .run(&acting_for(&owner_address, &["unbond", "1000"]))
        .explains(10, &["refused to unbond", "CallFiltered"]);
    daily
        .run(&acting_for(&owner_address, &["proxy", &eve]))
        .explains(2, &["cannot name another proxy"]);

    let running = daily.start(&acting_for(&owner_address, &[])[..], None);
    let mut requester = Requester::connect(&node.url).await;
    let model = parse_id(daily.must(&["model", "id", folder]).stdout.trim()).unwrap();
    let job = requester.submit(model, "What is a proxy?").await;
    let delivered = requester.delivered(job).await;
    assert_eq!(delivered.worker, Some(account("//Bob")), "the owner's job");
    assert_eq!(requester.history().await.delivered, [job]);
    assert_eq!(running.stop(), Some(0));

    let removed = owner
        .must(&["proxy", &address("//Dave"), "--remove"])
        .stdout;
    assert!(removed.contains("can do nothing"), "{removed}");
    daily
        .run(&acting_for(&owner_address, &["chill"]))
        .explains(10, &["NotProxy"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_audits_for_the_owner_and_is_audited() {
    const OWNER: &str = "//Bob";
    const HOT: &str = "//Dave";
    const AUTHOR: &str = "//Charlie";
    const OTHERS: [&str; 2] = [AUTHOR, "//Eve"];
    let node = Node::start().await;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("model");
    model::write_cheaply_audited(&folder);
    let folder = folder.to_str().unwrap();
    let paths = ["cold", "hot", "first", "second"].map(|name| dir.path().join(name));
    let [owner, daily, first, second] = [OWNER, HOT, OTHERS[0], OTHERS[1]];
    let setup = |key, data| Setup {
        url: &node.url,
        key,
        data,
    };
    let owner = setup(owner, &paths[0]);
    let daily = setup(daily, &paths[1]);
    let others = [setup(first, &paths[2]), setup(second, &paths[3])];
    let owner_address = address(OWNER);
    let offer = [
        &["offer", "--model", folder, "--capacity", "4"][..],
        &["--price-input", "0.00001", "--price-output", "0.00002"],
    ]
    .concat();

    std::thread::scope(|threads| {
        for other in &others {
            threads.spawn(|| other.must(&["register", "--stake", "1000"]));
        }
        owner.must(&["register", "--stake", "1000"]);
        owner.must(&["model", "register", folder]);
        owner.must(&["proxy", &address(HOT)]);
    });
    std::thread::scope(|threads| {
        for other in &others {
            threads.spawn(|| other.must(&offer));
        }
        daily.must(&acting_for(&owner_address, &offer));
    });
    let model = parse_id(owner.must(&["model", "id", folder]).stdout.trim()).unwrap();
    let running = [
        daily.start(&acting_for(&owner_address, &[]), None),
        others[0].start(&[], None),
        others[1].start(&[], None),
    ];
    let mut requester = Requester::connect(&node.url).await;
    support::eventually("everyone in the audit pool", PATIENCE, async || {
        (requester.audit_pool(model).await.len() == 3).then_some(())
    })
    .await;
    let bob = account(OWNER);
    let (earned_before, signed_by_owner) = requester.balance_and_nonce(bob).await;
    let (hot_before, signed_before) = requester.balance_and_nonce(account(HOT)).await;

    // Three seats among two: that none of these is the owner's is one in 512.
    let mut judged = Vec::new();
    for question in ["One?", "Two?", "Three?"] {
        judged.push(requester.submit_to(account(AUTHOR), model, question).await);
    }
    let own = requester.submit_to(bob, model, "Who delivers this?").await;
    for job in judged.iter().chain([&own]) {
        let settled = requester.reached(*job, JobStatus::Settled, PATIENCE).await;
        let chance = settled.audit_chance.unwrap().deconstruct();
        assert_eq!(chance, 1_000_000_000, "job {job} is audited for sure");
    }

    // It judged, by the rules: committed, revealed, was right and was paid.
    let history = requester.history().await;
    let by_owner = |job: &u64| history.ballots.contains(&(*job, bob, true));
    let seats: Vec<_> = judged.iter().copied().filter(by_owner).collect();
    assert!(!seats.is_empty(), "no seat was drawn: {history:?}");
    for job in &seats {
        assert!(history.committed.contains(&(*job, bob)));
        let pay = history
            .paid
            .iter()
            .find(|paid| (paid.0, paid.1) == (*job, bob));
        assert!(pay.is_some_and(|pay| pay.2 > 0), "job {job}: {history:?}");
    }
    // And its own result was found right by others.
    let voters = history.ballots.iter().filter(|ballot| ballot.0 == own);
    assert!(voters.clone().count() >= 1);
    assert!(voters.clone().all(|(_, who, valid)| *who != bob && *valid));
    assert!(history.delivered.contains(&own));
    assert_eq!(history.refused, 0);
    assert_eq!(
        (&history.rejected[..], &history.slashed[..]),
        (&[][..], &[][..])
    );

    let worker = requester.worker(bob).await;
    assert_eq!(worker.stake, 1_000 * GEN, "no stake is lost");
    assert_eq!((worker.open_audits, worker.exposure), (0, 0));
    assert!(!worker.chilled);
    assert_eq!((worker.settled, worker.rejected), (1, 0));
    assert!(worker.audited >= seats.len() as u64, "{worker:?}");

    // The owner earned without signing anything; the proxy signed and paid: a
    // claim, a delivery, and two transactions for each ballot.
    let (earned, signed) = requester.balance_and_nonce(bob).await;
    assert_eq!(signed, signed_by_owner);
    assert!(earned > earned_before);
    let (hot, signed) = requester.balance_and_nonce(account(HOT)).await;
    assert!(signed - signed_before >= 2 + 2 * seats.len() as u64);
    assert!(hot < hot_before, "its transactions cost a fee");
    println!(
        "{} transactions of the proxy cost {}",
        signed - signed_before,
        genesisflow_worker::amount::Amount(hot_before - hot)
    );
    running[0].wait_for_log("audited: the result is right");
    running[0].wait_for_log("the result is paid");
    for worker in running {
        assert_eq!(worker.stop(), Some(0));
    }
    let said = daily.must(&acting_for(&owner_address, &["status"])).stdout;
    assert!(said.contains("found right"), "{said}");
}
