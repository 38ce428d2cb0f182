//! What a client makes of its frames.

use serde_json::Value;
use std::collections::BTreeMap;

/// A client's copy of one feed.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    key: Vec<String>,
    rows: BTreeMap<String, Value>,
    window: Option<(Value, Value)>,
    /// Tick of the last frame of this feed.
    pub at: u64,
    pub snapshots: usize,
    pub deltas: usize,
}

impl Fold {
    /// Takes a frame of this feed; panics where the protocol is broken.
    pub fn take(&mut self, frame: &Value) {
        let at = frame["at"].as_u64().expect("at");
        match frame["type"].as_str().expect("type") {
            "snapshot" => {
                assert!(at >= self.at, "a snapshot from the past");
                self.key = frame["key"]
                    .as_array()
                    .expect("key")
                    .iter()
                    .map(|k| k.as_str().expect("name").into())
                    .collect();
                self.rows.clear();
                self.snapshots += 1;
            }
            "delta" => {
                assert!(at > self.at, "a tick came twice or late: {at} after {}", self.at);
                self.deltas += 1;
            }
            other => panic!("no frame of a feed: {other}"),
        }
        self.at = at;
        if frame.get("window_start").is_some() {
            self.window = Some((frame["window_start"].clone(), frame["window_end"].clone()));
        }
        let mut touched = std::collections::HashSet::new();
        for row in frame["rows"].as_array().expect("rows") {
            assert!(touched.insert(self.key_of(row)), "a key twice in one frame");
            self.rows.insert(self.key_of(row), row.clone());
        }
        for gone in frame.get("gone").and_then(Value::as_array).into_iter().flatten() {
            assert!(touched.insert(self.key_of(gone)), "a key twice in one frame");
            self.rows.remove(&self.key_of(gone));
        }
    }

    fn key_of(&self, row: &Value) -> String {
        assert!(!self.key.is_empty(), "a delta without a snapshot");
        self.key.iter().map(|k| row[k].to_string() + "\n").collect()
    }

    /// The rows, sorted.
    pub fn rows(&self) -> Vec<Value> {
        let mut rows: Vec<Value> = self.rows.values().cloned().collect();
        if let Some((start, end)) = &self.window {
            for row in &mut rows {
                row["window_start"] = start.clone();
                row["window_end"] = end.clone();
            }
        }
        sorted(rows)
    }
}

/// Rows in an order of their own.
pub fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(Value::to_string);
    rows
}
