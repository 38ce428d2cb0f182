//! The engine's process, and what the kernel counts for it.

use crate::Failure;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The engine at work.
pub struct Engine {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Engine {
    /// Starts it; reports once `source` has `records`.
    pub fn start(pipeline: &Path, source: &str, records: u64) -> Result<Engine, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("engine").arg(pipeline).arg(source).arg(records.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("piped")?).lines();
        Ok(Engine { child, lines })
    }

    /// Waits for a line that begins with `word`, and gives its number.
    pub fn wait(&mut self, word: &str) -> Result<f64, Failure> {
        for line in self.lines.by_ref() {
            if let Some(number) = line?.strip_prefix(word) {
                return Ok(number.trim().parse()?);
            }
        }
        Err(format!("the engine ended before it was {word}").into())
    }

    /// Processor seconds, resident MiB, greatest resident MiB so far.
    pub fn usage(&self) -> Result<(f64, u64, u64), Failure> {
        let process = format!("/proc/{}", self.child.id());
        let stat = std::fs::read_to_string(format!("{process}/stat"))?;
        // Fields are counted after the closing parenthesis, for the program's name may hold blanks.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks = fields.skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
        let status = std::fs::read_to_string(format!("{process}/status"))?;
        let kib = |field: &str| -> Result<u64, Failure> {
            let line = status
                .lines()
                .find_map(|l| l.strip_prefix(field))
                .ok_or("no such field")?;
            Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? >> 10)
        };
        // Linux reports in units of 1/100 s on every architecture this runs on.
        Ok((f64::from(ticks) / 100.0, kib("VmRSS:")?, kib("VmHWM:")?))
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the engine did not stop well: {status}").into())
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
