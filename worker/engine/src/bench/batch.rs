//! Several sequences that go through the decoder together.

use std::sync::Arc;

use genesisflow_canonical::{kernels::KV_BLOCK, SamplerSettings};

use crate::{
    backend::{DeviceError, Pool},
    decoder::{Choice, Decoder, Run},
    kv::KvStore,
};

/// Sequences of equal length, each with other tokens.
pub(super) struct Batch<'a> {
    decoder: &'a Decoder,
    pool: Box<dyn Pool>,
    tables: Vec<Arc<[u32]>>,
    choice: Choice,
    last: Vec<u32>,
    position: usize,
    /// Positions that go through the layers together at most while prompts are read.
    chunk: usize,
}

impl<'a> Batch<'a> {
    /// Sequences with room for so many positions each; `None` if memory does not suffice.
    pub(super) fn new(decoder: &'a Decoder, sequences: usize, positions: usize) -> Option<Self> {
        let blocks = positions.div_ceil(KV_BLOCK);
        let table = |sequence: usize| -> Arc<[u32]> {
            let first = sequence * blocks;
            (first as u32..(first + blocks) as u32).collect()
        };
        Some(Self {
            decoder,
            pool: decoder.pool(blocks.checked_mul(sequences)?)?,
            tables: (0..sequences).map(table).collect(),
            choice: Choice {
                settings: SamplerSettings::new(0, 1, 1000).ok()?,
                seed: [0; 32],
            },
            last: vec![0; sequences],
            position: 0,
            chunk: decoder.pace().step_rows,
        })
    }

    /// Feeds each sequence `count` tokens of its own; a token is sampled after the last.
    ///
    /// # Errors
    /// [`DeviceError`], as of every step.
    pub(super) fn prefill(&mut self, count: usize) -> Result<(), DeviceError> {
        for sequence in 0..self.tables.len() {
            let tokens = self.prompt(sequence, count);
            for (index, chunk) in tokens.chunks(self.chunk).enumerate() {
                let ends = index * self.chunk + chunk.len() == count;
                let run = Run {
                    tokens: chunk.to_vec(),
                    first: self.position + index * self.chunk,
                    table: self.tables[sequence].clone(),
                    sampled_from: chunk.len() - usize::from(ends),
                    choice: Some(self.choice),
                };
                let mut outputs = self.feed(vec![run])?;
                if let Some(token) = outputs.pop().flatten() {
                    self.last[sequence] = token;
                }
            }
        }
        self.position += count;
        Ok(())
    }

    /// A prompt of one sequence.
    fn prompt(&self, sequence: usize, count: usize) -> Vec<u32> {
        let vocabulary = self.decoder.config().vocab_size as u32;
        let token = |i: u32| (i * 7919 + 31 * sequence as u32) % vocabulary;
        (0..count as u32).map(token).collect()
    }

    /// Feeds the first sequence its prompt and claimed output tokens; returns the tokens that are
    /// sampled in the output's places.
    pub(super) fn replay(
        &mut self,
        prompt: usize,
        output: &[u32],
    ) -> Result<Vec<u32>, DeviceError> {
        let mut tokens = self.prompt(0, prompt);
        tokens.extend(&output[..output.len() - 1]);
        let mut sampled = Vec::new();
        for (index, chunk) in tokens.chunks(self.chunk).enumerate() {
            let first = index * self.chunk;
            let run = Run {
                tokens: chunk.to_vec(),
                first,
                table: self.tables[0].clone(),
                sampled_from: (prompt - 1).saturating_sub(first).min(chunk.len()),
                choice: Some(self.choice),
            };
            for output in self.pool.step(vec![run])? {
                sampled.extend(output.tokens);
            }
        }
        Ok(sampled)
    }

    /// The last token of the first sequence.
    pub(super) fn last(&self) -> Option<u32> {
        self.last.first().copied()
    }

    /// Bytes of its keys and values.
    pub(super) fn cache_bytes(&self) -> usize {
        let blocks: usize = self.tables.iter().map(|table| table.len()).sum();
        blocks * KvStore::block_bytes(self.decoder.config())
    }

    /// One more token of each sequence, the head included.
    pub(super) fn step(&mut self) -> Result<(), DeviceError> {
        let runs = self.tables.iter().zip(&self.last).map(|(table, last)| Run {
            tokens: vec![*last],
            first: self.position,
            table: table.clone(),
            sampled_from: 0,
            choice: Some(self.choice),
        });
        let runs = runs.collect();
        for (last, token) in self.feed(runs)?.into_iter().enumerate() {
            if let Some(token) = token {
                self.last[last] = token;
            }
        }
        self.position += 1;
        Ok(())
    }

    /// The last token sampled of each run.
    fn feed(&mut self, runs: Vec<Run>) -> Result<Vec<Option<u32>>, DeviceError> {
        let outputs = self.pool.step(runs)?.into_iter();
        Ok(outputs
            .map(|output| output.tokens.last().copied())
            .collect())
    }
}
