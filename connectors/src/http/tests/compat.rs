//! The routes and frames of the first systems, through a real port, with the shapes their clients read.

use super::client::{Answer, get};
use super::{Health, ServeOptions, Switch, serve};
use crate::http::auth::{ApiKey, AuthOptions, Role, digest_of, new_key};
use crate::http::{CompatRoutes, SentimentViews, ServerHandle, ThreadViews};
use crate::hub::testing::texts;
use crate::hub::{Hub, HubLimits, HubOptions};
use crate::metrics::Metrics;
use futures::{SinkExt, StreamExt};
use groundswell_core::acc::{Acc, UNIT};
use groundswell_core::id::{Dim, Names, PostKey, TextKey};
use groundswell_core::record::Thread;
use groundswell_core::score::{Label, PPM, Score};
use groundswell_core::serving::{LivePost, PostChange, RowChange, ThreadChange, TickChanges};
use groundswell_core::spec::{
    Anchor, Edge, GroupColumn, Measure, Phase, PhaseName, Phases, ViewKey, ViewSpec, WindowSpec,
};
use groundswell_core::time::{DAY, HOUR, MINUTE};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// 2025-12-26T10:00:00Z
const T: i64 = 1_766_743_200_000;
const WORDS: [&str; 9] = ["reddit", "twitter", "t1", "t2", "lebron", "curry", "live", "ann", "bob"];
const POSTS: [&str; 3] = ["reddit_abc123", "twitter_1", "reddit_2"];

fn views() -> Vec<ViewSpec> {
    use GroupColumn::{Entity, Label, Phase as InPhase, Source, Thread};
    let view = |name: &str, group_by: &[GroupColumn], window| ViewSpec {
        name: name.into(),
        group_by: group_by.to_vec(),
        window,
        measures: vec![Measure::Posts, Measure::Sentiment],
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    };
    let edge = |anchor| Edge { anchor, offset: 0 };
    let live = Phase {
        name: PhaseName::new("live").expect("short"),
        from: edge(Anchor::AirTime),
        to: edge(Anchor::EndsAt),
    };
    let phases = Phases::new(&[live], None, DAY).expect("one");
    let (size, every) = (DAY, MINUTE);
    vec![
        view("by_hour", &[Source, Label], WindowSpec::Tumble { size: HOUR }),
        view("by_day", &[Label], WindowSpec::Tumble { size: DAY }),
        view("last_day", &[Source, Label], WindowSpec::Sliding { size, every }),
        view("threads", &[Thread], WindowSpec::Tumble { size: DAY }),
        view("phases", &[Thread, Entity, InPhase], WindowSpec::Anchored(phases)),
        view("lines", &[Thread, Entity], WindowSpec::Tumble { size: MINUTE }),
    ]
}

fn routes() -> CompatRoutes {
    CompatRoutes {
        events: false,
        sentiment: Some(SentimentViews {
            hour: Some(0),
            day: Some(1),
            distribution: vec![(24, 2)],
        }),
        threads: Some(ThreadViews {
            list: 3,
            cast: Some(4),
            timeline: Some(5),
        }),
    }
}

fn group<const N: usize>(words: [&str; N]) -> [Dim; 4] {
    let mut group = [Dim::NONE; 4];
    group
        .iter_mut()
        .zip(words)
        .for_each(|(slot, word)| *slot = Dim::of(word));
    group
}

fn row(group: [Dim; 4], start: i64, posts: i32) -> RowChange {
    let key = ViewKey { group, start };
    let acc = (posts > 0).then(|| Acc {
        posts,
        w: 2 * UNIT,
        wx: UNIT / 2,
        ..Acc::default()
    });
    RowChange::new(key, acc)
}

fn phase(member: &str, posts: i32) -> RowChange {
    let key = ViewKey::with_end(group(["t1", member, "live"]), T, T + 3 * HOUR);
    let RowChange { acc, .. } = row([Dim::NONE; 4], 0, posts);
    RowChange::new(key, acc)
}

fn score(label: Label, emotion: u8) -> Score {
    let of = |l| if l == label { 950_000 } else { 25_000 };
    Score {
        positive: of(Label::Positive),
        neutral: PPM - of(Label::Positive) - of(Label::Negative),
        negative: of(Label::Negative),
        emotion,
        ..Score::default()
    }
}

fn post(n: usize, source: &str, score: Option<Score>) -> PostChange {
    let post = LivePost {
        text: TextKey::of(format!("text {n}").as_bytes()),
        thread: Dim::of("t1"),
        author: Dim::of("ann"),
        source: Dim::of(source),
        created_at: T + i64::try_from(n).expect("small") * MINUTE,
        votes: None,
        weight: UNIT,
        score,
        mentions: smallvec::SmallVec::new(),
    };
    PostChange {
        key: PostKey::of(POSTS[n].as_bytes()),
        post: Some(post),
    }
}

fn thread(id: &str, title: &str, air_time: Option<i64>) -> ThreadChange {
    ThreadChange {
        thread: Thread {
            id: id.into(),
            title: title.into(),
            air_time,
            ends_at: air_time.map(|at| at + 3 * HOUR),
            deleted: false,
        },
        rank: (0, 1, 0, 0),
    }
}

/// What the first tick says.
fn first() -> TickChanges {
    let labels = |source| move |label: Label, start, n| row(group([source, label.name()]), start, n);
    let (reddit, twitter) = (labels("reddit"), labels("twitter"));
    let unlabelled = row(group(["reddit"]), T, 7);
    TickChanges {
        tick: 1_000,
        clock: T + HOUR + 90_000,
        views: vec![
            vec![
                unlabelled.clone(),
                reddit(Label::Positive, T, 2),
                twitter(Label::Positive, T, 1),
                reddit(Label::Negative, T + HOUR, 4),
                reddit(Label::Neutral, T - 30 * HOUR, 9),
            ],
            vec![row(group(["positive"]), T.div_euclid(DAY) * DAY, 3)],
            vec![
                RowChange {
                    key: ViewKey {
                        start: 0,
                        ..unlabelled.key
                    },
                    ..unlabelled
                },
                reddit(Label::Positive, 0, 2),
                twitter(Label::Negative, 0, 1),
            ],
            vec![
                row(group(["t1"]), 0, 5),
                row(group(["t1"]), DAY, 2),
                row(group(["t2"]), 0, 1),
            ],
            vec![phase("lebron", 4), phase("curry", 1)],
            vec![
                row(group(["t1", "lebron"]), T, 1),
                row(group(["t1", "curry"]), T, 1),
                row(group(["t1", "curry"]), T + MINUTE, 1),
                row(group(["t2", "curry"]), T, 1),
            ],
        ],
        posts: vec![
            post(0, "reddit", Some(score(Label::Positive, 0))),
            post(1, "twitter", Some(score(Label::Negative, 2))),
        ],
        threads: vec![thread("t1", "Finals", Some(T)), thread("t3", "Later", Some(T + DAY))],
        ..TickChanges::default()
    }
}

struct Served {
    hub: Arc<Hub>,
    server: ServerHandle,
}

impl Served {
    fn with(options: ServeOptions) -> Self {
        let names = Arc::new(Names::default());
        let labels = Label::ALL.map(Label::name);
        for word in WORDS.iter().chain(&labels).chain(&["t3"]) {
            names.intern(word).expect("no collision");
        }
        let texts = texts();
        let all: Vec<String> = (0..POSTS.len()).map(|n| format!("text {n}")).collect();
        let put = texts.put(all.iter().map(|t| (TextKey::of(t.as_bytes()), 0, t.as_str())));
        put.expect("written");
        let id = |key| POSTS.into_iter().find(|id| PostKey::of(id.as_bytes()) == key);
        let hub = Arc::new(Hub::new(HubOptions {
            views: views(),
            names,
            texts,
            post_ids: Arc::new(move |key| id(key).map(Arc::from)),
            limits: HubLimits::default(),
            k_anonymity: None,
            feeds: None,
            events: false,
        }));
        hub.apply(&first());
        let options = ServeOptions {
            addr: ([127, 0, 0, 1], 0).into(),
            drain: Duration::from_secs(2),
            ..options
        };
        let health: Arc<dyn Health> = Arc::new(Switch::default());
        let metrics = Arc::new(Metrics::new().expect("no clash"));
        let server = serve(options, Arc::clone(&hub), metrics, health).expect("free port");
        Served { hub, server }
    }

    fn start() -> Self {
        Served::with(ServeOptions {
            compat: Some(routes()),
            ..ServeOptions::default()
        })
    }

    fn get(&self, target: &str) -> Answer {
        get(self.server.addr(), target, &[])
    }

    fn data(&self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        answer.json()["data"].clone()
    }
}

#[test]
fn aggregates_by_hour_and_day() {
    let served = Served::start();
    let of = |at: &str, label: &str, count: u32| json!({ "timestamp": at, "sentiment_label": label, "count": count });
    let hours = [
        of("2025-12-26T10:00:00.000Z", "positive", 3),
        of("2025-12-26T11:00:00.000Z", "negative", 4),
    ];
    assert_eq!(served.data("/api/sentiment/aggregate"), json!(hours), "of the last day");
    assert_eq!(
        served.data("/api/sentiment/aggregate?period=hour&source=twitter"),
        json!([of("2025-12-26T10:00:00.000Z", "positive", 1)])
    );
    assert_eq!(
        served.data("/api/sentiment/aggregate?period=hour&start=2025-12-20T00:00:00Z&end=2025-12-26T10:30:00Z"),
        json!([of("2025-12-25T04:00:00.000Z", "neutral", 9), hours[0]])
    );
    assert_eq!(
        served.data("/api/sentiment/aggregate?period=day"),
        json!([of("2025-12-26T00:00:00.000Z", "positive", 3)])
    );
    let answer = served.get("/api/sentiment/aggregate?period=minute");
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json(),
        json!({ "error": {
            "code": "INVALID_PARAMETER",
            "message": "Invalid value for parameter 'period'",
            "details": { "parameter": "period", "provided": "minute", "allowed": ["hour", "day"] },
        } })
    );
    for bad in [
        "start=yesterday",
        "end=",
        "source=a&since=0",
        "period=hour&period=day",
        "hours=1",
    ] {
        let answer = served.get(&format!("/api/sentiment/aggregate?{bad}"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "INVALID_PARAMETER"),
            "{bad}"
        );
    }
}

#[test]
fn the_distribution_adds_up_and_is_cached_by_its_version() {
    let served = Served::start();
    let target = "/api/sentiment/distribution?hours=24";
    let answer = served.get(target);
    let of = |label: &str, count: u32, p: f64| json!({ "sentiment_label": label, "count": count, "percentage": p });
    assert_eq!(
        answer.json()["data"],
        json!([of("negative", 1, 33.33), of("positive", 2, 66.67)])
    );
    let metadata = answer.json()["metadata"].clone();
    assert_eq!((&metadata["total"], &metadata["hours"]), (&json!(3), &json!(24)));
    assert_eq!(answer.header("cache-control"), "private, max-age=30");
    let tag = answer.header("etag").to_owned();
    let again = get(served.server.addr(), target, &[("If-None-Match", &tag)]);
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let reddit = served.data("/api/sentiment/distribution?source=reddit");
    assert_eq!(reddit, json!([of("positive", 2, 100.0)]));
    let mut next = first();
    (next.tick, next.posts) = (2_000, Vec::new());
    next.views[2] = vec![row(group(["twitter", "negative"]), 0, 2)];
    served.hub.apply(&next);
    let newer = get(served.server.addr(), target, &[("If-None-Match", &tag)]);
    assert_eq!(newer.status, 200);
    assert_eq!(
        newer.json()["data"],
        json!([of("negative", 2, 50.0), of("positive", 2, 50.0)])
    );
    let answer = served.get("/api/sentiment/distribution?hours=25");
    assert_eq!(answer.json()["error"]["details"]["allowed"], json!(["24"]));
}

#[test]
fn posts_are_listed_and_found() {
    let served = Served::start();
    let all = served.get("/api/posts").json();
    assert_eq!(
        all["metadata"],
        json!({ "total": 2, "limit": 20, "offset": 0, "at": 1_000 })
    );
    let newest = &all["data"][0];
    assert_eq!(
        (
            &newest["post_id"],
            &newest["sentiment_label"],
            &newest["confidence_score"],
            &newest["emotion"]
        ),
        (&json!("twitter_1"), &json!("negative"), &json!(0.95), &json!("anger"))
    );
    assert_eq!(newest["content"], "text 1");
    let ids = |query: &str| -> Vec<String> {
        let data = served.data(&format!("/api/posts?{query}"));
        let ids = data.as_array().expect("a list").iter();
        ids.map(|post| post["post_id"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(ids("limit=1&offset=1"), ["reddit_abc123"]);
    assert_eq!(ids("limit=5&offset=2"), Vec::<String>::new());
    assert_eq!(ids("source=reddit"), ["reddit_abc123"]);
    assert_eq!(ids("sentiment=negative&emotion=anger"), ["twitter_1"]);
    assert_eq!(ids("sentiment=neutral"), Vec::<String>::new());
    assert_eq!(ids("start=2025-12-26T10:00:30Z"), ["twitter_1"]);
    assert_eq!(ids("end=2025-12-26T10:01:00Z&author=ann"), ["reddit_abc123"]);
    let uuid = newest["id"].as_str().expect("an id");
    for id in [uuid, "twitter_1"] {
        assert_eq!(served.data(&format!("/api/posts/{id}")), *newest, "{id}");
    }
    let gone = served.get("/api/posts/reddit_9");
    assert_eq!((gone.status, gone.code().as_str()), (404, "NOT_FOUND"));
    for bad in [
        "limit=0",
        "limit=1001",
        "offset=-1",
        "offset=10001",
        "sentiment=happy",
        "emotion=x",
        "order=asc",
    ] {
        assert_eq!(served.get(&format!("/api/posts?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn threads_with_their_cast() {
    let served = Served::start();
    let listed = served.get("/api/threads").json();
    let thread = |id: &str, title: Value, air: Value, ends: Value, status: Value, posts: u32| {
        json!({
            "reddit_id": id, "title": title, "air_time_utc": air, "ends_at_utc": ends, "status": status,
            "total_comments": posts,
        })
    };
    let (air, ends) = (json!("2025-12-26T10:00:00.000Z"), json!("2025-12-26T13:00:00.000Z"));
    let finals = thread("t1", json!("Finals"), air, ends, json!("live"), 7);
    let later = ["2025-12-27T10:00:00.000Z", "2025-12-27T13:00:00.000Z"].map(Value::from);
    let [air, ends] = later;
    assert_eq!(
        listed["data"],
        json!([
            thread("t3", json!("Later"), air, ends, json!("scheduled"), 0),
            finals,
            thread("t2", Value::Null, Value::Null, Value::Null, Value::Null, 1),
        ])
    );
    assert_eq!(
        listed["metadata"],
        json!({ "total": 3, "page": 1, "page_size": 20, "at": 1_000 })
    );
    assert_eq!(served.data("/api/threads?page=2&page_size=1"), json!([finals]));
    assert_eq!(served.data("/api/threads/t1"), finals);
    assert_eq!(served.get("/api/threads/t9").status, 404);
    assert_eq!(served.get("/api/threads?page=0").status, 400);
    let member = |name: &str, posts: u32| {
        json!({
            "cast_member": name, "time_window": "live", "window_start": "2025-12-26T10:00:00.000Z",
            "window_end": "2025-12-26T13:00:00.000Z", "posts": posts, "sentiment": 0.25,
        })
    };
    assert_eq!(
        served.data("/api/threads/t1/cast"),
        json!([member("curry", 1), member("lebron", 4)])
    );
    assert_eq!(served.data("/api/threads/t1/cast/lebron"), json!([member("lebron", 4)]));
    assert_eq!(
        served.data("/api/threads/t1/timeline"),
        json!([
            { "time": "2025-12-26T10:00:00.000Z", "curry": 0.25, "lebron": 0.25 },
            { "time": "2025-12-26T10:01:00.000Z", "curry": 0.25 },
        ])
    );
    assert_eq!(
        served.data("/api/threads/t1/timeline?end=2025-12-26T10:00:00Z"),
        json!([])
    );
}

#[test]
fn what_is_not_named_is_not_there() {
    let none = Served::with(ServeOptions::default());
    for target in [
        "/api/posts",
        "/api/posts/x",
        "/api/sentiment/aggregate",
        "/api/threads",
        "/api/threads/t1/cast",
    ] {
        let answer = none.get(target);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "NOT_CONFIGURED"),
            "{target}"
        );
    }
    let health = none.get("/api/health").json();
    assert_eq!(
        (&health["status"], &health["services"]),
        (&json!("degraded"), &json!({ "engine": "disconnected" }))
    );
    let some = Served::with(ServeOptions {
        compat: Some(CompatRoutes::default()),
        ..ServeOptions::default()
    });
    assert_eq!(some.get("/api/posts").status, 200);
    assert_eq!(some.get("/api/sentiment/distribution").status, 404);
}

#[test]
fn a_tenant_sees_what_is_theirs_and_nothing_that_mixes() {
    let (all, acme) = (new_key(), new_key());
    let key = |name: &str, key: &str, tenant: Option<&str>| ApiKey {
        name: name.into(),
        digest: digest_of(key),
        role: Role::Read,
        tenant: tenant.map(Into::into),
    };
    let served = Served::with(ServeOptions {
        compat: Some(routes()),
        auth: Some(AuthOptions {
            keys: vec![key("all", &all, None), key("acme", &acme, Some("reddit"))],
            jwt: None,
            tenant: Some(GroupColumn::Source),
        }),
        ..ServeOptions::default()
    });
    let ask = |target: &str, key: &str| get(served.server.addr(), target, &[("X-API-Key", key)]);
    let routes = [
        "/api/posts",
        "/api/sentiment/aggregate",
        "/api/threads",
        "/api/threads/t1/cast",
        "/ws/sentiment",
    ];
    for target in routes {
        assert_eq!(served.get(target).status, 401, "{target}");
    }
    let posts = ask("/api/posts", &acme).json();
    assert_eq!(posts["data"].as_array().map(Vec::len), Some(1), "{posts}");
    assert_eq!(posts["metadata"]["total"], Value::Null);
    assert_eq!(ask("/api/posts/twitter_1", &acme).status, 404);
    assert_eq!(ask("/api/posts/twitter_1", &all).status, 200);
    assert_eq!(ask("/api/sentiment/distribution", &acme).json()["metadata"]["total"], 2);
    assert_eq!(
        ask("/api/sentiment/distribution?source=twitter", &acme).json()["data"],
        json!([])
    );
    for mixed in [
        "/api/sentiment/aggregate?period=day",
        "/api/threads",
        "/api/threads/t1",
        "/api/threads/t1/timeline",
    ] {
        assert_eq!(ask(mixed, &acme).status, 403, "{mixed}");
        assert_eq!(ask(mixed, &all).status, 200, "{mixed}");
    }
    assert_eq!(ask("/api/health", &acme).status, 403);
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn hear(socket: &mut Socket) -> Value {
    let frame = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("json"),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("no frame: {other:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), frame)
        .await
        .expect("a frame in time")
}

async fn connect(served: &Served, path: &str) -> Socket {
    let request = format!("ws://{}{path}", served.server.addr())
        .into_client_request()
        .expect("a request");
    tokio_tungstenite::connect_async(request).await.expect("let in").0
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("threads")
}

#[test]
fn new_posts_and_their_numbers_are_pushed() {
    let served = Served::start();
    runtime().block_on(async {
        let mut sockets = Vec::new();
        for _ in 0..3 {
            let mut socket = connect(&served, "/ws/sentiment").await;
            let hello = hear(&mut socket).await;
            assert_eq!(
                (&hello["type"], &hello["message"]),
                (&json!("connection"), &json!("Connected to sentiment analysis stream"))
            );
            let metrics = hear(&mut socket).await;
            let data = &metrics["data"];
            assert_eq!(metrics["type"], "metrics");
            assert_eq!(
                [
                    &data["total_posts"],
                    &data["positive"],
                    &data["negative"],
                    &data["neutral"]
                ],
                [&json!(3), &json!(2), &json!(1), &json!(0)]
            );
            // Whatever a client says only keeps it there.
            socket.send(Message::text("ping")).await.expect("sent");
            sockets.push(socket);
        }
        let scored = score(Label::Positive, 0);
        let tick = |tick, score| TickChanges {
            tick,
            clock: T + HOUR,
            views: vec![Vec::new(); 6],
            // A change of a post that is not news, and a post that is as soon as it is scored.
            posts: vec![post(0, "twitter", Some(scored)), post(2, "reddit", score)],
            ..TickChanges::default()
        };
        served.hub.apply(&tick(2_000, None));
        served.hub.apply(&tick(3_000, Some(score(Label::Neutral, 5))));
        served.hub.apply(&tick(4_000, Some(score(Label::Negative, 5))));
        for socket in &mut sockets {
            let news = hear(socket).await;
            assert_eq!(news["type"], "new_post", "{news}");
            let data = &news["data"];
            assert_eq!(
                (&data["post_id"], &data["content"]),
                (&json!("reddit_2"), &json!("text 2"))
            );
            assert_eq!(data["timestamp"], "2025-12-26T10:02:00.000Z");
            assert_eq!(data["emotion"], "neutral");
            // It is announced once; the next frame is the card, ten seconds after the room was opened.
            assert_eq!(hear(socket).await["type"], "metrics");
        }
    });
    served.server.shutdown();
}

#[test]
fn a_thread_room_says_everything_each_time() {
    let served = Served::start();
    runtime().block_on(async {
        let mut socket = connect(&served, "/ws/thread/t1").await;
        assert_eq!(hear(&mut socket).await["type"], "connection");
        let state = hear(&mut socket).await;
        assert_eq!(state["type"], "update");
        assert_eq!(state["data"]["cast"], served.data("/api/threads/t1/cast"));
        let mut elsewhere = connect(&served, "/ws/thread/t9").await;
        assert_eq!(hear(&mut elsewhere).await["type"], "connection");
        assert_eq!(hear(&mut elsewhere).await["data"]["cast"], json!([]));
        for (tick, posts) in [(2_000, 5), (3_000, 0)] {
            let mut views = vec![Vec::new(); 6];
            views[4] = vec![phase("curry", posts)];
            served.hub.apply(&TickChanges {
                tick,
                clock: T + HOUR,
                views,
                ..TickChanges::default()
            });
            // Frames stand for themselves: the last one is the state, whatever came between.
            let expected = served.data("/api/threads/t1/cast");
            loop {
                if hear(&mut socket).await["data"]["cast"] == expected {
                    break;
                }
            }
        }
        let said = tokio::time::timeout(Duration::from_millis(700), hear(&mut elsewhere)).await;
        assert!(said.is_err(), "nothing changed in the other thread: {said:?}");
    });
    served.server.shutdown();
}
