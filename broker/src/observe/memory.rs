//! The memory of the process and of the machine, as the kernel reports them.

use std::sync::OnceLock;

/// Returns the resident memory of the process.
#[cfg(not(windows))]
pub(crate) fn resident_bytes() -> u64 {
    kilobytes("/proc/self/status", "VmRSS:") * 1024
}

/// Returns the working set of the process.
#[cfg(windows)]
pub(crate) fn resident_bytes() -> u64 {
    memory_stats::memory_stats().map_or(0, |stats| stats.physical_mem as u64)
}

/// Returns the resident memory that belongs to the process alone, such as its heap. The program
/// itself is a file that the kernel maps and can drop at any time, so it does not count.
#[cfg(not(windows))]
pub(crate) fn allocated_bytes() -> u64 {
    kilobytes("/proc/self/status", "RssAnon:") * 1024
}

/// Returns the working set, since Windows has no figure without the program.
#[cfg(windows)]
pub(crate) fn allocated_bytes() -> u64 {
    resident_bytes()
}

/// Returns the memory of the machine.
pub(crate) fn system_bytes() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| kilobytes("/proc/meminfo", "MemTotal:") * 1024)
}

/// Reads a figure from a file of the kernel; 0 on systems without it.
fn kilobytes(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
