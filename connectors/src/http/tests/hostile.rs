//! Clients that mean harm: what they do is refused or bounded, nothing of it leaks, and those who ask meanwhile are answered.
//!
//! Wrong requests are in `requests`, wrong frames in `sockets`, wrong tokens in `auth` and `auth/jwt_tests`.

use super::client::{get, raw};
use super::sockets::{connect, hear, say};
use super::{Running, ServeOptions};
use crate::hub::HubLimits;
use crate::hub::testing::VIEWS;
use futures::{SinkExt, StreamExt};
use serde_json::json;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

fn running(patience: Duration) -> Running {
    let options = ServeOptions {
        patience,
        ..ServeOptions::default()
    };
    Running::with(options, 3, 5, HubLimits::default())
}

/// Whether the server has closed the connection; what it said before is read.
fn said(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let wait = stream.set_read_timeout(Some(Duration::from_secs(20)));
    wait.expect("a timeout");
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

fn begin(addr: SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).expect("connected");
    stream.write_all(head.as_bytes()).expect("sent");
    stream
}

#[test]
fn heads_that_drip_are_cut_off_and_hold_up_nobody() {
    let running = running(Duration::from_secs(2));
    let addr = running.server.addr();
    let mut slow: Vec<TcpStream> = (0..300)
        .map(|_| begin(addr, "GET /api/v1/views HTTP/1.1\r\nHost: localhost\r\nX-A: "))
        .collect();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        assert_eq!(running.get("/api/v1/views").status, 200);
        for stream in &mut slow {
            // Those that are cut off already cannot be written to.
            let _ = stream.write_all(b"a");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    for stream in &mut slow {
        let said = said(stream);
        assert!(!said.contains(" 200 "), "{said}");
    }
    running.server.shutdown();
}

#[test]
fn bodies_that_do_not_come_are_not_waited_for() {
    let running = running(Duration::from_millis(500));
    let addr = running.server.addr();
    for target in ["/predict", "/api/v1/dead-letters/replay", "/api/v1/models/next/promote"] {
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n{{\"");
        let said = said(&mut begin(addr, &head));
        assert!(
            said.starts_with("HTTP/1.1 408 ") && said.contains("REQUEST_TIMEOUT"),
            "{target}: {said}"
        );
    }
    running.server.shutdown();
}

#[test]
fn what_is_said_back_cannot_become_a_header() {
    let running = running(Duration::from_secs(30));
    let addr = running.server.addr();
    for target in [
        "/api/v1/views/x%0d%0aSet-Cookie:%20stolen=1",
        "/api/v1/views/by_minute?order=%0d%0aSet-Cookie:%20stolen=1",
        "/api/v1/alerts/%0d%0a%0d%0a%3Cscript%3E",
    ] {
        let answer = get(addr, target, &[]);
        assert!(matches!(answer.status, 400 | 404), "{target}: {}", answer.status);
        assert_eq!(answer.header("set-cookie"), "", "{target}");
        assert_eq!(answer.header("content-type"), "application/json", "{target}");
        // As JSON it is one line, whatever was in it.
        assert_eq!(answer.body.lines().count(), 1, "{target}: {}", answer.body);
    }
    let split = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\rb\r\n\r\n";
    assert_eq!(raw(addr, split.as_bytes()).status, 400);
    let forged = get(addr, "/health/live", &[("X-Request-Id", "level=error msg=\"forged\"")]);
    assert!(!forged.header("x-request-id").contains("forged"));
    running.server.shutdown();
}

#[test]
fn two_requests_in_one_are_not_two_requests() {
    let running = running(Duration::from_secs(2));
    let smuggled = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                    0\r\n\r\nGET /api/v1/views HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let said = said(&mut begin(running.server.addr(), smuggled));
    assert!(!said.contains("\"group_by\""), "{said}");
    running.server.shutdown();
}

#[test]
fn a_hundred_thousand_subscriptions_are_sixty_four() {
    let running = running(Duration::from_secs(30));
    let addr = running.server.addr();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (mut to, mut from) = connect(addr).await.split();
        let asking = tokio::spawn(async move {
            for n in 0..100_000 {
                let ask = json!({"op": "subscribe", "view": VIEWS[0], "id": n.to_string()});
                // The server may have had enough.
                if to.send(Message::text(ask.to_string())).await.is_err() {
                    break;
                }
            }
            to
        });
        let mut heard = HashMap::<String, usize>::new();
        let mut other = connect(addr).await;
        say(&mut other, &json!({"op": "subscribe", "view": VIEWS[0]})).await;
        assert_eq!(hear(&mut other).await.expect("a frame")["type"], "snapshot");
        while heard.get("TOO_MANY_SUBSCRIPTIONS").copied().unwrap_or(0) < 100_000 - 64 {
            let frame = tokio::time::timeout(Duration::from_secs(60), from.next())
                .await
                .expect("in time");
            let Some(Ok(frame)) = frame else { break };
            let Message::Text(text) = frame else { continue };
            let frame: serde_json::Value = serde_json::from_str(&text).expect("json");
            let kind = frame["code"].as_str().or(frame["type"].as_str()).expect("a kind");
            *heard.entry(kind.to_owned()).or_default() += 1;
        }
        drop(asking.await);
        assert_eq!(heard.get("snapshot"), Some(&64), "{heard:?}");
    });
    running.server.shutdown();
}
