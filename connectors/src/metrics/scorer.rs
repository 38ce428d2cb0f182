//! What the scorers do: the model, and the rungs below it.

use super::registrar::Registrar;
use super::{MetricsError, whole};
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use std::time::Duration;

const BATCH_TEXTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
const SCORER_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0];

/// Metrics of the scorers; totals of a scorer are counted by itself and come in now and then.
pub struct ScorerMetrics {
    queue: IntGauge,
    batches: IntCounter,
    texts: IntCounter,
    forward_passes: IntCounter,
    in_flight: IntGauge,
    tokens: IntCounter,
    padding: IntCounter,
    truncated: IntCounter,
    batch_texts: Histogram,
    batch_seconds: Histogram,
    latency: Histogram,
    memo_hits: IntCounter,
    failed: IntCounter,
    failures: IntCounterVec,
    answers: IntCounterVec,
    http_requests: IntCounterVec,
    http_seconds: Histogram,
    fallback_queue: IntGauge,
    breaker_open: IntGauge,
}

/// Totals of a scorer since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScorerTotals {
    /// Batches given to the model.
    pub batches: u64,
    /// Texts answered.
    pub texts: u64,
    /// Forward passes, those of bisected batches included.
    pub forward_passes: u64,
    /// Posts and texts that were answered without the model.
    pub memo_hits: u64,
    /// Tokens the model looked at.
    pub tokens: u64,
    /// Tokens of padding it did not have to look at.
    pub padding: u64,
    /// Texts cut to the length the model reads.
    pub truncated: u64,
    /// Texts the model could not score.
    pub failed: u64,
}

impl ScorerMetrics {
    pub(super) fn register(r: &mut Registrar) -> Result<Self, MetricsError> {
        Ok(ScorerMetrics {
            queue: r.gauge("scorer_queue_texts", "Texts waiting for the model.")?,
            batches: r.counter("scorer_batches_total", "Batches given to the model.")?,
            texts: r.counter("scorer_texts_total", "Texts scored by the model.")?,
            forward_passes: r.counter(
                "scorer_forward_passes_total",
                "Forward passes of the model. A change of votes causes none.",
            )?,
            in_flight: r.gauge("scorer_in_flight_texts", "Texts the model has taken up and not answered.")?,
            tokens: r.counter(
                "scorer_tokens_total",
                "Tokens the model looked at; their rate is its speed in tokens a second.",
            )?,
            padding: r.counter(
                "scorer_padding_avoided_tokens_total",
                "Tokens of padding that batches of one length would have had on top.",
            )?,
            truncated: r.counter(
                "scorer_truncated_texts_total",
                "Texts that were cut to the length the model reads.",
            )?,
            batch_texts: r.histogram("scorer_batch_texts", "Texts in a batch.", BATCH_TEXTS)?,
            batch_seconds: r.histogram(
                "scorer_batch_duration_seconds",
                "Time the model took for a batch, the passes of a failing one included.",
                SCORER_SECONDS,
            )?,
            latency: r.histogram(
                "scorer_latency_seconds",
                "Time from a text being wanted to its answer.",
                SCORER_SECONDS,
            )?,
            memo_hits: r.counter(
                "scorer_memo_hits_total",
                "Posts whose text had an answer when they came, and texts wanted again that were answered from memory: none \
                 of them cost a pass.",
            )?,
            failed: r.counter("scorer_failed_texts_total", "Texts the model could not score.")?,
            failures: r.counters(
                "scorer_failures_total",
                "Texts the model could not score, by the code of their dead letters.",
                &["code"],
            )?,
            answers: r.counters(
                "scorer_answers_total",
                "Answers recorded, by the rung of the ladder that gave them: `local`, `http`, `neutral`, or `none`.",
                &["rung"],
            )?,
            http_requests: r.counters(
                "scorer_http_requests_total",
                "Requests to the HTTP scorer, retries included, by outcome.",
                &["outcome"],
            )?,
            http_seconds: r.histogram(
                "scorer_http_request_duration_seconds",
                "Time until the HTTP scorer's answer was read, or given up.",
                SCORER_SECONDS,
            )?,
            fallback_queue: r.gauge(
                "scorer_fallback_queue_texts",
                "Texts the model could not answer that wait for the HTTP scorer, or for a better answer than neutral.",
            )?,
            breaker_open: r.gauge(
                "scorer_breaker_open",
                "1 while the HTTP scorer is not asked because it failed too often in a row.",
            )?,
        })
    }

    /// Texts waiting for the model, and texts it has taken up.
    pub fn queue(&self, waiting: usize, in_flight: usize) {
        self.queue.set(whole(waiting));
        self.in_flight.set(whole(in_flight));
    }

    /// The model answered a batch.
    pub fn batch(&self, texts: usize, took: Duration) {
        #[allow(clippy::cast_precision_loss)] // some hundred texts
        self.batch_texts.observe(texts as f64);
        self.batch_seconds.observe(took.as_secs_f64());
    }

    /// The model could not score a text.
    pub fn failure(&self, code: &str) {
        self.failures.with_label_values(&[code]).inc();
    }

    /// An answer of this rung goes to the record.
    pub fn answer(&self, rung: &str) {
        self.answers.with_label_values(&[rung]).inc();
    }

    /// A request to the HTTP scorer ended.
    pub fn http_request(&self, outcome: &str, took: Duration) {
        self.http_requests.with_label_values(&[outcome]).inc();
        self.http_seconds.observe(took.as_secs_f64());
    }

    /// How far the rungs below the model are: texts that wait, and whether the breaker is open.
    pub fn fallback(&self, waiting: usize, breaker_open: bool) {
        self.fallback_queue.set(whole(waiting));
        self.breaker_open.set(i64::from(breaker_open));
    }

    /// What the scorer has done since it started; counters move up to these totals.
    pub fn totals(&self, totals: ScorerTotals) {
        for (counter, total) in [
            (&self.batches, totals.batches),
            (&self.texts, totals.texts),
            (&self.forward_passes, totals.forward_passes),
            (&self.memo_hits, totals.memo_hits),
            (&self.failed, totals.failed),
            (&self.tokens, totals.tokens),
            (&self.padding, totals.padding),
            (&self.truncated, totals.truncated),
        ] {
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }

    /// How long a text waited for its score, the model's time included.
    pub fn latency(&self, took: Duration) {
        self.latency.observe(took.as_secs_f64());
    }

    /// Forward passes so far.
    pub fn forward_passes_total(&self) -> u64 {
        self.forward_passes.get()
    }

    /// Texts scored so far.
    pub fn scored_texts_total(&self) -> u64 {
        self.texts.get()
    }
}
