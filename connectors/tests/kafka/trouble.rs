//! Bad input and broken clusters: each has a name and says what to do.

use super::support::*;
use groundswell_connectors::kafka::{Cluster, KafkaSourceSpec};
use groundswell_testing::kafka::{Kafka, SCRAM_USER, USERS};
use std::collections::BTreeMap;
use std::time::Duration;

fn with(topic: &str, brokers: &str, properties: &[(&str, &str)]) -> KafkaSourceSpec {
    let properties = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let cluster = Cluster {
        properties: properties.collect(),
        patience: Duration::from_secs(5),
        ..Cluster::new(brokers)
    };
    KafkaSourceSpec { cluster, ..spec(topic) }
}

fn complains(spec: KafkaSourceSpec, resume: &[(u32, u64)], parts: &[&str]) {
    let error = Reader::of(spec, &resume.iter().copied().collect()).error().to_string();
    for part in parts {
        assert!(error.contains(part), "\"{part}\" is not in: {error}");
    }
}

#[test]
fn brokers_and_topics_that_are_not_there_are_named() {
    let brokers = groundswell_testing::port::free().expect("a port").to_string();
    complains(
        with("t", &brokers, &[]),
        &[],
        &["no broker answers", &brokers, "refused", "check `brokers`"],
    );
    complains(
        with("t", "no-such-host.invalid:9092", &[]),
        &[],
        &["no broker answers", "no-such-host.invalid", "resolve"],
    );
    let here = broker().bootstrap();
    complains(
        with("no-such-topic", here, &[]),
        &[],
        &["there is no topic \"no-such-topic\"", here, "create it"],
    );
    let wrong = [("fetch.max.bytes", "lots")];
    complains(with("t", here, &wrong), &[], &["property \"fetch.max.bytes\""]);
}

#[test]
fn partitions_that_are_gone_are_named() {
    let topic = topic("shrunk", 2, &[]);
    let resume = [(0, 0), (2, 17)];
    complains(
        spec(&topic),
        &resume,
        &[&topic, "has 2 partitions", "partition 2", "offset 17", "new name"],
    );
    complains(
        spec(&topic),
        &[(0, 5)],
        &["ends at offset 0", "read up to 5", "made anew"],
    );
    let start = groundswell_connectors::kafka::Start::Offsets([(7, 1)].into());
    complains(
        KafkaSourceSpec { start, ..spec(&topic) },
        &[],
        &["`start` names partition 7"],
    );
}

fn sasl<'a>(mechanism: &'a str, user: &'a str, password: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", mechanism),
        ("sasl.username", user),
        ("sasl.password", password),
    ]
}

#[test]
fn credentials_are_used_and_refusals_named() {
    let Some(brokers) = broker().bootstrap_sasl() else {
        println!("skipped: the listener with credentials is ours only");
        return;
    };
    let topic = topic("secret", 1, &[]);
    let producer = producer();
    send(&producer, &topic, 0, "t1_a", Some(&post("t1_a", "x")));
    flush(&producer);
    for (mechanism, (user, password)) in [("PLAIN", USERS[0]), ("SCRAM-SHA-256", SCRAM_USER)] {
        let mut reader = Reader::of(
            with(&topic, &brokers, &sasl(mechanism, user, password)),
            &BTreeMap::new(),
        );
        reader.until_records(1);
        reader.stop();
        let spec = with(&topic, &brokers, &sasl(mechanism, user, "wrong"));
        complains(spec, &[], &["refuse the credentials", &brokers, "sasl.password"]);
    }
    let (user, password) = USERS[1];
    // A broker that keeps a topic secret says that it is not there, or that reading it is not allowed.
    complains(
        with(&topic, &brokers, &sasl("PLAIN", user, password)),
        &[],
        &["no right to read topic", &topic, "ACL"],
    );
    // A listener that wants TLS or SASL, met without.
    complains(
        with(&topic, broker().bootstrap(), &[("security.protocol", "SSL")]),
        &[],
        &["no TLS connection to", broker().bootstrap(), "a plaintext one"],
    );
}

#[test]
fn a_broker_that_goes_away_is_waited_for() {
    let mut kafka = Kafka::start().expect("a broker");
    if !kafka.is_ours() {
        println!("skipped: GROUNDSWELL_TEST_KAFKA is not ours to kill");
        return;
    }
    let topic = topic_at(&kafka, "away", 1, &[]);
    let write = |kafka: &Kafka, range: std::ops::Range<u32>| {
        let producer = producer_at(kafka, &[]);
        for i in range {
            let id = format!("t1_{i}");
            send(&producer, &topic, 0, &id, Some(&post(&id, "x")));
        }
        flush(&producer);
    };
    write(&kafka, 0..10);
    let spec = KafkaSourceSpec {
        cluster: Cluster::new(kafka.bootstrap()),
        ..spec(&topic)
    };
    let mut reader = Reader::of(spec, &BTreeMap::new());
    reader.until_records(10);
    // About as long as the brokers' session: fenced meanwhile, it may say for a moment that there are no brokers at all.
    for pause in 1..5 {
        kafka.pause().expect("paused");
        std::thread::sleep(Duration::from_millis(1_700 + u64::from(pause) * 100));
        kafka.resume().expect("resumed");
        write(&kafka, pause * 10..pause * 10 + 10);
        reader.until_records(pause as usize * 10 + 10);
    }
    kafka.restart().expect("restarted");
    write(&kafka, 50..60);
    reader.until_records(60);
    let read: Vec<u64> = posts(&reader.stop().0).iter().map(|(_, offset, _)| *offset).collect();
    assert_eq!(read, (0..60).collect::<Vec<_>>());
}
