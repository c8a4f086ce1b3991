//! The devices that models run on, and which of them have failed.
//!
//! A device that failed is given up for good: what its memory held is lost, and a driver hands out
//! nothing but errors until the program is started anew. Jobs go on where one is left.

use crate::error::{Error, Kind};
use genesisflow_engine::DeviceReport;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;

/// A device, as all models on it share it.
#[derive(Clone, Debug)]
pub(crate) struct Device(Arc<Member>);

#[derive(Debug)]
struct Member {
    name: String,
    kernel: &'static str,
    threads: Option<usize>,
    failure: OnceLock<String>,
}

impl Device {
    /// A device that works.
    pub(crate) fn new(report: DeviceReport, threads: Option<usize>) -> Self {
        Self(Arc::new(Member {
            name: report.name,
            kernel: report.kernel,
            threads,
            failure: OnceLock::new(),
        }))
    }

    /// Whether it has not failed yet.
    pub(super) fn works(&self) -> bool {
        self.0.failure.get().is_none()
    }
}

/// How a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceState {
    /// Its name.
    pub name: String,
    /// Which kernels it runs: those of an instruction set, or `ptx`.
    pub kernel: &'static str,
    /// Compute threads; none of a device with memory of its own.
    pub threads: Option<usize>,
    /// Why it was given up, if it was.
    pub failure: Option<String>,
}

/// All devices that models run on. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Fleet(Arc<Devices>);

#[derive(Debug, Default)]
struct Devices {
    members: Mutex<Vec<Device>>,
    changed: Notify,
}

impl Fleet {
    /// Takes in a device whose models are at work.
    pub(crate) fn add(&self, device: Device) {
        self.members().push(device);
    }

    /// Gives a device up, because it failed. Says so, once.
    pub(crate) fn give_up(&self, device: &Device, reason: &str) {
        if device.0.failure.set(reason.to_owned()).is_err() {
            return;
        }
        let left = self.states().iter().filter(|d| d.failure.is_none()).count();
        let then = match left {
            0 => "no other device is left".to_owned(),
            left => format!("its jobs go to what is left, {left} device(s)"),
        };
        tracing::error!(
            "device {} has failed and is given up until the next start: {reason}; {then}",
            device.0.name
        );
        self.0.changed.notify_waiters();
    }

    /// How each device is.
    pub fn states(&self) -> Vec<DeviceState> {
        let state = |device: &Device| DeviceState {
            name: device.0.name.clone(),
            kernel: device.0.kernel,
            threads: device.0.threads,
            failure: device.0.failure.get().cloned(),
        };
        self.members().iter().map(state).collect()
    }

    /// Why nothing can be computed any more, if all devices have failed.
    pub fn none_left(&self) -> Option<String> {
        let states = self.states();
        let failed = |state: &DeviceState| {
            let reason = state.failure.as_ref()?;
            Some(format!("{}: {reason}", state.name))
        };
        // A fleet without devices computes elsewhere.
        let failures: Option<Vec<String>> = states.iter().map(failed).collect();
        failures
            .filter(|failures| !failures.is_empty())
            .map(|failures| failures.join("; "))
    }

    /// Waits until no device is left; the error that the program then ends with.
    pub async fn lost(&self) -> Error {
        loop {
            // Made before the look: what fails in between wakes it.
            let changed = self.0.changed.notified();
            if let Some(why) = self.none_left() {
                return Error::new(Kind::Device, "no device is left that computes")
                    .because(why)
                    .fix("start the worker again, as a service manager does by itself: that opens the devices anew, and what is in hand goes on from the journal. If it comes back, look at the card with `nvidia-smi` and at the system's log, or set device to what works");
            }
            changed.await;
        }
    }

    /// Complete at every moment, whoever panicked.
    fn members(&self) -> MutexGuard<'_, Vec<Device>> {
        self.0
            .members
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::time::Duration;

    /// A device that computes nothing.
    pub(crate) fn named(name: &str) -> Device {
        let report = DeviceReport {
            name: name.into(),
            driver: None,
            kernel: "ptx",
            memory: None,
        };
        Device::new(report, None)
    }

    #[tokio::test]
    async fn the_fleet_is_lost_with_its_last_device_and_the_first_reason_stands() {
        let fleet = Fleet::default();
        assert_eq!(fleet.none_left(), None);
        let devices = ["a", "b"].map(named);
        devices.iter().for_each(|device| fleet.add(device.clone()));
        let waiting = tokio::spawn({
            let fleet = fleet.clone();
            async move { fleet.lost().await }
        });
        fleet.give_up(&devices[1], "it burns");
        fleet.give_up(&devices[1], "it still burns");
        assert_eq!(fleet.none_left(), None);
        assert!(devices[0].works() && !devices[1].works());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        fleet.give_up(&devices[0], "it froze");
        let patience = Duration::from_secs(20);
        let error = tokio::time::timeout(patience, waiting).await.unwrap();
        let error = error.unwrap();
        assert_eq!(error.kind(), Kind::Device);
        let text = error.to_string();
        assert!(text.contains("a: it froze; b: it burns"), "{text}");
    }
}
