//! The files that an operator puts beside the worker: each is well-formed and
//! speaks of what the worker really has.

use clap::Parser;
use genesisflow_worker::cli::{Cli, Command as Typed};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

const PREFIX: &str = "genesisflow_worker_";

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    let path = here().join("ops").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sources of everything that the worker tells Prometheus.
fn sources_of_metrics() -> String {
    fn below(path: &Path, text: &mut String) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                below(&entry.unwrap().path(), text);
            }
        } else if path.exists() {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let mut text = String::new();
    below(&here().join("src/metrics.rs"), &mut text);
    below(&here().join("src/metrics"), &mut text);
    assert!(
        text.contains("chain_read_age_seconds"),
        "the metrics are elsewhere"
    );
    text
}

/// The worker's metrics that an expression names.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_name(c));
    words
        .filter(|word| word.starts_with(PREFIX))
        .map(str::to_owned)
        .collect()
}

fn require_known(expressions: &[String], file: &str) {
    let sources = sources_of_metrics();
    let named: BTreeSet<String> = expressions.iter().flat_map(|e| metrics_in(e)).collect();
    assert!(named.len() > 5, "{file} names only {named:?}");
    for metric in named {
        let name = metric.strip_prefix(PREFIX).unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        let is_known = [name, base, &metric]
            .iter()
            .any(|name| sources.contains(&format!("\"{name}\"")));
        assert!(
            is_known,
            "{file} names {metric}, which the worker does not have"
        );
    }
}

/// Runs a checker of the machine, if it has it.
fn check_with(program: &str, args: &[&str]) {
    match Command::new(program).args(args).output() {
        Err(_) => eprintln!("{program} is not on this machine; only parsed"),
        Ok(ended) => {
            let said = [ended.stdout, ended.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(ended.status.success(), "{program} {args:?}: {said}");
        }
    }
}

fn path_of(name: &str) -> String {
    here().join("ops").join(name).display().to_string()
}

#[test]
fn alerts_are_rules_on_metrics_that_exist() {
    let text = read("prometheus-alerts.yml");
    let file: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
    let mut expressions = Vec::new();
    let mut names = BTreeSet::new();
    for group in file["groups"].as_sequence().unwrap() {
        for rule in group["rules"].as_sequence().unwrap() {
            let text = |value: &serde_yaml_ng::Value| value.as_str().unwrap_or_default().to_owned();
            let name = text(&rule["alert"]);
            assert!(names.insert(name.clone()), "{name} twice");
            let severity = text(&rule["labels"]["severity"]);
            assert!(
                ["critical", "warning", "info"].contains(&&severity[..]),
                "{name}: {severity}"
            );
            for key in ["summary", "description"] {
                assert!(
                    text(&rule["annotations"][key]).len() > 20,
                    "{name} has no {key}"
                );
            }
            expressions.push(text(&rule["expr"]));
        }
    }
    assert!(expressions.len() >= 5);
    require_known(&expressions, "prometheus-alerts.yml");
    check_with(
        "promtool",
        &["check", "rules", &path_of("prometheus-alerts.yml")],
    );
}

#[test]
fn the_dashboard_shows_metrics_that_exist() {
    let board: Value = serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut expressions = Vec::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let place = &panel["gridPos"];
        let number = |key: &str| place[key].as_u64().unwrap();
        assert!(
            number("x") + number("w") <= 24 && number("h") > 0,
            "{panel}"
        );
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["title"]
            .as_str()
            .is_some_and(|title| !title.is_empty()));
        for target in panel["targets"].as_array().unwrap() {
            expressions.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            expressions.push(query.to_owned());
        }
    }
    require_known(&expressions, "grafana-dashboard.json");
    for expression in &expressions {
        let opened = expression.matches(['(', '[', '{']).count();
        let closed = expression.matches([')', ']', '}']).count();
        assert_eq!(opened, closed, "{expression}");
    }
}

#[test]
fn the_service_runs_a_command_that_exists_and_is_confined() {
    let unit = read("genesisflow-worker.service");
    let values = |key: &str| -> Vec<String> {
        let lines = unit.lines().filter_map(|line| line.split_once('='));
        let of_key = lines.filter(|(found, _)| *found == key);
        of_key.map(|(_, value)| value.to_owned()).collect()
    };
    let command = &values("ExecStart")[0];
    let cli = Cli::try_parse_from(command.split(' ')).unwrap();
    assert!(matches!(cli.command, Typed::Run(_)), "{command}");
    let readme = std::fs::read_to_string(here().join("README.md")).unwrap();
    for variable in values("Environment") {
        let (name, _) = variable.split_once('=').unwrap();
        assert!(
            readme.contains(&format!("`{name}`")),
            "{name} is not the worker's"
        );
    }
    // A stop waits 30 s for the job in hand by default.
    assert!(values("TimeoutStopSec")[0].parse::<u32>().unwrap() > 30);
    for (key, value) in [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("CapabilityBoundingSet", ""),
        ("Restart", "always"),
        ("UMask", "0077"),
    ] {
        assert_eq!(values(key), [value], "{key}");
    }
    assert_ne!(values("User"), ["root"]);

    // systemd wants the program to be there.
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_genesisflow-worker");
    let placed = unit.replace("/usr/local/bin/genesisflow-worker", program);
    let path: PathBuf = dir.path().join("genesisflow-worker.service");
    std::fs::write(&path, placed).unwrap();
    let path = path.to_str().unwrap();
    check_with("systemd-analyze", &["verify", "--man=no", path]);
}

#[test]
fn the_container_builds_in_one_stage_and_runs_as_nobody_special_in_another() {
    let text = read("Containerfile");
    let joined = text.replace("\\\n", " ");
    let instructions: Vec<(&str, &str)> = joined
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.trim().split_once(' '))
        .collect();
    let of = |name: &str| -> Vec<&str> {
        let of_name = instructions.iter().filter(|(found, _)| *found == name);
        of_name.map(|(_, rest)| *rest).collect()
    };
    let known = [
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "USER",
        "ENV",
        "VOLUME",
        "STOPSIGNAL",
        "ENTRYPOINT",
        "CMD",
    ];
    for (name, _) in &instructions {
        assert!(known.contains(name), "{name} is no instruction");
    }
    assert_eq!(of("FROM").len(), 2);
    assert!(of("FROM")[0].ends_with(" AS build"));
    // The compiler that the workspace is made for.
    let manifest = std::fs::read_to_string(here().join("../Cargo.toml")).unwrap();
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let image = format!("rust:{}-", version.unwrap().trim_matches('"'));
    assert!(of("FROM")[0].starts_with(&image), "{image}");
    assert!(of("COPY")
        .iter()
        .any(|copy| copy.starts_with("--from=build /genesisflow-worker ")));
    let user: u32 = of("USER")[0]
        .parse()
        .expect("a number, so that it can be seen not to be root");
    assert_ne!(user, 0);
    let list = |text: &str| -> Vec<String> { serde_json::from_str(text).unwrap() };
    let typed = [list(of("ENTRYPOINT")[0]), list(of("CMD")[0])].concat();
    assert!(Cli::try_parse_from(&typed).is_ok(), "{typed:?}");
    check_with("hadolint", &[&path_of("Containerfile")]);
}
