//! How far a long look at files has come: a bar on a terminal, a line a file
//! elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// What a bar looks like.
const BAR: &str = "{msg:24!} {wide_bar} {bytes:>10} of {total_bytes} {bytes_per_sec:>12} {eta:>4}";

/// One step after the other, each with so many bytes to go through.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing yet.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::no_length);
        if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template(BAR)) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Begins with `what`, of which `done` bytes are there.
    pub fn start(&self, what: &str, bytes: u64, done: u64) {
        match &self.bar {
            Some(bar) => {
                bar.reset();
                bar.set_length(bytes);
                bar.set_position(done);
                // What was there already says nothing about the speed.
                bar.reset_eta();
                bar.set_message(what.to_owned());
            }
            None if done > 0 => eprintln!(
                "{what}: {}, of which {} are there",
                super::size(bytes),
                super::size(done)
            ),
            None => eprintln!("{what}: {}", super::size(bytes)),
        }
    }

    /// So many bytes are done.
    pub fn reach(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// So many bytes more are done.
    pub fn advance(&self, more: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(more);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
