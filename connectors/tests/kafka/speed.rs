//! How fast a source reads; run by hand:
//! `cargo test --release -p groundswell-connectors --test kafka speed -- --ignored --nocapture`.

use super::support::*;
use groundswell_connectors::kafka::{Cluster, KafkaSource, KafkaSourceSpec};
use groundswell_core::source::{Durable, Source, SourceContext, StopFlag};
use groundswell_testing::kafka::Kafka;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Instant;

/// Processor seconds of a thread, from the kernel's count of its running time.
fn thread_cpu(id: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).unwrap_or_default();
    let nanos: f64 = text
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or_default();
    nanos / 1e9
}

#[test]
#[ignore = "a measurement"]
fn speed_of_reading_and_decoding_posts() {
    let count: usize = std::env::var("GROUNDSWELL_RECORDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000_000);
    let kafka = Kafka::start_fast().expect("a broker");
    let topic = topic_at(&kafka, "speed", 4, &[]);
    let began = Instant::now();
    let mut bytes = 0;
    {
        let codec = std::env::var("GROUNDSWELL_CODEC").unwrap_or_else(|_| "lz4".to_owned());
        let producer = producer_at(
            &kafka,
            &[
                ("compression.type", &codec),
                ("linger.ms", "20"),
                ("batch.size", "500000"),
            ],
        );
        for i in 0..count {
            let id = format!("t1_{i:x}");
            let text = format!(
                "number {} what a game by number {} tonight, I can hardly believe how they came back in the fourth",
                i * 7,
                i % 97
            );
            let value = serde_json::json!({
                "id": id, "source": "reddit:nba", "thread": format!("t3_{:x}", i % 500), "parent": format!("t1_{:x}", i / 3),
                "author": format!("user{}", i % 30_000), "text": text, "score": i % 50, "created_at": 1_700_000_000_000_usize + i,
            });
            let value = value.to_string();
            bytes += value.len();
            send(&producer, &topic, (i % 4) as i32, &id, Some(value.as_bytes()));
        }
        flush(&producer);
    }
    println!(
        "wrote {count} records of {} bytes in {:.1?}",
        bytes / count,
        began.elapsed()
    );
    let spec = KafkaSourceSpec {
        cluster: Cluster::new(kafka.bootstrap()),
        ..spec(&topic)
    };
    for _ in 0..3 {
        let source = KafkaSource::new(spec.clone()).expect("a source");
        let (out, batches) = crossbeam_channel::bounded(8);
        let stop = StopFlag::default();
        let context = SourceContext {
            source: 0,
            resume: Vec::new(),
            out,
            stop: stop.clone(),
            names: Arc::default(),
            horizon: Arc::new(AtomicI64::new(i64::MIN)),
            durable: Durable::default(),
        };
        let (hello, id) = crossbeam_channel::bounded(1);
        let thread = std::thread::spawn(move || {
            let link = std::fs::read_link("/proc/thread-self").expect("linux");
            hello
                .send(link.file_name().expect("id").to_string_lossy().into_owned())
                .expect("told");
            Box::new(source).run(context)
        });
        let id = id.recv().expect("told");
        let (mut read, mut sent, mut first) = (0, 0, None);
        while read < count {
            let batch = batches.recv().expect("the source runs");
            if !batch.records.is_empty() && first.is_none() {
                first = Some((Instant::now(), thread_cpu(&id)));
            }
            read += batch.records.len();
            sent += 1;
        }
        let (at, cpu) = first.expect("read");
        let (wall, cpu) = (at.elapsed().as_secs_f64(), thread_cpu(&id) - cpu);
        stop.stop();
        drop(batches);
        thread.join().expect("no panic").expect("no error");
        println!(
            "read {count} in {wall:.2} s: {:.0}k records/s, {:.0}k per processor second of the source's thread, {sent} batches",
            count as f64 / wall / 1e3,
            count as f64 / cpu / 1e3
        );
    }
}
