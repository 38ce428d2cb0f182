//! What a source reads, and where it goes on.

use super::support::*;
use groundswell_connectors::kafka::{KafkaSource, KafkaSourceSpec, OnGap, Share, Start};
use groundswell_connectors::metrics::Metrics;
use groundswell_core::record::{HeaderValue, Record};
use rdkafka::admin::AdminOptions;
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

fn fill(topic: &str, partitions: i32, range: std::ops::Range<usize>) {
    let producer = producer();
    for i in range {
        let id = format!("t1_{i}");
        send(
            &producer,
            topic,
            i as i32 % partitions,
            &id,
            Some(&post(&id, "what a game")),
        );
    }
    flush(&producer);
}

#[test]
fn every_record_of_every_partition_is_read_once_over_restarts() {
    let topic = topic("round-trip", 3, &[]);
    fill(&topic, 3, 0..300);
    let mut reader = Reader::of(spec(&topic), &BTreeMap::new());
    reader.until_records(300);
    let (mut records, bindings) = reader.stop();
    assert_eq!(bindings, [(0, 100), (1, 100), (2, 100)].into());

    fill(&topic, 3, 300..420);
    let mut reader = Reader::of(spec(&topic), &bindings);
    reader.until_records(120);
    let (more, bindings) = reader.stop();
    assert_eq!(bindings, [(0, 140), (1, 140), (2, 140)].into());
    records.extend(more);

    let read = posts(&records);
    assert_eq!(read.len(), 420);
    for partition in 0..3 {
        let of: Vec<_> = read.iter().filter(|(p, ..)| *p == partition).collect();
        assert!(
            of.iter().zip(0..).all(|((_, offset, _), n)| *offset == n),
            "in order, none twice"
        );
        assert!(
            of.iter()
                .zip(0..)
                .all(|((.., id), n)| *id == format!("t1_{}", 3 * n + partition as usize))
        );
    }
    assert!(records.iter().all(|e| e.order == e.offset));
}

#[test]
fn a_null_value_deletes_and_what_cannot_be_read_is_kept_with_all_that_came() {
    let topic = topic("bad", 1, &[]);
    let producer = producer();
    send(&producer, &topic, 0, "t1_a", Some(&post("t1_a", "good")));
    send(&producer, &topic, 0, "t1_a", None);
    send_at(&producer, &topic, 0, "t1_b", Some(b"{\"id\": \xff"), Some(1_234));
    send(&producer, &topic, 0, "t1_c", Some(&post("t1_c", &"x".repeat(5_000))));
    send(&producer, &topic, 0, "t1_d", Some(b""));
    flush(&producer);
    let mut spec = spec(&topic);
    spec.decoder.max_bytes = 4_096;
    let mut reader = Reader::of(spec, &BTreeMap::new());
    reader.until_records(5);
    let (records, _) = reader.stop();
    assert!(
        matches!(&records[1].record, Record::PostDeleted { id } if id == "t1_a"),
        "{:?}",
        records[1]
    );
    let dead: Vec<_> = records[2..]
        .iter()
        .map(|e| match &e.record {
            Record::Dead(letter) => letter,
            other => panic!("{other:?}"),
        })
        .collect();
    let codes: Vec<&str> = dead.iter().map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["invalid_utf8", "too_large", "invalid_json"]);
    assert_eq!(
        (dead[0].payload.as_slice(), dead[0].key.as_slice()),
        (&b"{\"id\": \xff"[..], &b"t1_b"[..])
    );
    assert_eq!((dead[0].written_at, dead[0].id.as_deref()), (Some(1_234), Some("t1_b")));
    assert_eq!(dead[0].headers[0].name, "trace");
    assert_eq!(dead[0].headers[0].value, Some(HeaderValue::Text("abc".into())));
    assert_eq!(dead[1].payload, post("t1_c", &"x".repeat(5_000)));
}

#[test]
fn starts_are_where_they_say_and_stay_there() {
    let topic = topic("starts", 2, &[]);
    let producer = producer();
    for (i, at) in [(0, 1_000), (1, 1_000), (2, 2_000), (3, 2_000), (4, 3_000)] {
        let id = format!("t1_{i}");
        send_at(&producer, &topic, i % 2, &id, Some(&post(&id, "x")), Some(at));
    }
    flush(&producer);
    let started = |start: Start, count: usize| {
        let mut reader = Reader::of(KafkaSourceSpec { start, ..spec(&topic) }, &BTreeMap::new());
        reader.until(|r| r.records.len() >= count && r.bindings.len() == 2);
        let (records, bindings) = reader.stop();
        let mut ids: Vec<_> = posts(&records).into_iter().map(|(.., id)| id).collect();
        ids.sort();
        (ids.join(" "), bindings)
    };
    assert_eq!(started(Start::Earliest, 5).0, "t1_0 t1_1 t1_2 t1_3 t1_4");
    assert_eq!(started(Start::Timestamp(2_000), 3).0, "t1_2 t1_3 t1_4");
    assert_eq!(started(Start::Timestamp(2_500), 1).0, "t1_4");
    assert_eq!(started(Start::Offsets([(0, 2), (1, 1)].into()), 2).0, "t1_3 t1_4");
    // "Latest" is where the end was at the first start, even where nothing was read since.
    let (ids, latest) = started(Start::Latest, 0);
    assert_eq!((ids.as_str(), &latest), ("", &[(0, 3), (1, 2)].into()));
    fill(&topic, 2, 5..7);
    let again = KafkaSourceSpec {
        start: Start::Latest,
        ..spec(&topic)
    };
    let mut reader = Reader::of(again, &latest);
    reader.until_records(2);
    assert_eq!(posts(&reader.stop().0).len(), 2);
}

#[test]
fn new_partitions_are_found_and_read_from_their_beginning() {
    let topic = topic("grows", 1, &[]);
    fill(&topic, 1, 0..5);
    let start = Start::Latest;
    let mut reader = Reader::of(KafkaSourceSpec { start, ..spec(&topic) }, &BTreeMap::new());
    reader.until(|r| r.bindings.get(&0) == Some(&5));
    grow(&topic, 3);
    fill(&topic, 3, 5..35);
    reader.until_records(30);
    let (records, bindings) = reader.stop();
    assert_eq!(
        (records.len(), bindings.clone()),
        (30, [(0, 15), (1, 10), (2, 10)].into())
    );
    // One that grew while nobody looked, too.
    grow(&topic, 4);
    let producer = producer();
    send(&producer, &topic, 3, "t1_new", Some(&post("t1_new", "x")));
    flush(&producer);
    let mut reader = Reader::of(spec(&topic), &bindings);
    reader.until_records(1);
    assert_eq!(posts(&reader.stop().0), [(3, 0, "t1_new".to_owned())]);
}

#[test]
fn shares_of_a_topic_cover_it_without_overlap() {
    let topic = topic("shares", 4, &[]);
    fill(&topic, 4, 0..40);
    let read = |index| {
        let share = Share { index, of: 2 };
        let mut reader = Reader::of(KafkaSourceSpec { share, ..spec(&topic) }, &BTreeMap::new());
        reader.until_records(20);
        let (records, _) = reader.stop();
        let mut partitions: Vec<u32> = posts(&records).iter().map(|(p, ..)| *p).collect();
        partitions.dedup();
        partitions.sort();
        partitions.dedup();
        (records.len(), partitions)
    };
    assert_eq!((read(0), read(1)), ((20, vec![0, 2]), (20, vec![1, 3])));
}

#[test]
fn aborted_transactions_are_not_read_and_their_ends_are_no_lag() {
    let topic = topic("transactions", 1, &[]);
    let id = unique("writer");
    let writer = producer_at(broker(), &[("transactional.id", &id)]);
    writer.init_transactions(PATIENCE).expect("ready");
    for (i, commit) in [(0, true), (1, false), (2, true), (3, false)] {
        writer.begin_transaction().expect("begun");
        let id = format!("t1_{i}");
        send(&writer, &topic, 0, &id, Some(&post(&id, "x")));
        flush(&writer);
        match commit {
            true => writer.commit_transaction(PATIENCE).expect("committed"),
            false => writer.abort_transaction(PATIENCE).expect("aborted"),
        }
    }
    let metrics = Metrics::new().expect("metrics");
    let source = KafkaSource::new(spec(&topic))
        .expect("a source")
        .with_metrics(metrics.source("posts"));
    let mut reader = Reader::start(source, &BTreeMap::new());
    // Four records and four ends of transactions: the position moves past the last of them.
    reader.until(|r| r.bindings.get(&0) == Some(&8));
    assert_eq!(posts(&reader.stop().0).len(), 2);
    let text = metrics.text().expect("text");
    let lag = text
        .lines()
        .find(|l| l.starts_with("groundswell_source_lag_records{"))
        .expect("there");
    assert!(lag.ends_with(" 0"), "{lag}");
}

#[test]
fn the_group_follows_what_is_durable() {
    let topic = topic("group", 1, &[]);
    fill(&topic, 1, 0..10);
    let group = unique("lag");
    let spec = KafkaSourceSpec {
        group: group.clone(),
        ..spec(&topic)
    };
    let mut reader = Reader::of(spec, &BTreeMap::new());
    reader.until_records(10);
    reader.durable.advance(&groundswell_core::record::Binding {
        source: 0,
        partition: 0,
        next: 7,
    });
    let Some(mut tool) = broker().tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand") else {
        println!("skipped: GROUNDSWELL_TEST_KAFKA comes without its tools");
        return;
    };
    tool.args([
        "--bootstrap-server",
        broker().bootstrap(),
        "--describe",
        "--group",
        &group,
    ]);
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let shown = String::from_utf8(tool.output().expect("runs").stdout).expect("text");
        // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG …
        let row = shown
            .lines()
            .find(|l| l.contains(&topic))
            .map(|l| l.split_whitespace().collect::<Vec<_>>());
        if row.is_some_and(|r| r[3..6] == ["7", "10", "3"]) {
            break;
        }
        assert!(std::time::Instant::now() < end, "{shown}");
        std::thread::sleep(Duration::from_millis(200));
    }
    reader.stop();
}

fn delete_before(topic: &str, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset))
        .expect("added");
    let admin = admin(broker().bootstrap());
    futures::executor::block_on(admin.delete_records(&list, &AdminOptions::new())).expect("deleted");
}

#[test]
fn records_that_retention_removed_are_an_error_or_skipped_as_asked() {
    let topic = topic("gap", 1, &[]);
    fill(&topic, 1, 0..20);
    let read: BTreeMap<u32, u64> = [(0, 5)].into();
    delete_before(&topic, 12);
    let error = Reader::of(spec(&topic), &read).error().to_string();
    for part in [
        "7 records",
        &topic,
        "partition 0",
        "offset 5",
        "is 12",
        "on_gap: earliest",
    ] {
        assert!(error.contains(part), "\"{part}\" is not in: {error}");
    }
    let on_gap = OnGap::Earliest;
    let mut reader = Reader::of(KafkaSourceSpec { on_gap, ..spec(&topic) }, &read);
    reader.until_records(8);
    let (records, bindings) = reader.stop();
    assert_eq!((posts(&records)[0].1, bindings[&0]), (12, 20));
    // Where nothing was read yet there is no gap.
    let mut reader = Reader::of(spec(&topic), &BTreeMap::new());
    reader.until_records(8);
    assert_eq!(reader.stop().0.len(), 8);
}

#[test]
fn foreign_compression_is_read() {
    let topic = topic("codecs", 1, &[]);
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let producer = producer_at(broker(), &[("compression.type", codec)]);
        for i in 0..20 {
            let id = format!("{codec}_{i}");
            send(
                &producer,
                &topic,
                0,
                &id,
                Some(&post(&id, &"so very alike ".repeat(20))),
            );
        }
        flush(&producer);
    }
    let mut reader = Reader::of(spec(&topic), &BTreeMap::new());
    reader.until_records(80);
    assert_eq!(posts(&reader.stop().0).len(), 80);
}
