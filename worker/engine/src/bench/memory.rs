//! How much memory this process holds.

/// Bytes of memory that this process has in RAM now; `None` where the system does not tell.
pub(super) fn resident() -> Option<usize> {
    // Linux; elsewhere there is no such file.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_is_counted() {
        let before = resident().unwrap();
        let written = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = resident().unwrap();
        assert!(after >= before + written.len() / 2, "{before} -> {after}");
    }
}
