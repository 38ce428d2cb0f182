//! `groundswell run --processes N`: one process of several, under a supervisor that starts it again.
//!
//! The process that is started by hand only watches: it starts the real one, the same program with an environment variable,
//! and starts it again when it ended because another process was lost, or was killed. The real one dies with its
//! supervisor. Configuration is read anew at every start.

use super::Failure;
use super::run::run;
use crate::config::Pipeline;
use crate::engine::cluster::{ClusterError, Joined, Lost, OnLost, read_hosts};
use crate::pipeline::{follow, member};
use clap::Args;
use rustix::process::{Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal};
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Names the supervisor's process id to the one it starts.
const SUPERVISOR: &str = "GROUNDSWELL_SUPERVISOR";
/// Exit code for the supervisor: another process was lost, start again (`EX_TEMPFAIL` of sysexits.h).
const LOST: u8 = 75;
/// Before another start, where the process waits for the others anyway.
const SOON: Duration = Duration::from_millis(100);
/// Longest pause before another start.
const LONGEST: Duration = Duration::from_secs(10);
/// How long a follower that is asked to stop waits for the leader, which may be stopping as well.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct ClusterArgs {
    /// Run the pipeline in this many processes; start one on each address of --hosts.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    processes: u16,
    /// Which of them this is, from 0. Process 0 reads, records, serves and writes; the others compute.
    #[arg(long, value_name = "I", default_value_t = 0)]
    process: u16,
    /// With several processes: a file with one host:port a line for each, process 0 first.
    #[arg(long, value_name = "FILE")]
    hosts: Option<PathBuf>,
}

impl ClusterArgs {
    /// Addresses of all processes; none if there is only this one.
    pub(super) fn hosts(&self) -> Result<Option<Vec<String>>, Failure> {
        let (processes, process) = (self.processes, self.process);
        if process >= processes {
            return Err(Failure::Usage(format!(
                "--process {process} does not exist with --processes {processes}: they are numbered from 0 to {}",
                processes - 1
            )));
        }
        if processes == 1 {
            return Ok(None);
        }
        let Some(file) = &self.hosts else {
            return Err(Failure::Usage(format!(
                "--processes {processes} needs --hosts FILE: one host:port a line for each process, process 0 first"
            )));
        };
        let hosts = read_hosts(file, usize::from(processes)).map_err(|e| Failure::Usage(e.to_string()))?;
        Ok(Some(hosts))
    }

    /// Runs this process of several, or watches over the one that does.
    pub(super) fn run(
        &self,
        hosts: Vec<String>,
        pipeline: &Pipeline,
        patience: Option<Duration>,
        live_as_configured: bool,
    ) -> Result<(), Failure> {
        match std::env::var(SUPERVISOR) {
            Ok(pid) => {
                let lead = |joined| run(pipeline, patience, Some(joined), live_as_configured);
                work(pipeline, hosts, usize::from(self.process), lead, &pid)
            }
            Err(_) => supervise(),
        }
    }
}

/// The real process.
fn work(
    pipeline: &Pipeline,
    hosts: Vec<String>,
    process: usize,
    lead: impl FnOnce(Joined) -> Result<(), Failure>,
    supervisor: &str,
) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before it could be tied to.
    if getppid().is_none_or(|pid| pid.as_raw_nonzero().to_string() != supervisor) {
        return Err(Failure::Other(format!(
            "the supervisor is gone; do not set {SUPERVISOR} yourself"
        )));
    }
    let left = AtomicBool::new(false);
    let lost: OnLost = Arc::new(move |lost: Lost| {
        if !left.swap(true, Ordering::AcqRel) {
            tracing::warn!("{lost}; starting again, to go on from the record");
            leave(LOST);
        }
    });
    let joined = member(pipeline, hosts, process).join(lost).map_err(|e| match &e {
        ClusterError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse => Failure::Other(e.to_string()),
        _ => Failure::Usage(format!("groundswell: {e}")),
    })?;
    if process == 0 {
        return lead(joined);
    }
    let follower = follow(pipeline, joined).map_err(Failure::of_start)?;
    tracing::info!(pipeline = %pipeline.graph.name, process, "running");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut end = None;
        while !follower.is_done() && end.is_none_or(|end| Instant::now() < end) {
            if let Some(why) = follower.status().fatal() {
                return Err(Failure::Other(why));
            }
            tokio::select! {
                _ = term.recv() => { end.get_or_insert(Instant::now() + GRACE); }
                _ = int.recv() => { end.get_or_insert(Instant::now() + GRACE); }
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
        Ok(follower.is_done())
    })?;
    if done {
        follower.wait()?;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Ends the process from any thread, whatever the others are at.
fn leave(code: u8) -> ! {
    // What libraries do at exit may wait for a thread that never ends.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(2));
        let _ = kill_process(getpid(), Signal::KILL);
    });
    std::process::exit(i32::from(code))
}

/// What follows from the end of a process.
#[derive(Debug, PartialEq)]
enum Next {
    Done,
    /// It said why.
    Failed(u8),
    /// Other processes are gone, and nobody is to wait for them any more.
    Cut,
    /// Start again, at once or after growing pauses, and why.
    Again(bool, String),
}

/// `stopping`: it was asked to end. `restarted`: it had run before, so what it cannot reach now was there once.
fn next(status: ExitStatus, stopping: bool, restarted: bool) -> Next {
    match (
        status.code().map(|code| u8::try_from(code).unwrap_or(1)),
        status.signal(),
    ) {
        (Some(0), _) => Next::Done,
        (Some(LOST), _) if stopping => Next::Cut,
        (Some(LOST), _) => Next::Again(true, "another process was lost".into()),
        (Some(3), _) if restarted && !stopping => Next::Again(false, "something outside could not be reached".into()),
        (Some(code), _) => Next::Failed(code),
        // Asked to stop before it was listening for that; at a terminal both are asked.
        (None, Some(signal)) if stopping && [Signal::TERM, Signal::INT].iter().any(|s| s.as_raw() == signal) => {
            Next::Done
        }
        (None, _) if stopping => Next::Cut,
        (None, signal) => Next::Again(false, format!("it was killed by signal {}", signal.unwrap_or_default())),
    }
}

/// Starts the real process and starts it again.
fn supervise() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (mut restarted, mut pause) = (false, SOON);
        loop {
            let mut child = start()?;
            let (began, mut stopping) = (Instant::now(), false);
            let status = loop {
                tokio::select! {
                    _ = term.recv() => stopping = true,
                    _ = int.recv() => stopping = true,
                    () = tokio::time::sleep(Duration::from_millis(20)) => {
                        if let Some(status) = child.try_wait()? {
                            break status;
                        }
                        continue;
                    }
                }
                // It may have ended in the meantime.
                let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            };
            let (soon, why) = match next(status, stopping, restarted) {
                Next::Done => return Ok(()),
                Next::Failed(code) => return Err(Failure::Ended(code)),
                Next::Cut => {
                    return Err(Failure::Other(
                        "stopped, but another process was gone before everything was handed on; the next start goes on from \
                         the record"
                            .into(),
                    ));
                }
                Next::Again(soon, why) => (soon, why),
            };
            pause = match began.elapsed() {
                ran if soon || ran > LONGEST => SOON,
                _ => (pause * 2).min(LONGEST),
            };
            restarted = true;
            tracing::info!(%why, ?pause, "the process ended and is started again");
            tokio::select! {
                _ = term.recv() => return Ok(()),
                _ = int.recv() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    })
}

/// This program with these arguments. The calling thread must be the one that waits: the process dies with it.
fn start() -> Result<Child, Failure> {
    let program = std::env::current_exe()?;
    Command::new(&program)
        .args(std::env::args_os().skip(1))
        .env(SUPERVISOR, std::process::id().to_string())
        .spawn()
        .map_err(|e| Failure::Other(format!("cannot start \"{}\": {e}", program.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_the_end_of_a_process() {
        let (code, signal) = (|c: i32| ExitStatus::from_raw(c << 8), ExitStatus::from_raw);
        assert_eq!(next(code(0), false, false), Next::Done);
        assert_eq!(next(code(2), false, true), Next::Failed(2));
        assert!(matches!(next(code(75), false, false), Next::Again(true, _)));
        assert_eq!(next(code(75), true, false), Next::Cut);
        assert_eq!(next(code(3), false, false), Next::Failed(3));
        assert!(matches!(next(code(3), false, true), Next::Again(false, _)));
        assert_eq!(next(code(3), true, true), Next::Failed(3));
        assert!(matches!(next(signal(9), false, false), Next::Again(false, why) if why.contains("signal 9")));
        assert_eq!(next(signal(15), true, false), Next::Done);
        assert_eq!(next(signal(2), true, false), Next::Done);
        assert_eq!(next(signal(9), true, false), Next::Cut);
    }
}
