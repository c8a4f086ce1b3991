//! Memory for weights: large pieces on huge pages, shared by the matrices of a model.
//!
//! Decoding reads every weight once a token, and on pages of 4 KiB looking up addresses costs about
//! a quarter of the bandwidth. Linux gives pages of 2 MiB to memory that asks for them. Matrices
//! smaller than that would waste most of such a page, so they are placed side by side in chunks.

use std::{
    alloc::{alloc, dealloc, handle_alloc_error, Layout},
    mem::MaybeUninit,
    ops::{Deref, DerefMut, Range},
    ptr::NonNull,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Size and alignment of a huge page, in bytes.
const HUGE_PAGE: usize = 2 << 20;
/// Bytes of a chunk that several matrices share; what needs more gets a chunk of its own.
const CHUNK: usize = 16 * HUGE_PAGE;
/// Alignment of everything in a chunk: a cache line.
const LINE: usize = 64;

/// Elements in the memory of weights, of a fixed number, owned.
#[derive(Debug)]
pub(super) struct WeightMemory<T> {
    at: NonNull<T>,
    len: usize,
    /// Keeps the memory; absent where there are no elements.
    _chunk: Option<Arc<Chunk>>,
}

// SAFETY: its elements belong to it alone, as those of a `Vec` do; the chunk itself is not touched.
unsafe impl<T: Send> Send for WeightMemory<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for WeightMemory<T> {}

/// Memory from the allocator, given back when nothing in it is used any more.
#[derive(Debug)]
struct Chunk {
    at: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the pointer is only used to hand out parts and to give the memory back.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

/// The chunk that is being filled, if it is still in use, and the bytes of it that are taken.
static CURRENT: Mutex<(Weak<Chunk>, usize)> = Mutex::new((Weak::new(), 0));

impl Chunk {
    /// Memory for `bytes` bytes, which ends with a huge page.
    fn new(bytes: usize) -> Arc<Self> {
        let size = bytes.checked_next_multiple_of(HUGE_PAGE);
        let layout = size.and_then(|size| Layout::from_size_align(size, HUGE_PAGE).ok());
        let Some(layout) = layout else {
            // More than an address space: the same end as of memory that is not there.
            handle_alloc_error(Layout::new::<u8>())
        };
        // SAFETY: the size is not zero.
        let Some(at) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        // SAFETY: this memory was just allocated, and uninitialised bytes are allowed in it.
        let memory = unsafe {
            std::slice::from_raw_parts_mut(at.cast::<MaybeUninit<u8>>().as_ptr(), layout.size())
        };
        ask_for_huge_pages(memory);
        Arc::new(Self { at, layout })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; whoever uses a part of it holds the chunk.
        unsafe { dealloc(self.at.as_ptr(), self.layout) }
    }
}

/// Asks the system for huge pages under `memory`, best before it is first written to: for large
/// memory that is read as a whole, such as a pool of keys and values.
///
/// Elsewhere than on Linux, and where Linux declines, nothing changes. Memory on huge pages becomes
/// resident 2 MiB at a time.
pub fn ask_for_huge_pages<T>(memory: &mut [T]) {
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    {
        use std::ffi::{c_int, c_void};
        extern "C" {
            fn madvise(at: *mut c_void, bytes: usize, advice: c_int) -> c_int;
        }
        /// `MADV_HUGEPAGE` of Linux's `mman.h`.
        const HUGE: c_int = 14;
        let Range { start, end } = memory.as_mut_ptr_range();
        // Whole huge pages only: they are whole pages of any size, as the call requires.
        let skipped = start.addr().next_multiple_of(HUGE_PAGE) - start.addr();
        let bytes = (end.addr() - start.addr()).saturating_sub(skipped) / HUGE_PAGE * HUGE_PAGE;
        if bytes > 0 {
            // SAFETY: the range lies in `memory`, and the advice changes how it is mapped, never
            // what it holds.
            unsafe { madvise(start.wrapping_byte_add(skipped).cast(), bytes, HUGE) };
        }
    }
    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    let _ = memory;
}

/// Takes `bytes` bytes from a chunk; nobody else gets them as long as the chunk lives.
fn take(bytes: usize) -> (NonNull<u8>, Arc<Chunk>) {
    if bytes > CHUNK / 2 {
        let chunk = Chunk::new(bytes);
        return (chunk.at, chunk);
    }
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let (chunk, used) = match current.0.upgrade() {
        Some(chunk) if chunk.layout.size() - current.1 >= bytes => (chunk, current.1),
        _ => (Chunk::new(CHUNK), 0),
    };
    *current = (
        Arc::downgrade(&chunk),
        (used + bytes).next_multiple_of(LINE).min(CHUNK),
    );
    // SAFETY: `used + bytes` lies inside the chunk.
    (unsafe { chunk.at.add(used) }, chunk)
}

impl<T: Copy> WeightMemory<T> {
    /// `len` copies of `value`.
    pub(super) fn filled(value: T, len: usize) -> Self {
        let mut memory = Self::reserved(len);
        for i in 0..len {
            // SAFETY: there is room for `len` elements.
            unsafe { memory.at.as_ptr().add(i).write(value) };
        }
        memory.len = len;
        memory
    }

    /// Room for `len` elements, holding none.
    fn reserved(len: usize) -> Self {
        const { assert!(align_of::<T>() <= LINE && size_of::<T>() > 0) };
        if len == 0 {
            return Self {
                at: NonNull::dangling(),
                len: 0,
                _chunk: None,
            };
        }
        // Too large a number becomes one that no allocator has.
        let (at, chunk) = take(len.saturating_mul(size_of::<T>()));
        Self {
            at: at.cast(),
            len: 0,
            _chunk: Some(chunk),
        }
    }
}

impl<T: Copy> Clone for WeightMemory<T> {
    fn clone(&self) -> Self {
        let mut memory = Self::reserved(self.len);
        // SAFETY: there is room for as many elements, and new memory overlaps no other.
        unsafe {
            memory
                .at
                .as_ptr()
                .copy_from_nonoverlapping(self.at.as_ptr(), self.len)
        };
        memory.len = self.len;
        memory
    }
}

impl<T> Deref for WeightMemory<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` elements were written and belong to this value alone.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for WeightMemory<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: `len` elements were written and belong to this value alone.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_keep_apart_and_outlive_each_other() {
        let mut all: Vec<WeightMemory<u32>> = Vec::new();
        for i in 0..400u32 {
            // From nothing to beyond what fits a shared chunk.
            let len =
                [0, 1, 17, 300_000, 5_000_000][i as usize % 5] * usize::from(i < 20 || i % 5 < 3);
            all.push(WeightMemory::filled(i, len));
            assert_eq!(all[i as usize].len(), len);
            if i % 3 == 0 {
                all[i as usize / 2] = WeightMemory::filled(i / 2, 40);
            }
        }
        let copies = all.clone();
        for (i, memory) in (0u32..).zip(all.iter_mut()) {
            assert!(memory.iter().all(|x| *x == i));
            assert!(memory.as_ptr().addr().is_multiple_of(LINE) || memory.is_empty());
            memory.fill(u32::MAX);
        }
        drop(all);
        for (i, memory) in (0u32..).zip(&copies) {
            assert!(memory.iter().all(|x| *x == i));
        }
    }
}
