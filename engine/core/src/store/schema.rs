//! Records as columns: one flat Arrow schema for the log and the snapshot, readable by anybody's tools.
//!
//! In: envelopes. Out: a [`RecordBatch`] in which a column is null wherever a record's kind does not have it, and absent if
//! no record has it. `kind` is one of [`Kind`]'s codes. Entities and rules are rare and nested, so they travel as JSON in
//! `payload`; everything that comes by the million has columns of its own. Ids are views (Arrow's `Utf8View`): a length and
//! twelve bytes in place compress to half of what offsets and characters in two buffers do. `decode.rs` is the inverse.

use crate::erasure::Subject;
use crate::record::{DeadLetter, Envelope, Past, Post, Record, Thread};
use crate::score::{Rung, Score};
use crate::tie::TieKind;
use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, FixedSizeBinaryBuilder, Int32Builder, Int64Builder, StringBuilder, StringViewBuilder,
    UInt8Builder, UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringViewArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;

/// Rows of one Arrow record batch and of one Parquet row group, at most.
pub(super) const CHUNK_ROWS: usize = 65_536;
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal $label:literal,)*) => {
        /// What a row is; the codes are part of the format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Kind { $($(#[$doc])* $name = $code,)* }

        impl Kind {
            /// The kind of a code.
            pub fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Kind::$name),)* _ => None }
            }
            /// The kind's name in reports.
            pub fn label(self) -> &'static str {
                match self { $(Kind::$name => $label,)* }
            }
        }
    };
}

kinds! {
    /// A post.
    Post = 1 "post",
    /// A post's deletion.
    PostDeleted = 2 "post_deleted",
    /// A vote observation.
    Votes = 3 "votes",
    /// A thread.
    Thread = 4 "thread",
    /// A thread's deletion.
    ThreadDeleted = 5 "thread_deleted",
    /// An entity.
    Entity = 6 "entity",
    /// An entity's deletion.
    EntityDeleted = 7 "entity_deleted",
    /// A rule.
    Rule = 8 "rule",
    /// A rule's deletion.
    RuleDeleted = 9 "rule_deleted",
    /// A model's answer.
    Score = 10 "score",
    /// A text no answer exists for.
    Unscorable = 11 "unscorable",
    /// The model pointer.
    LiveModel = 12 "live_model",
    /// A dead letter.
    Dead = 13 "dead_letter",
    /// What forgotten windows left behind in a rule's alerts.
    AlertFloor = 14 "alert_floor",
    /// Whether an alert is kept from the sinks.
    AlertMuted = 15 "alert_muted",
    /// A keyword.
    Keyword = 30 "keyword",
    /// A keyword's deletion.
    KeywordDeleted = 31 "keyword_deleted",
    /// An answer of the HTTP scorer. A kind of its own: versions before this one refuse it, where they would take it for the
    /// model's otherwise.
    ScoreHttp = 20 "score_http",
    /// Neutral, as nobody answered.
    ScoreNeutral = 21 "score_neutral",
    /// What is known of an author.
    Author = 40 "author",
    /// What a user did with a post, dated by `created_at`; or whom they follow, dated by `observed_at`, as it is never forgotten.
    Tie = 50 "tie",
    /// An author's erasure, or its end; the author's digest is the `text_key`.
    ErasedAuthor = 60 "erased_author",
    /// A post's.
    ErasedPost = 61 "erased_post",
    /// A thread's.
    ErasedThread = 62 "erased_thread",
    /// What was known of an erased author is gone.
    PurgedAuthor = 63 "purged_author",
    /// Of an erased post.
    PurgedPost = 64 "purged_post",
    /// Of an erased thread.
    PurgedThread = 65 "purged_thread",
}

/// Bits of the `flags` column.
pub(super) const TOXIC: u8 = 1;
/// The sarcasm flag.
pub(super) const SARCASTIC: u8 = 2;
/// The score came with the record.
pub(super) const GIVEN: u8 = 4;
/// The tie or the erasure was undone.
pub(super) const UNDONE: u8 = 8;

/// A builder whose missing rows are filled with nulls when the next value comes, so that a row costs only what it has.
struct Column<B>(B);

trait Nulls: ArrayBuilder {
    fn nulls(&mut self, n: usize);
}

macro_rules! nulls {
    ($($builder:ty),*) => { $(impl Nulls for $builder {
        fn nulls(&mut self, n: usize) { self.append_nulls(n); }
    })* };
}
nulls!(
    BinaryBuilder,
    FixedSizeBinaryBuilder,
    Int32Builder,
    Int64Builder,
    StringBuilder,
    UInt8Builder
);
nulls!(UInt16Builder, UInt32Builder, UInt64Builder);

impl Nulls for StringViewBuilder {
    fn nulls(&mut self, n: usize) {
        (0..n).for_each(|_| self.append_null());
    }
}

impl<B: Nulls> Column<B> {
    fn at(&mut self, row: usize) -> &mut B {
        let missing = row - self.0.len();
        if missing > 0 {
            self.0.nulls(missing);
        }
        &mut self.0
    }
    /// The column; `None` if no row has a value where it may be without.
    fn finish(mut self, rows: usize, nullable: bool) -> Option<ArrayRef> {
        (!nullable || self.0.len() > 0).then(|| self.at(rows).finish())
    }
}

macro_rules! columns {
    ($($name:ident: $builder:ident $data:expr, $nullable:literal, $new:expr;)*) => {
        /// Column builders for one record batch.
        struct Columns { rows: usize, $($name: Column<$builder>,)* }

        impl Columns {
            fn with_capacity(rows: usize, bytes: usize) -> Self {
                Columns { rows: 0, $($name: Column($new(rows, bytes)),)* }
            }
            fn finish(self) -> (Vec<Field>, Vec<ArrayRef>) {
                let (rows, mut fields, mut arrays) = (self.rows, Vec::new(), Vec::new());
                $(if let Some(array) = self.$name.finish(rows, $nullable) {
                    fields.push(Field::new(stringify!($name), $data, $nullable));
                    arrays.push(array);
                })*
                (fields, arrays)
            }
        }

        fn fields() -> Vec<Field> {
            vec![$(Field::new(stringify!($name), $data, $nullable),)*]
        }
    };
}

fn narrow<B: Default>(_: usize, _: usize) -> B {
    B::default()
}
fn key(rows: usize, _: usize) -> FixedSizeBinaryBuilder {
    FixedSizeBinaryBuilder::with_capacity(rows, 16)
}
fn ids(rows: usize, _: usize) -> StringViewBuilder {
    StringViewBuilder::with_capacity(rows)
}
fn texts(rows: usize, bytes: usize) -> StringBuilder {
    StringBuilder::with_capacity(rows, bytes)
}

columns! {
    kind: UInt8Builder DataType::UInt8, false, |n, _| UInt8Builder::with_capacity(n);
    source: UInt16Builder DataType::UInt16, false, |n, _| UInt16Builder::with_capacity(n);
    partition: UInt32Builder DataType::UInt32, false, |n, _| UInt32Builder::with_capacity(n);
    offset: UInt64Builder DataType::UInt64, false, |n, _| UInt64Builder::with_capacity(n);
    order: UInt64Builder DataType::UInt64, false, |n, _| UInt64Builder::with_capacity(n);
    id: StringViewBuilder DataType::Utf8View, true, ids;
    platform: StringViewBuilder DataType::Utf8View, true, ids;
    thread: StringViewBuilder DataType::Utf8View, true, ids;
    parent: StringViewBuilder DataType::Utf8View, true, ids;
    author: StringViewBuilder DataType::Utf8View, true, ids;
    text: StringBuilder DataType::Utf8, true, texts;
    votes: Int64Builder DataType::Int64, true, |n, _| Int64Builder::with_capacity(n);
    observed_at: Int64Builder DataType::Int64, true, |n, _| Int64Builder::with_capacity(n);
    created_at: Int64Builder DataType::Int64, true, |n, _| Int64Builder::with_capacity(n);
    starts_at: Int64Builder DataType::Int64, true, narrow;
    ends_at: Int64Builder DataType::Int64, true, narrow;
    text_key: FixedSizeBinaryBuilder DataType::FixedSizeBinary(16), true, key;
    model_key: FixedSizeBinaryBuilder DataType::FixedSizeBinary(16), true, key;
    positive: Int32Builder DataType::Int32, true, narrow;
    neutral: Int32Builder DataType::Int32, true, narrow;
    negative: Int32Builder DataType::Int32, true, narrow;
    toxic: Int32Builder DataType::Int32, true, narrow;
    sarcastic: Int32Builder DataType::Int32, true, narrow;
    emotion: UInt8Builder DataType::UInt8, true, narrow;
    flags: UInt8Builder DataType::UInt8, true, narrow;
    stage: StringBuilder DataType::Utf8, true, narrow;
    code: StringBuilder DataType::Utf8, true, narrow;
    key: BinaryBuilder DataType::Binary, true, narrow;
    payload: BinaryBuilder DataType::Binary, true, narrow;
    headers: BinaryBuilder DataType::Binary, true, narrow;
    replays: UInt32Builder DataType::UInt32, true, narrow;
}

/// The schema of all columns, with what the container wants to say about the whole object.
pub(super) fn schema(metadata: HashMap<String, String>) -> SchemaRef {
    Arc::new(Schema::new_with_metadata(fields(), metadata))
}

/// The schema of the columns that any of the batches has, and of those that every object has.
pub(super) fn present(batches: &[RecordBatch], metadata: HashMap<String, String>) -> SchemaRef {
    let has = |field: &Field| batches.iter().any(|b| b.column_by_name(field.name()).is_some());
    let fields = fields().into_iter().filter(|f| !f.is_nullable() || has(f));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata))
}

/// A batch with all columns of the schema: those that it does not have are null, and ids of a format before they were views
/// are views.
///
/// # Errors
/// A description, if a column has another type or must not be null.
pub(super) fn completed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => match (field.data_type(), column.as_string_opt::<i32>()) {
            (DataType::Utf8View, Some(strings)) => Arc::new(StringViewArray::from(strings)),
            _ => Arc::clone(column),
        },
        None => arrow_array::new_null_array(field.data_type(), batch.num_rows()),
    };
    let columns = schema.fields().iter().map(column).collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows).map_err(|e| e.to_string())
}

/// Positions of those of the named columns that an object has, for reading only these. One that every object has is among
/// them, so that the rows can be counted.
pub(super) fn positions(schema: &Schema, names: &[&str]) -> Vec<usize> {
    let wanted = |name: &str| name == "kind" || names.contains(&name);
    let fields = schema.fields().iter().enumerate();
    fields.filter(|(_, f)| wanted(f.name())).map(|(i, _)| i).collect()
}

/// Encodes records that fit one record batch (see [`super::chunks`]), without the columns that none of them has.
///
/// # Errors
/// A description, if the columns do not fit together or a rule or an entity has no JSON form.
pub(super) fn encode(records: &[Envelope], text_bytes: usize) -> Result<RecordBatch, String> {
    let mut columns = Columns::with_capacity(records.len(), text_bytes);
    for envelope in records {
        columns.push(envelope)?;
    }
    let (fields, arrays) = columns.finish();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|e| e.to_string())
}

impl Columns {
    fn push(&mut self, envelope: &Envelope) -> Result<(), String> {
        let row = self.rows;
        self.source.at(row).append_value(envelope.source);
        self.partition.at(row).append_value(envelope.partition);
        self.offset.at(row).append_value(envelope.offset);
        self.order.at(row).append_value(envelope.order);
        let kind = match &envelope.record {
            Record::Post(post) => self.post(row, post),
            Record::PostDeleted { id } => self.tombstone(row, id, Kind::PostDeleted),
            Record::Votes(votes) => {
                self.id.at(row).append_value(&votes.id);
                self.votes.at(row).append_option(votes.votes);
                self.observed_at.at(row).append_value(votes.observed_at);
                Kind::Votes
            }
            Record::Thread(thread) => self.thread(row, thread),
            Record::Entity(entity) => {
                self.id.at(row).append_value(&entity.id);
                self.text.at(row).append_value(&entity.name);
                self.json(row, entity)?;
                Kind::Entity
            }
            Record::EntityDeleted { id } => self.tombstone(row, id, Kind::EntityDeleted),
            Record::Rule(rule) => {
                self.id.at(row).append_value(&rule.id);
                self.json(row, rule)?;
                Kind::Rule
            }
            Record::RuleDeleted { id } => self.tombstone(row, id, Kind::RuleDeleted),
            Record::Keyword(keyword) => {
                self.id.at(row).append_value(&keyword.id);
                self.json(row, keyword)?;
                Kind::Keyword
            }
            Record::KeywordDeleted { id } => self.tombstone(row, id, Kind::KeywordDeleted),
            Record::Author(author) => {
                self.id.at(row).append_value(&author.id);
                self.observed_at.at(row).append_value(author.observed_at);
                if let Some(numbers) = &author.numbers {
                    self.payload.at(row).append_value(numbers);
                }
                Kind::Author
            }
            Record::Score { text, model, score } => {
                self.keys(row, Some(text.0), model.0)?;
                self.score(row, score);
                match score.rung {
                    Rung::Local | Rung::Given => Kind::Score,
                    Rung::Http => Kind::ScoreHttp,
                    Rung::Neutral => Kind::ScoreNeutral,
                }
            }
            Record::Unscorable { text, model } => {
                self.keys(row, Some(text.0), model.0)?;
                Kind::Unscorable
            }
            Record::LiveModel { model, past } => {
                self.keys(row, None, model.0)?;
                if *past != Past::default() {
                    self.json(row, past)?;
                }
                Kind::LiveModel
            }
            Record::AlertFloor(floor) => {
                self.id.at(row).append_value(&floor.key);
                self.json(row, floor)?;
                Kind::AlertFloor
            }
            Record::AlertMuted { id, muted } => {
                self.digest(row, *id)?;
                self.flags.at(row).append_value(u8::from(*muted));
                Kind::AlertMuted
            }
            Record::Erasure(erasure) => {
                self.digest(row, erasure.of.digest())?;
                self.flags.at(row).append_value(if erasure.undo { UNDONE } else { 0 });
                match erasure.of {
                    Subject::Author(_) => Kind::ErasedAuthor,
                    Subject::Post(_) => Kind::ErasedPost,
                    Subject::Thread(_) => Kind::ErasedThread,
                }
            }
            Record::Purged(of) => {
                self.digest(row, of.digest())?;
                match of {
                    Subject::Author(_) => Kind::PurgedAuthor,
                    Subject::Post(_) => Kind::PurgedPost,
                    Subject::Thread(_) => Kind::PurgedThread,
                }
            }
            Record::Tie(tie) => {
                self.id.at(row).append_value(tie.key());
                match tie.kind {
                    TieKind::Follow => self.observed_at.at(row).append_value(tie.at),
                    _ => self.created_at.at(row).append_value(tie.at),
                }
                self.flags.at(row).append_value(if tie.undone { UNDONE } else { 0 });
                Kind::Tie
            }
            Record::Dead(dead) => self.dead(row, dead)?,
        };
        self.kind.at(row).append_value(kind as u8);
        self.rows += 1;
        Ok(())
    }

    fn post(&mut self, row: usize, post: &Post) -> Kind {
        self.id.at(row).append_value(&post.id);
        self.platform.at(row).append_value(&post.source);
        self.thread.at(row).append_value(&post.thread);
        self.text.at(row).append_value(&post.text);
        self.observed_at.at(row).append_value(post.observed_at);
        self.created_at.at(row).append_value(post.created_at);
        if let Some(parent) = &post.parent {
            self.parent.at(row).append_value(parent);
        }
        if let Some(author) = &post.author {
            self.author.at(row).append_value(author);
        }
        if let Some(votes) = post.votes {
            self.votes.at(row).append_value(votes);
        }
        if let Some(score) = &post.score {
            self.score(row, score);
        }
        if let Some(extra) = &post.extra {
            self.payload.at(row).append_value(extra);
        }
        Kind::Post
    }

    fn thread(&mut self, row: usize, thread: &Thread) -> Kind {
        self.id.at(row).append_value(&thread.id);
        self.text.at(row).append_value(&thread.title);
        if let Some(at) = thread.air_time {
            self.starts_at.at(row).append_value(at);
        }
        if let Some(at) = thread.ends_at {
            self.ends_at.at(row).append_value(at);
        }
        if thread.deleted {
            Kind::ThreadDeleted
        } else {
            Kind::Thread
        }
    }

    fn dead(&mut self, row: usize, dead: &DeadLetter) -> Result<Kind, String> {
        self.stage.at(row).append_value(&dead.stage);
        self.code.at(row).append_value(&dead.code);
        self.text.at(row).append_value(&dead.message);
        self.payload.at(row).append_value(&dead.payload);
        self.key.at(row).append_value(&dead.key);
        if let Some(id) = &dead.id {
            self.id.at(row).append_value(id);
        }
        if let Some(at) = dead.written_at {
            self.observed_at.at(row).append_value(at);
        }
        if !dead.headers.is_empty() {
            let json = serde_json::to_vec(&dead.headers).map_err(|e| e.to_string())?;
            self.headers.at(row).append_value(json);
        }
        if dead.replays > 0 {
            self.replays.at(row).append_value(dead.replays);
        }
        if let Some(model) = dead.model {
            self.keys(row, None, model.0)?;
        }
        Ok(Kind::Dead)
    }

    fn tombstone(&mut self, row: usize, id: &str, kind: Kind) -> Kind {
        self.id.at(row).append_value(id);
        kind
    }

    fn json(&mut self, row: usize, value: &impl serde::Serialize) -> Result<(), String> {
        let json = serde_json::to_vec(value).map_err(|e| e.to_string())?;
        self.payload.at(row).append_value(json);
        Ok(())
    }

    fn keys(&mut self, row: usize, text: Option<u128>, model: u128) -> Result<(), String> {
        if let Some(text) = text {
            self.digest(row, text)?;
        }
        self.model_key
            .at(row)
            .append_value(model.to_be_bytes())
            .map_err(|e| e.to_string())
    }

    fn digest(&mut self, row: usize, digest: u128) -> Result<(), String> {
        let bytes = digest.to_be_bytes();
        self.text_key.at(row).append_value(bytes).map_err(|e| e.to_string())
    }

    fn score(&mut self, row: usize, score: &Score) {
        self.positive.at(row).append_value(score.positive);
        self.neutral.at(row).append_value(score.neutral);
        self.negative.at(row).append_value(score.negative);
        self.toxic.at(row).append_value(score.toxic);
        self.sarcastic.at(row).append_value(score.sarcastic);
        self.emotion.at(row).append_value(score.emotion);
        let given = if score.rung == Rung::Given { GIVEN } else { 0 };
        let toxic = if score.is_toxic { TOXIC } else { 0 };
        let sarcastic = if score.is_sarcastic { SARCASTIC } else { 0 };
        self.flags.at(row).append_value(given | toxic | sarcastic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_kinds_agree() {
        for code in (1..=15).chain([20, 21]).chain(60..=65) {
            assert_eq!(Kind::from_code(code).map(|k| k as u8), Some(code));
        }
        assert_eq!(Kind::from_code(0), None);
        assert_eq!(Kind::from_code(16), None);
    }
}
