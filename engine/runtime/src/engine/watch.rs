//! What the scorer's threads tell as it happens, as metrics.

use groundswell_connectors::metrics::Metrics;
use groundswell_core::score::Rung;
use groundswell_models::Watch;
use std::sync::Arc;
use std::time::Duration;

/// The metrics as somebody who watches a scorer.
pub(crate) struct Watching(pub(crate) Arc<Metrics>);

impl Watch for Watching {
    fn batch(&self, texts: usize, took: Duration) {
        self.0.scorer().batch(texts, took);
    }

    fn answered(&self, waited: Duration) {
        self.0.scorer().latency(waited);
    }

    fn failed(&self, code: &'static str) {
        self.0.scorer().failure(code);
    }

    fn recorded(&self, rung: Option<Rung>) {
        self.0.scorer().answer(rung.map_or("none", Rung::name));
    }

    fn asked(&self, outcome: &'static str, took: Duration) {
        self.0.scorer().http_request(outcome, took);
    }

    fn below(&self, waiting: usize, broken: bool) {
        self.0.scorer().fallback(waiting, broken);
    }
}
