//! What is recorded: every input of the engine, one variant per collection.
//!
//! A [`Record`] is a decoded input; an [`Envelope`] adds where it came from. The log holds envelopes by tick, the snapshot
//! holds, for every id, the one that wins. [`Record::identity`] and [`Envelope::supersedes`] define "wins" in one place
//! for the log fold and for the dedupe operator.

use crate::erasure::{Erasure, Subject};
use crate::id::{Collision, Dim, ModelKey, Names, PostKey, TextKey};
use crate::keywords::Keyword;
use crate::score::Score;
use crate::spec::RuleSpec;
use crate::tie::Tie;
use crate::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};

/// Index of a source in the pipeline's list of sources (config order). The scorer answers as [`SCORER`].
pub type SourceId = u16;
/// The engine's own scorer as a source of recorded facts.
pub const SCORER: SourceId = u16::MAX;
/// The engine's own control plane (model switches) as a source.
pub const CONTROL: SourceId = u16::MAX - 1;

/// A post as recorded. Strings are kept as given; digests are computed from them.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Post {
    /// Id in the source's own naming.
    pub id: String,
    /// Platform or community, e.g. `reddit:nba`.
    pub source: String,
    /// Thread the post belongs to; may be empty.
    pub thread: String,
    /// Id of the post this one replies to.
    pub parent: Option<String>,
    /// Author, or none.
    pub author: Option<String>,
    /// The text that is linked and scored; empty if there is none (any more).
    pub text: String,
    /// Votes as known when the record was made; `None` is hidden or unknown.
    pub votes: Option<i64>,
    /// When `votes` was observed (epoch ms); the post's own time where the record does not say.
    pub observed_at: EventTime,
    /// When the post was written (epoch ms).
    pub created_at: EventTime,
    /// A sentiment that came with the record, instead of the model's.
    pub score: Option<Score>,
    /// Other fields of the record as a JSON object, kept aside.
    pub extra: Option<String>,
    /// What [`Post::intern`] found; leave it at its default.
    #[serde(skip)]
    pub interned: Interned,
}

/// The digests of a post's thread, author and source, once they were looked up. No part of the post: any two are equal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interned(Option<[Dim; 3]>);

impl PartialEq for Interned {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Interned {}

impl Post {
    /// Makes thread, author and source known and remembers their digests, so that nobody has to look them up again. The
    /// three must not change afterwards.
    ///
    /// # Errors
    /// [`Collision`] if one of them collides with another name's digest.
    pub fn intern(&mut self, names: &Names) -> Result<(), Collision> {
        self.interned = Interned(Some(self.dims(names)?));
        Ok(())
    }

    /// Digests of thread, author and source, in this order.
    ///
    /// # Errors
    /// [`Collision`] if one of them collides with another name's digest.
    pub fn dims(&self, names: &Names) -> Result<[Dim; 3], Collision> {
        match self.interned.0 {
            Some(dims) => Ok(dims),
            None => Ok([
                names.intern(&self.thread)?,
                names.intern(self.author.as_deref().unwrap_or(""))?,
                names.intern(&self.source)?,
            ]),
        }
    }
}

/// A vote observation; the newest `observed_at` wins, ties go to the larger count so that arrival order never matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// The post's id.
    pub id: String,
    /// Votes, or `None` while hidden.
    pub votes: Option<i64>,
    /// When it was observed (epoch ms).
    pub observed_at: EventTime,
}

/// What is known of an author; the newest `observed_at` wins, whatever the arrival order, and of equals the later in its
/// source.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Author {
    /// The author, as posts name them.
    pub id: String,
    /// When it was observed (epoch ms).
    pub observed_at: EventTime,
    /// The fields of the record as a JSON object; none if nothing is known (any more).
    pub numbers: Option<String>,
}

/// A thread. Deleting it removes all that hangs on it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Thread {
    /// The thread's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// When the event it discusses starts (epoch ms).
    pub air_time: Option<EventTime>,
    /// When that event ends (epoch ms).
    pub ends_at: Option<EventTime>,
    /// True for a deletion.
    pub deleted: bool,
}

/// An entity of the dictionary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Entity {
    /// Stable id; what views group by.
    pub id: String,
    /// Canonical name; also matched as an alias, and the only one matched fuzzily.
    pub name: String,
    /// Other names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Kind, e.g. `player`.
    #[serde(default)]
    pub kind: String,
    /// Phrases that suppress a match they overlap.
    #[serde(default)]
    pub exclude: Vec<String>,
}

/// A record that could not be accepted, with its original bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it failed: `decode`, `validate`, `window`, `score`.
    pub stage: String,
    /// Stable code, e.g. `invalid_json`.
    pub code: String,
    /// What was wrong, for people.
    pub message: String,
    /// The record's bytes as received.
    pub payload: Vec<u8>,
    /// The record's key as received.
    pub key: Vec<u8>,
    /// The id it would have had, if one could be read.
    pub id: Option<String>,
    /// When it was written, by the source (epoch ms); `None` where the source does not say.
    #[serde(default)]
    pub written_at: Option<EventTime>,
    /// Its headers as received, in order.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// How often it was replayed before; 0 the first time.
    #[serde(default)]
    pub replays: u32,
    /// The model it failed at, for the stage `score`.
    #[serde(default)]
    pub model: Option<ModelKey>,
}

/// A header of a record: a name and bytes, or none.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    /// Its name; several headers may share one.
    pub name: String,
    /// Its value.
    pub value: Option<HeaderValue>,
}

/// A header's value; text where it is, so that the record reads well with other tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HeaderValue {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl From<&[u8]> for HeaderValue {
    fn from(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => HeaderValue::Text(text.to_owned()),
            Err(_) => HeaderValue::Bytes(bytes.to_vec()),
        }
    }
}

impl HeaderValue {
    /// The bytes as received.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            HeaderValue::Text(text) => text.as_bytes(),
            HeaderValue::Bytes(bytes) => bytes,
        }
    }
}

/// State of a rule's fold over the windows of one group, between two windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Carried {
    /// First window of the run in which the rule's `when` has held.
    pub since: Option<EventTime>,
    /// The window that fired, while firing.
    pub fired: Option<EventTime>,
    /// No firing in windows that start before this.
    pub quiet_until: Option<EventTime>,
}

/// What the windows that retention has dropped left behind in a rule's alerts over one group. A fact about the ticks before
/// it, recorded so that a snapshot, which no longer has what those windows held, knows it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertFloor {
    /// Rule, view and group values, as JSON text: `["backlash","by_minute",["t3_x","lebron"]]`.
    pub key: String,
    /// How the view cuts time and groups; see [`crate::spec::ViewSpec::shape`].
    pub shape: u64,
    /// Windows that start before this are in `state`.
    pub up_to: EventTime,
    /// The fold goes on from here.
    pub state: Carried,
}

impl AlertFloor {
    /// The text of [`AlertFloor::key`].
    pub fn key(rule: &str, view: &str, group: &[&str]) -> String {
        serde_json::json!([rule, view, group]).to_string()
    }

    /// Rule, view and group values; `None` if the key is none of ours.
    pub fn parts(&self) -> Option<(String, String, Vec<String>)> {
        serde_json::from_str(&self.key).ok()
    }
}

/// How a model came to be live.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Past {
    /// Models that were live before promotions, the latest last: what a rollback goes back to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<ModelKey>,
    /// The model that the pipeline file named then, if this one was promoted over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured: Option<ModelKey>,
}

/// Everything that can be recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A new or edited post.
    Post(Post),
    /// A post is gone.
    PostDeleted {
        /// Its id.
        id: String,
    },
    /// A vote observation.
    Votes(Votes),
    /// A thread, new, changed or deleted.
    Thread(Thread),
    /// An entity, new or changed.
    Entity(Entity),
    /// An entity is gone.
    EntityDeleted {
        /// Its id.
        id: String,
    },
    /// A rule, new or changed.
    Rule(RuleSpec),
    /// A rule is gone.
    RuleDeleted {
        /// Its id.
        id: String,
    },
    /// A keyword, new or changed.
    Keyword(Keyword),
    /// A keyword is gone.
    KeywordDeleted {
        /// Its id.
        id: String,
    },
    /// A model's answer for a text: a fact, true for ever.
    Score {
        /// The text.
        text: TextKey,
        /// The model.
        model: ModelKey,
        /// The answer.
        score: Score,
    },
    /// A text the model cannot score: a fact too, so that it is not asked again. Any score is better.
    Unscorable {
        /// The text.
        text: TextKey,
        /// The model.
        model: ModelKey,
    },
    /// From this tick on, views use this model.
    LiveModel {
        /// The model.
        model: ModelKey,
        /// How it came to be live.
        past: Past,
    },
    /// Something that could not be accepted.
    Dead(DeadLetter),
    /// What forgotten windows left behind in a rule's alerts.
    AlertFloor(AlertFloor),
    /// Whether an alert is kept from the sinks because a switch of models fired it. A fact about the ticks before it, recorded
    /// so that a snapshot, which no longer says why an alert fired, knows it.
    AlertMuted {
        /// The alert's id.
        id: u128,
        /// Whether it is; `false` takes it back.
        muted: bool,
    },
    /// What is known of an author.
    Author(Author),
    /// What a user did with a post, or whom they follow; or that it was undone.
    Tie(Tie),
    /// An author, a post or a thread is to be forgotten, or no more.
    Erasure(Erasure),
    /// What was known of something erased is gone for good at the end of this tick, and the next fold leaves it out.
    Purged(Subject),
}

/// What a record replaces: records with equal identity compete, the winner stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A post or its deletion.
    Post(PostKey),
    /// The votes of a post.
    Votes(PostKey),
    /// A thread.
    Thread(Dim),
    /// An entity.
    Entity(Dim),
    /// A rule.
    Rule(Dim),
    /// A keyword.
    Keyword(Dim),
    /// A fact about a text.
    Score(TextKey, ModelKey),
    /// The model pointer.
    LiveModel,
    /// What forgotten windows left behind, by rule, view and group.
    AlertFloor(TextKey),
    /// Whether an alert is muted, by its id.
    AlertMuted(TextKey),
    /// What is known of an author.
    Author(Dim),
    /// A tie, by user, kind and target.
    Tie(TextKey),
    /// Whether something is erased.
    Erasure(Subject),
    /// Dead letters and purges are events; they replace nothing and are not folded.
    None,
}

impl Record {
    /// What this record replaces.
    pub fn identity(&self) -> Identity {
        match self {
            Record::Post(p) => Identity::Post(PostKey::of(p.id.as_bytes())),
            Record::PostDeleted { id } => Identity::Post(PostKey::of(id.as_bytes())),
            Record::Votes(v) => Identity::Votes(PostKey::of(v.id.as_bytes())),
            Record::Thread(t) => Identity::Thread(Dim::of(&t.id)),
            Record::Entity(e) => Identity::Entity(Dim::of(&e.id)),
            Record::EntityDeleted { id } => Identity::Entity(Dim::of(id)),
            Record::Rule(r) => Identity::Rule(Dim::of(&r.id)),
            Record::RuleDeleted { id } => Identity::Rule(Dim::of(id)),
            Record::Keyword(k) => Identity::Keyword(Dim::of(&k.id)),
            Record::KeywordDeleted { id } => Identity::Keyword(Dim::of(id)),
            Record::Score { text, model, .. } | Record::Unscorable { text, model } => Identity::Score(*text, *model),
            Record::LiveModel { .. } => Identity::LiveModel,
            Record::AlertFloor(floor) => Identity::AlertFloor(TextKey::of(floor.key.as_bytes())),
            Record::AlertMuted { id, .. } => Identity::AlertMuted(TextKey(*id)),
            Record::Author(author) => Identity::Author(Dim::of(&author.id)),
            Record::Tie(tie) => Identity::Tie(TextKey::of(tie.key().as_bytes())),
            Record::Erasure(erasure) => Identity::Erasure(erasure.of),
            Record::Dead(_) | Record::Purged(_) => Identity::None,
        }
    }
}

/// A record with its origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Which source of the pipeline.
    pub source: SourceId,
    /// Partition within the source (0 where it has none).
    pub partition: u32,
    /// Position within the partition; increasing.
    pub offset: u64,
    /// What decides between records of one id: the mapped `version` field if there is one, else `offset`.
    pub order: u64,
    /// The record.
    pub record: Record,
}

/// Rank of an envelope among those with its identity: the greatest wins, whatever the arrival order.
pub type Rank = (i64, i64, u16, u64);

/// Below the rank of every envelope.
pub const UNRANKED: Rank = (i64::MIN, i64::MIN, 0, 0);

impl Envelope {
    /// The rank by which this record competes with others of the same identity.
    ///
    /// Votes compete by `(observed_at, votes)`. Answers of models compete by the rung that gave them, so that of equal ones
    /// the first recorded stands. Authors compete by `(observed_at, order, source, offset)`, everything else by
    /// `(order, source, offset)`: the highest source offset (or mapped version) wins. Rules and keywords of the pipeline file
    /// stand below those that come as records, whatever came first: their orders are ticks and positions, which say nothing
    /// about each other. Erasures that the engine was asked for stand just above the order they name, and below the next one of a
    /// source, be it the first.
    pub fn rank(&self) -> Rank {
        match &self.record {
            Record::Votes(v) => votes_rank(v.observed_at, v.votes),
            Record::Score { score, .. } => (score.rung.quality(), 0, 0, 0),
            Record::Unscorable { .. } => (0, 0, 0, 0),
            Record::Author(author) => (
                author.observed_at,
                i64::try_from(self.order).unwrap_or(i64::MAX),
                self.source,
                self.offset,
            ),
            Record::Erasure(_) => (
                0,
                i64::try_from(self.order)
                    .unwrap_or(i64::MAX)
                    .saturating_add(i64::from(self.source != CONTROL)),
                self.source,
                self.offset,
            ),
            record => (
                match record {
                    Record::Rule(_)
                    | Record::RuleDeleted { .. }
                    | Record::Keyword(_)
                    | Record::KeywordDeleted { .. }
                        if self.source == CONTROL =>
                    {
                        -1
                    }
                    _ => 0,
                },
                i64::try_from(self.order).unwrap_or(i64::MAX),
                self.source,
                self.offset,
            ),
        }
    }

    /// Whether this record replaces `other`, which has the same identity.
    pub fn supersedes(&self, other: &Envelope) -> bool {
        self.rank() > other.rank()
    }
}

/// The rank of a vote observation; a hidden count (`None`) loses against a number observed at the same moment.
pub fn votes_rank(observed_at: EventTime, votes: Option<i64>) -> Rank {
    (observed_at, votes.unwrap_or(i64::MIN), 0, 0)
}

/// How far a source partition has been read: the next offset to read after this tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// Which source.
    pub source: SourceId,
    /// Which partition.
    pub partition: u32,
    /// The offset to continue from.
    pub next: u64,
}

/// One tick as recorded: the unit of durability and of release.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct TickBatch {
    /// Engine time of everything in the batch.
    pub tick: Tick,
    /// The recorded clock that ends windows and retention: wall time for live pipelines, the greatest event time seen for
    /// replays. Never decreases.
    pub clock: EventTime,
    /// Source positions that changed in this tick.
    pub bindings: Vec<Binding>,
    /// The records, in order of arrival.
    pub records: Vec<Envelope>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_record_stands_above_the_pipeline_file() {
        let id = || "backlash".to_owned();
        let envelope = |source, order, record| Envelope {
            source,
            partition: 0,
            offset: order,
            order,
            record,
        };
        let rule = || {
            Record::Rule(RuleSpec::new(
                &id(),
                "v",
                crate::expr::Expr::parse("posts > 1").expect("parses"),
            ))
        };
        let file = envelope(CONTROL, 1_790_000_000_000, rule());
        let record = envelope(0, 3, rule());
        assert!(record.supersedes(&file) && !file.supersedes(&record));
        let withdrawn = envelope(CONTROL, 1_790_000_000_001, Record::RuleDeleted { id: id() });
        assert!(withdrawn.supersedes(&file), "of the file's own the latest counts");
        assert!(!withdrawn.supersedes(&record));
        let deleted = envelope(0, 4, Record::RuleDeleted { id: id() });
        assert!(deleted.supersedes(&record) && deleted.supersedes(&file));
    }
}
