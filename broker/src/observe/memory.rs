//! What the kernel says of the process' memory.

/// Returns the memory that the process takes.
pub(crate) fn resident_bytes() -> u64 {
    status_kilobytes("VmRSS:") * 1024
}

/// Returns the most that the process took so far.
pub(crate) fn peak_bytes() -> u64 {
    status_kilobytes("VmHWM:") * 1024
}

/// Reads a figure that the kernel keeps of this process; 0 where it does not.
fn status_kilobytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
