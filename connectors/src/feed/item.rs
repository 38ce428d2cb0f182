//! Bytes of a feed → posts. Pure: the time is given.
//!
//! A post's id is the feed's name, a colon and the item's guid, or its link without one. Its text is the title and, on a
//! line of its own, the summary (else the content) without markup. `title` and `url` are kept aside as for any post. An item
//! without an id, without any words, without a time, or with one from the future is a dead letter.

use crate::decode::{Code, Fault};
use feed_rs::model::Entry;
use feed_rs::parser;
use groundswell_core::record::{DeadLetter, Interned, Post, Record};
use groundswell_core::time::EventTime;
use serde_json::json;

/// Longest text of a post, in characters.
const LONGEST: usize = 20_000;
/// Longest id, as for other sources.
const ID_BYTES: usize = 512;
/// Items looked at.
const MOST: usize = 10_000;

/// Bytes that are no feed.
#[derive(Debug, thiserror::Error)]
#[error("the answer is {what}: {why}")]
pub struct NoFeed {
    what: &'static str,
    why: String,
}

/// The items of a feed as records, in its order. `latest` is the latest time that an item may have.
///
/// # Errors
/// [`NoFeed`] if the bytes are none.
pub fn records(body: &[u8], feed: &str, url: &str, latest: EventTime) -> Result<Vec<Record>, NoFeed> {
    // What follows is for XML and JSON; a document type is not needed by any feed, and is where entities are defined.
    let parser = parser::Builder::new()
        .base_uri(Some(url))
        .id_generator(|_, _, _| String::new())
        .build();
    let parsed = parser.parse(body).map_err(|error| {
        let start = body.iter().take(512).map(u8::to_ascii_lowercase).collect::<Vec<_>>();
        let has = |tag: &[u8]| start.windows(tag.len()).any(|window| window == tag);
        NoFeed {
            what: match has(b"<html") || has(b"<!doctype html") {
                true => "a web page, no feed",
                false => "no feed that can be read",
            },
            why: error.to_string(),
        }
    })?;
    Ok(parsed
        .entries
        .into_iter()
        .take(MOST)
        .map(|entry| record(entry, feed, latest))
        .collect())
}

fn record(entry: Entry, feed: &str, latest: EventTime) -> Record {
    let title = entry.title.as_ref().map(|t| plain(&t.content)).unwrap_or_default();
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let summary = entry.summary.as_ref().map(|t| plain(&t.content));
    let content = || entry.content.as_ref().and_then(|c| c.body.as_deref()).map(plain);
    let summary = summary.filter(|s| !s.is_empty()).or_else(content).unwrap_or_default();
    let alternate = entry
        .links
        .iter()
        .find(|l| l.rel.as_deref().is_none_or(|rel| rel == "alternate"));
    let link = alternate
        .or(entry.links.first())
        .map(|l| l.href.trim().to_owned())
        .filter(|l| !l.is_empty());
    let id = Some(entry.id.trim()).filter(|id| !id.is_empty()).or(link.as_deref());
    let id = id.map(|id| format!("{feed}:{id}"));
    let at = entry.published.or(entry.updated).map(|at| at.timestamp_millis());
    let dead = |code: Code, message: String| {
        let payload = json!({ "feed": feed, "id": entry.id, "title": title, "link": link, "time": at });
        let fault = Fault::new(code, message).about(id.clone().filter(|id| id.len() <= ID_BYTES));
        Record::Dead(DeadLetter {
            written_at: at,
            ..fault.into_dead_letter(None, payload.to_string().as_bytes())
        })
    };
    let Some(id) = id.clone() else {
        return dead(Code::MissingField, "the item has neither a guid nor a link".to_owned());
    };
    if id.len() > ID_BYTES {
        return dead(
            Code::IdTooLong,
            format!("the item's guid is longer than {ID_BYTES} bytes"),
        );
    }
    let Some(created_at) = at else {
        return dead(
            Code::MissingField,
            "the item has no time, or none that can be read".to_owned(),
        );
    };
    if created_at > latest {
        return dead(
            Code::TimeInFuture,
            "the item's time is in the future; it is taken when that has come".to_owned(),
        );
    }
    let text = match (title.is_empty(), summary.is_empty()) {
        (true, true) => {
            return dead(
                Code::MissingField,
                "the item has neither a title nor a summary".to_owned(),
            );
        }
        (false, true) => title.clone(),
        (true, false) => summary,
        (false, false) => format!("{title}\n{summary}"),
    };
    let extra = json!({ "title": title, "url": link });
    Record::Post(Post {
        id,
        source: feed.to_owned(),
        thread: String::new(),
        parent: None,
        author: entry
            .authors
            .first()
            .map(|a| a.name.trim().to_owned())
            .filter(|a| !a.is_empty()),
        text: cut(text),
        votes: None,
        observed_at: created_at,
        created_at,
        score: None,
        extra: Some(extra.to_string()),
        interned: Interned::default(),
    })
}

/// A post that cannot be taken, as a dead letter.
pub(super) fn refused(post: &Post, code: Code, message: String) -> Record {
    let payload = json!({ "feed": post.source, "id": post.id, "text": post.text, "time": post.created_at });
    let fault = Fault::new(code, message).about(Some(post.id.clone()));
    Record::Dead(fault.into_dead_letter(None, payload.to_string().as_bytes()))
}

/// Text without markup, blanks at its ends and empty lines.
fn plain(html: &str) -> String {
    let text = if html.contains(['<', '&']) {
        nanohtml2text::html2text(html)
    } else {
        html.to_owned()
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => text[..at].to_owned(),
        None => text,
    }
}
