//! A made-up live stream: the talent show "Starlight Stage" as its viewers discuss it on four platforms.
//!
//! In: a specification with a seed. Out: JSON events (posts, votes, threads, the dictionary, and some garbage), which go
//! through the same decoder as everybody else's. It contains what a real stream does to an engine: votes hidden, then
//! revealed, revised up and down, stale, or ahead of their post; edits; deletions; redeliveries, also of old versions;
//! late posts and skewed clocks; reply trees; bursts; and brigades, hundreds of near-identical posts with pumped votes
//! that are later taken down.
//!
//! The stream is a function of the specification and the position in it; what happened to event `k` can be told again
//! from the seed. A resumed generator repeats the stream silently up to its position and goes on from there.

mod cast;
mod dice;
mod event;
mod garbage;
mod phrases;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod text;

use crate::decode::{Collection, DecoderSpec, FieldMap};
use crate::pace::{Clock, WallClock};
use groundswell_core::record::Entity;

pub use cast::entities;
pub use event::RawEvent;

/// When a generated stream takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Now; the times of events are wall-clock times.
    Live,
    /// From this moment (epoch ms) on.
    At(i64),
}

/// How fast a generated stream is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Each event at its time.
    Real,
    /// As fast as the engine takes it.
    Full,
}

/// Moments in which everybody talks at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Distance from one burst to the next (ms).
    pub every_ms: u32,
    /// How long it lasts (ms).
    pub length_ms: u32,
    /// How many times more posts there are.
    pub factor: u32,
}

/// Coordinated campaigns against one entity: posts for 3 s, votes pumped from second 2 on, nearly all taken down from
/// second 8 to 11, while its fans answer from second 7 to 13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brigades {
    /// When the first starts (ms into the stream).
    pub first_ms: u32,
    /// Distance from one to the next (ms).
    pub every_ms: u32,
    /// Posts of each.
    pub posts: u32,
}

/// What is generated.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorSpec {
    /// Decides everything that looks random.
    pub seed: u64,
    /// New posts per minute, bursts and brigades not counted.
    pub posts_per_minute: u32,
    /// Bursts, if any.
    pub burst: Option<Burst>,
    /// Brigades, if any.
    pub brigades: Option<Brigades>,
    /// Broken records per million posts.
    pub garbage_ppm: u32,
    /// When it takes place.
    pub start: Start,
    /// How fast it is sent.
    pub pace: Rate,
    /// Whom posts are about; the built-in dictionary (see [`entities`]) if empty.
    pub entities: Vec<Entity>,
    /// Whether the dictionary itself is sent first.
    pub send_entities: bool,
    /// Ends after this many events.
    pub limit: Option<u64>,
}

impl Default for GeneratorSpec {
    fn default() -> Self {
        GeneratorSpec {
            seed: 1,
            posts_per_minute: 900,
            burst: Some(Burst {
                every_ms: 20_000,
                length_ms: 3_000,
                factor: 3,
            }),
            brigades: Some(Brigades {
                first_ms: 4_000,
                every_ms: 60_000,
                posts: 200,
            }),
            garbage_ppm: 2_000,
            start: Start::Live,
            pace: Rate::Real,
            entities: Vec::new(),
            send_entities: true,
            limit: None,
        }
    }
}

/// The generator as a source.
///
/// Its position is binding 0 (the next event's number). A live stream also binds when it took place: the pairs of
/// bindings (1, 2), (3, 4), … are event numbers and the epoch milliseconds at which the stream's time was zero from that
/// event on; a new pair is added when it resumes after an interruption.
#[derive(Debug)]
pub struct Generator<C: Clock = WallClock> {
    name: String,
    spec: GeneratorSpec,
    clock: C,
}

impl Generator {
    /// A source of this stream.
    pub fn new(name: impl Into<String>, spec: GeneratorSpec) -> Self {
        Generator::with_clock(name, spec, WallClock::default())
    }

    /// The first `n` events of the default stream with this seed, dated from 2026-01-01 on.
    pub fn iter(seed: u64, n: usize) -> impl Iterator<Item = RawEvent> {
        let start = Start::At(1_767_225_600_000);
        Generator::events(GeneratorSpec {
            seed,
            start,
            ..GeneratorSpec::default()
        })
        .take(n)
    }

    /// The events of a stream, from its first on. A live one takes place now.
    pub fn events(spec: GeneratorSpec) -> impl Iterator<Item = RawEvent> {
        let limit = spec
            .limit
            .map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let zero = match spec.start {
            Start::At(ms) => ms,
            Start::Live => WallClock::default().wall_ms(),
        };
        stream::Stream::new(spec, vec![(0, zero)]).take(limit)
    }

    /// How the generator's events of a collection are decoded: its posts carry a `version`, so that a redelivered old one loses.
    pub fn decoder_spec(collection: Collection) -> DecoderSpec {
        let map = match collection {
            Collection::Posts => FieldMap::default().with("version", "version"),
            _ => FieldMap::default(),
        };
        DecoderSpec::new(collection).with_map(map)
    }
}

impl<C: Clock> Generator<C> {
    /// The same on another clock.
    pub fn with_clock(name: impl Into<String>, spec: GeneratorSpec, clock: C) -> Self {
        Generator {
            name: name.into(),
            spec,
            clock,
        }
    }
}
