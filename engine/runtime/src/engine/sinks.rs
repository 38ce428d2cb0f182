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
    thread: JoinHandle<()>,
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
        let name = format!("sink-{}", sink.name());
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            while let Ok(first) = ticks.recv() {
                let mut lot = vec![first];
                lot.extend(ticks.try_iter().take(sink.most_ticks().saturating_sub(1)));
                let mut pause = Duration::from_millis(100);
                while let Err(why) = sink.apply_all(&lot) {
                    events(sink.name(), Err(&why));
                    tracing::warn!(sink = sink.name(), %why, retry_in = ?pause, "a sink failed");
                    if stopping.is_set() {
                        return;
                    }
                    stopping.sleep(pause);
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                lot.iter().for_each(|_| events(sink.name(), Ok(())));
                let last = lot.last().map_or(0, |changes| changes.tick);
                // What is not committed must not be folded away: a sink may put off ticks that hold nothing for it.
                done.store(sink.upper().map_or(last, |upper| upper.min(last)), Ordering::Release);
            }
        })?;
        Ok(SinkThread {
            queue,
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

    /// Waits until the queue is worked off (or the sink gave up because the engine stops).
    pub(crate) fn finish(self) {
        drop(self.queue);
        if self.thread.join().is_err() {
            tracing::error!("a sink's thread had panicked");
        }
    }
}
