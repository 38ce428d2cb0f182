//! Keyword events as JSON: as HTTP and `/ws` show them, and as records of topics, files and webhooks.
//!
//! In: an event with its strings. Out: values to serialise. No state, no I/O.

use super::TimeJson;
use groundswell_core::keywords::{EventChange, KeywordEvent, News};
use groundswell_core::time::Tick;
use serde::Serialize;
use utoipa::ToSchema;

/// An event's id as text.
pub fn event_id(id: u128) -> String {
    format!("{id:032x}")
}

/// A keyword found in a post.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = TgeEvent)]
pub struct EventJson<'a> {
    /// The same after any replay.
    id: String,
    /// Name of the company.
    #[schema(required)]
    company: Option<&'a str>,
    /// Its id.
    #[schema(required)]
    entity: Option<&'a str>,
    /// The keyword's id.
    keyword: &'a str,
    /// What was found, as written.
    matched_text: &'a str,
    /// Where, in characters of title and text.
    span: Span,
    /// It with the characters around it.
    context: &'a str,
    /// How sure it is.
    #[schema(minimum = 0, maximum = 1)]
    confidence: f64,
    /// The exclusion near by.
    #[schema(required)]
    suppressed_by: Option<&'a str>,
    /// The first post that tells the story.
    story: &'a str,
    /// The event of an earlier post that says the same.
    #[schema(required)]
    duplicate_of: Option<String>,
    /// The post's id.
    post: &'a str,
    /// Its outlet.
    source: &'a str,
    /// Its title.
    #[schema(required)]
    title: Option<&'a str>,
    /// Its address.
    #[schema(required)]
    url: Option<&'a str>,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    created_at: TimeJson,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Span {
    /// The first character, from 0.
    start: u32,
    /// The one after the last.
    end: u32,
}

impl<'a> EventJson<'a> {
    /// An event with its id.
    pub fn of(id: u128, event: &'a KeywordEvent) -> Self {
        EventJson {
            id: event_id(id),
            company: event.company.as_deref(),
            entity: event.entity.as_deref(),
            keyword: &event.keyword,
            matched_text: &event.matched,
            span: Span {
                start: event.span.0,
                end: event.span.1,
            },
            context: &event.context,
            confidence: f64::from(event.confidence) / 1e6,
            suppressed_by: event.suppressed_by.as_deref(),
            story: &event.story,
            duplicate_of: event.duplicate_of.map(event_id),
            post: &event.post,
            source: &event.source.0,
            title: event.title.as_deref(),
            url: event.url.as_deref(),
            created_at: TimeJson(event.created_at),
        }
    }
}

/// A change of what is news: the event as it is now, or that it is taken back.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum NewsJson<'a> {
    /// It is news.
    Is {
        /// The event.
        #[serde(flatten)]
        event: Box<EventJson<'a>>,
        /// Tick of the change.
        tick: Tick,
    },
    /// It no longer is.
    Gone {
        /// Which event.
        id: String,
        /// Always true.
        gone: bool,
        /// Tick of the change.
        tick: Tick,
    },
}

/// What those who are told of news only are told of a change at a tick, if anything.
pub fn news_json(change: &EventChange, tick: Tick) -> Option<NewsJson<'_>> {
    Some(match change.news()? {
        News::New(event) | News::Revised(event) => NewsJson::Is {
            event: Box::new(EventJson::of(change.id, event)),
            tick,
        },
        News::Gone => NewsJson::Gone {
            id: event_id(change.id),
            gone: true,
            tick,
        },
    })
}
