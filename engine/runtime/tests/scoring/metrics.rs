//! What `/metrics` says about scoring.

use crate::world::{drained, get, metric, run};

#[test]
fn a_scrape_says_what_the_scorer_did() {
    let folder = tempfile::tempdir().unwrap();
    let posts = [
        ("a", "good"),
        ("b", "a much longer text than the others are"),
        ("c", "bad"),
    ];
    let running = run(folder.path(), &posts, "{live: fixture, batch: {age: 200ms}}", "");
    drained(&running);
    let addr = running.addr().unwrap();
    let scraped = get(addr, "/metrics").body;
    let of = |name: &str| {
        metric(&scraped, &format!("groundswell_scorer_{name}")).unwrap_or_else(|| panic!("no {name} in {scraped}"))
    };
    for (name, value) in [
        ("texts_total", 3.0),
        ("batches_total", 1.0),
        ("forward_passes_total", 1.0),
        ("tokens_total", 10.0),
        // Eight words, and two texts of one.
        ("padding_avoided_tokens_total", 14.0),
        ("truncated_texts_total", 0.0),
        ("failed_texts_total", 0.0),
        ("memo_hits_total", 0.0),
        ("queue_texts", 0.0),
        ("in_flight_texts", 0.0),
        ("batch_texts_count", 1.0),
        ("batch_texts_sum", 3.0),
        ("batch_duration_seconds_count", 1.0),
        ("latency_seconds_count", 3.0),
        ("answers_total{rung=\"local\"}", 3.0),
        ("breaker_open", 0.0),
        ("fallback_queue_texts", 0.0),
    ] {
        assert!((of(name) - value).abs() < 1e-9, "{name} is {}, not {value}", of(name));
    }
    assert!(of("latency_seconds_sum") >= 0.2, "each text waited for its batch");
    running.stop().unwrap();

    // The same texts under other ids: answered by the record, and counted as such. What is restored is not.
    let again = [("d", "good"), ("e", "bad"), ("f", "new")];
    let all: Vec<_> = posts.iter().chain(&again).copied().collect();
    let running = run(folder.path(), &all, "{live: fixture}", "");
    drained(&running);
    let scraped = get(running.addr().unwrap(), "/metrics").body;
    assert_eq!(
        metric(&scraped, "groundswell_scorer_memo_hits_total"),
        Some(2.0),
        "{scraped}"
    );
    assert_eq!(metric(&scraped, "groundswell_scorer_texts_total"), Some(1.0));
    running.stop().unwrap();
}
