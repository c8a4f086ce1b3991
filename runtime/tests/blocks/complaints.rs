//! What the runtime says to the node's log at level `error`: records that contradict each other,
//! jobs that cannot be moved on, and whatever FRAME holds for impossible. All of it is a failure.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::{cell::RefCell, sync::Once};

thread_local! {
    static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Ear;

impl Log for Ear {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() == Level::Error
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            let complaint = format!("{}: {}", record.target(), record.args());
            HEARD.with_borrow_mut(|heard| heard.push(complaint));
        }
    }

    fn flush(&self) {}
}

/// From now on complaints are heard, each on the thread that makes it.
pub fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        log::set_logger(&Ear).expect("nobody else listens");
        log::set_max_level(LevelFilter::Error);
    });
    HEARD.take();
}

/// The complaints of this thread since the last time.
pub fn heard() -> Vec<String> {
    HEARD.take()
}
