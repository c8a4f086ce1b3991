//! How much memory the models' keys and values may take.

use crate::error::{Error, Kind, Result};
use std::{fs, path::Path};

/// Sets the mebibytes for keys and values of all models together. By default half of what the
/// system has left once the models are loaded.
pub const CACHE_VARIABLE: &str = "GENESISFLOW_CACHE_MIB";

/// Where the system does not say what it has left.
const UNKNOWN: usize = 1 << 30;

/// Bytes for keys and values of all models together.
///
/// # Errors
/// [`Kind::Usage`] if [`CACHE_VARIABLE`] is no number of mebibytes.
pub(super) fn for_caches() -> Result<usize> {
    match std::env::var(CACHE_VARIABLE) {
        Ok(value) => parse(&value),
        Err(_) => Ok(system_memory().map_or(UNKNOWN, |memory| memory.left / 2)),
    }
}

fn parse(value: &str) -> Result<usize> {
    let mebibytes: Option<usize> = value.parse().ok().filter(|n| *n > 0);
    mebibytes
        .and_then(|n| n.checked_mul(1 << 20))
        .ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("{CACHE_VARIABLE} is `{value}`, which is no number of mebibytes"),
            )
            .fix(
                "set it to the memory that keys and values may take, 1024 for example, or unset it",
            )
        })
}

/// The memory of the system, or of the container around this process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SystemMemory {
    /// All of it.
    pub(crate) total: usize,
    /// What programs can still have.
    pub(crate) left: usize,
}

/// The memory there is, where the system tells.
pub(crate) fn system_memory() -> Option<SystemMemory> {
    let read = |path: &str| fs::read_to_string(Path::new(path)).ok();
    let meminfo = read("/proc/meminfo")?;
    let machine = SystemMemory {
        total: field(&meminfo, "MemTotal:")?,
        left: field(&meminfo, "MemAvailable:")?,
    };
    let number = |text: String| text.trim().parse::<usize>().ok();
    let container = || {
        let limit = read("/sys/fs/cgroup/memory.max").and_then(number)?;
        let used = read("/sys/fs/cgroup/memory.current").and_then(number)?;
        Some(SystemMemory {
            total: limit.min(machine.total),
            left: limit.saturating_sub(used).min(machine.left),
        })
    };
    Some(container().unwrap_or(machine))
}

/// A field of /proc/meminfo, in bytes.
fn field(meminfo: &str, name: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_a_number_of_mebibytes() {
        assert_eq!(parse("3").unwrap(), 3 << 20);
        for wrong in ["", "0", "-1", "1 GiB", "99999999999999999999"] {
            let error = parse(wrong).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn the_system_says_what_is_available() {
        let meminfo = "MemTotal:  16 kB\nMemFree:  1 kB\nMemAvailable:   12 kB\n";
        assert_eq!(field(meminfo, "MemAvailable:"), Some(12 * 1024));
        assert_eq!(field(meminfo, "MemTotal:"), Some(16 * 1024));
        assert_eq!(field("MemTotal: 16 kB\n", "MemAvailable:"), None);
        assert_eq!(field("MemAvailable: many\n", "MemAvailable:"), None);
    }
}
