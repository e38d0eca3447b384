//! The memory of the process, as the kernel reports it.

/// Returns the resident memory of the process.
pub(crate) fn resident_bytes() -> u64 {
    status_kilobytes("VmRSS:") * 1024
}

/// Returns the peak of the resident memory.
pub(crate) fn peak_bytes() -> u64 {
    status_kilobytes("VmHWM:") * 1024
}

/// Reads a figure from `/proc/self/status`; 0 on systems without it.
fn status_kilobytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
