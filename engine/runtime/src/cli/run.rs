//! `groundswell run`: a pipeline until it is asked to stop, then drain, commit, exit.

use super::Failure;
use super::out::{note, say};
use super::summary::Gathering;
use crate::config::Pipeline;
use crate::engine::cluster::Joined;
use crate::engine::{Connections, EngineError, Status};
use crate::pipeline::{Running, StartError, start_with};
use groundswell_core::store::StoreError;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a process of ours that was killed may keep the state: its memory is given back before its files are.
const STATE_PATIENCE: Duration = Duration::from_secs(10);
/// Groups in the summary.
const GROUPS: usize = 12;

/// Runs until asked to stop. With `patience`, until everything is read and done; a sink that stands still for that long
/// when all else is done is not waited for. With a `cluster`, leads it.
pub(super) fn run(
    pipeline: &Pipeline,
    patience: Option<Duration>,
    mut cluster: Option<Joined>,
    live_as_configured: bool,
) -> Result<(), Failure> {
    let (mut gathering, began, leads) = (None, Instant::now(), cluster.is_some());
    let running = loop {
        let started = start_with(pipeline, |shared| {
            let observers = patience.map(|_| gathering.insert(Gathering::new(pipeline, shared)).observer());
            Connections {
                observers: observers.into_iter().collect(),
                without_posts: true,
                cluster: cluster.take(),
                live_as_configured,
                ..Connections::default()
            }
        });
        match started {
            Err(StartError::Engine(EngineError::Store(StoreError::Locked { .. })))
                if cluster.is_some() && began.elapsed() < STATE_PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(100));
            }
            started => break started.map_err(Failure::of_start)?,
        }
    };
    tracing::info!(pipeline = %pipeline.graph.name, at = ?running.addr(), "running");
    if let Some(addr) = running.addr() {
        note(format_args!("groundswell: serving http://{addr}"));
    }
    let standing = Standing::default();
    let done = |status: &Status| {
        patience.is_some_and(|patience| {
            status.is_drained() && (status.is_committed() || standing.still(status.committed()) >= patience)
        })
    };
    if let Err(why) = wait(&running, None, done) {
        if leads {
            // Closing the dataflow would tell the followers that all is done; they are to wait for another leader.
            std::mem::forget(running);
        }
        return Err(why);
    }
    let stats = std::sync::Arc::clone(running.engine.scorer_stats());
    running.stop().map_err(Failure::of_engine)?;
    if let Some(gathering) = gathering {
        say(gathering.report(GROUPS, &stats))?;
    }
    tracing::info!("stopped");
    Ok(())
}

/// How long a number has not changed.
#[derive(Default)]
struct Standing(Cell<Option<(u64, Instant)>>);

impl Standing {
    fn still(&self, now: u64) -> Duration {
        match self.0.get() {
            Some((before, since)) if before == now => since.elapsed(),
            _ => {
                self.0.set(Some((now, Instant::now())));
                Duration::ZERO
            }
        }
    }
}

/// Waits for SIGTERM or SIGINT, the deadline, the engine's failure, or `done`; calls nothing in between.
pub(super) fn wait(
    running: &Running,
    deadline: Option<Instant>,
    done: impl Fn(&Status) -> bool,
) -> Result<(), Failure> {
    wait_and(running, deadline, done, || Ok(()))
}

/// The same, calling `tick` about ten times a second.
pub(super) fn wait_and(
    running: &Running,
    deadline: Option<Instant>,
    done: impl Fn(&Status) -> bool,
    mut tick: impl FnMut() -> Result<(), Failure>,
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
                    tick()?;
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
