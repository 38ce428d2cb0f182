//! What this process has used so far, as the kernel counts it.

use std::error::Error;

/// Processor seconds of all threads, user and system.
#[allow(clippy::cast_precision_loss)] // ticks of 10 ms
pub fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Fields are counted after the closing parenthesis, for the program's name may hold blanks.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    // Linux reports in units of 1/100 s on every architecture this runs on.
    Ok(ticks as f64 / 100.0)
}

/// Greatest resident memory so far, in MiB.
pub fn peak_rss_mib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .ok_or("/proc/self/status has no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? >> 10)
}
