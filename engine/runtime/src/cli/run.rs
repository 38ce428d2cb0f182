//! `groundswell run`: a pipeline until it is asked to stop, then drain, commit, exit.

use super::Failure;
use crate::config::Pipeline;
use crate::engine::{Connections, Status};
use crate::pipeline::{Running, start};
use std::time::{Duration, Instant};

pub(super) fn run(pipeline: &Pipeline, until_done: bool) -> Result<(), Failure> {
    let running = start(pipeline, Connections::default())?;
    tracing::info!(pipeline = %pipeline.graph.name, at = ?running.addr(), "running");
    if let Some(addr) = running.addr() {
        eprintln!("groundswell: serving http://{addr}");
    }
    wait(&running, None, |status| until_done && status.is_drained())?;
    running.stop()?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for SIGTERM or SIGINT, the deadline, the engine's failure, or `done`; calls nothing in between.
pub(super) fn wait(
    running: &Running,
    deadline: Option<Instant>,
    done: impl Fn(&Status) -> bool,
) -> Result<(), Failure> {
    wait_and(running, deadline, done, || {})
}

/// The same, calling `tick` about ten times a second.
pub(super) fn wait_and(
    running: &Running,
    deadline: Option<Instant>,
    done: impl Fn(&Status) -> bool,
    mut tick: impl FnMut(),
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut every = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                _ = term.recv() => return Ok(()),
                _ = int.recv() => return Ok(()),
                _ = every.tick() => {
                    tick();
                    let status = running.engine.status();
                    if let Some(why) = status.fatal() {
                        return Err(Failure::Other(why));
                    }
                    if done(status) || deadline.is_some_and(|end| Instant::now() >= end) {
                        return Ok(());
                    }
                }
            }
        }
    })
}
