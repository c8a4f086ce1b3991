//! The processor: compute threads over weights in the system's memory.

use std::sync::Arc;

use half::f16;

use crate::{
    bench::{BandwidthMeter, ReadBandwidth},
    config::DecoderConfig,
    decoder::{Network, Pass, Run, RunOutput},
    kv::KvStore,
    threads::Threads,
};

use super::{Backend, DeviceError, DeviceReport, Pace, Pool};

/// A network on compute threads.
#[derive(Debug)]
pub(crate) struct Processor {
    network: Arc<Network>,
    threads: Threads,
}

impl Processor {
    pub(crate) fn new(network: Arc<Network>, threads: Threads) -> Self {
        Self { network, threads }
    }

    /// The weights, for the mode that shows what quantising changes.
    #[cfg(feature = "f32-mode")]
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// The threads.
    pub(crate) fn threads(&self) -> &Threads {
        &self.threads
    }
}

impl Backend for Processor {
    fn config(&self) -> &DecoderConfig {
        self.network.config()
    }

    fn device(&self) -> DeviceReport {
        let kernel = self.network.kernel().name();
        let threads = self.threads.count();
        DeviceReport {
            name: format!("CPU ({kernel}, {threads} threads)"),
            driver: None,
            kernel,
            memory: None,
        }
    }

    fn weight_bytes(&self) -> usize {
        self.network.bytes()
    }

    fn read_bytes(&self) -> usize {
        self.network.read_bytes()
    }

    fn bandwidth_meter(&self, bytes: usize) -> Result<Box<dyn BandwidthMeter>, DeviceError> {
        Ok(Box::new(ReadBandwidth::new(bytes, self.threads.count())))
    }

    fn pace(&self) -> Pace {
        Pace {
            step_rows: 128,
            running: 16,
        }
    }

    fn blocks_that_fit(&self) -> Option<usize> {
        None
    }

    fn pool(&self, blocks: usize) -> Option<Box<dyn Pool>> {
        let store = KvStore::new(self.network.config(), blocks)?;
        Some(Box::new(ProcessorPool {
            pass: Pass::new(self.network.clone()),
            store: Arc::new(store),
            threads: self.threads.clone(),
        }))
    }

    fn settle_caller(&self) {
        self.threads.pin_caller();
    }

    fn processor(&self) -> Option<&Processor> {
        Some(self)
    }
}

/// Keys and values in the system's memory.
#[derive(Debug)]
struct ProcessorPool {
    pass: Arc<Pass>,
    store: Arc<KvStore>,
    threads: Threads,
}

impl Pool for ProcessorPool {
    fn step(&mut self, runs: Vec<Run>) -> Result<Vec<RunOutput>, DeviceError> {
        Ok(self.pass.step(&self.threads, &self.store, runs))
    }

    fn logits(&mut self, states: &[f32]) -> Result<Result<Vec<f32>, usize>, DeviceError> {
        Ok(self.pass.logits(&self.threads, states))
    }

    fn key_row(
        &self,
        layer: usize,
        table: &[u32],
        position: usize,
    ) -> Result<Vec<f16>, DeviceError> {
        Ok(self.store.key_row(layer, table, position))
    }
}
