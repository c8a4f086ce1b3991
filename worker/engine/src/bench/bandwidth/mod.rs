//! How fast a device moves memory: the limit of decoding one sequence.
//!
//! What a shared machine lets through changes from second to second, so a share of a bandwidth
//! means something only if both were measured next to each other.

mod copy;
mod read;

use std::fmt;

use serde::Serialize;

use crate::backend::DeviceError;

pub use copy::CopyBandwidth;
pub use read::ReadBandwidth;

/// What of the memory's traffic is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// Bytes that are read.
    Read,
    /// Bytes that are read and bytes that are written while memory is copied.
    Copy,
}

/// A bandwidth that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bandwidth {
    /// What it counts.
    pub traffic: Traffic,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.bytes_per_second / 1e9;
        match self.traffic {
            Traffic::Read => write!(f, "{rate:.1} GB/s read"),
            Traffic::Copy => write!(f, "{rate:.1} GB/s copied (read and written)"),
        }
    }
}

/// Moves a device's memory as fast as it goes.
pub trait BandwidthMeter {
    /// What it counts.
    fn traffic(&self) -> Traffic;

    /// Bytes a second of one pass.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed.
    fn pass(&mut self) -> Result<f64, DeviceError>;
}

/// The fastest of several passes, at least one.
///
/// # Errors
/// [`DeviceError`] if the device failed.
pub fn best_of(passes: usize, meter: &mut dyn BandwidthMeter) -> Result<Bandwidth, DeviceError> {
    let mut best = 0.0f64;
    for _ in 0..passes.max(1) {
        best = best.max(meter.pass()?);
    }
    Ok(Bandwidth {
        traffic: meter.traffic(),
        bytes_per_second: best,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes that take as long as they are said to.
    struct Passes(Vec<f64>);

    impl BandwidthMeter for Passes {
        fn traffic(&self) -> Traffic {
            Traffic::Copy
        }

        fn pass(&mut self) -> Result<f64, DeviceError> {
            self.0.pop().ok_or_else(|| DeviceError {
                device: "none".into(),
                reason: "no pass is left".into(),
            })
        }
    }

    #[test]
    fn the_fastest_pass_counts_and_a_failed_one_is_no_figure() {
        let best = best_of(3, &mut Passes(vec![2e9, 7e9, 5e9])).unwrap();
        assert_eq!(best.bytes_per_second, 7e9);
        assert_eq!(best.to_string(), "7.0 GB/s copied (read and written)");
        assert!(best_of(2, &mut Passes(vec![1e9])).is_err());
    }
}
