//! Times in milliseconds and their quantiles.

use serde_json::{Value, json};

/// Median, 99th percentile and greatest of some times; sorts them.
pub fn quantiles(times: &mut [f32]) -> Value {
    times.sort_unstable_by(f32::total_cmp);
    let at = |share: usize| {
        times
            .get((times.len() * share / 1000).min(times.len().saturating_sub(1)))
            .copied()
    };
    json!({ "n": times.len(), "p50_ms": at(500), "p99_ms": at(990), "p999_ms": at(999), "max_ms": times.last() })
}

/// Milliseconds since 1970.
pub fn now_ms() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0.0, |d| d.as_secs_f64() * 1e3)
}
