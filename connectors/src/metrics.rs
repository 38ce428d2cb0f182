//! What the engine measures, by name.
//!
//! In: calls from sources, the worker loop, the scorer, sinks and the server. Out: the Prometheus text format and a page
//! of reference made from the same list. State: counters; every method is cheap and waits for nobody.

mod feed;
mod models;
mod registrar;
mod rules;
mod scorer;
mod source;

pub use models::ModelLoad;
pub use scorer::{ScorerMetrics, ScorerTotals};
pub use source::SourceMetrics;

use prometheus::core::Collector;
use prometheus::{Encoder, Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};
use registrar::{Described, Registrar};
use std::time::Duration;

/// Metrics that contradict each other: a defect of this program, found when it starts.
#[derive(Debug, thiserror::Error)]
#[error("could not register the metric \"{name}\": {source}")]
pub struct MetricsError {
    /// Which metric.
    pub name: String,
    /// Why.
    pub source: prometheus::Error,
}

/// Parts of the durable store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorePart {
    /// Recorded ticks not folded yet.
    Log,
    /// The snapshot.
    Snapshot,
    /// The cache of texts.
    Texts,
}

impl StorePart {
    fn name(self) -> &'static str {
        match self {
            StorePart::Log => "log",
            StorePart::Snapshot => "snapshot",
            StorePart::Texts => "texts",
        }
    }
}

const TICK_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
const HTTP_SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];

/// All metrics of a process; share it in an [`std::sync::Arc`].
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    pub(crate) read: IntCounterVec,
    pub(crate) accepted: IntCounterVec,
    pub(crate) duplicate: IntCounterVec,
    pub(crate) late: IntCounterVec,
    pub(crate) dead_lettered: IntCounterVec,
    pub(crate) replayed: IntCounterVec,
    pub(crate) source_lag_seconds: prometheus::GaugeVec,
    pub(crate) source_lag_records: IntGaugeVec,
    frontier_lag: Gauge,
    tick_duration: Histogram,
    ticks: IntCounter,
    operator_records: IntGaugeVec,
    adrift: IntGauge,
    models: models::ModelMetrics,
    rules: rules::RuleMetrics,
    scorer: ScorerMetrics,
    sink_ticks: IntCounterVec,
    sink_errors: IntCounterVec,
    webhook_attempts: IntCounterVec,
    sink_lag: IntGaugeVec,
    sink_lag_seconds: prometheus::GaugeVec,
    sink_commits: IntCounterVec,
    websocket_clients: IntGauge,
    websocket_dropped: IntCounterVec,
    websocket_resyncs: IntCounter,
    websocket_frames: IntCounter,
    store_bytes: IntGaugeVec,
    hub_bytes: IntGauge,
    http_requests: IntCounterVec,
    http_duration: HistogramVec,
    feeds: feed::FeedMetrics,
}

/// What became of a source's records since the start: once they are complete, the first is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceTotals {
    /// Records read.
    pub read: u64,
    /// Recorded and released.
    pub accepted: u64,
    /// Recorded, but nothing new.
    pub duplicate: u64,
    /// Could not be accepted.
    pub dead_lettered: u64,
}

impl Metrics {
    /// All metrics at zero, in a registry of their own.
    ///
    /// # Errors
    /// [`MetricsError`] if two of them share a name.
    pub fn new() -> Result<Self, MetricsError> {
        let mut r = Registrar::default();
        let per_source = &["source"];
        let feeds = feed::FeedMetrics::new(&mut r)?;
        Ok(Metrics {
            feeds,
            read: r.counters("records_read_total", "Records read from a source.", per_source)?,
            accepted: r.counters(
                "records_accepted_total",
                "Records recorded and released into the graph.",
                per_source,
            )?,
            duplicate: r.counters(
                "records_duplicate_total",
                "Records that repeat or precede what is already known, and change nothing.",
                per_source,
            )?,
            late: r.counters(
                "records_late_total",
                "Accepted posts whose window had already ended; they revise it while it is kept.",
                per_source,
            )?,
            dead_lettered: r.counters(
                "records_dead_lettered_total",
                "Records that could not be accepted, by stage and code.",
                &["source", "stage", "code"],
            )?,
            replayed: r.counters(
                "records_replayed_total",
                "Of the records read, those that came again from dead letters; they are counted as accepted, duplicate or \
                 dead-lettered as well.",
                per_source,
            )?,
            source_lag_seconds: r.gauges_f64(
                "source_lag_seconds",
                "Age of the newest record read, by the source's own time.",
                per_source,
            )?,
            source_lag_records: r.gauges(
                "source_lag_records",
                "Records the source holds that were not read yet.",
                per_source,
            )?,
            frontier_lag: r.gauge_f64("frontier_lag_seconds", "Age of the last complete tick.")?,
            tick_duration: r.histogram(
                "tick_duration_seconds",
                "Time from minting a tick to its changes being handed over.",
                TICK_SECONDS,
            )?,
            ticks: r.counter("ticks_total", "Complete ticks.")?,
            operator_records: r.gauges(
                "operator_records",
                "Records held in an operator's arrangements.",
                &["operator"],
            )?,
            adrift: r.gauge(
                "posts_without_thread_times",
                "Live posts in no row of anchored views, because the record of their thread has no times or did not come.",
            )?,
            models: models::ModelMetrics::new(&mut r)?,
            rules: rules::RuleMetrics::new(&mut r)?,
            scorer: ScorerMetrics::register(&mut r)?,
            sink_ticks: r.counters("sink_ticks_applied_total", "Ticks a sink has applied.", &["sink"])?,
            sink_errors: r.counters(
                "sink_errors_total",
                "Failed attempts of a sink to apply a tick.",
                &["sink"],
            )?,
            webhook_attempts: r.counters(
                "webhook_attempts_total",
                "Requests that a webhook made, by what became of them: `delivered`, `failed` (tried again) or `refused` (set aside).",
                &["sink", "outcome"],
            )?,
            sink_lag: r.gauges(
                "sink_lag_ticks",
                "Complete ticks a sink has not applied yet.",
                &["sink"],
            )?,
            sink_lag_seconds: r.gauges_f64(
                "sink_lag_seconds",
                "Age of the oldest complete tick a sink has not applied yet.",
                &["sink"],
            )?,
            sink_commits: r.counters(
                "sink_commits_total",
                "Commits of a sink, each of one or more ticks.",
                &["sink"],
            )?,
            websocket_clients: r.gauge("websocket_clients", "Open WebSocket connections and streams of events.")?,
            websocket_dropped: r.counters(
                "websocket_dropped_total",
                "WebSocket connections and streams of events closed by the server, by reason.",
                &["reason"],
            )?,
            websocket_resyncs: r.counter(
                "websocket_resyncs_total",
                "Fresh snapshots sent because a client had missed more than is remembered.",
            )?,
            websocket_frames: r.counter("websocket_frames_total", "Frames sent to WebSocket clients, and events.")?,
            store_bytes: r.gauges(
                "store_bytes",
                "Bytes of durable state and of the cache of texts.",
                &["part"],
            )?,
            hub_bytes: r.gauge(
                "hub_history_bytes",
                "Estimate of what the hub holds for clients that come back.",
            )?,
            http_requests: r.counters(
                "http_requests_total",
                "HTTP requests answered, by route and status.",
                &["route", "status"],
            )?,
            http_duration: r.histograms(
                "http_request_duration_seconds",
                "Time to answer an HTTP request.",
                &["route"],
                HTTP_SECONDS,
            )?,
            described: r.described,
            registry: r.registry,
        })
    }

    /// The registry, for a program that adds metrics of its own.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything in the Prometheus text format.
    ///
    /// # Errors
    /// If the encoder fails, which it does only for an empty metric family.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut out = Vec::new();
        prometheus::TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        String::from_utf8(out).map_err(|e| prometheus::Error::Msg(e.to_string()))
    }

    /// The counters of one source.
    pub fn source(&self, name: &str) -> SourceMetrics {
        SourceMetrics::new(self, name)
    }

    /// What became of the records of all sources.
    pub fn totals(&self) -> SourceTotals {
        SourceTotals {
            read: sum(&self.read, |_| true),
            accepted: sum(&self.accepted, |_| true),
            duplicate: sum(&self.duplicate, |_| true),
            dead_lettered: sum(&self.dead_lettered, |_| true),
        }
    }

    /// What became of one source's records.
    pub fn source_totals(&self, name: &str) -> SourceTotals {
        let label = &[name];
        let of_source = |metric: &prometheus::proto::Metric| {
            let labels = metric.get_label();
            labels.iter().any(|l| l.name() == "source" && l.value() == name)
        };
        let dead_lettered = sum(&self.dead_lettered, of_source);
        SourceTotals {
            read: self.read.with_label_values(label).get(),
            accepted: self.accepted.with_label_values(label).get(),
            duplicate: self.duplicate.with_label_values(label).get(),
            dead_lettered,
        }
    }

    /// A tick is complete.
    pub fn tick(&self, took: Duration) {
        self.ticks.inc();
        self.tick_duration.observe(took.as_secs_f64());
    }

    /// Complete ticks so far.
    pub fn ticks_total(&self) -> u64 {
        self.ticks.get()
    }

    /// Age of the last complete tick.
    pub fn frontier_lag(&self, age: Duration) {
        self.frontier_lag.set(age.as_secs_f64());
    }

    /// Records an operator's arrangements hold.
    pub fn operator_records(&self, operator: &str, records: usize) {
        self.operator_records.with_label_values(&[operator]).set(whole(records));
    }

    /// What the scorer does.
    pub fn scorer(&self) -> &ScorerMetrics {
        &self.scorer
    }

    /// A sink applied ticks, in one go.
    pub fn sink_applied(&self, sink: &str, ticks: usize) {
        self.sink_ticks.with_label_values(&[sink]).inc_by(ticks as u64);
        self.sink_commits.with_label_values(&[sink]).inc();
    }

    /// A sink failed to apply a tick.
    pub fn sink_error(&self, sink: &str) {
        self.sink_errors.with_label_values(&[sink]).inc();
    }

    /// A webhook made a request.
    pub fn webhook_attempt(&self, sink: &str, outcome: &str) {
        self.webhook_attempts.with_label_values(&[sink, outcome]).inc();
    }

    /// Complete ticks a sink has not applied yet, and the age of the oldest.
    pub fn sink_lag(&self, sink: &str, ticks: usize, oldest: Duration) {
        self.sink_lag.with_label_values(&[sink]).set(whole(ticks));
        self.sink_lag_seconds
            .with_label_values(&[sink])
            .set(oldest.as_secs_f64());
    }

    /// Bytes of a part of the store.
    pub fn store_bytes(&self, part: StorePart, bytes: u64) {
        self.store_bytes
            .with_label_values(&[part.name()])
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Posts that are in no anchored window for want of their thread's times.
    pub fn adrift(&self, posts: u64) {
        self.adrift.set(i64::try_from(posts).unwrap_or(i64::MAX));
    }

    /// Bytes the hub holds as history.
    pub fn hub_bytes(&self, bytes: usize) {
        self.hub_bytes.set(whole(bytes));
    }

    /// A WebSocket client is there until the guard is dropped.
    pub fn websocket_client(&self) -> ClientGuard {
        self.websocket_clients.inc();
        ClientGuard(self.websocket_clients.clone())
    }

    /// The server closed a connection.
    pub fn websocket_dropped(&self, reason: &str) {
        self.websocket_dropped.with_label_values(&[reason]).inc();
    }

    /// A client got a fresh snapshot instead of what it missed.
    pub fn websocket_resync(&self) {
        self.websocket_resyncs.inc();
    }

    /// Frames went out.
    pub fn websocket_frames(&self, frames: u64) {
        self.websocket_frames.inc_by(frames);
    }

    /// A request was answered. `route` is the template, never the path: labels stay few.
    pub fn http_request(&self, route: &str, status: u16, took: Duration) {
        self.http_requests
            .with_label_values(&[route, &status.to_string()])
            .inc();
        self.http_duration
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
    }
}

/// Counts a WebSocket client while it lives.
pub struct ClientGuard(IntGauge);

impl Drop for ClientGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The sum of some of a metric's counters.
fn sum(counters: &IntCounterVec, some: impl Fn(&prometheus::proto::Metric) -> bool) -> u64 {
    let families = counters.collect();
    let found = families.iter().flat_map(|f| f.get_metric()).filter(|m| some(m));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counters of whole numbers
    found.map(|m| m.get_counter().get_value() as u64).sum()
}

fn whole(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The reference page, made from the list the metrics are registered from.
///
/// # Errors
/// As [`Metrics::new`].
pub fn reference_markdown() -> Result<String, MetricsError> {
    let metrics = Metrics::new()?;
    let mut page = String::from(
        "# Metrics\n\n<!-- Generated from connectors/src/metrics.rs: \
         GROUNDSWELL_UPDATE_REFERENCE=1 cargo test --release -p groundswell-connectors metrics -->\n\n\
         `GET /metrics` in the Prometheus text format. For every source, once it has been read to its end:\n\
         `records_accepted_total + records_duplicate_total + records_dead_lettered_total = records_read_total`.\n\n\
         | name | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for metric in &metrics.described {
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            metric.name,
            metric.kind,
            labels.join(", "),
            metric.help
        ));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_and_counts_add_up() {
        let metrics = Metrics::new().expect("no clash");
        let source = metrics.source("posts");
        source.read(10);
        source.accepted(7);
        source.duplicate(2);
        source.dead_lettered("decode", "invalid_json", 1);
        source.lag(Duration::from_millis(1500), Some(3));
        metrics.tick(Duration::from_millis(3));
        metrics.scorer().totals(ScorerTotals {
            batches: 1,
            texts: 32,
            forward_passes: 1,
            ..ScorerTotals::default()
        });
        metrics.store_bytes(StorePart::Log, 12);
        metrics.http_request("/api/v1/views", 200, Duration::from_millis(1));
        let guard = metrics.websocket_client();
        let text = metrics.text().expect("text");
        for line in [
            "groundswell_records_read_total{source=\"posts\"} 10",
            "groundswell_records_dead_lettered_total{code=\"invalid_json\",source=\"posts\",stage=\"decode\"} 1",
            "groundswell_source_lag_seconds{source=\"posts\"} 1.5",
            "groundswell_scorer_forward_passes_total 1",
            "groundswell_store_bytes{part=\"log\"} 12",
            "groundswell_websocket_clients 1",
            "groundswell_http_requests_total{route=\"/api/v1/views\",status=\"200\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
        drop(guard);
        assert!(
            metrics
                .text()
                .expect("text")
                .contains("groundswell_websocket_clients 0")
        );
        for metric in &metrics.described {
            assert!(metric.name.starts_with("groundswell_"), "{}", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == "counter",
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn the_reference_page_is_up_to_date() {
        let page = reference_markdown().expect("no clash");
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
        if std::env::var_os("GROUNDSWELL_UPDATE_REFERENCE").is_some() {
            std::fs::create_dir_all(path.parent().expect("folder")).expect("created");
            std::fs::write(&path, &page).expect("written");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "docs/reference/metrics.md is stale: set GROUNDSWELL_UPDATE_REFERENCE=1 and run again"
        );
    }
}
