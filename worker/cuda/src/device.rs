//! What the decoder needs of a device: memory, copies, and launches of kernels by name.
//!
//! Two things implement [`Device`]: a CUDA card through its driver, and the shim that runs the
//! same kernels, compiled as plain C++, on a CPU. Everything above is written once, so that whole
//! models run through the very same steps on machines without a card.
//!
//! All work of a device is done in the order it was asked for (one stream). Copies into the device
//! and launches may return before they are done; [`Device::read`] and [`Device::synchronize`] wait.

use std::{fmt::Debug, marker::PhantomData, sync::Arc};

/// An address in a device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub u64);

/// One argument of a kernel, passed by value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// A pointer; 0 is the null pointer.
    Address(Address),
    /// A 32-bit unsigned integer.
    U32(u32),
    /// A 32-bit float.
    F32(f32),
}

impl Arg {
    /// The null pointer, where a kernel takes an optional one.
    pub const NULL: Self = Self::Address(Address(0));

    /// Bytes of the argument: 8 for a pointer, 4 for a number.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Address(_) => 8,
            Self::U32(_) | Self::F32(_) => 4,
        }
    }

    /// The argument's bytes, from the lowest; what a driver takes a pointer to.
    pub const fn bits(self) -> u64 {
        match self {
            Self::Address(address) => address.0,
            Self::U32(value) => value as u64,
            Self::F32(value) => value.to_bits() as u64,
        }
    }
}

/// A launch of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Name of the kernel in the sources.
    pub kernel: &'a str,
    /// Blocks along x, y, z; none is 0.
    pub grid: [u32; 3],
    /// Threads of a block; a multiple of 32, at most 1024.
    pub threads: u32,
    /// Bytes of dynamic shared memory. Above 48 KiB, a CUDA device must allow them first
    /// (`CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`); never above 96 KiB.
    pub shared_bytes: u32,
    /// The arguments in the order of the kernel's parameters.
    pub args: &'a [Arg],
}

/// A device could not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Too little memory is free.
    #[error("{device}: {bytes} bytes of device memory were asked for, {reason}")]
    OutOfMemory {
        /// The device.
        device: String,
        /// Bytes asked for.
        bytes: usize,
        /// What the device said.
        reason: String,
    },
    /// A kernel of this name is not part of the device's module.
    #[error("{device}: no kernel is called {kernel}; the worker's build is broken")]
    NoSuchKernel {
        /// The device.
        device: String,
        /// The name.
        kernel: String,
    },
    /// An operation failed.
    #[error("{device}: {operation} failed: {reason}")]
    Failed {
        /// The device.
        device: String,
        /// What was being done.
        operation: String,
        /// What the device said.
        reason: String,
    },
}

/// Memory of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes that can still be allocated.
    pub free: usize,
    /// All bytes.
    pub total: usize,
}

/// A sequence of launches that was recorded once and can be run again as a whole.
pub trait Graph: Debug + Send + Sync {
    /// Runs it again, with the same arguments on the memory's present content.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn replay(&self) -> Result<(), DeviceError>;
}

/// A device with memory of its own that runs kernels.
///
/// The methods that take addresses are unsafe: [`Buffer`] and [`Span`] wrap them with checks.
pub trait Device: Debug + Send + Sync {
    /// A name for messages, such as `NVIDIA H200 (device 0)`.
    fn name(&self) -> &str;

    /// The driver behind it and its version, `580.65.06 (CUDA 13.0)`; none if there is none.
    fn driver(&self) -> Option<String> {
        None
    }

    /// Free and total memory.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn memory(&self) -> Result<DeviceMemory, DeviceError>;

    /// Allocates `bytes` (above 0) of zeroed memory, aligned to 256 bytes.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`].
    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError>;

    /// Gives memory back after the work that was asked for before.
    ///
    /// # Safety
    /// `at` came from [`Device::allocate`] of this device with the same `bytes`, was not given
    /// back before and is not used afterwards.
    unsafe fn release(&self, at: Address, bytes: usize);

    /// Copies bytes into the device's memory. `from` may be changed once this returns.
    ///
    /// # Safety
    /// `from.len()` bytes from `to` lie in one allocation.
    ///
    /// # Errors
    /// [`DeviceError`].
    unsafe fn write(&self, to: Address, from: &[u8]) -> Result<(), DeviceError>;

    /// Copies bytes out of the device's memory, after all that was asked for before.
    ///
    /// # Safety
    /// `into.len()` bytes from `from` lie in one allocation.
    ///
    /// # Errors
    /// [`DeviceError`]; that of an earlier launch may show here.
    unsafe fn read(&self, from: Address, into: &mut [u8]) -> Result<(), DeviceError>;

    /// Sets `bytes` bytes to `value`.
    ///
    /// # Safety
    /// They lie in one allocation.
    ///
    /// # Errors
    /// [`DeviceError`].
    unsafe fn fill(&self, at: Address, bytes: usize, value: u8) -> Result<(), DeviceError>;

    /// Copies bytes within the device's memory.
    ///
    /// # Safety
    /// `bytes` bytes from `from` and from `to` lie in one allocation each, and do not overlap.
    ///
    /// # Errors
    /// [`DeviceError`].
    unsafe fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<(), DeviceError>;

    /// Launches a kernel.
    ///
    /// # Safety
    /// The arguments have the kernel's types in its order, and what it reads and writes lies in
    /// allocations of this device.
    ///
    /// # Errors
    /// [`DeviceError`]; a fault while the kernel runs may show at a later call.
    unsafe fn launch(&self, launch: &Launch) -> Result<(), DeviceError>;

    /// Waits for all that was asked for.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn synchronize(&self) -> Result<(), DeviceError>;

    /// Starts recording: until [`Device::end_recording`], launches and fills are noted and not
    /// done. Nothing may be allocated, read or written meanwhile. False if the device cannot.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn begin_recording(&self) -> Result<bool, DeviceError> {
        Ok(false)
    }

    /// Ends recording. `None` if nothing was being recorded.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn end_recording(&self) -> Result<Option<Box<dyn Graph>>, DeviceError> {
        Ok(None)
    }
}

/// Memory of a device that is given back when dropped.
#[derive(Debug)]
pub struct Buffer {
    device: Arc<dyn Device>,
    address: Address,
    bytes: usize,
}

impl Buffer {
    /// Zeroed memory of `bytes` bytes (1 if none are asked for).
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`].
    pub fn zeroed(device: &Arc<dyn Device>, bytes: usize) -> Result<Self, DeviceError> {
        let bytes = bytes.max(1);
        Ok(Self {
            device: device.clone(),
            address: device.allocate(bytes)?,
            bytes,
        })
    }

    /// Memory with this content.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn holding(device: &Arc<dyn Device>, content: &[u8]) -> Result<Self, DeviceError> {
        let buffer = Self::zeroed(device, content.len())?;
        buffer.span().write(content)?;
        Ok(buffer)
    }

    /// All of it.
    pub fn span(&self) -> Span<'_> {
        Span {
            device: &*self.device,
            address: self.address,
            bytes: self.bytes,
            buffer: PhantomData,
        }
    }

    /// Copies all of another buffer of the same device to its beginning.
    ///
    /// # Panics
    /// If it does not fit, or lies on another device.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn copy_from(&mut self, other: &Self) -> Result<(), DeviceError> {
        assert!(
            Arc::ptr_eq(&self.device, &other.device),
            "a copy within one device"
        );
        assert!(other.bytes <= self.bytes, "bytes copied to a buffer");
        // SAFETY: both are live allocations of this device and hold that many bytes; they are two,
        // since one is borrowed for changes.
        unsafe { self.device.copy(self.address, other.address, other.bytes) }
    }

    /// Its device.
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the address and size are those of the allocation this value owns.
        unsafe { self.device.release(self.address, self.bytes) }
    }
}

/// A part of a [`Buffer`]. Work on it is ordered by the device, so spans may overlap.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    device: &'a dyn Device,
    address: Address,
    bytes: usize,
    buffer: PhantomData<&'a Buffer>,
}

impl<'a> Span<'a> {
    /// `bytes` bytes from byte `offset` on.
    ///
    /// # Panics
    /// If they do not lie within.
    pub fn part(self, offset: usize, bytes: usize) -> Self {
        assert!(
            offset <= self.bytes && bytes <= self.bytes - offset,
            "bytes {offset}..+{bytes} of a buffer of {}",
            self.bytes
        );
        Self {
            address: Address(self.address.0 + offset as u64),
            bytes,
            ..self
        }
    }

    /// Everything from byte `offset` on.
    ///
    /// # Panics
    /// If `offset` lies beyond the end.
    pub fn from(self, offset: usize) -> Self {
        assert!(offset <= self.bytes);
        self.part(offset, self.bytes - offset)
    }

    /// Its size in bytes.
    pub fn bytes(self) -> usize {
        self.bytes
    }

    /// Where it begins.
    pub fn address(self) -> Address {
        self.address
    }

    /// Its device.
    pub fn device(self) -> &'a dyn Device {
        self.device
    }

    /// The argument by which a kernel gets it.
    pub fn arg(self) -> Arg {
        Arg::Address(self.address)
    }

    /// Copies bytes to its beginning.
    ///
    /// # Panics
    /// If they do not fit.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn write(self, content: &[u8]) -> Result<(), DeviceError> {
        assert!(content.len() <= self.bytes, "bytes written to a span");
        // SAFETY: the span lies in a live allocation and the bytes fit it.
        unsafe { self.device.write(self.address, content) }
    }

    /// Copies bytes from its beginning, after all that was asked for before.
    ///
    /// # Panics
    /// If so many are not there.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn read(self, into: &mut [u8]) -> Result<(), DeviceError> {
        assert!(into.len() <= self.bytes, "bytes read from a span");
        // SAFETY: the span lies in a live allocation and holds that many bytes.
        unsafe { self.device.read(self.address, into) }
    }

    /// Sets every byte to `value`.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn fill(self, value: u8) -> Result<(), DeviceError> {
        // SAFETY: the span lies in a live allocation.
        unsafe { self.device.fill(self.address, self.bytes, value) }
    }
}
