//! Keyword events as rows: the table, and the columns of what changed.
//!
//! Pure: events in, arrays for statements out.

use super::batch::tick_time;
use super::layout::{COUNT, Layout, REAL, TEXT, TIME, column};
use super::value::{Column, Text, Time, plain_text};
use groundswell_core::keywords::KeywordEvent;
use groundswell_core::time::Tick;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events of one statement.
const CHUNK: usize = 2_000;

/// An event in the end, and the tick that made it so, by id; or gone.
pub(super) type Events = BTreeMap<u128, (Option<Arc<KeywordEvent>>, Tick)>;

impl Layout {
    /// `events`: one row per keyword event, as it is now.
    pub(super) fn events(schema: &str) -> Self {
        Layout {
            schema: schema.to_owned(),
            name: "events".to_owned(),
            columns: vec![
                column("id", TEXT, true),
                column("post", TEXT, true),
                column("keyword", TEXT, true),
                column("entity", TEXT, true),
                column("company", TEXT, false),
                column("matched", TEXT, true),
                column("span_start", COUNT, true),
                column("span_end", COUNT, true),
                column("context", TEXT, true),
                column("confidence", REAL, true),
                column("suppressed_by", TEXT, false),
                column("story", TEXT, true),
                column("duplicate_of", TEXT, false),
                column("source", TEXT, true),
                column("title", TEXT, false),
                column("url", TEXT, false),
                column("created_at", TIME, true),
                column("updated_at", TIME, true),
            ],
            key: vec!["id"],
            indexes: vec![vec!["created_at"], vec!["entity", "created_at"], vec!["story"]],
            identity: None,
        }
    }
}

/// The id as it is stored.
pub(super) fn id(id: u128) -> Text {
    Text(format!("{id:032x}").into())
}

/// Events that are there in the end, as columns of their table, some thousands at a time.
pub(super) fn upserts(events: &Events) -> Vec<Vec<Column>> {
    let there = events
        .iter()
        .filter_map(|(id, (event, tick))| Some((*id, event.as_deref()?, *tick)));
    let there: Vec<_> = there.collect();
    there.chunks(CHUNK).map(columns).collect()
}

/// Ids of events that are gone in the end.
pub(super) fn deletes(events: &Events) -> Option<Vec<Column>> {
    let gone: Vec<Text> = events
        .iter()
        .filter(|(_, (event, _))| event.is_none())
        .map(|(i, _)| id(*i))
        .collect();
    (!gone.is_empty()).then(|| vec![Column::Text(gone)])
}

fn columns(events: &[(u128, &KeywordEvent, Tick)]) -> Vec<Column> {
    let clean = |text: &str| Text(plain_text(text).into());
    let text =
        |field: fn(&KeywordEvent) -> &str| Column::Text(events.iter().map(|(_, e, _)| clean(field(e))).collect());
    let maybe = |field: fn(&KeywordEvent) -> Option<&str>| {
        Column::MaybeText(events.iter().map(|(_, e, _)| field(e).map(clean)).collect())
    };
    let count =
        |field: fn(&KeywordEvent) -> u32| Column::Count(events.iter().map(|(_, e, _)| i64::from(field(e))).collect());
    vec![
        Column::Text(events.iter().map(|(i, ..)| id(*i)).collect()),
        text(|e| &e.post),
        text(|e| &e.keyword),
        text(|e| e.entity.as_deref().unwrap_or_default()),
        maybe(|e| e.company.as_deref()),
        text(|e| &e.matched),
        count(|e| e.span.0),
        count(|e| e.span.1),
        text(|e| &e.context),
        Column::Real(
            events
                .iter()
                .map(|(_, e, _)| Some(f64::from(e.confidence) / 1e6))
                .collect(),
        ),
        maybe(|e| e.suppressed_by.as_deref()),
        text(|e| &e.story),
        Column::MaybeText(events.iter().map(|(_, e, _)| e.duplicate_of.map(id)).collect()),
        text(|e| &e.source.0),
        maybe(|e| e.title.as_deref()),
        maybe(|e| e.url.as_deref()),
        Column::Time(events.iter().map(|(_, e, _)| Time(e.created_at)).collect()),
        Column::Time(events.iter().map(|(.., tick)| tick_time(*tick)).collect()),
    ]
}
