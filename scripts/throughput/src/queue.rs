//! Transactions that are all there at the start: setting up, and plain transfers.

use crate::{
    drive::{Kind, Outgoing, Workload},
    sign::Signed,
};
use anyhow::Result;
use std::collections::VecDeque;

/// Transactions of one kind, sent in order.
pub struct Queue {
    kind: Kind,
    waiting: VecDeque<Signed>,
    stopped: bool,
}

impl Queue {
    /// A queue of `signed`.
    pub fn new(kind: Kind, signed: Vec<Signed>) -> Self {
        Self {
            kind,
            waiting: signed.into(),
            stopped: false,
        }
    }

    /// How many were not sent.
    pub fn left(&self) -> usize {
        self.waiting.len()
    }

    /// Those that were not sent, for another time: each account's first ones first.
    pub fn into_rest(self) -> Vec<Signed> {
        self.waiting.into()
    }
}

impl Workload for Queue {
    fn next(&mut self) -> Result<Option<Outgoing>> {
        if self.stopped {
            return Ok(None);
        }
        Ok(self.waiting.pop_front().map(|signed| Outgoing {
            kind: self.kind,
            signed,
            token: 0,
        }))
    }

    fn included(&mut self, _: Kind, _: u64) -> Result<()> {
        Ok(())
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn is_done(&self) -> bool {
        self.stopped || self.waiting.is_empty()
    }
}
