//! When this process began, and the most memory it has had.

use std::time::{Duration, Instant};

/// When the process began, told from the processor time that it has used until now. Up to here it has one thread that
/// waits for nothing but the loading of its own pages, so that this is the time that has passed; what systems note down
/// themselves is coarser (Linux: hundredths of a second).
pub fn began() -> Instant {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let used = Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0));
    let now = Instant::now();
    now.checked_sub(used).unwrap_or(now)
}

/// The most memory that this process has had resident, if the system tells it. Not `getrusage`: there, what is started by
/// a large process (a Python with PyTorch that compares) begins with that one's peak.
#[cfg(target_os = "linux")]
pub fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// The most memory that this process has had resident, if the system tells it.
#[cfg(not(target_os = "linux"))]
pub fn peak_resident_bytes() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a `rusage`, of which every bit pattern is a value.
    let usage = unsafe { (libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) == 0).then(|| usage.assume_init()) }?;
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).ok().map(|peak| peak * unit)
}
