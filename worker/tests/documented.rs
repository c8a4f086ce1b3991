//! What can be typed or set is documented: every command and option with a help
//! of its own and in the README, every environment variable there too.

use clap::{Arg, Command, CommandFactory};
use genesisflow_worker::cli::Cli;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A command with everything below it, and how each is typed.
fn all(command: &Command, typed: &str, found: &mut Vec<(String, Command)>) {
    found.push((typed.to_owned(), command.clone()));
    for below in command.get_subcommands() {
        let typed = format!("{typed} {}", below.get_name());
        all(below, typed.trim(), found);
    }
}

fn commands() -> Vec<(String, Command)> {
    let mut found = Vec::new();
    all(&Cli::command(), "", &mut found);
    found
}

/// Arguments of a command's own, without those that every command has.
fn own(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_clap = |arg: &&Arg| !matches!(arg.get_id().as_str(), "help" | "version");
    command.get_arguments().filter(is_clap)
}

#[test]
fn every_command_and_option_explains_itself() {
    for (typed, command) in commands() {
        assert!(command.get_about().is_some(), "`{typed}` has no help");
        for arg in own(&command) {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.len() > 5, "{} of `{typed}` has no help", arg.get_id());
        }
    }
}

#[test]
fn every_command_and_option_is_in_the_readme() {
    let readme = read("worker/README.md");
    let mut missing = Vec::new();
    for (typed, command) in commands() {
        let is_leaf = !typed.is_empty() && !command.has_subcommands();
        if is_leaf && !readme.contains(&format!("`{typed}")) {
            missing.push(format!("command `{typed}`"));
        }
        for long in own(&command).filter_map(Arg::get_long) {
            let option = format!("--{long}");
            let is_there = readme.match_indices(&option).any(|(at, _)| {
                let rest = &readme[at + option.len()..];
                !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
            });
            if !is_there {
                missing.push(format!("{option} of `{typed}`"));
            }
        }
    }
    assert!(missing.is_empty(), "worker/README.md lacks {missing:#?}");
}

#[test]
fn every_environment_variable_is_in_the_readme() {
    let readme = read("worker/README.md");
    let mut variables = BTreeSet::new();
    for (_, command) in commands() {
        let of_options = own(&command).filter_map(Arg::get_env);
        variables.extend(of_options.map(|name| name.to_string_lossy().into_owned()));
    }
    for folder in ["worker/src", "worker/engine/src"] {
        in_sources(&repository().join(folder), &mut variables);
    }
    for known in ["GENESISFLOW_THREADS", "GENESISFLOW_KEY", "HF_TOKEN"] {
        assert!(variables.contains(known), "the search misses {known}");
    }
    let missing: Vec<_> = variables
        .iter()
        .filter(|name| !readme.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "worker/README.md lacks {missing:?}");
}

/// The variables that the sources below `dir` name in strings.
fn in_sources(dir: &Path, variables: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            in_sources(&path, variables);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let strings = text.split('"').skip(1);
            let is_variable = |text: &&str| {
                (text.starts_with("GENESISFLOW_") || *text == "HF_TOKEN")
                    && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            };
            variables.extend(strings.filter(is_variable).map(str::to_owned));
        }
    }
}

#[test]
fn every_key_of_the_file_that_init_writes_is_in_the_readme() {
    let readme = read("worker/README.md");
    let dir = tempfile::tempdir().unwrap();
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_genesisflow-worker"))
        .arg("--data-dir")
        .arg(dir.path())
        .args(["init", "--no-key"])
        .output()
        .unwrap();
    assert!(made.status.success());
    let text = std::fs::read_to_string(dir.path().join("worker.toml")).unwrap();
    let keys = text.lines().filter_map(|line| {
        let (key, _) = line.trim_start_matches("# ").split_once(" = ")?;
        let is_key = key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        is_key.then_some(key)
    });
    let keys: Vec<&str> = keys.collect();
    assert!(
        keys.contains(&"url") && keys.contains(&"disk-quota"),
        "{keys:?}"
    );
    for key in keys {
        assert!(
            readme.contains(&format!("`{key}`")),
            "worker/README.md lacks {key}"
        );
    }
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let made = std::process::Command::new(env!("CARGO_BIN_EXE_genesisflow-worker"))
            .args(["completions", shell])
            .output()
            .unwrap();
        assert!(made.status.success(), "{shell}");
        let script = String::from_utf8(made.stdout).unwrap();
        for word in ["genesisflow-worker", "hourly-price", "verify"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
}
