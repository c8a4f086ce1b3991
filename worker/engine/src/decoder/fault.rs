//! Faults: values no machine can go on with (docs/canonical.md, "Faults").

use std::sync::{
    atomic::{AtomicUsize, Ordering},
    Mutex, PoisonError,
};

use half::f16;

use crate::{kv::KvStore, request::FaultCode};

/// A fault met while feeding.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedFault {
    /// What happened.
    pub code: FaultCode,
    /// The position it happened at, the lowest of all.
    pub position: usize,
    /// The last key row written before it, KV heads in ascending order; empty if there is none.
    pub last_key_row: Vec<f16>,
}

/// Where the evaluation of a position stands, so that the last key row before it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Before {
    /// The keys of this layer at this position.
    Keys(usize),
    /// Its values, and all else of the layer.
    Values(usize),
}

impl Before {
    /// Layer and position of the last key row written before this place of `position`, if there
    /// is one in a decoder of so many layers.
    pub(crate) fn last_key(self, layers: usize, position: usize) -> Option<(usize, usize)> {
        match self {
            Self::Values(layer) => Some((layer, position)),
            Self::Keys(0) => position.checked_sub(1).map(|before| (layers - 1, before)),
            Self::Keys(layer) => Some((layer - 1, position)),
        }
    }
}

/// What happens to one run of a step: up to which row it is without a fault, and the fault there.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Rows before the fault; `usize::MAX` without one.
    alive: AtomicUsize,
    fault: Mutex<Option<Found>>,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    code: FaultCode,
    row: usize,
    before: Before,
}

impl Health {
    /// For a new step.
    pub(super) fn reset(&mut self) {
        *self.alive.get_mut() = usize::MAX;
        *self.fault.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether a row of the run is still to be computed.
    pub(super) fn is_alive(&self, row: usize) -> bool {
        row < self.alive()
    }

    /// Rows of the run that are without a fault.
    pub(super) fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }

    /// Notes a fault of a row. The lowest row counts; a row is not evaluated any more after its
    /// first fault, and neither are those behind it.
    pub(super) fn note(&self, code: FaultCode, row: usize, before: Before) {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_alive(row) {
            self.alive.store(row, Ordering::Relaxed);
            *fault = Some(Found { code, row, before });
        }
    }

    /// The fault, for a run that starts at position `first` of the sequence with this block table.
    pub(super) fn fault(
        &self,
        store: &KvStore,
        layers: usize,
        table: &[u32],
        first: usize,
    ) -> Option<FeedFault> {
        let found = (*self.fault.lock().unwrap_or_else(PoisonError::into_inner))?;
        let position = first + found.row;
        let last_key = found.before.last_key(layers, position);
        Some(FeedFault {
            code: found.code,
            position,
            last_key_row: last_key.map_or(Vec::new(), |(layer, position)| {
                store.key_row(layer, table, position)
            }),
        })
    }
}
