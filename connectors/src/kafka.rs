//! Apache Kafka: topics as sources, and sinks that a `read_committed` consumer sees exactly once.
//!
//! `client` connects and tells what is wrong; `source` reads a topic into the record; `producer` and `progress` are the
//! transactional protocol, `sink` is the sinks on top of it, and `topics` creates what is missing. librdkafka does the
//! talking; nothing here knows the wire format.
//!
//! Positions of a source live in the engine's record and nowhere else; the offsets that a source commits to its group
//! follow them, for tools that show lag. Progress of a sink lives in the same transaction as its records.

mod client;
mod error;
mod letters;
mod producer;
mod progress;
mod sink;
mod source;
mod topics;

pub use client::{Cluster, check_properties};
pub use error::KafkaError;
pub use letters::KafkaLetters;
pub use producer::{Step, StepHook};
pub use sink::{KafkaSink, KafkaSinkSpec};
pub use source::{KafkaSource, KafkaSourceSpec, OnGap, Share, Start};

/// Headers of a dead letter, besides [`crate::dlq`]'s count of attempts.
macro_rules! headers {
    ($($name:ident = $text:literal),+ $(,)?) => { $(pub(crate) const $name: &str = concat!("groundswell-", $text);)+ };
}
headers!(
    STAGE = "stage",
    CODE = "code",
    MESSAGE = "message",
    RECORD_ID = "record-id",
    SOURCE = "source",
    TOPIC = "topic",
    PARTITION = "partition",
    OFFSET = "offset",
    TIMESTAMP = "timestamp",
    ENGINE_VERSION = "engine-version",
    MODEL = "model",
    TICK = "tick",
);
