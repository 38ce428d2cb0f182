//! Sinks over HTTP: listed, told, and kept from other people's pages.

use super::client::{get, request};
use super::{Health, HealthReport, ServeOptions, serve};
use crate::http::{SinkAction, SinkRefusal, SinkStatus};
use crate::hub::HubLimits;
use crate::hub::testing::hub;
use crate::metrics::Metrics;
use parking_lot::Mutex;
use std::sync::Arc;

/// An engine with two sinks, one of which can be compared with something.
#[derive(Default)]
struct Two(Mutex<Vec<(String, SinkAction)>>);

impl Health for Two {
    fn report(&self) -> HealthReport {
        HealthReport::default()
    }

    fn sinks(&self) -> Vec<SinkStatus> {
        let sink = |name: &str| SinkStatus {
            name: name.to_owned(),
            state: "running",
            committed: 7,
            ticks_behind: 2,
            seconds_behind: 0.5,
            failures: 0,
            error: None,
            resync: None,
        };
        vec![sink("tables"), sink("lines")]
    }

    fn tell_sink(&self, sink: &str, action: SinkAction) -> Result<(), SinkRefusal> {
        match (sink, action) {
            ("lines", SinkAction::Resync) => Err(SinkRefusal::Cannot("it keeps a log".to_owned())),
            ("tables" | "lines", _) => {
                self.0.lock().push((sink.to_owned(), action));
                Ok(())
            }
            _ => Err(SinkRefusal::Unknown),
        }
    }
}

#[test]
fn sinks_are_listed_and_told() {
    let engine = Arc::new(Two::default());
    let options = ServeOptions {
        addr: ([127, 0, 0, 1], 0).into(),
        ..ServeOptions::default()
    };
    let metrics = Arc::new(Metrics::new().expect("no clash"));
    let health = Arc::clone(&engine) as Arc<dyn Health>;
    let server = serve(options, Arc::new(hub(HubLimits::default())), metrics, health).expect("serving");
    let addr = server.addr();
    let listed = get(addr, "/api/v1/sinks", &[]);
    assert_eq!((listed.status, listed.header("cache-control")), (200, "no-store"));
    let data = listed.json()["data"].clone();
    assert_eq!(
        (&data[0]["name"], &data[1]["ticks_behind"]),
        (&"tables".into(), &2.into())
    );

    let post = |target: &str, headers: &[(&str, &str)]| {
        let target = format!("/api/v1/sinks/{target}");
        let mut all = vec![("Content-Length", "0")];
        all.extend(headers);
        request(addr, "POST", &target, &all)
    };
    let paused = post("tables/pause", &[]);
    assert_eq!((paused.status, &paused.json()["data"]["name"]), (202, &"tables".into()));
    assert_eq!(
        post("tables/resume", &[("Origin", &format!("http://{addr}"))]).status,
        202
    );
    assert_eq!(post("tables/resync", &[]).status, 202);
    let told = [SinkAction::Pause, SinkAction::Resume, SinkAction::Resync].map(|a| ("tables".to_owned(), a));
    assert_eq!(*engine.0.lock(), told);

    for (target, headers, status, code) in [
        ("lines/resync", vec![], 409, "SINK_CANNOT"),
        ("table/pause", vec![], 404, "UNKNOWN_SINK"),
        ("tables/drop", vec![], 404, "NOT_FOUND"),
        (
            "tables/pause",
            vec![("Origin", "http://evil.example")],
            403,
            "FORBIDDEN_ORIGIN",
        ),
        ("tables/pause", vec![("Origin", "null")], 403, "FORBIDDEN_ORIGIN"),
        ("tables/pause", vec![("Host", "evil.example")], 421, "UNKNOWN_HOST"),
    ] {
        let answer = post(target, &headers);
        assert_eq!((answer.status, &*answer.code()), (status, code), "{target} {headers:?}");
    }
    assert!(post("table/pause", &[]).body.contains("did you mean 'tables'?"));
    assert_eq!(get(addr, "/api/v1/sinks/tables/pause", &[]).status, 405);
    assert_eq!(engine.0.lock().len(), 3, "a refused request was handed on");
    server.shutdown();
}
