//! Memory of the system that a card copies into and out of directly.

use std::{ffi::c_void, ptr::NonNull, slice};

use cudarc::driver::{result, DriverError};

/// Page-locked memory. A copy through it is one transfer, without waiting for the driver to stage
/// pieces of pageable memory.
#[derive(Debug)]
pub(super) struct Staging {
    at: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it owns its memory, as a `Box<[u8]>` does.
unsafe impl Send for Staging {}

impl Staging {
    /// Memory of at least one byte. A context of the card is current.
    pub(super) fn new(bytes: usize) -> Result<Self, DriverError> {
        // SAFETY: a plain allocation; the content is set below.
        let at = unsafe { result::malloc_host(bytes, 0)? }.cast::<u8>();
        let at = NonNull::new(at).ok_or(DriverError(
            cudarc::driver::sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY,
        ))?;
        // SAFETY: so many bytes were just allocated.
        unsafe { at.write_bytes(0, bytes) };
        Ok(Self { at, bytes })
    }

    /// Its size.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its content. No copy is under way.
    pub(super) fn content(&mut self) -> &mut [u8] {
        // SAFETY: it owns these bytes, they are initialised, and the borrow is exclusive.
        unsafe { slice::from_raw_parts_mut(self.at.as_ptr(), self.bytes) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // SAFETY: allocated by `malloc_host`, given back once. If the driver does not take it, the
        // process is about to end anyway.
        let _ = unsafe { result::free_host(self.at.as_ptr().cast::<c_void>()) };
    }
}
