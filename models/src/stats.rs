//! Counters of a scorer at work, for metrics and tests. Written by the scoring threads, read by anybody. What a sum cannot
//! say (how long, how many at once, why not) is told to a [`Watch`], if there is one.

use crate::scorer::ScoreFailure;
use groundswell_core::score::Rung;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Somebody who is told what a scorer does, on the scorer's threads: it must not wait.
pub trait Watch: Send + Sync {
    /// A batch of so many texts was answered.
    fn batch(&self, texts: usize, took: Duration);
    /// A text was answered so long after it was wanted.
    fn answered(&self, waited: Duration);
    /// A text could not be scored; see [`ScoreFailure::code`].
    fn failed(&self, code: &'static str);
    /// An answer of this rung goes to the record; `None` is that there is none.
    fn recorded(&self, rung: Option<Rung>);
    /// A request to the HTTP scorer ended like this.
    fn asked(&self, outcome: &'static str, took: Duration);
    /// So many texts wait for a rung below the model, and whether its breaker is open.
    fn below(&self, waiting: usize, broken: bool);
}

/// At most one [`Watch`].
#[derive(Default)]
struct Watched(OnceLock<Arc<dyn Watch>>);

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.get().is_some() { "watched" } else { "unwatched" })
    }
}

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
    /// Tokens of padding that batches of one length would have had on top.
    pub padding: AtomicU64,
    /// Texts longer than the model reads.
    pub truncated: AtomicU64,
    /// Texts that could not be scored.
    pub failures: AtomicU64,
    /// Texts wanted again soon after their answer, and answered from memory.
    pub memo_hits: AtomicU64,
    watched: Watched,
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
    pub padding: u64,
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
            padding: self.padding.load(Relaxed),
            truncated: self.truncated.load(Relaxed),
            failures: self.failures.load(Relaxed),
            memo_hits: self.memo_hits.load(Relaxed),
        }
    }

    /// Who is told from now on; the first one stays.
    pub fn watch(&self, watch: Arc<dyn Watch>) {
        // A second one would count everything twice.
        let _ = self.watched.0.set(watch);
    }

    pub(crate) fn batch(&self, texts: usize, took: Duration) {
        count(&self.batches);
        add(&self.texts, texts);
        add(&self.busy_us, usize::try_from(took.as_micros()).unwrap_or(usize::MAX));
        self.tell(|watch| watch.batch(texts, took));
    }

    pub(crate) fn failed(&self, failure: &ScoreFailure) {
        count(&self.failures);
        self.tell(|watch| watch.failed(failure.code()));
    }

    pub(crate) fn tell(&self, what: impl FnOnce(&dyn Watch)) {
        if let Some(watch) = self.watched.0.get() {
            what(&**watch);
        }
    }

    /// An answer goes to the record.
    pub fn recorded(&self, rung: Option<Rung>) {
        self.tell(|watch| watch.recorded(rung));
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
