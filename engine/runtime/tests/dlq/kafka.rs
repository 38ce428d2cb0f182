//! A topic of dead letters on a real broker: keys, headers, partitions and a null value come back as they were.

use crate::world::{dlq_with, eventually, letters, rows, said};
use groundswell::config;
use groundswell::engine::Connections;
use groundswell::pipeline::{Running, start};
use groundswell_testing::kafka::Kafka;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn write(folder: &Path, map: &str) {
    let text = format!(
        "name: kafka-letters\nstate: {{url: \"file:./state\"}}\ntime: {{clock: event, tick: 20ms}}\n\
         sources:\n  posts: {{type: kafka, brokers: \"${{KAFKA}}\", topic: dlq.posts, into: posts, map: {{{map}}}}}\n\
         models: {{live: fixture}}\nviews: {{total: {{group_by: [author], window: {{tumble: 1d}}}}}}\n\
         sinks:\n  dead: {{type: kafka, brokers: \"${{KAFKA}}\", topic: dlq.dead, from: dead_letters, partitions: 3}}\n\
         serve: {{http: \"127.0.0.1:0\"}}\n"
    );
    std::fs::write(folder.join("p.yaml"), text).unwrap();
}

fn run(kafka: &Kafka, folder: &Path) -> Running {
    let env = |name: &str| (name == "KAFKA").then(|| kafka.bootstrap().to_owned());
    let text = std::fs::read_to_string(folder.join("p.yaml")).unwrap();
    let pipeline = config::parse(&text, "p.yaml", folder, &env).unwrap_or_else(|e| panic!("{e}"));
    start(&pipeline, Connections::default()).unwrap()
}

/// Writes records of one partition; an empty value is a null one.
fn produce(kafka: &Kafka, partition: &str, lines: &[String]) {
    let mut kcat = Command::new("kcat");
    kcat.args([
        "-P",
        "-Z",
        "-K",
        "\t",
        "-H",
        "trace=abc",
        "-b",
        kafka.bootstrap(),
        "-t",
        "dlq.posts",
        "-p",
        partition,
    ]);
    let mut kcat = kcat
        .stdin(Stdio::piped())
        .spawn()
        .expect("kcat is installed (scripts/setup.sh test)");
    let mut input = kcat.stdin.take().unwrap();
    lines.iter().for_each(|line| writeln!(input, "{line}").unwrap());
    drop(input);
    assert!(kcat.wait().unwrap().success());
}

fn post(id: &str, author: &str, ours: bool) -> String {
    let mut post = json!({"id": id, "author": author, "text": "love", "when": 1_767_225_660_000_i64, "v": 0});
    if ours {
        post["created_at"] = post["when"].clone();
    }
    format!("{id}\t{post}")
}

fn authors(running: &Running) -> Value {
    let rows = rows(running.addr().unwrap(), "total");
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| {
        (
            row["key"]["author"]
                .as_str()
                .or(row["author"].as_str())
                .unwrap_or_default()
                .to_owned(),
            row["posts"].clone(),
        )
    })
    .collect::<serde_json::Map<_, _>>()
    .into()
}

#[test]
fn letters_of_a_topic_are_listed_and_come_back() {
    let kafka = Kafka::start().expect("a broker");
    if !kafka.is_ours() {
        println!("skipped: this test's topics must not be there before");
        return;
    }
    kafka.create_topic("dlq.posts", 3).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let env = [("KAFKA", kafka.bootstrap())];

    // A version is mapped: a null value has none, so it cannot be accepted.
    write(folder, "version: v");
    let running = run(&kafka, folder);
    produce(&kafka, "0", &[post("a", "ann", true), "a\t".to_owned()]);
    produce(
        &kafka,
        "2",
        &[post("b", "bob", false), post("c", "cat", true), "g\toops".to_owned()],
    );
    eventually("three letters", || letters(folder, &env).len() == 3);
    eventually("two posts", || authors(&running) == json!({"ann": 1, "cat": 1}));
    running.stop().unwrap();

    let kept = letters(folder, &env);
    let find = |code: &str, partition: u64| {
        let found = kept.iter().find(|l| l["code"] == code && l["partition"] == partition);
        found.unwrap_or_else(|| panic!("{code} in {kept:?}")).clone()
    };
    let (null, bob, oops) = (
        find("missing_field", 0),
        find("missing_field", 2),
        find("invalid_json", 2),
    );
    assert_eq!(
        (&null["payload_base64"], &null["key_base64"]),
        (&json!(""), &json!("YQ=="))
    );
    for letter in [&null, &bob, &oops] {
        assert_eq!(letter["topic"], "dlq.posts");
        assert_eq!((&letter["source"], &letter["attempt"]), (&json!("posts"), &json!(1)));
        assert_eq!(letter["headers"], json!([{"name": "trace", "value": "abc"}]));
        assert_eq!(letter["engine_version"], env!("CARGO_PKG_VERSION"));
        assert!(letter["written_at"].is_string() && letter["tick"].as_u64() > Some(0));
    }
    assert_eq!(bob["payload"], post("b", "bob", false).split_once('\t').unwrap().1);
    assert_eq!(null["id"], "a");

    write(folder, "created_at: when");
    let running = run(&kafka, folder);
    let url = format!("http://{}", running.addr().unwrap());
    eventually("ready", || running.engine.status().is_replayed());
    let replay = || said(&dlq_with(folder, &env, &["replay", "p.yaml", "--url", &url])).to_owned();
    let first = replay();
    assert!(
        first.contains("2 accepted, 0 duplicate, 1 still bad, 0 refused"),
        "{first}"
    );
    assert_eq!(authors(&running), json!({"bob": 1, "cat": 1}));
    eventually("the garbage is a letter again", || letters(folder, &env).len() == 4);
    let second = replay();
    assert!(
        second.contains("0 accepted, 2 duplicate, 1 still bad, 0 refused"),
        "{second}"
    );
    assert_eq!(authors(&running), json!({"bob": 1, "cat": 1}));
    eventually("the garbage is a letter again", || letters(folder, &env).len() == 5);
    running.stop().unwrap();
    let mut again: Vec<Value> = letters(folder, &env)
        .into_iter()
        .filter(|l| l["code"] == "invalid_json")
        .collect();
    again.sort_by_key(|l| l["attempt"].as_u64());
    for (letter, attempt) in again.iter().zip(1..) {
        assert_eq!(
            (&letter["attempt"], &letter["payload"]),
            (&json!(attempt), &json!("oops"))
        );
        for field in ["headers", "written_at", "key_base64", "partition", "offset"] {
            assert_eq!(letter[field], oops[field], "{field}");
        }
    }
    assert_eq!(again.len(), 3);

    // A topic of something else is told from one of letters.
    let text = std::fs::read_to_string(folder.join("p.yaml"))
        .unwrap()
        .replace("topic: dlq.dead", "topic: dlq.posts2");
    let text = text
        .replace("topic: dlq.posts,", "topic: dlq.other,")
        .replace("dlq.posts2", "dlq.posts");
    std::fs::write(folder.join("q.yaml"), text).unwrap();
    let ended = dlq_with(folder, &env, &["list", "q.yaml"]);
    assert!(
        ended.code == Some(1) && ended.stderr.contains("no header groundswell-source"),
        "{ended:?}"
    );
}
