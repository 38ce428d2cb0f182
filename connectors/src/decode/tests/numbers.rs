//! Numbers of posts and authors, and ids that are made of several fields.

use super::*;
use groundswell_core::number::NumberSpec;
use groundswell_core::record::Author;

fn numbers() -> Vec<NumberSpec> {
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    NumberSpec::declare(&names(&["likes", "views"]), &names(&["ratio"]), &names(&["followers"]))
}

fn reference(field: &str, prefix: &str, with: &[&str]) -> FieldRef {
    FieldRef {
        prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
        with: with.iter().map(|w| (*w).to_owned()).collect(),
        ..FieldRef::from(field)
    }
}

#[test]
fn numbers_are_kept_under_their_names_and_checked() {
    let map = FieldMap::default().with("likes", "stats.like_count");
    let spec = DecoderSpec::new(Collection::Posts)
        .with_map(map)
        .with_numbers(numbers());
    let decoder = Decoder::new(spec).expect("valid");
    let payload = |likes: &str| {
        format!(r#"{{"id":"a","text":"x","created_at":1767225600000,"stats":{{"like_count":{likes}}},"views":"12"}}"#)
    };
    let Record::Post(post) = good(&decoder, &payload("7")) else {
        panic!("a post")
    };
    let extra: serde_json::Value = serde_json::from_str(&post.extra.expect("kept")).expect("json");
    assert_eq!((&extra["likes"], &extra["views"]), (&7.into(), &"12".into()));
    for wrong in ["\"many\"", "1.5", "true", "[1]", "1e99"] {
        let letter = bad(&decoder, payload(wrong).as_bytes());
        assert_eq!(
            (letter.code.as_str(), letter.id.as_deref()),
            ("wrong_type", Some("a")),
            "{wrong}"
        );
        assert!(letter.message.contains("\"likes\""), "{}", letter.message);
    }
    good(&decoder, &payload("null"));
}

#[test]
fn ids_of_several_platforms_and_looks_are_told_apart() {
    let mut map = FieldMap::default();
    map.0
        .insert("id".into(), reference("stream_id", "twitch:", &["recorded_at", "user"]));
    map.0.insert("author".into(), reference("channel", "twitch:", &[]));
    map.0.insert("created_at".into(), FieldRef::from("recorded_at"));
    let spec = DecoderSpec::new(Collection::Posts)
        .with_map(map)
        .with_source(Some("twitch".into()));
    let decoder = Decoder::new(spec).expect("valid");
    let look = r#"{"stream_id":41,"recorded_at":1767225600000,"user":"u","channel":"nasa","text":""}"#;
    let Record::Post(post) = good(&decoder, look) else {
        panic!("a post")
    };
    assert_eq!(
        (post.id.as_str(), post.author.as_deref()),
        ("twitch:41/1767225600000/u", Some("twitch:nasa"))
    );
    assert_eq!((post.source.as_str(), post.created_at), ("twitch", 1_767_225_600_000));
    let letter = bad(
        &decoder,
        br#"{"stream_id":41,"recorded_at":1767225600000,"channel":"nasa","text":""}"#,
    );
    assert_eq!(letter.code, "missing_field");
    let mut map = FieldMap::default();
    map.0.insert("text".into(), reference("t", "x:", &["y"]));
    let error = Decoder::new(DecoderSpec::new(Collection::Posts).with_map(map)).expect_err("no id");
    assert_eq!(error.problems.len(), 2, "{error}");
}

#[test]
fn authors_come_with_their_numbers() {
    let mut map = FieldMap::default();
    map.0.insert("id".into(), reference("name", "twitter:", &[]));
    let spec = DecoderSpec::new(Collection::Authors)
        .with_map(map)
        .with_numbers(numbers());
    let decoder = Decoder::new(spec).expect("valid");
    let author = |payload: &str| match good(&decoder, payload) {
        Record::Author(author) => author,
        other => panic!("{other:?}"),
    };
    let known = author(r#"{"name":"nasa","observed_at":1767225600000,"followers":9}"#);
    let expected = Author {
        id: "twitter:nasa".into(),
        observed_at: 1_767_225_600_000,
        numbers: Some(r#"{"followers":9}"#.into()),
    };
    assert_eq!(known, expected);
    let gone = author(r#"{"name":"nasa","observed_at":1767225600001,"followers":9,"deleted":true}"#);
    assert_eq!(gone.numbers, None);
    assert_eq!(
        bad(
            &decoder,
            br#"{"name":"nasa","observed_at":1767225600000,"followers":"x"}"#
        )
        .code,
        "wrong_type"
    );
    assert_eq!(bad(&decoder, br#"{"name":"nasa","followers":1}"#).code, "missing_field");
    let letter = decoder
        .decode(Some(b"nasa"), None, &Names::default())
        .expect_err("no time");
    assert_eq!(letter.code, "not_deletable");
}
