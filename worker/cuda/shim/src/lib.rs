//! The CUDA kernels on a CPU: compiled as plain C++ from the same sources, launched through the
//! same [`Device`]. Slow, and exact: for tests of bits, on machines without a card.
//!
//! `cpp/shim.h` says what stands in for CUDA's instructions and threads.

use std::{
    alloc::{alloc, dealloc, Layout},
    collections::BTreeMap,
    ffi::{c_char, c_int, CString},
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex, PoisonError,
    },
};

use genesisflow_cuda::{Address, Arg, Device, DeviceError, DeviceMemory, Launch};

extern "C" {
    fn gf_shim_launch(
        name: *const c_char,
        grid: *const u32,
        threads: u32,
        shared_bytes: u32,
        args: *const u64,
        sizes: *const u8,
        count: u32,
        backwards: bool,
    ) -> c_int;
}

/// Bytes before and behind every allocation that no kernel may write to.
const GUARD: usize = 256;
const GUARD_BYTE: u8 = 0xa5;
/// Bytes that may be allocated in all.
const TOTAL: usize = 8 << 30;

/// A device that is the host's CPU and memory.
#[derive(Debug)]
pub struct Shim {
    /// Live allocations: address and size of what was asked for.
    allocations: Mutex<BTreeMap<u64, usize>>,
    launches: AtomicU64,
}

impl Shim {
    /// A device of its own.
    #[allow(clippy::new_ret_no_self)] // Everything above takes a shared device.
    pub fn new() -> Arc<dyn Device> {
        Arc::new(Self {
            allocations: Mutex::default(),
            launches: AtomicU64::new(0),
        })
    }

    fn failed(&self, operation: String, reason: String) -> DeviceError {
        DeviceError::Failed {
            device: self.name().into(),
            operation,
            reason,
        }
    }

    fn used(allocations: &BTreeMap<u64, usize>) -> usize {
        allocations.values().sum()
    }

    /// Whether the bytes around every allocation are untouched.
    fn guards_hold(&self) -> bool {
        let allocations = self
            .allocations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        allocations.iter().all(|(at, bytes)| {
            let at = *at as *const u8;
            // SAFETY: both guards belong to the allocation, which is live while it is listed, and
            // were written when it was made.
            let (before, behind) = unsafe {
                (
                    std::slice::from_raw_parts(at.sub(GUARD), GUARD),
                    std::slice::from_raw_parts(at.add(*bytes), GUARD),
                )
            };
            before.iter().chain(behind).all(|b| *b == GUARD_BYTE)
        })
    }

    fn memory_layout(bytes: usize) -> Option<Layout> {
        Layout::from_size_align(bytes.checked_add(2 * GUARD)?, 256).ok()
    }
}

impl Device for Shim {
    fn name(&self) -> &str {
        "CUDA kernels on the CPU"
    }

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        let allocations = self
            .allocations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(DeviceMemory {
            free: TOTAL.saturating_sub(Self::used(&allocations)),
            total: TOTAL,
        })
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError> {
        let mut allocations = self
            .allocations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let refused = |reason: &str| DeviceError::OutOfMemory {
            device: self.name().into(),
            bytes,
            reason: reason.into(),
        };
        if bytes > TOTAL.saturating_sub(Self::used(&allocations)) {
            return Err(refused("but the stand-in has 8 GiB in all"));
        }
        let layout =
            Self::memory_layout(bytes).ok_or_else(|| refused("which cannot be addressed"))?;
        // SAFETY: the layout's size is not 0.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            return Err(refused("but the system gave none"));
        }
        // SAFETY: all of it lies in the allocation just made.
        let at = unsafe {
            start.write_bytes(GUARD_BYTE, bytes + 2 * GUARD);
            let at = start.add(GUARD);
            at.write_bytes(0, bytes);
            at
        };
        allocations.insert(at as u64, bytes);
        Ok(Address(at as u64))
    }

    unsafe fn release(&self, at: Address, bytes: usize) {
        let mut allocations = self
            .allocations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if allocations.remove(&at.0).is_none() {
            return;
        }
        if let Some(layout) = Self::memory_layout(bytes) {
            // SAFETY: it was allocated with this layout, GUARD bytes before `at`, and was live
            // until it was taken off the list above.
            unsafe { dealloc((at.0 as *mut u8).sub(GUARD), layout) }
        }
    }

    unsafe fn write(&self, to: Address, from: &[u8]) -> Result<(), DeviceError> {
        // SAFETY: the caller's: so many bytes from `to` lie in one allocation, which is host
        // memory and cannot overlap a slice of the caller's.
        unsafe { (to.0 as *mut u8).copy_from_nonoverlapping(from.as_ptr(), from.len()) }
        Ok(())
    }

    unsafe fn read(&self, from: Address, into: &mut [u8]) -> Result<(), DeviceError> {
        // SAFETY: as for `write`.
        unsafe { (from.0 as *const u8).copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) }
        Ok(())
    }

    unsafe fn fill(&self, at: Address, bytes: usize, value: u8) -> Result<(), DeviceError> {
        // SAFETY: the caller's: the bytes lie in one allocation.
        unsafe { (at.0 as *mut u8).write_bytes(value, bytes) }
        Ok(())
    }

    unsafe fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<(), DeviceError> {
        // SAFETY: the caller's: both lie in allocations of so many bytes and do not overlap.
        unsafe { (to.0 as *mut u8).copy_from_nonoverlapping(from.0 as *const u8, bytes) }
        Ok(())
    }

    unsafe fn launch(&self, launch: &Launch) -> Result<(), DeviceError> {
        let operation = || {
            format!(
                "launch of {} with grid {:?}, {} threads, {} bytes",
                launch.kernel, launch.grid, launch.threads, launch.shared_bytes
            )
        };
        let no_such_kernel = || DeviceError::NoSuchKernel {
            device: self.name().into(),
            kernel: launch.kernel.into(),
        };
        let name = CString::new(launch.kernel).map_err(|_| no_such_kernel())?;
        let bits: Vec<u64> = launch.args.iter().map(|a| a.bits()).collect();
        let sizes: Vec<u8> = launch.args.iter().map(|a: &Arg| a.bytes() as u8).collect();
        // Every other launch runs the threads in the opposite order, so that one that depends on
        // an order shows.
        let backwards = self.launches.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        // SAFETY: the pointers are valid for so many elements during the call; the kernel's own
        // accesses are the caller's responsibility.
        let code = unsafe {
            gf_shim_launch(
                name.as_ptr(),
                launch.grid.as_ptr(),
                launch.threads,
                launch.shared_bytes,
                bits.as_ptr(),
                sizes.as_ptr(),
                bits.len() as u32,
                backwards,
            )
        };
        let reason = match code {
            0 if self.guards_hold() => return Ok(()),
            0 => "it wrote outside its buffers",
            1 => return Err(no_such_kernel()),
            2 => "the arguments are not the kernel's",
            3 => "threads or shared memory are not what the kernel needs",
            4 => "its threads did not come to the same barriers",
            _ => "unknown result",
        };
        Err(self.failed(operation(), reason.into()))
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        Ok(())
    }
}
