//! A step: rows of several sequences through all layers in one pass over the weights.
//!
//! All threads go through the same phases. Linear layers are cut into pieces of output rows,
//! attention into heads of a few positions, everything else into slices of rows. Each row's result
//! depends on that row's sequence only, so who is in a step beside it cannot change a bit.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::{
    kv::KvStore,
    threads::{Member, Task, Threads},
};

use super::{
    fault::Health, head::Sampled, layer::Attended, plan::Plan, products::Products, slice::Slices,
    Network, Run, RunOutput,
};

/// Runs steps; keeps the working memory between them.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(super) network: Arc<Network>,
    state: RwLock<State>,
}

/// What all threads of a step look at. Parts that one of them writes have locks of their own,
/// which phases keep from ever being waited for.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) aim: Aim,
    pub(super) runs: Vec<Run>,
    /// Where keys and values lie; absent if there is no layer to go through.
    pub(super) store: Option<Arc<KvStore>>,
    pub(super) plan: Plan,
    pub(super) health: Vec<Health>,
    pub(super) slices: Slices,
    pub(super) products: Products,
    /// The second factor of the feed-forward layer.
    pub(super) up: Products,
    pub(super) attended: Attended,
    pub(super) sampled: Vec<Mutex<Sampled>>,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Aim {
    /// From tokens to states.
    #[default]
    States,
    /// From tokens to states and sampled tokens.
    Tokens,
    /// From states to logits.
    Logits,
}

/// One thread's view of a step.
pub(super) struct Phases<'a> {
    pub(super) network: &'a Network,
    pub(super) state: &'a State,
    pub(super) member: &'a Member<'a>,
}

impl Pass {
    /// Without working memory yet.
    pub(crate) fn new(network: Arc<Network>) -> Arc<Self> {
        Arc::new(Self {
            network,
            state: RwLock::default(),
        })
    }

    /// Feeds the runs' tokens; says for each run what it gave. The tokens are inside the embedding.
    pub(crate) fn step(
        self: &Arc<Self>,
        threads: &Threads,
        store: &Arc<KvStore>,
        runs: Vec<Run>,
    ) -> Vec<RunOutput> {
        self.prepare(|state| {
            state.aim = if runs.iter().any(|run| run.choice.is_some()) {
                Aim::Tokens
            } else {
                Aim::States
            };
            state.plan.lay_out(&runs, threads.count());
            state.store = Some(store.clone());
            state.runs = runs;
        });
        self.reserve(threads.count());
        threads.run(self);
        self.prepare(|state| {
            // The blocks may be given to others now.
            state.store = None;
            let mut outputs = state.outputs(store, self.network.config.layers);
            for (rank, place) in state.plan.sampled.rows.iter().enumerate() {
                if state.health[place.run].is_alive(place.index) {
                    let output: &mut RunOutput = &mut outputs[place.run];
                    self.append(state, rank, output);
                    if state.runs[place.run].choice.is_some() {
                        let sampled = &state.sampled[rank];
                        let sampled = sampled.lock().unwrap_or_else(PoisonError::into_inner);
                        output.tokens.push(sampled.token);
                    }
                }
            }
            outputs
        })
    }

    /// The head: logits of states, `[state][vocabulary]`.
    ///
    /// # Errors
    /// On an overflow, the index of the first state that cannot be quantised.
    pub(crate) fn logits(
        self: &Arc<Self>,
        threads: &Threads,
        states: &[f32],
    ) -> Result<Vec<f32>, usize> {
        let n = self.network.config.hidden_size;
        let count = states.len() / n;
        self.prepare(|state| {
            state.aim = Aim::Logits;
            state.runs.clear();
            state.plan.lay_out_states(count, threads.count());
        });
        self.reserve(threads.count());
        self.prepare(|state| {
            for (index, ranks) in state.plan.sampled.slices.iter().enumerate() {
                let mut slice = state.slices.write(index);
                slice.normed.clear();
                slice
                    .normed
                    .extend_from_slice(&states[ranks.start * n..ranks.end * n]);
            }
        });
        threads.run(self);
        self.prepare(|state| {
            if let Some(row) = (0..count).find(|row| !state.health[*row].is_alive(0)) {
                return Err(row);
            }
            let mut logits = Vec::with_capacity(count * self.network.config.vocab_size);
            for sampled in &mut state.sampled[..count] {
                let sampled = sampled.get_mut().unwrap_or_else(PoisonError::into_inner);
                logits.append(&mut sampled.logits);
            }
            Ok(logits)
        })
    }

    fn prepare<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes room for what the plan needs.
    fn reserve(&self, threads: usize) {
        self.prepare(|state| {
            let rows = state.plan.all.rows.len().max(state.plan.sampled.rows.len());
            let slices = state.plan.sampled.slices.len();
            state.slices.reserve(slices);
            let pieces = self.network.pieces(rows, slices, threads);
            state.products.reserve(pieces);
            state.up.reserve(pieces);
            let blocks = state
                .plan
                .all
                .blocks
                .len()
                .max(state.plan.sampled.blocks.len());
            state
                .attended
                .reserve(blocks * self.network.config.kv_heads);
            let sampled = state.plan.sampled.rows.len();
            if state.sampled.len() < sampled {
                state.sampled.resize_with(sampled, Mutex::default);
            }
            let runs = state.runs.len().max(sampled);
            if state.health.len() < runs {
                state.health.resize_with(runs, Health::default);
            }
            for health in &mut state.health {
                health.reset();
            }
        });
    }

    /// Appends the state of a rank.
    fn append(&self, state: &State, rank: usize, output: &mut RunOutput) {
        let n = self.network.config.hidden_size;
        let slice = state.plan.sampled.slice_of[rank];
        let row = rank - state.plan.sampled.slices[slice].start;
        let normed = &state.slices.read(slice).normed;
        output
            .states
            .extend_from_slice(&normed[row * n..(row + 1) * n]);
    }
}

impl State {
    /// An output for each run, with its fault.
    fn outputs(&self, store: &KvStore, layers: usize) -> Vec<RunOutput> {
        let runs = self.runs.iter().zip(&self.health);
        runs.map(|(run, health)| RunOutput {
            states: Vec::new(),
            tokens: Vec::new(),
            fault: health.fault(store, layers, &run.table, run.first),
        })
        .collect()
    }
}

impl Task for Pass {
    fn run(&self, member: &Member<'_>) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let phases = Phases {
            network: &self.network,
            state: &state,
            member,
        };
        match state.aim {
            Aim::States => phases.layers(),
            Aim::Tokens => {
                phases.layers();
                phases.head();
            }
            Aim::Logits => phases.head(),
        }
    }
}
