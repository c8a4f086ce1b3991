//! Tests that need a process of their own: this same program, started anew to run one of them.

use std::{path::Path, process::Command};

/// Tells the other process where its task is.
const TASK_VARIABLE: &str = "GENESISFLOW_TEST_TASK";

/// Runs the ignored test `name` alone, with a task and more variables; what it printed.
///
/// # Panics
/// If it fails.
pub fn run(name: &str, task: &Path, variables: &[(&str, &str)]) -> String {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", name])
        .env(TASK_VARIABLE, task)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{printed}\n{errors}");
    assert!(printed.contains("1 passed"), "{printed}");
    printed
}

/// In the other process: the task's path. `None` if somebody runs all ignored tests.
pub fn task() -> Option<std::path::PathBuf> {
    std::env::var_os(TASK_VARIABLE).map(Into::into)
}
