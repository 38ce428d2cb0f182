//! The counters of one source, looked up once.

use super::{Metrics, whole};
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge};
use std::time::Duration;

/// What one source counts. Keep it for as long as the source runs: its counters were looked up once.
pub struct SourceMetrics {
    dead_lettered: IntCounterVec,
    name: String,
    read: IntCounter,
    accepted: IntCounter,
    duplicate: IntCounter,
    late: IntCounter,
    replayed: IntCounter,
    lag_seconds: Gauge,
    lag_records: IntGauge,
}

impl SourceMetrics {
    pub(super) fn new(metrics: &Metrics, name: &str) -> Self {
        let label = &[name];
        SourceMetrics {
            name: name.to_owned(),
            read: metrics.read.with_label_values(label),
            accepted: metrics.accepted.with_label_values(label),
            duplicate: metrics.duplicate.with_label_values(label),
            late: metrics.late.with_label_values(label),
            replayed: metrics.replayed.with_label_values(label),
            dead_lettered: metrics.dead_lettered.clone(),
            lag_seconds: metrics.source_lag_seconds.with_label_values(label),
            lag_records: metrics.source_lag_records.with_label_values(label),
        }
    }

    /// Records read.
    pub fn read(&self, records: u64) {
        self.read.inc_by(records);
    }

    /// Records recorded and released.
    pub fn accepted(&self, records: u64) {
        self.accepted.inc_by(records);
    }

    /// Records that changed nothing.
    pub fn duplicate(&self, records: u64) {
        self.duplicate.inc_by(records);
    }

    /// Posts whose window had ended.
    pub fn late(&self, records: u64) {
        self.late.inc_by(records);
    }

    /// Of the records read, those that came again from dead letters.
    pub fn replayed(&self, records: u64) {
        self.replayed.inc_by(records);
    }

    /// Records that could not be accepted.
    pub fn dead_lettered(&self, stage: &str, code: &str, records: u64) {
        self.dead_lettered
            .with_label_values(&[self.name.as_str(), stage, code])
            .inc_by(records);
    }

    /// How far behind the source is: age of its newest record, and records not read yet where that is known.
    pub fn lag(&self, age: Duration, records: Option<usize>) {
        self.lag_seconds.set(age.as_secs_f64());
        if let Some(records) = records {
            self.lag_records.set(whole(records));
        }
    }
}
