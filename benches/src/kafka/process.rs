//! The engine's process.

use crate::Failure;
use crate::usage::Usage;
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
    #[allow(dead_code)] // one of the two programs with engines
    pub fn start(pipeline: &Path, source: &str, records: u64) -> Result<Engine, Failure> {
        Self::start_with(pipeline, source, records, &[])
    }

    /// The same, with more in its environment.
    pub fn start_with(
        pipeline: &Path,
        source: &str,
        records: u64,
        environment: &[(&str, String)],
    ) -> Result<Engine, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("engine").arg(pipeline).arg(source).arg(records.to_string());
        command.envs(environment.iter().map(|(name, value)| (*name, value)));
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

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage, Failure> {
        Ok(Usage::of(&self.child.id().to_string())?)
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
