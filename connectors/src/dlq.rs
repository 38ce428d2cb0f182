//! Dead letters outside the engine: what every sink says about one, reading it back, and giving it to the engine again.
//!
//! In: dead letters of complete ticks. Out: [`Facts`], which the file, the topic and the table of a pipeline write in their
//! own form, and [`Letter`], which all three are read back into through [`Letters`]. `filter` picks letters, `replay` is
//! what is asked of a running engine and what it answers. No state, no I/O: the readers are beside their sinks
//! (`sink_file/letters.rs`, `kafka/letters.rs`, `postgres/letters.rs`).

mod filter;
mod letter;
mod replay;

pub use filter::{Filter, Since};
pub use letter::{Letter, Position};
pub use replay::{ATTEMPTS, Answer, LETTERS, REQUEST_BYTES, Refusal, Replayed, Replays, Verdict};

use groundswell_core::record::{Header, HeaderValue};
use groundswell_core::serving::DeadChange;
use groundswell_core::time::{EventTime, Tick};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Begins the name of every header of ours; what a record carries under such a name is about an earlier death of it.
pub(crate) const OURS: &str = "groundswell-";
/// The header that says how often a record was tried.
pub(crate) const ATTEMPT: &str = "groundswell-attempt";
/// The engine that wrote a letter.
const ENGINE: &str = env!("CARGO_PKG_VERSION");

/// What is known about where dead letters come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Topics by the name of the source that reads them.
    pub topics: BTreeMap<String, String>,
}

/// All there is to say about a dead letter: the same in every sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Where it failed.
    pub stage: &'a str,
    /// Why, as a stable code.
    pub code: &'a str,
    /// Why, for people.
    pub message: &'a str,
    /// The source's name.
    pub source: &'a str,
    /// The topic the source reads, if it reads one.
    pub topic: Option<&'a str>,
    /// Its partition.
    pub partition: u32,
    /// Its offset in it.
    pub offset: u64,
    /// When it was written, by the source (epoch ms).
    pub written_at: Option<EventTime>,
    /// The id it would have had, if one could be read.
    pub id: Option<&'a str>,
    /// The key as received.
    pub key: &'a [u8],
    /// The bytes as received.
    pub payload: &'a [u8],
    /// The headers as received, without ours.
    pub headers: Vec<&'a Header>,
    /// The engine that could not accept it.
    pub engine_version: Option<&'a str>,
    /// The model it failed at, for the stage `score`.
    pub model: Option<String>,
    /// How often it was tried, this time included.
    pub attempt: u32,
    /// The tick it was recorded at.
    pub tick: Tick,
}

impl<'a> Facts<'a> {
    /// What there is to say about a letter of a tick.
    pub fn of(dead: &'a DeadChange, tick: Tick, origin: &'a Origin) -> Self {
        let letter = &dead.letter;
        let tried = letter.headers.iter().filter(|h| h.name == ATTEMPT).filter_map(tried);
        Facts {
            stage: &letter.stage,
            code: &letter.code,
            message: &letter.message,
            source: &dead.source,
            topic: origin.topics.get(&*dead.source).map(String::as_str),
            partition: dead.partition,
            offset: dead.offset,
            written_at: letter.written_at,
            id: letter.id.as_deref(),
            key: &letter.key,
            payload: &letter.payload,
            headers: letter.headers.iter().filter(|h| !h.name.starts_with(OURS)).collect(),
            engine_version: Some(ENGINE),
            model: letter.model.map(|model| model.to_string()),
            // A letter that somebody wrote back into its topic goes on counting.
            attempt: tried.fold(letter.replays, u32::max).saturating_add(1),
            tick,
        }
    }
}

fn tried(header: &Header) -> Option<u32> {
    let value = header.value.as_ref().map(HeaderValue::as_bytes)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Somewhere that a sink keeps its letters: one of its file, its topic, its table.
pub trait Letters {
    /// Gives every committed letter to `each`, oldest first within a partition, until there are no more or `each` has
    /// enough. May be called again, and then begins again.
    ///
    /// # Errors
    /// A message that names the place and says what to do.
    fn read(&mut self, each: &mut dyn FnMut(Letter) -> ControlFlow<()>) -> Result<(), LettersError>;
}

/// Why letters cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct LettersError {
    /// What happened, where, and what to do.
    pub message: String,
    /// Waiting may help: somebody does not answer.
    pub unreachable: bool,
}

impl LettersError {
    /// One that waiting does not mend.
    pub fn new(message: impl Into<String>) -> Self {
        LettersError {
            message: message.into(),
            unreachable: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::id::ModelKey;
    use groundswell_core::record::DeadLetter;

    fn header(name: &str, value: &[u8]) -> Header {
        Header {
            name: name.into(),
            value: Some(value.into()),
        }
    }

    fn dead(letter: DeadLetter) -> DeadChange {
        DeadChange {
            source: "posts".into(),
            partition: 3,
            offset: 9,
            letter,
        }
    }

    #[test]
    fn attempts_count_from_one_over_replays_of_any_kind() {
        let origin = Origin::default();
        let attempt = |replays, headers| {
            let letter = DeadLetter {
                replays,
                headers,
                ..DeadLetter::default()
            };
            Facts::of(&dead(letter), 5, &origin).attempt
        };
        assert_eq!(attempt(0, vec![]), 1);
        assert_eq!(attempt(2, vec![]), 3);
        assert_eq!(attempt(0, vec![header(ATTEMPT, b"2"), header("attempt", b"9")]), 3);
        assert_eq!(attempt(4, vec![header(ATTEMPT, b"2"), header(ATTEMPT, b"many")]), 5);
        assert_eq!(attempt(u32::MAX, vec![]), u32::MAX);
    }

    #[test]
    fn facts_name_topic_and_model_and_leave_our_headers_out() {
        let origin = Origin {
            topics: [("posts".to_owned(), "reddit.comments".to_owned())].into(),
        };
        let letter = DeadLetter {
            model: Some(ModelKey(0xAB)),
            headers: vec![header("trace", b"\xFE"), header("groundswell-code", b"old")],
            ..DeadLetter::default()
        };
        let (letter, mut other) = (dead(letter.clone()), dead(letter));
        other.source = "votes".into();
        let facts = Facts::of(&letter, 5, &origin);
        assert_eq!(facts.topic, Some("reddit.comments"));
        assert_eq!(facts.model.as_deref(), Some("000000000000000000000000000000ab"));
        assert_eq!(facts.engine_version, Some(env!("CARGO_PKG_VERSION")));
        let names: Vec<&str> = facts.headers.iter().map(|h| &*h.name).collect();
        assert_eq!(names, ["trace"]);
        assert_eq!(Facts::of(&other, 5, &origin).topic, None);
    }
}
