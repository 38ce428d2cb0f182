//! Keyword events over HTTP.

use super::Running;
use super::client::{Answer, get, raw};
use super::sockets::{hear, say};
use crate::http::auth::{ApiKey, AuthOptions, Role, digest_of};
use crate::http::{CompatRoutes, ServeOptions};
use crate::hub::HubLimits;
use crate::hub::testing;
use groundswell_core::id::Dim;
use groundswell_core::keywords::{EventChange, KeywordEvent};
use groundswell_core::serving::TickChanges;
use groundswell_core::spec::GroupColumn;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const KEY: &str = "gsk_a key of somebody";

fn key(tenant: Option<&str>) -> ApiKey {
    ApiKey {
        name: "somebody".into(),
        digest: digest_of(KEY),
        role: Role::Read,
        tenant: tenant.map(Into::into),
    }
}

fn event(n: u8, change: impl Fn(&mut KeywordEvent)) -> EventChange {
    let mut event = KeywordEvent {
        confidence: 900_000 + i32::from(n),
        created_at: 1_000 * i64::from(n),
        ..testing::event(0)
    };
    event.post = format!("p{n}").into();
    change(&mut event);
    let event = Some(Arc::new(event));
    EventChange {
        id: u128::from(n),
        event,
        was_news: false,
    }
}

fn gone(n: u8) -> EventChange {
    EventChange {
        id: u128::from(n),
        event: None,
        was_news: true,
    }
}

fn served(options: ServeOptions) -> Running {
    let routes = CompatRoutes {
        events: true,
        ..CompatRoutes::default()
    };
    let running = Running::with(
        ServeOptions {
            compat: Some(routes),
            ..options
        },
        1,
        0,
        HubLimits::default(),
    );
    let apply = |tick, events| {
        running.hub.apply(&TickChanges {
            tick,
            events,
            ..TickChanges::default()
        })
    };
    apply(
        1,
        vec![
            event(1, |_| ()),
            event(2, |e| e.suppressed_by = Some("rumor".into())),
            event(3, |e| e.duplicate_of = Some(1)),
            event(4, |e| {
                (e.entity, e.company, e.entity_dim, e.confidence) = (None, None, Dim::NONE, 850_000)
            }),
            event(5, |e| e.source = ("other".into(), Dim::of("other"))),
            event(6, |_| ()),
        ],
    );
    // Revised: moved in time; and taken back.
    apply(2, vec![event(1, |e| e.created_at = 9_000), gone(6)]);
    running.ready();
    running
}

fn posts(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let rows = answer.json()["data"].as_array().expect("rows").clone();
    rows.iter()
        .map(|row| row["post"].as_str().expect("an id").to_owned())
        .collect()
}

fn search(running: &Running, body: &Value, headers: &str) -> Answer {
    let (addr, body) = (running.server.addr(), body.to_string());
    let head = format!("POST /api/v1/tge-events/search HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{headers}");
    raw(
        addr,
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
    )
}

#[test]
fn what_is_news_is_listed_and_found() {
    let running = served(ServeOptions::default());
    let list = |query: &str| posts(&running.get(&format!("/api/v1/tge-events?{query}")));
    assert_eq!(list("limit=50"), ["p1", "p5", "p4"]);
    assert_eq!(list("suppressed=true&duplicates=true"), ["p1", "p5", "p4", "p3", "p2"]);
    assert_eq!(list("confidence_min=0.9"), ["p1", "p5"]);
    assert_eq!(list("company=EXAMPLE&source=outlet"), ["p1"]);
    assert_eq!(list("since=4000&until=1970-01-01T00:00:09Z"), ["p5", "p4"]);
    let first = running.get("/api/v1/tge-events?limit=2");
    let cursor = first.json()["metadata"]["next_cursor"]
        .as_str()
        .expect("more")
        .to_owned();
    assert_eq!(
        (posts(&first).len(), list(&format!("limit=2&cursor={cursor}"))),
        (2, vec!["p4".to_owned()])
    );
    let found = search(
        &running,
        &json!({"filters": {"companies": ["example corp"], "confidence_min": 0.900_002}, "limit": 5}),
        "",
    );
    assert_eq!(posts(&found), ["p5"]);
    assert_eq!(posts(&search(&running, &json!({}), "")).len(), 3);
    let tag = running.get("/api/v1/tge-events").header("etag").to_owned();
    let again = get(running.server.addr(), "/api/v1/tge-events", &[("If-None-Match", &tag)]);
    assert_eq!(again.status, 304);
    let system = running.get("/api/v1/system/metrics").json();
    assert_eq!(
        (&system["data"]["events"], &system["data"]["status"]),
        (&json!(5), &json!("healthy"))
    );
    running.server.shutdown();
}

#[test]
fn what_is_not_understood_is_refused() {
    let running = served(ServeOptions::default());
    for bad in [
        "limit=0",
        "confidence_min=2",
        "confidence_min=x",
        "suppressed=yes",
        "companies=a",
        "cursor=zz",
        "since=soon",
    ] {
        let answer = running.get(&format!("/api/v1/tge-events?{bad}"));
        assert_eq!((answer.status, &*answer.code()), (400, "INVALID_PARAMETER"), "{bad}");
    }
    for bad in [
        json!({"filters": {"confidence_min": -1}}),
        json!({"limit": 1_001}),
        json!({"filters": {"companies": vec!["a"; 300]}}),
        json!({"cursor": "zz"}),
    ] {
        assert_eq!(search(&running, &bad, "").code(), "INVALID_PARAMETER", "{bad}");
    }
    for bad in [
        json!([]),
        json!({"filters": {"company": ["a"]}}),
        json!({"filters": {"companies": "a"}}),
    ] {
        assert_eq!(search(&running, &bad, "").code(), "INVALID_BODY", "{bad}");
    }
    assert_eq!(search(&running, &json!({"cursor": "x".repeat(70_000)}), "").status, 413);
    assert_eq!(
        search(&running, &json!({}), "Origin: https://elsewhere.example\r\n").status,
        403
    );
    running.server.shutdown();
    let running = Running::start(1, 1, Default::default(), HubLimits::default());
    assert_eq!(running.get("/api/v1/tge-events").code(), "NOT_CONFIGURED");
    assert_eq!(running.get("/api/v1/system/metrics").code(), "NOT_CONFIGURED");
    running.server.shutdown();
}

#[test]
fn a_tenant_sees_the_events_of_its_own() {
    for (column, tenant, expected) in [
        (GroupColumn::Source, "other", vec!["p5"]),
        (GroupColumn::Entity, "example", vec!["p1", "p5"]),
        (GroupColumn::Author, "somebody", vec![]),
    ] {
        let auth = AuthOptions {
            keys: vec![key(Some(tenant))],
            jwt: None,
            tenant: Some(column),
        };
        let running = served(ServeOptions {
            auth: Some(auth),
            ..ServeOptions::default()
        });
        let ask = |target: &str| get(running.server.addr(), target, &[("X-API-Key", KEY)]);
        assert_eq!(posts(&ask("/api/v1/tge-events")), expected);
        let mine = search(&running, &json!({}), &format!("X-API-Key: {KEY}\r\n"));
        assert_eq!(posts(&mine), expected);
        assert_eq!(ask("/api/v1/system/metrics").status, 403);
        assert_eq!(running.get("/api/v1/tge-events").status, 401);
        running.server.shutdown();
    }
}

#[test]
fn a_tenant_follows_the_events_of_its_own_and_goes_on_from_where_it_was() {
    let auth = AuthOptions {
        keys: vec![key(Some("other"))],
        jwt: None,
        tenant: Some(GroupColumn::Source),
    };
    let running = served(ServeOptions {
        auth: Some(auth),
        ..ServeOptions::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    let apply = |tick, events| {
        running.hub.apply(&TickChanges {
            tick,
            events,
            ..TickChanges::default()
        })
    };
    let theirs = |n: u8| event(n, |e| e.source = ("other".into(), Dim::of("other")));
    let open = async || {
        let mut upgrade = format!("ws://{}/ws", running.server.addr())
            .into_client_request()
            .expect("a request");
        upgrade
            .headers_mut()
            .insert("x-api-key", KEY.parse().expect("a header"));
        tokio_tungstenite::connect_async(upgrade).await.expect("let in").0
    };
    let ids = |rows: &Value| {
        let rows = rows.as_array().expect("rows").iter();
        rows.map(|row| u8::from_str_radix(row["id"].as_str().expect("an id"), 16).expect("small"))
            .collect::<Vec<_>>()
    };
    runtime.block_on(async {
        let mut socket = open().await;
        say(&mut socket, &json!({"op": "subscribe", "view": "_events"})).await;
        let first = hear(&mut socket).await.expect("a snapshot");
        assert_eq!(
            (first["type"].as_str(), ids(&first["rows"])),
            (Some("snapshot"), vec![5])
        );
        assert_eq!(hear(&mut socket).await.expect("progress")["type"], "progress");
        // Of others' events nothing is said, not even that they are gone.
        apply(3, vec![event(7, |_| ()), gone(1), theirs(8)]);
        let delta = hear(&mut socket).await.expect("a delta");
        assert_eq!((ids(&delta["rows"]), ids(&delta["gone"])), (vec![8], vec![]));
        drop(socket);
        apply(4, vec![gone(7), event(9, |_| ())]);
        // One of theirs is of somebody else from now on: for them it is gone.
        apply(5, vec![event(8, |_| ()), gone(5), theirs(10)]);
        let mut socket = open().await;
        say(&mut socket, &json!({"op": "subscribe", "view": "_events", "from": 3})).await;
        assert_eq!(hear(&mut socket).await.expect("resumed")["type"], "resumed");
        let delta = hear(&mut socket).await.expect("a delta");
        assert_eq!(
            (&delta["at"], ids(&delta["rows"]), ids(&delta["gone"])),
            (&json!(5), vec![10], vec![8, 5])
        );
    });
    running.server.shutdown();
}

#[test]
fn metrics_have_an_address_of_their_own() {
    let free = groundswell_testing::port::free().expect("a port");
    let auth = AuthOptions {
        keys: vec![key(None)],
        jwt: None,
        tenant: None,
    };
    let running = served(ServeOptions {
        metrics: Some(free),
        auth: Some(auth),
        ..ServeOptions::default()
    });
    let scraped = get(free, "/metrics", &[]);
    assert!(
        scraped.status == 200 && scraped.body.contains("groundswell_"),
        "{}",
        scraped.body
    );
    assert_eq!(
        get(free, "/api/v1/tge-events", &[]).status,
        404,
        "and nothing else is there"
    );
    assert_eq!(
        running.get("/metrics").status,
        401,
        "on the usual port one has to say who asks"
    );
    running.server.shutdown();
    assert!(
        std::net::TcpStream::connect(free).is_err(),
        "it is closed with the other"
    );
}
