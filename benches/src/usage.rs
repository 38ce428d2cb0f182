//! What a process has used so far, as the kernel counts it, and what it has on disk.

use std::io::{Error, Result};
use std::path::Path;

/// Processor and memory of a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Processor seconds of all threads, user and system.
    pub cpu_seconds: f64,
    /// Resident memory in MiB.
    #[allow(dead_code)] // not every program here shows it
    pub rss_mib: u64,
    /// Greatest resident memory so far, in MiB.
    pub peak_rss_mib: u64,
}

impl Usage {
    /// Of a process, by its folder in `/proc`: a number or `self`.
    ///
    /// # Errors
    /// If there is no such process, or this is not Linux.
    pub fn of(process: &str) -> Result<Usage> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // Fields are counted after the closing parenthesis, for the program's name may hold blanks.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks = fields.skip(11).take(2).map(str::parse::<u32>);
        let ticks = ticks.sum::<std::result::Result<u32, _>>().map_err(Error::other)?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let mib = |field: &str| -> Result<u64> {
            let line = status.lines().find_map(|l| l.strip_prefix(field));
            let line = line.ok_or_else(|| Error::other(format!("/proc/{process}/status has no {field}")))?;
            let kib = line.trim().trim_end_matches("kB").trim().parse::<u64>();
            Ok(kib.map_err(Error::other)? >> 10)
        };
        Ok(Usage {
            // Linux reports in units of 1/100 s on every architecture this runs on.
            cpu_seconds: f64::from(ticks) / 100.0,
            rss_mib: mib("VmRSS:")?,
            peak_rss_mib: mib("VmHWM:")?,
        })
    }
}

/// Bytes of all files below a folder, in MiB. What is there only while it is looked at counts or not.
#[allow(dead_code)] // not every program here has a state folder
pub fn folder_mib(folder: &Path) -> u64 {
    fn bytes(folder: &Path) -> u64 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| match entry.metadata() {
                Ok(m) if m.is_dir() => bytes(&entry.path()),
                Ok(m) => m.len(),
                Err(_) => 0,
            })
            .sum()
    }
    bytes(folder) >> 20
}
