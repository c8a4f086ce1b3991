//! Models come from a hub or a folder, are listed, checked and removed; what
//! goes wrong on the way is explained, and the next try goes on.

mod support;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use support::{
    hub::{Fault, HubServer},
    model,
    node::Node,
    tls::{Authority, NAMES},
    worker::{forget_environment, Ended, Setup, PROGRAM},
};

const REPOSITORY: &str = "owner/tiny";

/// An operator with a data directory and a hub, and no chain.
struct Operator {
    dir: tempfile::TempDir,
    hub: HubServer,
}

impl Operator {
    /// The hub has the small model, whose weights count as a large file.
    fn new() -> Self {
        Self::of(|source| HubServer::start(REPOSITORY, source))
    }

    fn of(start: impl FnOnce(&Path) -> HubServer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        model::write(&source);
        // What the hub has says nothing of this market.
        std::fs::remove_file(source.join("manifest.toml")).unwrap();
        let hub = start(&source);
        Self { dir, hub }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn folder(&self) -> PathBuf {
        self.data().join("models/tiny")
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.run_in(args, &[])
    }

    /// Runs a command with these variables in its environment.
    fn run_in(&self, args: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(PROGRAM);
        forget_environment(&mut command);
        // Nor has it a proxy, a token or certificates of whoever runs the tests.
        for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        command
            .env_remove("HF_TOKEN")
            .env_remove("SSL_CERT_DIR")
            .env("GENESISFLOW_HUB", &self.hub.url)
            .envs(variables.iter().copied())
            .arg("--data-dir")
            .arg(self.data())
            .args(args);
        Ended::from(command.output().expect("the worker starts"))
    }

    fn must(&self, args: &[&str]) -> Ended {
        let ended = self.run(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        ended
    }

    fn add(&self) -> Ended {
        self.run(&["model", "add", REPOSITORY])
    }
}

fn hex_of(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(bytes)
}

#[test]
fn a_model_is_fetched_checked_listed_verified_and_removed() {
    let operator = Operator::new();
    let added = operator.must(&["model", "add", REPOSITORY, "--revision", "main"]);
    let weights = std::fs::read(operator.source().join("model.safetensors")).unwrap();
    let hash = hex_of(Sha256::digest(&weights));
    for words in [
        "every one checked",
        &hash,
        &operator.hub.commit,
        "manifest.toml: review",
    ] {
        assert!(
            added.stdout.contains(words),
            "no {words:?} in {}",
            added.stdout
        );
    }
    let copy = std::fs::read(operator.folder().join("model.safetensors")).unwrap();
    assert_eq!(hex_of(Sha256::digest(copy)), hash);
    let manifest = std::fs::read_to_string(operator.folder().join("manifest.toml")).unwrap();
    assert!(manifest.contains(&operator.hub.commit), "{manifest}");
    // It can be registered as it is, by its name.
    let id = operator.must(&["model", "id", "tiny"]).stdout;
    assert!(id.starts_with("0x") && id.trim().len() == 66, "{id}");

    // Once more: nothing to do.
    let again = operator.add();
    assert!(again.stdout.contains("already"), "{}", again.stdout);

    let list = operator.must(&["model", "list"]).stdout;
    for words in [
        "tiny: ",
        "not registered from here yet",
        &operator.hub.commit,
    ] {
        assert!(list.contains(words), "no {words:?} in {list}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&operator.must(&["model", "list", "--json"]).stdout).unwrap();
    assert_eq!(json["models"][0]["name"], "tiny");
    let pins = json["models"][0]["files"].as_array().unwrap();
    assert!(pins.iter().any(|pin| pin["sha256"] == hash.as_str()));

    let good = operator.must(&["model", "verify"]).stdout;
    assert!(good.contains("ok       tiny"), "{good}");
    let tokenizer = operator.folder().join("tokenizer.json");
    let mut changed = std::fs::read(&tokenizer).unwrap();
    changed.push(b' ');
    std::fs::write(&tokenizer, changed).unwrap();
    let bad = operator.run(&["model", "verify", "tiny"]);
    bad.explains(8, &["not as it was: tiny"]);
    assert!(
        bad.stdout.contains("tokenizer.json: sha256") && !bad.stdout.contains("model.safetensors"),
        "{}",
        bad.stdout
    );

    // Never registered, so no chain is asked.
    let removed = operator.must(&["model", "remove", "tiny"]).stdout;
    assert!(removed.contains("are free again"), "{removed}");
    assert!(!operator.folder().exists());
    let list = operator.must(&["model", "list"]).stdout;
    assert!(list.contains("There are no models"), "{list}");
    operator
        .run(&["model", "remove", "tiny"])
        .explains(8, &["no model `tiny`", "model list"]);
}

#[test]
fn a_cut_transfer_goes_on_within_a_try_and_in_the_next_one() {
    let operator = Operator::new();
    // Cut twice in the middle, then whole.
    operator
        .hub
        .fail("model.safetensors", Fault::CutAfter(9_000), 2);
    let added = operator.add();
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let asked = operator.hub.ranges("model.safetensors");
    assert_eq!(asked, [None, Some(9_000), Some(18_000)]);

    // Cut for good: what has arrived stays, and the next try asks for the rest alone.
    let operator = Operator::new();
    operator
        .hub
        .fail("model.safetensors", Fault::CutAfter(9_000), 1);
    operator
        .hub
        .then_fail("model.safetensors", Fault::Silent, 9);
    operator.add().explains(
        13,
        &[
            "only 9000 of",
            "model.safetensors",
            "goes on where it stopped",
        ],
    );
    let list = operator.must(&["model", "list"]).stdout;
    assert!(list.contains("unfinished"), "{list}");
    operator.hub.recover();
    let added = operator.add();
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    assert!(
        added.stderr.contains("of which 9.0 kB are there"),
        "{}",
        added.stderr
    );
    assert_eq!(
        operator.hub.ranges("model.safetensors").last(),
        Some(&Some(9_000))
    );
    operator.must(&["model", "verify"]);
}

#[test]
fn over_tls_a_hub_must_be_one_that_this_machine_trusts() {
    let (trusted, stranger) = (Authority::new(), Authority::new());
    let operator = Operator::of(|source| HubServer::start_over_tls(REPOSITORY, source, &trusted));
    let file = |authority: &Authority, name: &str| {
        let file = operator.dir.path().join(name);
        authority.write(&file);
        file.to_str().unwrap().to_owned()
    };
    let (trusted, stranger) = (file(&trusted, "trusted.pem"), file(&stranger, "other.pem"));
    let add = |certificates: &str| {
        let token = ("HF_TOKEN", "hf_secret");
        let variables = [("SSL_CERT_FILE", certificates), token];
        operator.run_in(&["model", "add", REPOSITORY], &variables)
    };

    let ended = add(&stranger);
    ended.explains(13, &["invalid peer certificate", "SSL_CERT_FILE"]);
    let none = operator.dir.path().join("none.pem");
    std::fs::write(&none, "").unwrap();
    add(none.to_str().unwrap()).explains(13, &["SSL_CERT_FILE"]);
    assert_eq!(operator.hub.asked(), [], "nothing was said to a stranger");
    assert!(!ended.stderr.contains("hf_secret"));

    // Cut in the middle: it goes on from there, by way of the hub again.
    operator
        .hub
        .fail("model.safetensors", Fault::CutAfter(9_000), 1);
    let added = add(&trusted);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let weights = operator.folder().join("model.safetensors");
    let source = operator.source().join("model.safetensors");
    assert_eq!(
        std::fs::read(weights).unwrap(),
        std::fs::read(source).unwrap()
    );
    let asked: Vec<_> = operator
        .hub
        .asked()
        .into_iter()
        .filter(|asked| asked.file == "model.safetensors")
        .map(|asked| (asked.host, asked.from, asked.has_token))
        .collect();
    let [hub, store] = NAMES.map(str::to_owned);
    let expected = [
        (hub.clone(), None, true),
        (store.clone(), None, false),
        (hub, Some(9_000), true),
        (store, Some(9_000), false),
    ];
    assert_eq!(asked, expected, "the token is for the hub alone");
    operator.must(&["model", "verify"]);
}

#[test]
fn a_hub_without_ranges_is_asked_for_the_whole_again() {
    let operator = Operator::new();
    operator
        .hub
        .fail("model.safetensors", Fault::CutAfter(9_000), 1);
    operator
        .hub
        .then_fail("model.safetensors", Fault::IgnoreRange, 1);
    assert_eq!(operator.add().code, Some(0));
    operator.must(&["model", "verify"]);
}

#[test]
fn wrong_bytes_are_never_taken() {
    // Each kind of file: one with a SHA-256 at the hub, one with a git object.
    for file in ["model.safetensors", "tokenizer.json"] {
        let operator = Operator::new();
        operator.hub.fail(file, Fault::FlipABit, 1);
        operator
            .add()
            .explains(13, &[file, "is not what the hub promised", "promised was"]);
        assert!(!operator.folder().exists());
        // Nothing of it was kept.
        assert_eq!(operator.add().code, Some(0));
        assert_eq!(operator.hub.ranges(file).last(), Some(&None));
    }
    let operator = Operator::new();
    operator.hub.fail("tokenizer.json", Fault::TooLong, 1);
    operator
        .add()
        .explains(13, &["tokenizer.json", "longer than"]);
}

#[test]
fn a_short_file_is_an_error_that_says_how_much_came() {
    let operator = Operator::new();
    operator.hub.fail("tokenizer.json", Fault::CutAfter(100), 1);
    operator.hub.then_fail("tokenizer.json", Fault::Silent, 9);
    operator
        .add()
        .explains(13, &["only 100 of", "tokenizer.json"]);
}

#[test]
fn what_the_hub_refuses_is_explained() {
    let operator = Operator::new();
    let other = operator.run(&["model", "add", "owner/other"]);
    other.explains(13, &["owner/other", "404", "spelling"]);
    operator.hub.fail("api", Fault::Status(401), 1);
    operator.add().explains(13, &["401", "HF_TOKEN"]);
    operator
        .hub
        .fail("model.safetensors", Fault::Status(403), 1);
    operator.add().explains(
        13,
        &["model.safetensors", "403", "accept the model's terms"],
    );
    let unknown = "f".repeat(40);
    operator
        .run(&["model", "add", REPOSITORY, "--revision", &unknown])
        .explains(13, &["404"]);
    // Nobody there at all, and an address that is none.
    operator
        .run(&["model", "add", REPOSITORY, "--hub", "http://127.0.0.1:9"])
        .explains(13, &["cannot get the files of owner/tiny"]);
    operator
        .run(&["model", "add", REPOSITORY, "--hub", "http://example.org"])
        .explains(2, &["without TLS"]);
}

#[test]
fn a_pinned_hash_decides() {
    let operator = Operator::new();
    let config = std::fs::read(operator.source().join("config.json")).unwrap();
    let right = format!("config.json={}", hex_of(Sha256::digest(&config)));
    let wrong = format!("config.json={}", "0".repeat(64));
    operator
        .run(&["model", "add", REPOSITORY, "--sha256", &wrong])
        .explains(
            8,
            &["config.json is not the file that you want", "--sha256"],
        );
    operator
        .run(&["model", "add", REPOSITORY, "--sha256", "config.json=12"])
        .explains(2, &["sha256sum"]);
    operator.must(&["model", "add", REPOSITORY, "--sha256", &right]);
    // A git object is the SHA-1 of a header and the bytes: what the hub checks small files by.
    let mut object = Sha1::new_with_prefix(format!("blob {}\0", config.len()));
    object.update(&config);
    assert!(operator.hub.says(&hex_of(object.finalize())));
}

#[test]
fn the_quota_is_kept_and_says_what_to_remove() {
    let operator = Operator::new();
    operator.must(&["model", "add", REPOSITORY, "--disk-quota", "1 MB"]);
    let refused = [
        "model",
        "add",
        REPOSITORY,
        "--as",
        "second",
        "--disk-quota",
        "100 kB",
    ];
    operator.run(&refused).explains(
        9,
        &[
            "second needs",
            "quota of 100.0 kB only",
            "model remove NAME",
            "tiny ",
        ],
    );
    assert!(!operator.data().join("models/second").exists());
    std::fs::write(
        operator.data().join("worker.toml"),
        "disk-quota = \"100 kB\"\n",
    )
    .unwrap();
    let folder = operator.source();
    operator
        .run(&["model", "add", folder.to_str().unwrap()])
        .explains(9, &["source needs", "quota of 100.0 kB"]);
    let list = operator.must(&["model", "list"]).stdout;
    assert!(list.contains("of the quota of 100.0 kB"), "{list}");
    operator.must(&["model", "remove", "tiny"]);
    operator.must(&["model", "add", folder.to_str().unwrap(), "--as", "second"]);
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_said_to_be_full_and_nothing_is_lost() {
    let operator = Operator::new();
    // Room for the small files; the weights do not fit.
    let mut limited = Command::new("sh");
    forget_environment(&mut limited);
    limited
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 32; exec \"$@\"",
            "sh",
            PROGRAM,
        ])
        .env("GENESISFLOW_HUB", &operator.hub.url)
        .arg("--data-dir")
        .arg(operator.data())
        .args(["model", "add", REPOSITORY]);
    let ended = Ended::from(limited.output().expect("a shell starts"));
    ended.explains(9, &["cannot write", "model.safetensors.part"]);
    let added = operator.add();
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let asked = operator.hub.ranges("model.safetensors");
    assert!(matches!(asked.last(), Some(Some(_))), "{asked:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_transfer_says_how_to_go_on() {
    let operator = Operator::new();
    operator
        .hub
        .fail("model.safetensors", Fault::Stall(9_000), 1);
    let mut command = Command::new(PROGRAM);
    forget_environment(&mut command);
    let child = command
        .env("GENESISFLOW_HUB", &operator.hub.url)
        .arg("--data-dir")
        .arg(operator.data())
        .args(["model", "add", REPOSITORY])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the worker starts");
    operator.hub.wait_for_stall();
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()));
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.explains(13, &["interrupted", "goes on where it stopped"]);
    operator.hub.recover();
    let added = operator.add();
    assert_eq!(added.code, Some(0), "{}", added.stderr);
}

#[test]
fn a_model_that_the_engine_cannot_run_is_refused_before_its_weights() {
    let operator = Operator::new();
    let config = operator.source().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"llama\"", "\"bloom\"")).unwrap();
    let hub = HubServer::start(REPOSITORY, &operator.source());
    operator
        .run(&["model", "add", REPOSITORY, "--hub", &hub.url])
        .explains(8, &["the engine cannot run", "bloom"]);
    assert_eq!(hub.ranges("model.safetensors"), []);
}

#[test]
fn shards_are_fetched_as_the_index_names_them() {
    let operator = Operator::new();
    let source = operator.source();
    std::fs::rename(
        source.join("model.safetensors"),
        source.join("part-1.safetensors"),
    )
    .unwrap();
    let index = model::index_of("part-1.safetensors");
    std::fs::write(source.join("model.safetensors.index.json"), index).unwrap();
    std::fs::write(source.join("other.safetensors"), "of no use").unwrap();
    let hub = HubServer::start(REPOSITORY, &source);
    operator.must(&["model", "add", REPOSITORY, "--hub", &hub.url]);
    let shown = operator.must(&["model", "show", "tiny"]).stdout;
    assert!(
        shown.contains("part-1.safetensors (Weights") && !shown.contains("other"),
        "{shown}"
    );
    assert_eq!(hub.ranges("other.safetensors"), []);
    operator.must(&["model", "verify"]);
}

#[test]
fn a_folder_is_copied_or_left_where_it_is() {
    let operator = Operator::new();
    let source = operator.source();
    let folder = source.to_str().unwrap();
    let copied = operator
        .must(&["model", "add", folder, "--as", "copy"])
        .stdout;
    assert!(copied.contains("Added copy"), "{copied}");
    assert!(!source.join("manifest.toml").exists());
    operator
        .run(&["model", "add", folder, "--as", "copy"])
        .explains(8, &["already", "model remove copy"]);
    operator
        .run(&["model", "add", folder, "--as", "../up"])
        .explains(2, &["cannot be the name"]);

    operator.must(&["model", "add", folder, "--in-place"]);
    assert!(source.join("manifest.toml").exists());
    let list = operator.must(&["model", "list"]).stdout;
    assert!(list.contains("outside the data directory"), "{list}");
    let forgot = operator.must(&["model", "remove", folder]).stdout;
    assert!(forgot.contains("stay"), "{forgot}");
    assert!(source.join("model.safetensors").exists());

    operator
        .run(&["model", "add", "/no/such/folder"])
        .explains(2, &["no folder, and no model at the hub"]);
    std::fs::remove_file(source.join("model.safetensors")).unwrap();
    operator
        .run(&["model", "add", folder])
        .explains(8, &["no model folder", "model.safetensors"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_goes_from_the_hub_onto_the_chain_and_stays_while_it_is_offered() {
    let node = Node::start().await;
    let operator = Operator::new();
    let data = operator.data();
    let setup = Setup {
        url: &node.url,
        key: "//Eve",
        data: &data,
    };
    operator.must(&["model", "add", REPOSITORY]);
    setup.must(&["register", "--stake", "200"]);
    setup.must(&["model", "register", "tiny"]);
    let prices = ["--price-input", "0.00001", "--price-output", "0.00002"];
    setup.must(&[&["offer", "--model", "tiny"][..], &prices].concat());
    let list = setup.must(&["model", "list"]).stdout;
    assert!(list.contains("model   0x"), "{list}");
    setup.must(&["model", "verify"]);
    assert_eq!(setup.start(&["--model", "tiny"], None).stop(), Some(0));

    setup
        .run(&["model", "remove", "tiny"])
        .explains(8, &["still needed: this worker offers it", "--remove"]);
    // Without a chain to ask, it does not guess.
    let alone = Setup {
        url: "ws://127.0.0.1:9",
        ..setup.clone()
    };
    alone.run(&["model", "remove", "tiny"]).explains(
        4,
        &[
            "cannot tell whether this worker still offers tiny",
            "--force",
        ],
    );
    assert!(Path::new(&operator.folder()).exists());
    setup.must(&["offer", "--model", "tiny", "--remove"]);
    setup.must(&["model", "remove", "tiny"]);
    assert!(!operator.folder().exists());

    operator.must(&["model", "add", REPOSITORY]);
    setup.must(&["model", "register", "tiny"]);
    setup.must(&[&["offer", "--model", "tiny"][..], &prices].concat());
    alone.must(&["model", "remove", "tiny", "--force"]);
    assert!(!operator.folder().exists());
}
