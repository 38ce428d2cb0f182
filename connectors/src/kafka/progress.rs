//! How far a sink has written, as the topic beside its records tells.
//!
//! In: a compacted topic of one partition that only this sink writes, always in the transaction of the records it is about.
//! Out: the last committed [`Progress`]. Reading begins near the end and goes back until a record is found, so it does not
//! depend on how far compaction is.

use super::client::{Cluster, Reporter};
use super::error::KafkaError;
use groundswell_core::time::Tick;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one question waits for its answer.
const QUESTION: Duration = Duration::from_secs(5);
/// Offsets before the end that are read first; the last record is nearly always among them.
const TAIL: i64 = 256;

/// What a sink has committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// All changes up to this tick are in the topic.
    pub upper: Option<Tick>,
    /// Who wrote it: a name that every start makes up anew.
    pub instance: String,
}

/// Settings of the progress topic: records are superseded at once, so keep what has to be read and compacted small.
pub(super) fn config() -> BTreeMap<String, String> {
    let settings = [
        (super::topics::POLICY, "compact"),
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A consumer for [`read`]; asks nobody for its positions.
pub(super) fn consumer(cluster: &Cluster, id: &str) -> Result<BaseConsumer<Reporter>, KafkaError> {
    let config = cluster.config(
        &[("fetch.wait.max.ms", "50")],
        &[
            ("group.id", id),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
        ],
    );
    let reporter = Reporter::new(format!("progress of {id}"));
    config
        .create_with_context(reporter)
        .map_err(|e| cluster.refused("make a consumer", &e))
}

/// Reads the progress of the sink `id`; `None` if it never wrote any.
///
/// # Errors
/// [`KafkaError::NotProgress`] if the topic holds anything else, or if it cannot be read in time.
pub(super) fn read(
    cluster: &Cluster,
    consumer: &BaseConsumer<Reporter>,
    topic: &str,
    id: &str,
) -> Result<Option<Progress>, KafkaError> {
    let failed = |e: ClientError| {
        let known = e
            .rdkafka_error_code()
            .and_then(|code| super::error::rights(code, "read", topic, id));
        known.unwrap_or_else(|| KafkaError::failed(format!("read topic \"{topic}\""), &e))
    };
    let (low, high) = consumer.fetch_watermarks(topic, 0, QUESTION).map_err(failed)?;
    let mut window = TAIL;
    loop {
        let from = low.max(high.saturating_sub(window));
        let found = scan(cluster, consumer, topic, id, from, high).map_err(|e| match e {
            Scan::Client(e) => failed(e),
            Scan::Named(e) => e,
        })?;
        if found.is_some() || from == low {
            return Ok(found);
        }
        window = window.saturating_mul(16);
    }
}

enum Scan {
    Client(ClientError),
    Named(KafkaError),
}

impl From<ClientError> for Scan {
    fn from(error: ClientError) -> Self {
        Scan::Client(error)
    }
}

/// The last progress between two offsets.
fn scan(
    cluster: &Cluster,
    consumer: &BaseConsumer<Reporter>,
    topic: &str,
    id: &str,
    from: i64,
    high: i64,
) -> Result<Option<Progress>, Scan> {
    let mut found = None;
    if from >= high {
        return Ok(found);
    }
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, 0, Offset::Offset(from))?;
    consumer.assign(&list)?;
    let end = Instant::now() + cluster.patience.max(QUESTION);
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let not = |problem: String| {
                    Scan::Named(KafkaError::NotProgress {
                        topic: topic.to_owned(),
                        offset: message.offset(),
                        problem,
                    })
                };
                match message.key() {
                    Some(key) if key == id.as_bytes() => {}
                    key => {
                        let key = key.map(String::from_utf8_lossy);
                        return Err(not(format!("its key is {key:?}, not \"{id}\"")));
                    }
                }
                let value = message.payload().unwrap_or_default();
                found = Some(serde_json::from_slice(value).map_err(|e| not(e.to_string()))?);
                if message.offset() + 1 >= high {
                    break;
                }
            }
            // What follows the last record are ends of transactions.
            Some(Err(ClientError::PartitionEOF(_))) => break,
            Some(Err(error)) => tracing::debug!(%error, topic, "trouble while reading progress"),
            None => {}
        }
        if Instant::now() > end {
            let nobody = ClientError::MessageConsumption(rdkafka::types::RDKafkaErrorCode::OperationTimedOut);
            return Err(Scan::Client(nobody));
        }
    }
    consumer.unassign()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_as_it_was_written() {
        for upper in [None, Some(1_763_000_000_000)] {
            let progress = Progress {
                upper,
                instance: "a1".into(),
            };
            let text = serde_json::to_string(&progress).expect("text");
            assert_eq!(serde_json::from_str::<Progress>(&text).expect("read"), progress);
        }
        assert!(serde_json::from_str::<Progress>("{\"id\":\"t1_a\"}").is_err());
    }
}
