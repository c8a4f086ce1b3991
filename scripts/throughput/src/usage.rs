//! Processor time of this program and of the node, from `/proc`.

use std::{fs, time::Duration};

/// Kernel ticks per second that `/proc` counts in: 100 on every Linux of today.
const TICKS: u64 = 100;

/// Processor time that a process has used, all threads, in user and kernel mode. Zero where the
/// system does not tell.
pub fn of(process: u32) -> Duration {
    let ticks = fs::read_to_string(format!("/proc/{process}/stat"))
        .ok()
        .and_then(|stat| ticks(&stat))
        .unwrap_or(0);
    Duration::from_millis(ticks * 1_000 / TICKS)
}

/// Processor time that the whole machine has used, on all cores together. Zero where the system
/// does not tell.
pub fn of_machine() -> Duration {
    let ticks = fs::read_to_string("/proc/stat")
        .ok()
        .and_then(|stat| busy_ticks(&stat))
        .unwrap_or(0);
    Duration::from_millis(ticks * 1_000 / TICKS)
}

fn busy_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<u64> = stat
        .lines()
        .next()?
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // User, nice, system, idle, waiting for a disk, interrupts, soft interrupts.
    let busy = [0, 1, 2, 5, 6];
    busy.iter().map(|&field| fields.get(field).copied()).sum()
}

fn ticks(stat: &str) -> Option<u64> {
    // The name in parentheses may hold spaces; after it, user and system time are the 12th and 13th.
    let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_not_busy() {
        let stat = "cpu  10 20 30 4000 500 6 7 0 0 0\ncpu0 1 2 3 4 5 6 7 0 0 0";
        assert_eq!(busy_ticks(stat), Some(10 + 20 + 30 + 6 + 7));
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 10";
        assert_eq!(ticks(stat), Some(300));
    }
}
