//! One sequence by itself.

use std::sync::Arc;

use genesisflow_canonical::kernels::KV_BLOCK;

use crate::{
    backend::{DeviceError, Pool},
    request::FaultCode,
};

use super::{step::Choice, Decoder, FeedFault, Run, RunOutput};

/// Positions that go through the layers together at most.
const CHUNK: usize = 128;

/// What feeding gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Fed {
    /// States after the final norm of the sampled positions, `[position][hidden_size]`; those from
    /// a fault on are not there.
    pub states: Vec<f32>,
    /// The fault, if there was one. The sequence cannot be fed further then.
    pub fault: Option<FeedFault>,
}

/// One sequence: its cache and its position. A batch of one, for callers that look at states and
/// logits; jobs go through [`crate::Engine`] or [`crate::Model::generate`].
#[derive(Debug)]
pub struct Sequence<'a> {
    decoder: &'a Decoder,
    pool: Box<dyn Pool>,
    table: Arc<[u32]>,
    position: usize,
}

impl<'a> Sequence<'a> {
    /// A new sequence with room for `positions`; `None` if memory does not suffice.
    pub fn new(decoder: &'a Decoder, positions: usize) -> Option<Self> {
        let blocks = u32::try_from(positions.div_ceil(KV_BLOCK)).ok()?;
        Some(Self {
            decoder,
            pool: decoder.pool(blocks as usize)?,
            table: (0..blocks).collect(),
            position: 0,
        })
    }

    /// The position the next token gets.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Feeds tokens. Positions `sampled_from..` of them are sampled: their states come back.
    ///
    /// # Panics
    /// If a token is outside the embedding, there is no room for it, or the device fails.
    pub fn feed(&mut self, tokens: &[u32], sampled_from: usize) -> Fed {
        let mut fed = Fed {
            states: Vec::new(),
            fault: None,
        };
        for (index, chunk) in tokens.chunks(CHUNK).enumerate() {
            let sampled_from = sampled_from.saturating_sub(index * CHUNK);
            let output = self.step(chunk, sampled_from, None).unwrap_or_else(failed);
            fed.states.extend_from_slice(&output.states);
            fed.fault = output.fault;
            if fed.fault.is_some() {
                break;
            }
        }
        fed
    }

    /// One step; at least one token, and no more than go through the layers together.
    pub(crate) fn step(
        &mut self,
        tokens: &[u32],
        sampled_from: usize,
        choice: Option<Choice>,
    ) -> Result<RunOutput, DeviceError> {
        let run = Run {
            tokens: tokens.to_vec(),
            first: self.position,
            table: self.table.clone(),
            sampled_from: sampled_from.min(tokens.len()),
            choice,
        };
        self.position += tokens.len();
        Ok(self.pool.step(vec![run])?.remove(0))
    }

    /// The head: logits of states, `[state][vocabulary]`.
    ///
    /// # Errors
    /// On an overflow, the index of the first state that cannot be quantised.
    ///
    /// # Panics
    /// If the device fails.
    pub fn logits(&mut self, states: &[f32]) -> Result<Vec<f32>, usize> {
        self.pool.logits(states).unwrap_or_else(failed)
    }

    /// The fault of a state that [`Sequence::logits`] could not quantise, at this position.
    ///
    /// # Panics
    /// If the device fails.
    pub fn head_fault(&self, position: usize) -> FeedFault {
        let layer = self.decoder.config().layers - 1;
        let row = self.pool.key_row(layer, &self.table, position);
        FeedFault {
            code: FaultCode::ActivationOverflow,
            position,
            last_key_row: row.unwrap_or_else(failed),
        }
    }
}

/// For callers that only look: there is nothing they could do about it.
fn failed<T>(error: DeviceError) -> T {
    panic!("{error}")
}
