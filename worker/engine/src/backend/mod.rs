//! Between scheduler and compute: what carries out the steps of a decoder.
//!
//! Jobs, batches, admission, the prefix cache and replay are the same whatever a decoder runs on;
//! a backend holds its weights and gives out pools of key/value blocks, and a pool takes steps. One
//! call a step goes through these traits, so they cost nothing that could be measured. The
//! processor is the first backend, and defines the bits of all others.

mod cuda;
mod processor;

pub(crate) use cuda::OnDevice;
pub(crate) use processor::Processor;

use std::fmt;

use half::f16;
use serde::Serialize;

use crate::{
    bench::BandwidthMeter,
    config::DecoderConfig,
    decoder::{Run, RunOutput},
};

/// A device failed while it computed. What it held is lost; nothing of the step counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{device} failed: {reason}; jobs on it end without a result, and it is not used again before \
     the program is started anew"
)]
pub struct DeviceError {
    /// Which device.
    pub device: String,
    /// What it said.
    pub reason: String,
}

/// What a decoder runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceReport {
    /// Its name, as its driver or this program calls it.
    pub name: String,
    /// Its driver and that one's version; none if it needs none.
    pub driver: Option<String>,
    /// Which kernels it runs: those of an instruction set, or `ptx`.
    pub kernel: &'static str,
    /// Memory of its own; none if it uses the system's.
    pub memory: Option<DeviceMemory>,
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.driver {
            Some(driver) => write!(f, ", driver {driver}")?,
            None => f.write_str(", no driver")?,
        }
        if let Some(memory) = self.memory {
            let gib = memory.total as f64 / (1u64 << 30) as f64;
            write!(f, ", {gib:.1} GiB")?;
        }
        Ok(())
    }
}

/// A device's own memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceMemory {
    /// All of it.
    pub total: usize,
    /// What nobody uses, as of now.
    pub free: usize,
}

/// How much a backend does best at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Positions that go through the layers in one step.
    pub step_rows: usize,
    /// Sequences that are decoded together.
    pub running: usize,
}

/// A decoder's weights on a device.
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// What the decoder is made of.
    fn config(&self) -> &DecoderConfig;

    /// The device.
    fn device(&self) -> DeviceReport;

    /// Bytes of the weights.
    fn weight_bytes(&self) -> usize;

    /// Bytes of the weights that a step reads which decodes one token: all but an embedding that
    /// is not the head.
    fn read_bytes(&self) -> usize;

    /// What measures the device's bandwidth, by moving so many bytes. Nothing else uses the device
    /// meanwhile.
    ///
    /// # Errors
    /// [`DeviceError`] if it has too little memory.
    fn bandwidth_meter(&self, bytes: usize) -> Result<Box<dyn BandwidthMeter>, DeviceError>;

    /// How much it does best at once.
    fn pace(&self) -> Pace;

    /// Blocks of keys and values that the device has room for now; none if the system decides.
    fn blocks_that_fit(&self) -> Option<usize>;

    /// Working memory, and so many blocks for keys and values; none if memory does not suffice.
    fn pool(&self, blocks: usize) -> Option<Box<dyn Pool>>;

    /// Told by the thread that is going to bring all steps of a pool.
    fn settle_caller(&self) {}

    /// The backend as the processor, if it is that.
    fn processor(&self) -> Option<&Processor> {
        None
    }
}

/// Blocks of keys and values, and steps over them. Each sequence names its blocks in a table.
pub(crate) trait Pool: fmt::Debug + Send {
    /// Feeds the runs' tokens; says for each run what it gave. The tokens are inside the embedding,
    /// and every run has at least one.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed; the pool is of no use any more then.
    fn step(&mut self, runs: Vec<Run>) -> Result<Vec<RunOutput>, DeviceError>;

    /// The head: logits of states, `[state][vocabulary]`; or the index of the first state that
    /// cannot be quantised.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed.
    fn logits(&mut self, states: &[f32]) -> Result<Result<Vec<f32>, usize>, DeviceError>;

    /// The key row of a position that was written, all KV heads in ascending order.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed.
    fn key_row(
        &self,
        layer: usize,
        table: &[u32],
        position: usize,
    ) -> Result<Vec<f16>, DeviceError>;
}
