//! Fields of one object → the record of its collection.

mod erasures;
mod ties;

use super::code::{Code, Fault, fault};
use super::fields::Found;
use super::map::{Field, WITH};
use super::{Collection, Decoder, duration, time, value};
use groundswell_core::expr::{Baseline, Expr};
use groundswell_core::id::{Collision, Names};
use groundswell_core::keywords::Keyword;
use groundswell_core::number::{self, NotANumber};
use groundswell_core::record::{Author, Entity, Interned, Post, Record, Thread, Votes};
use groundswell_core::score::{PPM, Score};
use groundswell_core::spec::RuleSpec;

type Decoded = Result<(Record, Option<u64>), Fault>;

/// Builds records of one value; looks at the key only where the value has no id.
pub(super) struct Builder<'d> {
    decoder: &'d Decoder,
    key: Option<&'d [u8]>,
    names: &'d Names,
}

/// The id of a value, if it has one that can be read: what a dead letter is filed under.
pub(super) fn readable_id(found: &Found<'_>, decoder: &Decoder) -> Option<String> {
    let field = id_field(decoder);
    let id = value::id_text("", found.get(field)?).ok()?;
    (!id.is_empty() && id.len() <= decoder.spec.max_id_bytes).then(|| id.into_owned())
}

/// A record's key as its id, if it can be one.
pub(super) fn readable_key(key: Option<&[u8]>, decoder: &Decoder) -> Option<String> {
    let key = decoder.key_text(key?).ok()?;
    (!key.is_empty() && key.len() <= decoder.spec.max_id_bytes).then(|| key.into_owned())
}

/// The id in a key that is an object.
pub(super) fn id_in(found: &Found<'_>, decoder: &Decoder) -> Result<String, Fault> {
    let (field, path) = (id_field(decoder), decoder.plan.path(id_field(decoder)));
    match found.get(field) {
        Some(raw) => Ok(value::id_text(path, raw)?.into_owned()),
        None => fault(Code::MissingField, format!("the key has no field \"{path}\"")),
    }
}

fn id_field(decoder: &Decoder) -> Field {
    if decoder.spec.into == Collection::Threads {
        Field::Thread
    } else {
        Field::Id
    }
}

impl<'d> Builder<'d> {
    pub(super) fn new(decoder: &'d Decoder, key: Option<&'d [u8]>, names: &'d Names) -> Self {
        Builder { decoder, key, names }
    }

    /// A null value: the record under the key is gone.
    pub(super) fn tombstone(&self) -> Decoded {
        if self.decoder.spec.into == Collection::Erasures {
            return fault(
                Code::NotDeletable,
                "a null value does not say what is brought back; send the record again with `\"undo\": true`",
            );
        }
        if matches!(self.decoder.spec.into, Collection::Interactions | Collection::Follows) {
            return fault(
                Code::NotDeletable,
                "a null value does not say what is undone; send the record again with `\"deleted\": true`",
            );
        }
        if self.decoder.spec.into == Collection::Votes {
            return fault(
                Code::NotDeletable,
                "a null value in a votes source; send `\"score\": null` with `observed_at`",
            );
        }
        if self.decoder.spec.into == Collection::Authors {
            return fault(
                Code::NotDeletable,
                "a null value in an authors source; send `\"deleted\": true` with `observed_at`",
            );
        }
        let id = self.key_id()?.ok_or_else(|| self.missing(id_field(self.decoder)))?;
        if self.decoder.plan.has(Field::Version) {
            let path = self.path(Field::Version);
            let message = format!("a null value carries no \"{path}\"; send `\"deleted\": true` with it instead");
            return fault(Code::MissingField, message);
        }
        Ok((self.deleted(id)?, None))
    }

    /// The record of an object's fields; takes the extra fields out of `found`.
    pub(super) fn record(&self, found: &mut Found<'_>) -> Decoded {
        if let Some(fields) = ties::fields(self.decoder.spec.into) {
            return ties::tie(self, &fields, found);
        }
        if self.decoder.spec.into == Collection::Erasures {
            return erasures::erasure(self, found);
        }
        let id = self.id(found)?;
        let version = self.version(found)?;
        let deleted = self.flag(found, Field::Deleted)?;
        let record = match self.decoder.spec.into {
            Collection::Votes => self.votes(id, found, deleted)?,
            Collection::Authors if deleted => self.author(id, found, true)?,
            _ if deleted => self.deleted(id)?,
            Collection::Posts => self.post(id, found)?,
            Collection::Threads => self.thread(id, found)?,
            Collection::Entities => self.entity(id, found)?,
            Collection::Rules => self.rule(id, found)?,
            Collection::Keywords => self.keyword(id, found)?,
            Collection::Authors => self.author(id, found, false)?,
            // Have no id, and were built above.
            Collection::Interactions | Collection::Follows | Collection::Erasures => {
                return Err(self.missing(Field::Id));
            }
        };
        Ok((record, version))
    }

    fn post(&self, id: String, found: &mut Found<'_>) -> Result<Record, Fault> {
        let created_at = self.required_time(found, Field::CreatedAt)?;
        let Some(text) = found.get(Field::Text) else {
            return Err(self.missing(Field::Text));
        };
        let text = value::string(self.path(Field::Text), text)?;
        let gone = self.decoder.spec.gone.iter().any(|gone| *gone == text.trim());
        let mut post = Post {
            text: if gone { String::new() } else { text.into_owned() },
            parent: self.optional_id(found, Field::Parent)?,
            votes: self.vote_count(found)?,
            observed_at: self.time(found, Field::ObservedAt)?.unwrap_or(created_at),
            created_at,
            score: self.given_score(found)?,
            source: self
                .optional_id(found, Field::Source)?
                .or_else(|| self.decoder.spec.source.clone())
                .unwrap_or_default(),
            thread: self.optional_id(found, Field::Thread)?.unwrap_or_default(),
            author: self.optional_id(found, Field::Author)?,
            extra: found.extra.take(),
            interned: Interned::default(),
            id,
        };
        number::of_post(post.extra.as_deref(), &self.decoder.spec.numbers).map_err(not_a_number)?;
        post.intern(self.names).map_err(collided)?;
        Ok(Record::Post(post))
    }

    fn author(&self, id: String, found: &mut Found<'_>, gone: bool) -> Result<Record, Fault> {
        let author = Author {
            observed_at: self.required_time(found, Field::ObservedAt)?,
            numbers: found.extra.take().filter(|_| !gone),
            id,
        };
        number::of_author(author.numbers.as_deref(), &self.decoder.spec.numbers).map_err(not_a_number)?;
        self.intern(&author.id)?;
        Ok(Record::Author(author))
    }

    fn votes(&self, id: String, found: &Found<'_>, withdrawn: bool) -> Result<Record, Fault> {
        let observed_at = self.required_time(found, Field::ObservedAt)?;
        let votes = if withdrawn { None } else { self.vote_count(found)? };
        Ok(Record::Votes(Votes { id, votes, observed_at }))
    }

    fn thread(&self, id: String, found: &Found<'_>) -> Result<Record, Fault> {
        let thread = Thread {
            title: self.optional_text(found, Field::Title)?.unwrap_or_default(),
            air_time: self.time(found, Field::AirTime)?,
            ends_at: self.time(found, Field::EndsAt)?,
            deleted: false,
            id,
        };
        self.intern(&thread.id)?;
        Ok(Record::Thread(thread))
    }

    fn entity(&self, id: String, found: &Found<'_>) -> Result<Record, Fault> {
        let name = match self.optional_text(found, Field::Name)? {
            Some(name) => Some(name),
            None => self.optional_text(found, Field::CanonicalName)?,
        };
        let entity = Entity {
            name: name
                .filter(|n| !n.is_empty())
                .ok_or_else(|| self.missing(Field::Name))?,
            aliases: self.list(found, Field::Aliases)?,
            kind: self.optional_text(found, Field::Kind)?.unwrap_or_default(),
            exclude: self.list(found, Field::Exclude)?,
            id,
        };
        self.intern(&entity.id)?;
        Ok(Record::Entity(entity))
    }

    fn keyword(&self, id: String, found: &Found<'_>) -> Result<Record, Fault> {
        let mut phrases = self.list(found, Field::Phrases)?;
        phrases.retain(|phrase| !phrase.trim().is_empty());
        if phrases.is_empty() {
            return Err(self.missing(Field::Phrases));
        }
        let keyword = Keyword {
            phrases,
            exclude: self.list(found, Field::Exclude)?,
            id,
        };
        self.intern(&keyword.id)?;
        Ok(Record::Keyword(keyword))
    }

    fn rule(&self, id: String, found: &Found<'_>) -> Result<Record, Fault> {
        let view = self
            .optional_text(found, Field::View)?
            .ok_or_else(|| self.missing(Field::View))?;
        if let Some(views) = self.decoder.spec.views.as_ref().filter(|views| !views.contains(&view)) {
            let (path, known) = (self.path(Field::View), views.join(", "));
            let shown: String = view.chars().take(64).collect();
            return fault(
                Code::UnknownView,
                format!("field \"{path}\": there is no view \"{shown}\"; the pipeline has {known}"),
            );
        }
        let rule = RuleSpec {
            view,
            when: self
                .condition(found, Field::When)?
                .ok_or_else(|| self.missing(Field::When))?,
            clear: self.condition(found, Field::Clear)?,
            min_posts: self.least(found, Field::MinPosts, 1, "posts")?,
            min_authors: self.least(found, Field::MinAuthors, 0, "authors")?,
            min_n_eff: self.least(found, Field::MinNEff, 0, "posts")?,
            baseline: self.baseline(found)?,
            for_ms: self.duration(found, Field::For)?,
            cooldown_ms: self.duration(found, Field::Cooldown)?,
            id,
        };
        self.intern(&rule.id)?;
        Ok(Record::Rule(rule))
    }

    /// A number that a window must have.
    fn least(&self, found: &Found<'_>, field: Field, otherwise: i32, of: &str) -> Result<i32, Fault> {
        let Some(raw) = found.get(field) else {
            return Ok(otherwise);
        };
        let n = value::integer(self.path(field), raw)?;
        i32::try_from(n).ok().filter(|n| *n >= 0).ok_or_else(|| {
            let path = self.path(field);
            Fault::new(
                Code::NumberOutOfRange,
                format!("field \"{path}\": {n} is not a number of {of}"),
            )
        })
    }

    fn baseline(&self, found: &Found<'_>) -> Result<Baseline, Fault> {
        let otherwise = Baseline::default();
        let number = |field, otherwise, most: u8| match found.get(field) {
            None => Ok(otherwise),
            Some(raw) => {
                let n = value::integer(self.path(field), raw)?;
                u8::try_from(n).ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
                    let path = self.path(field);
                    Fault::new(
                        Code::NumberOutOfRange,
                        format!("field \"{path}\": {n} is not between 1 and {most} weeks"),
                    )
                })
            }
        };
        let weeks = number(Field::BaselineWeeks, otherwise.weeks, Baseline::MOST)?;
        let min = number(Field::BaselineMin, otherwise.min.min(weeks), weeks)?;
        Ok(Baseline { weeks, min })
    }

    fn deleted(&self, id: String) -> Result<Record, Fault> {
        Ok(match self.decoder.spec.into {
            Collection::Posts | Collection::Votes | Collection::Authors => Record::PostDeleted { id },
            Collection::Threads => {
                self.intern(&id)?;
                Record::Thread(Thread {
                    id,
                    deleted: true,
                    ..Thread::default()
                })
            }
            Collection::Entities => {
                self.intern(&id)?;
                Record::EntityDeleted { id }
            }
            Collection::Rules => {
                self.intern(&id)?;
                Record::RuleDeleted { id }
            }
            Collection::Interactions | Collection::Follows | Collection::Erasures => {
                return Err(self.missing(Field::Id));
            }
            Collection::Keywords => {
                self.intern(&id)?;
                Record::KeywordDeleted { id }
            }
        })
    }

    fn path(&self, field: Field) -> &str {
        self.decoder.plan.path(field)
    }

    fn missing(&self, field: Field) -> Fault {
        let path = self.path(field);
        let note = if path == field.name() {
            String::new()
        } else {
            format!(" (mapped to `{}`)", field.name())
        };
        Fault::new(Code::MissingField, format!("field \"{path}\"{note} is missing or null"))
    }

    fn id(&self, found: &Found<'_>) -> Result<String, Fault> {
        let field = id_field(self.decoder);
        if let Some(raw) = found.get(field) {
            let mut id = value::id_text(self.path(field), raw)?.into_owned();
            if !id.is_empty() {
                id = self.prefixed(field, id);
            }
            for field in WITH.into_iter().filter(|field| self.decoder.plan.has(*field)) {
                let path = self.path(field);
                let Some(raw) = found.get(field) else {
                    let message = format!("field \"{path}\" (part of the id) is missing or null");
                    return Err(Fault::new(Code::MissingField, message));
                };
                id = format!("{id}/{}", value::id_text(path, raw)?);
            }
            return self.checked_id(self.path(field), id);
        }
        if let Some(id) = self.key_id()? {
            return Ok(id);
        }
        // The first systems' dictionaries have names only.
        for name in [Field::Name, Field::CanonicalName] {
            if let Some(raw) = found.get(name) {
                return self.checked_id(self.path(name), value::string(self.path(name), raw)?.into_owned());
            }
        }
        Err(self.missing(field))
    }

    fn key_id(&self) -> Result<Option<String>, Fault> {
        let Some(key) = self.key else { return Ok(None) };
        let id = self.decoder.key_text(key)?.into_owned();
        if id.is_empty() {
            return self.checked_id("key", id).map(Some);
        }
        let id = self.prefixed(id_field(self.decoder), id);
        self.checked_id("key", id).map(Some)
    }

    fn checked_id(&self, path: &str, id: String) -> Result<String, Fault> {
        if id.is_empty() {
            return fault(Code::IdEmpty, format!("field \"{path}\" is empty"));
        }
        self.checked_len(path, id)
    }

    fn checked_len(&self, path: &str, id: String) -> Result<String, Fault> {
        let limit = self.decoder.spec.max_id_bytes;
        if id.len() <= limit {
            return Ok(id);
        }
        fault(
            Code::IdTooLong,
            format!("field \"{path}\" is {} bytes long, allowed are {limit}", id.len()),
        )
    }

    /// An id that may be absent; null and the empty string are absent too.
    fn optional_id(&self, found: &Found<'_>, field: Field) -> Result<Option<String>, Fault> {
        let Some(raw) = found.get(field) else { return Ok(None) };
        let id = value::id_text(self.path(field), raw)?;
        if id.is_empty() {
            return Ok(None);
        }
        self.checked_len(self.path(field), self.prefixed(field, id.into_owned()))
            .map(Some)
    }

    /// An id with what the map puts before it.
    fn prefixed(&self, field: Field, id: String) -> String {
        match self.decoder.plan.prefix(field) {
            Some(prefix) => format!("{prefix}{id}"),
            None => id,
        }
    }

    fn optional_text(&self, found: &Found<'_>, field: Field) -> Result<Option<String>, Fault> {
        found
            .get(field)
            .map(|raw| value::string(self.path(field), raw).map(|s| s.into_owned()))
            .transpose()
    }

    fn list(&self, found: &Found<'_>, field: Field) -> Result<Vec<String>, Fault> {
        found
            .get(field)
            .map_or(Ok(Vec::new()), |raw| value::strings(self.path(field), raw))
    }

    fn flag(&self, found: &Found<'_>, field: Field) -> Result<bool, Fault> {
        found
            .get(field)
            .map_or(Ok(false), |raw| value::boolean(self.path(field), raw))
    }

    fn time(&self, found: &Found<'_>, field: Field) -> Result<Option<i64>, Fault> {
        let unit = self.decoder.plan.unit(field);
        found
            .get(field)
            .map(|raw| time::epoch_ms(self.path(field), raw, unit))
            .transpose()
    }

    fn required_time(&self, found: &Found<'_>, field: Field) -> Result<i64, Fault> {
        self.time(found, field)?.ok_or_else(|| self.missing(field))
    }

    /// `None` while hidden or unknown. An absent count is an error where the count is all there is.
    fn vote_count(&self, found: &Found<'_>) -> Result<Option<i64>, Fault> {
        let votes = found
            .get(Field::Score)
            .map(|raw| value::integer(self.path(Field::Score), raw))
            .transpose()?;
        let hidden = self.flag(found, Field::HiddenScore)?;
        if self.decoder.spec.into == Collection::Votes && !hidden && !found.has(Field::Score) {
            return fault(
                Code::MissingField,
                format!("field \"{}\" is missing; null means hidden", self.path(Field::Score)),
            );
        }
        Ok(votes.filter(|_| !hidden))
    }

    #[allow(clippy::cast_possible_truncation)] // in [-1, 1]
    fn given_score(&self, found: &Found<'_>) -> Result<Option<Score>, Fault> {
        let Some(raw) = found.get(Field::Sentiment) else {
            return Ok(None);
        };
        let path = self.path(Field::Sentiment);
        let x = value::float(path, raw)?;
        if !(-1.0..=1.0).contains(&x) {
            return fault(
                Code::NumberOutOfRange,
                format!("field \"{path}\": sentiment {raw} lies outside [-1, 1]"),
            );
        }
        Ok(Some(Score::given((x * f64::from(PPM)).round() as i32)))
    }

    /// A whole number as it is, a time (a string, or a number with a unit) as epoch milliseconds.
    fn version(&self, found: &Found<'_>) -> Result<Option<u64>, Fault> {
        let plan = &self.decoder.plan;
        if !plan.has(Field::Version) {
            return Ok(None);
        }
        let raw = found.get(Field::Version).ok_or_else(|| self.missing(Field::Version))?;
        let path = self.path(Field::Version);
        let version = if value::is_string(raw) || plan.unit(Field::Version).is_some() {
            time::epoch_ms(path, raw, plan.unit(Field::Version))?
        } else {
            value::integer(path, raw)?
        };
        u64::try_from(version).map(Some).or_else(|_| {
            fault(
                Code::NumberOutOfRange,
                format!("field \"{path}\": version {raw} is negative"),
            )
        })
    }

    fn condition(&self, found: &Found<'_>, field: Field) -> Result<Option<Expr>, Fault> {
        let Some(text) = self.optional_text(found, field)? else {
            return Ok(None);
        };
        Expr::parse(&text)
            .map(Some)
            .map_err(|e| Fault::new(Code::InvalidCondition, format!("field \"{}\": {e}", self.path(field))))
    }

    fn duration(&self, found: &Found<'_>, field: Field) -> Result<i64, Fault> {
        let Some(raw) = found.get(field) else { return Ok(0) };
        let path = self.path(field);
        let parsed = if raw == "0" {
            Some(0)
        } else {
            duration::parse_duration_ms(&value::string(path, raw)?)
        };
        parsed.ok_or_else(|| {
            Fault::new(
                Code::InvalidDuration,
                format!("field \"{path}\": {raw} is not a duration like \"2m\" or \"90s\""),
            )
        })
    }

    fn intern(&self, name: &str) -> Result<(), Fault> {
        self.names.intern(name).map(|_| ()).map_err(collided)
    }
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn not_a_number(error: NotANumber) -> Fault {
    Fault::new(Code::WrongType, error.to_string())
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn collided(collision: Collision) -> Fault {
    Fault::new(Code::IdCollision, collision.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::DecoderSpec;
    use super::*;

    #[test]
    fn a_body_that_is_gone_is_empty() {
        let text = |spec: DecoderSpec, body: &str| {
            let line = format!(r#"{{"id":"a","text":"{body}","created_at":1767225600000}}"#);
            let decoder = Decoder::new(spec).expect("no map");
            match decoder.decode(None, Some(line.as_bytes()), &Names::default()) {
                Ok((Record::Post(post), None)) => post.text,
                other => panic!("{other:?}"),
            }
        };
        let posts = || DecoderSpec::new(Collection::Posts);
        for (body, kept) in [
            ("[deleted]", ""),
            (" [removed]\\n", ""),
            ("he [deleted] it", "he [deleted] it"),
            ("deleted", "deleted"),
            ("", ""),
        ] {
            assert_eq!(text(posts(), body), kept);
        }
        assert_eq!(text(posts().with_gone(vec![]), "[deleted]"), "[deleted]");
    }
}
