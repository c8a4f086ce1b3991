//! Canonical inference on NVIDIA cards, with the bits of every other machine.
//!
//! - [`device`]: what is needed of a device, whatever it is.
//! - [`layout`] and [`pack`]: how weights, activations and the key/value cache lie in its memory.
//! - [`operators`]: one function for each operator; it launches the right kernel.
//! - [`driver`]: cards, through NVIDIA's driver, which is opened at run time.
//!
//! The kernels are in `kernels/`, their machine-independent form ([`PTX`]) in `ptx/`, made by
//! `scripts/cuda-ptx.sh`. See `docs/cuda-kernels.md`.

pub mod device;
pub mod driver;
pub mod layout;
pub mod operators;
pub mod pack;

pub use device::{Address, Arg, Buffer, Device, DeviceError, DeviceMemory, Graph, Launch, Span};

/// All kernels, for the driver to compile for the card at hand (compute capability 8.0 or newer).
pub const PTX: &str = include_str!("../ptx/genesisflow.ptx");
