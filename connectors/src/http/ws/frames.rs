//! What frames say.
//!
//! In: what a feed holds, or how it changed. Out: [`Frame`]s; all but the name of the subscription is the same for every
//! client, which is why a delta without a filter is encoded once.

use super::request::Wanted;
use crate::http::error::ApiError;
use crate::hub::alerts::AlertRecord;
use crate::hub::events::EventStep;
use crate::hub::frame::{Encoding, Frame, Kind, Writer};
use crate::hub::history::{Changes, Delta};
use crate::hub::posts::Entry;
use crate::hub::render::{self, AlertJson, PostJson, RowJson};
use crate::hub::table::Row;
use crate::hub::{Content, Feed, Hub, Snapshot};
use crate::json::event::EventJson;
use groundswell_core::id::PostKey;
use groundswell_core::keywords::KeywordEvent;
use groundswell_core::spec::{ViewKey, ViewSpec};
use groundswell_core::time::{EventTime, Tick};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;

/// The posts or alerts a client holds, where the ids of others are not for it to know.
#[derive(Default)]
pub struct Held(HashSet<u128>);

impl Held {
    /// Whether that has to be known of a feed: its changes do not say what a row was, or a filter goes by what never changes.
    pub fn is_needed(feed: Feed) -> bool {
        matches!(feed, Feed::Posts | Feed::Alerts)
    }

    /// All that a snapshot gives.
    pub fn of(content: &Content, wanted: &Wanted) -> Self {
        Held(match content {
            Content::Rows(_) | Content::Events(_) => HashSet::new(),
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
            Changes::Rows(_) | Changes::Events(_) => {}
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
pub fn snapshot(
    hub: &Hub,
    (feed, encoding): (Feed, Encoding),
    snapshot: &Snapshot,
    wanted: &Wanted,
    most: usize,
) -> Option<Frame> {
    let mut frame = begin(hub, feed, (encoding, Kind::Snapshot), snapshot.at, snapshot.clock);
    let key = match feed {
        Feed::View(index) => hub.specs().get(index).map(render::key_columns).unwrap_or_default(),
        Feed::Posts | Feed::Alerts | Feed::Events => vec!["id"],
    };
    frame.field("key", &key);
    match (&snapshot.content, feed) {
        (Content::Rows(table), Feed::View(index)) => {
            let rows = table.all(&wanted.rows(), most)?;
            let spec = hub.specs().get(index)?;
            frame.list(
                "rows",
                rows.iter()
                    .map(|(key, row)| row_json(hub, spec, snapshot.clock, *key, Some(row.clone()))),
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
        (Content::Events(events), _) => {
            let (events, next) = events.page(None, most, |event| wanted.event(event));
            if next.is_some() {
                return None;
            }
            frame.list("rows", events.iter().map(|(id, event)| EventJson::of(*id, event)));
        }
        (Content::Rows(_), _) => return None,
    }
    Some(frame.end())
}

/// Whether a delta has anything for those without a filter.
pub fn concerns(delta: &Delta, wanted: &Wanted) -> bool {
    let is = |event: &Option<Arc<KeywordEvent>>| event.as_ref().is_some_and(|event| wanted.event(event));
    match &delta.changes {
        // Some events are for nobody who does not ask for them.
        Changes::Events(steps) => steps.iter().any(|step| is(&step.before) || is(&step.now)),
        changes => !changes.is_empty(),
    }
}

/// The changes of one tick, as far as they are wanted, and how many there are. Rows whose values moved out of the filter
/// are reported as gone, whether or not the client had them, unless it is known what it has or what they were.
pub fn delta(
    hub: &Hub,
    (feed, encoding): (Feed, Encoding),
    delta: &Delta,
    wanted: &Wanted,
    held: Option<&Held>,
) -> (Frame, usize) {
    let had = |id: u128| held.is_none_or(|held| held.0.contains(&id));
    let mut frame = begin(hub, feed, (encoding, Kind::Delta), delta.at, delta.clock);
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
                matching().filter_map(|(key, row)| row.clone().map(|row| json(key, Some(row)))),
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
            let kept = |a: &Option<Arc<AlertRecord>>| a.as_ref().is_some_and(|a| wanted.alert(&a.latest));
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
        (Changes::Events(steps), _) => {
            let kept = |event: &Option<Arc<KeywordEvent>>| event.as_ref().is_some_and(|event| wanted.event(event));
            let rows = steps.iter().filter(|step| kept(&step.now));
            let rows = frame.list("rows", rows.filter_map(event_json));
            let gone = steps.iter().filter(|step| kept(&step.before) && !kept(&step.now));
            rows + frame.list("gone", gone.map(|step| json!({ "id": render::alert_id(step.id) })))
        }
        (Changes::Rows(_), _) => 0,
    };
    (frame.end(), changed)
}

/// Everything up to `at` has been sent.
pub fn progress(encoding: Encoding, at: Tick) -> Frame {
    Frame::of(encoding, Kind::Progress, Some(at), None, &json!({ "at": at }))
}

/// What was missed is more than is remembered: a snapshot follows.
pub fn resync(encoding: Encoding, id: Option<&str>, view: &str, from: Tick) -> Frame {
    Frame::of(encoding, Kind::Resync, None, id, &json!({ "view": view, "from": from }))
}

/// A subscription continues after `from`: from now on `progress` speaks for it too.
pub fn resumed(encoding: Encoding, id: Option<&str>, view: &str, from: Tick) -> Frame {
    Frame::of(
        encoding,
        Kind::Resumed,
        None,
        id,
        &json!({ "view": view, "from": from }),
    )
}

/// A subscription ended at the client's wish.
pub fn unsubscribed(encoding: Encoding, id: Option<&str>, view: &str) -> Frame {
    Frame::of(encoding, Kind::Unsubscribed, None, id, &json!({ "view": view }))
}

/// Something could not be done; `id` says for which subscription, where that is known.
pub fn error(encoding: Encoding, error: &ApiError, id: Option<&str>) -> Frame {
    let what = json!({ "code": error.code, "message": error.message, "details": error.details });
    Frame::of(encoding, Kind::Error, None, id, &what)
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

fn event_json(step: &EventStep) -> Option<EventJson<'_>> {
    step.now.as_deref().map(|event| EventJson::of(step.id, event))
}

/// What frames of a feed have in common.
fn begin(hub: &Hub, feed: Feed, (encoding, kind): (Encoding, Kind), at: Tick, clock: EventTime) -> Writer {
    let mut writer = Writer::new(encoding, kind, Some(at));
    writer.field("view", hub.feed_name(feed));
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
