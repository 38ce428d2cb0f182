//! Counters of a scorer at work, for metrics and tests. Written by the scoring threads, read by anybody.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters since the start, and two gauges.
#[derive(Debug, Default)]
pub struct ScorerStats {
    /// Gauge: texts wanted and not yet taken up.
    pub waiting: AtomicU64,
    /// Gauge: texts taken up and not yet answered.
    pub in_flight: AtomicU64,
    /// Batches answered.
    pub batches: AtomicU64,
    /// Texts answered by the model, failures included.
    pub texts: AtomicU64,
    /// Forward passes, those of bisected batches included.
    pub passes: AtomicU64,
    /// Tokens the model looked at.
    pub tokens: AtomicU64,
    /// Time spent in the model, µs.
    pub busy_us: AtomicU64,
    /// Texts longer than the model reads.
    pub truncated: AtomicU64,
    /// Texts that could not be scored.
    pub failures: AtomicU64,
    /// Texts wanted again soon after their answer, and answered from memory.
    pub memo_hits: AtomicU64,
}

/// [`ScorerStats`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // documented in `ScorerStats`
pub struct StatsSnapshot {
    pub waiting: u64,
    pub in_flight: u64,
    pub batches: u64,
    pub texts: u64,
    pub passes: u64,
    pub tokens: u64,
    pub busy: Duration,
    pub truncated: u64,
    pub failures: u64,
    pub memo_hits: u64,
}

impl ScorerStats {
    /// The numbers now; each is exact, together they may be a moment apart.
    pub fn snapshot(&self) -> StatsSnapshot {
        StatsSnapshot {
            waiting: self.waiting.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            batches: self.batches.load(Relaxed),
            texts: self.texts.load(Relaxed),
            passes: self.passes.load(Relaxed),
            tokens: self.tokens.load(Relaxed),
            busy: Duration::from_micros(self.busy_us.load(Relaxed)),
            truncated: self.truncated.load(Relaxed),
            failures: self.failures.load(Relaxed),
            memo_hits: self.memo_hits.load(Relaxed),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Relaxed);
}

pub(crate) fn set(gauge: &AtomicU64, n: usize) {
    gauge.store(n as u64, Relaxed);
}
