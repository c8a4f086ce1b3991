//! A disk for tests that gets full when told to.

use redb::{backends::InMemoryBackend, StorageBackend};
use std::sync::{
    atomic::{AtomicBool, Ordering},
    Arc,
};

/// A disk that is full from the moment the switch is set.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    inner: Arc<InMemoryBackend>,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> std::io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            Err(std::io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.room()?;
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.room()?;
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.room()?;
        self.inner.write(offset, data)
    }
}

/// A disk with room, and the switch that fills it.
pub(crate) fn disk() -> (Disk, Arc<AtomicBool>) {
    let full = Arc::new(AtomicBool::new(false));
    let disk = Disk {
        inner: Arc::new(InMemoryBackend::new()),
        full: full.clone(),
    };
    (disk, full)
}
