//! What is counted of feeds.

use super::registrar::Registrar;
use super::{Metrics, MetricsError};
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec};
use std::time::Duration;

pub(super) struct FeedMetrics {
    requests: IntCounterVec,
    up: IntGaugeVec,
    seconds: GaugeVec,
}

impl FeedMetrics {
    pub(super) fn new(r: &mut Registrar) -> Result<Self, MetricsError> {
        let feed = &["source", "feed"];
        Ok(FeedMetrics {
            requests: r.counters(
                "feed_requests_total",
                "What became of asking a feed: `new`, `unchanged`, `failed`, `retried` (failed, asked again at once), `limited` \
                 (had to wait for the rate).",
                &["source", "feed", "outcome"],
            )?,
            up: r.gauges("feed_up", "Whether the last reading of a feed succeeded.", feed)?,
            seconds: r.gauges_f64(
                "feed_read_seconds",
                "How long the last reading of a feed took, retries and pauses included.",
                feed,
            )?,
        })
    }
}

impl Metrics {
    /// A feed was asked.
    pub fn feed_request(&self, source: &str, feed: &str, outcome: &str) {
        self.feeds.requests.with_label_values(&[source, feed, outcome]).inc();
    }

    /// A feed was read, or not.
    pub fn feed_read(&self, source: &str, feed: &str, up: bool, took: Duration) {
        let label = &[source, feed];
        self.feeds.up.with_label_values(label).set(i64::from(up));
        self.feeds.seconds.with_label_values(label).set(took.as_secs_f64());
    }
}
