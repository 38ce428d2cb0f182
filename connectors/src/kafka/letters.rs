//! The letters in a topic, as far as they are committed.
//!
//! In: the topic of a dead-letter sink. Out: its records as letters, from the beginning of every partition to where its end
//! was when reading began or a little later. Nothing is committed to a group.

use super::client::{self, Cluster, Reporter};
use super::error::{KafkaError, rights};
use super::{
    CODE, ENGINE_VERSION, MESSAGE, MODEL, OFFSET, PARTITION, RECORD_ID, SOURCE, STAGE, TICK, TIMESTAMP, TOPIC,
};
use crate::dlq::{ATTEMPT, Letter, Letters, LettersError, OURS};
use groundswell_core::record::{Header, HeaderValue};
use groundswell_core::source::StopFlag;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Nobody's positions are kept under it.
const GROUP: &str = "groundswell-dlq";

/// Reads the committed records of a dead-letter topic.
pub struct KafkaLetters {
    cluster: Cluster,
    topic: String,
}

impl KafkaLetters {
    /// The letters of a topic.
    pub fn new(cluster: Cluster, topic: impl Into<String>) -> Self {
        KafkaLetters {
            cluster,
            topic: topic.into(),
        }
    }

    fn consumer(&self) -> Result<BaseConsumer<Reporter>, KafkaError> {
        let config = self.cluster.config(
            &[("fetch.wait.max.ms", "50"), ("queued.max.messages.kbytes", "65536")],
            &[
                ("group.id", GROUP),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "earliest"),
                ("isolation.level", "read_committed"),
                ("enable.partition.eof", "true"),
            ],
        );
        config
            .create_with_context(Reporter::new("dead letters"))
            .map_err(|e| self.cluster.refused("make a consumer", &e))
    }

    fn failed(&self, error: &ClientError) -> KafkaError {
        let named = error
            .rdkafka_error_code()
            .and_then(|code| rights(code, "read", &self.topic, GROUP));
        named.unwrap_or_else(|| KafkaError::failed(format!("read topic \"{}\"", self.topic), error))
    }

    fn read_all(&self, each: &mut dyn FnMut(Letter) -> ControlFlow<()>) -> Result<Option<String>, KafkaError> {
        let consumer = self.consumer()?;
        let found = client::partitions(&self.cluster, &consumer, &self.topic, &StopFlag::default())?;
        let mut unread: BTreeSet<i32> = found
            .into_iter()
            .flatten()
            .filter_map(|p| i32::try_from(p).ok())
            .collect();
        let mut list = TopicPartitionList::with_capacity(unread.len());
        for partition in &unread {
            list.add_partition_offset(&self.topic, *partition, Offset::Beginning)
                .map_err(|e| self.failed(&e))?;
        }
        consumer.assign(&list).map_err(|e| self.failed(&e))?;
        let mut heard = Instant::now();
        while !unread.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    match letter(&message) {
                        Ok(letter) => {
                            if each(letter).is_break() {
                                return Ok(None);
                            }
                        }
                        Err(why) => {
                            let (topic, partition) = (&self.topic, message.partition());
                            return Ok(Some(format!(
                                "topic \"{topic}\", partition {partition}, offset {}: {why}; is this the topic of a sink of dead \
                                 letters?",
                                message.offset()
                            )));
                        }
                    }
                }
                Some(Err(ClientError::PartitionEOF(partition))) => {
                    heard = Instant::now();
                    unread.remove(&partition);
                }
                Some(Err(error)) => {
                    if let Some(hopeless) = self.cluster.hopeless(consumer.context()) {
                        return Err(hopeless);
                    }
                    let code = error.rdkafka_error_code();
                    if let Some(refused) = code.and_then(|code| rights(code, "read", &self.topic, GROUP)) {
                        return Err(refused);
                    }
                    tracing::debug!(%error, topic = self.topic, "trouble while reading dead letters");
                }
                None => {}
            }
            if heard.elapsed() > self.cluster.patience {
                let silent = ClientError::MessageConsumption(rdkafka::types::RDKafkaErrorCode::OperationTimedOut);
                return Err(self.cluster.unreachable(consumer.context(), &silent));
            }
        }
        Ok(None)
    }
}

impl Letters for KafkaLetters {
    fn read(&mut self, each: &mut dyn FnMut(Letter) -> ControlFlow<()>) -> Result<(), LettersError> {
        match self.read_all(each) {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(LettersError::new(why)),
            Err(error) => Err(LettersError {
                unreachable: error.is_unreachable(),
                message: error.with_hint(),
            }),
        }
    }
}

/// A record as a letter.
fn letter(message: &BorrowedMessage<'_>) -> Result<Letter, String> {
    let mut letter = Letter {
        key: message.key().unwrap_or_default().to_vec(),
        payload: message.payload().unwrap_or_default().to_vec(),
        attempt: 1,
        ..Letter::default()
    };
    let mut seen = BTreeSet::new();
    for header in message.headers().map(|h| h.iter()).into_iter().flatten() {
        if !header.key.starts_with(OURS) {
            letter.headers.push(Header {
                name: header.key.to_owned(),
                value: header.value.map(HeaderValue::from),
            });
            continue;
        }
        let text = std::str::from_utf8(header.value.unwrap_or_default());
        let text = text.map_err(|_| format!("the header {} is not UTF-8", header.key))?;
        let not = |_| format!("the header {} is \"{text}\", not a number", header.key);
        let owned = || text.to_owned();
        seen.insert(header.key.to_owned());
        match header.key {
            STAGE => letter.stage = owned(),
            CODE => letter.code = owned(),
            MESSAGE => letter.message = owned(),
            RECORD_ID => letter.id = Some(owned()),
            SOURCE => letter.source = owned(),
            TOPIC => letter.topic = Some(owned()),
            ENGINE_VERSION => letter.engine_version = Some(owned()),
            MODEL => letter.model = Some(owned()),
            PARTITION => letter.partition = text.parse().map_err(not)?,
            OFFSET => letter.offset = text.parse().map_err(not)?,
            TIMESTAMP => letter.written_at = Some(text.parse().map_err(not)?),
            // Counted from zero once.
            ATTEMPT => letter.attempt = text.parse::<u32>().map_err(not)?.max(1),
            TICK => letter.tick = text.parse().map_err(not)?,
            // Of a later engine.
            _ => {}
        }
    }
    match [SOURCE, PARTITION, OFFSET, STAGE, CODE]
        .into_iter()
        .find(|name| !seen.contains(*name))
    {
        None => Ok(letter),
        Some(missing) => Err(format!("it has no header {missing}")),
    }
}
