//! Erasures over HTTP: taken, refused, and kept for those who may.

use super::client::{Answer, raw, request};
use super::{Health, HealthReport, ServeOptions, ServerHandle, serve};
use crate::http::EraseRefusal;
use crate::http::auth::{ApiKey, AuthOptions, Role, digest_of, new_key};
use crate::hub::HubLimits;
use crate::hub::testing::hub;
use crate::metrics::Metrics;
use groundswell_core::erasure::{Erasure, Subject};
use groundswell_core::spec::GroupColumn;
use groundswell_core::time::Tick;
use parking_lot::Mutex;
use std::sync::Arc;

/// An engine that takes erasures, but for one post.
#[derive(Default)]
struct Taking(Mutex<Vec<Erasure>>);

impl Health for Taking {
    fn report(&self) -> HealthReport {
        HealthReport::default()
    }

    fn erase(&self, erasure: Erasure) -> Result<Tick, EraseRefusal> {
        if erasure.of == Subject::post("later") {
            return Err(EraseRefusal("the engine is starting".to_owned()));
        }
        self.0.lock().push(erasure);
        Ok(7)
    }
}

fn start(auth: Option<AuthOptions>) -> (Arc<Taking>, ServerHandle) {
    let engine = Arc::new(Taking::default());
    let options = ServeOptions {
        addr: ([127, 0, 0, 1], 0).into(),
        auth,
        ..ServeOptions::default()
    };
    let metrics = Arc::new(Metrics::new().expect("no clash"));
    let health = Arc::clone(&engine) as Arc<dyn Health>;
    let server = serve(options, Arc::new(hub(HubLimits::default())), metrics, health).expect("serving");
    (engine, server)
}

fn post(server: &ServerHandle, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let addr = server.addr();
    let mut text = format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    headers
        .iter()
        .for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    raw(addr, text.as_bytes())
}

const PATH: &str = "/api/v1/erasures";

#[test]
fn erasures_are_taken_and_bad_ones_refused() {
    let (engine, server) = start(None);
    let long = format!(r#"{{"author":"{}"}}"#, "x".repeat(513));
    let evil = [("Origin", "http://evil.example")];
    for (path, headers, body, status, code) in [
        (PATH, &[][..], "", 400, "INVALID_BODY"),
        (PATH, &[], "{}", 400, "INVALID_BODY"),
        (PATH, &[], r#"{"undo":true}"#, 400, "INVALID_BODY"),
        (PATH, &[], r#"{"author":""}"#, 400, "INVALID_BODY"),
        (PATH, &[], r#"{"author":7}"#, 400, "INVALID_BODY"),
        (PATH, &[], r#"{"author":"a","post":"b"}"#, 400, "INVALID_BODY"),
        (PATH, &[], r#"{"author":"a","undoo":true}"#, 400, "INVALID_BODY"),
        (PATH, &[], &long, 400, "INVALID_BODY"),
        (PATH, &[], r#"{"post":"later"}"#, 503, "NOT_READY"),
        (PATH, &evil, r#"{"author":"a"}"#, 403, "FORBIDDEN_ORIGIN"),
        ("/api/v1/erasure", &[], r#"{"author":"a"}"#, 404, "NOT_FOUND"),
    ] {
        let answer = post(&server, path, headers, body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path} {body}");
    }
    assert_eq!(request(server.addr(), "GET", PATH, &[]).status, 405);
    assert_eq!(*engine.0.lock(), [], "a refused request was handed on");

    let taken = post(&server, PATH, &[], r#"{"author":"ann"}"#);
    let expected = serde_json::json!({"of": "author", "undo": false, "tick": 7});
    assert_eq!((taken.status, &taken.json()["data"]), (200, &expected));
    assert_eq!(post(&server, PATH, &[], r#"{"thread":"t3_x","undo":true}"#).status, 200);
    let of = |of, undo| Erasure { of, undo };
    let expected = [of(Subject::author("ann"), false), of(Subject::thread("t3_x"), true)];
    assert_eq!(*engine.0.lock(), expected);
    server.shutdown();
}

#[test]
fn only_who_may_remove_data_may_erase() {
    let keys = [
        ("reader", new_key(), Role::Read, None),
        ("operator", new_key(), Role::Operate, None),
        ("tenant", new_key(), Role::Admin, Some("t")),
        ("admin", new_key(), Role::Admin, None),
    ];
    let known = keys.iter().map(|(name, key, role, tenant)| ApiKey {
        name: (*name).into(),
        digest: digest_of(key),
        role: *role,
        tenant: tenant.map(Into::into),
    });
    let (engine, server) = start(Some(AuthOptions {
        keys: known.collect(),
        jwt: None,
        tenant: Some(GroupColumn::Thread),
    }));
    let body = r#"{"author":"ann"}"#;
    assert_eq!(post(&server, PATH, &[], body).status, 401);
    assert_eq!(post(&server, PATH, &[("X-API-Key", "wrong")], body).status, 401);
    for ((name, key, ..), status) in keys.iter().zip([403, 403, 403, 200]) {
        assert_eq!(
            post(&server, PATH, &[("X-API-Key", key)], body).status,
            status,
            "{name}"
        );
    }
    assert_eq!(engine.0.lock().len(), 1);
    server.shutdown();
}
