//! Server-sent events through a real port.

use super::client;
use super::export::all_rows;
use super::fold::{Fold, sorted};
use super::{Running, SocketLimits};
use crate::http::{CompatRoutes, ServeOptions};
use crate::hub::HubLimits;
use crate::hub::testing::VIEWS;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

struct Event {
    name: String,
    id: Option<u64>,
    data: Value,
}

/// A reader of a stream, as a browser or `curl -N` reads it.
struct Stream {
    lines: Box<dyn BufRead>,
    head: HashMap<String, String>,
    comments: usize,
}

/// What is inside the chunks.
struct Chunks(BufReader<TcpStream>, usize);

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.1 == 0 {
            let mut line = String::new();
            while line.trim().is_empty() {
                line.clear();
                if self.0.read_line(&mut line)? == 0 {
                    return Ok(0);
                }
            }
            self.1 = usize::from_str_radix(line.trim(), 16).expect("the length of a chunk");
            if self.1 == 0 {
                return Ok(0);
            }
        }
        let most = into.len().min(self.1);
        let read = self.0.read(&mut into[..most])?;
        self.1 -= read;
        Ok(read)
    }
}

impl Stream {
    fn open(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Stream {
        let mut stream = TcpStream::connect(addr).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
        let more: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        write!(
            stream,
            "GET {target} HTTP/1.1\r\nHost: {addr}\r\nAccept-Encoding: gzip\r\n{more}\r\n"
        )
        .expect("sent");
        let mut stream = BufReader::new(stream);
        let (mut head, mut line) = (HashMap::new(), String::new());
        while stream.read_line(&mut line).expect("a head") > 2 {
            if let Some((name, value)) = line.trim_end().split_once(": ") {
                head.insert(name.to_ascii_lowercase(), value.to_owned());
            } else {
                head.insert("status".into(), line.trim_end().to_owned());
            }
            line.clear();
        }
        Stream {
            lines: Box::new(BufReader::new(Chunks(stream, 0))),
            head,
            comments: 0,
        }
    }

    /// The next event; `None` at the end.
    fn next(&mut self) -> Option<Event> {
        let (mut name, mut id, mut data) = (String::from("message"), None, String::new());
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end_matches('\n').split_once(':') {
                None if data.is_empty() => {}
                None => {
                    let data = serde_json::from_str(&data).expect("JSON");
                    return Some(Event { name, id, data });
                }
                Some(("", _)) => self.comments += 1,
                Some(("event", value)) => name = value.trim().to_owned(),
                Some(("id", value)) => id = Some(value.trim().parse().expect("a tick")),
                Some(("data", value)) => data = value.trim().to_owned(),
                Some(("retry", value)) => assert_eq!(value.trim(), "2000"),
                Some(other) => panic!("{other:?}"),
            }
        }
    }
}

fn quick() -> SocketLimits {
    SocketLimits {
        progress: Duration::from_millis(50),
        ..SocketLimits::default()
    }
}

#[test]
fn whoever_comes_back_with_the_last_id_misses_nothing_and_hears_nothing_twice() {
    for (view, query) in [
        (VIEWS[0], ""),
        (VIEWS[0], "&thread=t1"),
        (VIEWS[1], ""),
        ("_posts", ""),
        ("_alerts", ""),
        ("_events", ""),
        ("_events", "&company=example%20corp&suppressed=true"),
    ] {
        let routes = CompatRoutes {
            events: true,
            ..CompatRoutes::default()
        };
        let options = ServeOptions {
            socket: quick(),
            compat: Some(routes),
            ..ServeOptions::default()
        };
        let mut running = Running::with(options, 11, 5, HubLimits::default());
        let addr = running.server.addr();
        let target = format!("/api/v1/events?view={view}{query}");
        let (mut fold, mut last, mut visits, mut resumed) = (Fold::default(), None::<u64>, 0, 0);
        while fold.at < running.history.tick || visits < 8 {
            let id = last.map(|id| id.to_string()).unwrap_or_default();
            let headers = [("Last-Event-ID", id.as_str())];
            let mut stream = Stream::open(addr, &target, &headers[..usize::from(last.is_some())]);
            assert!(stream.head["status"].contains("200"), "{:?}", stream.head);
            assert_eq!(stream.head["content-type"], "text/event-stream");
            assert_eq!(stream.head.get("content-encoding"), None);
            visits += 1;
            let ahead = if visits < 8 { 10 } else { 0 };
            (0..ahead).for_each(|_| running.tick());
            for _ in 0..6 {
                let event = stream.next().expect("an event");
                assert_eq!(event.data["type"], event.name.as_str());
                match event.name.as_str() {
                    "snapshot" | "delta" => {
                        fold.take(&event.data);
                        assert_eq!(event.id, event.data["at"].as_u64());
                    }
                    "progress" => fold.at = fold.at.max(event.data["at"].as_u64().expect("at")),
                    "resumed" => {
                        resumed += 1;
                        assert_eq!(event.data["from"].as_u64(), last);
                    }
                    other => panic!("{other}: {}", event.data),
                }
                last = event.id.or(last);
                if last == Some(running.history.tick) {
                    break;
                }
            }
        }
        assert_eq!((fold.snapshots, resumed), (1, visits - 1), "{view}");
        let rows = match view {
            "_posts" => running.get("/api/v1/posts?limit=100").json(),
            "_alerts" => running.get("/api/v1/alerts?limit=100").json(),
            "_events" => running.get(&format!("/api/v1/tge-events?limit=100{query}")).json(),
            view => running.get(&format!("/api/v1/views/{view}?limit=1000{query}")).json(),
        };
        assert_eq!(
            fold.rows(),
            sorted(rows["data"].as_array().expect("rows").clone()),
            "{view}{query}"
        );
        running.server.shutdown();
    }
}

#[test]
fn a_place_that_is_forgotten_is_said_to_be() {
    let limits = HubLimits {
        history_ticks: 5,
        ..HubLimits::default()
    };
    let mut running = Running::start(12, 50, quick(), limits);
    let from = running.history.tick;
    (0..50).for_each(|_| running.tick());
    let target = format!("/api/v1/events?view={}&from={from}", VIEWS[0]);
    let mut stream = Stream::open(running.server.addr(), &target, &[]);
    let first = stream.next().expect("an event");
    assert_eq!(
        (first.name.as_str(), first.id, &first.data["from"]),
        ("resync", None, &json!(from))
    );
    let second = stream.next().expect("an event");
    assert_eq!(
        (second.name.as_str(), second.id),
        ("snapshot", Some(running.history.tick))
    );
    running.server.shutdown();
    // The end of the server is the end of the stream.
    while stream.next().is_some() {}
}

#[test]
fn what_cannot_be_followed_is_refused_before_anything_is_sent() {
    let running = Running::start(13, 20, quick(), HubLimits::default());
    for (query, status, code) in [
        ("", 400, "INVALID_PARAMETER"),
        ("view=by_minut", 404, "UNKNOWN_VIEW"),
        ("view=by_minute&author=x", 400, "INVALID_PARAMETER"),
        ("view=by_minute&from=x", 400, "INVALID_PARAMETER"),
        ("view=last_five&since=0", 400, "INVALID_PARAMETER"),
        ("view=_alerts&state=gone", 400, "INVALID_PARAMETER"),
        ("view=_events&confidence_min=2", 400, "INVALID_PARAMETER"),
    ] {
        let answer = running.get(&format!("/api/v1/events?{query}"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{query}: {}",
            answer.body
        );
    }
    let addr = running.server.addr();
    let wrong = client::get(addr, "/api/v1/events?view=by_minute", &[("Last-Event-ID", "x")]);
    assert_eq!(wrong.status, 400);
    let head = client::request(addr, "HEAD", "/api/v1/events?view=by_minute", &[]);
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
}

#[test]
fn quiet_streams_have_heartbeats_and_stuck_ones_end_without_holding_up_others() {
    let socket = SocketLimits {
        heartbeat: Duration::from_millis(40),
        send_timeout: Duration::from_millis(300),
        clients: 2,
        ..quick()
    };
    let running = Running::start(14, 0, socket, HubLimits::default());
    let addr = running.server.addr();
    all_rows(&running.hub, 1, 1);
    let mut quiet = Stream::open(addr, "/api/v1/events?view=_alerts", &[]);
    assert_eq!(quiet.next().expect("an event").name, "snapshot");
    let stuck = Stream::open(addr, &format!("/api/v1/events?view={}", VIEWS[0]), &[]);
    let third = running.get("/api/v1/events?view=_posts");
    assert_eq!((third.status, third.code().as_str()), (503, "TOO_MANY_CLIENTS"));
    let dropped = r#"groundswell_websocket_dropped_total{reason="stuck"} 1"#;
    let began = std::time::Instant::now();
    let mut posts = 1;
    while !running.metrics.text().expect("text").contains(dropped) {
        assert!(began.elapsed() < Duration::from_secs(60), "never dropped");
        posts += 1;
        // More than the network holds.
        all_rows(&running.hub, 40_000, posts);
        let tick = running.hub.tick();
        while quiet.next().expect("open").id < tick {}
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(quiet.comments > 0, "heartbeats");
    drop(stuck);
}
