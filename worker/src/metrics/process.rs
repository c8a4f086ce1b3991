//! What the operating system says of this process, under the names that all
//! Prometheus clients use.

/// Seconds of processor time per clock tick of /proc: 100 a second on every
/// Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Metrics of the process: name, type, help, value. What the system does not
/// tell is left out.
pub(super) fn metrics() -> Vec<(&'static str, &'static str, &'static str, f64)> {
    let mut all = Vec::new();
    let read = |path: &str| std::fs::read_to_string(path).ok();
    if let Some(resident) =
        read("/proc/self/status").and_then(|status| kibibytes(&status, "VmRSS:"))
    {
        all.push((
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory size in bytes.",
            resident * 1024.0,
        ));
    }
    if let Some(free) = read("/proc/meminfo").and_then(|text| kibibytes(&text, "MemAvailable:")) {
        all.push((
            "genesisflow_worker_host_memory_available_bytes",
            "gauge",
            "Memory that the machine has left for new work, in bytes.",
            free * 1024.0,
        ));
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        all.push((
            "process_open_fds",
            "gauge",
            "Number of open file descriptors.",
            open.count() as f64,
        ));
    }
    if let Some((seconds, threads)) = read("/proc/self/stat").as_deref().and_then(usage) {
        all.push((
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            seconds,
        ));
        all.push((
            "process_threads",
            "gauge",
            "Number of OS threads in the process.",
            threads,
        ));
    }
    all
}

/// A value of a file such as /proc/meminfo, in kibibytes.
fn kibibytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Processor time in seconds and threads, from /proc/self/stat.
fn usage(stat: &str) -> Option<(f64, f64)> {
    // The name before may have anything in it, but not after the last bracket.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(((number(11)? + number(12)?) / TICKS_PER_SECOND, number(17)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_writes_is_read() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 12345 1 1";
        assert_eq!(usage(stat), Some((3.0, 9.0)));
        assert_eq!(usage("7 (a) S 1"), None);
        let meminfo = "MemTotal: 16 kB\\nMemAvailable:   12 kB\\n".replace("\\n", "\n");
        assert_eq!(kibibytes(&meminfo, "MemAvailable:"), Some(12.0));
        assert_eq!(kibibytes("MemAvailable: many", "MemAvailable:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_files_and_threads() {
        let metrics = metrics();
        assert_eq!(metrics.len(), 5, "{metrics:?}");
        assert!(
            metrics.iter().all(|(.., value)| *value >= 0.0),
            "{metrics:?}"
        );
    }
}
