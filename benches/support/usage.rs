//! What this process has used, as Linux counts it.

use std::fs;

/// Clock ticks of a second in /proc; Linux has had no other number for decades.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of all cores together, of every thread, until now.
pub fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("/proc/self/stat");
    // The name of the process, in parentheses, may hold anything; utime and stime are the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

/// The most memory that was resident, in MiB: code, heap, and pages of mapped files.
pub fn peak_resident_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok());
    kib.expect("a number") / 1_024.0
}
