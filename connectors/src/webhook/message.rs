//! What is posted. Pure: an alert or an event in, a key and a body out; a body, a time and a secret in, a signature out.

use crate::json::TimeJson;
use crate::json::event::{event_id, news_json};
use groundswell_core::keywords::{EventChange, KeywordEvent, News};
use groundswell_core::serving::AlertChange;
use groundswell_core::time::Tick;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use std::fmt::Write;

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Body {
    /// The record, as on a topic.
    #[default]
    Alert,
    /// `{"text": …}`, as incoming webhooks of Slack and of those who speak like it take it.
    Slack,
}

impl Body {
    /// Both of them.
    pub const ALL: [Body; 2] = [Body::Alert, Body::Slack];

    /// Its name in config.
    pub fn name(self) -> &'static str {
        match self {
            Body::Alert => "alert",
            Body::Slack => "slack",
        }
    }
}

/// A request that is to be made: written once, posted as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The same whenever this is posted: the alert or event, its state, and the tick at which it came into it.
    pub key: String,
    /// The body, byte for byte.
    pub body: String,
}

impl Entry {
    pub(super) fn of(alert: &AlertChange, record: &Value, body: Body) -> Self {
        let state = record["state"].as_str().unwrap_or_default();
        Entry {
            key: format!("{:032x}-{state}-{}", alert.id, alert.at),
            body: match body {
                Body::Alert => record.to_string(),
                Body::Slack => json!({ "text": slack(record) }).to_string(),
            },
        }
    }
}

impl Entry {
    /// A change of what is news. People are not told of revisions.
    pub(super) fn of_event(change: &EventChange, tick: Tick, body: Body) -> serde_json::Result<Option<Self>> {
        let (Some(news), Some(record)) = (change.news(), news_json(change, tick)) else {
            return Ok(None);
        };
        let id = event_id(change.id);
        let state = match news {
            News::New(_) => "new",
            News::Revised(_) => "revised",
            News::Gone => "gone",
        };
        let body = match (body, news) {
            (Body::Alert, _) => serde_json::to_string(&record)?,
            (Body::Slack, News::New(event)) => json!({ "text": event_in_slack(&id, event) }).to_string(),
            (Body::Slack, News::Revised(_)) => return Ok(None),
            (Body::Slack, News::Gone) => json!({ "text": format!("Taken back: event {id}") }).to_string(),
        };
        let key = format!("{id}-{state}-{tick}");
        Ok(Some(Entry { key, body }))
    }
}

/// An event in a few lines of what Slack calls mrkdwn.
fn event_in_slack(id: &str, event: &KeywordEvent) -> String {
    let mut out = format!("*{}*", escaped(&event.matched));
    if let Some(company) = event.company.as_deref().or(event.entity.as_deref()) {
        let _ = write!(out, " ({})", escaped(company));
    }
    let confidence = f64::from(event.confidence) / 1e6;
    let _ = write!(out, ", confidence {confidence:.3}, in {}", escaped(&event.source.0));
    for line in [event.title.as_deref(), event.url.as_deref()].into_iter().flatten() {
        let _ = write!(out, "\n{}", escaped(line));
    }
    let _ = write!(out, "\nevent {id}, post {}", escaped(&event.post));
    out
}

/// An alert in a few lines of what Slack calls mrkdwn.
fn slack(record: &Value) -> String {
    let text = |field: &str| escaped(record[field].as_str().unwrap_or_default());
    let group = record["key"].as_object().into_iter().flatten();
    let mut group: Vec<String> = group
        .map(|(column, value)| format!("{} {}", escaped(column), escaped(value.as_str().unwrap_or("–"))))
        .collect();
    // A JSON object has no order of its own.
    group.sort_unstable();
    let mut out = format!("*{}: {}*", text("rule"), text("state"));
    let place = if group.is_empty() {
        text("view")
    } else {
        group.join(", ")
    };
    let _ = write!(out, " ({place})");
    let number = |field: &str| record[field].as_f64().map(|n| format!("{n:.3}"));
    if let Some(value) = number("value") {
        let _ = write!(out, "\n{value}");
        if let Some(threshold) = number("threshold") {
            let _ = write!(out, " against {threshold}");
        }
    }
    let _ = write!(
        out,
        "\n{} posts, {} to {}",
        record["posts"],
        text("window_start"),
        text("window_end")
    );
    if record["cause"] != "data" {
        let _ = write!(out, "; cause: {}", text("cause"));
    }
    for evidence in record["evidence"].as_array().into_iter().flatten().take(3) {
        let post = escaped(evidence["post"].as_str().unwrap_or("a post that is gone"));
        let _ = write!(out, "\n• {post}: sentiment {}", evidence["sentiment"]);
    }
    out
}

/// The three characters that mean something to Slack.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `sha256=` and HMAC-SHA256 of the time and the body, `TIME.BODY`, in hex: who checks the time cannot be shown an old
/// request again.
pub(super) fn signature(secret: &str, time: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{time}.").as_bytes());
    mac.update(body.as_bytes());
    let mut out = "sha256=".to_owned();
    for byte in mac.finalize().into_bytes() {
        let _ = write!(out, "{byte:02x}");
    }
    Some(out)
}

/// The time of a request in words, for logs.
pub(super) fn shown(time: i64) -> String {
    serde_json::to_value(TimeJson(time)).map_or_else(|_| time.to_string(), |t| t.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_over_time_and_body() {
        // From Python: hmac.new(b"key", b"1.{}", "sha256").hexdigest()
        assert_eq!(
            signature("key", 1, "{}").as_deref(),
            Some("sha256=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224")
        );
        assert_ne!(signature("key", 1, "{}"), signature("key", 2, "{}"));
        assert_ne!(signature("key", 1, "{}"), signature("other", 1, "{}"));
    }

    #[test]
    fn slack_is_told_in_a_few_lines() {
        let record = json!({
            "rule": "backlash", "state": "firing", "cause": "votes", "view": "v", "key": {"thread": "t<1>", "entity": "a&b"},
            "window_start": "2026-01-01T00:00:00.000Z", "window_end": "2026-01-01T00:01:00.000Z", "value": -0.51234,
            "threshold": -0.3, "posts": 21, "evidence": [{"post": "p1", "sentiment": -0.9}, {"post": null, "sentiment": -0.5}],
        });
        assert_eq!(
            slack(&record),
            "*backlash: firing* (entity a&amp;b, thread t&lt;1&gt;)\n-0.512 against -0.300\n\
             21 posts, 2026-01-01T00:00:00.000Z to 2026-01-01T00:01:00.000Z; cause: votes\n\
             • p1: sentiment -0.9\n• a post that is gone: sentiment -0.5"
        );
    }
}
