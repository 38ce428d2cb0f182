//! Windows whose end moves, and rows that say how far they are, through a real port.

use super::client::{Answer, get, request};
use super::sockets::{connect, hear, say};
use super::{Health, ServeOptions, Switch, serve};
use crate::http::ServerHandle;
use crate::hub::testing::texts;
use crate::hub::{Hub, HubLimits, HubOptions};
use crate::metrics::Metrics;
use groundswell_core::acc::Acc;
use groundswell_core::id::{Dim, Names};
use groundswell_core::serving::{RowChange, TickChanges};
use groundswell_core::spec::{Extras, GroupColumn, Measure, Sessions, ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::{MINUTE, Tick};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// 2025-12-26T10:00:00Z
const T: i64 = 1_766_743_200_000;

struct Served {
    hub: Arc<Hub>,
    server: ServerHandle,
}

impl Served {
    fn start() -> Self {
        let sessions = Sessions {
            gap: 5 * MINUTE,
            max: 60 * MINUTE,
        };
        let view = |name: &str, revisions| ViewSpec {
            name: name.into(),
            group_by: vec![GroupColumn::Thread],
            window: WindowSpec::Session(sessions),
            measures: vec![Measure::Posts],
            keep: None,
            extras: Extras {
                revisions,
                ..Extras::default()
            },
        };
        let names = Arc::new(Names::default());
        names.intern("t1").expect("new");
        let hub = Arc::new(Hub::new(HubOptions {
            views: vec![view("bursts", true), view("plain", false)],
            names,
            texts: texts(),
            post_ids: Arc::new(|_| None),
            limits: HubLimits::default(),
            k_anonymity: None,
            feeds: None,
            events: false,
        }));
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

    /// A tick at which a session's last post is so many minutes after `T`, and was another before.
    fn tick(&self, tick: Tick, clock: i64, before: Option<i64>, last: Option<i64>, revision: u32) {
        let key = |minutes| {
            let group = [Dim::of("t1"), Dim::NONE, Dim::NONE, Dim::NONE];
            ViewKey::with_end(group, T, T + (minutes + 5) * MINUTE)
        };
        let gone = before.map(|minutes| RowChange::new(key(minutes), None));
        let there = last.map(|minutes| RowChange {
            revision,
            ..RowChange::new(key(minutes), Some(Acc::unscored()))
        });
        let rows: Vec<RowChange> = gone.into_iter().chain(there).collect();
        self.hub.apply(&TickChanges {
            tick,
            clock: T + clock * MINUTE,
            views: vec![rows.clone(), rows],
            ..TickChanges::default()
        });
    }

    fn get(&self, target: &str) -> Answer {
        let answer = get(self.server.addr(), target, &[]);
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        answer
    }

    fn rows(&self) -> Value {
        let mut rows = self.get("/api/v1/views/bursts").json()["data"].clone();
        for row in rows.as_array_mut().into_iter().flatten() {
            row.as_object_mut().map(|row| row.remove("updated_at"));
        }
        rows
    }
}

fn row(end: &str, state: &str, revision: u32) -> Value {
    json!([{
        "thread": "t1", "window_start": "2025-12-26T10:00:00.000Z", "window_end": format!("2025-12-26T{end}:00.000Z"),
        "posts": 1, "state": state, "revision": revision
    }])
}

#[test]
fn a_session_is_one_row_whose_end_moves_and_whose_state_follows_the_clock() {
    let served = Served::start();
    served.tick(1, 1, None, Some(1), 0);
    assert_eq!(served.rows(), row("10:06", "open", 0));
    served.tick(2, 4, Some(1), Some(3), 0);
    assert_eq!(served.rows(), row("10:08", "open", 0));
    let tag = served.get("/api/v1/views/bursts").header("etag").to_owned();
    // No row changes, and yet another answer is due.
    served.tick(3, 8, None, None, 0);
    assert_eq!(served.rows(), row("10:08", "final", 0));
    let again = request(
        served.server.addr(),
        "GET",
        "/api/v1/views/bursts",
        &[("If-None-Match", &tag)],
    );
    assert_eq!(again.status, 200);
    served.tick(4, 9, None, Some(3), 1);
    assert_eq!(served.rows(), row("10:08", "revised", 1));
    let csv = served.get("/api/v1/views/bursts/export").unchunked();
    assert!(
        csv.starts_with("thread,window_start,window_end,posts,state,revision,updated_at\n"),
        "{csv}"
    );
    assert!(csv.contains("10:08:00.000Z,1,revised,1,"), "{csv}");
    let lines = served.get("/api/v1/views/bursts/export?format=jsonl").unchunked();
    assert!(lines.contains(r#""state":"revised","revision":1"#), "{lines}");
    let parquet = served.get("/api/v1/views/bursts/export?format=parquet");
    assert!(parquet.body.contains("revision"));
    served.tick(5, 10, Some(3), None, 0);
    assert_eq!(served.rows(), json!([]));
}

#[test]
fn a_view_says_what_its_windows_are_and_only_those_that_count_revisions_show_them() {
    let served = Served::start();
    served.tick(1, 1, None, Some(1), 0);
    let views = served.get("/api/v1/views").json()["data"].clone();
    assert_eq!(
        views[0]["window"],
        json!({"kind": "session", "size_ms": 65 * MINUTE, "gap_ms": 5 * MINUTE})
    );
    assert_eq!(
        (&views[0]["revisions"], &views[1]["revisions"]),
        (&json!(true), &json!(false))
    );
    let plain = served.get("/api/v1/views/plain").json()["data"][0].clone();
    assert_eq!((&plain["state"], &plain["revision"]), (&Value::Null, &Value::Null));
    assert_eq!(plain["window_end"], "2025-12-26T10:06:00.000Z");
}

#[test]
fn a_subscriber_hears_of_moved_ends_and_revisions() {
    let served = Served::start();
    served.tick(1, 1, None, Some(1), 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut socket = connect(served.server.addr()).await;
        say(&mut socket, &json!({"op": "subscribe", "view": "bursts", "from": null})).await;
        let snapshot = hear(&mut socket).await.expect("a snapshot");
        assert!(snapshot.to_string().contains(r#""state":"open""#), "{snapshot}");
        served.tick(2, 20, Some(1), Some(3), 1);
        loop {
            let frame = hear(&mut socket).await.expect("a frame").to_string();
            if frame.contains("10:08:00.000Z") {
                assert!(
                    frame.contains(r#""state":"revised""#) && frame.contains(r#""revision":1"#),
                    "{frame}"
                );
                assert!(frame.contains("10:06:00.000Z"), "the old row goes: {frame}");
                break;
            }
        }
    });
}
