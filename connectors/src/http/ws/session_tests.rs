//! Sessions without a network.

use super::*;
use crate::http::tests::fold::Fold;
use crate::hub::HubLimits;
use crate::hub::testing::{History, VIEWS, hub};
use serde_json::Value;

struct Bench {
    hub: Arc<Hub>,
    history: History,
    session: Session,
}

impl Bench {
    fn new(limits: SocketLimits, kept: usize) -> Self {
        let hub = Arc::new(hub(HubLimits {
            history_ticks: kept,
            ..HubLimits::default()
        }));
        let metrics = Arc::new(Metrics::new().expect("no clash"));
        let session = Session::new((Arc::clone(&hub), metrics), limits, None, Encoding::Json);
        Bench {
            hub,
            history: History::new(9),
            session,
        }
    }

    fn ticks(&mut self, n: usize) {
        (0..n).for_each(|_| self.hub.apply(&self.history.next()));
    }

    fn frames(&mut self) -> Vec<Value> {
        let mut frames = self.session.take();
        for index in 0..self.session.subscriptions() {
            self.session.pull(index, Tick::MAX);
            frames.extend(self.session.take());
        }
        frames.extend(self.session.progress());
        frames
            .iter()
            .map(|f| serde_json::from_slice(f.bytes()).expect("json"))
            .collect()
    }

    fn say(&mut self, what: &Value) -> Vec<Value> {
        self.session.text(&what.to_string());
        self.frames()
    }
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|f| f["type"].as_str().expect("type")).collect()
}

#[test]
fn a_client_that_falls_behind_gets_a_snapshot_instead_and_is_dropped_if_that_does_not_help() {
    let mut bench = Bench::new(
        SocketLimits {
            deltas_behind: 20,
            resyncs: 3,
            ..SocketLimits::default()
        },
        10_000,
    );
    bench.ticks(5);
    let mut fold = Fold::default();
    let frames = bench.say(&json!({"op": "subscribe", "view": VIEWS[0]}));
    assert_eq!(kinds(&frames), ["snapshot", "progress"]);
    fold.take(&frames[0]);
    bench.ticks(10);
    for frame in bench.frames().iter().filter(|f| f["type"] == "delta") {
        fold.take(frame);
    }
    for round in 1..=3 {
        bench.ticks(100);
        let frames = bench.frames();
        assert_eq!(kinds(&frames), ["resync", "snapshot", "progress"], "round {round}");
        assert_eq!(frames[0]["from"], fold.at);
        fold.take(&frames[1]);
        fold.at = frames[2]["at"].as_u64().expect("at");
        assert_eq!(bench.session.end(), None);
    }
    bench.ticks(100);
    let frames = bench.frames();
    assert_eq!(kinds(&frames), ["resync", "error"]);
    assert_eq!(
        (&frames[1]["code"], &frames[1]["details"]["resume"]),
        (&json!("SLOW_CLIENT"), &json!(fold.at))
    );
    assert_eq!(bench.session.end(), Some(End::Slow));
    assert_eq!(bench.session.resume_point(), fold.at);
}

#[test]
fn a_resume_point_that_is_forgotten_or_unknown_means_a_fresh_snapshot() {
    let mut bench = Bench::new(SocketLimits::default(), 10);
    bench.ticks(100);
    let now = bench.history.tick;
    for from in [0, 5, now - 200_000, now + 1] {
        let frames = bench.say(&json!({"op": "subscribe", "view": VIEWS[0], "id": from.to_string(), "from": from}));
        assert_eq!(&kinds(&frames)[..2], ["resync", "snapshot"], "{from}");
        assert_eq!(
            (&frames[0]["from"], &frames[0]["id"]),
            (&json!(from), &json!(from.to_string()))
        );
    }
    let frames = bench.say(&json!({"op": "subscribe", "view": VIEWS[0], "from": now}));
    assert_eq!(
        kinds(&frames),
        ["resumed", "progress"],
        "nothing was missed, and this subscription is told so too"
    );
}

#[test]
fn subscribing_before_the_first_tick_is_no_error() {
    let mut bench = Bench::new(SocketLimits::default(), 100);
    let frames = bench.say(&json!({"op": "subscribe", "view": VIEWS[0]}));
    assert_eq!(kinds(&frames), ["snapshot"]);
    bench.ticks(1);
    assert_eq!(kinds(&bench.frames()), ["snapshot", "progress"]);
}

#[test]
fn snapshots_and_subscriptions_are_bounded() {
    let mut bench = Bench::new(
        SocketLimits {
            snapshot_rows: 1,
            subscriptions: 2,
            ..SocketLimits::default()
        },
        100,
    );
    bench.ticks(50);
    let frames = bench.say(&json!({"op": "subscribe", "view": VIEWS[0]}));
    assert_eq!(frames[0]["code"], "SNAPSHOT_TOO_LARGE");
    for (id, count) in [("a", 1), ("b", 2), ("c", 2)] {
        bench.say(&json!({"op": "subscribe", "view": "_alerts", "id": id}));
        assert_eq!(bench.session.subscriptions(), count);
    }
}

#[test]
fn frames_of_events_name_what_is_held_and_say_something() {
    for filter in [
        json!({}),
        json!({"company": "Example Corp"}),
        json!({"duplicates": true}),
    ] {
        let mut bench = Bench::new(SocketLimits::default(), 100);
        bench.ticks(1);
        let mut fold = Fold::default();
        for frame in bench.say(&json!({"op": "subscribe", "view": "_events", "filter": filter})) {
            if frame["type"] == "snapshot" {
                fold.take(&frame);
            }
        }
        let (mut gone, mut quiet) = (0, 0);
        for _ in 0..500 {
            bench.ticks(1);
            let frames = bench.frames();
            let Some(delta) = frames.iter().find(|frame| frame["type"] == "delta") else {
                quiet += 1;
                continue;
            };
            let held: Vec<Value> = fold.rows().iter().map(|row| row["id"].clone()).collect();
            let left = delta["gone"].as_array().expect("a list");
            assert!(left.iter().all(|key| held.contains(&key["id"])), "{filter}: {delta}");
            assert!(!left.is_empty() || delta["rows"] != json!([]), "{filter}: {delta}");
            gone += left.len();
            fold.take(delta);
        }
        assert!(
            gone > 50 && quiet > 50,
            "{filter}: {gone} gone, {quiet} ticks without a word"
        );
    }
}

#[test]
fn clients_without_a_filter_share_one_encoding() {
    let mut bench = Bench::new(SocketLimits::default(), 100);
    bench.ticks(1);
    bench.say(&json!({"op": "subscribe", "view": VIEWS[0]}));
    let at = bench.session.resume_point();
    bench.ticks(20);
    let Missed::Deltas { deltas, .. } = bench.hub.since(Feed::View(0), at, Tick::MAX) else {
        panic!("remembered")
    };
    bench.session.pull(0, Tick::MAX);
    let mine = bench.session.take();
    assert!(!mine.is_empty());
    for (delta, frame) in deltas.iter().zip(&mine) {
        let shared = delta.encoded(Encoding::Json, || unreachable!("encoded when it was sent"));
        assert_eq!(shared.bytes().as_ptr(), frame.bytes().as_ptr());
    }
}
