//! Models over HTTP: listed, compared, switched, refused, and kept from other people's pages.

use super::client::{get, raw, request};
use super::{Health, HealthReport, ServeOptions, serve};
use crate::http::{
    Labels, ModelComparison, ModelControl, ModelDifference, ModelRefusal, ModelRefusalKind, ModelStatus, ModelSwitch,
};
use crate::hub::HubLimits;
use crate::hub::testing::hub;
use crate::metrics::Metrics;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;

/// An engine with two models; one of them lacks something.
struct Engine(Arc<Two>);

#[derive(Default)]
struct Two(Mutex<Vec<(String, bool)>>);

impl Health for Engine {
    fn report(&self) -> HealthReport {
        HealthReport::default()
    }

    fn models(&self) -> Option<Arc<dyn ModelControl>> {
        Some(Arc::clone(&self.0) as Arc<dyn ModelControl>)
    }
}

fn status(name: &str, role: &'static str) -> ModelStatus {
    ModelStatus {
        name: Some(name.to_owned()),
        key: "0123456789abcdef0123456789abcdef".into(),
        role,
        share: 1.0,
        texts: 10,
        scored: 8,
        missing: 2,
        wanted: 2,
        compared: 8,
        agreement: Some(0.5),
        drift: Some(0.1),
    }
}

fn refusal(kind: ModelRefusalKind) -> ModelRefusal {
    ModelRefusal {
        kind,
        message: "no".into(),
        details: json!({ "missing": 2 }),
    }
}

impl ModelControl for Two {
    fn list(&self) -> Vec<ModelStatus> {
        vec![status("social", "live"), status("next", "shadow")]
    }

    fn comparison(&self, model: &str, entities: usize) -> Result<ModelComparison, ModelRefusal> {
        if model != "next" {
            return Err(refusal(ModelRefusalKind::Unknown));
        }
        let difference = |entity: Option<String>| ModelDifference {
            entity,
            posts: 8,
            agreement: 0.5,
            live_sentiment: 0.25,
            sentiment: 0.5,
            difference: 0.25,
        };
        Ok(ModelComparison {
            model: status("next", "shadow"),
            live: Some("social".into()),
            all: difference(None),
            drift: 0.1,
            live_labels: Labels::default(),
            labels: Labels::default(),
            entities: (0..entities.min(3))
                .map(|n| difference(Some(format!("e{n}"))))
                .collect(),
        })
    }

    fn promote(&self, model: &str, force: bool) -> Result<ModelSwitch, ModelRefusal> {
        match (model, force) {
            ("next", false) => Err(refusal(ModelRefusalKind::Behind)),
            ("next", true) => {
                self.0.lock().push((model.to_owned(), force));
                Ok(ModelSwitch {
                    live: "b".into(),
                    was: "a".into(),
                    tick: 7,
                    missing: 2,
                })
            }
            ("social", _) => Err(refusal(ModelRefusalKind::AlreadyLive)),
            _ => Err(refusal(ModelRefusalKind::Unknown)),
        }
    }

    fn roll_back(&self) -> Result<ModelSwitch, ModelRefusal> {
        Err(refusal(ModelRefusalKind::NothingBefore))
    }
}

#[test]
fn models_are_listed_compared_and_switched() {
    let two = Arc::new(Two::default());
    let options = ServeOptions {
        addr: ([127, 0, 0, 1], 0).into(),
        ..ServeOptions::default()
    };
    let metrics = Arc::new(Metrics::new().expect("no clash"));
    let health = Arc::new(Engine(Arc::clone(&two))) as Arc<dyn Health>;
    let server = serve(options, Arc::new(hub(HubLimits::default())), metrics, health).expect("serving");
    let addr = server.addr();
    let listed = get(addr, "/api/v1/models", &[]);
    assert_eq!((listed.status, listed.header("cache-control")), (200, "no-store"));
    assert_eq!(listed.json()["data"][1]["role"], "shadow");
    let compared = get(addr, "/api/v1/models/next/comparison?limit=2", &[]).json();
    assert_eq!(compared["data"]["entities"].as_array().map(Vec::len), Some(2));
    assert_eq!(compared["data"]["entities"][1]["entity"], "e1");
    for (target, status, code) in [
        ("nexd/comparison", 404, "UNKNOWN_MODEL"),
        ("next/comparison?limit=0", 400, "INVALID_PARAMETER"),
        ("next/comparison?most=1", 400, "INVALID_PARAMETER"),
    ] {
        let answer = get(addr, &format!("/api/v1/models/{target}"), &[]);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{target}");
    }
    let nearly = get(addr, "/api/v1/models/nexd/comparison", &[]).json();
    let message = nearly["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("did you mean \"next\"?"), "{message}");

    let post = |target: &str, headers: &[(&str, &str)], body: &str| {
        let mut text = format!("POST /api/v1/models/{target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
        headers
            .iter()
            .for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        raw(addr, text.as_bytes())
    };
    for (target, headers, body, status, code) in [
        ("next/promote", vec![], "", 409, "MODEL_BEHIND"),
        ("next/promote", vec![], "{\"force\": 1}", 400, "INVALID_BODY"),
        ("next/promote", vec![], "{\"forced\": true}", 400, "INVALID_BODY"),
        ("social/promote", vec![], "{}", 409, "ALREADY_LIVE"),
        ("other/promote", vec![], "", 404, "UNKNOWN_MODEL"),
        ("rollback", vec![], "", 409, "NOTHING_TO_ROLL_BACK"),
        (
            "rollback",
            vec![("Origin", "http://evil.example")],
            "",
            403,
            "FORBIDDEN_ORIGIN",
        ),
        (
            "next/promote",
            vec![("Origin", "null")],
            "{\"force\": true}",
            403,
            "FORBIDDEN_ORIGIN",
        ),
    ] {
        let answer = post(target, &headers, body);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{target} {body}"
        );
    }
    assert_eq!(*two.0.lock(), [], "nothing was switched");
    let switched = post("next/promote", &[], "{\"force\": true}");
    assert_eq!((switched.status, &switched.json()["data"]["tick"]), (200, &7.into()));
    assert_eq!(*two.0.lock(), [("next".to_owned(), true)]);
    assert_eq!(request(addr, "GET", "/api/v1/models/rollback", &[]).status, 405);
    server.shutdown();
}
