//! A topic as a source.
//!
//! In: a topic whose values are records in JSON, or in Avro or Protobuf with a registry, keys their ids; null values delete. Out: batches of decoded records with the
//! next offset of every partition touched. State: those offsets, which the engine records with the batch and gives back
//! after a restart; the consumer's group decides nothing. Partitions are assigned by us and new ones are looked for now
//! and then. Only committed records of transactions are read.
//!
//! A value that cannot be accepted is a dead letter, with its key, timestamp and headers. The source ends with an error only
//! if going on would lose records without a word (see [`KafkaError`]); a broker that is away is waited for.
//!
//! Bounded: librdkafka lays at most [`KafkaSourceSpec::max_in_flight`] bytes ahead, and the batch under way is smaller than a
//! mebibyte. While the engine is behind, sending waits, the queue fills and fetching stops.

mod assignment;
mod lag;
mod start;

pub use start::Start;

use super::client::{self, Cluster, Reporter};
use super::error::{KafkaError, rights};
use crate::decode::{Decoder, DecoderSpec, MapError};
use crate::metrics::SourceMetrics;
use crate::registry::Registry;
use assignment::Assignment;
use groundswell_core::record::{Binding, Envelope, Header, HeaderValue, Record};
use groundswell_core::source::{Redecode, Source, SourceBatch, SourceContext, SourceError, StopFlag, Stopped};
use groundswell_core::time::wall_now;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A batch is sent when it holds this many records, was made from this many bytes…
const BATCH_RECORDS: usize = 8_192;
const BATCH_BYTES: usize = 1 << 20;
/// …or is this old.
const BATCH_AGE: Duration = Duration::from_millis(3);
/// How long an idle source sleeps before it looks whether it is asked to stop.
const IDLE: Duration = Duration::from_millis(50);
/// How often durable positions are committed to the group, and the lag is measured.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How long a registry that does not answer is left alone, at first and at most.
const REGISTRY_WAITS: std::ops::Range<Duration> = Duration::from_millis(250)..Duration::from_secs(8);

/// What to do when records were removed before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnGap {
    /// Stop and say so.
    #[default]
    Fail,
    /// Say so and go on with the first record there is.
    Earliest,
}

/// Which partitions of a topic one of several equal readers takes: those whose number leaves `index` when divided by `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// This reader.
    pub index: u32,
    /// All readers.
    pub of: u32,
}

impl Default for Share {
    fn default() -> Self {
        Share { index: 0, of: 1 }
    }
}

impl Share {
    fn has(self, partition: u32) -> bool {
        partition % self.of.max(1) == self.index
    }
}

/// A topic and how to read it.
#[derive(Clone, Debug)]
pub struct KafkaSourceSpec {
    /// The source's name in the config.
    pub name: String,
    /// The cluster.
    pub cluster: Cluster,
    /// The topic.
    pub topic: String,
    /// The group that offsets are committed to once they are durable.
    pub group: String,
    /// How values are read.
    pub decoder: DecoderSpec,
    /// Where the first start begins. Partitions found later begin at their first record.
    pub start: Start,
    /// What to do about a retention gap.
    pub on_gap: OnGap,
    /// Bytes that may lie fetched ahead.
    pub max_in_flight: usize,
    /// How often new partitions are looked for.
    pub discover: Duration,
    /// Which partitions are read here.
    pub share: Share,
}

impl KafkaSourceSpec {
    /// A topic of a collection with the contract's field names, read from its beginning.
    pub fn new(name: impl Into<String>, cluster: Cluster, topic: impl Into<String>, decoder: DecoderSpec) -> Self {
        let name = name.into();
        KafkaSourceSpec {
            group: format!("groundswell-{name}"),
            name,
            cluster,
            topic: topic.into(),
            decoder,
            start: Start::Earliest,
            on_gap: OnGap::Fail,
            max_in_flight: 64 << 20,
            discover: Duration::from_secs(30),
            share: Share::default(),
        }
    }
}

/// A topic as a source; see the module's description.
pub struct KafkaSource {
    spec: KafkaSourceSpec,
    decoder: Decoder,
    metrics: Option<SourceMetrics>,
}

impl KafkaSource {
    /// A source reading `spec`; it connects when it runs.
    ///
    /// # Errors
    /// [`MapError`] with every mistake in the field map.
    pub fn new(spec: KafkaSourceSpec) -> Result<Self, MapError> {
        let decoder = Decoder::new(spec.decoder.clone())?;
        Ok(KafkaSource {
            spec,
            decoder,
            metrics: None,
        })
    }

    /// The same for records written with schemas of a registry.
    #[must_use]
    pub fn with_registry(mut self, registry: Arc<Registry>) -> Self {
        self.decoder = self.decoder.with_registry(registry);
        self
    }

    /// Looks whether the topic is there and may be read, waiting for its brokers as long as a start does.
    ///
    /// # Errors
    /// [`KafkaError`], named.
    pub fn check(&self) -> Result<(), KafkaError> {
        let (spec, consumer) = (&self.spec, self.consumer()?);
        client::partitions(&spec.cluster, &consumer, &spec.topic, &StopFlag::default()).map(|_| ())
    }

    /// The same, reporting its lag.
    #[must_use]
    pub fn with_metrics(mut self, metrics: SourceMetrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    fn consumer(&self) -> Result<BaseConsumer<Reporter>, KafkaError> {
        let spec = &self.spec;
        let kilobytes = (spec.max_in_flight >> 10).max(1).to_string();
        // librdkafka wants room for one whole answer, and a message may be as large as an answer.
        let answer = spec.max_in_flight.clamp(1 << 20, 50 << 20).to_string();
        let discover = spec.discover.as_millis().max(10).to_string();
        let config = spec.cluster.config(
            &[
                ("queued.max.messages.kbytes", &kilobytes),
                ("queued.min.messages", "1000000"),
                ("fetch.max.bytes", &answer),
                // A full queue empties in milliseconds; the default pause of a second would leave us idle.
                ("fetch.queue.backoff.ms", "5"),
                ("fetch.error.backoff.ms", "100"),
                ("topic.metadata.refresh.interval.ms", &discover),
                ("check.crcs", "true"),
            ],
            &[
                ("group.id", &spec.group),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                ("isolation.level", "read_committed"),
                ("enable.partition.eof", "true"),
                ("statistics.interval.ms", "1000"),
            ],
        );
        let reporter = Reporter::new(format!("source {}", spec.name));
        config
            .create_with_context(reporter)
            .map_err(|e| spec.cluster.refused("make a consumer", &e))
    }
}

impl Source for KafkaSource {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn redecoder(&self) -> Option<Arc<dyn Redecode>> {
        Some(Arc::new(self.decoder.clone()))
    }

    fn measures_lag(&self) -> bool {
        self.metrics.is_some()
    }

    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        match self.read(&context) {
            Ok(()) | Err(Ended::Stopped) => Ok(()),
            Err(Ended::Failed(error)) => Err(error.of_source(&self.spec.name)),
        }
    }
}

impl KafkaSource {
    /// Reads until asked to stop, with a new client whenever one has lost its way to the brokers.
    fn read(&self, context: &SourceContext) -> Result<(), Ended> {
        let (mut resume, mut reached) = (context.resume.clone(), false);
        loop {
            let consumer = self.consumer()?;
            let mut reading = match Reading::start(self, &consumer, context, &resume) {
                Ok(Some(reading)) => reading,
                Ok(None) => return Ok(()),
                // What was there before is waited for.
                Err(Ended::Failed(KafkaError::Unreachable { reason, .. })) if reached => {
                    tracing::warn!(source = self.spec.name, %reason, "the brokers are still away");
                    continue;
                }
                Err(other) => return Err(other),
            };
            reached = true;
            match reading.run()? {
                Left::Stopped => return Ok(()),
                Left::Stranded => resume = reading.partitions.bindings(context.source),
            }
            tracing::warn!(
                source = self.spec.name,
                "the client knows no broker any more; connecting anew"
            );
        }
    }
}

/// Why a client is read no further, all being well.
enum Left {
    /// The engine stops.
    Stopped,
    /// A broker that was just fenced, as after a pause, says that there are no brokers; librdkafka (2.10 to 2.12 at least)
    /// believes it, forgets the address it was given, and never asks anybody again.
    Stranded,
}

/// Why reading ends.
enum Ended {
    /// The engine stops.
    Stopped,
    Failed(KafkaError),
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Ended::Stopped
    }
}

impl From<KafkaError> for Ended {
    fn from(error: KafkaError) -> Self {
        Ended::Failed(error)
    }
}

struct Reading<'a> {
    source: &'a KafkaSource,
    consumer: &'a BaseConsumer<Reporter>,
    context: &'a SourceContext,
    partitions: Assignment<'a>,
    records: Vec<Envelope>,
    bytes: usize,
    since: Instant,
    /// Timestamp of the newest record read.
    newest: Option<i64>,
    committed: BTreeMap<u32, u64>,
}

impl<'a> Reading<'a> {
    /// Connects and assigns; `None` if asked to stop meanwhile.
    fn start(
        source: &'a KafkaSource,
        consumer: &'a BaseConsumer<Reporter>,
        context: &'a SourceContext,
        resume: &[Binding],
    ) -> Result<Option<Self>, Ended> {
        let spec = &source.spec;
        let Some(found) = client::partitions(&spec.cluster, consumer, &spec.topic, &context.stop)? else {
            return Ok(None);
        };
        let partitions = Assignment::start(spec, consumer, context.source, resume, &found)?;
        Ok(Some(Reading {
            source,
            consumer,
            context,
            partitions,
            records: Vec::new(),
            bytes: 0,
            since: Instant::now(),
            newest: None,
            committed: BTreeMap::new(),
        }))
    }

    fn run(&mut self) -> Result<Left, Ended> {
        // Where a partition without records begins is recorded too: "latest" means now, not the next start.
        self.flush()?;
        let mut tended = Instant::now();
        while !self.context.stop.is_set() {
            self.step()?;
            // A busy source gets here every few milliseconds as well.
            if tended.elapsed() >= HOUSEKEEPING {
                tended = Instant::now();
                self.commit();
                let stranded = self.look_around()?;
                // Positions may have moved without a record.
                self.flush()?;
                if stranded {
                    return Ok(Left::Stranded);
                }
            }
        }
        self.flush()?;
        Ok(Left::Stopped)
    }

    /// Reads until a batch is full or old, and sends it.
    fn step(&mut self) -> Result<(), Ended> {
        let mut wait = Duration::ZERO;
        loop {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    if self.records.is_empty() {
                        self.since = Instant::now();
                    }
                    self.prepare(&message)?;
                    self.take(&message);
                    wait = Duration::ZERO;
                    if self.records.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES {
                        return Ok(self.flush()?);
                    }
                }
                Some(Err(error)) => {
                    self.flush()?;
                    return self.trouble(&error);
                }
                None if wait.is_zero() && self.records.is_empty() => wait = IDLE,
                None if self.records.is_empty() => return Ok(()),
                None => match BATCH_AGE.checked_sub(self.since.elapsed()) {
                    Some(left) if !left.is_zero() => wait = left,
                    _ => return Ok(self.flush()?),
                },
            }
        }
    }

    /// Fetches the schemas that a record names, waiting for the registry as for a broker: what was read before goes on, and
    /// the record comes again if the engine stops meanwhile.
    fn prepare(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Ended> {
        let source = self.source;
        let Some(registry) = source.decoder.registry() else {
            return Ok(());
        };
        let mut wait = REGISTRY_WAITS.start;
        // The registry says what is wrong, once.
        while registry.prepare(message.key(), message.payload()).is_err() {
            self.flush()?;
            self.context.stop.sleep(wait);
            if self.context.stop.is_set() {
                return Err(Ended::Stopped);
            }
            wait = (wait * 2).min(REGISTRY_WAITS.end);
            self.commit();
            self.look_around()?;
        }
        Ok(())
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        // Neither is ever negative in a message.
        let partition = u32::try_from(message.partition()).unwrap_or_default();
        let offset = u64::try_from(message.offset()).unwrap_or_default();
        let at = (self.context.source, partition, offset);
        let mut envelope = self
            .source
            .decoder
            .envelope(at, message.key(), message.payload(), self.context);
        if let Record::Dead(letter) = &mut envelope.record {
            letter.written_at = message.timestamp().to_millis();
            letter.headers = headers(message);
        }
        self.newest = self.newest.max(message.timestamp().to_millis());
        self.records.push(envelope);
        self.bytes += message.key_len() + message.payload_len();
        self.partitions.advance(partition, offset + 1);
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        let source = self.context.source;
        let bindings = self.partitions.take_moved(source);
        if bindings.is_empty() && self.records.is_empty() {
            return Ok(());
        }
        let room = self.records.len().max(64);
        self.bytes = 0;
        self.context.send(SourceBatch {
            source,
            records: std::mem::replace(&mut self.records, Vec::with_capacity(room)),
            bindings,
            clock: None,
            finished: false,
        })
    }

    /// What to do about an error of the consumer: wait, skip, or end.
    fn trouble(&mut self, error: &ClientError) -> Result<(), Ended> {
        let spec = &self.source.spec;
        let code = match error {
            ClientError::PartitionEOF(_) => return Ok(()),
            ClientError::MessageConsumptionFatal(_) => return Err(self.failed(error).into()),
            other => other.rdkafka_error_code(),
        };
        if let Some(hopeless) = code.and_then(|code| rights(code, "read", &spec.topic, &spec.group)) {
            return Err(hopeless.into());
        }
        match code {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Ok(self.partitions.out_of_range()?),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => self.is_it_gone(),
            // The brokers' being away is known to the reporter; librdkafka goes on trying.
            _ => {
                tracing::debug!(source = spec.name, %error, "trouble while reading");
                Ok(())
            }
        }
    }

    fn failed(&self, error: &ClientError) -> KafkaError {
        KafkaError::failed(format!("read topic \"{}\"", self.source.spec.topic), error)
    }

    /// A broker that just started may not know its topics yet; one that keeps saying so is right.
    fn is_it_gone(&self) -> Result<(), Ended> {
        let spec = &self.source.spec;
        match client::partitions(&spec.cluster, self.consumer, &spec.topic, &self.context.stop) {
            Err(KafkaError::MissingTopic { brokers, topic, .. }) => Err(Ended::Failed(KafkaError::MissingTopic {
                brokers,
                topic,
                before: true,
            })),
            // Unreachable: waited for like any broker that is away.
            Err(KafkaError::Unreachable { .. }) | Ok(None) => Ok(()),
            Ok(Some(found)) => Ok(self.partitions.check(&found)?),
            Err(other) => Err(other.into()),
        }
    }

    /// Tells the group what is durable. Nothing depends on it but other people's tools.
    fn commit(&mut self) {
        let durable = self.context.durable.positions();
        let news: Vec<_> = durable
            .iter()
            .filter(|(p, next)| self.committed.get(p) != Some(next))
            .collect();
        if news.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(news.len());
        for (partition, next) in news {
            let (Ok(partition), Ok(next)) = (i32::try_from(*partition), i64::try_from(*next)) else {
                continue;
            };
            // Refused only for offsets below zero.
            let _ = list.add_partition_offset(&self.source.spec.topic, partition, Offset::Offset(next));
        }
        match self.consumer.commit(&list, CommitMode::Async) {
            Ok(()) => self.committed = durable,
            Err(error) => tracing::debug!(source = self.source.spec.name, %error, "cannot commit to the group"),
        }
    }

    /// Takes in what librdkafka has heard in the background: where partitions end, and which ones there are. Asking would
    /// have to wait behind what is being fetched. `true` if it has no broker left that it could hear from.
    fn look_around(&mut self) -> Result<bool, KafkaError> {
        let Some(statistics) = self.consumer.context().take_statistics() else {
            return Ok(false);
        };
        if lag::stranded(&statistics) {
            return Ok(true);
        }
        let topic = &self.source.spec.topic;
        self.partitions.welcome(&lag::known(&statistics, topic))?;
        let ends = lag::ends(&statistics, topic);
        let behind = self.partitions.caught_up(&ends);
        if let Some(metrics) = &self.source.metrics {
            let age = match (behind, self.newest) {
                (1.., Some(newest)) => u64::try_from(wall_now().saturating_sub(newest)).unwrap_or(0),
                _ => 0,
            };
            let records = usize::try_from(behind).unwrap_or(usize::MAX);
            metrics.lag(Duration::from_millis(age), Some(records));
        }
        Ok(false)
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let Some(headers) = message.headers() else {
        return Vec::new();
    };
    let header = |h: rdkafka::message::Header<'_, &[u8]>| Header {
        name: h.key.to_owned(),
        value: h.value.map(HeaderValue::from),
    };
    headers.iter().map(header).collect()
}
