//! Whatever is wrong, the worker says what and how to fix it, and ends with an
//! exit code of its own.

mod support;

use genesisflow_worker::{
    journal::{Journal, Owner},
    key::{Key, KeySource},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use support::{
    model,
    node::Node,
    worker::{forget_environment, Ended, Setup, PROGRAM},
};

/// Runs the worker with nothing but `args`.
fn worker(args: &[&str]) -> Ended {
    let mut command = Command::new(PROGRAM);
    forget_environment(&mut command);
    Ended::from(command.args(args).output().expect("the worker starts"))
}

#[cfg(unix)]
fn key_file(dir: &Path, content: &str, mode: u32) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("key");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn without_a_key_it_says_how_to_give_one() {
    worker(&["status"]).explains(3, &["no signing key", "--key-file"]);
}

#[cfg(unix)]
#[test]
fn a_wrong_key_is_refused_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let path = key_file(dir.path(), "correct horse battery staple", 0o600);
    let ended = worker(&["status", "--key-file", path.to_str().unwrap()]);
    ended.explains(3, &["no usable key", "mnemonic"]);
    assert!(!ended.stderr.contains("horse"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn a_key_file_for_all_eyes_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = key_file(dir.path(), "0x00", 0o644);
    worker(&["status", "--key-file", path.to_str().unwrap()]).explains(3, &["chmod 600"]);
}

#[test]
fn an_unreachable_chain_is_named() {
    let nobody = "ws://127.0.0.1:9";
    worker(&["status", "--dev-key", "//Bob", "--url", nobody])
        .explains(4, &["cannot reach a node", nobody]);
    worker(&["status", "--dev-key", "//Bob", "--url", "localhost"])
        .explains(2, &["no WebSocket address"]);
}

#[test]
fn a_malformed_configuration_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("worker.toml");
    std::fs::write(&path, "colour = \"red\"").unwrap();
    worker(&["status", "--config", path.to_str().unwrap()]).explains(2, &["colour", "worker.toml"]);
}

#[test]
fn a_model_folder_without_terms_is_told_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    model::write(dir.path());
    std::fs::remove_file(dir.path().join("manifest.toml")).unwrap();
    worker(&["model", "id", dir.path().to_str().unwrap()])
        .explains(8, &["seat-pay", "manifest.toml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_key_is_refused_on_a_real_chain() {
    let node = Node::start_real().await;
    worker(&["status", "--dev-key", "//Bob", "--url", &node.url])
        .explains(3, &["publicly known", "--key-file"]);
}

/// One chain for all that needs one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_chain_account_model_or_journal_is_explained() {
    let node = Node::start().await;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let model = dir.path().join("model");
    model::write(&model);
    let model_dir = model.to_str().unwrap();
    let bob = Setup {
        url: &node.url,
        key: "//Bob",
        data: &data,
    };
    let offer = [
        "offer",
        "--model",
        model_dir,
        "--price-input",
        "0.000002",
        "--price-output",
        "0.000003",
    ];

    // No stake.
    bob.run(&["run"])
        .explains(7, &["no stake", "register --stake"]);
    bob.run(&["register", "--stake", "0.5"])
        .explains(7, &["below the least"]);
    bob.run(&["register", "--stake", "99999999"])
        .explains(7, &["does not cover"]);

    // No model, no registration, no offer; and an offer nobody may make.
    bob.must(&["register", "--stake", "1000"]);
    bob.run(&["run"]).explains(8, &["no model to serve"]);
    bob.run(&["run", "--model", model_dir])
        .explains(8, &["not registered", "model register"]);
    bob.run(&offer).explains(8, &["not registered"]);
    bob.must(&["model", "register", model_dir]);
    bob.run(&["run", "--model", model_dir])
        .explains(8, &["does not offer", "offer --model"]);
    bob.run(&[
        "offer",
        "--model",
        model_dir,
        "--price-input",
        "0.0000001",
        "--price-output",
        "1",
    ])
    .explains(2, &["below the model's least price"]);
    bob.must(&offer);
    let again = bob.must(&["model", "register", model_dir]).stdout;
    assert!(again.contains("Registered already"), "{again}");

    // A file of the model changed on disk.
    let weights = model.join("model.safetensors");
    let intact = std::fs::read(&weights).unwrap();
    let mut changed = intact.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, changed).unwrap();
    bob.run(&["run"])
        .explains(8, &["model.safetensors has changed", "sha256"]);
    std::fs::write(&weights, intact).unwrap();

    // A journal that cannot be written, and a disk that is full.
    let occupied = dir.path().join("occupied");
    std::fs::write(&occupied, "a file, no directory").unwrap();
    let nowhere = Setup {
        data: &occupied.join("data"),
        ..bob.clone()
    };
    nowhere
        .run(&["run", "--model", model_dir])
        .explains(9, &["journal", "--data-dir"]);
    full_disk(&bob, model_dir).explains(9, &["journal", "free space"]);

    // A journal of another chain, or of another account.
    let account = Key::load(&KeySource::Dev("//Bob".into()))
        .unwrap()
        .account();
    let elsewhere = dir.path().join("elsewhere");
    let owner = Owner {
        genesis: [9; 32],
        account,
    };
    drop(Journal::open(&elsewhere, owner).unwrap());
    let abroad = Setup {
        data: &elsewhere,
        ..bob.clone()
    };
    abroad
        .run(&["run", "--model", model_dir])
        .explains(5, &["belongs to the chain", &hex::encode([9; 32])]);

    // Two workers on one journal.
    let running = bob.start(&[], None);
    bob.run(&["run"]).explains(9, &["another worker"]);
    let charlie = Setup {
        key: "//Charlie",
        ..bob.clone()
    };
    let status = bob.must(&["status"]).stdout;
    assert!(status.contains("in use by another worker"), "{status}");
    assert_eq!(running.stop(), Some(0));
    charlie.must(&["register", "--stake", "1000"]);
    charlie
        .run(&["run"])
        .explains(3, &["belongs to account", "--data-dir"]);
}

/// Runs the worker where no file can grow: every write fails as on a full
/// disk.
fn full_disk(setup: &Setup<'_>, model: &str) -> Ended {
    let fresh = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    forget_environment(&mut limited);
    limited
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 0; exec \"$@\"",
            "sh",
            PROGRAM,
        ])
        .args(["--url", setup.url, "--dev-key", setup.key, "--data-dir"])
        .arg(fresh.path())
        .args(["run", "--model", model]);
    Ended::from(limited.output().expect("a shell starts"))
}
