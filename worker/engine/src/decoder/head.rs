//! The phases after the layers: logits and the choice of tokens.

use std::{cell::RefCell, ops::Range, sync::PoisonError};

use crate::request::FaultCode;

use super::{
    fault::Before,
    pass::{Aim, Phases},
    products::Pieces,
};

/// Rows of logits held at once: a vocabulary is wide.
const HEAD_ROWS: usize = 32;

thread_local! {
    /// The logits of the row that a compute thread samples from.
    static LOGITS: RefCell<Vec<f32>> = RefCell::default();
}

/// What a sampled position gave.
#[derive(Debug, Default)]
pub(super) struct Sampled {
    pub(super) token: u32,
    /// If they are wanted.
    pub(super) logits: Vec<f32>,
}

impl Phases<'_> {
    /// From the states, quantised, to logits and tokens.
    pub(super) fn head(&self) {
        let layout = &self.state.plan.sampled;
        if self.state.aim == Aim::Logits {
            let columns = self.network.config.hidden_size;
            self.rows(layout, |slice, at| {
                let places = &layout.rows[layout.slices[at].clone()];
                slice.quantize(self.network.kernel, columns, |row| {
                    let health = &self.state.health[places[row].run];
                    health.note(FaultCode::ActivationOverflow, 0, Before::Keys(0));
                });
            });
        }
        let mut start = 0;
        while start < layout.slices.len() {
            let mut end = start + 1;
            let first = layout.slices[start].start;
            while end < layout.slices.len() && layout.slices[end].end - first <= HEAD_ROWS {
                end += 1;
            }
            self.sample_slices(start..end);
            start = end;
        }
    }

    fn sample_slices(&self, which: Range<usize>) {
        let (state, head) = (self.state, self.network.head());
        let layout = &state.plan.sampled;
        let ranks = layout.slices[which.start].start..layout.slices[which.end - 1].end;
        if ranks.is_empty() {
            return;
        }
        let pieces = Pieces::new(head, ranks.len(), which.len(), self.member.count());
        self.member.each(pieces.count, |piece| {
            state.products.multiply(
                self.network.kernel,
                head,
                (pieces, piece),
                &state.slices,
                layout,
                which.clone(),
                |_| {},
            );
        });
        self.member.each(ranks.len(), |index| {
            self.sample(which.clone(), pieces, ranks.start + index);
        });
    }

    fn sample(&self, which: Range<usize>, pieces: Pieces, rank: usize) {
        let (state, head) = (self.state, self.network.head());
        let layout = &state.plan.sampled;
        let place = layout.rows[rank];
        if !state.health[place.run].is_alive(place.index) {
            return;
        }
        let slice = layout.slice_of[rank];
        let row = rank - layout.slices[slice].start;
        let gather = |logits: &mut Vec<f32>| {
            logits.resize(head.matrix().rows(), 0.0);
            let wanted = row..row + 1;
            state
                .products
                .gather(head, pieces, layout, which, slice, wanted, logits);
        };
        let mut sampled = state.sampled[rank]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match state.runs.get(place.run) {
            None => gather(&mut sampled.logits),
            Some(run) => {
                let Some(choice) = run.choice else { return };
                LOGITS.with_borrow_mut(|logits| {
                    gather(logits);
                    // The sampled token's own index.
                    let position = (run.first + place.index + 1) as u64;
                    let kernel = self.network.kernel;
                    sampled.token = kernel.sample(logits, choice.settings, &choice.seed, position);
                });
            }
        }
    }
}
