//! Which cards there are, and why none can be used.

use std::fmt;

use cudarc::driver::{
    result::{self, device},
    sys::{self, CUdevice, CUdevice_attribute},
    DriverError,
};

use super::reason;

/// The oldest version of CUDA that a driver must support, as drivers count: 1000 times the major
/// and 10 times the minor one. The kernels' PTX is of this version.
pub const OLDEST_DRIVER: i32 = 13_000;

/// The oldest compute capability: the first with the int8 matrix instruction that prefill uses.
pub const OLDEST_CAPABILITY: (i32, i32) = (8, 0);

/// A card of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its number, as the driver counts (`CUDA_VISIBLE_DEVICES` is respected).
    pub index: usize,
    /// Its name, `NVIDIA H200` for example.
    pub name: String,
    /// Its compute capability, major and minor.
    pub capability: (i32, i32),
    /// Bytes of its memory.
    pub memory: usize,
    /// The version of CUDA that its driver supports, as drivers count (13000 is 13.0).
    pub driver: i32,
    /// The driver's own version, `580.65.06` for example, where the system says it.
    pub release: Option<String>,
}

impl Card {
    /// Whether the kernels run on it.
    pub fn is_supported(&self) -> bool {
        self.capability >= OLDEST_CAPABILITY
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.capability;
        write!(
            f,
            "cuda:{} {}, compute capability {major}.{minor}, {:.1} GiB, driver {}",
            self.index,
            self.name,
            self.memory as f64 / (1u64 << 30) as f64,
            driver_text(self.release.as_deref(), self.driver)
        )
    }
}

/// A driver by its own version, if that is known, and by that of CUDA.
pub(super) fn driver_text(release: Option<&str>, version: i32) -> String {
    let cuda = Version(version);
    match release {
        Some(release) => format!("{release} (CUDA {cuda})"),
        None => format!("for CUDA {cuda}"),
    }
}

/// The version of the driver's kernel module. CUDA itself tells only which CUDA it supports.
pub(super) fn release() -> Option<String> {
    let text = std::fs::read_to_string("/sys/module/nvidia/version").ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A version as drivers count them.
struct Version(i32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

/// Why no card of this machine can be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCards {
    /// The driver's library is not on this machine.
    #[error("no NVIDIA driver on this machine (libcuda.so.1 is not found)")]
    NoDriver,
    /// The driver is too old for the kernels.
    #[error(
        "the NVIDIA driver supports CUDA {}, the kernels need {}: install driver 580 or newer",
        Version(*.0),
        Version(OLDEST_DRIVER)
    )]
    OldDriver(i32),
    /// The driver is there but does not work.
    #[error("the NVIDIA driver does not start: {0}; `nvidia-smi` may say more")]
    Broken(String),
}

/// The cards of this machine, those included that are too old; maybe none.
///
/// # Errors
/// [`NoCards`] if there is no driver that could be asked.
pub fn cards() -> Result<Vec<Card>, NoCards> {
    let driver = start()?;
    let look = || -> Result<Vec<Card>, DriverError> {
        let count = device::get_count()?;
        (0..count).map(|index| card(index, driver)).collect()
    };
    look().map_err(|error| NoCards::Broken(reason(error)))
}

/// Opens the driver's library and starts it; the version of CUDA it supports.
pub(super) fn start() -> Result<i32, NoCards> {
    // SAFETY: opening the driver's library runs nothing but its own initialisers.
    if !unsafe { sys::is_culib_present() } {
        return Err(NoCards::NoDriver);
    }
    let mut version = 0;
    // SAFETY: the library is there; this function is in every version of it, may be called before
    // the driver is started, and writes one number.
    let asked = unsafe { sys::cuDriverGetVersion(&mut version) }.result();
    asked.map_err(|error| NoCards::Broken(reason(error)))?;
    // Nothing else is called of an old one, which may lack it.
    if version < OLDEST_DRIVER {
        return Err(NoCards::OldDriver(version));
    }
    match result::init() {
        Ok(()) => Ok(version),
        // A driver without any card is as good as none.
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => Ok(version),
        Err(error) => Err(NoCards::Broken(reason(error))),
    }
}

/// One card. The driver is started.
fn card(index: i32, driver: i32) -> Result<Card, DriverError> {
    let handle = device::get(index)?;
    Ok(Card {
        index: index as usize,
        name: device::get_name(handle)?,
        capability: capability(handle)?,
        // SAFETY: the handle came from the driver.
        memory: unsafe { device::total_mem(handle)? },
        driver,
        release: release(),
    })
}

/// A card's compute capability.
pub(super) fn capability(handle: CUdevice) -> Result<(i32, i32), DriverError> {
    use CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
    };
    // SAFETY: the handle came from the driver.
    unsafe {
        Ok((
            device::get_attribute(handle, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            device::get_attribute(handle, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_says_what_is_wrong_and_what_is_needed() {
        assert!(NoCards::NoDriver.to_string().contains("no NVIDIA driver"));
        let old = NoCards::OldDriver(12_080).to_string();
        assert!(
            old.contains("CUDA 12.8") && old.contains("need 13.0"),
            "{old}"
        );
    }

    #[test]
    fn a_driver_goes_by_its_own_version_and_that_of_cuda() {
        let known = driver_text(Some("580.65.06"), 13_000);
        assert_eq!(known, "580.65.06 (CUDA 13.0)");
        assert_eq!(driver_text(None, 13_010), "for CUDA 13.1");
    }

    /// Whatever machine this runs on: it is looked at without a panic.
    #[test]
    fn this_machine_has_cards_or_a_reason_why_not() {
        match cards() {
            Ok(cards) => {
                for card in cards {
                    assert!(card.memory > 0 && card.to_string().contains(&card.name));
                }
            }
            Err(reason) => assert!(reason.to_string().contains("NVIDIA driver")),
        }
    }
}
