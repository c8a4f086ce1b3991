//! Fixed pieces of work over any number of threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// `f(0)`, `f(1)`, … `f(pieces - 1)` in that order, computed on `threads` threads.
///
/// What a piece computes cannot depend on the thread it runs on, so neither
/// can the result.
pub fn in_order<T: Send>(threads: usize, pieces: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let slots: Vec<Mutex<Option<T>>> = (0..pieces).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, pieces.max(1)) {
            scope.spawn(|| loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                if piece >= pieces {
                    break;
                }
                let value = f(piece);
                *slots[piece].lock().expect("a slot is locked once") = Some(value);
            });
        }
    });
    slots
        .into_iter()
        .map(|slot| {
            slot.into_inner()
                .expect("no piece panicked")
                .expect("every piece ran")
        })
        .collect()
}
