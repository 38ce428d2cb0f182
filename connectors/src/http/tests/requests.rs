//! Good and bad requests.

use super::client::{get, raw, request};
use super::{Health, Running, ServeOptions, SocketLimits, Switch, serve};
use crate::http::ServeError;
use crate::hub::HubLimits;
use crate::hub::testing::{ENTITIES, THREADS};
use crate::metrics::Metrics;
use serde_json::Value;
use std::sync::Arc;

fn running() -> Running {
    Running::start(11, 120, SocketLimits::default(), HubLimits::default())
}

fn all_rows(running: &Running, target: &str, limit: usize) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let join = if target.contains('?') { '&' } else { '?' };
        let page = running.get(&format!("{target}{join}limit={limit}{cursor}"));
        assert_eq!(page.status, 200, "{}", page.body);
        let page = page.json();
        let data = page["data"].as_array().expect("data").clone();
        assert!(data.len() <= limit);
        rows.extend(data);
        match page["metadata"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

#[test]
fn good_requests() {
    let running = running();
    for (target, kind) in [
        ("/api/v1/views", "application/json"),
        ("/api/v1/views/by_minute", "application/json"),
        (
            "/api/v1/views/by_minute?thread=t1&entity=curry&entity=klay&since=0&until=1970-01-01T01:00:00Z&order=desc",
            "application/json",
        ),
        ("/api/v1/views/last_five?since=0", "application/json"),
        ("/api/v1/posts", "application/json"),
        (
            "/api/v1/alerts?state=firing&state=resolved&rule=backlash&view=by_minute",
            "application/json",
        ),
        ("/health/live", "application/json"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/docs.js", "text/javascript; charset=utf-8"),
        ("/docs/docs.css", "text/css; charset=utf-8"),
        ("/", "text/html; charset=utf-8"),
        ("/alerts/some/page", "text/html; charset=utf-8"),
    ] {
        let answer = running.get(target);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, kind),
            "{target}: {}",
            answer.body
        );
        assert!(!answer.header("x-request-id").is_empty(), "{target}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{target}");
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'self';"),
            "{target}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), "", "{target}");
        let head = request(running.server.addr(), "HEAD", target, &[]);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "HEAD {target}");
    }
    running.server.shutdown();
}

#[test]
fn bad_requests() {
    let running = running();
    let long = format!("/api/v1/views?x={}", "a".repeat(9_000));
    for (method, target, status, code) in [
        ("GET", "/api/v1/views/by_minutes", 404, "UNKNOWN_VIEW"),
        ("GET", "/api/v1/views/%FF", 404, "NOT_FOUND"),
        ("GET", "/api/v1/views?limit=5", 400, "INVALID_PARAMETER"),
        ("GET", "/api/v1/views/by_minute?limit=0", 400, "INVALID_PARAMETER"),
        ("GET", "/api/v1/views/by_minute?limit=1001", 400, "INVALID_PARAMETER"),
        ("GET", "/api/v1/views/by_minute?limit=ten", 400, "INVALID_PARAMETER"),
        ("GET", "/api/v1/views/by_minute?author=x", 400, "INVALID_PARAMETER"),
        (
            "GET",
            "/api/v1/views/by_minute?since=yesterday",
            400,
            "INVALID_PARAMETER",
        ),
        ("GET", "/api/v1/views/by_minute?order=up", 400, "INVALID_PARAMETER"),
        (
            "GET",
            "/api/v1/views/by_minute?order=asc&order=desc",
            400,
            "INVALID_PARAMETER",
        ),
        ("GET", "/api/v1/views/by_minute?cursor=abc", 400, "INVALID_PARAMETER"),
        (
            "GET",
            "/api/v1/views/by_minute?cursor=%F0%9F%92%A9",
            400,
            "INVALID_PARAMETER",
        ),
        ("GET", "/api/v1/posts?offset=10", 400, "INVALID_PARAMETER"),
        ("GET", "/api/v1/posts/nothing-like-it", 404, "NOT_FOUND"),
        ("GET", "/api/v1/alerts?state=gone", 400, "INVALID_PARAMETER"),
        ("GET", "/api/v1/alerts/xyz", 404, "NOT_FOUND"),
        (
            "GET",
            "/api/v1/alerts/ffffffffffffffffffffffffffffffff/explain",
            404,
            "NOT_FOUND",
        ),
        ("GET", "/api/v2/views", 404, "NOT_FOUND"),
        ("GET", "/api/v1/posts/", 404, "NOT_FOUND"),
        ("GET", "/assets/none.js", 404, "NOT_FOUND"),
        ("GET", "/docs/../../etc/passwd.txt", 404, "NOT_FOUND"),
        ("GET", "/..%2f..%2fetc/passwd.txt", 404, "NOT_FOUND"),
        ("GET", "/ws", 426, "UPGRADE_REQUIRED"),
        ("GET", long.as_str(), 414, "URI_TOO_LONG"),
        ("POST", "/api/v1/views", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/api/v1/posts/p1", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/", 405, "METHOD_NOT_ALLOWED"),
    ] {
        let answer = request(running.server.addr(), method, target, &[]);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{method} {target}: {}",
            answer.body
        );
        let error = &answer.json()["error"];
        assert!(
            error["message"].is_string() && error["details"].is_object(),
            "{target}: {error}"
        );
        if code == "INVALID_PARAMETER" {
            for part in ["parameter", "provided", "allowed"] {
                assert!(!error["details"][part].is_null(), "{target}: no {part}");
            }
        }
    }
    let near = running.get("/api/v1/views/by_minutes").json();
    assert_eq!(near["error"]["details"]["did_you_mean"], "by_minute");
    let cursor = running.get("/api/v1/views/by_minute?limit=1").json()["metadata"]["next_cursor"].clone();
    let other = running.get(&format!(
        "/api/v1/views/by_minute?order=desc&cursor={}",
        cursor.as_str().expect("more")
    ));
    assert_eq!(other.status, 400, "a cursor belongs to one order");
    running.server.shutdown();
}

#[test]
fn limits_of_requests() {
    let running = running();
    let addr = running.server.addr();
    let body = get(addr, "/api/v1/views", &[("Content-Length", "70000")]);
    assert_eq!((body.status, body.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let heavy = "a".repeat(40_000);
    assert_eq!(get(addr, "/api/v1/views", &[("X-Heavy", &heavy)]).status, 431);
    let heavier = "a".repeat(300_000);
    assert_eq!(get(addr, "/api/v1/views", &[("X-Heavy", &heavier)]).status, 431);
    let many: String = (0..200).map(|i| format!("X-{i}: 1\r\n")).collect();
    assert_eq!(
        raw(
            addr,
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes()
        )
        .status,
        431
    );
    assert_eq!(raw(addr, b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n").status, 400);
    let rebound = get(addr, "/api/v1/views", &[("Host", "evil.example")]);
    assert_eq!((rebound.status, rebound.code().as_str()), (421, "UNKNOWN_HOST"));
    let upgrade = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
    ];
    let upgrade = [
        &upgrade[..],
        &[
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Origin", "http://evil.example"),
        ],
    ];
    let foreign = get(addr, "/ws", &upgrade.concat());
    assert_eq!((foreign.status, foreign.code().as_str()), (403, "FORBIDDEN_ORIGIN"));
    assert_eq!(
        get(addr, "/health/live", &[("X-Request-Id", "mine-1")]).header("x-request-id"),
        "mine-1"
    );
    assert_ne!(
        get(addr, "/health/live", &[("X-Request-Id", "no spaces")]).header("x-request-id"),
        "no spaces"
    );
    running.server.shutdown();
}

#[test]
fn pages_add_up_and_filters_hold() {
    let running = running();
    let all = all_rows(&running, "/api/v1/views/by_minute", 1000);
    assert!(all.len() > 20, "{}", all.len());
    for limit in [1, 7, 100] {
        assert_eq!(all_rows(&running, "/api/v1/views/by_minute", limit), all);
    }
    let mut reversed = all_rows(&running, "/api/v1/views/by_minute?order=desc", 7);
    reversed.reverse();
    assert_eq!(reversed, all);
    let thread = "thread%2Fthree%20%C3%A9";
    let bounds = "since=1970-01-01T00:02:00Z&until=300000";
    let target = format!(
        "/api/v1/views/by_minute?thread={thread}&entity={}&{bounds}",
        ENTITIES[0]
    );
    let expected: Vec<Value> = all
        .iter()
        .filter(|r| r["thread"] == THREADS[2] && r["entity"] == ENTITIES[0])
        .filter(|r| {
            ("1970-01-01T00:02:00.000Z".."1970-01-01T00:05:00.000Z")
                .contains(&r["window_start"].as_str().expect("time"))
        })
        .cloned()
        .collect();
    assert_eq!(all_rows(&running, &target, 2), expected);
    assert_eq!(
        all_rows(&running, "/api/v1/views/by_minute?thread=never-seen", 2),
        Vec::<Value>::new()
    );
    let total = running.get("/api/v1/views/by_minute?limit=1").json()["metadata"]["total"].clone();
    assert_eq!(total, all.len());
    running.server.shutdown();
}

#[test]
fn posts_and_alerts() {
    let running = running();
    let posts = all_rows(&running, "/api/v1/posts", 3);
    let created = |p: &Value| p["created_at"].as_str().expect("time").to_owned();
    assert!(posts.len() > 5 && posts.windows(2).all(|w| created(&w[0]) >= created(&w[1])));
    let first = &posts[0];
    let id = first["id"].as_str().expect("id");
    assert_eq!(
        first["text"],
        format!("text of post {} <b>&", id.trim_start_matches('p'))
    );
    assert_eq!(running.get(&format!("/api/v1/posts/{id}")).json()["data"], *first);
    for field in [
        "label",
        "sentiment",
        "votes",
        "weight",
        "mentions",
        "score",
        "thread",
        "source",
        "author",
    ] {
        assert!(first.get(field).is_some(), "{field}");
    }
    let alerts = all_rows(&running, "/api/v1/alerts", 2);
    let at = |a: &Value| a["at"].as_str().expect("time").to_owned();
    assert!(alerts.len() > 3 && alerts.windows(2).all(|w| at(&w[0]) >= at(&w[1])));
    let firing = all_rows(&running, "/api/v1/alerts?state=firing", 2);
    assert_eq!(
        firing,
        alerts
            .iter()
            .filter(|a| a["state"] == "firing")
            .cloned()
            .collect::<Vec<_>>()
    );
    let id = alerts[0]["id"].as_str().expect("id");
    let one = running.get(&format!("/api/v1/alerts/{id}")).json()["data"].clone();
    assert!(!one["history"].as_array().expect("history").is_empty());
    let explained = running.get(&format!("/api/v1/alerts/{id}/explain")).json()["data"].clone();
    let evidence = &explained["evidence"][0];
    assert!(
        evidence["live"].is_boolean() && evidence.get("text").is_some(),
        "{evidence}"
    );
    assert_eq!(explained["key"]["thread"], "t1");
    running.server.shutdown();
}

#[test]
fn a_version_is_not_sent_twice() {
    let mut running = running();
    let addr = running.server.addr();
    for target in [
        "/api/v1/views",
        "/api/v1/views/by_minute?limit=3",
        "/api/v1/posts",
        "/api/v1/alerts",
    ] {
        let tag = running.get(target).header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{target}: {tag}");
        let again = get(addr, target, &[("If-None-Match", &tag)]);
        assert_eq!(
            (again.status, again.body.as_str(), again.header("etag")),
            (304, "", tag.as_str()),
            "{target}"
        );
    }
    let tag = running.get("/api/v1/views/by_minute").header("etag").to_owned();
    let version = |r: &Running| r.hub.view(0).expect("view").version;
    let before = version(&running);
    while version(&running) == before {
        running.tick();
    }
    assert_eq!(
        get(addr, "/api/v1/views/by_minute", &[("If-None-Match", &tag)]).status,
        200
    );
    running.server.shutdown();
}

#[test]
fn health_says_why_not() {
    let mut running = Running::start(3, 0, SocketLimits::default(), HubLimits::default());
    let before = running.get("/health/ready");
    assert_eq!((before.status, before.header("retry-after")), (503, "5"));
    assert_eq!(before.json()["reasons"][0], "restoring state");
    assert_eq!(running.get("/health").status, 503);
    assert_eq!(running.get("/health/live").status, 200);
    let data = running.get("/api/v1/views");
    assert_eq!(
        (data.status, data.code().as_str(), data.header("retry-after")),
        (503, "NOT_READY", "5")
    );
    running.ready();
    running.tick();
    for target in [
        "/health/ready",
        "/ready",
        "/health",
        "/api/health",
        "/health/detailed",
        "/api/v1/views",
    ] {
        assert_eq!(running.get(target).status, 200, "{target}");
    }
    assert_eq!(running.get("/health").json()["services"]["engine"]["status"], "running");
    let metrics = running.get("/metrics").body;
    assert!(
        metrics.contains(r#"groundswell_http_requests_total{route="/health/ready",status="503"} 1"#),
        "{metrics}"
    );
    running.server.shutdown();
}

#[test]
fn a_port_in_use_is_named_with_a_free_one() {
    let running = running();
    let addr = running.server.addr();
    let options = ServeOptions {
        addr,
        ..ServeOptions::default()
    };
    let metrics = Arc::new(Metrics::new().expect("no clash"));
    let health: Arc<dyn Health> = Arc::new(Switch::default());
    let Err(error) = serve(options, Arc::clone(&running.hub), metrics, health) else {
        panic!("two on one port")
    };
    assert!(matches!(error, ServeError::AddressInUse { alternative: Some(free), .. } if free != addr));
    let message = error.to_string();
    assert!(
        message.contains(&addr.to_string()) && message.contains("is free"),
        "{message}"
    );
    running.server.shutdown();
    std::net::TcpListener::bind(addr).expect("free after the shutdown");
}
