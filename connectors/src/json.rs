//! Alerts, view rows, posts and dead letters as JSON: the one place that decides their shape.
//!
//! In: what the graph hands out, in digests and fixed point. Out: values to serialise, with names, RFC 3339 times in
//! milliseconds and plain numbers, their fields in the documented order. No state, no I/O.

pub mod event;
pub mod schema;

use crate::dlq::Facts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use groundswell_core::acc::UNIT;
use groundswell_core::id::{Dim, Names, PostKey};
use groundswell_core::number::TopPost;
use groundswell_core::record::Header;
use groundswell_core::score::{EMOTIONS, PPM, Score};
use groundswell_core::serving::{AlertChange, AlertState, Cause, Evidence, LivePost, RowChange};
use groundswell_core::spec::{Cell, Method, REVISION, RowState, STATE, Shown, ViewKey, ViewSpec, WindowSpec, in_parts};
use groundswell_core::time::{EventTime, Tick};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// Finds a post's id; `None` for a post that is not known (any more).
pub type PostIds = Arc<dyn Fn(PostKey) -> Option<Arc<str>> + Send + Sync>;

/// A digest without its string. Everything decoded or restored is interned first, so this is a fault of the engine;
/// a made-up name would be worse than none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no name is known for the {column} with digest {dim:?}; the state folder may be damaged (try `groundswell state verify`)"
)]
pub struct Unnamed {
    /// What it names.
    pub column: &'static str,
    /// The digest.
    pub dim: Dim,
}

/// A name, or null for none.
fn name(names: &Names, column: &'static str, dim: Dim) -> Result<Option<Arc<str>>, Unnamed> {
    if dim == Dim::NONE {
        return Ok(None);
    }
    names.get(dim).map(Some).ok_or(Unnamed { column, dim })
}

/// A time as RFC 3339 with milliseconds; beyond the years −9999 to 9999, which RFC 3339 cannot say, as epoch milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeJson(pub EventTime);

impl TimeJson {
    /// The time of a tick.
    pub fn of_tick(tick: Tick) -> Self {
        TimeJson(EventTime::try_from(tick).unwrap_or(EventTime::MAX))
    }
}

impl Serialize for TimeJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => serializer.collect_str(&format_args!("{time:.3}")),
            Err(_) => serializer.serialize_i64(self.0),
        }
    }
}

/// A group: the view's columns with their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyJson(Vec<(&'static str, Option<Arc<str>>)>);

/// The group of a view row, `{"thread": "t3_4ovo70", "entity": "lebron"}`; a value that is none is null.
///
/// # Errors
/// [`Unnamed`] for a digest without a name.
pub fn key_json(spec: &ViewSpec, names: &Names, key: &ViewKey) -> Result<KeyJson, Unnamed> {
    let columns = spec.group_by.iter().zip(key.group);
    columns
        .map(|(column, dim)| Ok((column.name(), name(names, column.name(), dim)?)))
        .collect::<Result<_, _>>()
        .map(KeyJson)
}

impl Serialize for KeyJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(column, name)| (column, name)))
    }
}

/// A value of a row: a whole number, a number, a word, or posts with the number that each is there for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum CellJson {
    Whole(Option<i64>),
    Real(Option<f64>),
    Word(&'static str),
    Posts(Vec<TopJson>),
}

/// One of the top posts of a row; a post that is not known any more is null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct TopJson {
    post: Option<Arc<str>>,
    value: CellValue,
}

/// A number as its kind is written.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum CellValue {
    Whole(i64),
    Real(f64),
}

impl CellJson {
    pub(crate) fn of(cell: Cell<'_>, post_id: impl Fn(PostKey) -> Option<Arc<str>>) -> Self {
        match cell {
            Cell::Whole(n) => CellJson::Whole(n),
            Cell::Real(n) => CellJson::Real(n),
            Cell::Word(word) => CellJson::Word(word),
            Cell::Posts { posts, decimal } => {
                let top = |top: &TopPost| TopJson {
                    post: post_id(top.post),
                    value: if decimal {
                        CellValue::Real(in_parts(top.value, true))
                    } else {
                        CellValue::Whole(top.value)
                    },
                };
                CellJson::Posts(posts.iter().map(top).collect())
            }
        }
    }
}

/// A changed view row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowJson {
    key: KeyJson,
    start: EventTime,
    end: EventTime,
    /// None: the row is gone.
    cells: Option<Vec<(Arc<str>, CellJson)>>,
    /// Where the view counts revisions.
    state: Option<(RowState, u32)>,
    tick: Tick,
}

/// A changed row of a view at a tick and its recorded clock: `{"key": {…}, "window_start", "window_end",` what the view
/// shows, its `"state", "revision"` if the view counts them, or `"gone": true`; `"tick"}`. The state is that at the clock.
///
/// # Errors
/// [`Unnamed`] for a digest without a name.
pub fn row_json(
    spec: &ViewSpec,
    (names, post_ids): (&Names, &PostIds),
    change: &RowChange,
    tick: Tick,
    clock: EventTime,
) -> Result<RowJson, Unnamed> {
    let (start, end) = spec.window.bounds_at(&change.key, clock);
    let numbers = change.numbers.as_deref();
    let cells = change.acc.as_ref().map(|acc| {
        let cell = |shown: Shown<'_>| {
            let cell = shown.cell(spec, acc, numbers);
            (shown.name().into(), CellJson::of(cell, |key| post_ids(key)))
        };
        spec.shows().map(cell).collect()
    });
    Ok(RowJson {
        key: key_json(spec, names, &change.key)?,
        start,
        end,
        cells,
        state: spec
            .state_of(&change.key, clock, change.revision)
            .map(|state| (state, change.revision)),
        tick,
    })
}

impl Serialize for RowJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("key", &self.key)?;
        map.serialize_entry("window_start", &TimeJson(self.start))?;
        map.serialize_entry("window_end", &TimeJson(self.end))?;
        match &self.cells {
            Some(cells) => {
                for (name, cell) in cells {
                    map.serialize_entry(name, cell)?;
                }
                if let Some((state, revision)) = self.state {
                    map.serialize_entry(STATE, state.name())?;
                    map.serialize_entry(REVISION, &revision)?;
                }
            }
            None => map.serialize_entry("gone", &true)?,
        }
        map.serialize_entry("tick", &self.tick)?;
        map.end()
    }
}

/// An alert record, as on the topic, in the table and on the WebSocket.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertJson {
    id: String,
    rule: Arc<str>,
    state: AlertState,
    cause: Cause,
    view: Arc<str>,
    key: KeyJson,
    window_start: TimeJson,
    window_end: TimeJson,
    resolved_window_start: Option<TimeJson>,
    resolved_window_end: Option<TimeJson>,
    value: Option<f64>,
    threshold: Option<f64>,
    posts: i32,
    at: TimeJson,
    evidence: Vec<EvidenceJson>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct EvidenceJson {
    post: Option<Arc<str>>,
    weight: f64,
    sentiment: f64,
    influence: f64,
}

/// A transition of an alert on a view. Evidence that is a post no longer known has a null `post`.
///
/// # Errors
/// [`Unnamed`] for a digest without a name.
pub fn alert_json(
    spec: &ViewSpec,
    names: &Names,
    post_ids: &PostIds,
    change: &AlertChange,
) -> Result<AlertJson, Unnamed> {
    let start = match spec.window {
        WindowSpec::Sliding { size, .. } => change.window_end.saturating_sub(size),
        _ => change.key.start,
    };
    let evidence = |e: &Evidence| EvidenceJson {
        post: post_ids(e.post),
        weight: from_units(e.weight),
        sentiment: from_ppm(i64::from(e.sentiment)),
        influence: from_ppm(e.influence),
    };
    Ok(AlertJson {
        id: format!("{:032x}", change.id),
        rule: Arc::clone(&change.rule),
        state: change.state,
        cause: change.cause,
        view: Arc::clone(&change.view),
        key: key_json(spec, names, &change.key)?,
        window_start: TimeJson(start),
        window_end: TimeJson(change.window_end),
        resolved_window_start: change.resolved.map(|(start, _)| TimeJson(start)),
        resolved_window_end: change.resolved.map(|(_, end)| TimeJson(end)),
        value: change.value,
        threshold: change.threshold,
        posts: change.posts,
        at: TimeJson::of_tick(change.at),
        evidence: change.evidence.iter().map(evidence).collect(),
    })
}

/// A live post.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PostJson {
    id: String,
    source: Option<Arc<str>>,
    thread: Option<Arc<str>>,
    author: Option<Arc<str>>,
    text: Option<String>,
    votes: Option<i64>,
    weight: f64,
    created_at: TimeJson,
    score: Option<ScoreJson>,
    mentions: Vec<MentionJson>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct MentionJson {
    entity: Option<Arc<str>>,
    confidence: f64,
    method: Method,
}

/// A model's answer: `{"sentiment", "label", "positive", "neutral", "negative", …}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreJson(pub Score);

/// A post with its id and, where it can be read, its text.
///
/// # Errors
/// [`Unnamed`] for a digest without a name.
pub fn post_json(names: &Names, id: &str, text: Option<&str>, post: &LivePost) -> Result<PostJson, Unnamed> {
    let mentions = post.mentions.iter().filter(|m| m.is_of_entity()).map(|m| {
        let entity = name(names, "entity", m.entity)?;
        Ok(MentionJson {
            entity,
            confidence: from_ppm(i64::from(m.confidence)),
            method: m.method,
        })
    });
    Ok(PostJson {
        id: id.to_owned(),
        source: name(names, "source", post.source)?,
        thread: name(names, "thread", post.thread)?,
        author: name(names, "author", post.author)?,
        text: text.map(str::to_owned),
        votes: post.votes,
        weight: from_units(post.weight),
        created_at: TimeJson(post.created_at),
        score: post.score.map(ScoreJson),
        mentions: mentions.collect::<Result<_, _>>()?,
    })
}

impl Serialize for ScoreJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let score = &self.0;
        let p = |ppm: i32| from_ppm(i64::from(ppm));
        let label = score.label().name();
        let mut fields = serializer.serialize_struct("Score", 11)?;
        fields.serialize_field("sentiment", &p(score.sentiment()))?;
        fields.serialize_field("label", label)?;
        fields.serialize_field("positive", &p(score.positive))?;
        fields.serialize_field("neutral", &p(score.neutral))?;
        fields.serialize_field("negative", &p(score.negative))?;
        fields.serialize_field("toxicity", &p(score.toxic))?;
        fields.serialize_field("sarcasm", &p(score.sarcastic))?;
        fields.serialize_field("is_toxic", &score.is_toxic)?;
        fields.serialize_field("is_sarcastic", &score.is_sarcastic)?;
        fields.serialize_field("emotion", &EMOTIONS.get(usize::from(score.emotion)))?;
        fields.serialize_field("rung", score.rung.name())?;
        fields.end()
    }
}

/// A dead letter with its original bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadJson<'a> {
    stage: &'a str,
    code: &'a str,
    message: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    partition: u32,
    offset: u64,
    key_base64: String,
    payload_base64: String,
    payload: Option<&'a str>,
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written_at: Option<TimeJson>,
    #[serde(skip_serializing_if = "<[&Header]>::is_empty")]
    headers: &'a [&'a Header],
    #[serde(skip_serializing_if = "Option::is_none")]
    engine_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    attempt: u32,
    tick: Tick,
}

impl DeadJson<'_> {
    /// The same with the payload in base64 only.
    pub(crate) fn without_text(self) -> Self {
        DeadJson { payload: None, ..self }
    }
}

/// A dead letter. `payload_base64` is always the bytes as received; `payload` is them as text, null if they are not UTF-8.
pub fn dead_json<'a>(facts: &'a Facts<'a>) -> DeadJson<'a> {
    DeadJson {
        stage: facts.stage,
        code: facts.code,
        message: facts.message,
        source: facts.source,
        topic: facts.topic,
        partition: facts.partition,
        offset: facts.offset,
        key_base64: STANDARD.encode(facts.key),
        payload_base64: STANDARD.encode(facts.payload),
        payload: std::str::from_utf8(facts.payload).ok(),
        id: facts.id,
        written_at: facts.written_at.map(TimeJson),
        headers: &facts.headers,
        engine_version: facts.engine_version,
        model: facts.model.as_deref(),
        attempt: facts.attempt,
        tick: facts.tick,
    }
}

#[allow(clippy::cast_precision_loss)] // weights stay far below 2^53
fn from_units(n: i64) -> f64 {
    n as f64 / UNIT as f64
}

#[allow(clippy::cast_precision_loss)]
fn from_ppm(n: i64) -> f64 {
    n as f64 / f64::from(PPM)
}

#[cfg(test)]
mod tests;
