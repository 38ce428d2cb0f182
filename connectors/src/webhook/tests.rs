//! A webhook against a server of ours that fails, answers late, and is away.

use super::*;
use crate::hub::testing::{THREADS, alert, event, spec};
use groundswell_core::keywords::{EventChange, KeywordEvent};
use groundswell_core::serving::AlertState;
use groundswell_core::spec::WindowSpec;
use parking_lot::Mutex;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Instant;

#[derive(Clone, Debug)]
struct Request {
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
}

/// Answers each request with the next of these, then with 204.
fn server(answers: &'static [&'static str]) -> (SocketAddr, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("bound");
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let requests = Arc::clone(&seen);
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let (mut headers, mut line) = (Vec::new(), String::new());
            while stream.read_line(&mut line).is_ok_and(|n| n > 0) && line.trim() != "" {
                if let Some((name, value)) = line.split_once(':') {
                    headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                line.clear();
            }
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length = length.and_then(|(_, n)| n.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("a body");
            let body = String::from_utf8(body).expect("text");
            requests.lock().push(Request { headers, body });
            let status = answers.get(n).copied().unwrap_or("204 No Content");
            if status != "hang up" {
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.get_mut().write_all(answer.as_bytes()).expect("answered");
            }
        }
    });
    (addr, seen)
}

fn open(addr: SocketAddr, folder: &Path, body: Body, past: bool) -> (Webhook, Arc<Mutex<Vec<Outcome>>>) {
    of(Posts::Alerts, addr, folder, body, past)
}

fn of(posts: Posts, addr: SocketAddr, folder: &Path, body: Body, past: bool) -> (Webhook, Arc<Mutex<Vec<Outcome>>>) {
    let names = Names::default();
    for name in THREADS.iter().chain(&crate::hub::testing::ENTITIES) {
        names.intern(name).expect("no collision");
    }
    let outcomes: Arc<Mutex<Vec<Outcome>>> = Arc::default();
    let told = Arc::clone(&outcomes);
    let webhook = Webhook::open(WebhookOptions {
        name: "slack".into(),
        url: format!("http://{addr}/hook"),
        secret: Some("a secret".into()),
        posts,
        body,
        timeout: Duration::from_secs(5),
        longest_pause: Duration::from_secs(1),
        past,
        folder: folder.to_owned(),
        state: Some("s1".into()),
        views: vec![spec("by_minute", WindowSpec::Tumble { size: 60_000 })].into(),
        names: Arc::new(names),
        post_ids: Arc::new(|_| Some("p0".into())),
        outcomes: Arc::new(move |_, outcome| told.lock().push(outcome)),
    });
    (webhook.expect("opened"), outcomes)
}

fn tick(tick: Tick, alerts: &[(u128, AlertState)]) -> TickChanges {
    TickChanges {
        tick,
        alerts: alerts.iter().map(|(id, state)| alert(*id, *state, tick)).collect(),
        ..TickChanges::default()
    }
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn alerts_are_signed_retried_and_told_apart() {
    use Outcome::{Delivered, Failed, Refused};
    let folder = tempfile::tempdir().expect("folder");
    let (addr, seen) = server(&[
        "500 Internal Server Error",
        "hang up",
        "429 Too Many Requests",
        "200 OK",
        "400 Bad Request",
    ]);
    let (mut webhook, outcomes) = open(addr, folder.path(), Body::Alert, true);
    webhook.apply(&tick(1_000, &[(1, AlertState::Firing)])).expect("taken");
    webhook.apply(&tick(2_000, &[(2, AlertState::Firing)])).expect("taken");
    webhook
        .apply_all(&[
            tick(2_000, &[(2, AlertState::Firing)]).into(),
            tick(3_000, &[(1, AlertState::Resolved)]).into(),
        ])
        .expect("taken");
    eventually("three alerts", || outcomes.lock().len() == 6);
    assert_eq!(
        *outcomes.lock(),
        [Failed, Failed, Failed, Delivered, Refused, Delivered]
    );
    let requests = seen.lock().clone();
    let keys: Vec<&str> = requests.iter().map(|r| r.header("idempotency-key")).collect();
    let of = |id: u128, state: &str, at: u64| format!("{id:032x}-{state}-{at}");
    let first = of(1, "firing", 1_000);
    assert_eq!(
        keys,
        [
            &first,
            &first,
            &first,
            &first,
            &of(2, "firing", 2_000),
            &of(1, "resolved", 3_000)
        ]
    );
    for request in &requests {
        let time = request.header("x-groundswell-timestamp").parse().expect("a time");
        let expected = message::signature("a secret", time, &request.body).expect("signed");
        assert_eq!(request.header("x-groundswell-signature"), expected);
        assert_eq!(request.header("content-type"), "application/json");
    }
    let body: Value = serde_json::from_str(&requests[5].body).expect("json");
    assert_eq!(
        (&body["state"], &body["rule"]),
        (&"resolved".into(), &"backlash".into())
    );
    assert_eq!(requests[0].body, requests[3].body, "byte for byte the same");
    let refused = std::fs::read_to_string(folder.path().join("slack.refused.jsonl")).expect("set aside");
    assert!(
        refused.contains(&of(2, "firing", 2_000)) && refused.contains("status 400"),
        "{refused}"
    );
}

#[test]
fn what_waits_is_posted_after_a_restart_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().expect("folder");
    // Nobody listens there.
    let away = groundswell_testing::port::free().expect("a port");
    let (mut webhook, outcomes) = open(away, folder.path(), Body::Slack, true);
    let began = Instant::now();
    for n in 1..50 {
        webhook
            .apply(&tick(n, &[(u128::from(n), AlertState::Firing)]))
            .expect("taken");
    }
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "taking a tick waits for no answer"
    );
    eventually("an attempt", || !outcomes.lock().is_empty());
    drop(webhook);
    let (addr, seen) = server(&[]);
    let (mut webhook, outcomes) = open(addr, folder.path(), Body::Slack, true);
    assert_eq!(webhook.upper(), Some(49));
    // What is handed over again is not posted again.
    webhook.apply(&tick(49, &[(49, AlertState::Firing)])).expect("taken");
    eventually("all of them", || outcomes.lock().len() == 49);
    drop(webhook);
    let (webhook, outcomes) = open(addr, folder.path(), Body::Slack, true);
    drop(webhook);
    assert_eq!(
        (outcomes.lock().len(), seen.lock().len()),
        (0, 49),
        "each once, as every answer came"
    );
    let text = serde_json::from_str::<Value>(&seen.lock()[0].body).expect("json")["text"].clone();
    assert!(
        text.as_str()
            .is_some_and(|t| t.starts_with("*backlash: firing* (entity curry, thread t1)")),
        "{text}"
    );
}

#[test]
fn a_new_webhook_is_silent_about_the_past() {
    let folder = tempfile::tempdir().expect("folder");
    let (addr, seen) = server(&[]);
    let (mut webhook, outcomes) = open(addr, folder.path(), Body::Alert, false);
    let now = u64::try_from(wall_now()).expect("after 1970");
    webhook
        .apply(&tick(now - 60_000, &[(1, AlertState::Firing)]))
        .expect("taken");
    webhook
        .apply(&tick(now + 60_000, &[(1, AlertState::Resolved)]))
        .expect("taken");
    eventually("the new one", || outcomes.lock().len() == 1);
    assert!(seen.lock()[0].header("idempotency-key").contains("resolved"));
}

#[test]
fn news_is_posted_revised_and_taken_back() {
    let now = u64::try_from(wall_now()).expect("after 1970");
    let change = |event: Option<KeywordEvent>, was_news| EventChange {
        id: 1,
        event: event.map(Arc::new),
        was_news,
    };
    let at = |tick, event| TickChanges {
        tick,
        events: vec![event],
        alerts: vec![alert(9, AlertState::Firing, tick)],
        ..TickChanges::default()
    };
    let suppressed = KeywordEvent {
        suppressed_by: Some("rumor".into()),
        ..event(2)
    };
    let ticks = [
        at(now - 60_000, change(Some(event(1)), false)),
        at(now + 60_000, change(Some(event(2)), true)),
        at(now + 60_001, change(Some(suppressed.clone()), true)),
        at(now + 60_002, change(Some(suppressed), false)),
        at(now + 60_003, change(Some(event(2)), false)),
        at(now + 60_004, change(None, true)),
    ];
    let posted = |body, past| {
        let folder = tempfile::tempdir().expect("folder");
        let (addr, seen) = server(&[]);
        let (mut webhook, outcomes) = of(Posts::Events, addr, folder.path(), body, past);
        ticks.iter().for_each(|tick| webhook.apply(tick).expect("taken"));
        let written = std::fs::read_to_string(folder.path().join("slack.jsonl")).expect("written");
        let due = written.lines().filter(|line| line.contains("\"key\"")).count();
        eventually("all of them", || outcomes.lock().len() == due);
        let requests = seen.lock().clone();
        let keys = requests.iter().map(|r| r.header("idempotency-key")[33..].to_owned());
        let bodies = requests.iter().map(|r| serde_json::from_str(&r.body).expect("json"));
        (keys.collect::<Vec<String>>(), bodies.collect::<Vec<Value>>())
    };
    let key = |state: &str, after| format!("{state}-{}", now + after);
    let (keys, bodies) = posted(Body::Alert, false);
    let states = [("revised", 60_000), ("gone", 60_001), ("new", 60_003), ("gone", 60_004)];
    assert_eq!(keys, states.map(|(state, after)| key(state, after)));
    assert_eq!((&bodies[0]["post"], &bodies[1]["gone"]), (&"p2".into(), &true.into()));
    let (keys, bodies) = posted(Body::Slack, true);
    assert_eq!(keys[0], format!("new-{}", now - 60_000));
    assert_eq!(
        keys[1..],
        [key("gone", 60_001), key("new", 60_003), key("gone", 60_004)]
    );
    let id = format!("{:032x}", 1);
    assert_eq!(
        bodies[0]["text"],
        format!(
            "*TGE &lt;b&gt;* (Other Corp), confidence 0.860, in another\nhttps://example.com/a\nevent {id}, post p1"
        )
    );
    assert_eq!(bodies[1]["text"], format!("Taken back: event {id}"));
}

#[test]
fn addresses_that_are_none_are_refused() {
    for bad in ["hooks.slack.com/x", "ftp://h/x", "http://", "https:///x"] {
        assert!(check_url(bad).is_err(), "{bad}");
    }
    assert!(check_url("https://hooks.slack.com/services/T/B/x?a=b").is_ok());
}
