//! A topic in Avro: what needs the registry, and what does not. A restart restores without it, health says that it is away,
//! and letters are given back once their schema is known.

use crate::program::get;
use crate::world::{dlq_with, eventually, letters, ready, rows, said};
use groundswell::config;
use groundswell::engine::Connections;
use groundswell::pipeline::{Running, start};
use groundswell_testing::kafka::Kafka;
use groundswell_testing::registry::Registry;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const FIELDS: &str = r#"{"name":"id","type":"string"},{"name":"author","type":"string"},{"name":"text","type":"string"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}"#;

fn run(kafka: &Kafka, registry: &Registry, folder: &Path) -> Running {
    let env = |name: &str| match name {
        "KAFKA" => Some(kafka.bootstrap().to_owned()),
        "REGISTRY" => Some(registry.url().to_owned()),
        _ => None,
    };
    let text = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
    let pipeline = config::parse(&text, "p.yaml", folder, &env).unwrap_or_else(|e| panic!("{e}"));
    start(&pipeline, Connections::default()).unwrap()
}

fn register(registry: &Registry, fields: &str) -> u32 {
    let schema = format!(r#"{{"type":"record","name":"Post","fields":[{fields}]}}"#);
    registry
        .register("avro.posts-value", &json!({ "schema": schema }))
        .unwrap()
}

/// A record of these strings, written on the first of January 2026.
fn record(schema: u32, strings: &[&str]) -> Vec<u8> {
    let mut record = [&[0][..], &schema.to_be_bytes()].concat();
    for text in strings {
        record.push(u8::try_from(text.len()).unwrap() * 2);
        record.extend_from_slice(text.as_bytes());
    }
    // 1767225660000
    record.extend_from_slice(&[0xc0, 0xc9, 0xdc, 0xed, 0xee, 0x66]);
    record
}

fn produce(kafka: &Kafka, folder: &Path, value: &[u8]) {
    let file = folder.join("value.bin");
    std::fs::write(&file, value).unwrap();
    let mut kcat = Command::new("kcat");
    kcat.args(["-P", "-b", kafka.bootstrap(), "-t", "avro.posts", "-p", "0", "-k", "k"]);
    assert!(
        kcat.arg(&file)
            .status()
            .expect("kcat is installed (scripts/setup.sh test)")
            .success()
    );
}

fn posts(running: &Running) -> u64 {
    let rows = rows(running.addr().unwrap(), "total");
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| row["posts"].as_u64().unwrap_or(0))
        .sum()
}

#[test]
fn letters_of_unknown_schemas_come_back_and_restoring_needs_no_registry() {
    let kafka = Kafka::start().expect("a broker");
    if !kafka.is_ours() {
        println!("skipped: this test's topics must not be there before");
        return;
    }
    kafka.create_topic("avro.posts", 1).unwrap();
    // One of our own, since it has to go away.
    let mut registry = Registry::ours(None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = "name: avro-letters\nstate: {url: \"file:./state\"}\ntime: {clock: event, tick: 20ms}\n\
         sources:\n  posts:\n    type: kafka\n    brokers: \"${KAFKA}\"\n    topic: avro.posts\n    into: posts\n    format: avro\n    \
         registry: {url: \"${REGISTRY}\", timeout: 1s}\n    map: {created_at: at}\n\
         models: {live: fixture}\nviews: {total: {group_by: [author], window: {tumble: 1d}}}\n\
         sinks:\n  dead: {type: file, path: dead.jsonl, from: dead_letters}\nserve: {http: \"127.0.0.1:0\"}\n";
    std::fs::write(folder.join("p.yaml"), text).unwrap();
    let url = registry.url().to_owned();
    let env = [("KAFKA", kafka.bootstrap()), ("REGISTRY", url.as_str())];

    let known = register(&registry, FIELDS);
    let running = run(&kafka, &registry, folder);
    produce(&kafka, folder, &record(known, &["a", "ann", "love"]));
    let unknown = record(known + 1, &["new", "b", "bob", "love"]);
    produce(&kafka, folder, &unknown);
    eventually("a letter", || letters(folder, &env).len() == 1);
    eventually("a post", || posts(&running) == 1);
    running.stop().unwrap();
    assert_eq!(letters(folder, &env)[0]["code"], "unknown_schema");

    registry.down();
    let running = run(&kafka, &registry, folder);
    let addr = running.addr().unwrap();
    ready(addr);
    assert_eq!(posts(&running), 1);
    let health: Value = serde_json::from_str(&get(addr, "/health")).unwrap();
    let source = &health["services"]["source posts"];
    assert_eq!(
        (&health["status"], &source["healthy"]),
        (&json!("degraded"), &json!(false)),
        "{health}"
    );
    assert!(
        source["status"].as_str().unwrap().contains("does not answer"),
        "{health}"
    );
    let at = format!("http://{addr}");
    let replay = |more: &[&str]| {
        dlq_with(
            folder,
            &env,
            &[&["replay", "p.yaml", "--url", at.as_str()], more].concat(),
        )
    };
    let refused = replay(&[]);
    assert_eq!(refused.code, Some(3), "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("does not answer"), "{}", refused.stderr);
    // What comes meanwhile waits.
    produce(&kafka, folder, &record(known, &["c", "cat", "love"]));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(posts(&running), 1);

    registry.up().unwrap();
    let later = register(&registry, &format!(r#"{{"name":"lang","type":"string"}},{FIELDS}"#));
    assert_eq!(later, known + 1);
    eventually("what waited", || posts(&running) == 2);
    let replayed = replay(&[]);
    assert!(said(&replayed).contains("accepted"), "{}", replayed.stdout);
    eventually("the letter's post", || posts(&running) == 3);
    let health: Value = serde_json::from_str(&get(addr, "/health")).unwrap();
    assert_eq!(health["services"]["source posts"]["healthy"], json!(true), "{health}");
    running.stop().unwrap();
}
