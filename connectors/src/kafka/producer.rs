//! Records and progress in one transaction: what makes a sink exactly once.
//!
//! ```text
//! open:    init_transactions (fences whoever wrote before, aborts what they left open) ─▶ read progress ─▶ sign it
//! commit:  begin ─▶ records ─▶ progress ─▶ commit            all of it is seen, or nothing
//!            └── any failure: abort, or begin anew with a new client, which opens as above; the caller tries again
//! ```
//! Progress is kept in a compacted topic beside the records and not in a consumer group's offsets, since those expire when
//! a pipeline stands still for longer than the brokers' `offsets.retention.minutes`, and with them the memory of what was
//! written.
//!
//! A commit whose answer was lost either happened or did not; the progress that is read when the client is made anew says
//! which. Being fenced means that somebody else opened, or that the brokers gave a transaction up because it took too long.
//! The signature tells the two apart: who opens signs the progress with a name made up for that start, and a writer that
//! finds another's name there writes nothing any more.

use super::client::{Cluster, Reporter};
use super::error::{KafkaError, rights};
use super::progress::{self, Progress};
use super::topics::{self, Wanted};
use groundswell_core::time::Tick;
use rdkafka::error::{KafkaError as ClientError, RDKafkaError};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one step of the protocol may take before it is asked for again.
const STEP: Duration = Duration::from_secs(5);
/// How long a commit is asked for before the client is made anew.
const COMMIT: Duration = Duration::from_secs(15);
/// How often a start that is fenced before it has signed begins anew.
const OPEN_TRIES: usize = 3;
/// Brokers give up a transaction that is open for this long; consumers wait for it as long.
const TRANSACTION: Duration = Duration::from_secs(60);

/// A record on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Cow<'static, str>, Option<Vec<u8>>)>,
    /// Epoch ms.
    pub timestamp: i64,
}

/// Places in the protocol where a test may end the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing was written yet.
    Begun,
    /// The records were handed to the client.
    Written,
    /// The records and the progress are with the brokers, not committed.
    Marked,
    /// The transaction is committed, the engine does not know yet.
    Committed,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Step; 4] = [Step::Begun, Step::Written, Step::Marked, Step::Committed];

    /// The name of its failpoint.
    fn point(self) -> &'static str {
        match self {
            Step::Begun => "kafka::begun",
            Step::Written => "kafka::written",
            Step::Marked => "kafka::marked",
            Step::Committed => "kafka::committed",
        }
    }
}

/// Called at every step.
pub type StepHook = Arc<dyn Fn(Step) + Send + Sync>;

/// Where to write.
pub(super) struct Place {
    pub cluster: Cluster,
    pub topic: Wanted,
    pub progress_topic: String,
    pub transactional_id: String,
    pub create_topics: bool,
    pub on_step: Option<StepHook>,
}

/// Writes transactions; see the module's description.
pub(super) struct Writer {
    place: Place,
    instance: String,
    client: Option<BaseProducer<Reporter>>,
    upper: Option<Tick>,
    /// Set for good once somebody else has opened.
    fenced: bool,
}

impl Writer {
    /// Makes missing topics, fences, and reads how far was written.
    ///
    /// # Errors
    /// [`KafkaError`], named.
    pub fn open(place: Place) -> Result<Writer, KafkaError> {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let instance = format!("{:x}-{:x}", std::process::id(), since.as_nanos());
        let mut writer = Writer {
            place,
            instance,
            client: None,
            upper: None,
            fenced: false,
        };
        let place = &writer.place;
        let consumer = progress::consumer(&place.cluster, &place.transactional_id)?;
        let marks = Wanted {
            name: place.progress_topic.clone(),
            partitions: Some(1),
            config: progress::config(),
        };
        for wanted in [&place.topic, &marks] {
            topics::ensure(&place.cluster, &consumer, wanted, place.create_topics)?;
        }
        drop(consumer);
        let mut tries = 0;
        loop {
            tries += 1;
            writer.connect(true)?;
            match writer.transact(&[], writer.upper) {
                Ok(()) => return Ok(writer),
                // Whoever wrote before may fence us as long as we have not signed; then it sees the signature.
                Err(KafkaError::Failed { .. }) if writer.client.is_none() && tries < OPEN_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The last tick that is committed.
    pub fn upper(&self) -> Option<Tick> {
        self.upper
    }

    /// Writes records and the progress, all or nothing.
    ///
    /// # Errors
    /// [`KafkaError`]; nothing of it is seen then, unless a later call finds that it is.
    pub fn commit(&mut self, records: &[Outgoing], upper: Tick) -> Result<(), KafkaError> {
        if self.fenced {
            return Err(self.taken_over());
        }
        if self.client.is_none() {
            self.connect(false)?;
        }
        // A commit whose answer was lost.
        if self.upper.is_some_and(|committed| committed >= upper) {
            return Ok(());
        }
        self.transact(records, Some(upper))?;
        self.upper = Some(upper);
        Ok(())
    }

    fn taken_over(&self) -> KafkaError {
        KafkaError::Fenced {
            id: self.place.transactional_id.clone(),
        }
    }

    fn step(&self, step: Step) {
        let _point = step.point();
        fail::fail_point!(_point);
        if let Some(hook) = &self.place.on_step {
            hook(step);
        }
    }

    /// Makes a client, fences, and only then reads the progress.
    fn connect(&mut self, first: bool) -> Result<(), KafkaError> {
        let place = &self.place;
        let transaction = TRANSACTION.as_millis().to_string();
        let config = place.cluster.config(
            &[
                ("linger.ms", "5"),
                ("compression.type", "lz4"),
                ("message.max.bytes", "8388608"),
                ("queue.buffering.max.messages", "200000"),
                ("queue.buffering.max.kbytes", "131072"),
                ("transaction.timeout.ms", &transaction),
            ],
            &[
                ("transactional.id", &place.transactional_id),
                ("enable.idempotence", "true"),
                // Keys go where Java clients expect them.
                ("partitioner", "murmur2_random"),
            ],
        );
        let reporter = Reporter::new(format!("sink {}", place.transactional_id));
        let client: BaseProducer<Reporter> = config
            .create_with_context(reporter)
            .map_err(|e| place.cluster.refused("make a producer", &e))?;
        let (id, topic) = (&place.transactional_id, &place.progress_topic);
        let consumer = progress::consumer(&place.cluster, id)?;
        let read = || progress::read(&place.cluster, &consumer, topic, id);
        let ours = |found: &Option<Progress>| found.as_ref().is_some_and(|f| f.instance == self.instance);
        // Fencing would disturb an heir, so look for its signature first.
        let mut taken = !first && !ours(&read()?);
        let mut found = None;
        if !taken {
            self.fence(&client)?;
            found = read()?;
            taken = !first && !ours(&found);
        }
        if taken {
            self.fenced = true;
            return Err(self.taken_over());
        }
        self.upper = found.and_then(|f| f.upper);
        self.client = Some(client);
        Ok(())
    }

    fn fence(&self, client: &BaseProducer<Reporter>) -> Result<(), KafkaError> {
        let place = &self.place;
        let began = Instant::now();
        loop {
            let error = match client.init_transactions(STEP.min(place.cluster.patience)) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            client.poll(Duration::from_millis(10));
            if let Some(hopeless) = place.cluster.hopeless(client.context()) {
                return Err(hopeless);
            }
            let known = code(&error).and_then(|c| rights(c, "use", &place.topic.name, &place.transactional_id));
            if let Some(missing) = known {
                return Err(missing);
            }
            let again = matches!(&error, ClientError::Transaction(e) if e.is_retriable());
            if !again {
                return Err(KafkaError::failed("begin as a transactional producer", &error));
            }
            if began.elapsed() >= place.cluster.patience {
                return Err(place.cluster.unreachable(client.context(), &error));
            }
        }
    }

    fn transact(&mut self, records: &[Outgoing], upper: Option<Tick>) -> Result<(), KafkaError> {
        let Some(client) = self.client.take() else {
            return Err(self.taken_over());
        };
        match self.try_transact(&client, records, upper) {
            Ok(()) => {
                self.client = Some(client);
                Ok(())
            }
            Err(error) => {
                let (named, usable) = self.name(&client, &error, records);
                if usable {
                    self.client = Some(client);
                }
                Err(named)
            }
        }
    }

    fn try_transact(
        &self,
        client: &BaseProducer<Reporter>,
        records: &[Outgoing],
        upper: Option<Tick>,
    ) -> Result<(), ClientError> {
        client.begin_transaction()?;
        self.step(Step::Begun);
        for record in records {
            send(client, &self.place.topic.name, None, record)?;
        }
        self.step(Step::Written);
        let progress = Progress {
            upper,
            instance: self.instance.clone(),
        };
        let mark = Outgoing {
            key: Some(self.place.transactional_id.clone().into_bytes()),
            // A number and a string always have a JSON form.
            value: Some(serde_json::to_vec(&progress).unwrap_or_default()),
            headers: Vec::new(),
            timestamp: groundswell_core::time::wall_now(),
        };
        send(client, &self.place.progress_topic, Some(0), &mark)?;
        if self.place.on_step.is_some() || fail::has_failpoints() {
            client.flush(STEP)?;
        }
        self.step(Step::Marked);
        let began = Instant::now();
        loop {
            let error = match client.commit_transaction(STEP) {
                Ok(()) => break,
                Err(error) => error,
            };
            let again = match &error {
                ClientError::Flush(Code::OperationTimedOut) => true,
                ClientError::Transaction(e) => e.is_retriable() && !e.txn_requires_abort(),
                _ => false,
            };
            if !again || began.elapsed() >= COMMIT {
                return Err(error);
            }
        }
        self.step(Step::Committed);
        Ok(())
    }

    /// What an error is, and whether the client can be used again.
    fn name(&self, client: &BaseProducer<Reporter>, error: &ClientError, records: &[Outgoing]) -> (KafkaError, bool) {
        client.poll(Duration::ZERO);
        let place = &self.place;
        // Why a record was refused is told by its delivery report; the transaction only says that it must be aborted.
        let reported = client.context().take_delivery();
        let cause = reported.as_ref().map(|(code, _)| *code).or_else(|| code(error));
        let known = cause.and_then(|c| rights(c, "write to", &place.topic.name, &place.transactional_id));
        let named = match (known, cause) {
            (Some(missing), _) => missing,
            (None, Some(Code::MessageSizeTooLarge)) => KafkaError::TooLarge {
                topic: place.topic.name.clone(),
                bytes: records.iter().map(Outgoing::bytes).max().unwrap_or(0),
            },
            (None, Some(Code::UnknownTopicOrPartition | Code::UnknownTopic)) => KafkaError::MissingTopic {
                brokers: place.cluster.brokers.clone(),
                topic: place.topic.name.clone(),
                before: false,
            },
            (None, Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)) => KafkaError::Failed {
                doing: format!("write to topic \"{}\"", place.topic.name),
                reason: format!("the transaction took longer than {TRANSACTION:?}, or another process has taken over"),
            },
            _ => match reported {
                Some((_, reason)) => KafkaError::Failed {
                    doing: format!("write to topic \"{}\"", place.topic.name),
                    reason,
                },
                None => KafkaError::failed(format!("write to topic \"{}\"", place.topic.name), error),
            },
        };
        let fatal = matches!(error, ClientError::Transaction(e) if e.is_fatal());
        // A client that cannot abort in time is dropped; the next one aborts for it when it opens.
        (named, !fatal && client.abort_transaction(STEP).is_ok())
    }
}

impl Outgoing {
    fn bytes(&self) -> usize {
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + len(value));
        len(&self.key) + len(&self.value) + headers.sum::<usize>()
    }
}

fn code(error: &ClientError) -> Option<Code> {
    match error {
        ClientError::Transaction(error) => Some(RDKafkaError::code(error)),
        other => other.rdkafka_error_code(),
    }
}

/// Hands a record to the client, waiting while its queue is full.
fn send(
    client: &BaseProducer<Reporter>,
    topic: &str,
    partition: Option<i32>,
    record: &Outgoing,
) -> Result<(), ClientError> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header {
            key,
            value: value.as_ref(),
        });
    }
    let mut out: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).headers(headers).timestamp(record.timestamp);
    out.key = record.key.as_deref();
    out.payload = record.value.as_deref();
    out.partition = partition;
    let began = Instant::now();
    loop {
        match client.send(out) {
            Ok(()) => {
                // Delivery reports would otherwise pile up in a long transaction.
                client.poll(Duration::ZERO);
                return Ok(());
            }
            Err((ClientError::MessageProduction(Code::QueueFull), again)) if began.elapsed() < COMMIT => {
                client.poll(Duration::from_millis(10));
                out = again;
            }
            Err((error, _)) => return Err(error),
        }
    }
}
