//! A shared broker, topics, foreign clients, and a source run by hand.

use groundswell_connectors::decode::{Collection, DecoderSpec};
use groundswell_connectors::kafka::{Cluster, KafkaSource, KafkaSourceSpec};
use groundswell_core::record::{Binding, Envelope, Record};
use groundswell_core::source::{Durable, Source, SourceBatch, SourceContext, SourceError, StopFlag};
use groundswell_testing::kafka::Kafka;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest that anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The broker of all tests that leave it alone. It ends with this process.
pub fn broker() -> &'static Kafka {
    static BROKER: OnceLock<Kafka> = OnceLock::new();
    BROKER.get_or_init(|| Kafka::start().expect("a broker"))
}

pub fn cluster() -> Cluster {
    Cluster::new(broker().bootstrap())
}

/// A name that no other test and no earlier run has.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{n}", std::process::id())
}

pub fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).create().expect("admin")
}

/// A new topic.
pub fn topic(name: &str, partitions: i32, config: &[(&str, &str)]) -> String {
    topic_at(broker(), name, partitions, config)
}

pub fn topic_at(kafka: &Kafka, name: &str, partitions: i32, config: &[(&str, &str)]) -> String {
    let name = unique(name);
    let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    for (key, value) in config {
        topic = topic.set(key, value);
    }
    let made = futures::executor::block_on(admin(kafka.bootstrap()).create_topics([&topic], &AdminOptions::new()));
    made.expect("asked")[0].as_ref().expect("made");
    name
}

pub fn grow(topic: &str, partitions: usize) {
    let more = NewPartitions::new(topic, partitions);
    let admin = admin(broker().bootstrap());
    let done = futures::executor::block_on(admin.create_partitions([&more], &AdminOptions::new()));
    done.expect("asked")[0].as_ref().expect("grown");
}

pub fn producer_at(kafka: &Kafka, more: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    for (name, value) in more {
        config.set(*name, *value);
    }
    config.create().expect("producer")
}

pub fn producer() -> BaseProducer {
    producer_at(broker(), &[])
}

/// Writes a record; `None` is a null value.
pub fn send(producer: &BaseProducer, topic: &str, partition: i32, key: &str, value: Option<&[u8]>) {
    send_at(producer, topic, partition, key, value, None);
}

pub fn send_at(producer: &BaseProducer, topic: &str, partition: i32, key: &str, value: Option<&[u8]>, at: Option<i64>) {
    let headers = OwnedHeaders::new().insert(Header {
        key: "trace",
        value: Some("abc"),
    });
    let mut record = BaseRecord::to(topic).key(key).partition(partition).headers(headers);
    record.payload = value;
    record.timestamp = at;
    while let Err((_, again)) = producer.send(record) {
        producer.poll(Duration::from_millis(10));
        record = again;
    }
}

pub fn flush(producer: &BaseProducer) {
    producer.flush(PATIENCE).expect("written");
}

pub fn post(id: &str, text: &str) -> Vec<u8> {
    let post = serde_json::json!({
        "id": id, "source": "reddit:nba", "thread": "t3_x", "author": "zoë", "text": text, "score": 3,
        "created_at": 1_700_000_000_000_i64,
    });
    post.to_string().into_bytes()
}

pub fn spec(topic: &str) -> KafkaSourceSpec {
    KafkaSourceSpec {
        discover: Duration::from_millis(300),
        ..KafkaSourceSpec::new("posts", cluster(), topic, DecoderSpec::new(Collection::Posts))
    }
}

/// A source on its thread, and everything it has sent.
pub struct Reader {
    pub records: Vec<Envelope>,
    pub bindings: BTreeMap<u32, u64>,
    pub durable: Durable,
    batches: crossbeam_channel::Receiver<SourceBatch>,
    stop: StopFlag,
    thread: JoinHandle<Result<(), SourceError>>,
}

impl Reader {
    pub fn start(source: KafkaSource, resume: &BTreeMap<u32, u64>) -> Reader {
        let (out, batches) = crossbeam_channel::bounded(8);
        let stop = StopFlag::default();
        let binding = |(partition, next): (&u32, &u64)| Binding {
            source: 0,
            partition: *partition,
            next: *next,
        };
        let context = SourceContext {
            source: 0,
            resume: resume.iter().map(binding).collect(),
            out,
            stop: stop.clone(),
            names: Arc::default(),
            horizon: Arc::new(AtomicI64::new(i64::MIN)),
            durable: Durable::default(),
        };
        let durable = context.durable.clone();
        let thread = std::thread::spawn(move || Box::new(source).run(context));
        Reader {
            records: Vec::new(),
            bindings: resume.clone(),
            durable,
            batches,
            stop,
            thread,
        }
    }

    pub fn of(spec: KafkaSourceSpec, resume: &BTreeMap<u32, u64>) -> Reader {
        Reader::start(KafkaSource::new(spec).expect("a source"), resume)
    }

    /// Takes batches until `done` says so.
    pub fn until(&mut self, done: impl Fn(&Reader) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(
                Instant::now() < end,
                "read {} records, positions {:?}",
                self.records.len(),
                self.bindings
            );
            match self.batches.recv_timeout(Duration::from_millis(20)) {
                Ok(batch) => self.take(batch),
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => {
                    assert!(done(self), "the source ended; read {} records", self.records.len());
                }
            }
        }
    }

    pub fn until_records(&mut self, count: usize) {
        self.until(|r| r.records.len() >= count);
    }

    fn take(&mut self, batch: SourceBatch) {
        self.records.extend(batch.records);
        self.bindings
            .extend(batch.bindings.iter().map(|b| (b.partition, b.next)));
    }

    /// Stops it and takes what it still sends.
    pub fn stop(mut self) -> (Vec<Envelope>, BTreeMap<u32, u64>) {
        // The source sends what it has read only while it is not asked to stop: it will come again.
        self.stop.stop();
        while let Ok(batch) = self.batches.recv_timeout(Duration::from_secs(5)) {
            self.take(batch);
        }
        self.thread.join().expect("no panic").expect("no error");
        (self.records, self.bindings)
    }

    /// Waits until it ends by itself.
    pub fn error(mut self) -> SourceError {
        let end = Instant::now() + PATIENCE;
        while !self.thread.is_finished() {
            assert!(Instant::now() < end, "the source goes on");
            if let Ok(batch) = self.batches.recv_timeout(Duration::from_millis(20)) {
                self.take(batch);
            }
        }
        self.thread.join().expect("no panic").expect_err("it had a reason")
    }
}

/// Ids and texts of posts, in order.
pub fn posts(records: &[Envelope]) -> Vec<(u32, u64, String)> {
    let post = |e: &Envelope| match &e.record {
        Record::Post(p) => Some((e.partition, e.offset, p.id.clone())),
        _ => None,
    };
    records.iter().filter_map(post).collect()
}

/// Runs a foreign client and gives what it printed.
pub fn output(command: &mut Command) -> String {
    let out = command
        .output()
        .expect("the client is installed (scripts/setup.sh test)");
    assert!(
        out.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).expect("text")
}
