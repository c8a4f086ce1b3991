//! Steps over a device's key/value blocks.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard},
};

use genesisflow_canonical::{
    kernels::{Kernel, KV_BLOCK},
    sampler::{Candidate, MAX_TOP_K},
};
use genesisflow_cuda::{
    device::{DeviceError, Graph, Span},
    operators,
};
use half::f16;

use crate::{
    backend::{self, Pool},
    decoder::{Choice, FeedFault, Run, RunOutput},
};

use super::{
    cache::Cache,
    rotary::Rotary,
    rows::{Laid, Sizes},
    stages::{self, Stage},
    step::Step,
    workspace::{Needs, Results, Workspace, HEAD_ROWS},
    Loaded,
};

/// Recorded steps that are kept at most; when there are more, all are forgotten.
const RECORDINGS: usize = 256;

/// Candidates that a device leaves room for in each row.
const ROOM: usize = MAX_TOP_K as usize;

/// A pool on a device.
#[derive(Debug)]
pub(super) struct DevicePool {
    loaded: Arc<Loaded>,
    /// None only while this is dropped.
    held: Option<Held>,
}

/// What a pool holds of the device's memory.
#[derive(Debug)]
struct Held {
    cache: Cache,
    rotary: Rotary,
    space: Workspace,
    /// The block tables that the device has.
    tables: Vec<u32>,
    /// Steps by their sizes: none until one has come up twice.
    recordings: HashMap<Sizes, Option<Box<dyn Graph>>>,
}

impl DevicePool {
    pub(super) fn new(
        loaded: Arc<Loaded>,
        blocks: usize,
        needs: Needs,
    ) -> Result<Self, DeviceError> {
        let turn = loaded.turn();
        let (device, weights) = (&loaded.device, &loaded.weights);
        let most = blocks.max(1) * KV_BLOCK;
        let held = Held {
            cache: Cache::new(device, &weights.config, blocks)?,
            rotary: Rotary::new(device, &weights.frequencies, 1, most)?,
            space: Workspace::new(device, needs)?,
            tables: Vec::new(),
            recordings: HashMap::new(),
        };
        drop(turn);
        Ok(Self {
            loaded,
            held: Some(held),
        })
    }

    /// The device for this thread alone, and what the pool holds of it.
    fn take_turn(&mut self) -> (MutexGuard<'_, ()>, &Loaded, Option<&mut Held>) {
        (self.loaded.turn(), &self.loaded, self.held.as_mut())
    }
}

impl Held {
    /// Makes room for a step. Whatever is replaced is in recorded steps.
    fn reserve(&mut self, loaded: &Loaded, needs: Needs, last: usize) -> Result<(), DeviceError> {
        if !self.space.has_room(&needs) {
            self.recordings.clear();
            self.tables.clear();
            self.space.make_room(&loaded.device, &needs)?;
        }
        if last >= self.rotary.positions() {
            self.recordings.clear();
            let most = self.cache.blocks() * KV_BLOCK;
            let frequencies = &loaded.weights.frequencies;
            self.rotary = Rotary::new(&loaded.device, frequencies, last + 1, most)?;
        }
        Ok(())
    }

    fn step<'a>(&'a self, loaded: &'a Loaded, sizes: Sizes) -> Step<'a> {
        Step {
            device: &*loaded.device,
            weights: &loaded.weights,
            space: &self.space,
            cache: &self.cache,
            rope: self.rotary.rope(),
            sizes,
        }
    }

    /// Runs a step whose inputs are there: as it was recorded, if it came up before.
    fn launch(&mut self, loaded: &Loaded, sizes: Sizes) -> Result<(), DeviceError> {
        if let Some(Some(graph)) = self.recordings.get(&sizes) {
            return graph.replay();
        }
        let is_known = self.recordings.contains_key(&sizes);
        if sizes.is_decode() && is_known && loaded.device.begin_recording()? {
            let launched = self.step(loaded, sizes).launch();
            // Whatever happened, the recording must end.
            let graph = loaded.device.end_recording();
            launched?;
            match graph {
                Ok(Some(graph)) => {
                    graph.replay()?;
                    self.recordings.insert(sizes, Some(graph));
                    return Ok(());
                }
                Ok(None) => {}
                // Recordings take memory, too: do without them. If more is wrong with the device,
                // the launches below find out.
                Err(_) => self.recordings.clear(),
            }
        }
        if sizes.is_decode() && !is_known {
            if self.recordings.len() >= RECORDINGS {
                self.recordings.clear();
            }
            self.recordings.insert(sizes, None);
        }
        self.step(loaded, sizes).launch()
    }

    /// A step from runs to what they gave.
    fn run(&mut self, loaded: &Loaded, runs: &[Run]) -> Result<Vec<RunOutput>, DeviceError> {
        let c = &loaded.weights.config;
        let laid = Laid::new(runs, c.group(), c.head_dim);
        let last = runs
            .iter()
            .map(|run| run.first + run.tokens.len() - 1)
            .max();
        self.reserve(loaded, Needs::of(c, &laid.sizes), last.unwrap_or(0))?;
        self.space.inputs.span().write(&words(&laid.inputs))?;
        if self.tables != laid.tables {
            self.space.tables.span().write(&words(&laid.tables))?;
            self.tables.clone_from(&laid.tables);
        }
        self.launch(loaded, laid.sizes)?;
        let places = Results::of(c, &laid.sizes);
        let mut results = vec![0; places.bytes];
        self.space.results.span().read(&mut results)?;
        let read = Read {
            laid: &laid,
            places,
            bytes: &results,
            hidden_size: c.hidden_size,
            vocabulary: c.vocab_size,
            kernel: loaded.kernel,
        };
        read.outputs(runs, |code, run, position| {
            self.fault(c.layers, code, run, position)
        })
    }

    /// What a fault's code says, for a run's position.
    fn fault(
        &self,
        layers: usize,
        code: u32,
        run: &Run,
        position: usize,
    ) -> Result<FeedFault, DeviceError> {
        let (code, before) = stages::read(code);
        let last_key = before.last_key(layers, position);
        let last_key_row = match last_key {
            Some((layer, position)) => self.cache.key_row(layer, &run.table, position)?,
            None => Vec::new(),
        };
        Ok(FeedFault {
            code,
            position,
            last_key_row,
        })
    }

    fn logits(
        &mut self,
        loaded: &Loaded,
        states: &[f32],
    ) -> Result<Result<Vec<f32>, usize>, DeviceError> {
        let c = &loaded.weights.config;
        let n = c.hidden_size;
        let mut all = Vec::new();
        for (index, chunk) in states.chunks(HEAD_ROWS * n).enumerate() {
            let count = chunk.len() / n;
            let sizes = Sizes::of_states(count);
            self.reserve(loaded, Needs::of(c, &sizes), 0)?;
            let step = self.step(loaded, sizes);
            let hidden = self.space.hidden[0].span();
            let bytes: Vec<u8> = chunk.iter().flat_map(|x| x.to_le_bytes()).collect();
            hidden.write(&bytes)?;
            let at: Span<'_> = self.space.results.span().part(0, 4 * count);
            at.fill(0xff)?;
            let faults = operators::Faults {
                at,
                row_of: None,
                code: Stage::Rest(0).code(),
            };
            let quantized = self.space.quantized();
            operators::quantize(&*loaded.device, hidden, count, n, quantized, faults)?;
            step.logits(0, count)?;
            let mut found = vec![0; 4 * count];
            at.read(&mut found)?;
            let is_fault = |row: &usize| word(&found, *row) != stages::NONE;
            if let Some(row) = (0..count).find(is_fault) {
                return Ok(Err(index * HEAD_ROWS + row));
            }
            let mut logits = vec![0; 4 * count * c.vocab_size];
            self.space.logits.span().read(&mut logits)?;
            all.extend(floats(&logits));
        }
        Ok(Ok(all))
    }
}

/// A step's results, as they came from the device.
struct Read<'a> {
    laid: &'a Laid,
    places: Results,
    bytes: &'a [u8],
    hidden_size: usize,
    vocabulary: usize,
    kernel: Kernel,
}

impl Read<'_> {
    /// What each run gave. `fault` makes one of a code, a run and a position.
    fn outputs(
        &self,
        runs: &[Run],
        fault: impl Fn(u32, &Run, usize) -> Result<FeedFault, DeviceError>,
    ) -> Result<Vec<RunOutput>, DeviceError> {
        // The lowest row with a fault counts; those behind it were computed for nothing.
        let mut faults: Vec<Option<(usize, u32)>> = vec![None; runs.len()];
        for (rank, (run, index)) in self.laid.all.places.iter().enumerate() {
            let code = word(&self.bytes[self.places.faults..], rank);
            let found = &mut faults[*run];
            if code != stages::NONE && found.is_none_or(|(lowest, _)| *index < lowest) {
                *found = Some((*index, code));
            }
        }
        let mut outputs = Vec::with_capacity(runs.len());
        for (run, found) in runs.iter().zip(&faults) {
            let fault = found.map(|(index, code)| fault(code, run, run.first + index));
            outputs.push(RunOutput {
                states: Vec::new(),
                tokens: Vec::new(),
                fault: fault.transpose()?,
            });
        }
        for (rank, (run, index)) in self.laid.sampled.places.iter().enumerate() {
            if faults[*run].is_some_and(|(lowest, _)| *index >= lowest) {
                continue;
            }
            let output: &mut RunOutput = &mut outputs[*run];
            let state = self.places.states + 4 * rank * self.hidden_size;
            let state = &self.bytes[state..][..4 * self.hidden_size];
            output.states.extend(floats(state));
            if let Some(choice) = runs[*run].choice {
                // The sampled token's own index.
                let position = (runs[*run].first + index + 1) as u64;
                output.tokens.push(self.choose(rank, choice, position));
            }
        }
        Ok(outputs)
    }

    fn choose(&self, rank: usize, choice: Choice, position: u64) -> u32 {
        let wanted = choice.settings.candidates().min(self.vocabulary);
        let bytes = &self.bytes[self.places.candidates..];
        let candidate = |index: usize| Candidate {
            logit: f32::from_bits(word(bytes, 2 * (rank * ROOM + index))),
            id: word(bytes, 2 * (rank * ROOM + index) + 1),
        };
        let candidates: Vec<Candidate> = (0..wanted).map(candidate).collect();
        let Choice { settings, seed } = choice;
        self.kernel.choose(&candidates, settings, &seed, position)
    }
}

impl Pool for DevicePool {
    fn step(&mut self, runs: Vec<Run>) -> Result<Vec<RunOutput>, backend::DeviceError> {
        let (_turn, loaded, held) = self.take_turn();
        match held {
            Some(held) => Ok(held.run(loaded, &runs)?),
            None => Ok(Vec::new()),
        }
    }

    fn logits(&mut self, states: &[f32]) -> Result<Result<Vec<f32>, usize>, backend::DeviceError> {
        let (_turn, loaded, held) = self.take_turn();
        match held {
            Some(held) => Ok(held.logits(loaded, states)?),
            None => Ok(Ok(Vec::new())),
        }
    }

    fn key_row(
        &self,
        layer: usize,
        table: &[u32],
        position: usize,
    ) -> Result<Vec<f16>, backend::DeviceError> {
        let _turn = self.loaded.turn();
        match &self.held {
            Some(held) => Ok(held.cache.key_row(layer, table, position)?),
            None => Ok(Vec::new()),
        }
    }
}

impl Drop for DevicePool {
    /// Memory is given back when nobody records a step.
    fn drop(&mut self) {
        let _turn = self.loaded.turn();
        self.held = None;
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn word(bytes: &[u8], index: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[4 * index..4 * index + 4]);
    u32::from_le_bytes(word)
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes
        .chunks_exact(4)
        .map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]]))
}
