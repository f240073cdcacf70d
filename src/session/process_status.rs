//! What Linux reports of this process.

/// A field of /proc/self/status, e.g. `VmHWM:`; `None` without /proc.
pub(super) fn process_status(field: &str) -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(field)).map(|value| value.trim().to_owned())
}
