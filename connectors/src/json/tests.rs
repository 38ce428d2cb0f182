use super::schema::Published;
use super::*;
use crate::dlq::Origin;
use groundswell_core::acc::Acc;
use groundswell_core::id::ModelKey;
use groundswell_core::id::TextKey;
use groundswell_core::keywords::{EventChange, KeywordEvent};
use groundswell_core::record::{DeadLetter, Header};
use groundswell_core::score::Label;
use groundswell_core::serving::{DeadChange, Mention};
use groundswell_core::spec::{GroupColumn, Measure};

const MINUTE: i64 = 60_000;
const START: i64 = 1_466_377_200_000;

fn view(window: WindowSpec) -> ViewSpec {
    ViewSpec {
        name: "cast".into(),
        group_by: vec![GroupColumn::Thread, GroupColumn::Entity],
        window,
        measures: vec![Measure::Posts, Measure::Sentiment, Measure::SentimentCi],
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    }
}

fn names() -> Names {
    let names = Names::default();
    for name in ["t3_4ovo70", "LeBron \"King\" James", "reddit:nba"] {
        names.intern(name).expect("no collision");
    }
    names
}

fn key() -> ViewKey {
    ViewKey {
        group: [
            Dim::of("t3_4ovo70"),
            Dim::of("LeBron \"King\" James"),
            Dim::NONE,
            Dim::NONE,
        ],
        start: START,
    }
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("serialises")
}

/// Holds a record against its published schema.
fn fits(published: Published, json: &str) {
    let record = serde_json::from_str(json).expect("JSON");
    let problems = schema::tests::problems(&published.schema(), &record, published.name());
    assert!(problems.is_empty(), "{problems:#?}");
}

fn nobody() -> PostIds {
    Arc::new(|_| None)
}

#[test]
fn a_row_has_its_key_window_measures_and_tick_in_that_order() {
    let spec = view(WindowSpec::Tumble { size: MINUTE });
    let acc = Acc::scored(UNIT, -250_000, Label::Negative, false, false);
    let row = row_json(&spec, (&names(), &nobody()), &RowChange::new(key(), Some(acc)), 7, 0).expect("named");
    assert_eq!(
        text(&row),
        r#"{"key":{"thread":"t3_4ovo70","entity":"LeBron \"King\" James"},"window_start":"2016-06-19T23:00:00.000Z","window_end":"2016-06-19T23:01:00.000Z","posts":1,"sentiment":-0.25,"sentiment_ci":null,"tick":7}"#
    );
    let gone = row_json(&spec, (&names(), &nobody()), &RowChange::new(key(), None), 8, 0).expect("named");
    fits(Published::Row, &text(&row));
    fits(Published::Row, &text(&gone));
    assert!(text(&gone).ends_with(r#""window_end":"2016-06-19T23:01:00.000Z","gone":true,"tick":8}"#));
}

#[test]
fn a_row_says_how_far_it_was_when_it_was_written_where_the_view_counts_revisions() {
    let mut spec = view(WindowSpec::Tumble { size: MINUTE });
    spec.extras.revisions = true;
    for (clock, revision, expected) in [
        (START + MINUTE - 1, 0, r#""state":"open","revision":0,"tick":7}"#),
        (START + MINUTE, 0, r#""state":"final","revision":0,"tick":7}"#),
        (START + MINUTE, 3, r#""state":"revised","revision":3,"tick":7}"#),
    ] {
        let change = RowChange {
            revision,
            ..RowChange::new(key(), Some(Acc::unscored()))
        };
        let row = row_json(&spec, (&names(), &nobody()), &change, 7, clock).expect("named");
        assert!(text(&row).ends_with(expected), "{}", text(&row));
        fits(Published::Row, &text(&row));
    }
}

#[test]
fn a_sliding_row_shows_the_bounds_at_the_clock() {
    let spec = view(WindowSpec::Sliding {
        size: 5 * MINUTE,
        every: MINUTE,
    });
    let key = ViewKey { start: 0, ..key() };
    let row = row_json(
        &spec,
        (&names(), &nobody()),
        &RowChange::new(key, None),
        7,
        START + 30_500,
    )
    .expect("named");
    assert!(
        text(&row).contains(r#""window_start":"2016-06-19T22:56:00.000Z","window_end":"2016-06-19T23:01:00.000Z""#)
    );
}

#[test]
fn none_is_null_and_a_nameless_digest_an_error() {
    let spec = view(WindowSpec::Tumble { size: MINUTE });
    let none = key_json(&spec, &names(), &ViewKey::default()).expect("none needs no name");
    assert_eq!(text(&none), r#"{"thread":null,"entity":null}"#);
    let unknown = ViewKey {
        group: [Dim::NONE, Dim::of("nobody"), Dim::NONE, Dim::NONE],
        start: 0,
    };
    let error = key_json(&spec, &names(), &unknown).expect_err("nobody was interned");
    assert_eq!((error.column, error.dim), ("entity", Dim::of("nobody")));
}

#[test]
fn an_alert_has_the_fields_of_the_contract() {
    let post_ids: PostIds = Arc::new(|key| (key == PostKey::of(b"t1_a")).then(|| Arc::from("t1_a")));
    let evidence = |id: &[u8]| Evidence {
        post: PostKey::of(id),
        weight: UNIT * 5 / 2,
        sentiment: -900_000,
        influence: -12_500,
    };
    let change = AlertChange {
        id: 0xabc,
        rule: "backlash".into(),
        state: AlertState::Resolved,
        cause: Cause::Votes,
        view: "cast".into(),
        key: key(),
        window_end: START + MINUTE,
        resolved: Some((START + 5 * MINUTE, START + 6 * MINUTE)),
        value: Some(-0.5),
        threshold: None,
        authors: 0,
        sums: Default::default(),
        muted: false,
        posts: 20,
        at: 1_466_377_300_123,
        evidence: vec![evidence(b"t1_a"), evidence(b"t1_deleted")],
    };
    let spec = view(WindowSpec::Tumble { size: MINUTE });
    let json = text(&alert_json(&spec, &names(), &post_ids, &change).expect("named"));
    fits(Published::Alert, &json);
    assert_eq!(
        json,
        concat!(
            r#"{"id":"00000000000000000000000000000abc","rule":"backlash","state":"resolved","cause":"votes","view":"cast","#,
            r#""key":{"thread":"t3_4ovo70","entity":"LeBron \"King\" James"},"window_start":"2016-06-19T23:00:00.000Z","#,
            r#""window_end":"2016-06-19T23:01:00.000Z","resolved_window_start":"2016-06-19T23:05:00.000Z","#,
            r#""resolved_window_end":"2016-06-19T23:06:00.000Z","value":-0.5,"threshold":null,"posts":20,"at":"2016-06-19T23:01:40.123Z","#,
            r#""evidence":[{"post":"t1_a","weight":2.5,"sentiment":-0.9,"influence":-0.0125},"#,
            r#"{"post":null,"weight":2.5,"sentiment":-0.9,"influence":-0.0125}]}"#
        )
    );
    let sliding = view(WindowSpec::Sliding {
        size: 5 * MINUTE,
        every: MINUTE,
    });
    let json = text(&alert_json(&sliding, &names(), &post_ids, &change).expect("named"));
    assert!(json.contains(r#""window_start":"2016-06-19T22:56:00.000Z""#));
}

#[test]
fn a_post_shows_names_numbers_and_its_score() {
    let mention = Mention {
        entity: Dim::of("t3_4ovo70"),
        confidence: 950_000,
        method: Method::Exact,
    };
    let mut post = LivePost {
        text: TextKey::of(b"hi"),
        thread: Dim::of("t3_4ovo70"),
        author: Dim::NONE,
        source: Dim::of("reddit:nba"),
        created_at: START,
        votes: None,
        weight: UNIT,
        score: None,
        mentions: std::iter::once(mention).collect(),
    };
    let json = text(&post_json(&names(), "t1_a", Some("hi"), &post).expect("named"));
    assert_eq!(
        json,
        concat!(
            r#"{"id":"t1_a","source":"reddit:nba","thread":"t3_4ovo70","author":null,"text":"hi","votes":null,"weight":1.0,"#,
            r#""created_at":"2016-06-19T23:00:00.000Z","score":null,"#,
            r#""mentions":[{"entity":"t3_4ovo70","confidence":0.95,"method":"exact"}]}"#
        )
    );
    post.score = Some(Score::given(-300_000));
    let json = text(&post_json(&names(), "t1_a", None, &post).expect("named"));
    assert!(
        json.contains(r#""score":{"sentiment":-0.3,"label":"neutral","positive":0.0,"neutral":0.7,"negative":0.3,"#)
    );
    assert!(json.contains(r#""emotion":"neutral","rung":"given"}"#));
}

#[test]
fn a_dead_letter_keeps_its_bytes() {
    let letter = |payload: &[u8]| DeadChange {
        source: "posts".into(),
        partition: 3,
        offset: 9,
        letter: DeadLetter {
            stage: "decode".into(),
            code: "invalid_json".into(),
            message: "expected `,`".into(),
            payload: payload.into(),
            key: b"t1_a".into(),
            ..DeadLetter::default()
        },
    };
    let origin = Origin {
        topics: [("posts".to_owned(), "reddit.comments".to_owned())].into(),
    };
    let said = |dead: &DeadChange, origin: &Origin| text(&dead_json(&Facts::of(dead, 5, origin)));
    let mut received = letter(b"{");
    received.letter.written_at = Some(START);
    received.letter.headers = vec![Header {
        name: "raw".into(),
        value: Some([0xff].as_slice().into()),
    }];
    received.letter.model = Some(ModelKey(7));
    received.letter.replays = 1;
    let received = said(&received, &origin);
    fits(Published::DeadLetter, &received);
    let version = env!("CARGO_PKG_VERSION");
    assert!(received.contains(r#""source":"posts","topic":"reddit.comments","partition":3"#));
    let end = format!(
        r#""written_at":"2016-06-19T23:00:00.000Z","headers":[{{"name":"raw","value":[255]}}],"engine_version":"{version}","model":"00000000000000000000000000000007","attempt":2,"tick":5}}"#
    );
    assert!(received.ends_with(&end), "{received}");
    let none = Origin::default();
    fits(Published::DeadLetter, &said(&letter(b"{"), &none));
    let plain = format!(
        "{}{version}{}",
        concat!(
            r#"{"stage":"decode","code":"invalid_json","message":"expected `,`","source":"posts","partition":3,"offset":9,"#,
            r#""key_base64":"dDFfYQ==","payload_base64":"eyJhIiAxfQ==","payload":"{\"a\" 1}","id":null,"engine_version":""#
        ),
        r#"","attempt":1,"tick":5}"#
    );
    assert_eq!(said(&letter(b"{\"a\" 1}"), &none), plain);
    assert!(said(&letter(&[0xff, 0]), &none).contains(r#""payload_base64":"/wA=","payload":null"#));
}

#[test]
fn times_out_of_the_calendar_are_numbers() {
    assert_eq!(text(&TimeJson(-1)), r#""1969-12-31T23:59:59.999Z""#);
    assert_eq!(text(&TimeJson(i64::MAX)), i64::MAX.to_string());
    assert_eq!(text(&TimeJson::of_tick(Tick::MAX)), i64::MAX.to_string());
}

#[test]
fn an_event_is_news_or_gone_and_nothing_else_is_said() {
    let event = crate::hub::testing::event(1);
    let change = |event: Option<KeywordEvent>, was_news| EventChange {
        id: 7,
        event: event.map(Arc::new),
        was_news,
    };
    let told = |change: &EventChange| {
        event::news_json(change, 9).map(|news| {
            let text = text(&news);
            fits(Published::Event, &text);
            text
        })
    };
    let gone = Some(r#"{"id":"00000000000000000000000000000007","gone":true,"tick":9}"#.to_owned());
    let suppressed = KeywordEvent {
        suppressed_by: Some("rumor".into()),
        ..event.clone()
    };
    let repeated = KeywordEvent {
        duplicate_of: Some(1),
        ..event.clone()
    };
    for other in [None, Some(suppressed), Some(repeated)] {
        assert_eq!(told(&change(other.clone(), true)), gone);
        assert_eq!(told(&change(other, false)), None);
    }
    let is = r#"{"id":"00000000000000000000000000000007","company":"Other Corp","entity":"other","keyword":"listing","matched_text":"TGE <b>","span":{"start":4,"end":11},"context":"the TGE <b>","confidence":0.86,"suppressed_by":null,"story":"p0","duplicate_of":null,"post":"p1","source":"another","title":null,"url":"https://example.com/a","created_at":"1970-01-01T00:10:00.000Z","tick":9}"#;
    for was_news in [false, true] {
        assert_eq!(told(&change(Some(event.clone()), was_news)).as_deref(), Some(is));
    }
}
