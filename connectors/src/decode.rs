//! Bytes to records: one JSON value of a topic, file or generator becomes a [`Record`] or a [`DeadLetter`]. Values of a topic
//! written with a schema are made JSON first, by their [`Registry`].
//!
//! In: a key and a payload as received (a null payload deletes). Out: the record and, where a `version` field is mapped,
//! the number that orders records of one id. Strings that views group by are interned in the engine's [`Names`]. A
//! decoder holds its compiled field map and no other state, so one value always decodes to the same record.
//!
//! There is one path for all maps: the object is read once without copying, each value stays a slice of the payload
//! until its field is built, and what no field takes is kept aside as it was written. Nothing recurses into the input.

mod build;
mod code;
mod duration;
mod fields;
mod map;
#[cfg(test)]
mod tests;
mod time;
mod value;

pub use code::{Code, codes_markdown};
pub(crate) use code::{Fault, fault};
pub use duration::parse_duration_ms;
pub use map::{FieldMap, FieldRef, MapError, TimeUnit};

use crate::registry::Registry;
use groundswell_core::id::Names;
use groundswell_core::number::NumberSpec;
use groundswell_core::record::{DeadLetter, Envelope, Post, Record, SourceId};
use groundswell_core::source::{Redecode, SourceContext};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a source feeds (`into:` in the config).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    /// Posts and comments.
    Posts,
    /// Vote observations.
    Votes,
    /// Threads.
    Threads,
    /// The dictionary.
    Entities,
    /// Alert rules.
    Rules,
    /// Keywords.
    Keywords,
    /// What is known of authors.
    Authors,
    /// What users did with posts.
    Interactions,
    /// Whom users follow.
    Follows,
    /// What is to be forgotten.
    Erasures,
}

impl Collection {
    /// All collections, in the order of the documentation.
    pub const ALL: [Collection; 10] = [
        Collection::Posts,
        Collection::Votes,
        Collection::Threads,
        Collection::Entities,
        Collection::Rules,
        Collection::Keywords,
        Collection::Authors,
        Collection::Interactions,
        Collection::Follows,
        Collection::Erasures,
    ];

    /// The collection's name in config and messages.
    pub fn name(self) -> &'static str {
        match self {
            Collection::Posts => "posts",
            Collection::Votes => "votes",
            Collection::Threads => "threads",
            Collection::Entities => "entities",
            Collection::Rules => "rules",
            Collection::Keywords => "keywords",
            Collection::Authors => "authors",
            Collection::Interactions => "interactions",
            Collection::Follows => "follows",
            Collection::Erasures => "erasures",
        }
    }
}

/// How the values of a source are read.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderSpec {
    /// What they become.
    pub into: Collection,
    /// Where the engine's fields are found in them; fields not named keep their own name.
    pub map: FieldMap,
    /// Longer payloads are dead letters.
    pub max_bytes: usize,
    /// Longer ids (of posts, threads, authors, sources, entities, rules) are dead letters.
    pub max_id_bytes: usize,
    /// Texts of posts that stand for one that is gone: the post is kept, with an empty text.
    pub gone: Vec<String>,
    /// Rules on other views than these are dead letters; `None` takes any.
    pub views: Option<Vec<String>>,
    /// The source (platform) of posts that name none.
    pub source: Option<String>,
    /// Numbers that posts and authors may have: what is there and is none is a dead letter.
    pub numbers: Vec<NumberSpec>,
}

/// Default of [`DecoderSpec::max_bytes`].
pub const MAX_BYTES: usize = 1 << 20;
/// Default of [`DecoderSpec::max_id_bytes`].
pub const MAX_ID_BYTES: usize = 512;
/// Default of [`DecoderSpec::gone`]: what Reddit puts in place of a body that its author or a moderator took away.
pub const GONE: [&str; 2] = ["[deleted]", "[removed]"];
/// Arrays and objects inside each other beyond this are dead letters.
pub const MAX_DEPTH: usize = 64;
/// A dead letter of an oversized value keeps this much of it.
pub const KEPT_OF_OVERSIZED: usize = 64 << 10;

impl DecoderSpec {
    /// The default way to read a collection: the contract's field names and limits.
    pub fn new(into: Collection) -> Self {
        DecoderSpec {
            into,
            map: FieldMap::default(),
            max_bytes: MAX_BYTES,
            max_id_bytes: MAX_ID_BYTES,
            gone: GONE.map(str::to_owned).into(),
            views: None,
            source: None,
            numbers: Vec::new(),
        }
    }

    /// The same with the source of posts that name none.
    #[must_use]
    pub fn with_source(mut self, source: Option<String>) -> Self {
        self.source = source;
        self
    }

    /// The same for a pipeline that declares these numbers.
    #[must_use]
    pub fn with_numbers(mut self, numbers: Vec<NumberSpec>) -> Self {
        self.numbers = numbers;
        self
    }

    /// The same with other texts that stand for one that is gone.
    #[must_use]
    pub fn with_gone(mut self, texts: Vec<String>) -> Self {
        self.gone = texts;
        self
    }

    /// The same for a pipeline with these views.
    #[must_use]
    pub fn with_views(mut self, views: Vec<String>) -> Self {
        self.views = Some(views);
        self
    }

    /// The same with a field map.
    #[must_use]
    pub fn with_map(mut self, map: FieldMap) -> Self {
        self.map = map;
        self
    }
}

fn late(post: Post, horizon: i64, key: Option<&[u8]>, payload: Option<&[u8]>) -> Record {
    let days = (horizon - post.created_at) / groundswell_core::time::DAY;
    let message = format!(
        "written at {} ms, {days} days before anything a view still keeps",
        post.created_at
    );
    let fault = Fault::new(Code::Late, message).about(Some(post.id));
    Record::Dead(fault.into_dead_letter(key, payload.unwrap_or_default()))
}

/// Turns values into records; see the module's description.
#[derive(Debug, Clone)]
pub struct Decoder {
    spec: DecoderSpec,
    plan: map::Plan,
    registry: Option<Arc<Registry>>,
}

impl Decoder {
    /// Compiles a specification.
    ///
    /// # Errors
    /// [`MapError`] with every mistake in the field map.
    pub fn new(spec: DecoderSpec) -> Result<Self, MapError> {
        let plan = map::Plan::compile(spec.into, &spec.map, &spec.numbers)?;
        Ok(Decoder {
            spec,
            plan,
            registry: None,
        })
    }

    /// The same for values, and keys where they are framed, that are written with schemas of a registry.
    #[must_use]
    pub fn with_registry(mut self, registry: Arc<Registry>) -> Self {
        self.registry = Some(registry);
        self
    }

    /// What has to be prepared before a value is decoded, if anything has.
    pub(crate) fn registry(&self) -> Option<&Registry> {
        self.registry.as_deref()
    }

    /// What this decoder was made from.
    pub fn spec(&self) -> &DecoderSpec {
        &self.spec
    }

    /// Decodes one value. `None` as payload is a null value: a deletion of the id in `key`.
    ///
    /// The number beside the record is the mapped `version`, which then decides between records of one id; without it
    /// the offset does.
    ///
    /// # Errors
    /// The dead letter, with stage `decode`, a stable code (see [`Code`]) and the bytes as received.
    #[allow(clippy::result_large_err)] // the record in the good case is larger still
    pub fn decode(
        &self,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        names: &Names,
    ) -> Result<(Record, Option<u64>), DeadLetter> {
        self.try_decode(key, payload, names).map_err(|fault| {
            let bytes = payload.unwrap_or_default();
            let oversized = fault.code == Code::TooLarge;
            let kept = if oversized {
                &bytes[..bytes.len().min(KEPT_OF_OVERSIZED)]
            } else {
                bytes
            };
            fault
                .or_about(|| build::readable_key(key, self))
                .into_dead_letter(key, kept)
        })
    }

    /// Decodes one value of a source partition into an envelope; a value that cannot be accepted, or a post that is
    /// older than anything the engine still keeps, becomes a dead letter in its place.
    pub fn envelope(
        &self,
        at: (SourceId, u32, u64),
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        context: &SourceContext,
    ) -> Envelope {
        self.redecode(
            at,
            key,
            payload,
            &context.names,
            context.horizon.load(Ordering::Acquire),
        )
    }

    /// The dead letter for a value of `total` bytes of which only the `head` was kept.
    pub fn too_large(&self, key: Option<&[u8]>, head: &[u8], total: u64) -> DeadLetter {
        let head = &head[..head.len().min(KEPT_OF_OVERSIZED)];
        self.oversized(total)
            .or_about(|| build::readable_key(key, self))
            .into_dead_letter(key, head)
    }

    fn oversized(&self, total: u64) -> Fault {
        let limit = self.spec.max_bytes;
        let message = format!(
            "the record is {total} bytes long, allowed are {limit}; the payload kept here is cut to {KEPT_OF_OVERSIZED} bytes"
        );
        Fault::new(Code::TooLarge, message)
    }

    fn try_decode(
        &self,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        names: &Names,
    ) -> Result<(Record, Option<u64>), Fault> {
        let Some(payload) = payload else {
            return build::Builder::new(self, key, names).tombstone();
        };
        if payload.len() > self.spec.max_bytes {
            return Err(self.oversized(payload.len() as u64));
        }
        let text = self.text(payload)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut found = fields::read(text, &self.plan)?;
        let built = build::Builder::new(self, key, names).record(&mut found);
        built.map_err(|fault| fault.about(build::readable_id(&found, self)))
    }

    /// A payload as JSON text.
    fn text<'p>(&self, payload: &'p [u8]) -> Result<Cow<'p, str>, Fault> {
        if let Some(registry) = &self.registry {
            return registry.json(payload, self.most_text()).map(Cow::Owned);
        }
        match std::str::from_utf8(payload) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(e) => fault(Code::InvalidUtf8, format!("invalid UTF-8 at byte {}", e.valid_up_to())),
        }
    }

    /// A record's key as text: as it is, or, where a serializer with schemas wrote it, the text, the whole number or the id
    /// field that it holds.
    fn key_text<'k>(&self, key: &'k [u8]) -> Result<Cow<'k, str>, Fault> {
        let Some(registry) = self.registry.as_ref().filter(|_| key.first() == Some(&0)) else {
            return match std::str::from_utf8(key) {
                Ok(key) => Ok(Cow::Borrowed(key)),
                Err(_) => fault(Code::InvalidUtf8, "the key is not UTF-8"),
            };
        };
        let text = registry.json(key, self.most_text())?;
        let id = match text.starts_with('{') {
            true => build::id_in(&fields::read(&text, &self.plan)?, self)?,
            false => value::id_text("key", &text)?.into_owned(),
        };
        Ok(Cow::Owned(id))
    }

    /// How long a value may become as JSON: names that a schema spares it come back.
    fn most_text(&self) -> usize {
        self.spec.max_bytes.saturating_mul(16)
    }
}

impl Redecode for Decoder {
    fn prepare(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), String> {
        let Some(registry) = &self.registry else { return Ok(()) };
        registry.prepare(key, value).map_err(|error| error.with_hint())
    }

    fn redecode(
        &self,
        (source, partition, offset): (SourceId, u32, u64),
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        names: &Names,
        horizon: i64,
    ) -> Envelope {
        let (record, version) = match self.decode(key, payload, names) {
            Ok((Record::Post(post), _)) if post.created_at < horizon => (late(post, horizon, key, payload), None),
            Ok(decoded) => decoded,
            Err(dead) => (Record::Dead(dead), None),
        };
        Envelope {
            source,
            partition,
            offset,
            order: version.unwrap_or(offset),
            record,
        }
    }
}
