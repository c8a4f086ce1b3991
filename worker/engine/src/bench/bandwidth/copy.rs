//! How fast a device with memory of its own copies within it.

use std::{sync::Arc, time::Instant};

use genesisflow_cuda::device::{Buffer, Device};

use crate::backend::DeviceError;

use super::{BandwidthMeter, Traffic};

/// Copies in a row that are timed as one, so that starting them does not count.
const COPIES: usize = 4;

/// Two stretches of a device's memory.
#[derive(Debug)]
pub struct CopyBandwidth {
    from: Buffer,
    to: Buffer,
}

impl CopyBandwidth {
    /// Copies of so many bytes, for which the device needs twice as many.
    ///
    /// # Errors
    /// [`DeviceError`] if the device does not have them.
    pub fn new(device: &Arc<dyn Device>, bytes: usize) -> Result<Self, DeviceError> {
        Ok(Self {
            from: Buffer::zeroed(device, bytes)?,
            to: Buffer::zeroed(device, bytes)?,
        })
    }
}

impl BandwidthMeter for CopyBandwidth {
    fn traffic(&self) -> Traffic {
        Traffic::Copy
    }

    fn pass(&mut self) -> Result<f64, DeviceError> {
        let device = self.from.device().clone();
        device.synchronize()?;
        let start = Instant::now();
        for _ in 0..COPIES {
            self.to.copy_from(&self.from)?;
        }
        device.synchronize()?;
        let moved = 2 * COPIES * self.from.bytes();
        Ok(moved as f64 / start.elapsed().as_secs_f64())
    }
}
