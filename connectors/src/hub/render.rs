//! Rows, posts and alerts as JSON: the one place that knows the shapes clients see.
//!
//! In: keys and sums. Out: serde values that write themselves, strings looked up as they are written. Holds no state.

use super::alerts::AlertRecord;
use super::posts::Entry;
use super::table::Row;
use crate::json::CellJson;
use groundswell_core::acc::UNIT;
use groundswell_core::id::{Dim, Names, PostKey};
use groundswell_core::score::{EMOTIONS, PPM, Score};
use groundswell_core::serving::{AlertChange, Evidence, EvidenceSums, Mention};
use groundswell_core::spec::{REVISION, STATE, ViewKey, ViewSpec, WindowSpec};
use groundswell_core::text::Texts;
use groundswell_core::time::{EventTime, Tick};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::sync::Arc;

/// Looks up the id of a post by its digest.
pub type PostIds = Arc<dyn Fn(PostKey) -> Option<Arc<str>> + Send + Sync>;

/// Marks an id whose string is not known; the rest is the digest in hex. `/api/v1/posts/{id}` takes it too.
const KEY_PREFIX: &str = "key:";

/// Where the strings behind digests are.
#[derive(Clone)]
pub struct Lookup {
    /// Threads, entities, authors, sources.
    pub names: Arc<Names>,
    /// Texts.
    pub texts: Arc<Texts>,
    /// Ids of posts.
    pub post_ids: PostIds,
}

impl Lookup {
    /// The string of a grouping value; none for [`Dim::NONE`].
    pub fn name(&self, dim: Dim) -> Option<Arc<str>> {
        (dim != Dim::NONE).then(|| {
            self.names
                .get(dim)
                .unwrap_or_else(|| format!("{KEY_PREFIX}{:016x}", dim.0).into())
        })
    }

    /// The id of a post.
    pub fn post_id(&self, key: PostKey) -> Arc<str> {
        (self.post_ids)(key).unwrap_or_else(|| format!("{KEY_PREFIX}{key}").into())
    }

    pub(crate) fn text(&self, entry: &Entry) -> Option<Arc<str>> {
        match self.texts.get(entry.post.text) {
            Ok(text) => text,
            Err(error) => {
                tracing::warn!(%error, "could not read a text back from the cache of texts");
                None
            }
        }
    }
}

/// The digest a post's id stands for.
pub fn post_key(id: &str) -> PostKey {
    let hex = id.strip_prefix(KEY_PREFIX).filter(|hex| hex.len() == 32);
    hex.and_then(|hex| u128::from_str_radix(hex, 16).ok())
        .map_or_else(|| PostKey::of(id.as_bytes()), PostKey)
}

/// An alert's id as text.
pub fn alert_id(id: u128) -> String {
    format!("{id:032x}")
}

/// Epoch milliseconds as RFC 3339, UTC, three digits of fraction.
pub fn time(ms: EventTime) -> String {
    const PRINTER: jiff::fmt::temporal::DateTimePrinter =
        jiff::fmt::temporal::DateTimePrinter::new().precision(Some(3));
    let end = if ms < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    };
    PRINTER.timestamp_to_string(&jiff::Timestamp::from_millisecond(ms).unwrap_or(end))
}

/// A tick as RFC 3339.
pub fn tick_time(tick: Tick) -> String {
    time(i64::try_from(tick).unwrap_or(i64::MAX))
}

/// Whether the window of a view's rows moves with the clock, so that it is no part of their key.
pub fn is_sliding(spec: &ViewSpec) -> bool {
    matches!(spec.window, WindowSpec::Sliding { .. })
}

/// The columns that identify a row of a view.
pub fn key_columns(spec: &ViewSpec) -> Vec<&'static str> {
    let window: &[&str] = if is_sliding(spec) {
        &[]
    } else {
        &["window_start", "window_end"]
    };
    spec.group_by
        .iter()
        .map(|c| c.name())
        .chain(window.iter().copied())
        .collect()
}

/// A row of a view.
pub struct RowJson<'a> {
    /// The view.
    pub spec: &'a ViewSpec,
    /// For the group's strings.
    pub lookup: &'a Lookup,
    /// The clock the reader sees.
    pub clock: EventTime,
    /// Which row.
    pub key: ViewKey,
    /// Its sums; without them only the key is written.
    pub row: Option<Row>,
}

impl Serialize for RowJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (column, dim) in self.spec.group_by.iter().zip(self.key.group) {
            map.serialize_entry(column.name(), &self.lookup.name(dim))?;
        }
        if self.row.is_some() || !is_sliding(self.spec) {
            let (start, end) = self.spec.window.bounds_at(&self.key, self.clock);
            map.serialize_entry("window_start", &time(start))?;
            map.serialize_entry("window_end", &time(end))?;
        }
        if let Some(row) = &self.row {
            for shown in self.spec.shows() {
                let cell = shown.cell(self.spec, &row.acc, row.numbers.as_deref());
                let cell = CellJson::of(cell, |key| Some(self.lookup.post_id(key)));
                map.serialize_entry(shown.name(), &cell)?;
            }
            if let Some(state) = self.spec.state_of(&self.key, self.clock, row.revision) {
                map.serialize_entry(STATE, state.name())?;
                map.serialize_entry(REVISION, &row.revision)?;
            }
            map.serialize_entry("updated_at", &tick_time(row.updated))?;
        }
        map.end()
    }
}

/// A post.
pub struct PostJson<'a> {
    /// For strings.
    pub lookup: &'a Lookup,
    /// Its id.
    pub id: Arc<str>,
    /// The post.
    pub entry: &'a Entry,
}

impl Serialize for PostJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let post = &self.entry.post;
        let mentions: Vec<MentionJson> = post
            .mentions
            .iter()
            .filter(|mention| mention.is_of_entity())
            .map(|mention| MentionJson {
                lookup: self.lookup,
                mention,
            })
            .collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &*self.id)?;
        map.serialize_entry("thread", &self.lookup.name(post.thread))?;
        map.serialize_entry("source", &self.lookup.name(post.source))?;
        map.serialize_entry("author", &self.lookup.name(post.author))?;
        map.serialize_entry("created_at", &time(post.created_at))?;
        map.serialize_entry("text", &self.lookup.text(self.entry))?;
        map.serialize_entry("votes", &post.votes)?;
        map.serialize_entry("weight", &in_units(post.weight))?;
        map.serialize_entry("label", &post.score.map(|s| s.label()))?;
        map.serialize_entry("sentiment", &post.score.map(|s| in_ppm(s.sentiment())))?;
        map.serialize_entry("score", &post.score.as_ref().map(ScoreJson))?;
        map.serialize_entry("mentions", &mentions)?;
        map.serialize_entry("updated_at", &tick_time(self.entry.updated))?;
        map.end()
    }
}

struct MentionJson<'a> {
    lookup: &'a Lookup,
    mention: &'a Mention,
}

impl Serialize for MentionJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("entity", &self.lookup.name(self.mention.entity))?;
        map.serialize_entry("confidence", &in_ppm(self.mention.confidence))?;
        map.serialize_entry("method", &self.mention.method)?;
        map.end()
    }
}

struct ScoreJson<'a>(&'a Score);

impl Serialize for ScoreJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let score = self.0;
        let mut map = serializer.serialize_map(Some(9))?;
        map.serialize_entry("positive", &in_ppm(score.positive))?;
        map.serialize_entry("neutral", &in_ppm(score.neutral))?;
        map.serialize_entry("negative", &in_ppm(score.negative))?;
        map.serialize_entry("toxic", &in_ppm(score.toxic))?;
        map.serialize_entry("sarcastic", &in_ppm(score.sarcastic))?;
        map.serialize_entry("emotion", &EMOTIONS.get(usize::from(score.emotion)))?;
        map.serialize_entry("is_toxic", &score.is_toxic)?;
        map.serialize_entry("is_sarcastic", &score.is_sarcastic)?;
        map.serialize_entry("answered_by", &score.rung)?;
        map.end()
    }
}

/// An alert.
pub struct AlertJson<'a> {
    /// For strings.
    pub lookup: &'a Lookup,
    /// The view it watches, if the pipeline has it.
    pub spec: Option<&'a ViewSpec>,
    /// The latest transition.
    pub change: &'a AlertChange,
    /// The whole record, for an answer about this alert alone.
    pub record: Option<&'a AlertRecord>,
    /// Finds the posts behind the evidence, for an explanation.
    pub posts: Option<&'a [(PostKey, Entry)]>,
}

impl Serialize for AlertJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let change = self.change;
        let start = match self.spec.map(|s| s.window) {
            Some(WindowSpec::Sliding { size, .. }) => change.window_end.saturating_sub(size),
            _ => change.key.start,
        };
        let evidence: Vec<EvidenceJson> = change
            .evidence
            .iter()
            .map(|evidence| EvidenceJson {
                lookup: self.lookup,
                evidence,
                explain: self
                    .posts
                    .map(|posts| posts.iter().find(|(k, _)| *k == evidence.post).map(|(_, e)| e)),
            })
            .collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &alert_id(change.id))?;
        map.serialize_entry("rule", &*change.rule)?;
        map.serialize_entry("state", &change.state)?;
        map.serialize_entry("cause", &change.cause)?;
        map.serialize_entry("view", &*change.view)?;
        map.serialize_entry(
            "key",
            &GroupJson {
                lookup: self.lookup,
                spec: self.spec,
                key: &change.key,
            },
        )?;
        map.serialize_entry("window_start", &time(start))?;
        map.serialize_entry("window_end", &time(change.window_end))?;
        map.serialize_entry("resolved_window_start", &change.resolved.map(|(start, _)| time(start)))?;
        map.serialize_entry("resolved_window_end", &change.resolved.map(|(_, end)| time(end)))?;
        map.serialize_entry("value", &change.value)?;
        map.serialize_entry("threshold", &change.threshold)?;
        map.serialize_entry("posts", &change.posts)?;
        map.serialize_entry("at", &tick_time(change.at))?;
        if change.muted {
            map.serialize_entry("muted", &true)?;
        }
        map.serialize_entry("evidence", &evidence)?;
        if self.posts.is_some() {
            map.serialize_entry("sums", &SumsJson(&change.sums))?;
        }
        if let Some(record) = self.record {
            let history: Vec<serde_json::Value> = record
                .history
                .iter()
                .map(|t| {
                    serde_json::json!({
                        "state": t.state, "cause": t.cause, "at": tick_time(t.at), "value": t.value, "posts": t.posts,
                        "resolved_window_start": t.resolved.map(|(start, _)| time(start)),
                        "resolved_window_end": t.resolved.map(|(_, end)| time(end)),
                    })
                })
                .collect();
            map.serialize_entry("history", &history)?;
        }
        map.end()
    }
}

/// Whole numbers as text, as they are larger than what JSON's readers keep exact.
struct SumsJson<'a>(&'a EvidenceSums);

impl Serialize for SumsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sums = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("weight", &sums.weight.to_string())?;
        map.serialize_entry("weighted_sentiment", &sums.weighted.to_string())?;
        map.serialize_entry("unit", &UNIT)?;
        map.serialize_entry("ppm", &PPM)?;
        map.end()
    }
}

struct GroupJson<'a> {
    lookup: &'a Lookup,
    spec: Option<&'a ViewSpec>,
    key: &'a ViewKey,
}

impl Serialize for GroupJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.spec.map_or(&[][..], |s| &s.group_by);
        serializer.collect_map(
            columns
                .iter()
                .zip(self.key.group)
                .map(|(c, dim)| (c.name(), self.lookup.name(dim))),
        )
    }
}

struct EvidenceJson<'a> {
    lookup: &'a Lookup,
    evidence: &'a Evidence,
    /// Outer: whether to explain. Inner: the post, if it is still live.
    explain: Option<Option<&'a Entry>>,
}

impl Serialize for EvidenceJson<'_> {
    #[allow(clippy::cast_precision_loss)] // an influence is within ±2e6 ppm
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let evidence = self.evidence;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("post", &*self.lookup.post_id(evidence.post))?;
        map.serialize_entry("weight", &in_units(evidence.weight))?;
        map.serialize_entry("sentiment", &in_ppm(evidence.sentiment))?;
        map.serialize_entry("influence", &(evidence.influence as f64 / f64::from(PPM)))?;
        if let Some(entry) = self.explain {
            let exact = serde_json::json!({
                "weight": evidence.weight, "sentiment": evidence.sentiment, "influence": evidence.influence,
            });
            map.serialize_entry("exact", &exact)?;
            map.serialize_entry("live", &entry.is_some())?;
            map.serialize_entry("text", &entry.and_then(|e| self.lookup.text(e)))?;
            map.serialize_entry("votes", &entry.and_then(|e| e.post.votes))?;
            map.serialize_entry("created_at", &entry.map(|e| time(e.post.created_at)))?;
        }
        map.end()
    }
}

#[allow(clippy::cast_precision_loss)] // a weight is below 2^40 units
fn in_units(value: i64) -> f64 {
    value as f64 / UNIT as f64
}

fn in_ppm(value: i32) -> f64 {
    f64::from(value) / f64::from(PPM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::testing::{lookup, spec};
    use groundswell_core::acc::Acc;
    use groundswell_core::score::Label;

    #[test]
    fn a_row_has_its_group_its_window_and_its_measures() {
        let lookup = lookup();
        let spec = spec("v", WindowSpec::Tumble { size: 60_000 });
        let thread = lookup.names.intern("t1").expect("no collision");
        let key = ViewKey {
            group: [thread, Dim::NONE, Dim::NONE, Dim::NONE],
            start: 60_000,
        };
        let acc = Acc::scored(2 * UNIT, -500_000, Label::Negative, false, false);
        let row = RowJson {
            spec: &spec,
            lookup: &lookup,
            clock: 0,
            key,
            row: Some(Row {
                acc,
                numbers: None,
                updated: 1_500,
                revision: 0,
            }),
        };
        assert_eq!(
            serde_json::to_string(&row).expect("json"),
            r#"{"thread":"t1","entity":null,"window_start":"1970-01-01T00:01:00.000Z","window_end":"1970-01-01T00:02:00.000Z","posts":1,"weight":2.0,"sentiment":-0.5,"sentiment_ci":null,"positive":0,"neutral":0,"negative":1,"toxic":0,"sarcastic":0,"scored":1,"authors":0,"updated_at":"1970-01-01T00:00:01.500Z"}"#
        );
        let gone = RowJson { row: None, ..row };
        assert_eq!(
            serde_json::to_string(&gone).expect("json"),
            r#"{"thread":"t1","entity":null,"window_start":"1970-01-01T00:01:00.000Z","window_end":"1970-01-01T00:02:00.000Z"}"#
        );
    }

    #[test]
    fn times_beyond_the_calendar_do_not_fail() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999Z");
        assert!(time(i64::MAX).starts_with("9999-12-30"));
        assert!(time(i64::MIN).starts_with("-009999-01"));
    }

    #[test]
    fn an_id_without_a_string_still_finds_its_post() {
        let lookup = lookup();
        let key = PostKey::of(b"never named");
        assert_eq!(post_key(&lookup.post_id(key)), key);
        assert_eq!(post_key("never named"), key);
    }
}
