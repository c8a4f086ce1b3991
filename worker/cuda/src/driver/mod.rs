//! The real thing: NVIDIA cards through their driver.
//!
//! The driver's library is opened at run time, so that one program runs with and without it; the
//! kernels come as PTX text, which the driver compiles for the card at hand.

mod card;
mod device;
mod recording;
mod staging;

pub use card::{cards, Card, NoCards, OLDEST_CAPABILITY, OLDEST_DRIVER};
pub use device::CudaDevice;

use cudarc::driver::DriverError;

use crate::device::DeviceError;

/// What the driver says of an error, in words.
fn reason(error: DriverError) -> String {
    match error.error_string() {
        Ok(text) => format!("{} ({:?})", text.to_string_lossy(), error.0),
        Err(_) => format!("{:?}", error.0),
    }
}

/// An operation that failed.
fn failed(device: &str, operation: &str, error: DriverError) -> DeviceError {
    DeviceError::Failed {
        device: device.into(),
        operation: operation.into(),
        reason: reason(error),
    }
}
