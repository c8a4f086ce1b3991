//! A device around another that records launches, as a card's driver does, and that can be broken.

use std::sync::{
    atomic::{AtomicUsize, Ordering},
    Arc, Mutex, Weak,
};

use genesisflow_cuda::device::{Address, Arg, Device, DeviceError, DeviceMemory, Graph, Launch};

/// Records what is launched and filled between `begin_recording` and `end_recording`; anything
/// else meanwhile is a failed test.
#[derive(Debug)]
pub struct Recorder {
    inner: Arc<dyn Device>,
    tape: Mutex<Option<Vec<Operation>>>,
    replays: AtomicUsize,
    /// Launches that still succeed.
    left: AtomicUsize,
    /// Free memory that it claims to have; 0: what the inner device says.
    free: AtomicUsize,
    /// The largest allocation that still succeeds.
    largest: AtomicUsize,
    /// Recordings that still succeed, and those that did not.
    recordings: AtomicUsize,
    refused: AtomicUsize,
    itself: Weak<Self>,
}

#[derive(Clone, Debug)]
enum Operation {
    Launch(String, [u32; 3], u32, u32, Vec<Arg>),
    Fill(Address, usize, u8),
}

#[derive(Debug)]
struct Tape {
    recorder: Arc<Recorder>,
    operations: Vec<Operation>,
}

impl Recorder {
    pub fn new(inner: Arc<dyn Device>) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self {
            inner,
            tape: Mutex::default(),
            replays: AtomicUsize::new(0),
            left: AtomicUsize::new(usize::MAX),
            free: AtomicUsize::new(0),
            largest: AtomicUsize::new(usize::MAX),
            recordings: AtomicUsize::new(usize::MAX),
            refused: AtomicUsize::new(0),
            itself: itself.clone(),
        })
    }

    pub fn around(inner: Arc<dyn Device>) -> Arc<dyn Device> {
        Self::new(inner)
    }

    /// Recorded steps that were run.
    pub fn replays(&self) -> usize {
        self.replays.load(Ordering::Relaxed)
    }

    /// Lets so many launches succeed.
    pub fn break_after(&self, launches: usize) {
        self.left.store(launches, Ordering::Relaxed);
    }

    pub fn claim_free(&self, bytes: usize) {
        self.free.store(bytes, Ordering::Relaxed);
    }

    /// Refuses larger allocations from now on, as if something else had taken the memory.
    pub fn allow_allocations_of(&self, bytes: usize) {
        self.largest.store(bytes, Ordering::Relaxed);
    }

    /// Lets so many recordings succeed.
    pub fn allow_recordings(&self, count: usize) {
        self.recordings.store(count, Ordering::Relaxed);
    }

    pub fn refused_recordings(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn not_recording(&self) {
        assert!(self.tape.lock().unwrap().is_none(), "while recording");
    }

    fn record(&self, operation: Operation) -> bool {
        match &mut *self.tape.lock().unwrap() {
            Some(tape) => {
                tape.push(operation);
                true
            }
            None => false,
        }
    }
}

impl Graph for Tape {
    fn replay(&self) -> Result<(), DeviceError> {
        self.recorder.replays.fetch_add(1, Ordering::Relaxed);
        for operation in &self.operations {
            match operation {
                Operation::Launch(kernel, grid, threads, shared_bytes, args) => {
                    let launch = Launch {
                        kernel,
                        grid: *grid,
                        threads: *threads,
                        shared_bytes: *shared_bytes,
                        args,
                    };
                    // SAFETY: it was checked when it was recorded, and the pool forgets its
                    // recordings before it gives their memory back.
                    unsafe { self.recorder.inner.launch(&launch)? }
                }
                Operation::Fill(at, bytes, value) => {
                    // SAFETY: as above.
                    unsafe { self.recorder.inner.fill(*at, *bytes, *value)? }
                }
            }
        }
        Ok(())
    }
}

impl Device for Recorder {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.not_recording();
        let memory = self.inner.memory()?;
        Ok(match self.free.load(Ordering::Relaxed) {
            0 => memory,
            free => DeviceMemory { free, ..memory },
        })
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError> {
        self.not_recording();
        if bytes > self.largest.load(Ordering::Relaxed) {
            return Err(DeviceError::OutOfMemory {
                device: self.name().into(),
                bytes,
                reason: "taken for this test".into(),
            });
        }
        self.inner.allocate(bytes)
    }

    unsafe fn release(&self, at: Address, bytes: usize) {
        self.not_recording();
        // SAFETY: the caller's promise.
        unsafe { self.inner.release(at, bytes) }
    }

    unsafe fn write(&self, to: Address, from: &[u8]) -> Result<(), DeviceError> {
        self.not_recording();
        // SAFETY: the caller's promise.
        unsafe { self.inner.write(to, from) }
    }

    unsafe fn read(&self, from: Address, into: &mut [u8]) -> Result<(), DeviceError> {
        self.not_recording();
        // SAFETY: the caller's promise.
        unsafe { self.inner.read(from, into) }
    }

    unsafe fn fill(&self, at: Address, bytes: usize, value: u8) -> Result<(), DeviceError> {
        if self.record(Operation::Fill(at, bytes, value)) {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { self.inner.fill(at, bytes, value) }
    }

    unsafe fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<(), DeviceError> {
        self.not_recording();
        // SAFETY: the caller's promise.
        unsafe { self.inner.copy(to, from, bytes) }
    }

    unsafe fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError> {
        let one_less = |left: usize| left.checked_sub(1);
        let relaxed = Ordering::Relaxed;
        if self.left.fetch_update(relaxed, relaxed, one_less).is_err() {
            return Err(DeviceError::Failed {
                device: self.name().into(),
                operation: format!("launching {}", launch.kernel),
                reason: "broken for this test".into(),
            });
        }
        let recorded = Operation::Launch(
            launch.kernel.into(),
            launch.grid,
            launch.threads,
            launch.shared_bytes,
            launch.args.to_vec(),
        );
        if self.record(recorded) {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { self.inner.launch(launch) }
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        self.not_recording();
        self.inner.synchronize()
    }

    fn begin_recording(&self) -> Result<bool, DeviceError> {
        self.not_recording();
        *self.tape.lock().unwrap() = Some(Vec::new());
        Ok(true)
    }

    fn end_recording(&self) -> Result<Option<Box<dyn Graph>>, DeviceError> {
        let Some(operations) = self.tape.lock().unwrap().take() else {
            return Ok(None);
        };
        let one_less = |left: usize| left.checked_sub(1);
        let relaxed = Ordering::Relaxed;
        let left = self.recordings.fetch_update(relaxed, relaxed, one_less);
        if left.is_err() {
            self.refused.fetch_add(1, relaxed);
            return Err(DeviceError::Failed {
                device: self.name().into(),
                operation: "recording a step".into(),
                reason: "no memory for it in this test".into(),
            });
        }
        let recorder = self.itself.upgrade().unwrap();
        Ok(Some(Box::new(Tape {
            recorder,
            operations,
        })))
    }
}
