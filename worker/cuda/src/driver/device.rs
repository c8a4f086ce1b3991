//! A card as a [`Device`].

use std::{
    collections::HashMap,
    ffi::{c_void, CString},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cudarc::driver::{
    result::{self, ctx, device, function, module, primary_ctx, stream},
    sys::{self, CUfunction_attribute, CUstreamCaptureMode},
};

use crate::{
    device::{Address, Device, DeviceError, DeviceMemory, Graph, Launch},
    PTX,
};

use super::{
    card::{self, NoCards, OLDEST_CAPABILITY},
    failed, reason,
    recording::Recording,
    staging::Staging,
};

/// Dynamic shared memory that every kernel may use, and what one may ask for.
const PLAIN_SHARED: u32 = 48 << 10;
const MOST_SHARED: i32 = 96 << 10;

/// Bytes up to which copies go through page-locked memory. Larger ones are rare: weights.
const STAGED: usize = 16 << 20;

/// A card through its driver: one stream, and the module with all kernels.
#[derive(Debug)]
pub struct CudaDevice {
    /// Given back before the context that it belongs to.
    staging: Mutex<Staging>,
    functions: Mutex<HashMap<String, Function>>,
    connection: Arc<Connection>,
}

/// The context, the stream and the module, which live as long as anything that uses them.
pub(super) struct Connection {
    name: String,
    /// The version of CUDA that the driver supports.
    driver: i32,
    // In the order in which they are given back.
    module: Module,
    stream: Stream,
    context: Context,
}

/// The card's context, which this process holds until this goes.
struct Context {
    card: sys::CUdevice,
    handle: sys::CUcontext,
}

/// A stream of the context.
struct Stream(sys::CUstream);

/// The kernels, as the driver compiled them.
struct Module(sys::CUmodule);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once when this was made. A driver that fails has lost it.
        let _ = unsafe { primary_ctx::release(self.card) };
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: made by the driver, given back once, and idle: what used it is gone.
        let _ = unsafe { stream::destroy(self.0) };
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded once; what used its kernels is gone.
        let _ = unsafe { module::unload(self.0) };
    }
}

// SAFETY: the driver's handles may be used from any thread to which the context was bound, which
// `bind` does before each use.
unsafe impl Send for Connection {}
// SAFETY: as above; the driver locks what it changes.
unsafe impl Sync for Connection {}

/// A kernel.
#[derive(Clone, Copy, Debug)]
struct Function {
    handle: sys::CUfunction,
    /// Whether it may use more than [`PLAIN_SHARED`].
    is_raised: bool,
}

// SAFETY: a handle that the driver takes from any thread.
unsafe impl Send for Function {}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The card's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The one stream.
    pub(super) fn stream(&self) -> sys::CUstream {
        self.stream.0
    }

    /// Makes the card the calling thread's.
    pub(super) fn bind(&self) -> Result<(), DeviceError> {
        // SAFETY: the context is alive as long as this.
        unsafe { ctx::set_current(self.context.handle) }
            .map_err(|error| failed(&self.name, "taking the card's context", error))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // What it holds is given back after this, by the thread that the context is bound to. A
        // driver that fails has lost it.
        if self.bind().is_ok() {
            // SAFETY: the stream is alive.
            let _ = unsafe { stream::synchronize(self.stream.0) };
        }
    }
}

impl CudaDevice {
    /// Opens the card with this number.
    ///
    /// # Errors
    /// [`DeviceError::Failed`] if there is no such card or no driver, if the card is too old, or
    /// if its driver does not take the kernels.
    pub fn open(index: usize) -> Result<Self, DeviceError> {
        let wanted = format!("cuda:{index}");
        let refused = |reason: String| DeviceError::Failed {
            device: wanted.clone(),
            operation: "opening the card".into(),
            reason,
        };
        let version = card::start().map_err(|error: NoCards| refused(error.to_string()))?;
        let driver = |error| refused(reason(error));
        let count = device::get_count().unwrap_or(0);
        let ordinal = i32::try_from(index).ok().filter(|index| *index < count);
        let ordinal = ordinal.ok_or_else(|| {
            refused(format!(
                "this machine has {count} card(s), counted from 0; `nvidia-smi` lists them"
            ))
        })?;
        let handle = device::get(ordinal).map_err(driver)?;
        let capability = card::capability(handle).map_err(driver)?;
        if capability < OLDEST_CAPABILITY {
            return Err(refused(format!(
                "its compute capability is {}.{}, the kernels need {}.{} or newer: use another \
                 card or the CPU",
                capability.0, capability.1, OLDEST_CAPABILITY.0, OLDEST_CAPABILITY.1
            )));
        }
        let name = device::get_name(handle).map_err(driver)?;
        let name = format!("{name} (cuda:{index})");
        // SAFETY: the handle came from the driver. Whatever step fails, what was made before it
        // goes and gives itself back.
        let connection = unsafe {
            let context = Context {
                card: handle,
                handle: primary_ctx::retain(handle).map_err(driver)?,
            };
            ctx::set_current(context.handle).map_err(driver)?;
            let stream = stream::create(stream::StreamKind::NonBlocking).map_err(driver)?;
            let stream = Stream(stream);
            let text = CString::new(PTX).map_err(|error| refused(error.to_string()))?;
            let module = module::load_data(text.as_ptr().cast::<c_void>()).map_err(|error| {
                refused(format!(
                    "its driver does not take the kernels: {}",
                    reason(error)
                ))
            })?;
            Connection {
                name,
                driver: version,
                module: Module(module),
                stream,
                context,
            }
        };
        let staging = Staging::new(STAGED)
            .map_err(|error| failed(&connection.name, "allocating page-locked memory", error))?;
        Ok(Self {
            connection: Arc::new(connection),
            functions: Mutex::default(),
            staging: Mutex::new(staging),
        })
    }

    fn failed(&self, operation: &str) -> impl Fn(cudarc::driver::DriverError) -> DeviceError + '_ {
        let operation = operation.to_owned();
        move |error| failed(&self.connection.name, &operation, error)
    }

    /// The kernel with this name, allowed so much shared memory.
    fn function(&self, name: &str, shared_bytes: u32) -> Result<sys::CUfunction, DeviceError> {
        // Entries are complete when they are put in, whoever panics.
        let mut functions = self
            .functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let function = match functions.get_mut(name) {
            Some(function) => function,
            None => {
                let missing = || DeviceError::NoSuchKernel {
                    device: self.connection.name.clone(),
                    kernel: name.into(),
                };
                let c_name = CString::new(name).map_err(|_| missing())?;
                // SAFETY: the module is loaded as long as the connection.
                let handle = unsafe { module::get_function(self.connection.module.0, c_name) };
                let function = Function {
                    handle: handle.map_err(|_| missing())?,
                    is_raised: false,
                };
                functions.entry(name.into()).or_insert(function)
            }
        };
        if shared_bytes > PLAIN_SHARED && !function.is_raised {
            let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function belongs to the loaded module.
            unsafe { function::set_function_attribute(function.handle, attribute, MOST_SHARED) }
                .map_err(self.failed("raising a kernel's shared memory"))?;
            function.is_raised = true;
        }
        Ok(function.handle)
    }

    fn staging(&self) -> MutexGuard<'_, Staging> {
        // Plain bytes, usable whoever panicked.
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) -> Result<(), DeviceError> {
        // SAFETY: the stream is alive.
        unsafe { stream::synchronize(self.connection.stream()) }
            .map_err(self.failed("waiting for the card"))
    }
}

impl Drop for CudaDevice {
    fn drop(&mut self) {
        // For what is given back next. If it fails the driver has lost the memory anyway.
        let _ = self.connection.bind();
    }
}

impl Device for CudaDevice {
    fn name(&self) -> &str {
        &self.connection.name
    }

    fn driver(&self) -> Option<String> {
        let release = card::release();
        Some(card::driver_text(
            release.as_deref(),
            self.connection.driver,
        ))
    }

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.connection.bind()?;
        let (free, total) = result::mem_get_info().map_err(self.failed("asking for memory"))?;
        Ok(DeviceMemory { free, total })
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError> {
        self.connection.bind()?;
        // SAFETY: a plain allocation, set to zero at once, in the order of the stream.
        unsafe {
            let at = result::malloc_sync(bytes).map_err(|error| DeviceError::OutOfMemory {
                device: self.connection.name.clone(),
                bytes,
                reason: reason(error),
            })?;
            if let Err(error) = result::memset_d8_async(at, 0, bytes, self.connection.stream()) {
                let _ = result::free_sync(at);
                return Err(failed(&self.connection.name, "clearing memory", error));
            }
            Ok(Address(at))
        }
    }

    unsafe fn release(&self, at: Address, _bytes: usize) {
        if self.connection.bind().is_err() {
            return;
        }
        // SAFETY: the caller gives an allocation back, once; the stream is done with it after the
        // wait. A driver that fails here has lost the memory anyway.
        unsafe {
            let _ = stream::synchronize(self.connection.stream());
            let _ = result::free_sync(at.0);
        }
    }

    unsafe fn write(&self, to: Address, from: &[u8]) -> Result<(), DeviceError> {
        self.connection.bind()?;
        let stream = self.connection.stream();
        if from.len() <= STAGED {
            let mut staging = self.staging();
            debug_assert!(from.len() <= staging.bytes());
            // An earlier copy out of the staging memory must be over. At the beginning of a step
            // the card has nothing to do anyway.
            self.wait()?;
            let staged = &mut staging.content()[..from.len()];
            staged.copy_from_slice(from);
            // SAFETY: the caller's promise about `to`; the staging memory lives as long as this
            // and is not changed before the stream was waited for.
            return unsafe { result::memcpy_htod_async(to.0, staged, stream) }
                .map_err(self.failed("copying to the card"));
        }
        // SAFETY: the caller's promise about `to`; `from` is borrowed until the copy is over.
        unsafe { result::memcpy_htod_async(to.0, from, stream) }
            .map_err(self.failed("copying to the card"))?;
        self.wait()
    }

    unsafe fn read(&self, from: Address, into: &mut [u8]) -> Result<(), DeviceError> {
        self.connection.bind()?;
        let stream = self.connection.stream();
        if into.len() <= STAGED {
            let mut staging = self.staging();
            let staged = &mut staging.content()[..into.len()];
            // SAFETY: the caller's promise about `from`; the staging memory is locked until the
            // copy is over.
            unsafe { result::memcpy_dtoh_async(staged, from.0, stream) }
                .map_err(self.failed("copying from the card"))?;
            self.wait()?;
            into.copy_from_slice(staged);
            return Ok(());
        }
        // SAFETY: the caller's promise about `from`; `into` is borrowed until the copy is over.
        unsafe { result::memcpy_dtoh_async(into, from.0, stream) }
            .map_err(self.failed("copying from the card"))?;
        self.wait()
    }

    unsafe fn fill(&self, at: Address, bytes: usize, value: u8) -> Result<(), DeviceError> {
        self.connection.bind()?;
        // SAFETY: the caller's promise about the bytes.
        unsafe { result::memset_d8_async(at.0, value, bytes, self.connection.stream()) }
            .map_err(self.failed("filling memory"))
    }

    unsafe fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<(), DeviceError> {
        self.connection.bind()?;
        // SAFETY: the caller's promise about both.
        unsafe { result::memcpy_dtod_async(to.0, from.0, bytes, self.connection.stream()) }
            .map_err(self.failed("copying within the card"))
    }

    unsafe fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError> {
        self.connection.bind()?;
        let function = self.function(launch.kernel, launch.shared_bytes)?;
        let values: Vec<u64> = launch.args.iter().map(|arg| arg.bits()).collect();
        // The driver reads as many of the eight bytes as the parameter has, from the lowest on.
        let pointers = values.iter().map(|value| {
            let value: *const u64 = value;
            value.cast_mut().cast::<c_void>()
        });
        let mut pointers: Vec<*mut c_void> = pointers.collect();
        let [x, y, z] = launch.grid;
        // SAFETY: the caller's promise about the arguments; their values live until the call
        // returns, and the driver only reads them.
        unsafe {
            result::launch_kernel(
                function,
                (x, y, z),
                (launch.threads, 1, 1),
                launch.shared_bytes,
                self.connection.stream(),
                &mut pointers,
            )
        }
        .map_err(|error| {
            let operation = format!("launching {}", launch.kernel);
            failed(&self.connection.name, &operation, error)
        })
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        self.connection.bind()?;
        self.wait()
    }

    fn begin_recording(&self) -> Result<bool, DeviceError> {
        self.connection.bind()?;
        // What other threads do on streams of their own is not recorded and may go on.
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive.
        unsafe { stream::begin_capture(self.connection.stream(), mode) }
            .map_err(self.failed("recording a step"))?;
        Ok(true)
    }

    fn end_recording(&self) -> Result<Option<Box<dyn Graph>>, DeviceError> {
        self.connection.bind()?;
        let failed = self.failed("recording a step");
        // SAFETY: the stream is alive; the graph, if there is one, goes to its owner.
        unsafe {
            let status = stream::is_capturing(self.connection.stream()).map_err(&failed)?;
            if status == sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE {
                return Ok(None);
            }
            let graph = stream::end_capture(self.connection.stream()).map_err(&failed)?;
            let recording = Recording::new(self.connection.clone(), graph).map_err(&failed)?;
            Ok(Some(Box::new(recording)))
        }
    }
}
