//! Recorded launches: a CUDA graph.

use std::sync::Arc;

use cudarc::driver::{
    result,
    sys::{self, CUgraphInstantiate_flags},
    DriverError,
};

use crate::device::{DeviceError, Graph};

use super::{device::Connection, failed};

/// A CUDA graph, ready to run.
#[derive(Debug)]
pub(super) struct Recording {
    connection: Arc<Connection>,
    executable: sys::CUgraphExec,
}

// SAFETY: the handle may be used from any thread; the device's one stream orders its runs.
unsafe impl Send for Recording {}
// SAFETY: as above; running it changes nothing in the handle.
unsafe impl Sync for Recording {}

impl Recording {
    /// Takes over a graph that a stream of this connection recorded.
    pub(super) fn new(
        connection: Arc<Connection>,
        graph: sys::CUgraph,
    ) -> Result<Self, DriverError> {
        // SAFETY: the caller got the graph from the driver and gives it away; it is not needed any
        // more once it was made executable.
        let executable = unsafe {
            let executable = result::graph::instantiate(graph, CUgraphInstantiate_flags(0));
            result::graph::destroy(graph)?;
            executable?
        };
        Ok(Self {
            connection,
            executable,
        })
    }
}

impl Graph for Recording {
    fn replay(&self) -> Result<(), DeviceError> {
        let connection = &self.connection;
        connection.bind()?;
        // SAFETY: graph and stream are alive, and of one context.
        let run = unsafe { result::graph::launch(self.executable, connection.stream()) };
        run.map_err(|error| failed(connection.name(), "running a recorded step", error))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.connection.bind().is_ok() {
            // SAFETY: made by `instantiate`, destroyed once. A driver that fails here has lost it.
            let _ = unsafe { result::graph::exec_destroy(self.executable) };
        }
    }
}
