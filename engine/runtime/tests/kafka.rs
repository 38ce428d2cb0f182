//! A pipeline file with Kafka on all sides, run as a user runs it; other people's clients write and read.

use groundswell::config;
use groundswell::engine::Connections;
use groundswell::pipeline::{self, Running};
use groundswell_testing::kafka::Kafka;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

const PIPELINE: &str = r#"
name: live-threads
state: {url: "file:./state"}
time: {tick: 20ms}
sources:
  posts: {type: kafka, brokers: "${KAFKA}", topic: reddit.comments, into: posts, map: {sentiment: sentiment}}
  votes: {type: kafka, brokers: "${KAFKA}", topic: reddit.votes, into: votes}
  cast:  {type: file, path: cast.yaml, into: entities}
views:
  by_minute: {group_by: [entity], window: {tumble: 1m}, measures: [posts, sentiment]}
rules:
  slump: {view: by_minute, when: "sentiment < -0.3", min_posts: 2}
sinks:
  alerts:  {type: kafka, brokers: "${KAFKA}", topic: sentiment.alerts, from: rules}
  changes: {type: kafka, brokers: "${KAFKA}", topic: sentiment.by-minute, from: by_minute, properties: {compression.type: zstd}}
  dead:    {type: kafka, brokers: "${KAFKA}", topic: reddit.dead, from: dead_letters}
serve: false
"#;

fn run(kafka: &Kafka, folder: &Path) -> Running {
    let env = |name: &str| (name == "KAFKA").then(|| kafka.bootstrap().to_owned());
    let pipeline = config::parse(PIPELINE, "pipeline.yaml", folder, &env).expect("a pipeline");
    pipeline::start(&pipeline, Connections::default()).expect("started")
}

fn write(kafka: &Kafka, topic: &str, lines: &[String]) {
    let mut kcat = Command::new("kcat");
    // An empty value is a null one.
    kcat.args(["-P", "-Z", "-K", "\t", "-b", kafka.bootstrap(), "-t", topic]);
    let mut kcat = kcat.stdin(Stdio::piped()).spawn().expect("kcat is installed");
    let mut input = kcat.stdin.take().expect("piped");
    lines
        .iter()
        .for_each(|line| writeln!(input, "{line}").expect("written"));
    drop(input);
    assert!(kcat.wait().expect("ends").success());
}

fn read(kafka: &Kafka, topic: &str, format: &str) -> Vec<String> {
    let mut kcat = Command::new("kcat");
    kcat.args([
        "-C",
        "-q",
        "-e",
        "-Z",
        "-b",
        kafka.bootstrap(),
        "-t",
        topic,
        "-o",
        "beginning",
    ]);
    let out = kcat
        .args(["-X", "isolation.level=read_committed", "-f", format])
        .output();
    let out = out.expect("kcat is installed (scripts/setup.sh test)");
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn post(n: usize, sentiment: f64) -> String {
    format!(
        "t1_{n}\t{{\"id\":\"t1_{n}\",\"source\":\"reddit:nba\",\"thread\":\"t3_x\",\"author\":\"a\",\"text\":\"LeBron James tonight\",\
         \"sentiment\":{sentiment},\"score\":0,\"created_at\":{}}}",
        1_763_000_000_000_i64 + n as i64
    )
}

/// The table that a compacted topic comes to.
fn table(kafka: &Kafka) -> BTreeMap<String, serde_json::Value> {
    let mut table = BTreeMap::new();
    for line in read(kafka, "sentiment.by-minute", "%k|%s\n") {
        let (key, value) = line.split_once('|').expect("a key");
        match value {
            "NULL" => drop(table.remove(key)),
            row => drop(table.insert(key.to_owned(), serde_json::from_str(row).expect("JSON"))),
        }
    }
    table
}

#[test]
fn posts_votes_and_garbage_in_alerts_rows_and_dead_letters_out_over_a_restart() {
    let kafka = Kafka::start().expect("a broker");
    if !kafka.is_ours() {
        println!("skipped: this test's topics must not be there before");
        return;
    }
    for topic in ["reddit.comments", "reddit.votes"] {
        kafka.create_topic(topic, 3).expect("created");
    }
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("cast.yaml"), "lebron: {name: LeBron James}\n").expect("written");

    let running = run(&kafka, folder.path());
    let bad: Vec<String> = (0..4).map(|n| post(n, -0.9)).collect();
    write(&kafka, "reddit.comments", &bad);
    write(&kafka, "reddit.comments", &["t1_g\t{\"id\": oops".to_owned()]);
    // The minute is long over, and the next one was silent.
    wait("an alert fires and resolves", || {
        read(&kafka, "sentiment.alerts", "%s\n").len() == 2
    });
    wait("the garbage is told", || {
        read(&kafka, "reddit.dead", "%s\n") == ["{\"id\": oops"]
    });
    running.stop().expect("stopped");

    // While nobody runs: two posts are deleted, and others are voted up.
    write(
        &kafka,
        "reddit.comments",
        &["t1_0\t".to_owned(), "t1_1\t".to_owned(), post(4, 0.9)],
    );
    let vote = "t1_4\t{\"id\":\"t1_4\",\"score\":100000,\"observed_at\":1763000001000}".to_owned();
    write(&kafka, "reddit.votes", &[vote]);
    let running = run(&kafka, folder.path());
    wait("the alert is retracted", || {
        read(&kafka, "sentiment.alerts", "%s\n").len() == 3
    });
    wait("the row has three posts", || {
        table(&kafka).values().any(|row| row["posts"] == 3)
    });
    running.stop().expect("stopped");

    let alerts: Vec<serde_json::Value> = read(&kafka, "sentiment.alerts", "%s\n")
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let states: Vec<_> = alerts.iter().map(|alert| &alert["state"]).collect();
    assert_eq!(states, ["firing", "resolved", "retracted"]);
    for alert in &alerts {
        assert_eq!(
            (&alert["id"], &alert["key"]["entity"]),
            (&alerts[0]["id"], &"lebron".into())
        );
    }
    let rows = table(&kafka);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let headers = read(&kafka, "reddit.dead", "%h\n").concat();
    assert!(
        headers.contains("groundswell-topic=reddit.comments") && headers.contains("groundswell-code=invalid_json"),
        "{headers}"
    );
    let mut groups = kafka
        .tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand")
        .expect("ours");
    groups.args([
        "--bootstrap-server",
        kafka.bootstrap(),
        "--describe",
        "--group",
        "groundswell-live-threads-posts",
    ]);
    let shown = String::from_utf8(groups.output().expect("runs").stdout).expect("text");
    assert!(shown.contains("reddit.comments"), "{shown}");
    // A client nobody here wrote reads what kcat reads.
    let mut console = kafka
        .tool("org.apache.kafka.tools.consumer.ConsoleConsumer")
        .expect("ours");
    console.args(["--bootstrap-server", kafka.bootstrap(), "--topic", "sentiment.alerts"]);
    console.args(["--from-beginning", "--isolation-level", "read_committed"]);
    console.args(["--max-messages", "3", "--timeout-ms", "20000"]);
    let shown = String::from_utf8(console.output().expect("runs").stdout).expect("text");
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines, read(&kafka, "sentiment.alerts", "%s\n"));
}
