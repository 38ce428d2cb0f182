//! Feeds, likes and reposts through a real port, and notifications through a real socket.

use super::client::{Answer, get};
use super::{Health, ServeOptions, Switch, serve};
use crate::http::ServerHandle;
use crate::hub::feeds::rank::FeedOptions;
use crate::hub::testing::{post, texts};
use crate::hub::{Hub, HubLimits, HubOptions};
use crate::metrics::Metrics;
use futures::StreamExt;
use groundswell_core::id::{Dim, Names, PostKey};
use groundswell_core::score::Score;
use groundswell_core::serving::{LivePost, Mention, PostChange, TickChanges};
use groundswell_core::spec::Method;
use groundswell_core::tie::{Child, Engagement, TieChanges, TieKey, TieKind};
use groundswell_core::time::HOUR;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const T: i64 = 1_766_743_200_000;
const USERS: [&str; 4] = ["Ann", "bob", "cid", "dee"];

struct Served {
    hub: Arc<Hub>,
    server: ServerHandle,
}

fn key(n: usize) -> PostKey {
    PostKey::of(format!("p{n}").as_bytes())
}

/// Posts by Ann and bob in turns, an hour apart, the first one the oldest.
fn written(n: usize) -> PostChange {
    let created_at = T - 24 * HOUR + i64::try_from(n).expect("small") * HOUR;
    let post = LivePost {
        author: Dim::of(USERS[n % 2]),
        score: Some(Score {
            toxic: 100_000,
            is_toxic: n == 7,
            ..Score::given(0)
        }),
        ..post(created_at)
    };
    PostChange {
        key: key(n),
        post: Some(post),
    }
}

fn like(user: &str, n: usize, at: i64) -> (TieKey, Option<i64>) {
    (TieKey::with_post(Dim::of(user), TieKind::Like, key(n)), Some(at))
}

fn numbers(n: usize, likes: i64) -> (PostKey, Option<Engagement>) {
    let engagement = Engagement {
        likes,
        ..Engagement::default()
    };
    (key(n), (likes > 0).then_some(engagement))
}

fn tick(tick: u64, posts: Vec<PostChange>, ties: TieChanges) -> TickChanges {
    TickChanges {
        tick,
        clock: T,
        posts,
        ties,
        ..TickChanges::default()
    }
}

impl Served {
    fn start(feeds: Option<FeedOptions>) -> Self {
        let names = Arc::new(Names::default());
        USERS.iter().chain(&["ann"]).for_each(|user| {
            names.intern(user).expect("no collision");
        });
        let id = |of| {
            (0..40)
                .map(|n| format!("p{n}"))
                .find(|id| PostKey::of(id.as_bytes()) == of)
        };
        let hub = Arc::new(Hub::new(HubOptions {
            views: Vec::new(),
            names,
            texts: texts(),
            post_ids: Arc::new(move |key| id(key).map(Arc::from)),
            limits: HubLimits::default(),
            k_anonymity: None,
            feeds,
            events: false,
        }));
        let ties = TieChanges {
            ties: vec![
                (TieKey::follow(Dim::of("cid"), Dim::of("Ann")), Some(1)),
                (TieKey::follow(Dim::of("cid"), Dim::of("bob")), Some(1)),
                (TieKey::follow(Dim::of("dee"), Dim::of("bob")), Some(1)),
                like("cid", 2, T),
                like("dee", 2, T + 1),
            ],
            engagement: vec![numbers(2, 2)],
            bonds: vec![(Dim::of("cid"), Dim::of("Ann"), 1), (Dim::of("dee"), Dim::of("Ann"), 1)],
            ..TieChanges::default()
        };
        hub.apply(&tick(1_000, (0..24).map(written).collect(), ties));
        let options = ServeOptions {
            addr: ([127, 0, 0, 1], 0).into(),
            drain: Duration::from_secs(2),
            ..ServeOptions::default()
        };
        let health: Arc<dyn Health> = Arc::new(Switch::default());
        let metrics = Arc::new(Metrics::new().expect("no clash"));
        let server = serve(options, Arc::clone(&hub), metrics, health).expect("free port");
        Served { hub, server }
    }

    fn get(&self, target: &str) -> Answer {
        get(self.server.addr(), target, &[])
    }

    fn page(&self, query: &str) -> (Vec<usize>, Option<String>) {
        let answer = self.get(&format!("/api/v1/posts/feed/?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let page = answer.json();
        let number = |post: &Value| post["id"].as_str().expect("an id")[1..].parse().expect("a number");
        let next = page["metadata"]["next_cursor"].as_str().map(str::to_owned);
        (
            page["data"].as_array().expect("posts").iter().map(number).collect(),
            next,
        )
    }
}

#[test]
fn feeds_are_in_their_orders() {
    let served = Served::start(Some(FeedOptions::default()));
    let newest: Vec<usize> = (0..24).rev().collect();
    assert_eq!(served.page("user=cid&algorithm=chronological&limit=100").0, newest);
    let bobs: Vec<usize> = newest.iter().copied().filter(|n| n % 2 == 1).collect();
    assert_eq!(served.page("user=dee&algorithm=chronological&limit=100").0, bobs);
    assert_eq!(
        served.page("user=cid&algorithm=chronological&mute=Ann&limit=100").0,
        bobs
    );
    let civil = served.page("user=dee&algorithm=chronological&flagged=hide&limit=100").0;
    assert_eq!(civil, bobs.iter().copied().filter(|n| *n != 7).collect::<Vec<_>>());
    let engaged = served.page("algorithm=engagement&limit=3").0;
    assert_eq!(engaged, [2, 23, 22], "what was done, then by time");
    // Who likes Ann's posts has hers before bob's of the same hour, and more.
    let ranked = served.page("user=cid&limit=100").0;
    let place = |n| ranked.iter().position(|m| *m == n).expect("there");
    assert!(place(22) < place(21) && ranked.len() == 24, "{ranked:?}");
    let one = served.get("/api/v1/posts/feed/?user=cid&limit=1").json();
    let score = &one["data"][0]["score"];
    let mixed = 0.4 * score["recency"].as_f64().expect("a number")
        + 0.3 * score["engagement"].as_f64().expect("a number")
        + 0.2 * score["affinity"].as_f64().expect("a number")
        + 0.1 * score["model"].as_f64().expect("a number");
    assert!((score["final"].as_f64().expect("a number") - mixed).abs() < 1e-12);
    assert_eq!(one["metadata"]["as_of"], "2025-12-26T10:00:00.000Z");
    let likes = served.get("/api/v1/posts/p2/likes?limit=1").json();
    assert_eq!(
        likes["data"],
        json!([{ "user": "dee", "at": "2025-12-26T10:00:00.001Z" }])
    );
    assert_eq!(likes["metadata"]["total"], 2);
    served.server.shutdown();
}

#[test]
fn pages_hold_still_until_their_order_is_forgotten() {
    let served = Served::start(Some(FeedOptions::default()));
    let (first, next) = served.page("user=cid&limit=10");
    let all = served.page("user=cid&limit=100").0;
    assert_eq!(first, all[..10]);
    // Everything else is liked now, and one post is gone.
    let gone = all[12];
    let mut change = written(gone);
    change.post = None;
    let ties = TieChanges {
        engagement: (0..24)
            .filter(|n| !first.contains(n) && *n != gone)
            .map(|n| numbers(n, 90))
            .collect(),
        ..TieChanges::default()
    };
    served.hub.apply(&tick(2_000, vec![change], ties));
    let (second, last) = served.page(&format!("user=cid&limit=10&cursor={}", next.clone().expect("more")));
    let expected: Vec<usize> = all[10..].iter().copied().filter(|n| *n != gone).take(10).collect();
    assert_eq!(second, expected);
    let (third, none) = served.page(&format!("user=cid&limit=10&cursor={}", last.expect("more")));
    assert_eq!((third.len(), none), (3, None));
    assert_ne!(
        served.page("user=cid&limit=10").0,
        first,
        "who begins again sees what has changed"
    );
    // Another process knows nothing of the order.
    let other = Served::start(Some(FeedOptions::default()));
    let answer = other.get(&format!(
        "/api/v1/posts/feed/?user=cid&limit=10&cursor={}",
        next.expect("more")
    ));
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (410, &json!("CURSOR_EXPIRED"))
    );
    other.server.shutdown();
    served.server.shutdown();
}

#[test]
fn without_the_section_nothing_is_served() {
    let served = Served::start(None);
    for target in ["feed/", "user/Ann", "p2/likes", "p2/reposts"] {
        let answer = served.get(&format!("/api/v1/posts/{target}"));
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (404, &json!("NOT_CONFIGURED"))
        );
    }
    served.server.shutdown();
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn hear(socket: &mut Socket) -> Value {
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(30), socket.next())
            .await
            .expect("in time");
        match frame {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("json"),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("no frame: {other:?}"),
        }
    }
}

#[test]
fn users_are_told_what_happens_to_them_but_for_those_they_mute() {
    let served = Served::start(Some(FeedOptions::default()));
    let connect = async |path: &str| {
        let url = format!("ws://{}/ws/notifications/{path}", served.server.addr());
        let mut socket = tokio_tungstenite::connect_async(url).await.expect("let in").0;
        assert_eq!(hear(&mut socket).await["type"], "connection");
        socket
    };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let mut all = connect("Ann").await;
        let mut few = connect("Ann?mute=dee&kind=like&kind=comment").await;
        let mut named = written(25);
        if let Some(post) = &mut named.post {
            post.mentions = [Mention {
                entity: Dim::of("ann"),
                confidence: 1_000_000,
                method: Method::Named,
            }]
            .into_iter()
            .collect();
        }
        let child = Child {
            post: key(25),
            on: key(4),
            repost: false,
            author: Dim::of("bob"),
            created_at: T,
        };
        let ties = TieChanges {
            ties: vec![
                like("dee", 4, T),
                like("cid", 4, T),
                // Her own, one of bob's post, and one that is undone.
                like("Ann", 4, T),
                like("cid", 5, T),
                (TieKey::with_post(Dim::of("dee"), TieKind::Like, key(2)), None),
                (TieKey::follow(Dim::of("dee"), Dim::of("Ann")), Some(T)),
                (TieKey::with_post(Dim::of("cid"), TieKind::View, key(4)), Some(T)),
            ],
            children: vec![(child, true)],
            ..TieChanges::default()
        };
        served.hub.apply(&tick(2_000, vec![named], ties));
        let mut told = Vec::new();
        for _ in 0..5 {
            let frame = hear(&mut all).await;
            assert_eq!(
                (&frame["type"], &frame["data"]["user"]),
                (&json!("notification"), &json!("Ann"))
            );
            told.push((
                frame["data"]["kind"].clone(),
                frame["data"]["by"].clone(),
                frame["data"]["post_id"].clone(),
            ));
        }
        let of = |kind: &str, by: &str, post: Value| (json!(kind), json!(by), post);
        assert_eq!(
            told,
            [
                of("like", "dee", json!("p4")),
                of("like", "cid", json!("p4")),
                of("follow", "dee", Value::Null),
                of("comment", "bob", json!("p25")),
                of("mention", "bob", json!("p25")),
            ]
        );
        for (kind, by) in [("like", "cid"), ("comment", "bob")] {
            let frame = hear(&mut few).await;
            assert_eq!(
                (&frame["data"]["kind"], &frame["data"]["by"]),
                (&json!(kind), &json!(by))
            );
        }
        // The post is edited: its name was told of.
        served.hub.apply(&tick(3_000, vec![written(25)], TieChanges::default()));
        let more = tokio::time::timeout(Duration::from_millis(300), hear(&mut all)).await;
        assert!(more.is_err(), "{more:?}");
    });
    let refused = served.get("/ws/notifications/Ann?kind=hug");
    assert_eq!(refused.status, 400, "{}", refused.body);
    served.server.shutdown();
}
