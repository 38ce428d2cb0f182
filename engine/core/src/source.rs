//! The seam between connectors and the record: how a source hands over what it read.
//!
//! A source runs on a thread of its own, decodes what it reads and sends batches through a bounded channel, so a slow
//! engine slows the source and nothing else. It reads nothing from the engine but its resume positions.

use crate::id::Names;
use crate::record::{Binding, Envelope, SourceId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// What a source read since its last batch. Records keep their order; dead letters are records too.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct SourceBatch {
    /// Which source.
    pub source: SourceId,
    /// Decoded records (and dead letters) in order.
    pub records: Vec<Envelope>,
    /// For every partition touched: where to continue after these records.
    pub bindings: Vec<Binding>,
    /// The source's own idea of the present (epoch ms), for paced replays; `None` for live sources.
    pub clock: Option<i64>,
    /// Nothing follows: the source has been read to its end.
    pub finished: bool,
}

/// Why a source ended early.
#[derive(Debug, thiserror::Error)]
#[error("source \"{source_name}\": {message}{}", hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())]
pub struct SourceError {
    /// The source's name in the config.
    pub source_name: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// The engine went away: stop reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine is shutting down")]
pub struct Stopped;

/// A flag that asks threads to stop; clones share it.
#[derive(Clone, Default, Debug)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks everyone to stop.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }
    /// Whether somebody asked.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
    /// Sleeps, in slices, until the time is over or somebody asked to stop.
    pub fn sleep(&self, duration: std::time::Duration) {
        let end = std::time::Instant::now() + duration;
        while !self.is_set() {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(std::time::Duration::from_millis(20)));
        }
    }
}

/// Positions of one source that are durable by now; clones share them.
///
/// The engine moves them after each tick that is on disk. A source may tell others how far it got, but never more than this.
#[derive(Clone, Default, Debug)]
pub struct Durable(Arc<Mutex<BTreeMap<u32, u64>>>);

impl Durable {
    /// Positions that were durable before.
    pub fn new(bindings: &[Binding]) -> Self {
        let durable = Durable::default();
        bindings.iter().for_each(|b| durable.advance(b));
        durable
    }

    /// Notes a position that is durable now.
    pub fn advance(&self, binding: &Binding) {
        self.0.lock().insert(binding.partition, binding.next);
    }

    /// All partitions with the offset to continue from.
    pub fn positions(&self) -> BTreeMap<u32, u64> {
        self.0.lock().clone()
    }
}

/// What the engine gives a source.
pub struct SourceContext {
    /// This source's index; goes into every envelope.
    pub source: SourceId,
    /// Where to continue, per partition; empty on the first start.
    pub resume: Vec<Binding>,
    /// Bounded: blocks while the engine is behind.
    pub out: crossbeam_channel::Sender<SourceBatch>,
    /// Asked to stop.
    pub stop: StopFlag,
    /// Strings behind digests; decoding interns what views group by.
    pub names: Arc<Names>,
    /// Posts written before this (epoch ms) are beyond every view's retention: dead-letter them as `late`. Moves with the
    /// recorded clock; `i64::MIN` while everything is kept.
    pub horizon: Arc<AtomicI64>,
    /// Which of the positions sent are durable.
    pub durable: Durable,
}

impl SourceContext {
    /// Sends a batch, waiting while the engine is behind.
    ///
    /// # Errors
    /// [`Stopped`] when the engine is shutting down.
    pub fn send(&self, batch: SourceBatch) -> Result<(), Stopped> {
        let mut batch = batch;
        loop {
            if self.stop.is_set() {
                return Err(Stopped);
            }
            match self.out.send_timeout(batch, std::time::Duration::from_millis(50)) {
                Ok(()) => return Ok(()),
                Err(crossbeam_channel::SendTimeoutError::Timeout(back)) => batch = back,
                Err(crossbeam_channel::SendTimeoutError::Disconnected(_)) => return Err(Stopped),
            }
        }
    }
}

/// Decodes records of a source outside of its reading: those it could not accept, when they are given to it again.
pub trait Redecode: Send + Sync {
    /// Fetches what decoding needs from elsewhere, such as a schema; asked before every record. May wait a few seconds.
    ///
    /// # Errors
    /// Why it cannot be had now, and what to do; the record is not to blame.
    fn prepare(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), String> {
        let _ = (key, value);
        Ok(())
    }

    /// What the record at a position (source, partition, offset) is now: an envelope as the source would send it, a dead
    /// letter among them. Posts from before `horizon` (epoch ms) are beyond every view's retention.
    fn redecode(
        &self,
        at: (SourceId, u32, u64),
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        names: &Names,
        horizon: i64,
    ) -> Envelope;
}

/// Something that feeds the engine.
pub trait Source: Send + 'static {
    /// The source's name in the config.
    fn name(&self) -> &str;

    /// Whether the source reports its own lag, which the age of what it reads says nothing about.
    fn measures_lag(&self) -> bool {
        false
    }

    /// What decodes its records; `None` if they cannot be given to it again.
    fn redecoder(&self) -> Option<Arc<dyn Redecode>> {
        None
    }

    /// Reads until the end of the input or until asked to stop; runs on a thread of its own. Must send a final batch with
    /// `finished` when the input has an end.
    ///
    /// # Errors
    /// [`SourceError`] if it cannot go on; a bad *record* is a dead letter, never an error.
    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError>;
}
