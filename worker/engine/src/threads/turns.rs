//! First come, first served.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A lock that is handed on in the order it was asked for, so that of several engines on one set
/// of threads none is left waiting.
#[derive(Debug, Default)]
pub(super) struct Turns {
    tickets: Mutex<Tickets>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Tickets {
    given: u64,
    called: u64,
}

/// Holds the lock; dropping it calls the next.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    pub(super) fn wait(&self) -> Turn<'_> {
        let mut tickets = self.tickets();
        let mine = tickets.given;
        tickets.given += 1;
        while tickets.called != mine {
            tickets = self
                .changed
                .wait(tickets)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Turn(self)
    }

    /// The tickets are consistent after every statement, so a panic elsewhere does not spoil them.
    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut tickets = self.0.tickets();
        tickets.called += 1;
        if tickets.called != tickets.given {
            self.0.changed.notify_all();
        }
    }
}
