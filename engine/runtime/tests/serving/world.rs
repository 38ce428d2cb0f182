//! A pipeline with a rule, its input, and waiting.

use crate::program::{Running, get, groundswell};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// 2026-01-01, a minute's begin.
pub const T0: i64 = 1_767_225_600_000;

pub fn write(folder: &Path) {
    let pipeline = "name: serving\nstate: {url: \"file:./state\", fold_after: 1MiB}\ntime: {clock: event, tick: 5ms}\n\
         sources:\n  posts: {type: file, path: posts.jsonl, into: posts, pace: follow, map: {sentiment: sentiment}}\n  \
         votes: {type: file, path: votes.jsonl, into: votes, pace: follow}\n\
         models: {live: given}\n\
         views:\n  by_minute: {group_by: [thread], window: {tumble: 1m}}\n  total: {group_by: [], window: {tumble: 1d}}\n\
         rules:\n  low: {view: by_minute, when: \"sentiment < -0.3\", min_posts: 3}\n\
         serve: {http: \"127.0.0.1:0\"}\n";
    std::fs::write(folder.join("p.yaml"), pipeline).unwrap();
    for file in ["posts.jsonl", "votes.jsonl"] {
        std::fs::write(folder.join(file), "").unwrap();
    }
}

pub fn append(folder: &Path, file: &str, lines: &[String]) {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(folder.join(file))
        .unwrap();
    file.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
}

/// A post with a sentiment of its own, by somebody of its own.
pub fn post(id: &str, thread: &str, text: &str, at: i64, votes: i64, sentiment: f64) -> String {
    post_by(id, thread, id, text, at, votes, sentiment)
}

pub fn post_by(id: &str, thread: &str, author: &str, text: &str, at: i64, votes: i64, sentiment: f64) -> String {
    serde_json::json!({
        "id": id, "source": "s", "thread": thread, "author": author, "text": text, "score": votes, "created_at": at,
        "sentiment": sentiment,
    })
    .to_string()
}

pub fn votes(id: &str, score: i64, at: i64) -> String {
    serde_json::json!({ "id": id, "score": score, "observed_at": at }).to_string()
}

pub fn start(folder: &Path) -> Running {
    Running::start(groundswell(folder, ["run", "p.yaml"]), "serving http://")
}

pub fn eventually<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = holds() {
            return found;
        }
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the view `total` counts this many posts.
pub fn counted(running: &Running, posts: u64) {
    eventually("all posts are counted", || {
        let page = page(running, "/api/v1/views/total")?;
        let rows = page["data"].as_array()?;
        (rows.iter().map(|row| row["posts"].as_u64().unwrap()).sum::<u64>() == posts).then_some(())
    });
}

/// A page, once there is one.
pub fn page(running: &Running, path: &str) -> Option<Value> {
    let addr = running.addr();
    let ready = std::panic::catch_unwind(|| get(addr, path)).ok()?;
    Some(serde_json::from_str(&ready).unwrap())
}
