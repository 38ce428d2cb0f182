//! The servers, the topics, the pipelines, and the engine's process.
//!
//! Three pipelines read the same topics: [`RUINED`], which is killed; [`AGAIN`], which starts from a copy of its record and so
//! computes the same ticks; [`FRESH`], which starts from nothing. Each has its own schema and topics to write to.

use crate::Failure;
use crate::engine::{CRASH_AT, HOSTS};
use crate::feed::TOPICS;
use groundswell_testing::kafka::Kafka;
use groundswell_testing::port;
use groundswell_testing::postgres::Postgres;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The pipeline that is killed.
pub const RUINED: &str = "ruined";
/// The same ticks without a fault.
pub const AGAIN: &str = "again";
/// The same topics without a fault.
pub const FRESH: &str = "fresh";

/// Partitions by topic of [`TOPICS`].
const PARTITIONS: [i32; 3] = [3, 3, 1];
/// Time that everything may take to be read, recorded and written once nothing fails any more.
const PATIENCE: Duration = Duration::from_secs(300);

const ENTITIES: &str = r#"[
  {"id": "apple", "name": "Apple", "aliases": ["iPhone", "macOS"]},
  {"id": "google", "name": "Google", "aliases": ["Chrome", "Android"]},
  {"id": "rust", "name": "Rust", "aliases": ["rustc"]},
  {"id": "linux", "name": "Linux", "aliases": ["kernel"]}
]"#;

/// A record of a topic as any consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Everything that runs.
pub struct World {
    pub kafka: Kafka,
    pub postgres: Postgres,
    pub database: String,
    pub folder: TempDir,
    fold: bool,
    /// Whether the pipeline that is killed runs in two processes.
    two: bool,
}

impl World {
    /// Starts the servers and makes the topics.
    pub fn start(fold: bool, two: bool) -> Result<World, Failure> {
        let kafka = Kafka::start()?;
        if !kafka.is_ours() {
            return Err("a broker that is not ours cannot be killed: unset GROUNDSWELL_TEST_KAFKA".into());
        }
        let postgres = Postgres::start_own(&[])?;
        let (database, folder) = (postgres.database()?, tempfile::tempdir()?);
        std::fs::write(folder.path().join("entities.json"), ENTITIES)?;
        let world = World {
            kafka,
            postgres,
            database,
            folder,
            fold,
            two,
        };
        if two {
            let hosts = format!("{}\n{}\n", port::free()?, port::free()?);
            std::fs::write(world.hosts(), hosts)?;
        }
        let admin: AdminClient<DefaultClientContext> = world.client().create()?;
        let topics: Vec<NewTopic<'_>> = TOPICS
            .iter()
            .zip(PARTITIONS)
            .map(|(name, partitions)| NewTopic::new(name, partitions, TopicReplication::Fixed(1)))
            .collect();
        let made = admin.create_topics(&topics, &AdminOptions::new());
        for topic in futures::executor::block_on(made)? {
            topic.map_err(|(name, code)| format!("cannot make topic {name}: {code}"))?;
        }
        Ok(world)
    }

    /// A client of the broker.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.kafka.bootstrap());
        config
    }

    /// Writes a pipeline file and gives its path.
    pub fn pipeline(&self, name: &str) -> Result<PathBuf, Failure> {
        let fold = if self.fold { "1MiB" } else { "1GiB" };
        let text = format!(
            r#"
name: {name}
state: {{url: "file:./{name}", fold_after: {fold}}}
time: {{clock: event, tick: 20ms}}
link: {{fuzzy: false, inherit_from_parent: false}}
sources:
  posts: {{type: kafka, brokers: "{kafka}", topic: {posts}, into: posts, map: {{sentiment: sentiment}}}}
  votes: {{type: kafka, brokers: "{kafka}", topic: {votes}, into: votes}}
  rules: {{type: kafka, brokers: "{kafka}", topic: {rules}, into: rules}}
  entities: {{type: file, path: entities.json, into: entities, format: json}}
views:
  by_hour: {{group_by: [source], window: {{tumble: 1h}}}}
  by_author: {{group_by: [author], window: {{tumble: 7d}}}}
  by_entity: {{group_by: [entity], window: {{tumble: 1d}}}}
rules:
  loud: {{view: by_entity, when: "posts > 4"}}
sinks:
  pg: {{type: postgres, url: "file:./database.url"}}
  alerts: {{type: kafka, brokers: "{kafka}", topic: {name}.alerts, from: rules, partitions: 1}}
  rows: {{type: kafka, brokers: "{kafka}", topic: {name}.by-hour, from: by_hour, partitions: 1}}
  dead: {{type: kafka, brokers: "{kafka}", topic: {name}.dead, from: dead_letters, partitions: 1}}
serve: false
"#,
            kafka = self.kafka.bootstrap(),
            posts = TOPICS[0],
            votes = TOPICS[1],
            rules = TOPICS[2],
        );
        std::fs::write(self.folder.path().join("database.url"), &self.database)?;
        let file = self.folder.path().join(format!("{name}.yaml"));
        std::fs::write(&file, text)?;
        Ok(file)
    }

    fn hosts(&self) -> PathBuf {
        self.folder.path().join("hosts")
    }

    /// Starts the engine as a process; its log is appended to `NAME.log`.
    pub fn engine(&self, name: &str, crash_at: Option<&str>) -> Result<Child, Failure> {
        let file = self.pipeline(name)?;
        self.process(name, "engine", &file, crash_at)
    }

    /// Starts the process beside the engine, which is started before it, if the pipeline runs in two.
    pub fn follower(&self, name: &str) -> Result<Option<Child>, Failure> {
        let follows = self.two && name == RUINED;
        let file = self.folder.path().join(format!("{name}.yaml"));
        follows.then(|| self.process(name, "follower", &file, None)).transpose()
    }

    fn process(&self, name: &str, role: &str, file: &Path, crash_at: Option<&str>) -> Result<Child, Failure> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{name}.log")))?;
        let mut process = Command::new(std::env::current_exe()?);
        process
            .arg(role)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        if self.two && name == RUINED {
            process.env(HOSTS, self.hosts());
        }
        if let Some(at) = crash_at {
            process.env(CRASH_AT, at);
        }
        Ok(process.spawn()?)
    }

    /// Runs a pipeline until everything in the topics is recorded and written by all sinks, and stops it as an operator
    /// would; gives what it printed.
    pub fn drain(&self, name: &str) -> Result<String, Failure> {
        let mut child = self.engine(name, None)?;
        let mut follower = self.follower(name)?;
        let end = Instant::now() + PATIENCE;
        while !self.has_read_all(name)? {
            if let Some(status) = child.try_wait()? {
                return Err(self.told(name, &format!("{name} ended by itself: {status}")));
            }
            if Instant::now() > end {
                let _ = child.kill();
                return Err(self.told(name, &format!("{name} has not read everything after {PATIENCE:?}")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        drop(child.stdin.take());
        let out = child.wait_with_output()?;
        if !out.status.success() {
            return Err(self.told(name, &format!("{name} did not stop well: {}", out.status)));
        }
        if let Some(follower) = &mut follower {
            let status = follower.wait()?;
            if !status.success() {
                return Err(self.told(
                    name,
                    &format!("the other process of {name} did not stop well: {status}"),
                ));
            }
        }
        Ok(String::from_utf8(out.stdout)?)
    }

    /// A failure with the last words of the engine's log.
    pub fn told(&self, name: &str, what: &str) -> Failure {
        let log = std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("{what}\n{}", lines[lines.len().saturating_sub(20)..].join("\n")).into()
    }

    /// First offset after the last record, by topic and partition.
    pub fn ends(&self, topics: &[&str]) -> Result<Vec<(String, i32, i64)>, Failure> {
        let consumer: BaseConsumer = self.client().create()?;
        let mut ends = Vec::new();
        for topic in topics {
            let known = consumer.fetch_metadata(Some(topic), PATIENCE)?;
            for partition in known.topics().iter().flat_map(|t| t.partitions()) {
                let (_, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE)?;
                ends.push(((*topic).to_owned(), partition.id(), end));
            }
        }
        Ok(ends)
    }

    fn has_read_all(&self, name: &str) -> Result<bool, Failure> {
        for (topic, source) in TOPICS.iter().zip(["posts", "votes", "rules"]) {
            let group = format!("groundswell-{name}-{source}");
            let consumer: BaseConsumer = self.client().set("group.id", &group).create()?;
            let mut list = TopicPartitionList::new();
            let ends = self.ends(&[topic])?;
            for (topic, partition, _) in &ends {
                list.add_partition(topic, *partition);
            }
            let committed = consumer.committed_offsets(list, Duration::from_secs(30))?;
            let done = ends.iter().all(|(topic, partition, end)| {
                let at = committed.find_partition(topic, *partition).map(|p| p.offset());
                *end == 0 || at == Some(Offset::Offset(*end))
            });
            if !done {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All committed records of a topic, in order of partition and offset.
    pub fn read(&self, topic: &str) -> Result<Vec<Read>, Failure> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "crash-check")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()?;
        let ends = self.ends(&[topic])?;
        let mut list = TopicPartitionList::new();
        for (topic, partition, _) in &ends {
            list.add_partition_offset(topic, *partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let (mut at_end, mut out) = (0, Vec::new());
        while at_end < ends.len() {
            match consumer
                .poll(PATIENCE)
                .ok_or_else(|| format!("nothing more comes from {topic}"))?
            {
                Ok(m) => out.push(Read {
                    partition: m.partition(),
                    offset: m.offset(),
                    key: m.key().map(<[u8]>::to_vec),
                    value: m.payload().map(<[u8]>::to_vec),
                    headers: m.headers().map_or_else(Vec::new, |headers| {
                        headers
                            .iter()
                            .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                            .collect()
                    }),
                }),
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => at_end += 1,
                Err(error) => return Err(error.into()),
            }
        }
        out.sort();
        Ok(out)
    }

    /// Runs SQL and gives the rows, columns parted by tabs.
    pub fn sql(&self, sql: &str) -> Result<String, Failure> {
        Ok(self.postgres.psql(&self.database, sql)?)
    }
}
