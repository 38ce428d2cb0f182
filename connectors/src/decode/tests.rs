//! What goes in and what comes out, as tables.

#![allow(clippy::result_large_err)] // a dead letter is what these tests are about

mod numbers;

use super::*;
use groundswell_core::expr::{Baseline, Expr};
use groundswell_core::id::Dim;
use groundswell_core::record::{Entity, Post, Thread, Votes};
use groundswell_core::score::Score;
use groundswell_core::source::{Durable, StopFlag};
use groundswell_core::spec::RuleSpec;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

fn decoder(into: Collection, map: FieldMap) -> Decoder {
    Decoder::new(DecoderSpec::new(into).with_map(map)).expect("valid map")
}

fn plain(into: Collection) -> Decoder {
    decoder(into, FieldMap::default())
}

fn good(decoder: &Decoder, payload: &str) -> Record {
    decoder
        .decode(None, Some(payload.as_bytes()), &Names::default())
        .expect(payload)
        .0
}

fn bad(decoder: &Decoder, payload: &[u8]) -> DeadLetter {
    let shown = String::from_utf8_lossy(&payload[..payload.len().min(80)]).into_owned();
    decoder
        .decode(None, Some(payload), &Names::default())
        .expect_err(&shown)
}

fn post() -> Post {
    Post {
        id: "t1_a".into(),
        source: "reddit:nba".into(),
        thread: "t3_t".into(),
        parent: Some("t1_p".into()),
        author: Some("77be".into()),
        text: "GAME 7\n\u{1f3c0} \"wow\"".into(),
        votes: Some(-3),
        observed_at: 1_466_377_215_000,
        created_at: 1_466_377_215_000,
        score: None,
        extra: None,
        ..Post::default()
    }
}

const POST: &str = r#"{"id":"t1_a","source":"reddit:nba","thread":"t3_t","parent":"t1_p","author":"77be","text":"GAME 7\n\ud83c\udfc0 \"wow\"","score":-3,"created_at":1466377215000}"#;

#[test]
fn a_post_and_its_names() {
    let names = Names::default();
    let (record, version) = plain(Collection::Posts)
        .decode(None, Some(POST.as_bytes()), &names)
        .expect("a post");
    assert_eq!((record, version), (Record::Post(post()), None));
    for name in ["reddit:nba", "t3_t", "77be"] {
        assert_eq!(names.get(Dim::of(name)).as_deref(), Some(name));
    }
}

#[test]
fn a_mapped_record_is_the_same_record() {
    let flat = r#"{"name":"t1_a","subreddit":"reddit:nba","link":"t3_t","parent":"t1_p","user":"77be","body":"GAME 7\n\ud83c\udfc0 \"wow\"","ups":-3,"created_utc":1466377215}"#;
    let map = FieldMap::default()
        .with("id", "name")
        .with("source", "subreddit")
        .with("thread", "link")
        .with("author", "user")
        .with("text", "body")
        .with("score", "ups")
        .with_time("created_at", "created_utc", TimeUnit::Seconds);
    assert_eq!(good(&decoder(Collection::Posts, map), flat), Record::Post(post()));

    let nested = r#"{"kind":"t1","data":{"name":"t1_a","parent":"t1_p","body":"GAME 7\n\ud83c\udfc0 \"wow\"","made":{"at":"2016-06-19T23:00:15Z"},"gilded":0},"link":{"id":"t3_t"},"source":"reddit:nba","user":{"hash":"77be"},"score":-3.0}"#;
    let map = FieldMap::default()
        .with("id", "data.name")
        .with("parent", "data.parent")
        .with("text", "data.body")
        .with("created_at", "data.made.at")
        .with("thread", "link.id")
        .with("author", "user.hash");
    let wanted = Post {
        extra: Some(r#"{"kind":"t1","data":{"gilded":0}}"#.into()),
        ..post()
    };
    assert_eq!(good(&decoder(Collection::Posts, map), nested), Record::Post(wanted));
}

#[test]
fn the_map_is_read_from_config() {
    let map: FieldMap =
        serde_json::from_str(r#"{"text":"body","created_at":{"field":"created_utc","unit":"s"}}"#).expect("a map");
    let wanted = FieldMap::default()
        .with("text", "body")
        .with_time("created_at", "created_utc", TimeUnit::Seconds);
    assert_eq!(map, wanted);
    let yaml: FieldMap =
        serde_saphyr::from_str("text: body\ncreated_at: {field: created_utc, unit: s}\n").expect("a map");
    assert_eq!(yaml, wanted);
}

#[test]
fn one_value_may_feed_two_fields_and_lists_of_mistakes_are_complete() {
    let map = FieldMap::default().with("thread", "id");
    let Record::Post(p) = good(
        &decoder(Collection::Posts, map),
        r#"{"id":"hn_1","text":"x","created_at":1604686251000}"#,
    ) else {
        panic!("not a post")
    };
    assert_eq!((p.id.as_str(), p.thread.as_str()), ("hn_1", "hn_1"));

    let map = FieldMap::default()
        .with("txt", "body")
        .with_time("author", "user", TimeUnit::Seconds)
        .with("thread", "id.x")
        .with("parent", "a..b");
    let error = Decoder::new(DecoderSpec::new(Collection::Posts).with_map(map)).expect_err("four mistakes");
    assert_eq!(error.problems.len(), 4, "{error}");
    assert!(
        error.to_string().contains("there is no field `txt`; known: id, source"),
        "{error}"
    );
}

#[test]
fn unknown_fields_are_kept_as_written() {
    let payload = r#"{"id":"a","title":"T\u00e9","text":"x","likes": 3,"created_at":1604686251000,"n":[1, {"a":null}],"we\"ird":1.50}"#;
    let Record::Post(p) = good(&plain(Collection::Posts), payload) else {
        panic!("not a post")
    };
    let extra = p.extra.expect("kept");
    assert_eq!(
        extra,
        r#"{"title":"T\u00e9","likes":3,"n":[1, {"a":null}],"we\"ird":1.50}"#
    );
    assert!(serde_json::from_str::<serde_json::Value>(&extra).is_ok());

    let renamed = decoder(Collection::Posts, FieldMap::default().with("title", "headline"));
    let Record::Post(p) = good(
        &renamed,
        r#"{"id":"a","headline":"H","text":"x","created_at":1604686251000}"#,
    ) else {
        panic!("not a post")
    };
    assert_eq!(p.extra.as_deref(), Some(r#"{"title":"H"}"#));
}

#[test]
fn absent_null_and_hidden() {
    let posts = plain(Collection::Posts);
    let payload = r#"{"id":7,"thread":"","author":null,"parent":"","text":"[deleted]","score":12,"hidden_score":true,"created_at":1604686251000.4,"observed_at":1604686259000,"deleted":false}"#;
    let wanted = Post {
        id: "7".into(),
        created_at: 1_604_686_251_000,
        observed_at: 1_604_686_259_000,
        ..Post::default()
    };
    assert_eq!(good(&posts, payload), Record::Post(wanted));

    let votes = plain(Collection::Votes);
    let expect = |payload: &str, votes_: Option<i64>| {
        let wanted = Votes {
            id: "a".into(),
            votes: votes_,
            observed_at: 1_604_686_251_000,
        };
        assert_eq!(good(&votes, payload), Record::Votes(wanted), "{payload}");
    };
    expect(r#"{"id":"a","score":5,"observed_at":1604686251000}"#, Some(5));
    expect(
        r#"{"id":"a","source":"hn","score":5.0,"observed_at":1604686251000}"#,
        Some(5),
    );
    expect(r#"{"id":"a","score":null,"observed_at":1604686251000}"#, None);
    expect(r#"{"id":"a","hidden_score":true,"observed_at":1604686251000}"#, None);
    expect(
        r#"{"id":"a","score":5,"deleted":true,"observed_at":1604686251000}"#,
        None,
    );
}

#[test]
fn deletions_of_each_collection() {
    let names = Names::default();
    let gone = |into, key: &[u8]| plain(into).decode(Some(key), None, &names).map(|(r, _)| r);
    let deleted_thread = Record::Thread(Thread {
        id: "a".into(),
        deleted: true,
        ..Thread::default()
    });
    for (into, wanted) in [
        (Collection::Posts, Record::PostDeleted { id: "a".into() }),
        (Collection::Threads, deleted_thread.clone()),
        (Collection::Entities, Record::EntityDeleted { id: "a".into() }),
        (Collection::Rules, Record::RuleDeleted { id: "a".into() }),
    ] {
        assert_eq!(gone(into, b"a").expect("a deletion"), wanted);
        let id = if into == Collection::Threads { "thread" } else { "id" };
        assert_eq!(good(&plain(into), &format!(r#"{{"{id}":"a","deleted":true}}"#)), wanted);
    }
    assert_eq!(
        gone(Collection::Votes, b"a").expect_err("votes stay").code,
        "not_deletable"
    );
    assert_eq!(gone(Collection::Posts, b"").expect_err("no id").code, "id_empty");
    assert_eq!(
        gone(Collection::Posts, b"\xff").expect_err("no id").code,
        "invalid_utf8"
    );
    let keyless = plain(Collection::Posts).decode(None, None, &names).expect_err("no id");
    assert_eq!(keyless.code, "missing_field");
}

#[test]
fn the_key_is_the_id_where_the_value_has_none() {
    let payload = br#"{"text":"x","created_at":1604686251000}"#;
    let (record, _) = plain(Collection::Posts)
        .decode(Some(b"k1"), Some(payload), &Names::default())
        .expect("a post");
    assert!(matches!(record, Record::Post(p) if p.id == "k1"));
    let dead = plain(Collection::Posts)
        .decode(Some(b"k1"), Some(b"{"), &Names::default())
        .expect_err("broken");
    assert_eq!(
        (dead.key.as_slice(), dead.id.as_deref()),
        (b"k1".as_slice(), Some("k1"))
    );
}

#[test]
fn versions_order_instead_of_offsets() {
    let names = Names::default();
    let versioned = decoder(Collection::Posts, FieldMap::default().with("version", "rev"));
    let decode = |payload: &str| {
        versioned
            .decode(Some(b"k"), Some(payload.as_bytes()), &names)
            .map(|(_, v)| v)
    };
    assert_eq!(
        decode(r#"{"id":"a","text":"x","created_at":1604686251000,"rev":3}"#),
        Ok(Some(3))
    );
    assert_eq!(decode(r#"{"id":"a","deleted":true,"rev":4}"#), Ok(Some(4)));
    assert_eq!(
        decode(r#"{"id":"a","deleted":true,"rev":"2020-11-06T18:10:51Z"}"#),
        Ok(Some(1_604_686_251_000))
    );
    assert_eq!(
        decode(r#"{"id":"a","deleted":true}"#).expect_err("no version").code,
        "missing_field"
    );
    assert_eq!(
        decode(r#"{"id":"a","deleted":true,"rev":-1}"#)
            .expect_err("negative")
            .code,
        "number_out_of_range"
    );
    assert_eq!(
        versioned.decode(Some(b"a"), None, &names).expect_err("no version").code,
        "missing_field"
    );
    let horizon = Arc::new(AtomicI64::new(i64::MIN));
    let (out, _in) = crossbeam_channel::bounded(1);
    let stop = StopFlag::default();
    let context = SourceContext {
        source: 3,
        resume: vec![],
        out,
        stop,
        names: Arc::new(names),
        horizon,
        durable: Durable::default(),
    };
    let envelope = versioned.envelope(
        (3, 1, 99),
        None,
        Some(br#"{"id":"a","deleted":true,"rev":4}"#),
        &context,
    );
    assert_eq!(
        (envelope.source, envelope.partition, envelope.offset, envelope.order),
        (3, 1, 99, 4)
    );
    let post = br#"{"id":"a","text":"x","created_at":1604686251000,"rev":3}"#;
    assert_eq!(versioned.envelope((3, 1, 99), None, Some(post), &context).order, 3);
    // The engine keeps nothing as old as this any more.
    context.horizon.store(1_604_686_251_001, Ordering::Release);
    let late = versioned.envelope((3, 1, 99), Some(b"k"), Some(post), &context);
    let Record::Dead(dead) = late.record else {
        panic!("not dead")
    };
    assert_eq!(
        (dead.stage.as_str(), dead.code.as_str(), dead.id.as_deref()),
        ("window", "late", Some("a"))
    );
    assert_eq!(
        (dead.key.as_slice(), dead.payload.as_slice(), late.order),
        (&b"k"[..], &post[..], 99)
    );
}

#[test]
fn given_sentiment_only_when_mapped() {
    let payload = r#"{"id":"a","text":"x","created_at":1604686251000,"sentiment":-0.25}"#;
    let mapped = decoder(Collection::Posts, FieldMap::default().with("sentiment", "sentiment"));
    assert!(
        matches!(good(&mapped, payload), Record::Post(p) if p.score == Some(Score::given(-250_000)) && p.extra.is_none())
    );
    assert!(matches!(good(&plain(Collection::Posts), payload), Record::Post(p) if p.score.is_none()));
    for (value, code) in [
        ("1.5", "number_out_of_range"),
        ("\"good\"", "wrong_type"),
        ("1e999", "not_a_number"),
        ("NaN", "not_a_number"),
    ] {
        let payload = format!(r#"{{"id":"a","text":"x","created_at":1604686251000,"sentiment":{value}}}"#);
        assert_eq!(bad(&mapped, payload.as_bytes()).code, code, "{value}");
    }
}

#[test]
fn threads_entities_and_rules() {
    let thread = good(
        &plain(Collection::Threads),
        r#"{"thread":"t3","title":"Finals","air_time":"2016-06-20T00:00:00Z","ends_at":null,"subreddit":"nba"}"#,
    );
    let wanted = Thread {
        id: "t3".into(),
        title: "Finals".into(),
        air_time: Some(1_466_380_800_000),
        ..Thread::default()
    };
    assert_eq!(thread, Record::Thread(wanted));

    let entity = good(
        &plain(Collection::Entities),
        r#"{"id":"lebron","name":"LeBron James","aliases":["Bron","","King"],"kind":"player","exclude":["King Kong"]}"#,
    );
    let wanted = Entity {
        id: "lebron".into(),
        name: "LeBron James".into(),
        aliases: vec!["Bron".into(), "King".into()],
        kind: "player".into(),
        exclude: vec!["King Kong".into()],
    };
    assert_eq!(entity, Record::Entity(wanted));
    let seed = good(
        &plain(Collection::Entities),
        r#"{"canonical_name":"Ana","aliases":["A"]}"#,
    );
    assert!(matches!(seed, Record::Entity(e) if e.id == "Ana" && e.name == "Ana"));

    let rule = good(
        &plain(Collection::Rules),
        r#"{"id":"r","view":"v","when":"sentiment < -0.3","min_posts":20,"clear":"sentiment > -0.1","for":"2m","cooldown":"1h30m","min_authors":5,"min_n_eff":10,"baseline_weeks":8,"baseline_min":3}"#,
    );
    let wanted = RuleSpec {
        clear: Some(Expr::parse("sentiment > -0.1").expect("parses")),
        min_posts: 20,
        for_ms: 120_000,
        cooldown_ms: 5_400_000,
        min_authors: 5,
        min_n_eff: 10,
        baseline: Baseline { weeks: 8, min: 3 },
        ..RuleSpec::new("r", "v", Expr::parse("sentiment < -0.3").expect("parses"))
    };
    assert_eq!(rule, Record::Rule(wanted));
}

#[test]
fn bad_posts_and_their_codes() {
    let posts = plain(Collection::Posts);
    let long = "x".repeat(10_000);
    let deep = |n: usize| {
        format!(
            r#"{{"id":"a","text":"x","created_at":1604686251000,"d":{}{}}}"#,
            "[".repeat(n),
            "]".repeat(n)
        )
    };
    let with = |fields: &str| format!(r#"{{"id":"a","text":"x","created_at":1604686251000,{fields}}}"#);
    let table: Vec<(Vec<u8>, &str)> = vec![
        (b"\xff{}".to_vec(), "invalid_utf8"),
        (b"".to_vec(), "invalid_json"),
        (b"{".to_vec(), "invalid_json"),
        (b"{} {}".to_vec(), "invalid_json"),
        (b"{\"id\":\"a\"".to_vec(), "invalid_json"),
        (b"{'id':'a'}".to_vec(), "invalid_json"),
        (with(r#""source":"\ud800""#).into(), "invalid_json"),
        (with(r#""unknown":"\ud800""#).into(), "invalid_json"),
        (with("\"unknown\":\"\t\"").into(), "invalid_json"),
        (b"hello".to_vec(), "invalid_json"),
        (b"[1,2]".to_vec(), "not_an_object"),
        (b"\"text\"".to_vec(), "not_an_object"),
        (b"null".to_vec(), "not_an_object"),
        (b"12".to_vec(), "not_an_object"),
        (deep(64).into(), "nested_too_deep"),
        (deep(100_000).into(), "nested_too_deep"),
        ("[".repeat(100_000).into(), "nested_too_deep"),
        ("{\"a\":".repeat(100_000).into(), "nested_too_deep"),
        (vec![b' '; MAX_BYTES + 1], "too_large"),
        (br#"{}"#.to_vec(), "missing_field"),
        (
            br#"{"id":null,"text":"x","created_at":1604686251000}"#.to_vec(),
            "missing_field",
        ),
        (br#"{"id":"a","created_at":1604686251000}"#.to_vec(), "missing_field"),
        (
            br#"{"id":"a","text":null,"created_at":1604686251000}"#.to_vec(),
            "missing_field",
        ),
        (br#"{"id":"a","text":"x"}"#.to_vec(), "missing_field"),
        (
            br#"{"id":true,"text":"x","created_at":1604686251000}"#.to_vec(),
            "wrong_type",
        ),
        (
            br#"{"id":1.5,"text":"x","created_at":1604686251000}"#.to_vec(),
            "wrong_type",
        ),
        (
            br#"{"id":"a","text":7,"created_at":1604686251000}"#.to_vec(),
            "wrong_type",
        ),
        (with(r#""score":"many""#).into(), "wrong_type"),
        (with(r#""score":1.5"#).into(), "wrong_type"),
        (with(r#""deleted":"yes""#).into(), "wrong_type"),
        (with(r#""author":{}"#).into(), "wrong_type"),
        (
            br#"{"id":"","text":"x","created_at":1604686251000}"#.to_vec(),
            "id_empty",
        ),
        (
            format!(r#"{{"id":"{long}","text":"x","created_at":1604686251000}}"#).into(),
            "id_too_long",
        ),
        (with(&format!(r#""thread":"{long}""#)).into(), "id_too_long"),
        (with(&format!(r#""author":"{long}""#)).into(), "id_too_long"),
        (
            br#"{"id":"a","text":"x","created_at":1604686251}"#.to_vec(),
            "time_in_seconds",
        ),
        (
            br#"{"id":"a","text":"x","created_at":-5}"#.to_vec(),
            "time_out_of_range",
        ),
        (
            br#"{"id":"a","text":"x","created_at":99999999999999}"#.to_vec(),
            "time_out_of_range",
        ),
        (br#"{"id":"a","text":"x","created_at":"soon"}"#.to_vec(), "invalid_time"),
        (br#"{"id":"a","text":"x","created_at":NaN}"#.to_vec(), "not_a_number"),
        (with(r#""score":NaN"#).into(), "not_a_number"),
        (with(r#""score":-Infinity"#).into(), "not_a_number"),
        (with(r#""score":1e999"#).into(), "not_a_number"),
        (with(r#""score":99999999999999999999"#).into(), "number_out_of_range"),
    ];
    for (payload, code) in &table {
        let dead = bad(&posts, payload);
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(80)]);
        assert_eq!(&dead.code, code, "{shown}: {}", dead.message);
        assert_eq!(dead.stage, "decode");
        assert!(!dead.message.is_empty() && dead.message.len() < 300, "{}", dead.message);
        if *code == "too_large" {
            assert_eq!(dead.payload.len(), KEPT_OF_OVERSIZED);
        } else {
            assert_eq!(&dead.payload, payload);
        }
    }
    assert!(
        matches!(good(&posts, &deep(63)), Record::Post(_)),
        "64 levels are allowed"
    );
    assert_eq!(
        bad(&posts, br#"{"id":"a","text":7,"created_at":1604686251000}"#)
            .id
            .as_deref(),
        Some("a")
    );
    let seconds = bad(&posts, br#"{"id":"a","text":"x","created_at":1604686251}"#);
    assert!(seconds.message.contains("unit: s"), "{}", seconds.message);
}

#[test]
fn bad_records_of_other_collections() {
    for (into, payload, code) in [
        (Collection::Votes, r#"{"id":"a","score":1}"#, "missing_field"),
        (
            Collection::Votes,
            r#"{"id":"a","observed_at":1604686251000}"#,
            "missing_field",
        ),
        (
            Collection::Votes,
            r#"{"id":"a","score":[],"observed_at":1604686251000}"#,
            "wrong_type",
        ),
        (Collection::Threads, r#"{"id":"a","title":"x"}"#, "missing_field"),
        (
            Collection::Threads,
            r#"{"thread":"a","air_time":12}"#,
            "time_in_seconds",
        ),
        (Collection::Entities, r#"{"id":"a"}"#, "missing_field"),
        (
            Collection::Entities,
            r#"{"id":"a","name":"A","aliases":"B"}"#,
            "wrong_type",
        ),
        (
            Collection::Entities,
            r#"{"id":"a","name":"A","aliases":[1]}"#,
            "wrong_type",
        ),
        (Collection::Rules, r#"{"id":"a","view":"v"}"#, "missing_field"),
        (
            Collection::Rules,
            r#"{"id":"a","view":"v","when":"sentimnt < 0"}"#,
            "invalid_condition",
        ),
        (
            Collection::Rules,
            r#"{"id":"a","view":"v","when":"posts > 1","for":"soon"}"#,
            "invalid_duration",
        ),
        (
            Collection::Rules,
            r#"{"id":"a","view":"v","when":"posts > 1","for":120}"#,
            "wrong_type",
        ),
        (
            Collection::Rules,
            r#"{"id":"a","view":"v","when":"posts > 1","min_posts":-1}"#,
            "number_out_of_range",
        ),
    ] {
        let dead = bad(&plain(into), payload.as_bytes());
        assert_eq!(dead.code, code, "{payload}: {}", dead.message);
    }
}

#[test]
fn codes_are_unique_and_each_has_a_meaning() {
    let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|c| c.name()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    assert!(Code::ALL.iter().all(|c| c.meaning().ends_with('.')));
    assert!(codes_markdown().contains("| `invalid_utf8` | The payload or key is not UTF-8. |"));
}

#[test]
#[ignore = "measures speed; run by hand"]
fn speed_of_300_byte_posts() {
    let payloads: Vec<String> = (0..100_000)
        .map(|n| {
            let text = "I came for the opening number and it delivered, what a night, really. ".repeat(2);
            format!(
                r#"{{"id":"t1_{n:08}","source":"reddit:nba","thread":"t3_{}","parent":"t1_{:08}","author":"{:016x}","text":"{text}","score":{n},"created_at":1466377215000}}"#,
                n % 20,
                n / 2,
                n % 5_000
            )
        })
        .collect();
    let bytes: usize = payloads.iter().map(String::len).sum();
    let decoder = plain(Collection::Posts);
    let names = Names::default();
    for _ in 0..3 {
        let begun = std::time::Instant::now();
        let mut posts = 0;
        for _ in 0..10 {
            for payload in &payloads {
                posts += usize::from(decoder.decode(None, Some(payload.as_bytes()), &names).is_ok());
            }
        }
        let took = begun.elapsed().as_secs_f64();
        println!(
            "{posts} posts of {} bytes: {:.0} posts/s",
            bytes / payloads.len(),
            f64::from(u32::try_from(posts).expect("small")) / took
        );
    }
}
