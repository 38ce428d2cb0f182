//! Dead letters over HTTP: handed on with their bytes, answered one by one, and bounded.

use super::client::{get, raw};
use super::{Health, HealthReport, ServeOptions, serve};
use crate::dlq::{Answer, LETTERS, Letter, REQUEST_BYTES, Refusal, Replayed, Verdict};
use crate::hub::HubLimits;
use crate::hub::testing::hub;
use crate::metrics::Metrics;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;

/// An engine that keeps what it is given.
#[derive(Default)]
struct Keeps(Mutex<Vec<(Vec<Letter>, bool)>>);

impl Health for Keeps {
    fn report(&self) -> HealthReport {
        HealthReport::default()
    }

    fn replay(&self, letters: &[Letter], dry_run: bool) -> Result<Replayed, Refusal> {
        match letters.first().map(|l| &*l.code) {
            Some("busy") => return Err(Refusal::Busy),
            Some("stopping") => return Err(Refusal::NotNow("the engine is stopping".into())),
            _ if letters.len() > LETTERS => {
                let letters = letters.len();
                return Err(Refusal::TooMany { letters, most: LETTERS });
            }
            _ => {}
        }
        self.0.lock().push((letters.to_vec(), dry_run));
        let verdicts = [Verdict::Accepted, Verdict::StillBad].into_iter().cycle();
        let answers = letters
            .iter()
            .zip(verdicts)
            .map(|(l, verdict)| Answer::new(l.position(), verdict));
        Ok(Replayed {
            tick: Some(7),
            letters: answers.collect(),
        })
    }
}

fn post(addr: SocketAddr, headers: &str, body: &[u8]) -> super::client::Answer {
    let mut bytes = format!(
        "POST /api/v1/dead-letters/replay HTTP/1.1\r\nConnection: close\r\nHost: {addr}\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    raw(addr, &bytes)
}

fn body(letters: &[Letter]) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({ "letters": letters })).expect("JSON")
}

#[test]
fn letters_are_handed_on_and_answered() {
    let engine = Arc::new(Keeps::default());
    let options = ServeOptions {
        addr: ([127, 0, 0, 1], 0).into(),
        ..ServeOptions::default()
    };
    let metrics = Arc::new(Metrics::new().expect("no clash"));
    let health = Arc::clone(&engine) as Arc<dyn Health>;
    let server = serve(options, Arc::new(hub(HubLimits::default())), metrics, health).expect("serving");
    let addr = server.addr();
    let letter = |code: &str, payload: Vec<u8>| Letter {
        source: "posts".into(),
        code: code.into(),
        offset: 9,
        payload,
        attempt: 1,
        ..Letter::default()
    };
    // Far larger than other requests may be.
    let letters = [letter("a", vec![0xFF; 1 << 20]), letter("b", b"{".to_vec())];
    let answer = post(addr, "", &body(&letters));
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, "no-store"),
        "{}",
        answer.body
    );
    let data = &answer.json()["data"];
    assert_eq!(data["tick"], 7);
    assert_eq!(
        data["sums"],
        serde_json::json!({"accepted": 1, "duplicate": 0, "good": 0, "still_bad": 1, "refused": 0})
    );
    assert_eq!(data["letters"][1]["verdict"], "still_bad");
    assert_eq!(*engine.0.lock(), [(letters.to_vec(), false)]);

    let dry = br#"{"dry_run": true, "letters": []}"#;
    assert_eq!(post(addr, &format!("Origin: http://{addr}\r\n"), dry).status, 200);
    assert_eq!(engine.0.lock()[1], (vec![], true));

    let many = vec![letter("a", vec![]); LETTERS + 1];
    for (headers, body, status, code) in [
        ("", &b"{}"[..], 400, "INVALID_BODY"),
        ("", b"[]", 400, "INVALID_BODY"),
        ("", br#"{"letters": [], "dryrun": true}"#, 400, "INVALID_BODY"),
        ("", br#"{"letters": [{"source": "posts"}]}"#, 400, "INVALID_BODY"),
        ("", &body(&many), 413, "TOO_MANY_LETTERS"),
        ("", &body(&[letter("busy", vec![])]), 409, "REPLAY_BUSY"),
        ("", &body(&[letter("stopping", vec![])]), 503, "NOT_READY"),
        ("Origin: http://evil.example\r\n", dry, 403, "FORBIDDEN_ORIGIN"),
        ("Origin: null\r\n", dry, 403, "FORBIDDEN_ORIGIN"),
    ] {
        let answer = post(addr, headers, body);
        assert_eq!((answer.status, &*answer.code()), (status, code), "{}", answer.body);
    }
    // Refused by what it announces, before anything of it is read.
    let announced = format!(
        "POST /api/v1/dead-letters/replay HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {}\r\n\r\n",
        REQUEST_BYTES + 1
    );
    let answer = raw(addr, announced.as_bytes());
    assert_eq!(
        (answer.status, &*answer.code()),
        (413, "PAYLOAD_TOO_LARGE"),
        "{}",
        answer.body
    );
    assert_eq!(get(addr, "/api/v1/dead-letters/replay", &[]).status, 405);
    assert_eq!(engine.0.lock().len(), 2, "a refused request was handed on");
    server.shutdown();
}
