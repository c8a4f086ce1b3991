//! What goes into a step and what comes out.

use std::sync::Arc;

use genesisflow_canonical::SamplerSettings;

use super::FeedFault;

/// Consecutive positions of one sequence that go through the layers in one step.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Their tokens; at least one.
    pub(crate) tokens: Vec<u32>,
    /// The first one's position. Those before it are in the sequence's blocks.
    pub(crate) first: usize,
    /// The sequence's blocks, up to its last position at least.
    pub(crate) table: Arc<[u32]>,
    /// Index in `tokens` from which on positions are sampled; their number if none is.
    pub(crate) sampled_from: usize,
    /// How tokens are chosen; `None` if only the states are wanted.
    pub(crate) choice: Option<Choice>,
}

/// How tokens are chosen from logits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// The sampler's settings.
    pub(crate) settings: SamplerSettings,
    /// Key of its noise.
    pub(crate) seed: [u8; 32],
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunOutput {
    /// States after the final norm of the sampled positions, `[position][hidden_size]`; those from
    /// a fault on are not there.
    pub(crate) states: Vec<f32>,
    /// The tokens sampled from them, if they were wanted.
    pub(crate) tokens: Vec<u32>,
    /// The fault, if there was one. The sequence cannot be fed further then.
    pub(crate) fault: Option<FeedFault>,
}
