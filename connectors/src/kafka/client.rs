//! Connections: what every client of a cluster is configured with, and what it hears about trouble.
//!
//! In: addresses and librdkafka properties. Out: client configurations, and a [`Reporter`] that keeps the last thing a
//! client complained about, so that "timed out" can be said with its reason. Values of properties are never logged.

use super::error::{KafkaError, rights};
use groundswell_core::source::StopFlag;
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one question waits for its answer; the whole waits for several.
const QUESTION: Duration = Duration::from_secs(2);
/// Events that may lie before the one that says why nobody answers.
const EVENTS: usize = 64;
/// How long a topic that was just made may stay unknown to a broker.
pub(super) const PROPAGATION: Duration = Duration::from_secs(3);

/// Properties that decide about exactness, and what to use in their place.
const OURS: [(&str, &str); 12] = [
    ("bootstrap.servers", "use `brokers`"),
    ("metadata.broker.list", "use `brokers`"),
    ("group.id", "use `group`"),
    ("transactional.id", "use `transactional_id`"),
    ("auto.offset.reset", "use `start` and `on_gap`"),
    ("enable.auto.commit", "positions are in the engine's record"),
    ("enable.auto.offset.store", "positions are in the engine's record"),
    ("enable.partition.eof", "the source needs it to know its lag"),
    ("isolation.level", "only committed records are read"),
    ("enable.idempotence", "transactions need it"),
    ("acks", "transactions need all"),
    ("partitioner", "keys go where other clients expect them"),
];

/// A cluster and how to talk to it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Cluster {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// librdkafka properties, passed on as they are; may hold secrets.
    pub properties: BTreeMap<String, String>,
    /// How long a start waits for a broker that does not answer.
    pub patience: Duration,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Names only: values may be passwords.
        f.debug_struct("Cluster")
            .field("brokers", &self.brokers)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .field("patience", &self.patience)
            .finish()
    }
}

impl Cluster {
    /// A cluster without credentials.
    pub fn new(brokers: impl Into<String>) -> Self {
        Cluster {
            brokers: brokers.into(),
            properties: BTreeMap::new(),
            patience: Duration::from_secs(30),
        }
    }

    /// A client's configuration: defaults, then the user's properties, then what must be as it is.
    pub(super) fn config(&self, defaults: &[(&str, &str)], must: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "groundswell");
        // An idle connection that the broker closes is no news.
        config.set("log.connection.close", "false");
        config.set("socket.keepalive.enable", "true");
        config.set("reconnect.backoff.max.ms", "2000");
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        for (name, value) in must {
            config.set(*name, *value);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// What a client that cannot be made is refused for.
    pub(super) fn refused(&self, doing: &str, error: &ClientError) -> KafkaError {
        match error {
            ClientError::ClientConfig(_, problem, name, _) => KafkaError::Property {
                name: name.clone(),
                problem: problem.clone(),
            },
            other => KafkaError::failed(doing, other),
        }
    }

    /// The trouble that a client has with its brokers, if it has any that waiting does not mend.
    pub(super) fn hopeless(&self, reporter: &Reporter) -> Option<KafkaError> {
        let (code, reason) = reporter.last()?;
        let brokers = self.brokers.clone();
        match code {
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
                Some(KafkaError::Credentials { brokers, reason })
            }
            Code::SSL => Some(KafkaError::Tls { brokers, reason }),
            _ => None,
        }
    }

    pub(super) fn unreachable(&self, reporter: &Reporter, error: &ClientError) -> KafkaError {
        let (brokers, last) = (self.brokers.clone(), reporter.last());
        let reason = last.map_or_else(|| error.to_string(), |(_, reason)| reason);
        // A listener without TLS may just hang up, which librdkafka does not tell from a broker that goes away.
        if reason.contains("SSL_HANDSHAKE") {
            return KafkaError::Tls { brokers, reason };
        }
        KafkaError::Unreachable {
            brokers,
            waited: self.patience,
            reason,
        }
    }
}

/// Checks names and values of properties, as far as that goes without a broker.
///
/// # Errors
/// [`KafkaError::Property`], without the value.
pub fn check_properties(properties: &BTreeMap<String, String>) -> Result<(), KafkaError> {
    for (name, value) in properties {
        let refused = |problem: String| KafkaError::Property {
            name: name.clone(),
            problem,
        };
        if let Some((_, instead)) = OURS.iter().find(|(ours, _)| ours == name) {
            return Err(refused(format!("it is set by the engine: {instead}")));
        }
        let mut config = ClientConfig::new();
        config.set(name, value);
        match config.create_native_config() {
            Ok(_) => {}
            Err(ClientError::ClientConfig(_, problem, ..)) => return Err(refused(problem)),
            Err(other) => return Err(refused(other.to_string())),
        }
    }
    Ok(())
}

/// Listens to a client: its log goes to ours, its last complaint is kept.
pub(super) struct Reporter {
    label: String,
    last: Mutex<Option<(Code, String)>>,
    /// The newest statistics, until somebody takes them.
    statistics: Mutex<Option<Statistics>>,
    commit_refused: Mutex<bool>,
    /// Why a record was not delivered.
    delivery: Mutex<Option<(Code, String)>>,
}

impl Reporter {
    pub fn new(label: impl Into<String>) -> Self {
        Reporter {
            label: label.into(),
            last: Mutex::default(),
            statistics: Mutex::default(),
            commit_refused: Mutex::default(),
            delivery: Mutex::default(),
        }
    }

    pub fn last(&self) -> Option<(Code, String)> {
        self.last.lock().clone()
    }

    /// Why the first record was not delivered, since this was asked last.
    pub fn take_delivery(&self) -> Option<(Code, String)> {
        self.delivery.lock().take()
    }

    pub fn take_statistics(&self) -> Option<Statistics> {
        self.statistics.lock().take()
    }
}

impl ClientContext for Reporter {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters comes as an error as well; the log would repeat it at every try.
        tracing::debug!(client = self.label, ?level, facility, "{message}");
    }

    fn stats(&self, statistics: Statistics) {
        *self.statistics.lock() = Some(statistics);
    }

    fn error(&self, error: ClientError, reason: &str) {
        // The end of a partition is asked for, and is no trouble.
        let Some(code) = error.rdkafka_error_code().filter(|code| *code != Code::PartitionEOF) else {
            return;
        };
        let mut last = self.last.lock();
        // "All brokers are down" follows the reason and says less.
        if code == Code::AllBrokersDown && last.is_some() {
            return;
        }
        if last.as_ref().is_none_or(|(before, _)| *before != code) {
            tracing::warn!(client = self.label, %reason, "trouble with a broker");
        }
        *last = Some((code, reason.to_owned()));
    }
}

impl ConsumerContext for Reporter {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        let mut refused = self.commit_refused.lock();
        if let Err(error) = result
            && !std::mem::replace(&mut *refused, true)
        {
            tracing::warn!(client = self.label, %error, "the group's offsets cannot be committed; reading goes on, lag tools will not see it");
        }
    }
}

impl ProducerContext for Reporter {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result
            && let Some(code) = error.rdkafka_error_code()
        {
            // Once a record of a transaction has failed, the rest is purged: the first reason stands.
            if !matches!(code, Code::PurgeQueue | Code::PurgeInflight) {
                self.delivery.lock().get_or_insert((code, error.to_string()));
            }
        }
    }
}

/// Asks for a topic's partitions until somebody answers; `None` if asked to stop meanwhile.
pub(super) fn partitions(
    cluster: &Cluster,
    consumer: &BaseConsumer<Reporter>,
    topic: &str,
    stop: &StopFlag,
) -> Result<Option<Vec<u32>>, KafkaError> {
    look(cluster, consumer, topic, stop, PROPAGATION)
}

/// The same, taking the first "no such topic" after `propagation` for an answer.
pub(super) fn look(
    cluster: &Cluster,
    consumer: &BaseConsumer<Reporter>,
    topic: &str,
    stop: &StopFlag,
    propagation: Duration,
) -> Result<Option<Vec<u32>>, KafkaError> {
    let began = Instant::now();
    loop {
        if stop.is_set() {
            return Ok(None);
        }
        let answer = consumer.fetch_metadata(Some(topic), QUESTION.min(cluster.patience));
        if answer.is_err() {
            // Errors of the connection are told by polling only, one at a time.
            for _ in 0..EVENTS {
                drop(consumer.poll(Duration::ZERO));
            }
        }
        let error = match answer {
            Ok(metadata) => match known(&metadata, topic) {
                Ok(partitions) => return Ok(Some(partitions)),
                Err(Code::UnknownTopicOrPartition) if began.elapsed() >= propagation.min(cluster.patience) => {
                    return Err(KafkaError::MissingTopic {
                        brokers: cluster.brokers.clone(),
                        topic: topic.to_owned(),
                        before: false,
                    });
                }
                Err(code) => match rights(code, "read", topic, "") {
                    Some(error) => return Err(error),
                    None => ClientError::MetadataFetch(code),
                },
            },
            Err(error) => error,
        };
        if let Some(error) = cluster.hopeless(consumer.context()) {
            return Err(error);
        }
        if began.elapsed() >= cluster.patience {
            return Err(cluster.unreachable(consumer.context(), &error));
        }
        stop.sleep(Duration::from_millis(100));
    }
}

/// A topic's partitions in an answer, ascending.
pub(super) fn known(metadata: &rdkafka::metadata::Metadata, topic: &str) -> Result<Vec<u32>, Code> {
    let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else {
        return Err(Code::UnknownTopicOrPartition);
    };
    if let Some(error) = found.error() {
        return Err(error.into());
    }
    let mut partitions: Vec<u32> = found
        .partitions()
        .iter()
        .filter_map(|p| u32::try_from(p.id()).ok())
        .collect();
    partitions.sort_unstable();
    match partitions.is_empty() {
        true => Err(Code::LeaderNotAvailable),
        false => Ok(partitions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn properties_are_checked_without_showing_their_values() {
        assert_eq!(
            check_properties(&properties(&[("sasl.mechanism", "SCRAM-SHA-512")])),
            Ok(())
        );
        let wrong = check_properties(&properties(&[("sasl.pasword", "hush")])).expect_err("no such property");
        assert!(
            wrong.to_string().contains("sasl.pasword") && !wrong.to_string().contains("hush"),
            "{wrong}"
        );
        let value = check_properties(&properties(&[("fetch.max.bytes", "many")])).expect_err("not a number");
        assert!(value.to_string().contains("fetch.max.bytes"), "{value}");
        let ours = check_properties(&properties(&[("isolation.level", "read_uncommitted")])).expect_err("ours");
        assert!(ours.with_hint().contains("set by the engine"), "{ours}");
        let secret = Cluster {
            properties: properties(&[("sasl.password", "hush")]),
            ..Cluster::new("here:9092")
        };
        assert!(!format!("{secret:?}").contains("hush"));
    }

    #[test]
    fn librdkafka_was_built_with_all_that_is_promised() {
        let config = ClientConfig::new().create_native_config().expect("defaults");
        let features = config.get("builtin.features").expect("known");
        for feature in [
            "ssl",
            "sasl_plain",
            "sasl_scram",
            "sasl_oauthbearer",
            "oidc",
            "lz4",
            "zstd",
            "snappy",
            "gzip",
        ] {
            assert!(
                features.split(',').any(|f| f == feature),
                "{feature} is not in {features}"
            );
        }
    }
}
