//! Columns back into records; the inverse of `schema.rs`.
//!
//! In: a [`RecordBatch`] read from the log or the snapshot. Out: envelopes ([`Rows`]), or only what the fold compares
//! ([`competitors`]), for which a few narrow columns are enough. Every complaint is a sentence about a row; the caller
//! adds which object it is in.

use super::schema::{GIVEN, Kind, SARCASTIC, TOXIC, UNDONE, completed, schema};
use crate::erasure::{Erasure, Subject};
use crate::id::{Dim, ModelKey, PostKey, TextKey};
use crate::record::{
    AlertFloor, Author, DeadLetter, Envelope, Header, Identity, Interned, Past, Post, Rank, Record, Thread, Votes,
};
use crate::score::{Rung, Score};
use crate::tie::{Tie, TieKind};
use crate::time::EventTime;
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray,
};
use std::collections::HashMap;
use std::sync::Arc;

/// The columns [`competitors`] needs.
pub(super) const COMPETING: [&str; 10] = [
    "kind",
    "source",
    "offset",
    "order",
    "id",
    "votes",
    "observed_at",
    "created_at",
    "text_key",
    "model_key",
];

/// A column; null throughout if the object does not have it.
type Column<'a, T> = Option<&'a PrimitiveArray<T>>;
type Binary<'a> = Option<&'a BinaryArray>;
type Digests<'a> = Option<&'a FixedSizeBinaryArray>;

/// A column of strings, in either of the forms that formats have.
#[derive(Clone, Copy)]
enum Strings<'a> {
    Absent,
    /// Texts; ids up to format 2.
    Plain(&'a StringArray),
    /// Ids since format 3.
    Views(&'a StringViewArray),
}

impl<'a> Strings<'a> {
    fn get(self, row: usize) -> Option<&'a str> {
        match self {
            Strings::Absent => None,
            Strings::Plain(column) => column.is_valid(row).then(|| column.value(row)),
            Strings::Views(column) => column.is_valid(row).then(|| column.value(row)),
        }
    }
}

/// The column of this name, as `typed` sees it.
fn column<'a, C>(
    batch: &'a RecordBatch,
    name: &str,
    typed: impl Fn(&'a ArrayRef) -> Option<C>,
) -> Result<Option<C>, String> {
    let column = batch.column_by_name(name);
    let typed = |column| typed(column).ok_or_else(|| format!("column \"{name}\" has another type"));
    column.map(typed).transpose()
}
fn primitive<'a, T: ArrowPrimitiveType>(batch: &'a RecordBatch, name: &str) -> Result<Column<'a, T>, String> {
    column(batch, name, |c| c.as_primitive_opt::<T>())
}
fn string<'a>(batch: &'a RecordBatch, name: &str) -> Result<Strings<'a>, String> {
    let typed = |c: &'a ArrayRef| {
        let plain = c.as_string_opt::<i32>().map(Strings::Plain);
        plain.or_else(|| c.as_string_view_opt().map(Strings::Views))
    };
    column(batch, name, typed).map(|c| c.unwrap_or(Strings::Absent))
}
fn binary<'a>(batch: &'a RecordBatch, name: &str) -> Result<Binary<'a>, String> {
    column(batch, name, |c| c.as_binary_opt::<i32>())
}
fn fixed<'a>(batch: &'a RecordBatch, name: &str) -> Result<Digests<'a>, String> {
    let typed = |c: &'a ArrayRef| c.as_fixed_size_binary_opt().filter(|c| c.value_length() == 16);
    column(batch, name, typed)
}

fn missing(row: usize, what: &str) -> String {
    format!("row {row} has no \"{what}\"")
}
fn number<T: ArrowPrimitiveType>(column: Column<T>, row: usize, what: &str) -> Result<T::Native, String> {
    maybe(column, row).ok_or_else(|| missing(row, what))
}
fn maybe<T: ArrowPrimitiveType>(column: Column<T>, row: usize) -> Option<T::Native> {
    column.filter(|c| c.is_valid(row)).map(|c| c.value(row))
}
fn text(column: Strings, row: usize, what: &str) -> Result<String, String> {
    maybe_text(column, row).ok_or_else(|| missing(row, what))
}
fn maybe_text(column: Strings, row: usize) -> Option<String> {
    column.get(row).map(str::to_owned)
}
fn bytes<'a>(column: Binary<'a>, row: usize, what: &str) -> Result<&'a [u8], String> {
    maybe_bytes(column, row).ok_or_else(|| missing(row, what))
}
fn maybe_bytes(column: Binary<'_>, row: usize) -> Option<&[u8]> {
    column.filter(|c| c.is_valid(row)).map(|c| c.value(row))
}
fn digest(column: Digests, row: usize, what: &str) -> Result<u128, String> {
    let value = column.filter(|c| c.is_valid(row)).map(|c| c.value(row));
    value
        .and_then(|value| <[u8; 16]>::try_from(value).ok())
        .map(u128::from_be_bytes)
        .ok_or_else(|| missing(row, what))
}
fn kind(column: Column<UInt8Type>, row: usize) -> Result<Kind, String> {
    let code = number(column, row, "kind")?;
    Kind::from_code(code).ok_or_else(|| format!("row {row} is of an unknown kind, {code}"))
}

/// The kinds of a batch's rows; needs the `kind` column only.
pub(super) fn kinds(batch: &RecordBatch) -> Result<Vec<Kind>, String> {
    let column = primitive::<UInt8Type>(batch, "kind")?;
    (0..batch.num_rows()).map(|row| kind(column, row)).collect()
}

/// A batch's rows as envelopes.
pub(super) struct Rows<'a> {
    len: usize,
    kind: Column<'a, UInt8Type>,
    source: Column<'a, UInt16Type>,
    partition: Column<'a, UInt32Type>,
    offset: Column<'a, UInt64Type>,
    order: Column<'a, UInt64Type>,
    id: Strings<'a>,
    platform: Strings<'a>,
    thread: Strings<'a>,
    parent: Strings<'a>,
    author: Strings<'a>,
    text: Strings<'a>,
    votes: Column<'a, Int64Type>,
    observed_at: Column<'a, Int64Type>,
    created_at: Column<'a, Int64Type>,
    starts_at: Column<'a, Int64Type>,
    ends_at: Column<'a, Int64Type>,
    text_key: Digests<'a>,
    model_key: Digests<'a>,
    probabilities: [Column<'a, Int32Type>; 5],
    emotion: Column<'a, UInt8Type>,
    flags: Column<'a, UInt8Type>,
    stage: Strings<'a>,
    code: Strings<'a>,
    key: Binary<'a>,
    payload: Binary<'a>,
    headers: Binary<'a>,
    replays: Column<'a, UInt32Type>,
}

impl<'a> Rows<'a> {
    /// The typed columns of a batch.
    ///
    /// # Errors
    /// A description, if a column has another type.
    pub fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        Ok(Rows {
            len: batch.num_rows(),
            kind: primitive(batch, "kind")?,
            source: primitive(batch, "source")?,
            partition: primitive(batch, "partition")?,
            offset: primitive(batch, "offset")?,
            order: primitive(batch, "order")?,
            id: string(batch, "id")?,
            platform: string(batch, "platform")?,
            thread: string(batch, "thread")?,
            parent: string(batch, "parent")?,
            author: string(batch, "author")?,
            text: string(batch, "text")?,
            votes: primitive(batch, "votes")?,
            observed_at: primitive(batch, "observed_at")?,
            created_at: primitive(batch, "created_at")?,
            starts_at: primitive(batch, "starts_at")?,
            ends_at: primitive(batch, "ends_at")?,
            text_key: fixed(batch, "text_key")?,
            model_key: fixed(batch, "model_key")?,
            probabilities: [
                primitive(batch, "positive")?,
                primitive(batch, "neutral")?,
                primitive(batch, "negative")?,
                primitive(batch, "toxic")?,
                primitive(batch, "sarcastic")?,
            ],
            emotion: primitive(batch, "emotion")?,
            flags: primitive(batch, "flags")?,
            stage: string(batch, "stage")?,
            code: string(batch, "code")?,
            key: binary(batch, "key")?,
            payload: binary(batch, "payload")?,
            headers: binary(batch, "headers")?,
            replays: primitive(batch, "replays")?,
        })
    }

    /// Appends all rows to `out`.
    ///
    /// # Errors
    /// A description of the first row that is not a record.
    pub fn append_to(&self, out: &mut Vec<Envelope>) -> Result<(), String> {
        out.reserve(self.len);
        for row in 0..self.len {
            out.push(Envelope {
                source: number(self.source, row, "source")?,
                partition: number(self.partition, row, "partition")?,
                offset: number(self.offset, row, "offset")?,
                order: number(self.order, row, "order")?,
                record: self.record(row)?,
            });
        }
        Ok(())
    }

    fn record(&self, row: usize) -> Result<Record, String> {
        let id = || text(self.id, row, "id");
        let model = || digest(self.model_key, row, "model_key").map(ModelKey);
        let text_key = || digest(self.text_key, row, "text_key").map(TextKey);
        Ok(match kind(self.kind, row)? {
            Kind::Post => Record::Post(self.post(row)?),
            Kind::PostDeleted => Record::PostDeleted { id: id()? },
            Kind::Votes => Record::Votes(Votes {
                id: id()?,
                votes: maybe(self.votes, row),
                observed_at: number(self.observed_at, row, "observed_at")?,
            }),
            Kind::Thread => Record::Thread(self.thread(row, false)?),
            Kind::ThreadDeleted => Record::Thread(self.thread(row, true)?),
            Kind::Entity => Record::Entity(self.json(row)?),
            Kind::EntityDeleted => Record::EntityDeleted { id: id()? },
            Kind::Rule => Record::Rule(self.json(row)?),
            Kind::RuleDeleted => Record::RuleDeleted { id: id()? },
            Kind::Keyword => Record::Keyword(self.json(row)?),
            Kind::KeywordDeleted => Record::KeywordDeleted { id: id()? },
            kind @ (Kind::Score | Kind::ScoreHttp | Kind::ScoreNeutral) => {
                let mut score = self.score(row)?.ok_or_else(|| missing(row, "positive"))?;
                score.rung = rung_of(kind).unwrap_or(score.rung);
                Record::Score {
                    text: text_key()?,
                    model: model()?,
                    score,
                }
            }
            Kind::Unscorable => Record::Unscorable {
                text: text_key()?,
                model: model()?,
            },
            Kind::LiveModel => Record::LiveModel {
                model: model()?,
                past: match maybe_bytes(self.payload, row) {
                    Some(_) => self.json(row)?,
                    None => Past::default(),
                },
            },
            Kind::AlertFloor => Record::AlertFloor(self.json(row)?),
            Kind::Author => Record::Author(Author {
                id: id()?,
                observed_at: number(self.observed_at, row, "observed_at")?,
                numbers: self.extra(row)?,
            }),
            Kind::AlertMuted => Record::AlertMuted {
                id: text_key()?.0,
                muted: number(self.flags, row, "flags")? != 0,
            },
            Kind::Tie => Record::Tie(self.tie(row)?),
            kind @ (Kind::ErasedAuthor | Kind::ErasedPost | Kind::ErasedThread) => Record::Erasure(Erasure {
                of: subject(kind, text_key()?.0),
                undo: number(self.flags, row, "flags")? & UNDONE != 0,
            }),
            kind @ (Kind::PurgedAuthor | Kind::PurgedPost | Kind::PurgedThread) => {
                Record::Purged(subject(kind, text_key()?.0))
            }
            Kind::Dead => Record::Dead(DeadLetter {
                stage: text(self.stage, row, "stage")?,
                code: text(self.code, row, "code")?,
                message: text(self.text, row, "text")?,
                payload: bytes(self.payload, row, "payload")?.to_vec(),
                key: bytes(self.key, row, "key")?.to_vec(),
                id: maybe_text(self.id, row),
                written_at: maybe(self.observed_at, row),
                headers: self.headers(row)?,
                replays: maybe(self.replays, row).unwrap_or(0),
                model: model().ok(),
            }),
        })
    }

    fn post(&self, row: usize) -> Result<Post, String> {
        let extra = self.extra(row)?;
        Ok(Post {
            id: text(self.id, row, "id")?,
            source: text(self.platform, row, "platform")?,
            thread: text(self.thread, row, "thread")?,
            parent: maybe_text(self.parent, row),
            author: maybe_text(self.author, row),
            text: text(self.text, row, "text")?,
            votes: maybe(self.votes, row),
            observed_at: number(self.observed_at, row, "observed_at")?,
            created_at: number(self.created_at, row, "created_at")?,
            score: self.score(row)?,
            extra,
            interned: Interned::default(),
        })
    }

    /// Fields that are kept aside, as text.
    fn extra(&self, row: usize) -> Result<Option<String>, String> {
        let payload = maybe_bytes(self.payload, row).map(|bytes| String::from_utf8(bytes.to_vec()));
        payload
            .transpose()
            .map_err(|_| format!("row {row}: the extra fields are not UTF-8"))
    }

    fn tie(&self, row: usize) -> Result<Tie, String> {
        let key = text(self.id, row, "id")?;
        let (kind, user, target) =
            Tie::parts(&key).ok_or_else(|| format!("row {row}: \"{key}\" is not the key of a tie"))?;
        let at = match maybe(self.created_at, row) {
            Some(at) => at,
            None => number(self.observed_at, row, "observed_at")?,
        };
        Ok(Tie {
            user,
            kind,
            target,
            at,
            undone: number(self.flags, row, "flags")? & UNDONE != 0,
        })
    }

    fn headers(&self, row: usize) -> Result<Vec<Header>, String> {
        match maybe_bytes(self.headers, row) {
            Some(json) => serde_json::from_slice(json).map_err(|e| format!("row {row}: {e}")),
            None => Ok(Vec::new()),
        }
    }

    fn thread(&self, row: usize, deleted: bool) -> Result<Thread, String> {
        Ok(Thread {
            id: text(self.id, row, "id")?,
            title: text(self.text, row, "text")?,
            air_time: maybe(self.starts_at, row),
            ends_at: maybe(self.ends_at, row),
            deleted,
        })
    }

    fn score(&self, row: usize) -> Result<Option<Score>, String> {
        let [positive, neutral, negative, toxic, sarcastic] = self.probabilities;
        let Some(positive) = maybe(positive, row) else {
            return Ok(None);
        };
        let flags = number(self.flags, row, "flags")?;
        Ok(Some(Score {
            positive,
            neutral: number(neutral, row, "neutral")?,
            negative: number(negative, row, "negative")?,
            toxic: number(toxic, row, "toxic")?,
            sarcastic: number(sarcastic, row, "sarcastic")?,
            emotion: number(self.emotion, row, "emotion")?,
            is_toxic: flags & TOXIC != 0,
            is_sarcastic: flags & SARCASTIC != 0,
            rung: if flags & GIVEN != 0 { Rung::Given } else { Rung::Local },
        }))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, row: usize) -> Result<T, String> {
        serde_json::from_slice(bytes(self.payload, row, "payload")?).map_err(|e| format!("row {row}: {e}"))
    }
}

/// What decides whether a row is kept.
pub(super) struct Competitor {
    /// What it competes for.
    pub identity: Identity,
    /// The highest wins.
    pub rank: Rank,
    /// When a post was written, or a fold dated its deletion.
    pub created_at: Option<EventTime>,
    /// What is purged with the row's tick.
    pub purged: Option<Subject>,
}

/// The rung that a kind of answer says; the others are in the flags.
fn rung_of(kind: Kind) -> Option<Rung> {
    match kind {
        Kind::ScoreHttp => Some(Rung::Http),
        Kind::ScoreNeutral => Some(Rung::Neutral),
        _ => None,
    }
}

/// What an erasure or a purge of this kind is about.
#[allow(clippy::cast_possible_truncation)] // made from a `u64`
fn subject(kind: Kind, digest: u128) -> Subject {
    match kind {
        Kind::ErasedAuthor | Kind::PurgedAuthor => Subject::Author(Dim(digest as u64)),
        Kind::ErasedThread | Kind::PurgedThread => Subject::Thread(Dim(digest as u64)),
        _ => Subject::Post(PostKey(digest)),
    }
}

/// What each row replaces and with which rank, from the [`COMPETING`] columns.
///
/// "Who wins" stays defined in `record.rs` alone: each row is turned into the smallest record that competes as the row
/// does (a deletion stands in for what it deletes), and that record is asked.
pub(super) fn competitors(batch: &RecordBatch) -> Result<Vec<Competitor>, String> {
    let kinds = primitive::<UInt8Type>(batch, "kind")?;
    let source = primitive::<UInt16Type>(batch, "source")?;
    let offset = primitive::<UInt64Type>(batch, "offset")?;
    let order = primitive::<UInt64Type>(batch, "order")?;
    let ids = string(batch, "id")?;
    let votes = primitive::<Int64Type>(batch, "votes")?;
    let observed_at = primitive::<Int64Type>(batch, "observed_at")?;
    let created_at = primitive::<Int64Type>(batch, "created_at")?;
    let text_key = fixed(batch, "text_key")?;
    let model_key = fixed(batch, "model_key")?;
    let mut out = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let id = || text(ids, row, "id");
        let kind = kind(kinds, row)?;
        let record = match kind {
            Kind::Post | Kind::PostDeleted => Record::PostDeleted { id: id()? },
            Kind::Votes => Record::Votes(Votes {
                id: id()?,
                votes: maybe(votes, row),
                observed_at: number(observed_at, row, "observed_at")?,
            }),
            Kind::Thread | Kind::ThreadDeleted => Record::Thread(Thread {
                id: id()?,
                ..Thread::default()
            }),
            Kind::Entity | Kind::EntityDeleted => Record::EntityDeleted { id: id()? },
            Kind::Rule | Kind::RuleDeleted => Record::RuleDeleted { id: id()? },
            Kind::Keyword | Kind::KeywordDeleted => Record::KeywordDeleted { id: id()? },
            kind @ (Kind::Score | Kind::ScoreHttp | Kind::ScoreNeutral | Kind::Unscorable) => {
                let text = TextKey(digest(text_key, row, "text_key")?);
                let model = ModelKey(digest(model_key, row, "model_key")?);
                let rung = rung_of(kind).or((kind == Kind::Score).then_some(Rung::Local));
                match rung.map(|rung| Score {
                    rung,
                    ..Score::default()
                }) {
                    Some(score) => Record::Score { text, model, score },
                    None => Record::Unscorable { text, model },
                }
            }
            Kind::LiveModel => Record::LiveModel {
                model: ModelKey(digest(model_key, row, "model_key")?),
                past: Past::default(),
            },
            Kind::AlertMuted => Record::AlertMuted {
                id: digest(text_key, row, "text_key")?,
                muted: false,
            },
            Kind::AlertFloor => Record::AlertFloor(AlertFloor {
                key: id()?,
                ..AlertFloor::default()
            }),
            Kind::Author => Record::Author(Author {
                id: id()?,
                observed_at: number(observed_at, row, "observed_at")?,
                numbers: None,
            }),
            kind @ (Kind::ErasedAuthor | Kind::ErasedPost | Kind::ErasedThread) => Record::Erasure(Erasure {
                of: subject(kind, digest(text_key, row, "text_key")?),
                undo: false,
            }),
            kind @ (Kind::PurgedAuthor | Kind::PurgedPost | Kind::PurgedThread) => {
                Record::Purged(subject(kind, digest(text_key, row, "text_key")?))
            }
            // Its identity is the digest of what stands in `id`.
            Kind::Tie | Kind::Dead => Record::Dead(DeadLetter::default()),
        };
        let envelope = Envelope {
            source: number(source, row, "source")?,
            partition: 0,
            offset: number(offset, row, "offset")?,
            order: number(order, row, "order")?,
            record,
        };
        out.push(Competitor {
            identity: match kind {
                Kind::Tie => Identity::Tie(TextKey::of(id()?.as_bytes())),
                _ => envelope.record.identity(),
            },
            rank: envelope.rank(),
            created_at: maybe(created_at, row),
            purged: match envelope.record {
                Record::Purged(of) => Some(of),
                _ => None,
            },
        });
    }
    Ok(out)
}

/// Whom a tie, or what is known of an author, is about; needs the columns `kind` and `id` only.
pub(super) fn people(batch: &RecordBatch, row: usize) -> Result<Vec<Subject>, String> {
    let id = || text(string(batch, "id")?, row, "id");
    Ok(match kind(primitive::<UInt8Type>(batch, "kind")?, row)? {
        Kind::Author => vec![Subject::author(&id()?)],
        Kind::Tie => match Tie::parts(&id()?) {
            Some((TieKind::Follow, user, followed)) => vec![Subject::author(&user), Subject::author(&followed)],
            Some((_, user, _)) => vec![Subject::author(&user)],
            None => Vec::new(),
        },
        _ => Vec::new(),
    })
}

/// The text keys of the marked rows; needs the `text` column only.
pub(super) fn text_keys(batch: &RecordBatch, marked: impl Fn(usize) -> bool) -> Result<Vec<TextKey>, String> {
    let texts = string(batch, "text")?;
    let rows = (0..batch.num_rows()).filter(|row| marked(*row));
    Ok(rows
        .filter_map(|row| texts.get(row))
        .map(|text| TextKey::of(text.as_bytes()))
        .collect())
}

/// The same rows, with deletions of posts that have no date dated `at`.
pub(super) fn dated(batch: RecordBatch, at: EventTime) -> Result<RecordBatch, String> {
    let dates = primitive::<Int64Type>(&batch, "created_at")?;
    let undated: Vec<bool> = (0..)
        .zip(kinds(&batch)?)
        .map(|(row, kind)| kind == Kind::PostDeleted && maybe(dates, row).is_none())
        .collect();
    if !undated.contains(&true) {
        return Ok(batch);
    }
    let dates: PrimitiveArray<Int64Type> = (0..)
        .zip(&undated)
        .map(|(row, undated)| if *undated { Some(at) } else { maybe(dates, row) })
        .collect();
    let schema = schema(HashMap::new());
    let batch = completed(&batch, &schema)?;
    let place = schema.index_of("created_at").map_err(|e| e.to_string())?;
    let mut columns = batch.columns().to_vec();
    columns[place] = Arc::new(dates);
    RecordBatch::try_new(schema, columns).map_err(|e| e.to_string())
}
