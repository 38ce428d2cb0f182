//! A registry that answers, is asked once, is away, wants credentials, or is none.

use super::*;
use crate::decode::{Collection, Decoder, DecoderSpec};
use groundswell_core::id::Names;
use groundswell_core::record::{DeadLetter, Record};
use groundswell_testing::registry::Registry as Server;

fn avro(server: &Server, subject: &str, schema: &str) -> u32 {
    server
        .register(subject, &serde_json::json!({ "schema": schema }))
        .expect("registered")
}

fn framed(id: u32, data: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), data].concat()
}

fn decoder(server: &Server, encoding: Encoding, into: Collection) -> (Arc<Registry>, Decoder) {
    let registry = Arc::new(Registry::new(encoding, &RegistrySpec::new(server.url())).expect("a registry"));
    let decoder = Decoder::new(DecoderSpec::new(into)).expect("no map");
    (Arc::clone(&registry), decoder.with_registry(registry))
}

#[allow(clippy::result_large_err)] // as the decoder's
fn decoded(of: &(Arc<Registry>, Decoder), key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Record, DeadLetter> {
    of.0.prepare(key, value).expect("answered");
    of.1.decode(key, value, &Names::default()).map(|(record, _)| record)
}

#[test]
fn schemas_change_over_time_and_each_is_asked_for_once() {
    let server = Server::ours(None).expect("a registry");
    let first = avro(
        &server,
        "votes-value",
        r#"{"type":"record","name":"V","fields":[{"name":"id","type":"string"},{"name":"score","type":"int"},
            {"name":"observed_at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#,
    );
    // A field more at the front, one made optional, one wider and one in other units.
    let second = avro(
        &server,
        "votes-value",
        r#"{"type":"record","name":"V","fields":[{"name":"shard","type":"int"},{"name":"id","type":"string"},
            {"name":"score","type":["null","long"]},
            {"name":"observed_at","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#,
    );
    let at = 1_763_000_000_000_i64;
    let long = |n: i64| {
        let schema = apache_avro::Schema::Long;
        let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build();
        writer.expect("a writer").write_value_to_vec(n).expect("a long")
    };
    let old = framed(first, &[&[2, b'a', 84][..], &long(at)].concat());
    let new = framed(
        second,
        &[&[14, 2, b'a', 2][..], &long(i64::MAX), &long(at * 1_000)].concat(),
    );
    let hidden = framed(second, &[&[14, 2, b'a', 0][..], &long(at * 1_000)].concat());
    let of = decoder(&server, Encoding::Avro, Collection::Votes);
    for _ in 0..3 {
        for (value, votes) in [(&old, Some(42)), (&new, Some(i64::MAX)), (&hidden, None)] {
            match decoded(&of, None, Some(value)) {
                Ok(Record::Votes(read)) => {
                    assert_eq!((read.id.as_str(), read.votes, read.observed_at), ("a", votes, at));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(server.asked(), 2);
}

#[test]
fn protobuf_records_bring_imports_well_known_types_and_nested_messages() {
    let server = Server::ours(None).expect("a registry");
    let proto = |subject: &str, text: &str, references: serde_json::Value| {
        let body = serde_json::json!({"schemaType": "PROTOBUF", "schema": text, "references": references});
        server.register(subject, &body).expect("registered")
    };
    proto(
        "people%2Fv1",
        "syntax = \"proto3\"; package people; message Author { string name = 1; }",
        serde_json::json!([]),
    );
    let id = proto(
        "posts-value",
        r#"syntax = "proto3"; package reddit;
           import "people/v1.proto"; import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto";
           message Other {}
           message Outer {
             map<string, string> tags = 1;
             message Post {
               string id = 1; string text = 2; google.protobuf.Timestamp created_at = 3; optional int64 score = 4;
               google.protobuf.StringValue thread = 5; people.Author by = 6; Kind kind = 7; fixed64 large = 8; string source = 9;
             }
             enum Kind { COMMENT = 0; LINK = 1; }
           }"#,
        serde_json::json!([{"name": "people/v1.proto", "subject": "people/v1", "version": 1}]),
    );
    let seconds = [8, 0x80, 0x80, 0xd5, 0xc8, 6]; // 1763000320
    let post = [
        &[10, 1, b'a', 18, 2, b'h', b'i', 26, 6][..],
        &seconds,
        &[32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[42, 4, 10, 2, b't', b'3', 50, 4, 10, 2, b'm', b'e', 56, 1, 65],
        &9_007_199_254_740_993_u64.to_le_bytes(),
    ]
    .concat();
    // Message 0 inside message 1.
    let value = framed(id, &[&[4, 2, 0][..], &post].concat());
    let mut of = decoder(&server, Encoding::Protobuf, Collection::Posts);
    let map = crate::decode::FieldMap::default().with("author", "by.name");
    let mapped = Decoder::new(DecoderSpec::new(Collection::Posts).with_map(map)).expect("a map");
    of.1 = mapped.with_registry(Arc::clone(&of.0));
    match decoded(&of, None, Some(&value)) {
        Ok(Record::Post(read)) => {
            assert_eq!(
                (read.id.as_str(), read.text.as_str(), read.thread.as_str()),
                ("a", "hi", "t3")
            );
            assert_eq!((read.votes, read.author.as_deref()), (Some(i64::MAX), Some("me")));
            assert_eq!(read.created_at, 1_763_000_320_000);
            let extra = read.extra.expect("kept aside");
            assert!(
                extra.contains("\"kind\":\"LINK\"") && extra.contains("9007199254740993"),
                "{extra}"
            );
        }
        other => panic!("{other:?}"),
    }
    // Not sent: unknown, not none.
    let unvoted = framed(id, &[&[4, 2, 0, 10, 1, b'b', 26, 6][..], &seconds].concat());
    assert!(
        matches!(decoded(&of, None, Some(&unvoted)), Ok(Record::Post(p)) if p.votes.is_none() && p.text.is_empty())
    );
    for (data, says) in [
        (&[4, 2, 2][..], "no message at the place [1, 1]"),
        (&[4, 2], "the message's place"),
        (&[4, 2, 0, 10, 5, b'a'], "as reddit.Outer.Post"),
    ] {
        let letter = decoded(&of, None, Some(&framed(id, data))).expect_err("refused");
        assert_eq!(letter.code, "schema_mismatch");
        assert!(letter.message.contains(says), "{}", letter.message);
        assert_eq!(letter.payload, framed(id, data));
    }
}

#[test]
fn keys_with_schemas_are_ids_too() {
    let server = Server::ours(None).expect("a registry");
    let text = avro(&server, "a-key", "\"string\"");
    let object = avro(
        &server,
        "b-key",
        r#"{"type":"record","name":"K","fields":[{"name":"id","type":"long"}]}"#,
    );
    let of = decoder(&server, Encoding::Avro, Collection::Posts);
    for (key, id) in [
        (framed(text, &[4, b't', b'1']), "t1"),
        (framed(object, &[84]), "42"),
        (b"plain".to_vec(), "plain"),
    ] {
        match decoded(&of, Some(&key), None) {
            Ok(Record::PostDeleted { id: deleted }) => assert_eq!(deleted, id),
            other => panic!("{other:?}"),
        }
    }
    let letter = decoded(&of, Some(&framed(4_711, b"x")), None).expect_err("no such schema");
    assert_eq!((letter.code.as_str(), letter.id), ("unknown_schema", None));
}

#[test]
fn records_that_no_schema_explains_have_codes_of_their_own() {
    let server = Server::ours(None).expect("a registry");
    let proto = server
        .register(
            "p",
            &serde_json::json!({"schemaType": "PROTOBUF", "schema": "syntax = \"proto3\"; message M {}"}),
        )
        .expect("registered");
    let broken = avro(&server, "broken", "{\"type\":\"nonsense\"}");
    let lacking = server
        .register(
            "lacking",
            &serde_json::json!({"schema": "\"a.B\"", "references": [{"name": "a.B", "subject": "a.B", "version": 9}]}),
        )
        .expect("registered");
    let number = avro(&server, "number", "\"long\"");
    let of = decoder(&server, Encoding::Avro, Collection::Posts);
    for (value, code, says) in [
        (b"{\"id\":\"a\"}".to_vec(), "not_framed", "zero byte"),
        (framed(999, b"x"), "unknown_schema", "schema 999: the registry at http"),
        (framed(u32::MAX - 7, b"x"), "unknown_schema", "knows no such schema"),
        (
            framed(proto, b"x"),
            "unusable_schema",
            "PROTOBUF, and the source reads AVRO",
        ),
        (framed(broken, b"x"), "unusable_schema", "cannot be read"),
        (framed(lacking, b"x"), "unusable_schema", "version 9 of subject \"a.B\""),
        (framed(number, b""), "schema_mismatch", "ends too early"),
        (framed(number, &[2]), "not_an_object", "a number"),
    ] {
        let letter = decoded(&of, Some(b"key"), Some(&value)).expect_err("refused");
        assert_eq!(
            (letter.stage.as_str(), letter.code.as_str()),
            ("decode", code),
            "{}",
            letter.message
        );
        assert!(letter.message.contains(says), "{}", letter.message);
        assert_eq!((letter.payload, letter.id.as_deref()), (value, Some("key")));
    }
    // One that nobody knows is not asked for again with every record.
    let asked = server.asked();
    decoded(&of, None, Some(&framed(999, b"y"))).expect_err("still unknown");
    assert_eq!(server.asked(), asked);
}

#[test]
fn a_registry_that_is_away_is_told_and_nothing_is_blamed_on_the_record() {
    let mut server = Server::ours(None).expect("a registry");
    let id = avro(&server, "s", "\"long\"");
    let registry = Registry::new(Encoding::Avro, &RegistrySpec::new(server.url())).expect("a registry");
    server.down();
    let value = framed(id, &[2]);
    let error = registry.prepare(None, Some(&value)).expect_err("nobody there");
    assert!(
        error.is_unreachable() && error.to_string().contains(server.url()),
        "{error}"
    );
    assert_eq!(registry.trouble(), Some(error.with_hint()));
    server.up().expect("up");
    registry.prepare(None, Some(&value)).expect("there again");
    assert_eq!(registry.trouble(), None);
    // What is known needs nobody.
    server.down();
    registry.prepare(None, Some(&value)).expect("known");
    assert_eq!(registry.json(&value, 100), Ok("1".to_owned()));
}

#[test]
fn a_wrong_registry_is_named_with_what_to_do_and_without_the_password() {
    use base64::Engine;
    let basic = base64::engine::general_purpose::STANDARD.encode("me:hunter2");
    let server = Server::ours(Some(&format!("Basic {basic}"))).expect("a registry");
    let check = |url: &str, credentials: Option<(&str, &str)>| {
        let spec = RegistrySpec {
            credentials: credentials.map(|(u, p)| (u.to_owned(), p.to_owned())),
            timeout: Duration::from_secs(2),
            ..RegistrySpec::new(url)
        };
        assert!(url.contains("hunter") || !format!("{spec:?}").contains("hunter"));
        Registry::new(Encoding::Avro, &spec).and_then(|r| r.check(Duration::from_millis(300)))
    };
    check(server.url(), Some(("me", "hunter2"))).expect("let in");
    let open = Server::ours(None).expect("a registry");
    type Case<'a> = (String, Option<(&'a str, &'a str)>, &'a str);
    let cases: [Case<'_>; 7] = [
        (
            server.url().to_owned(),
            None,
            "wants credentials (set `registry.username`",
        ),
        (
            server.url().to_owned(),
            Some(("me", "hunter3")),
            "refuses the credentials",
        ),
        (format!("{}/apis", open.url()), None, "is no schema registry"),
        ("http://127.0.0.1:1".to_owned(), None, "does not answer"),
        ("ftp://h".to_owned(), None, "neither http:// nor https://"),
        ("http://me:hunter2@h".to_owned(), None, "use `username` and `password`"),
        ("http://h?x=y".to_owned(), None, "has a query"),
    ];
    for (url, credentials, says) in cases {
        let error = check(&url, credentials).expect_err(says).with_hint();
        assert!(error.contains(says) && !error.contains("hunter"), "{error}");
    }
}

/// A server of OpenSSL's own, with a certificate for `localhost` from an authority of the test's.
#[test]
fn certificates_are_checked_against_the_authorities_given() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path();
    std::fs::create_dir(path.join("schemas")).expect("made");
    std::fs::write(path.join("schemas/types"), "[\"AVRO\"]").expect("written");
    let openssl = |arguments: &str| {
        let made = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(path)
            .output();
        let made = made.expect("openssl is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let new = "req -newkey rsa:2048 -nodes";
    openssl(&format!("{new} -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.pem"));
    openssl(&format!("{new} -subj /CN=localhost -keyout key.pem -out csr.pem"));
    std::fs::write(path.join("names"), "subjectAltName=DNS:localhost\n").expect("written");
    openssl("x509 -req -days 2 -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out cert.pem");
    let port = groundswell_testing::port::free().expect("a port").port();
    let mut server = Command::new("openssl")
        .args([
            "s_server",
            "-WWW",
            "-quiet",
            "-cert",
            "cert.pem",
            "-key",
            "key.pem",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ])
        .current_dir(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let check = |host: &str, ca: bool| {
        let spec = RegistrySpec {
            ca: ca.then(|| path.join("ca.pem")),
            ..RegistrySpec::new(format!("https://{host}:{port}"))
        };
        Registry::new(Encoding::Avro, &spec).and_then(|r| r.check(Duration::from_secs(20)))
    };
    let (trusted, stranger, other_name) = (
        check("localhost", true),
        check("localhost", false),
        check("127.0.0.1", true),
    );
    server.kill().expect("killed");
    server.wait().expect("ended");
    assert_eq!(trusted, Ok(()));
    for refused in [stranger, other_name] {
        let error = refused.expect_err("refused").with_hint();
        assert!(
            error.contains("no TLS connection") && error.contains("`registry.ca`"),
            "{error}"
        );
    }
}

/// Not run by default: `cargo test --release -p groundswell-connectors --lib -- --ignored --nocapture costs`.
#[test]
#[ignore = "measures"]
fn what_decoding_costs_in_each_encoding() {
    const RECORDS: u32 = 500_000;
    let server = Server::ours(None).expect("a registry");
    let text = "what a game tonight, that last shot was something else entirely, and they still lost it";
    let id = avro(
        &server,
        "speed",
        r#"{"type":"record","name":"P","fields":[{"name":"id","type":"string"},{"name":"thread","type":"string"},
            {"name":"author","type":["null","string"]},{"name":"text","type":"string"},{"name":"score","type":["null","long"]},
            {"name":"created_at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#,
    );
    let string = |text: &str| {
        let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&apache_avro::Schema::String).build();
        writer.expect("a writer").write_value_to_vec(text).expect("a string")
    };
    let at = [0xc0, 0xc9, 0xdc, 0xed, 0xee, 0x66];
    let author = [&[2][..], &string("somebody")].concat();
    let data = [
        &string("t1_abcdef")[..],
        &string("t3_x"),
        &author,
        &string(text),
        &[2, 84],
        &at,
    ]
    .concat();
    let avro = framed(id, &data);
    let body = serde_json::json!({"schemaType": "PROTOBUF", "schema": r#"syntax = "proto3"; import "google/protobuf/timestamp.proto";
        message P { string id = 1; string thread = 2; optional string author = 3; string text = 4; optional int64 score = 5;
                    google.protobuf.Timestamp created_at = 6; }"#});
    let id = server.register("speed-p", &body).expect("registered");
    let field = |n: u8, text: &str| [&[n << 3 | 2, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let seconds = [50, 6, 8, 0xbc, 0xf2, 0xd6, 0xca, 6];
    let data = [
        field(1, "t1_abcdef"),
        field(2, "t3_x"),
        field(3, "somebody"),
        field(4, text),
        vec![40, 42],
        seconds.to_vec(),
    ];
    let protobuf = framed(id, &[&[0][..], &data.concat()].concat());
    let json = serde_json::json!({"id": "t1_abcdef", "thread": "t3_x", "author": "somebody", "text": text, "score": 42,
        "created_at": 1_767_225_660_000_i64});
    let json = json.to_string().into_bytes();
    let names = Names::default();
    let with = |encoding| Some(decoder(&server, encoding, Collection::Posts));
    for (what, value, of) in [
        ("JSON", json, None),
        ("Avro", avro, with(Encoding::Avro)),
        ("Protobuf", protobuf, with(Encoding::Protobuf)),
    ] {
        let decoder = of.as_ref().map_or_else(
            || Decoder::new(DecoderSpec::new(Collection::Posts)).expect("no map"),
            |(_, decoder)| decoder.clone(),
        );
        let began = Instant::now();
        for _ in 0..RECORDS {
            if let Some((registry, _)) = &of {
                registry.prepare(None, Some(&value)).expect("known");
            }
            decoder.decode(None, Some(&value), &names).expect("good");
        }
        println!(
            "{what}: {} bytes, {:?} a record",
            value.len(),
            began.elapsed() / RECORDS
        );
    }
}
