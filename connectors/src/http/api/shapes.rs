//! What data looks like that writes itself: rows, posts, alerts ([`render`](crate::hub::render)) and the answers of the first
//! systems. The API's tests compare every answer of a running engine with these.
#![allow(dead_code)] // described, never made

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A class of sentiment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Most probably negative.
    Negative,
    /// Most probably neutral.
    Neutral,
    /// Most probably positive.
    Positive,
}

/// A row of a view: its group columns, `window_start` and `window_end`, its measures, all under their own names; and `state` and
/// `revision`, if the view counts them.
#[derive(Serialize, ToSchema)]
pub struct ViewRow {
    /// When it changed last.
    #[schema(format = DateTime)]
    updated_at: String,
    #[serde(flatten)]
    columns: BTreeMap<String, Value>,
}

/// A post.
#[derive(Serialize, ToSchema)]
pub struct Post {
    /// Its id in its source's naming.
    id: String,
    /// Thread.
    thread: Option<String>,
    /// Platform or community.
    source: Option<String>,
    /// Author.
    author: Option<String>,
    /// When it was written.
    #[schema(format = DateTime)]
    created_at: String,
    /// Its text, as long as it is kept.
    text: Option<String>,
    /// Votes; null while hidden.
    votes: Option<i64>,
    /// What it counts in views.
    weight: f64,
    /// Most probable class; null without a score.
    label: Option<Class>,
    /// Positive less negative, in [−1, 1].
    sentiment: Option<f64>,
    /// What the live model says.
    score: Option<PostScore>,
    /// Whom it mentions.
    mentions: Vec<Mention>,
    /// When it changed last.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Probabilities and flags of a post.
#[derive(Serialize, ToSchema)]
pub struct PostScore {
    positive: f64,
    neutral: f64,
    negative: f64,
    toxic: f64,
    sarcastic: f64,
    emotion: Option<String>,
    is_toxic: bool,
    is_sarcastic: bool,
    /// Which rung of the fallback ladder: `local`, `given`, `http` or `neutral`.
    answered_by: String,
}

/// An entity that a post mentions.
#[derive(Serialize, ToSchema)]
pub struct Mention {
    /// The entity.
    entity: Option<String>,
    /// In [0, 1].
    confidence: f64,
    /// `exact`, `fuzzy` or `inherited`.
    method: String,
}

/// State of an alert.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The condition holds.
    Firing,
    /// It held, and cleared.
    Resolved,
    /// What made it fire is no longer in the data.
    Retracted,
}

/// An alert at its latest transition.
#[derive(Serialize, ToSchema)]
pub struct Alert {
    /// Stable over the alert's life.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    /// The rule.
    rule: String,
    /// Where it stands.
    state: AlertState,
    /// What moved it: `data`, `votes`, `deletion`, `model`, `entities` or `rule`.
    cause: String,
    /// The view watched.
    view: String,
    /// The group.
    key: BTreeMap<String, Option<String>>,
    /// Start of the window that fired.
    #[schema(format = DateTime)]
    window_start: String,
    /// Its end.
    #[schema(format = DateTime)]
    window_end: String,
    /// Start of the window that resolved it.
    #[schema(format = DateTime)]
    resolved_window_start: Option<String>,
    /// Its end.
    #[schema(format = DateTime)]
    resolved_window_end: Option<String>,
    /// The watched measure.
    value: Option<f64>,
    /// What it is compared with.
    threshold: Option<f64>,
    /// Posts in the window.
    posts: i64,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// True where a model change made it fire and such alerts are not sent out.
    #[serde(skip_serializing_if = "Option::is_none")]
    muted: Option<bool>,
    /// The posts that carry it.
    evidence: Vec<Evidence>,
    /// What influences are computed from; of an explanation.
    #[serde(skip_serializing_if = "Option::is_none")]
    sums: Option<Sums>,
    /// Its transitions, of one alert alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Transition>>,
}

/// A post behind an alert.
#[derive(Serialize, ToSchema)]
pub struct Evidence {
    /// The post's id.
    post: String,
    /// What it counts.
    weight: f64,
    /// In [−1, 1].
    sentiment: f64,
    /// How far the measure would be from here without it.
    influence: f64,
    /// The three as whole numbers; of an explanation, as all that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<Exact>,
    /// Whether the post is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<bool>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Its votes.
    #[serde(skip_serializing_if = "Option::is_none")]
    votes: Option<i64>,
    /// When it was written.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
}

/// Whole numbers behind a piece of evidence.
#[derive(Serialize, ToSchema)]
pub struct Exact {
    /// In units of 2^-24.
    weight: i64,
    /// In ppm.
    sentiment: i64,
    /// In ppm.
    influence: i64,
}

/// Whole sums of the window that fired, as text: they may be larger than what readers of JSON keep exact.
#[derive(Serialize, ToSchema)]
pub struct Sums {
    /// Σw in units.
    #[schema(pattern = "^-?[0-9]+$")]
    weight: String,
    /// Σw·x in units and ppm.
    #[schema(pattern = "^-?[0-9]+$")]
    weighted_sentiment: String,
    /// Units of a weight of one.
    unit: i64,
    /// Parts of a sentiment of one.
    ppm: i64,
}

/// A transition of an alert.
#[derive(Serialize, ToSchema)]
pub struct Transition {
    state: AlertState,
    cause: String,
    #[schema(format = DateTime)]
    at: String,
    value: Option<f64>,
    posts: i64,
    #[schema(format = DateTime)]
    resolved_window_start: Option<String>,
    #[schema(format = DateTime)]
    resolved_window_end: Option<String>,
}

/// Kinds of frames.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FrameKind {
    /// All rows.
    Snapshot,
    /// What changed.
    Delta,
    /// All up to here was sent.
    Progress,
    /// The subscription goes on from where it was.
    Resumed,
    /// It cannot; a snapshot follows.
    Resync,
    /// The subscription ended.
    Unsubscribed,
    /// What the client said is not understood.
    Error,
}

/// A frame of `/ws`.
#[derive(Serialize, ToSchema)]
pub struct Frame {
    /// Which kind.
    r#type: FrameKind,
    /// As given with the subscription; absent if none was.
    id: Option<String>,
    /// The view.
    view: Option<String>,
    /// Tick: epoch milliseconds.
    at: Option<u64>,
    /// Key columns.
    key: Option<Vec<String>>,
    /// Rows that replace those with the same key.
    #[schema(value_type = Option<Vec<Object>>)]
    rows: Option<Vec<Value>>,
    /// Keys of rows that are gone.
    #[schema(value_type = Option<Vec<Object>>)]
    gone: Option<Vec<Value>>,
    /// Of an error.
    code: Option<String>,
    /// Of an error.
    message: Option<String>,
    /// Of an error.
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}

/// Kinds of frames of a room.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomFrameKind {
    /// The first one.
    Connection,
    /// A post was scored.
    NewPost,
    /// The card of numbers.
    Metrics,
    /// A thread's whole cast.
    Update,
    /// Something happened to the user.
    Notification,
}

/// A frame of a room.
#[derive(Serialize, ToSchema)]
pub struct RoomFrame {
    /// Which kind.
    r#type: RoomFrameKind,
    /// Of `connection`.
    message: Option<String>,
    /// Of `connection`.
    timestamp: Option<String>,
    /// Of the others.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
}

/// An answer in the shape of the first systems.
#[derive(Serialize, ToSchema)]
pub struct Answer<D> {
    /// What was asked for.
    data: D,
    /// What accompanies it.
    metadata: AnswerMetadata,
}

/// What accompanies data in the shape of the first systems.
#[derive(Serialize, ToSchema)]
pub struct AnswerMetadata {
    /// How many; null where it would have to be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// Tick: epoch milliseconds.
    at: u64,
    /// The page, the period or the hours asked for, and the bounds of what was added up.
    #[serde(flatten)]
    asked: BTreeMap<String, Value>,
}

/// A post in the shape of the first systems.
#[derive(Serialize, ToSchema)]
pub struct FirstPost {
    #[schema(format = "uuid")]
    id: String,
    post_id: String,
    source: Option<String>,
    content: Option<String>,
    author: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    sentiment_label: Option<Class>,
    confidence_score: Option<f64>,
    emotion: Option<String>,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Posts of one label in one window.
#[derive(Serialize, ToSchema)]
pub struct Bar {
    #[schema(format = DateTime)]
    timestamp: String,
    sentiment_label: Class,
    count: u64,
}

/// Posts of one label.
#[derive(Serialize, ToSchema)]
pub struct Share {
    sentiment_label: Class,
    count: u64,
    /// Two places.
    percentage: f64,
}

/// A thread in the shape of the first systems.
#[derive(Serialize, ToSchema)]
pub struct FirstThread {
    reddit_id: Option<String>,
    title: Option<String>,
    #[schema(format = DateTime)]
    air_time_utc: Option<String>,
    #[schema(format = DateTime)]
    ends_at_utc: Option<String>,
    /// `scheduled`, `live`, `ended`; null without times.
    status: Option<String>,
    total_comments: u64,
}

/// A cast member's window: the view's measures under their own names.
#[derive(Serialize, ToSchema)]
pub struct CastRow {
    cast_member: Option<String>,
    #[schema(format = DateTime)]
    window_start: String,
    #[schema(format = DateTime)]
    window_end: String,
    #[serde(flatten)]
    measures: BTreeMap<String, Value>,
}

/// A window's numbers by cast member.
#[derive(Serialize, ToSchema)]
pub struct TimelineRow {
    #[schema(format = DateTime)]
    time: String,
    #[serde(flatten)]
    members: BTreeMap<String, f64>,
}
