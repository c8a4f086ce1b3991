//! One device to run on, opened anew for each model.

use std::{fmt, path::Path, sync::Arc};

use genesisflow_cuda::{
    device::{self, Device},
    driver::CudaDevice,
};

use crate::{
    backend::DeviceError,
    bench::{best_of, Bandwidth, CopyBandwidth, Lengths, ReadBandwidth},
    model::{LoadError, LoadOptions, Model},
};

/// Opens a device. Each decoder needs one that no other uses.
pub type OpenDevice = dyn Fn() -> Result<Arc<dyn Device>, device::DeviceError> + Send + Sync;

/// Where models run.
#[derive(Clone)]
pub enum Place {
    /// The processor.
    Processor(LoadOptions),
    /// A device with memory of its own.
    Device(Arc<OpenDevice>),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processor(options) => f.debug_tuple("Processor").field(options).finish(),
            Self::Device(_) => f.debug_tuple("Device").finish_non_exhaustive(),
        }
    }
}

impl Place {
    /// The card with this number, as its driver counts.
    pub fn card(index: usize) -> Self {
        Self::opened_by(move || Ok(Arc::new(CudaDevice::open(index)?)))
    }

    /// A device that is opened like this.
    pub fn opened_by(
        open: impl Fn() -> Result<Arc<dyn Device>, device::DeviceError> + Send + Sync + 'static,
    ) -> Self {
        Self::Device(Arc::new(open))
    }

    /// Loads a model, as [`Model::load`] does.
    ///
    /// # Errors
    /// As [`Model::load`] and [`Model::load_on_device`].
    pub fn model(&self, dir: &Path) -> Result<Model, LoadError> {
        match self {
            Self::Processor(options) => Model::load_with(dir, *options),
            // Before anything is read: without it the rest is for nothing.
            Self::Device(open) => Model::load_on_device(dir, open().map_err(DeviceError::from)?),
        }
    }

    /// Measures its bandwidth while nothing of this program runs there, by moving so many bytes;
    /// a device needs twice as many. Of the passes the fastest counts.
    ///
    /// # Errors
    /// [`DeviceError`] if the device cannot be opened, has too little memory, or fails.
    pub fn bandwidth(&self, bytes: usize, passes: usize) -> Result<Bandwidth, DeviceError> {
        match self {
            Self::Processor(options) => {
                best_of(passes, &mut ReadBandwidth::new(bytes, options.threads))
            }
            Self::Device(open) => {
                let device = open().map_err(DeviceError::from)?;
                best_of(passes, &mut CopyBandwidth::new(&device, bytes)?)
            }
        }
    }

    /// Lengths of runs that can be timed well there.
    pub fn lengths(&self) -> Lengths {
        match self {
            Self::Processor(_) => Lengths {
                prefill: 512,
                prompt: 32,
                steps: 8,
                replayed: 256,
                moved: 512 << 20,
            },
            Self::Device(_) => Lengths {
                prefill: 2048,
                prompt: 128,
                steps: 64,
                replayed: 1024,
                moved: 1 << 30,
            },
        }
    }
}
