//! A device for tests that computes, until it is told to fail as a card does: every call after
//! that is an error, for as long as it is held.

use genesisflow_cuda::device::{Address, Device, DeviceError, DeviceMemory, Launch};
use genesisflow_cuda_shim::Shim;
use std::sync::{
    atomic::{AtomicUsize, Ordering},
    Arc,
};

/// The CUDA kernels on a CPU, in a card that may break.
#[derive(Debug)]
pub struct FailingDevice {
    inner: Arc<dyn Device>,
    /// Launches that still succeed.
    left: AtomicUsize,
}

impl FailingDevice {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Shim::new(),
            left: AtomicUsize::new(usize::MAX),
        })
    }

    /// Lets so many more launches succeed, and then nothing.
    pub fn fail_after(&self, launches: usize) {
        self.left.store(launches, Ordering::SeqCst);
    }

    fn still_works(&self, operation: &str) -> Result<(), DeviceError> {
        if self.left.load(Ordering::SeqCst) > 0 {
            return Ok(());
        }
        Err(DeviceError::Failed {
            device: self.name().into(),
            operation: operation.into(),
            reason: "it fell off the bus, for this test".into(),
        })
    }
}

impl Device for FailingDevice {
    fn name(&self) -> &str {
        "a card that may fail"
    }

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.still_works("asking for memory")?;
        self.inner.memory()
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError> {
        self.still_works("allocating")?;
        self.inner.allocate(bytes)
    }

    unsafe fn release(&self, at: Address, bytes: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.inner.release(at, bytes) }
    }

    unsafe fn write(&self, to: Address, from: &[u8]) -> Result<(), DeviceError> {
        self.still_works("copying to the card")?;
        // SAFETY: the caller's promise.
        unsafe { self.inner.write(to, from) }
    }

    unsafe fn read(&self, from: Address, into: &mut [u8]) -> Result<(), DeviceError> {
        self.still_works("copying from the card")?;
        // SAFETY: the caller's promise.
        unsafe { self.inner.read(from, into) }
    }

    unsafe fn fill(&self, at: Address, bytes: usize, value: u8) -> Result<(), DeviceError> {
        self.still_works("filling memory")?;
        // SAFETY: the caller's promise.
        unsafe { self.inner.fill(at, bytes, value) }
    }

    unsafe fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<(), DeviceError> {
        self.still_works("copying within the card")?;
        // SAFETY: the caller's promise.
        unsafe { self.inner.copy(to, from, bytes) }
    }

    unsafe fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError> {
        let one_less = |left: usize| Some(left.saturating_sub(1));
        let before = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        if before == Ok(0) {
            self.still_works(launch.kernel)?;
        }
        // SAFETY: the caller's promise.
        unsafe { self.inner.launch(launch) }
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        self.still_works("waiting for the card")
    }
}
