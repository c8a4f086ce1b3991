//! Decoders on devices of `genesisflow-cuda`: NVIDIA cards, and the shim that stands in for one in
//! tests.
//!
//! Weights, keys and values and all activations stay on the device. A step writes its tokens,
//! positions and block tables, launches the layers, and reads one stretch of results: faults,
//! candidates for the sampler and states. Steps that decode are recorded when their sizes come up
//! again, and then run as one.

mod cache;
mod pool;
mod rotary;
mod rows;
mod stages;
mod step;
mod weights;
mod workspace;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use genesisflow_canonical::kernels::{Kernel, KV_BLOCK};
use genesisflow_cuda::{
    device::{self, Device},
    layout,
};

use crate::{
    bench::{BandwidthMeter, CopyBandwidth},
    config::{ConfigError, DecoderConfig},
    decoder::DecoderError,
    weights::TensorSource,
};

use super::{Backend, DeviceError, DeviceMemory, DeviceReport, Pace, Pool};
use pool::DevicePool;
use rotary::Rotary;
use rows::Sizes;
use weights::Weights;
use workspace::Needs;

/// Positions up to which tables (of blocks, of angles) are set aside from the start; they grow when
/// longer sequences come.
const USUAL_POSITIONS: usize = 32 << 10;

/// Positions up to which all sequences of the pace attend side by side; of longer ones fewer do,
/// which keep a card as busy.
const SIDE_BY_SIDE: usize = 4 << 10;

/// The share of free memory, one in so many, that is left for what grows and for the driver.
const SPARE: usize = 40;

/// A decoder's weights on a device that is its alone.
#[derive(Debug)]
pub(crate) struct OnDevice(Arc<Loaded>);

/// What the pools of a decoder share.
#[derive(Debug)]
struct Loaded {
    // Before the device: buffers hold it anyway, but so it reads as it happens.
    weights: Weights,
    device: Arc<dyn Device>,
    /// For the choice among a device's candidates.
    kernel: Kernel,
    /// Held while the device is used: a step that is being recorded must not be disturbed.
    turn: Mutex<()>,
}

impl Loaded {
    fn turn(&self) -> MutexGuard<'_, ()> {
        // It guards no data.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Working memory for all steps of the pace's size over so many blocks, but for tables of
    /// longer sequences: an engine may have given everything else to keys and values.
    fn usual_needs(&self, pace: Pace, blocks: usize) -> Needs {
        let c = &self.weights.config;
        let positions = blocks.saturating_mul(KV_BLOCK).max(1);
        let rows = pace.step_rows.min(positions);
        // Jobs, and as many replays.
        let sequences = 2 * pace.running;
        let all_sampled = Sizes {
            sequences,
            stride: Sizes::stride(blocks.min(USUAL_POSITIONS / KV_BLOCK)),
            ..Sizes::of_states(rows)
        };
        // Sampled rows that are not all rows are listed by themselves.
        let some_sampled = Sizes {
            sampled: rows - 1,
            ..all_sampled
        };
        Needs::of(c, &all_sampled)
            .max(Needs::of(c, &some_sampled))
            .with_singles(
                c,
                pace.running.min(rows),
                Sizes::positions(positions.min(SIDE_BY_SIDE)),
            )
    }
}

impl OnDevice {
    /// Reads a decoder's weights and copies them to a device.
    pub(crate) fn load(
        device: Arc<dyn Device>,
        config: DecoderConfig,
        source: &mut dyn TensorSource,
    ) -> Result<Self, DecoderError> {
        config.check()?;
        check_size(&config)?;
        let weights = Weights::load(&device, config, source)?;
        Ok(Self(Arc::new(Loaded {
            weights,
            device,
            kernel: Kernel::detect(),
            turn: Mutex::new(()),
        })))
    }

    fn memory(&self) -> Option<device::DeviceMemory> {
        let _turn = self.0.turn();
        self.0.device.memory().ok()
    }
}

/// Refuses what the kernels cannot be launched for; far above real models.
fn check_size(c: &DecoderConfig) -> Result<(), ConfigError> {
    let qkv = (c.heads + 2 * c.kv_heads) * c.head_dim;
    let rows = layout::MAX_MATRIX_ROWS;
    for (key, size, found, most) in [
        ("vocab_size", c.vocab_size, c.vocab_size, rows),
        ("hidden_size", c.hidden_size, c.hidden_size, rows),
        (
            "intermediate_size",
            c.intermediate_size,
            2 * c.intermediate_size.next_multiple_of(8),
            rows,
        ),
        ("num_attention_heads", c.heads, qkv, rows),
        ("num_attention_heads", c.heads, c.heads, layout::MAX_HEADS),
    ] {
        if found > most {
            return Err(ConfigError::Invalid {
                key: key.into(),
                found: size.to_string(),
                expected: format!(
                    "makes {found} of what a card takes at most {most}; run the model on the CPU"
                ),
            });
        }
    }
    Ok(())
}

impl Backend for OnDevice {
    fn config(&self) -> &DecoderConfig {
        &self.0.weights.config
    }

    fn device(&self) -> DeviceReport {
        DeviceReport {
            name: self.0.device.name().into(),
            driver: self.0.device.driver(),
            kernel: "ptx",
            memory: self.memory().map(|memory| DeviceMemory {
                total: memory.total,
                free: memory.free,
            }),
        }
    }

    fn weight_bytes(&self) -> usize {
        self.0.weights.bytes()
    }

    fn read_bytes(&self) -> usize {
        self.0.weights.read_bytes()
    }

    fn bandwidth_meter(&self, bytes: usize) -> Result<Box<dyn BandwidthMeter>, DeviceError> {
        Ok(Box::new(CopyBandwidth::new(&self.0.device, bytes)?))
    }

    fn pace(&self) -> Pace {
        Pace {
            step_rows: 1024,
            running: 64,
        }
    }

    fn blocks_that_fit(&self) -> Option<usize> {
        let c = self.config();
        let block = 2 * c.layers * layout::kv_layer_bytes(1, c.kv_heads, c.head_dim);
        let needs = self.0.usual_needs(self.pace(), usize::MAX);
        // A device that does not answer has room for nothing.
        let free = self.memory().map_or(0, |memory| memory.free);
        let needed = needs.total() + Rotary::usual_bytes(c.head_dim);
        let left = (free - free / SPARE).saturating_sub(needed);
        Some(left / block)
    }

    fn pool(&self, blocks: usize) -> Option<Box<dyn Pool>> {
        let needs = self.0.usual_needs(self.pace(), blocks);
        let pool = DevicePool::new(self.0.clone(), blocks, needs).ok()?;
        Some(Box::new(pool))
    }
}

impl From<device::DeviceError> for DeviceError {
    fn from(error: device::DeviceError) -> Self {
        let (device, reason) = match &error {
            device::DeviceError::OutOfMemory {
                device,
                bytes,
                reason,
            } => (
                device,
                format!("{bytes} bytes of its memory cannot be had ({reason})"),
            ),
            device::DeviceError::NoSuchKernel { device, kernel } => {
                (device, format!("it has no kernel {kernel}"))
            }
            device::DeviceError::Failed {
                device,
                operation,
                reason,
            } => (device, format!("{operation}: {reason}")),
        };
        Self {
            device: device.clone(),
            reason,
        }
    }
}
