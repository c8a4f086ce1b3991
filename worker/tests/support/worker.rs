//! The worker as a process.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_genesisflow-worker");
const PATIENCE: Duration = Duration::from_secs(90);

/// How to start the worker: which chain, key and data directory.
#[derive(Clone)]
pub struct Setup<'a> {
    pub url: &'a str,
    pub key: &'a str,
    pub data: &'a Path,
}

impl Setup<'_> {
    /// The worker's command line, without the environment of whoever runs the
    /// tests.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        forget_environment(&mut command);
        command
            .args(["--url", self.url, "--dev-key", self.key])
            .arg("--data-dir")
            .arg(self.data)
            .args(args);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        Ended::from(self.command(args).output().expect("the worker starts"))
    }

    /// Runs a command that must succeed.
    pub fn must(&self, args: &[&str]) -> Ended {
        let ended = self.run(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        ended
    }

    /// Starts `run`, pausing where `pause` says.
    pub fn start(&self, args: &[&str], pause: Option<&str>) -> Running {
        let pause = pause.map(|pause| ("GENESISFLOW_TEST_PAUSE", pause));
        self.start_in(args, pause)
    }

    /// Starts `run` with a variable in its environment.
    pub fn start_in(&self, args: &[&str], variable: Option<(&str, &str)>) -> Running {
        let mut command = self.command(&[&["run"], args].concat());
        command.envs(variable);
        self.launch(command)
    }

    /// Starts `run` so that it outlives a limit on its files: what it writes
    /// beyond it fails, as on a full disk. See [`Running::fill_disk`].
    pub fn start_to_be_limited(&self) -> Running {
        let mut command = Command::new("sh");
        forget_environment(&mut command);
        command
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", PROGRAM])
            .args(["--url", self.url, "--dev-key", self.key, "--data-dir"])
            .arg(self.data)
            .arg("run");
        self.launch(command)
    }

    fn launch(&self, mut command: Command) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let lines = lines_of(child.stdout.take().unwrap(), |_| ());
        let log = lines_of(child.stderr.take().unwrap(), |line| eprintln!("{line}"));
        let running = Running { child, lines, log };
        running.wait_for("ready");
        running
    }
}

/// Reads a pipe to its end, whether anybody waits for its lines or not.
fn lines_of(
    pipe: impl Read + Send + 'static,
    show: impl Fn(&str) + Send + 'static,
) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            show(&line);
            // The test may have dropped its end; the worker must not block on a full pipe.
            let _ = sender.send(line);
        }
    });
    lines
}

/// Takes the worker's own variables out of a command's environment.
pub fn forget_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let is_worker = name.to_string_lossy().starts_with("GENESISFLOW_");
        if is_worker {
            command.env_remove(name);
        }
    }
}

/// A command that has ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Asserts an exit code, and an explanation that has all of `words` and a
    /// way out.
    pub fn explains(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no {word:?} in:\n{}",
                self.stderr
            );
        }
        assert!(self.stderr.contains("To fix it:"), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// A worker at work; killed when dropped.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: mpsc::Receiver<String>,
}

impl Running {
    /// Waits for a line on stdout.
    pub fn wait_for(&self, line: &str) {
        wait_among(&self.lines, line, |found| found == line);
    }

    /// Waits for a line of the log that has `words`. What the worker knows of
    /// finalised blocks lags behind what the chain says.
    pub fn wait_for_log(&self, words: &str) {
        wait_among(&self.log, words, |found| found.contains(words));
    }

    /// From now on no file of the worker can be written.
    pub fn fill_disk(&self) {
        self.limit_files("0:");
    }

    /// There is room again.
    pub fn free_disk(&self) {
        self.limit_files("unlimited:");
    }

    fn limit_files(&self, limit: &str) {
        let done = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string()])
            .arg(format!("--fsize={limit}"))
            .status();
        assert!(done.is_ok_and(|status| status.success()), "prlimit works");
    }

    /// SIGKILL: the worker gets no chance to do anything.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        self.child.wait().unwrap().code()
    }
}

/// Reads lines up to the first one that is meant.
fn wait_among(lines: &mpsc::Receiver<String>, words: &str, is_meant: impl Fn(&str) -> bool) {
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(found) if is_meant(&found) => return,
            Ok(_) => {}
            Err(error) => panic!("the worker never said {words:?}: {error}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
