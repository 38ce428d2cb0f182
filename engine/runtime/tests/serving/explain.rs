//! An alert's evidence recomputes to what was stored, whatever happens to its posts and to the process after it fired.

use crate::program::Running;
use crate::world::{T0, append, counted, eventually, page, post, start, votes, write};
use serde_json::Value;
use std::path::Path;

/// The only alert, explained; without what is of now.
fn explained(running: &Running) -> Value {
    let id = eventually("an alert", || {
        let page = page(running, "/api/v1/alerts")?;
        Some(page["data"].get(0)?["id"].as_str()?.to_owned())
    });
    let mut alert = page(running, &format!("/api/v1/alerts/{id}/explain")).unwrap()["data"].take();
    for evidence in alert["evidence"].as_array_mut().unwrap() {
        let evidence = evidence.as_object_mut().unwrap();
        for now in ["votes", "live", "text", "created_at"] {
            evidence.remove(now).unwrap();
        }
    }
    alert
}

fn whole(value: &Value) -> i128 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap()
}

/// Leave-one-out from the whole numbers alone, as the OpenAPI document describes it.
fn recomputes(alert: &Value) {
    let (total, sum) = (
        whole(&alert["sums"]["weight"]),
        whole(&alert["sums"]["weighted_sentiment"]),
    );
    let evidence = alert["evidence"].as_array().unwrap();
    assert!(!evidence.is_empty());
    for one in evidence {
        let exact = |name: &str| whole(&one["exact"][name]);
        let (w, x) = (exact("weight"), exact("sentiment"));
        let influence = w * (x * total - sum) / (total * (total - w));
        assert_eq!(exact("influence"), influence, "{one}");
        assert_eq!(one["influence"].as_f64().unwrap(), influence as f64 / 1e6, "{one}");
        assert_eq!(one["weight"].as_f64().unwrap(), w as f64 / 16_777_216.0, "{one}");
    }
    let mean = sum as f64 / total as f64 / 1e6;
    assert!((alert["value"].as_f64().unwrap() - mean).abs() < 1e-6, "{alert}");
}

fn snapshot_bytes(running: &Running) -> f64 {
    let metrics = crate::program::get(running.addr(), "/metrics");
    let line = metrics
        .lines()
        .find(|l| l.starts_with("groundswell_store_bytes{part=\"snapshot\"}"));
    line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

/// Text that does not compress.
fn filler(n: u64) -> String {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    };
    std::iter::repeat_with(letter).take(3_000).collect()
}

fn check(folder: &Path, posts: u64, expected: &Value) -> Running {
    let running = start(folder);
    counted(&running, posts);
    let alert = explained(&running);
    assert_eq!(alert, *expected);
    running
}

#[test]
fn evidence_recomputes_after_kills_from_the_log_and_from_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let running = start(folder);
    let angry: Vec<String> = (0..7)
        .map(|i| {
            post(
                &format!("p{i}"),
                "t",
                "bad",
                T0 + i * 1_000,
                i * 37,
                -0.9 + i as f64 * 0.123,
            )
        })
        .collect();
    append(folder, "posts.jsonl", &angry);
    counted(&running, 7);
    // The next minute: the window is over and counts.
    append(folder, "posts.jsonl", &[post("later", "u", "x", T0 + 61_000, 1, 0.5)]);
    let fired = explained(&running);
    assert_eq!((&fired["state"], &fired["rule"]), (&"firing".into(), &"low".into()));
    recomputes(&fired);

    // What it fired on changes, yet not so much that it stops firing: its evidence is that of then.
    append(
        folder,
        "votes.jsonl",
        &[votes("p0", 900, T0 + 70_000), votes("p6", 0, T0 + 70_000)],
    );
    let changed = eventually("votes counted", || {
        let page = page(&running, "/api/v1/views/by_minute?thread=t")?;
        let now = page["data"][0]["sentiment"].as_f64()?;
        (now != fired["value"].as_f64()?).then_some(now)
    });
    assert!(changed < -0.3);
    assert_eq!(explained(&running), fired);
    drop(running); // killed

    let running = check(folder, 8, &fired);
    let many: Vec<String> = (0..1_500)
        .map(|i| post(&format!("f{i}"), "v", &filler(i), T0 + 65_000, 1, 0.0))
        .collect();
    append(folder, "posts.jsonl", &many);
    counted(&running, 1_508);
    // A fold begins with a tick and is looked after at another.
    for i in 0.. {
        append(
            folder,
            "posts.jsonl",
            &[post(&format!("g{i}"), "v", "x", T0 + 66_000, 1, 0.0)],
        );
        counted(&running, 1_509 + i);
        if snapshot_bytes(&running) > 0.0 {
            drop(running); // killed, and what fired it is in the snapshot only
            let running = check(folder, 1_509 + i, &fired);
            recomputes(&explained(&running));
            // It ends as it would have, with its past.
            let late = post("p7", "t", "good", T0 + 30_000, 1_000_000, 0.9);
            append(folder, "posts.jsonl", &[late]);
            let last = eventually("it is retracted", || {
                Some(explained(&running)).filter(|alert| alert["state"] != "firing")
            });
            assert_eq!(
                last["history"].as_array().unwrap().len(),
                fired["history"].as_array().unwrap().len() + 1
            );
            return;
        }
        assert!(i < 200, "never folded");
    }
}
