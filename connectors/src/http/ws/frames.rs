//! Frames as text.
//!
//! A frame of a subscription begins with `{"type":"…"` and, where the client gave one, its id; the rest is the same for
//! every client, which is why a delta without a filter is encoded once.

use super::request::Wanted;
use crate::http::error::ApiError;
use crate::hub::alerts::AlertRecord;
use crate::hub::history::{Changes, Delta};
use crate::hub::posts::Entry;
use crate::hub::render::{self, AlertJson, PostJson, RowJson};
use crate::hub::table::Row;
use crate::hub::{Content, Feed, Hub, Snapshot};
use axum::extract::ws::Utf8Bytes;
use groundswell_core::id::PostKey;
use groundswell_core::spec::{ViewKey, ViewSpec};
use groundswell_core::time::{EventTime, Tick};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashSet;

const SNAPSHOT: &str = r#"{"type":"snapshot""#;
const DELTA: &str = r#"{"type":"delta""#;

/// The posts or alerts a client holds, where the ids of others are not for it to know.
#[derive(Default)]
pub struct Held(HashSet<u128>);

impl Held {
    /// All that a snapshot gives.
    pub fn of(content: &Content, wanted: &Wanted) -> Self {
        Held(match content {
            Content::Rows(_) => HashSet::new(),
            Content::Posts(posts) => {
                let posts = posts.iter().filter(|(_, entry)| wanted.post(&entry.post));
                posts.map(|(key, _)| key.0).collect()
            }
            Content::Alerts(alerts) => {
                let alerts = alerts.iter().filter(|alert| wanted.alert(&alert.latest));
                alerts.map(|alert| alert.latest.id).collect()
            }
        })
    }

    /// What a delta adds and takes.
    pub fn follow(&mut self, delta: &Delta, wanted: &Wanted) {
        let mut note = |id, kept| match kept {
            true => drop(self.0.insert(id)),
            false => drop(self.0.remove(&id)),
        };
        match &delta.changes {
            Changes::Rows(_) => {}
            Changes::Posts(changes) => changes
                .iter()
                .for_each(|(key, e)| note(key.0, e.as_ref().is_some_and(|e| wanted.post(&e.post)))),
            Changes::Alerts(changes) => changes
                .iter()
                .for_each(|(id, a)| note(*id, a.as_ref().is_some_and(|a| wanted.alert(&a.latest)))),
        }
    }
}

/// A whole feed, as far as it is wanted. `None` if it has more than `most` rows.
pub fn snapshot(hub: &Hub, feed: Feed, snapshot: &Snapshot, wanted: &Wanted, most: usize) -> Option<String> {
    let mut frame = Writer::new(SNAPSHOT, hub, feed, snapshot.at, snapshot.clock);
    let key = match feed {
        Feed::View(index) => hub.specs().get(index).map(render::key_columns).unwrap_or_default(),
        Feed::Posts | Feed::Alerts => vec!["id"],
    };
    frame.field("key", &key);
    match (&snapshot.content, feed) {
        (Content::Rows(table), Feed::View(index)) => {
            let rows = table.all(&wanted.rows(), most)?;
            let spec = hub.specs().get(index)?;
            frame.list(
                "rows",
                rows.iter()
                    .map(|(key, row)| row_json(hub, spec, snapshot.clock, *key, Some(*row))),
            );
        }
        (Content::Posts(posts), _) => {
            let posts = posts.iter().filter(|(_, entry)| wanted.post(&entry.post));
            frame.list("rows", posts.map(|(key, entry)| post_json(hub, *key, entry)));
        }
        (Content::Alerts(alerts), _) => {
            let alerts = alerts.iter().filter(|alert| wanted.alert(&alert.latest));
            frame.list("rows", alerts.map(|alert| alert_json(hub, alert)));
        }
        (Content::Rows(_), _) => return None,
    }
    Some(frame.end())
}

/// The changes of one tick, as far as they are wanted, and how many there are. Rows whose values moved out of the filter
/// are reported as gone, whether or not the client had them, unless it is known what it has.
pub fn delta(hub: &Hub, feed: Feed, delta: &Delta, wanted: &Wanted, held: Option<&Held>) -> (String, usize) {
    let had = |id: u128| held.is_none_or(|held| held.0.contains(&id));
    let mut frame = Writer::new(DELTA, hub, feed, delta.at, delta.clock);
    let changed = match (&delta.changes, feed) {
        (Changes::Rows(changes), Feed::View(index)) => {
            let Some(spec) = hub.specs().get(index) else {
                return (frame.end(), 0);
            };
            let filter = wanted.rows();
            let sliding = render::is_sliding(spec);
            let matching = || {
                changes.iter().filter(|(key, _)| {
                    if sliding {
                        filter.group(&key.group)
                    } else {
                        filter.key(key)
                    }
                })
            };
            let json = |key: &ViewKey, row| row_json(hub, spec, delta.clock, *key, row);
            let rows = frame.list(
                "rows",
                matching().filter_map(|(key, row)| row.map(|row| json(key, Some(row)))),
            );
            rows + frame.list(
                "gone",
                matching()
                    .filter(|(_, row)| row.is_none())
                    .map(|(key, _)| json(key, None)),
            )
        }
        (Changes::Posts(changes), _) => {
            let kept = |entry: &Option<Entry>| entry.as_ref().is_some_and(|e| wanted.post(&e.post));
            let rows = changes.iter().filter(|(_, e)| kept(e));
            let rows = rows.filter_map(|(key, entry)| entry.as_ref().map(|entry| post_json(hub, *key, entry)));
            let rows = frame.list("rows", rows);
            let gone = changes
                .iter()
                .filter(|(key, e)| !kept(e) && had(key.0))
                .map(|(key, _)| json!({ "id": hub.lookup().post_id(*key) }));
            rows + frame.list("gone", gone)
        }
        (Changes::Alerts(changes), _) => {
            let kept = |a: &Option<std::sync::Arc<AlertRecord>>| a.as_ref().is_some_and(|a| wanted.alert(&a.latest));
            let rows = changes.iter().filter(|(_, a)| kept(a));
            let rows = frame.list(
                "rows",
                rows.filter_map(|(_, a)| a.as_deref().map(|a| alert_json(hub, a))),
            );
            let gone = changes
                .iter()
                .filter(|(id, a)| !kept(a) && had(*id))
                .map(|(id, _)| json!({ "id": render::alert_id(*id) }));
            rows + frame.list("gone", gone)
        }
        (Changes::Rows(_), _) => 0,
    };
    (frame.end(), changed)
}

/// A frame made for everybody, for a client that named its subscription.
pub fn with_id(frame: &Utf8Bytes, id: Option<&str>) -> Utf8Bytes {
    let Some(id) = id else { return frame.clone() };
    let text = frame.as_str();
    let head = if text.starts_with(DELTA) { DELTA } else { SNAPSHOT };
    format!("{head},\"id\":{}{}", Value::from(id), &text[head.len()..]).into()
}

/// Everything up to `at` has been sent.
pub fn progress(at: Tick) -> Utf8Bytes {
    format!(r#"{{"type":"progress","at":{at}}}"#).into()
}

/// What was missed is more than is remembered: a snapshot follows.
pub fn resync(id: Option<&str>, view: &str, from: Tick) -> Utf8Bytes {
    subscription_frame("resync", id, view, json!({ "from": from }))
}

/// A subscription continues after `from`: from now on `progress` speaks for it too.
pub fn resumed(id: Option<&str>, view: &str, from: Tick) -> Utf8Bytes {
    subscription_frame("resumed", id, view, json!({ "from": from }))
}

/// A subscription ended at the client's wish.
pub fn unsubscribed(id: Option<&str>, view: &str) -> Utf8Bytes {
    subscription_frame("unsubscribed", id, view, json!({}))
}

fn subscription_frame(kind: &str, id: Option<&str>, view: &str, mut rest: Value) -> Utf8Bytes {
    rest["type"] = kind.into();
    rest["view"] = view.into();
    if let Some(id) = id {
        rest["id"] = id.into();
    }
    rest.to_string().into()
}

/// Something could not be done; `id` says for which subscription, where that is known.
pub fn error(error: &ApiError, id: Option<&str>) -> Utf8Bytes {
    let mut frame = json!({
        "type": "error", "code": error.code, "message": error.message, "details": error.details,
    });
    if let Some(id) = id {
        frame["id"] = id.into();
    }
    frame.to_string().into()
}

fn row_json<'a>(hub: &'a Hub, spec: &'a ViewSpec, clock: EventTime, key: ViewKey, row: Option<Row>) -> RowJson<'a> {
    RowJson {
        spec,
        lookup: hub.lookup(),
        clock,
        key,
        row,
    }
}

fn post_json<'a>(hub: &'a Hub, key: PostKey, entry: &'a Entry) -> PostJson<'a> {
    PostJson {
        lookup: hub.lookup(),
        id: hub.lookup().post_id(key),
        entry,
    }
}

fn alert_json<'a>(hub: &'a Hub, alert: &'a AlertRecord) -> AlertJson<'a> {
    let change = &alert.latest;
    AlertJson {
        lookup: hub.lookup(),
        spec: hub.spec(&change.view),
        change,
        record: None,
        posts: None,
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(head: &str, hub: &Hub, feed: Feed, at: Tick, clock: EventTime) -> Self {
        let mut writer = Writer(Vec::with_capacity(1024));
        writer.0.extend_from_slice(head.as_bytes());
        writer.field("view", &hub.feed_name(feed));
        writer.field("at", &at);
        if let Feed::View(index) = feed
            && let Some(spec) = hub.specs().get(index).filter(|spec| render::is_sliding(spec))
        {
            let (start, end) = spec.window.sliding_bounds(clock);
            writer.field("window_start", &render::time(start));
            writer.field("window_end", &render::time(end));
        }
        writer
    }

    fn field(&mut self, name: &str, value: &impl Serialize) {
        self.0.extend_from_slice(format!(",\"{name}\":").as_bytes());
        self.value(value);
    }

    fn list(&mut self, name: &str, items: impl Iterator<Item = impl Serialize>) -> usize {
        self.0.extend_from_slice(format!(",\"{name}\":[").as_bytes());
        let mut count = 0;
        for item in items {
            if count > 0 {
                self.0.push(b',');
            }
            self.value(&item);
            count += 1;
        }
        self.0.push(b']');
        count
    }

    fn value(&mut self, value: &impl Serialize) {
        let before = self.0.len();
        if let Err(error) = serde_json::to_writer(&mut self.0, value) {
            tracing::error!(%error, "could not encode a value of a frame");
            self.0.truncate(before);
            self.0.extend_from_slice(b"null");
        }
    }

    fn end(mut self) -> String {
        self.0.push(b'}');
        String::from_utf8(self.0).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}
