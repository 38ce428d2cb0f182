//! Sink threads: one per sink, with a bounded queue and retries of its own.
//!
//! A sink takes what waits in one go, up to a bound, so that one that was down catches up fast. One that fails is tried
//! again (`retry`) while its queue holds what came since; other sinks go on. Only when the queue is full does the engine
//! wait for it, since skipping a tick would lose it. Operators can pause, resume and resync it (`control`).

pub(crate) mod control;
mod retry;
/// What sinks do, as metrics.
pub(crate) fn events(metrics: &Arc<Metrics>) -> SinkEvents {
    let metrics = Arc::clone(metrics);
    Arc::new(move |sink, event| match event {
        SinkEvent::Committed(ticks) => metrics.sink_applied(sink, ticks),
        SinkEvent::Failed => metrics.sink_error(sink),
        SinkEvent::Waiting(ticks, oldest) => {
            let age = oldest.map_or(0, |at| wall_now().saturating_sub(i64::try_from(at).unwrap_or(i64::MAX)));
            metrics.sink_lag(sink, ticks, Duration::from_millis(u64::try_from(age).unwrap_or(0)));
        }
    })
}

#[cfg(test)]
mod tests;

pub use control::{FullState, SinkCondition, SinkError, SinkReport, SinkState};

use super::EngineError;
use super::status::Status;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use groundswell_connectors::metrics::Metrics;
use groundswell_core::serving::{Sink, TickChanges};
use groundswell_core::source::StopFlag;
use groundswell_core::time::{Tick, wall_now};
use retry::Retry;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ticks a sink may lie behind before the engine waits for it.
const QUEUE: usize = 1024;
/// Most ticks taken in one go.
const BATCH_TICKS: usize = 256;
/// Row changes after which no further tick is added to those taken in one go.
const BATCH_ROWS: usize = 50_000;
/// How often a thread that has nothing to do looks whether somebody wants something.
const LOOK: Duration = Duration::from_millis(50);

/// What happens at a sink, for metrics.
pub(crate) enum SinkEvent {
    /// Ticks were committed, in one go.
    Committed(usize),
    /// An attempt failed.
    Failed,
    /// Ticks wait, the oldest of this time.
    Waiting(usize, Option<Tick>),
}

/// Called on the sink's thread.
pub(crate) type SinkEvents = Arc<dyn Fn(&str, SinkEvent) + Send + Sync>;

pub(crate) struct SinkThread {
    queue: Sender<Arc<TickChanges>>,
    /// Until the first tick, for a sink that begins again: the full state as of that tick.
    past: Option<FullState>,
    /// Ends with the reason if it gave up.
    thread: JoinHandle<Option<String>>,
    upper: Option<Tick>,
    state: Arc<SinkState>,
    stop: StopFlag,
}

impl SinkThread {
    pub(crate) fn start(
        sink: Box<dyn Sink>,
        state: Arc<SinkState>,
        full: Option<FullState>,
        stop: StopFlag,
        events: SinkEvents,
    ) -> std::io::Result<SinkThread> {
        let (queue, ticks) = bounded::<Arc<TickChanges>>(QUEUE);
        let upper = sink.upper();
        let worker = Worker {
            at: upper,
            sink,
            state: Arc::clone(&state),
            full,
            stop: stop.clone(),
            events,
            ticks,
            taken: VecDeque::new(),
            retry: Retry::default(),
            began: Instant::now(),
            target: None,
        };
        let thread = std::thread::Builder::new()
            .name(format!("sink-{}", state.name()))
            .spawn(move || worker.run())?;
        Ok(SinkThread {
            queue,
            past: None,
            thread,
            upper,
            state,
            stop,
        })
    }

    /// The sink begins again: with its first tick it is told how alerts ended, as far as that is known.
    pub(crate) fn begin_again(mut self, full: Option<FullState>) -> Self {
        self.past = full;
        self
    }

    /// Queues a tick the sink has not committed yet.
    pub(crate) fn offer(&mut self, changes: &Arc<TickChanges>, status: &Status) {
        if self.upper.is_some_and(|upper| changes.tick <= upper) {
            self.state.commit(changes.tick);
            return;
        }
        let mut changes = match self.past.take() {
            Some(full) => with_past(changes, &full),
            None => Arc::clone(changes),
        };
        loop {
            match self.queue.try_send(changes) {
                Ok(()) => return,
                // A failing sink gives up when the engine stops; what it has not committed comes again after a restart.
                Err(TrySendError::Disconnected(_)) if self.stop.is_set() => return,
                Err(TrySendError::Disconnected(_)) => return status.fail("a sink's thread is gone"),
                Err(TrySendError::Full(back)) => {
                    changes = back;
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    /// Waits until the queue is worked off. If the sink gave up because the engine stops, says why.
    pub(crate) fn finish(self) -> Option<String> {
        drop(self.queue);
        let why = self
            .thread
            .join()
            .unwrap_or_else(|_| Some("its thread panicked; this is a bug, the record is intact".to_owned()))?;
        let (name, last) = (self.state.name(), self.state.committed());
        Some(format!(
            "sink \"{name}\" has not taken what came after tick {last}: {why}; it comes again at the next start"
        ))
    }
}

/// The inside of a sink's thread.
struct Worker {
    sink: Box<dyn Sink>,
    state: Arc<SinkState>,
    full: Option<FullState>,
    stop: StopFlag,
    events: SinkEvents,
    ticks: Receiver<Arc<TickChanges>>,
    /// Taken from the queue and not committed.
    taken: VecDeque<Arc<TickChanges>>,
    retry: Retry,
    began: Instant,
    /// The last tick committed.
    at: Option<Tick>,
    /// The state a resync waits to reach the tick of.
    target: Option<TickChanges>,
}

impl Worker {
    /// Until the queue is closed and empty; `Some` says why it ends before.
    fn run(mut self) -> Option<String> {
        let mut open = true;
        loop {
            open = open && self.take();
            self.report();
            if self.taken.is_empty() && !open {
                return None;
            }
            let stopping = self.stop.is_set();
            if self.state.is_paused() {
                if stopping {
                    return Some("it is paused".to_owned());
                }
                self.stop.sleep(LOOK);
                continue;
            }
            if self.state.take_hurry() {
                self.retry.hurry();
            }
            let pause = self.retry.pause(self.began.elapsed());
            if !stopping && !pause.is_zero() {
                self.stop.sleep(pause.min(LOOK));
                continue;
            }
            let done = self.resync_or_apply();
            match done {
                Ok(()) if self.retry.failures() > 0 => {
                    tracing::info!(sink = self.sink.name(), "the sink works again");
                    self.retry.succeeded();
                    self.state.condition(SinkCondition::Running, None);
                }
                Ok(()) => {}
                Err(why) => {
                    self.retry.failed(self.began.elapsed(), roll(&self.began));
                    let n = self.retry.failures();
                    let condition = if self.retry.is_open() {
                        SinkCondition::Broken(n)
                    } else {
                        SinkCondition::Retrying(n)
                    };
                    self.state.condition(condition, Some(&why));
                    (self.events)(self.sink.name(), SinkEvent::Failed);
                    let retry_in = self.retry.pause(self.began.elapsed());
                    tracing::warn!(sink = self.sink.name(), %why, failures = n, ?retry_in, "a sink failed");
                    if self.stop.is_set() {
                        return Some(why);
                    }
                }
            }
        }
    }

    /// Takes what waits, up to the bound; waits a moment if there is nothing. False once the queue is closed and empty.
    fn take(&mut self) -> bool {
        let mut rows: usize = self.taken.iter().map(|t| weight(t)).sum();
        while self.taken.len() < BATCH_TICKS && rows < BATCH_ROWS {
            let next = if self.taken.is_empty() {
                self.ticks.recv_timeout(LOOK)
            } else {
                self.ticks.try_recv().map_err(|_| RecvTimeoutError::Timeout)
            };
            match next {
                Ok(tick) => {
                    rows += weight(&tick);
                    self.taken.push_back(tick);
                }
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    fn report(&self) {
        let (behind, oldest) = (self.taken.len() + self.ticks.len(), self.taken.front().map(|t| t.tick));
        self.state.waiting(behind, oldest);
        (self.events)(self.sink.name(), SinkEvent::Waiting(behind, oldest));
    }

    fn resync_or_apply(&mut self) -> Result<(), String> {
        self.aim();
        if let Some(full) = self.target.as_ref().filter(|full| Some(full.tick) == self.at) {
            let what = self.sink.resync(full)?;
            tracing::info!(sink = self.sink.name(), %what, "resynced");
            self.state.resynced(what);
            self.target = None;
            return Ok(());
        }
        // A resync wants the sink exactly at its tick.
        let until = self.target.as_ref().map_or(Tick::MAX, |full| full.tick);
        let due = self.taken.partition_point(|tick| tick.tick <= until);
        if due == 0 && !self.taken.is_empty() {
            // Nothing waits up to that tick, and the sink is not at it: another one is aimed at.
            self.target = None;
        }
        let Some(last) = due.checked_sub(1).and_then(|i| self.taken.get(i)).map(|t| t.tick) else {
            return Ok(());
        };
        let batch: Vec<Arc<TickChanges>> = self.taken.range(..due).cloned().collect();
        let done = self.sink.apply_all(&batch);
        // Some of them may have been taken before one failed.
        let committed = if done.is_ok() { Some(last) } else { self.sink.upper() };
        let before = self.taken.len();
        self.taken
            .retain(|tick| committed.is_none_or(|upper| tick.tick > upper));
        let taken = before - self.taken.len();
        if taken > 0 {
            self.at = self.at.max(committed);
            (self.events)(self.sink.name(), SinkEvent::Committed(taken));
            self.state.commit(committed.unwrap_or_default());
        }
        done
    }

    /// Decides at which tick a resync that was asked for takes place: the one that is served now. Ticks are served before
    /// they are handed to sinks, so the sink comes by it.
    fn aim(&mut self) {
        if self.target.is_some() || !self.state.wants_resync() {
            return;
        }
        let Some(full) = &self.full else {
            return self.state.resynced(SinkError::NotServed.to_string());
        };
        // While the past is restored, what is served may lie before what the sink has.
        self.target = full().filter(|full| Some(full.tick) >= self.at);
    }
}

/// A snapshot's tick tells of the alerts that stand. A sink that begins again missed how others ended, which is known where
/// alerts are served.
fn with_past(changes: &Arc<TickChanges>, full: &FullState) -> Arc<TickChanges> {
    let known = full().filter(|full| full.tick == changes.tick);
    let Some(known) = known.filter(|full| !full.alerts.is_empty()) else {
        return Arc::clone(changes);
    };
    let standing: BTreeSet<u128> = changes.alerts.iter().map(|alert| alert.id).collect();
    let ended = known.alerts.into_iter().filter(|alert| !standing.contains(&alert.id));
    let alerts = ended.chain(changes.alerts.iter().cloned()).collect();
    Arc::new(TickChanges {
        alerts,
        ..TickChanges::clone(changes)
    })
}

fn weight(tick: &TickChanges) -> usize {
    tick.views.iter().map(Vec::len).sum::<usize>() + tick.alerts.len() + tick.dead.len()
}

/// Uniform in [0, 1), from the clock's finest digits and the process's hash seed: enough for jitter.
#[allow(clippy::cast_precision_loss)]
fn roll(began: &Instant) -> f64 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(began.elapsed().as_nanos()) >> 11) as f64 / (1u64 << 53) as f64
}

/// A sink that has more than the record would be left out until the record has as much. Even one that could begin again is
/// refused: it may be the state that is the wrong one.
pub(super) fn not_ahead(sink: &dyn Sink, recorded: Option<Tick>) -> Result<(), EngineError> {
    match sink.upper().filter(|upper| Some(*upper) > recorded) {
        None => Ok(()),
        Some(upper) => Err(EngineError::SinkAhead {
            sink: sink.name().to_owned(),
            upper,
            state: recorded,
        }),
    }
}

/// A sink that has less than the snapshot holds lacks ticks that are no more: it has to begin again. Says whether it does.
pub(super) fn begin_again(sink: &mut dyn Sink, folded: Option<Tick>) -> Result<bool, EngineError> {
    let (Some(upper), Some(folded)) = (sink.upper(), folded) else {
        return Ok(false);
    };
    if upper >= folded {
        return Ok(false);
    }
    tracing::warn!(
        sink = sink.name(),
        upper,
        folded,
        "the sink begins again: the ticks it lacks were folded"
    );
    sink.rebuild().map_err(|why| {
        EngineError::Failed(format!(
            "sink \"{}\" has committed tick {upper}, and the record holds single ticks only after {folded}: {why}; let it \
             write to a new place",
            sink.name()
        ))
    })?;
    Ok(true)
}
