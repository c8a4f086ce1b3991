//! The key on the worker's machine is a proxy: it earns for the owner of the
//! stake, and cannot take the stake out.

mod support;

use genesisflow_worker::key::{Key, KeySource};
use support::{model, node::Node, requester::Requester, worker::Setup};

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
    let model = genesisflow_worker::model_store::parse_id(
        daily.must(&["model", "id", folder]).stdout.trim(),
    )
    .unwrap();
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
