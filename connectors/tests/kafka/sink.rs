//! What other clients see of a sink's topic, whatever happens to the process or the broker.

use super::support::*;
use groundswell_connectors::dlq::{Facts, Letters, Origin};
use groundswell_connectors::kafka::{Cluster, KafkaLetters, KafkaSink, KafkaSinkSpec, Step, StepHook};
use groundswell_core::acc::Acc;
use groundswell_core::id::{Dim, ModelKey, Names};
use groundswell_core::record::{DeadLetter, Header, HeaderValue};
use groundswell_core::serving::{AlertChange, AlertState, Cause, DeadChange, RowChange, Sink, TickChanges};
use groundswell_core::spec::{GroupColumn, Measure, ViewKey, ViewSpec, WindowSpec};
use groundswell_testing::kafka::{Kafka, USERS};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn view() -> ViewSpec {
    ViewSpec {
        name: "by_minute".into(),
        group_by: vec![GroupColumn::Entity],
        window: WindowSpec::Tumble { size: 60_000 },
        measures: vec![Measure::Posts],
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    }
}

fn names() -> Arc<Names> {
    let names = Names::default();
    for name in ["lebron", "curry"] {
        names.intern(name).expect("new");
    }
    Arc::new(names)
}

fn key(entity: &str) -> ViewKey {
    let mut key = ViewKey {
        start: 60_000,
        ..ViewKey::default()
    };
    key.group[0] = Dim::of(entity);
    key
}

/// Two alert states at every tick.
fn alerts(tick: u64) -> TickChanges {
    let alert = |n: u64| AlertChange {
        id: u128::from(tick / 2 * 10 + n),
        rule: "slump".into(),
        state: match tick % 2 {
            0 => AlertState::Firing,
            _ => AlertState::Resolved,
        },
        cause: Cause::Data,
        view: "by_minute".into(),
        key: key("lebron"),
        window_end: 120_000,
        resolved: None,
        value: Some(-0.5),
        threshold: Some(-0.3),
        authors: 0,
        sums: Default::default(),
        muted: false,
        posts: 20,
        at: tick,
        evidence: Vec::new(),
    };
    TickChanges {
        tick,
        alerts: vec![alert(0), alert(1)],
        ..TickChanges::default()
    }
}

/// Logical ids that the ticks up to `last` have, in order.
fn expected(last: u64) -> Vec<String> {
    let state = |tick: u64| if tick.is_multiple_of(2) { "firing" } else { "resolved" };
    let ids = (1..=last).flat_map(|tick| (0..2).map(move |n| (tick / 2 * 10 + n, tick)));
    ids.map(|(id, tick)| format!("{id:032x}/{tick}/{}", state(tick)))
        .collect()
}

fn alert_sink(spec: KafkaSinkSpec) -> KafkaSink {
    let views: Arc<[ViewSpec]> = vec![view()].into();
    KafkaSink::alerts(spec, views, names(), Arc::new(|_| None)).expect("a sink")
}

/// What a foreign client reads: committed records only, from the beginning to the end.
fn kcat(bootstrap: &str, topic: &str, format: &str) -> String {
    let mut kcat = Command::new("kcat");
    kcat.args([
        "-C",
        "-q",
        "-e",
        "-b",
        bootstrap,
        "-t",
        topic,
        "-o",
        "beginning",
        "-f",
        format,
    ]);
    output(kcat.args(["-X", "isolation.level=read_committed", "-Z"]))
}

/// Logical ids in a topic of one partition, in order.
fn logical_ids(bootstrap: &str, topic: &str) -> Vec<String> {
    let headers = kcat(bootstrap, topic, "%h\n");
    let id = |line: &str| {
        line.split(',')
            .find_map(|h| h.strip_prefix("groundswell-id=").map(str::to_owned))
    };
    headers.lines().filter_map(id).collect()
}

fn spec_at(bootstrap: &str, topic: &str) -> KafkaSinkSpec {
    KafkaSinkSpec {
        partitions: Some(1),
        ..KafkaSinkSpec::new("test", topic, Cluster::new(bootstrap), topic)
    }
}

fn sink_spec(topic: &str) -> KafkaSinkSpec {
    spec_at(broker().bootstrap(), topic)
}

const LAST: u64 = 6;

/// Run as a process of its own by the next test: writes ticks until the step it is told to stop at.
#[test]
#[ignore = "started by another test"]
fn child_that_writes() {
    let Ok(told) = std::env::var("GROUNDSWELL_CHILD") else {
        return;
    };
    let told: Vec<&str> = told.split(' ').collect();
    let [bootstrap, topic, step, at] = told[..] else {
        panic!("{told:?}")
    };
    let at: u64 = at.parse().expect("a tick");
    let armed = Arc::new(AtomicBool::new(false));
    let (hook, stop) = (Arc::clone(&armed), step.to_owned());
    let on_step: StepHook = Arc::new(move |step| {
        if hook.load(Ordering::Acquire) && format!("{step:?}") == stop {
            println!("\nstopped");
            loop {
                std::thread::park();
            }
        }
    });
    let on_step = Some(on_step);
    let mut sink = alert_sink(KafkaSinkSpec {
        on_step,
        ..spec_at(bootstrap, topic)
    });
    for tick in sink.upper().unwrap_or(0) + 1..=LAST {
        armed.store(tick == at, Ordering::Release);
        sink.apply(&alerts(tick)).expect("written");
    }
    println!("\ndone");
}

/// Starts the process above, waits for its word, and kills it as `kill -9` does.
fn run_child(topic: &str, step: &str, at: u64) -> String {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["kafka::sink::child_that_writes", "--exact", "--ignored", "--nocapture"])
        .env(
            "GROUNDSWELL_CHILD",
            format!("{} {topic} {step} {at}", broker().bootstrap()),
        )
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let lines = BufReader::new(child.stdout.take().expect("piped"))
        .lines()
        .map_while(Result::ok);
    let word = lines.into_iter().find(|line| line == "stopped" || line == "done");
    child.kill().expect("killed");
    child.wait().expect("gone");
    word.expect("a word")
}

#[test]
fn a_kill_at_any_step_neither_loses_nor_repeats_an_alert() {
    for step in Step::ALL {
        let topic = unique("killed");
        let step = format!("{step:?}");
        // Killed twice at the same place, once more elsewhere, then left alone.
        for at in [3, 3, 5] {
            let word = run_child(&topic, &step, at);
            // A commit that nobody heard of is found by the next start, which does not come to that tick again.
            assert!(word == "stopped" || step == "Committed", "{step} at {at}: {word}");
        }
        assert_eq!(run_child(&topic, "none", 0), "done");
        assert_eq!(logical_ids(broker().bootstrap(), &topic), expected(LAST), "{step}");
    }
}

#[test]
fn a_zombie_is_fenced_even_in_the_middle_of_a_transaction() {
    let topic = unique("fenced");
    let (reached, wait) = crossbeam_channel::bounded::<()>(0);
    let (release, go) = crossbeam_channel::bounded::<()>(0);
    let armed = Arc::new(AtomicBool::new(false));
    let hook = Arc::clone(&armed);
    let on_step: StepHook = Arc::new(move |step| {
        if step == Step::Marked && hook.swap(false, Ordering::AcqRel) {
            reached.send(()).expect("told");
            go.recv().expect("released");
        }
    });
    let on_step = Some(on_step);
    let mut zombie = alert_sink(KafkaSinkSpec {
        on_step,
        ..sink_spec(&topic)
    });
    zombie.apply(&alerts(1)).expect("written");
    armed.store(true, Ordering::Release);
    let zombie = std::thread::spawn(move || {
        let fenced = zombie.apply(&alerts(2)).expect_err("somebody else writes");
        (zombie, fenced)
    });
    wait.recv().expect("in the middle");
    let mut heir = alert_sink(sink_spec(&topic));
    assert_eq!(heir.upper(), Some(1), "what the zombie left open is not committed");
    release.send(()).expect("released");
    let (mut zombie, fenced) = zombie.join().expect("no panic");
    assert!(fenced.contains("another process has taken over"), "{fenced}");
    heir.apply(&alerts(2)).expect("written");
    // It is not the one to take over again, however often it is asked.
    for _ in 0..2 {
        let again = zombie.apply(&alerts(2)).expect_err("still fenced");
        assert!(again.contains("another process has taken over"), "{again}");
    }
    heir.apply(&alerts(3)).expect("the heir is not disturbed");
    assert_eq!(logical_ids(broker().bootstrap(), &topic), expected(3));
}

#[test]
fn alerts_are_read_by_clients_that_are_not_ours() {
    let topic = unique("foreign");
    let mut sink = alert_sink(sink_spec(&topic));
    (1..=3).for_each(|tick| sink.apply(&alerts(tick)).expect("written"));
    let shown = kcat(broker().bootstrap(), &topic, "%k %T %s\n");
    let line = shown.lines().next().expect("a record");
    let (id, rest) = line.split_once(' ').expect("a key");
    let (at, value) = rest.split_once(' ').expect("a timestamp");
    assert_eq!((id, at), ("00000000000000000000000000000000", "1"));
    let alert: serde_json::Value = serde_json::from_str(value).expect("JSON");
    assert_eq!(
        (&alert["id"], &alert["state"], &alert["key"]["entity"]),
        (&id.into(), &"resolved".into(), &"lebron".into())
    );
    let Some(mut tool) = broker().tool("org.apache.kafka.tools.consumer.ConsoleConsumer") else {
        println!("skipped: GROUNDSWELL_TEST_KAFKA comes without its tools");
        return;
    };
    tool.args([
        "--bootstrap-server",
        broker().bootstrap(),
        "--topic",
        &topic,
        "--from-beginning",
    ]);
    tool.args([
        "--isolation-level",
        "read_committed",
        "--max-messages",
        "6",
        "--timeout-ms",
        "30000",
    ]);
    let theirs: Vec<String> = output(&mut tool).lines().map(str::to_owned).collect();
    let ours = kcat(broker().bootstrap(), &topic, "%s\n");
    assert_eq!(theirs, ours.lines().collect::<Vec<_>>());
}

#[test]
fn a_lagging_sink_writes_many_ticks_in_one_transaction() {
    let topic = unique("batch");
    let mut sink = alert_sink(sink_spec(&topic));
    assert_eq!(sink.upper(), None);
    let lot: Vec<Arc<TickChanges>> = (1..=50).map(|tick| Arc::new(alerts(tick))).collect();
    sink.apply_all(&lot).expect("written");
    sink.apply_all(&lot).expect("nothing to do");
    assert_eq!(sink.upper(), Some(50));
    let empty = TickChanges {
        tick: 51,
        ..TickChanges::default()
    };
    sink.apply(&empty).expect("taken");
    assert_eq!(logical_ids(broker().bootstrap(), &topic), expected(50));
    let marks = kcat(
        broker().bootstrap(),
        &format!("groundswell-test-{topic}-progress"),
        "%s\n",
    );
    assert_eq!(
        marks.lines().count(),
        3,
        "the signature, the lot, the empty tick: {marks}"
    );
    drop(sink);
    assert_eq!(alert_sink(sink_spec(&topic)).upper(), Some(51));
}

#[test]
fn a_compacted_changelog_ends_as_the_view() {
    let topic = unique("changelog");
    let names = names();
    let mut sink = KafkaSink::view(sink_spec(&topic), 1, view(), names, Arc::new(|_| None)).expect("a sink");
    let posts = |n| {
        Some(Acc {
            posts: n,
            ..Acc::default()
        })
    };
    let changes = |tick, rows: &[(&str, Option<Acc>)]| TickChanges {
        tick,
        views: vec![
            Vec::new(),
            rows.iter()
                .map(|(entity, acc)| RowChange {
                    key: key(entity),
                    acc: *acc,
                    numbers: None,
                    revision: 0,
                })
                .collect(),
        ],
        ..TickChanges::default()
    };
    sink.apply(&changes(1, &[("lebron", posts(1)), ("curry", posts(5))]))
        .expect("written");
    sink.apply(&changes(2, &[("lebron", posts(2))])).expect("written");
    sink.apply(&changes(3, &[("lebron", posts(3)), ("curry", None)]))
        .expect("written");
    // -Z prints null values as NULL.
    let mut table = BTreeMap::new();
    for line in kcat(broker().bootstrap(), &topic, "%k|%s\n").lines() {
        let (key, value) = line.split_once('|').expect("a key");
        match value {
            "NULL" => table.remove(key),
            value => table.insert(
                key.to_owned(),
                serde_json::from_str::<serde_json::Value>(value).expect("JSON"),
            ),
        };
    }
    let left: Vec<_> = table
        .iter()
        .map(|(key, row)| (key.as_str(), row["posts"].as_i64()))
        .collect();
    assert_eq!(
        left,
        [(
            r#"{"entity":"lebron","window_start":"1970-01-01T00:01:00.000Z"}"#,
            Some(3)
        )]
    );
    let admin = admin(broker().bootstrap());
    let resource = rdkafka::admin::ResourceSpecifier::Topic(&topic);
    let found = admin.describe_configs([&resource], &rdkafka::admin::AdminOptions::new());
    let found = futures::executor::block_on(found).expect("asked");
    let policy = found[0]
        .as_ref()
        .expect("told")
        .get("cleanup.policy")
        .and_then(|e| e.value.clone());
    assert_eq!(policy.as_deref(), Some("compact"));
}

fn dead(tick: u64, payload: &[u8]) -> TickChanges {
    let letter = DeadLetter {
        stage: "decode".into(),
        code: "invalid_json".into(),
        message: "expected value".into(),
        payload: payload.to_vec(),
        key: b"t1_a".to_vec(),
        id: None,
        written_at: Some(77),
        headers: vec![Header {
            name: "trace".into(),
            value: Some(HeaderValue::Text("abc".into())),
        }],
        model: Some(ModelKey(9)),
        ..DeadLetter::default()
    };
    let dead = DeadChange {
        source: "posts".into(),
        partition: 2,
        offset: tick,
        letter,
    };
    TickChanges {
        tick,
        dead: vec![dead],
        ..TickChanges::default()
    }
}

#[test]
fn dead_letters_are_the_garbage_byte_for_byte() {
    let topic = unique("dead");
    let origin = Origin {
        topics: [("posts".to_owned(), "reddit.comments".to_owned())].into(),
    };
    let known = origin.clone();
    let mut sink = KafkaSink::dead_letters(sink_spec(&topic), origin).expect("a sink");
    let large = vec![b'x'; 1 << 20];
    for (tick, payload) in (1..).zip([&b"{\"id\": \xff\n\0"[..], b"", &large]) {
        sink.apply(&dead(tick, payload)).expect("written");
    }
    let mut kcat = Command::new("kcat");
    kcat.args(["-C", "-q", "-e", "-b", broker().bootstrap(), "-t", &topic]);
    let read = kcat.args(["-o", "beginning", "-f", "%s"]).output().expect("kcat");
    let complaint = String::from_utf8_lossy(&read.stderr);
    assert!(
        read.stdout == [&b"{\"id\": \xff\n\0"[..], &large].concat(),
        "{} bytes; {complaint}",
        read.stdout.len()
    );
    let headers = output(Command::new("kcat").args([
        "-C",
        "-q",
        "-e",
        "-b",
        broker().bootstrap(),
        "-t",
        &topic,
        "-o",
        "beginning",
        "-f",
        "%k %S %h\n",
    ]));
    let lines: Vec<&str> = headers.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].starts_with("t1_a 10 ") && lines[1].starts_with("t1_a 0 ") && lines[2].starts_with("t1_a 1048576 ")
    );
    // What is read back is what was said.
    let mut letters = KafkaLetters::new(cluster(), topic.as_str());
    for most in [3, 2] {
        let mut read = Vec::new();
        letters
            .read(&mut |letter| {
                read.push(letter);
                if read.len() == most {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .expect("read");
        assert_eq!(read.len(), most);
        for (letter, tick) in read.iter().zip(1..) {
            let payload = [&b"{\"id\": \xff\n\0"[..], b"", &large][tick as usize - 1];
            let said = dead(tick, payload);
            assert_eq!(letter.facts(), Facts::of(&said.dead[0], tick, &known));
        }
    }
    for part in [
        "trace=abc",
        "groundswell-stage=decode",
        "groundswell-code=invalid_json",
        "groundswell-source=posts",
        "groundswell-topic=reddit.comments",
        "groundswell-partition=2",
        "groundswell-offset=1",
        "groundswell-timestamp=77",
        "groundswell-model=00000000000000000000000000000009",
        "groundswell-attempt=1",
        "groundswell-engine-version=",
    ] {
        assert!(lines[0].contains(part), "{part} is not in {}", lines[0]);
    }
}

/// Tries again as the engine does, until it works; gives the messages on the way.
fn insist(sink: &mut KafkaSink, changes: &TickChanges) -> Vec<String> {
    let end = Instant::now() + 2 * PATIENCE;
    let mut messages = Vec::new();
    while let Err(why) = sink.apply(changes) {
        assert!(Instant::now() < end, "{why}");
        messages.push(why);
        std::thread::sleep(Duration::from_millis(200));
    }
    messages
}

#[test]
fn a_broker_that_is_killed_or_paused_costs_nothing_but_time() {
    let mut kafka = Kafka::start().expect("a broker");
    if !kafka.is_ours() {
        println!("skipped: GROUNDSWELL_TEST_KAFKA is not ours to kill");
        return;
    }
    let topic = unique("broken");
    let mut sink = alert_sink(spec_at(kafka.bootstrap(), &topic));
    insist(&mut sink, &alerts(1));
    kafka.kill().expect("killed");
    let while_away = sink.apply(&alerts(2)).expect_err("nobody is there");
    assert!(
        while_away.contains(&topic) || while_away.contains("no broker answers"),
        "{while_away}"
    );
    kafka.restart().expect("restarted");
    insist(&mut sink, &alerts(2));
    kafka.pause().expect("paused");
    let resumed = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(8));
        kafka.resume().expect("resumed");
        kafka
    });
    insist(&mut sink, &alerts(3));
    let kafka = resumed.join().expect("no panic");
    insist(&mut sink, &alerts(4));
    assert_eq!(logical_ids(kafka.bootstrap(), &topic), expected(4));
    drop(sink);
    assert_eq!(alert_sink(spec_at(kafka.bootstrap(), &topic)).upper(), Some(4));
}

fn refused(spec: KafkaSinkSpec, parts: &[&str]) {
    let views: Arc<[ViewSpec]> = vec![view()].into();
    let error = KafkaSink::alerts(spec, views, names(), Arc::new(|_| None))
        .err()
        .expect("refused")
        .with_hint();
    for part in parts {
        assert!(error.contains(part), "\"{part}\" is not in: {error}");
    }
}

#[test]
fn what_cannot_be_written_is_named() {
    let here = broker().bootstrap();
    let quick = |brokers: &str, topic: &str| KafkaSinkSpec {
        cluster: Cluster {
            patience: Duration::from_secs(4),
            ..Cluster::new(brokers)
        },
        ..sink_spec(topic)
    };
    refused(
        quick("127.0.0.1:1", "t"),
        &["no broker answers at 127.0.0.1:1", "refused", "check `brokers`"],
    );
    let create_topics = false;
    refused(
        KafkaSinkSpec {
            create_topics,
            ..quick(here, "never-made")
        },
        &["there is no topic \"never-made\"", "create it"],
    );
    // A topic that holds something else is not taken for progress.
    let taken = topic("taken", 1, &[]);
    let producer = producer();
    send(&producer, &taken, 0, "t1_a", Some(&post("t1_a", "x")));
    flush(&producer);
    let progress_topic = taken.clone();
    refused(
        KafkaSinkSpec {
            progress_topic,
            ..quick(here, &unique("t"))
        },
        &[&taken, "offset 0", "t1_a", "`progress_topic`"],
    );
    // A record that the topic does not take.
    let small = topic("small", 1, &[("max.message.bytes", "300")]);
    let mut sink = alert_sink(sink_spec(&small));
    let error = sink.apply(&alerts(1)).expect_err("too large");
    assert!(
        error.contains(&small) && error.contains("takes no record of") && error.contains("max.message.bytes"),
        "{error}"
    );
    let Some(sasl) = broker().bootstrap_sasl() else { return };
    let (user, password) = USERS[1];
    let guest = |password: &str, topic: &str| {
        let mut spec = quick(&sasl, topic);
        let settings = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", user),
            ("sasl.password", password),
        ];
        spec.cluster.properties = settings
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        spec
    };
    refused(guest("wrong", "t"), &["refuse the credentials"]);
    refused(guest(password, &small), &["no right to", &small, "ACL"]);
}

#[test]
fn the_rights_that_the_guide_names_are_enough() {
    let Some(sasl) = broker().bootstrap_sasl() else {
        println!("skipped: the listener with credentials is ours only");
        return;
    };
    let (user, password) = USERS[2];
    let topic = unique("rights");
    let grant = |rights: &[&str]| {
        let mut acl = broker().tool("org.apache.kafka.tools.AclCommand").expect("ours");
        let principal = format!("User:{user}");
        acl.args([
            "--bootstrap-server",
            broker().bootstrap(),
            "--add",
            "--allow-principal",
            &principal,
        ]);
        output(acl.args(rights));
    };
    let spec = || {
        let mut spec = spec_at(&sasl, &topic);
        let settings = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", user),
            ("sasl.password", password),
        ];
        spec.cluster.properties = settings
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        spec
    };
    let (id, progress) = (spec().transactional_id, spec().progress_topic);
    refused(spec(), &["no right to", &topic]);
    let on = |verbs: &[&'static str], resource: &'static str, name: &str| {
        let mut rights: Vec<String> = verbs
            .iter()
            .flat_map(|v| ["--operation".to_owned(), (*v).to_owned()])
            .collect();
        rights.extend([resource.to_owned(), name.to_owned()]);
        grant(&rights.iter().map(String::as_str).collect::<Vec<_>>());
    };
    on(&["Write", "Describe", "Create"], "--topic", &topic);
    on(&["Read", "Write", "Describe", "Create"], "--topic", &progress);
    refused(spec(), &["no right to", &id]);
    on(&["Write", "Describe"], "--transactional-id", &id);
    let mut sink = alert_sink(spec());
    sink.apply(&alerts(1)).expect("written");
    drop(sink);
    assert_eq!(alert_sink(spec()).upper(), Some(1));
    // And a source, with a group to commit to.
    on(&["Read"], "--topic", &topic);
    let group = unique("rights");
    on(&["Read"], "--group", &group);
    let source = groundswell_connectors::kafka::KafkaSourceSpec {
        cluster: spec().cluster,
        group,
        ..super::support::spec(&topic)
    };
    let mut reader = Reader::of(source, &BTreeMap::new());
    reader.until_records(2);
    reader.stop();
}
