//! Sinks that write to topics: alerts, the changes of a view, keyword events, or dead letters.
//!
//! In: complete ticks. Out: one record per change, and the sink's progress in the same transaction, so that a consumer
//! that reads committed records sees each change once, however often the engine is killed ([`super::producer`]). State:
//! the progress topic. Several ticks go in one transaction when the sink lags; ticks without a record of this sink
//! move the progress alone.
//!
//! | records of | key | value | headers |
//! |---|---|---|---|
//! | alerts | alert id | the alert's JSON | `groundswell-id`, a logical id: alert, tick, state; `groundswell-tick`, `groundswell-state` |
//! | a view | group and window as canonical JSON | the row's JSON; null when the row is gone, so the topic can be compacted | `groundswell-tick` |
//! | keyword events | event id | the event's JSON; null when it is gone or no longer news, so the topic can be compacted | `groundswell-tick` |
//! | dead letters | the key as received | the bytes as received | those received, and `groundswell-` stage, code, message, record-id, source, topic, partition, offset, timestamp, engine-version, model, attempt, tick |
//!
//! Timestamps are the ticks' times. Failures are messages; the engine tries again.

mod records;

use super::client::Cluster;
use super::error::KafkaError;
use super::producer::{Outgoing, Place, StepHook, Writer};
use super::topics::{POLICY, Wanted};
use crate::dlq::Origin;
use crate::json::PostIds;
use groundswell_core::id::Names;
use groundswell_core::serving::{Sink, TickChanges};
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::Tick;
use records::{Alerts, DeadLetters, Events, Rows};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A topic and how it is written.
#[derive(Clone)]
pub struct KafkaSinkSpec {
    /// The sink's name in the config.
    pub name: String,
    /// The cluster.
    pub cluster: Cluster,
    /// The topic.
    pub topic: String,
    /// Who writes: the same for every start of this sink, and no other sink's.
    pub transactional_id: String,
    /// Where the progress is kept; no other sink's.
    pub progress_topic: String,
    /// Whether missing topics are made.
    pub create_topics: bool,
    /// Partitions of a topic that is made; `None` leaves it to the brokers.
    pub partitions: Option<i32>,
    /// Settings of a topic that is made, over those the sink would choose.
    pub topic_config: BTreeMap<String, String>,
    /// Called at every step of a transaction; for tests that end the process there.
    pub on_step: Option<StepHook>,
}

impl KafkaSinkSpec {
    /// The sink `name` of a pipeline, with names made from both.
    pub fn new(pipeline: &str, name: &str, cluster: Cluster, topic: impl Into<String>) -> Self {
        KafkaSinkSpec {
            name: name.to_owned(),
            cluster,
            topic: topic.into(),
            transactional_id: format!("groundswell-{pipeline}-{name}"),
            progress_topic: format!("groundswell-{pipeline}-{name}-progress"),
            create_topics: true,
            partitions: None,
            topic_config: BTreeMap::new(),
            on_step: None,
        }
    }
}

/// What changes become records, and how.
trait Encode: Send {
    fn encode(&self, changes: &TickChanges, out: &mut Vec<Outgoing>) -> Result<(), String>;
}

/// A topic as a sink; see the module's description.
pub struct KafkaSink {
    name: String,
    writer: Writer,
    encode: Box<dyn Encode>,
}

impl KafkaSink {
    /// Alert transitions. `views` are the pipeline's, to name the columns of an alert's group.
    ///
    /// # Errors
    /// [`KafkaError`] if the topic cannot be written.
    pub fn alerts(
        spec: KafkaSinkSpec,
        views: Arc<[ViewSpec]>,
        names: Arc<Names>,
        post_ids: PostIds,
    ) -> Result<Self, KafkaError> {
        let alerts = Alerts { views, names, post_ids };
        KafkaSink::open(spec, &[(POLICY, "delete")], Box::new(alerts))
    }

    /// The changelog of the pipeline's `index`-th view.
    ///
    /// # Errors
    /// [`KafkaError`] if the topic cannot be written.
    pub fn view(
        spec: KafkaSinkSpec,
        index: usize,
        view: ViewSpec,
        names: Arc<Names>,
        post_ids: PostIds,
    ) -> Result<Self, KafkaError> {
        let rows = Rows {
            index,
            view,
            names,
            post_ids,
        };
        KafkaSink::open(spec, &[(POLICY, "compact")], Box::new(rows))
    }

    /// The changelog of the keyword events that are news.
    ///
    /// # Errors
    /// [`KafkaError`] if the topic cannot be written.
    pub fn events(spec: KafkaSinkSpec) -> Result<Self, KafkaError> {
        KafkaSink::open(spec, &[(POLICY, "compact")], Box::new(Events))
    }

    /// Dead letters of all stages.
    ///
    /// # Errors
    /// [`KafkaError`] if the topic cannot be written.
    pub fn dead_letters(spec: KafkaSinkSpec, origin: Origin) -> Result<Self, KafkaError> {
        // Room for a record of the default limit and all that is said about it.
        let settings = [(POLICY, "delete"), ("max.message.bytes", "4194304")];
        KafkaSink::open(spec, &settings, Box::new(DeadLetters { origin }))
    }

    fn open(spec: KafkaSinkSpec, settings: &[(&str, &str)], encode: Box<dyn Encode>) -> Result<Self, KafkaError> {
        let mut config: BTreeMap<String, String> = settings
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        config.extend(spec.topic_config);
        let writer = Writer::open(Place {
            cluster: spec.cluster,
            topic: Wanted {
                name: spec.topic,
                partitions: spec.partitions,
                config,
            },
            progress_topic: spec.progress_topic,
            transactional_id: spec.transactional_id,
            create_topics: spec.create_topics,
            on_step: spec.on_step,
        })?;
        Ok(KafkaSink {
            name: spec.name,
            writer,
            encode,
        })
    }
}

impl Sink for KafkaSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn upper(&self) -> Option<Tick> {
        self.writer.upper()
    }

    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        self.write([changes])
    }

    fn apply_all(&mut self, changes: &[Arc<TickChanges>]) -> Result<(), String> {
        self.write(changes.iter().map(AsRef::as_ref))
    }
}

impl KafkaSink {
    fn write<'a>(&mut self, changes: impl IntoIterator<Item = &'a TickChanges>) -> Result<(), String> {
        let (mut records, mut last) = (Vec::new(), None);
        for tick in changes {
            // Of a batch that is tried again, what was committed after all is not written twice.
            if self.writer.upper().is_none_or(|upper| tick.tick > upper) {
                self.encode.encode(tick, &mut records)?;
                last = Some(tick.tick);
            }
        }
        let Some(last) = last else { return Ok(()) };
        // Ticks without records too: what is not committed cannot be folded away.
        self.writer.commit(&records, last).map_err(|e| e.with_hint())
    }
}
