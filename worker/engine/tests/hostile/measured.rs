//! Runs code and measures the memory it takes, with an allocator that counts.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::{self, Write},
    panic::{self, AssertUnwindSafe},
    ptr,
    sync::{
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        Mutex, PoisonError,
    },
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Only one piece of code is measured at a time: the counters belong to the whole process.
static TURN: Mutex<()> = Mutex::new(());

/// What is measured, by number.
static CASE: AtomicU64 = AtomicU64::new(0);
/// Beyond this no memory is given, before the machine has none left; which ends the process.
const END: usize = 6 << 30;

struct Counting;

/// Counts a request. Whether it may be served.
fn add(bytes: usize) -> bool {
    let live = LIVE.fetch_add(bytes, Relaxed).saturating_add(bytes);
    PEAK.fetch_max(live, Relaxed);
    if live > END {
        // Not `eprintln`, which tests capture and an ended process does not show.
        let case = CASE.load(Relaxed);
        let _ = writeln!(io::stderr(), "case {case} asks for {bytes} bytes");
    }
    live <= END
}

// SAFETY: every call goes to the system's allocator as it is, or fails.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !add(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !add(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !add(size) {
            return ptr::null_mut();
        }
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What code did.
pub struct Measured<T> {
    /// What it returned, or the message of its panic.
    pub outcome: Result<T, String>,
    /// Most bytes that it held at once, besides what was there before. Requests that the system
    /// would serve without real memory count in full.
    pub peak: usize,
}

/// Keeps other code from being measured while it lives.
pub fn turn() -> impl Drop {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs code that may panic; the caller holds its [`turn`]. `case` is shown if it takes all memory.
pub fn run<T>(case: u64, code: impl FnOnce() -> T) -> Measured<T> {
    CASE.store(case, Relaxed);
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let outcome = panic::catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default()
    });
    Measured {
        outcome,
        peak: PEAK.load(Relaxed).saturating_sub(before),
    }
}
