//! What a subscriber holds: rows by key, folded from snapshots and deltas.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Rows of one subscription.
#[derive(Default)]
pub struct Fold {
    key: Vec<String>,
    rows: BTreeMap<String, Value>,
    /// The tick of the last frame.
    pub at: u64,
    /// Whether there was a snapshot.
    pub begun: bool,
}

impl Fold {
    /// Takes a snapshot or a delta.
    pub fn take(&mut self, frame: &Value) {
        let at = frame["at"].as_u64().unwrap();
        match frame["type"].as_str() {
            Some("snapshot") => {
                self.key = frame["key"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|k| k.as_str().unwrap().to_owned())
                    .collect();
                self.rows.clear();
                self.begun = true;
            }
            _ => assert!(at > self.at, "a delta at {at} after {}: {frame}", self.at),
        }
        self.at = at;
        let mut seen = BTreeMap::new();
        for row in frame["rows"].as_array().into_iter().flatten() {
            let key = self.key_of(row);
            assert_eq!(seen.insert(key.clone(), ()), None, "a key twice in a frame: {frame}");
            self.rows.insert(key, row.clone());
        }
        for row in frame["gone"].as_array().into_iter().flatten() {
            let key = self.key_of(row);
            assert_eq!(seen.insert(key.clone(), ()), None, "a key twice in a frame: {frame}");
            assert!(self.rows.remove(&key).is_some(), "what is gone was there: {frame}");
        }
    }

    fn key_of(&self, row: &Value) -> String {
        let part = |name: &String| {
            row.get(name)
                .unwrap_or_else(|| panic!("no {name} in {row}"))
                .to_string()
        };
        self.key.iter().map(part).collect::<Vec<_>>().join(" ")
    }

    /// All rows, in an order of their own; `sliding` ones without the bounds they share.
    pub fn rows(&self, sliding: bool) -> Vec<String> {
        sorted(self.rows.values(), sliding)
    }
}

/// Rows as text, sorted.
pub fn sorted<'a>(rows: impl IntoIterator<Item = &'a Value>, sliding: bool) -> Vec<String> {
    let bare = |row: &Value| -> String {
        let mut row: Map<String, Value> = row.as_object().unwrap().clone();
        if sliding {
            row.remove("window_start");
            row.remove("window_end");
        }
        Value::Object(row).to_string()
    };
    let mut rows: Vec<String> = rows.into_iter().map(bare).collect();
    rows.sort_unstable();
    rows
}
