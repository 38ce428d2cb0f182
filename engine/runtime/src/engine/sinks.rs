//! Sink threads: one per sink, with a bounded queue and retries of its own.
//!
//! A sink that fails is tried again with growing pauses while its queue holds what came since; other sinks go on. Only when
//! the queue is full does the engine wait for it, since skipping a tick would lose it.

use super::status::Status;
use crossbeam_channel::{Sender, TrySendError, bounded};
use groundswell_core::serving::{Sink, TickChanges};
use groundswell_core::source::StopFlag;
use groundswell_core::time::Tick;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Ticks a sink may lie behind before the engine waits for it.
const QUEUE: usize = 1024;
/// Longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(30);

pub(crate) struct SinkThread {
    queue: Sender<Arc<TickChanges>>,
    name: String,
    /// Ends with the reason if it gave up.
    thread: JoinHandle<Option<String>>,
    upper: Option<Tick>,
    committed: Arc<AtomicU64>,
    stop: StopFlag,
}

/// How a sink reports what became of a tick.
pub(crate) type SinkEvents = Arc<dyn Fn(&str, Result<(), &str>) + Send + Sync>;

impl SinkThread {
    pub(crate) fn start(
        mut sink: Box<dyn Sink>,
        committed: Arc<AtomicU64>,
        stop: StopFlag,
        events: SinkEvents,
    ) -> std::io::Result<SinkThread> {
        let (queue, ticks) = bounded::<Arc<TickChanges>>(QUEUE);
        let upper = sink.upper();
        let (done, stopping) = (Arc::clone(&committed), stop.clone());
        let name = sink.name().to_owned();
        let thread = std::thread::Builder::new()
            .name(format!("sink-{name}"))
            .spawn(move || {
                for changes in ticks {
                    let mut pause = Duration::from_millis(100);
                    while let Err(why) = sink.apply(&changes) {
                        events(sink.name(), Err(&why));
                        tracing::warn!(sink = sink.name(), %why, retry_in = ?pause, "a sink failed");
                        if stopping.is_set() {
                            return Some(why);
                        }
                        stopping.sleep(pause);
                        pause = (pause * 2).min(MAX_PAUSE);
                    }
                    events(sink.name(), Ok(()));
                    done.store(changes.tick, Ordering::Release);
                }
                None
            })?;
        Ok(SinkThread {
            queue,
            name,
            thread,
            upper,
            committed,
            stop,
        })
    }

    /// Queues a tick the sink has not committed yet.
    pub(crate) fn offer(&mut self, changes: &Arc<TickChanges>, status: &Status) {
        if self.upper.is_some_and(|upper| changes.tick <= upper) {
            self.committed.fetch_max(changes.tick, Ordering::AcqRel);
            return;
        }
        let mut changes = Arc::clone(changes);
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
        let (name, last) = (self.name, self.committed.load(Ordering::Acquire));
        Some(format!(
            "sink \"{name}\" has not taken what came after tick {last}: {why}; it comes again at the next start"
        ))
    }
}
