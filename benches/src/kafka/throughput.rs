//! Records per second from a topic that is full, and the time of a restart.

use crate::Failure;
use crate::process::Engine;
use groundswell_testing::kafka::Kafka;
use groundswell_testing::postgres::Postgres;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Posts, one JSON object a line.
    input: PathBuf,
    /// Aliases, `alias,entity` a line below a heading.
    aliases: PathBuf,
    /// Takes only the first so many posts.
    #[arg(long)]
    records: Option<usize>,
    /// Threads of the dataflow.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Writes the view to Postgres too.
    #[arg(long)]
    postgres: bool,
    /// Then stops the engine and starts it again.
    #[arg(long)]
    restart: bool,
}

/// Measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (kafka, folder) = (Kafka::start_fast()?, tempfile::tempdir()?);
    let server = arguments.postgres.then(Postgres::start).transpose()?;
    let records = fill(&kafka, arguments)?;
    let mut sinks = String::new();
    if let Some(server) = &server {
        std::fs::write(folder.path().join("url"), server.database()?)?;
        sinks = "sinks: {pg: {type: postgres, url: \"file:./url\"}}".to_owned();
    }
    std::fs::write(folder.path().join("entities.json"), entities(&arguments.aliases)?)?;
    let pipeline = folder.path().join("bench.yaml");
    let text = format!(
        r#"
name: bench
time: {{clock: event}}
link: {{fuzzy: false, inherit_from_parent: false}}
workers: {workers}
sources:
  entities: {{type: file, path: entities.json, into: entities, format: json}}
  posts: {{type: kafka, brokers: "{brokers}", topic: posts, into: posts, map: {{sentiment: sentiment, version: version}}}}
views:
  by_minute: {{group_by: [thread, entity], window: {{tumble: 1m}}, measures: [posts, weight, sentiment]}}
{sinks}
serve: false
"#,
        workers = arguments.workers,
        brokers = kafka.bootstrap(),
    );
    std::fs::write(&pipeline, text)?;
    let mut engine = Engine::start(&pipeline, "posts", records)?;
    engine.wait("ready")?;
    let before = engine.usage()?.cpu_seconds;
    let took = engine.wait("done")?;
    let used = engine.usage()?;
    #[allow(clippy::cast_precision_loss)] // some millions
    let rate = records as f64 / took;
    let to = if arguments.postgres { "Postgres" } else { "views" };
    println!(
        "Kafka to {to}, workers: {}: records={records} wall_s={took:.2} records_per_s={rate:.0} cpu_s={:.2} rss_mib={} \
         peak_rss_mib={}",
        arguments.workers,
        used.cpu_seconds - before,
        used.rss_mib,
        used.peak_rss_mib
    );
    engine.stop()?;
    if arguments.restart {
        let mut engine = Engine::start(&pipeline, "posts", 0)?;
        let took = engine.wait("ready")?;
        let used = engine.usage()?;
        println!(
            "restart: wall_s={took:.2} cpu_s={:.2} rss_mib={} peak_rss_mib={}",
            used.cpu_seconds, used.rss_mib, used.peak_rss_mib
        );
        engine.stop()?;
    }
    Ok(())
}

/// Writes the input into the topic, compressed, and gives how many records there are.
fn fill(kafka: &Kafka, arguments: &Arguments) -> Result<u64, Failure> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let topic = NewTopic::new("posts", arguments.partitions, TopicReplication::Fixed(1));
    futures::executor::block_on(admin.create_topics([&topic], &AdminOptions::new()))?;
    let producer: BaseProducer = config
        .set("compression.type", "lz4")
        .set("linger.ms", "50")
        .set("batch.size", "1000000")
        .create()?;
    let file =
        std::fs::File::open(&arguments.input).map_err(|e| format!("cannot read {}: {e}", arguments.input.display()))?;
    let mut sent = 0;
    for line in BufReader::new(file)
        .lines()
        .take(arguments.records.unwrap_or(usize::MAX))
    {
        let line = line?;
        let id = line.split('"').nth(3).ok_or("a post begins with its id")?;
        let mut record = BaseRecord::to("posts").key(id).payload(&line);
        while let Err((error, again)) = producer.send(record) {
            if !matches!(error, KafkaError::MessageProduction(_)) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(20));
            record = again;
        }
        sent += 1;
    }
    producer.flush(Duration::from_secs(120))?;
    Ok(sent)
}

/// The dictionary as records.
fn entities(aliases: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(aliases).map_err(|e| format!("cannot read {}: {e}", aliases.display()))?;
    let mut entities = BTreeMap::<&str, Vec<&str>>::new();
    for line in text.lines().skip(1) {
        let (alias, id) = line
            .split_once(',')
            .ok_or_else(|| format!("not alias,entity: {line}"))?;
        entities.entry(id).or_default().push(alias);
    }
    let records: Vec<Value> = entities
        .into_iter()
        .map(|(id, aliases)| json!({"id": id, "name": aliases[0], "aliases": aliases[1..]}))
        .collect();
    Ok(serde_json::to_string(&records)?)
}
