//! What can be wrong between us and a cluster, and what to do next.

use groundswell_core::source::SourceError;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::time::Duration;

/// Why a topic cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// Nobody answers.
    #[error("no broker answers at {brokers} after {waited:?}: {reason}")]
    Unreachable {
        /// As configured.
        brokers: String,
        /// How long we tried.
        waited: Duration,
        /// The last thing that went wrong.
        reason: String,
    },
    /// User, password or token are refused.
    #[error("the brokers at {brokers} refuse the credentials: {reason}")]
    Credentials {
        /// As configured.
        brokers: String,
        /// What the broker says.
        reason: String,
    },
    /// TLS fails.
    #[error("no TLS connection to {brokers}: {reason}")]
    Tls {
        /// As configured.
        brokers: String,
        /// What OpenSSL says.
        reason: String,
    },
    /// The topic does not exist.
    #[error("there is no topic \"{topic}\" at {brokers}")]
    MissingTopic {
        /// As configured.
        brokers: String,
        /// The topic.
        topic: String,
        /// Whether it was there before.
        before: bool,
    },
    /// An ACL is missing.
    #[error("no right to {doing} {on}")]
    Rights {
        /// What was tried: `read`, `write to`, …
        doing: &'static str,
        /// `topic "x"`, `transactional id "y"`, …
        on: String,
    },
    /// Partitions that were read before are gone.
    #[error("topic \"{topic}\" has {now} partitions, but partition {partition} was read up to offset {offset} before")]
    Shrunk {
        /// The topic.
        topic: String,
        /// Partitions now.
        now: usize,
        /// The missing one.
        partition: u32,
        /// How far it was read.
        offset: u64,
    },
    /// Records were removed before they were read.
    #[error(
        "{} records of topic \"{topic}\", partition {partition}, are gone: the next to read is offset {next}, the first there is {low}",
        low.saturating_sub(*next)
    )]
    Gap {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Where to continue.
        next: u64,
        /// The first offset there is.
        low: u64,
    },
    /// The log is shorter than what was read from it.
    #[error(
        "topic \"{topic}\", partition {partition}, ends at offset {high}, but was read up to {next}: it was made anew or cut"
    )]
    Recreated {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Where to continue.
        next: u64,
        /// The end of the log.
        high: u64,
    },
    /// A start offset for a partition that does not exist.
    #[error("`start` names partition {partition}, but topic \"{topic}\" has {count}")]
    NoSuchPartition {
        /// The topic.
        topic: String,
        /// As configured.
        partition: u32,
        /// Partitions there are.
        count: usize,
    },
    /// librdkafka does not take a property.
    #[error("property \"{name}\": {problem}")]
    Property {
        /// Its name; the value may be a secret.
        name: String,
        /// Why not.
        problem: String,
    },
    /// Another process writes under the same transactional id.
    #[error("another process has taken over as \"{id}\"; this one writes nothing any more")]
    Fenced {
        /// The transactional id.
        id: String,
    },
    /// The progress topic holds something else.
    #[error("topic \"{topic}\" is to hold this sink's progress, but offset {offset} of it does not: {problem}")]
    NotProgress {
        /// The topic.
        topic: String,
        /// Which record.
        offset: i64,
        /// What is wrong with it.
        problem: String,
    },
    /// A record is larger than the topic takes.
    #[error("topic \"{topic}\" takes no record of {bytes} bytes")]
    TooLarge {
        /// The topic.
        topic: String,
        /// The record with its headers.
        bytes: usize,
    },
    /// Anything else.
    #[error("cannot {doing}: {reason}")]
    Failed {
        /// What was tried.
        doing: String,
        /// What happened.
        reason: String,
    },
}

impl KafkaError {
    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            KafkaError::Unreachable { .. } => {
                "check `brokers` (host:port, those of the right listener) and that they are up"
            }
            KafkaError::Credentials { .. } => {
                "check sasl.mechanism, sasl.username and sasl.password under `properties`; they must be those of this listener"
            }
            KafkaError::Tls { .. } => {
                "check that `brokers` are those of a TLS listener (a plaintext one ends the handshake), by the names in their certificates, and ssl.ca.location under `properties`"
            }
            KafkaError::MissingTopic { before: true, .. } => {
                "it was deleted; if it is made anew, give the source a new name so that it starts over"
            }
            KafkaError::MissingTopic { .. } => "create it, or check `topic` for a typing error",
            KafkaError::Rights { .. } => "ask for an ACL that allows it (kafka-acls --add)",
            KafkaError::Shrunk { .. } => {
                "Kafka never removes partitions, so this is another topic: point the source back, or give it a new name to start over"
            }
            KafkaError::Gap { .. } => {
                "retention removed them: restore them, or set `on_gap: earliest` to go on without them"
            }
            KafkaError::Recreated { .. } => {
                "give the source a new name so that it starts over with the topic as it is now"
            }
            KafkaError::NoSuchPartition { .. } => "name only partitions there are",
            KafkaError::Property { .. } => "see librdkafka's CONFIGURATION.md for names and values",
            KafkaError::Fenced { .. } => "stop one of the two, or give them different names or `transactional_id`s",
            KafkaError::NotProgress { .. } => "set `progress_topic` to a topic of this sink's own",
            KafkaError::TooLarge { .. } => "raise max.message.bytes of the topic (kafka-configs --alter)",
            KafkaError::Failed { .. } => return None,
        })
    }

    /// Whether nobody answered in time, so that trying again later may help.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, KafkaError::Unreachable { .. })
    }

    /// The error with what to do next.
    pub fn with_hint(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{self} ({hint})"),
            None => self.to_string(),
        }
    }

    /// The same as a source's error.
    pub(super) fn of_source(&self, name: &str) -> SourceError {
        SourceError {
            source_name: name.to_owned(),
            message: self.to_string(),
            hint: self.hint().map(str::to_owned),
        }
    }

    pub(super) fn failed(doing: impl Into<String>, error: &ClientError) -> Self {
        let reason = match error {
            ClientError::Transaction(error) => error.string(),
            other => other.to_string(),
        };
        KafkaError::Failed {
            doing: doing.into(),
            reason,
        }
    }
}

/// Whether the code says that an ACL is missing, and for what.
pub(super) fn rights(code: Code, doing: &'static str, topic: &str, group: &str) -> Option<KafkaError> {
    let on = match code {
        Code::TopicAuthorizationFailed => format!("topic \"{topic}\""),
        Code::GroupAuthorizationFailed => format!("group \"{group}\""),
        Code::TransactionalIdAuthorizationFailed => format!("transactional id \"{group}\""),
        Code::ClusterAuthorizationFailed => "the cluster".to_owned(),
        _ => return None,
    };
    Some(KafkaError::Rights { doing, on })
}
