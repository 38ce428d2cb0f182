//! Records in Avro and Protobuf with a registry, which may go away.

use super::support::*;
use groundswell_connectors::decode::{Collection, DecoderSpec};
use groundswell_connectors::kafka::{KafkaSource, KafkaSourceSpec};
use groundswell_connectors::registry::{Encoding, Registry, RegistrySpec};
use groundswell_core::record::{Envelope, Record};
use groundswell_testing::registry::Registry as Server;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const POST: &str = r#"{"type":"record","name":"Post","fields":[
    {"name":"id","type":"string"},{"name":"text","type":"string"},{"name":"score","type":["null","long"],"default":null},
    {"name":"created_at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
/// What the same subject becomes later.
const LATER: &str = r#"{"type":"record","name":"Post","fields":[
    {"name":"id","type":"string"},{"name":"text","type":"string"},{"name":"score","type":["null","long"],"default":null},
    {"name":"created_at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"lang","type":"string","default":"en"}]}"#;

/// A record as the Avro serializer of any client writes it; `lang` where the schema has it.
fn avro(id: u32, schema: &str, post: &str, score: Option<i64>) -> Vec<u8> {
    use apache_avro::types::{Record as Fields, Value};
    let schema = apache_avro::Schema::parse_str(schema).expect("a schema");
    let mut fields = Fields::new(&schema).expect("a record");
    fields.put("id", post);
    fields.put("text", "what a game");
    fields.put(
        "score",
        match score {
            Some(score) => Value::Union(1, Box::new(Value::Long(score))),
            None => Value::Union(0, Box::new(Value::Null)),
        },
    );
    fields.put("created_at", Value::TimestampMillis(1_763_000_000_000));
    fields.put("lang", "de");
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build();
    let data = writer.expect("a writer").write_value_to_vec(fields).expect("fits");
    [&[0][..], &id.to_be_bytes(), &data].concat()
}

fn source(server: &Server, encoding: Encoding, topic: &str) -> (KafkaSource, Arc<Registry>) {
    let registry = Arc::new(Registry::new(encoding, &RegistrySpec::new(server.url())).expect("a registry"));
    registry.check(PATIENCE).expect("answers");
    let spec = KafkaSourceSpec::new("posts", cluster(), topic, DecoderSpec::new(Collection::Posts));
    let source = KafkaSource::new(spec).expect("a source");
    (source.with_registry(Arc::clone(&registry)), registry)
}

fn codes(records: &[Envelope]) -> Vec<&str> {
    let code = |e: &Envelope| match &e.record {
        Record::Dead(letter) => Some(Box::leak(letter.code.clone().into_boxed_str()) as &str),
        _ => None,
    };
    records.iter().filter_map(code).collect()
}

#[test]
fn avro_records_of_two_versions_and_garbage() {
    let (server, topic) = (Server::start().expect("a registry"), topic("avro", 1, &[]));
    let subject = format!("{topic}-value");
    let first = server
        .register(&subject, &serde_json::json!({ "schema": POST }))
        .expect("registered");
    let second = server
        .register(&subject, &serde_json::json!({ "schema": LATER }))
        .expect("registered");
    let other =
        serde_json::json!({"schemaType": "PROTOBUF", "schema": "syntax = \"proto3\"; message M { string id = 1; }"});
    let other = server.register(&unique("other"), &other).expect("registered");
    let producer = producer();
    let good = avro(first, POST, "t1_a", Some(9_007_199_254_740_993));
    let cut = &good[..good.len() - 3];
    for value in [
        Some(&good[..]),
        Some(&avro(second, LATER, "t1_b", None)[..]),
        Some(b"{\"id\":\"t1_c\"}"),
        Some(cut),
        Some(&avro(u32::MAX - 7, POST, "t1_d", None)[..]),
        Some(&avro(other, POST, "t1_e", None)[..]),
        None,
    ] {
        send(&producer, &topic, 0, "t1_a", value);
    }
    flush(&producer);
    let (source, registry) = source(&server, Encoding::Avro, &topic);
    let mut reader = Reader::start(source, &BTreeMap::new());
    reader.until_records(7);
    let (records, _) = reader.stop();
    match (&records[0].record, &records[1].record) {
        (Record::Post(a), Record::Post(b)) => {
            assert_eq!(
                (a.id.as_str(), a.votes, a.created_at),
                ("t1_a", Some(9_007_199_254_740_993), 1_763_000_000_000)
            );
            assert_eq!(
                (b.id.as_str(), b.votes, b.extra.as_deref()),
                ("t1_b", None, Some(r#"{"lang":"de"}"#))
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        codes(&records),
        ["not_framed", "schema_mismatch", "unknown_schema", "unusable_schema"]
    );
    match (&records[3].record, &records[6].record) {
        (Record::Dead(letter), Record::PostDeleted { id }) => {
            assert_eq!((letter.payload.as_slice(), id.as_str()), (cut, "t1_a"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(registry.trouble(), None);
}

#[test]
fn protobuf_records_with_a_reference() {
    let (server, topic) = (Server::start().expect("a registry"), topic("protobuf", 1, &[]));
    let common = unique("common.proto");
    let text = "syntax = \"proto3\"; package common; message Author { string name = 1; }";
    server
        .register(&common, &serde_json::json!({"schemaType": "PROTOBUF", "schema": text}))
        .expect("registered");
    let text = r#"syntax = "proto3"; import "common.proto"; import "google/protobuf/timestamp.proto";
        message Ignored {}
        message Post { string id = 1; string text = 2; google.protobuf.Timestamp created_at = 3; common.Author by = 4; }"#;
    let references = serde_json::json!([{"name": "common.proto", "subject": common, "version": 1}]);
    let body = serde_json::json!({"schemaType": "PROTOBUF", "schema": text, "references": references});
    let id = server.register(&format!("{topic}-value"), &body).expect("registered");
    let message = [
        &[2, 2][..], // the second message of the file
        &[
            10, 1, b'a', 18, 2, b'h', b'i', 26, 6, 8, 0x80, 0x80, 0xd5, 0xc8, 6, 34, 4, 10, 2, b'm', b'e',
        ],
    ]
    .concat();
    let producer = producer();
    send(
        &producer,
        &topic,
        0,
        "k",
        Some(&[&[0][..], &id.to_be_bytes(), &message].concat()),
    );
    flush(&producer);
    let (source, _) = source(&server, Encoding::Protobuf, &topic);
    let mut reader = Reader::start(source, &BTreeMap::new());
    reader.until_records(1);
    match &reader.stop().0[0].record {
        Record::Post(post) => {
            assert_eq!(
                (post.id.as_str(), post.text.as_str(), post.created_at),
                ("a", "hi", 1_763_000_320_000)
            );
            assert_eq!(post.extra.as_deref(), Some(r#"{"by":{"name":"me"}}"#));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_registry_that_is_away_is_waited_for_and_nothing_is_lost() {
    let (mut server, topic) = (Server::ours(None).expect("a registry"), topic("away", 1, &[]));
    let subject = format!("{topic}-value");
    let first = server
        .register(&subject, &serde_json::json!({ "schema": POST }))
        .expect("registered");
    let second = server
        .register(&subject, &serde_json::json!({ "schema": LATER }))
        .expect("registered");
    let producer = producer();
    let (source, registry) = source(&server, Encoding::Avro, &topic);
    let mut reader = Reader::start(source, &BTreeMap::new());
    send(&producer, &topic, 0, "k", Some(&avro(first, POST, "t1_0", None)));
    flush(&producer);
    reader.until_records(1);
    server.down();
    // The schema of the first three is known; the fourth waits, and what is behind it.
    for i in 1..8 {
        let (id, schema) = if i == 4 { (second, LATER) } else { (first, POST) };
        send(
            &producer,
            &topic,
            0,
            "k",
            Some(&avro(id, schema, &format!("t1_{i}"), None)),
        );
    }
    flush(&producer);
    reader.until_records(4);
    reader.until(|_| registry.trouble().is_some());
    // Stopping does not wait for it, and the position is before what waits.
    let (records, bindings) = reader.stop();
    assert_eq!((records.len(), bindings[&0]), (4, 4));
    let (source, registry) = {
        let registry = Arc::new(Registry::new(Encoding::Avro, &RegistrySpec::new(server.url())).expect("a registry"));
        let spec = KafkaSourceSpec::new("posts", cluster(), &topic, DecoderSpec::new(Collection::Posts));
        let source = KafkaSource::new(spec).expect("a source");
        (source.with_registry(Arc::clone(&registry)), registry)
    };
    let mut reader = Reader::start(source, &bindings);
    reader.until(|_| registry.trouble().is_some());
    std::thread::sleep(Duration::from_millis(500));
    server.up().expect("up");
    reader.until_records(4);
    let (more, bindings) = reader.stop();
    let ids: Vec<String> = posts(&[records, more].concat())
        .into_iter()
        .map(|(.., id)| id)
        .collect();
    let expected: Vec<String> = (0..8).map(|i| format!("t1_{i}")).collect();
    assert_eq!((ids, bindings[&0], registry.trouble()), (expected, 8, None));
}
