//! Subscribers through a real port.

use super::fold::{Fold, sorted};
use super::{Running, SocketLimits};
use crate::hub::filter::Filter;
use crate::hub::render::{AlertJson, PostJson, RowJson};
use crate::hub::testing::{ENTITIES, THREADS, VIEWS};
use crate::hub::{ALERTS_FEED, Content, EVENTS_FEED, Feed, Hub, HubLimits, POSTS_FEED};
use crate::json::event::EventJson;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

pub(super) type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

const FEEDS: [&str; 5] = [VIEWS[0], VIEWS[1], POSTS_FEED, ALERTS_FEED, EVENTS_FEED];

pub(super) async fn connect(addr: SocketAddr) -> Socket {
    connect_with(addr, "").await
}

async fn connect_with(addr: SocketAddr, query: &str) -> Socket {
    tokio_tungstenite::connect_async(format!("ws://{addr}/ws{query}"))
        .await
        .expect("connected")
        .0
}

pub(super) async fn say(socket: &mut Socket, what: &Value) {
    socket.send(Message::text(what.to_string())).await.expect("sent");
}

/// The next frame; `None` when the server closed.
pub(super) async fn hear(socket: &mut Socket) -> Option<Value> {
    let frame = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("json")),
                Some(Ok(Message::Binary(bytes))) => {
                    return Some(wire(&rmp_serde::from_slice::<Value>(&bytes).expect("MessagePack")));
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    };
    // Pings come for ever: the limit is on the frame.
    tokio::time::timeout(Duration::from_secs(20), frame)
        .await
        .expect("a frame in time")
}

/// Every feed as JSON rows.
fn content(hub: &Hub) -> Vec<Vec<Value>> {
    let feeds = [Feed::View(0), Feed::View(1), Feed::Posts, Feed::Alerts, Feed::Events];
    feeds.iter().map(|feed| rows(hub, *feed)).collect()
}

/// As a client reads it: parsing rounds a number like any other parse of the same text.
fn wire(row: &impl serde::Serialize) -> Value {
    serde_json::from_str(&serde_json::to_string(row).expect("json")).expect("json")
}

fn rows(hub: &Hub, feed: Feed) -> Vec<Value> {
    let snapshot = hub.snapshot(feed);
    let lookup = hub.lookup();
    match (&snapshot.content, feed) {
        (Content::Rows(table), Feed::View(index)) => {
            let spec = &hub.specs()[index];
            let all = table.all(&Filter::default(), 100_000).expect("few");
            all.into_iter()
                .map(|(key, row)| RowJson {
                    spec,
                    lookup,
                    clock: snapshot.clock,
                    key,
                    row: Some(row),
                })
                .map(|row| wire(&row))
                .collect()
        }
        (Content::Posts(posts), _) => posts
            .iter()
            .map(|(key, entry)| {
                wire(&PostJson {
                    lookup,
                    id: lookup.post_id(*key),
                    entry,
                })
            })
            .collect(),
        (Content::Alerts(alerts), _) => alerts
            .iter()
            .map(|a| AlertJson {
                lookup,
                spec: hub.spec(&a.latest.view),
                change: &a.latest,
                record: None,
                posts: None,
            })
            .map(|row| wire(&row))
            .collect(),
        (Content::Events(events), _) => events
            .all()
            .iter()
            .filter_map(|change| Some(wire(&EventJson::of(change.id, change.event.as_deref()?))))
            .collect(),
        _ => unreachable!("feeds and contents go together"),
    }
}

/// Subscriptions of one client: id, feed, filter.
fn plan(client: usize) -> Vec<(Option<String>, usize, Value)> {
    let thread = THREADS[client % THREADS.len()];
    let entities = [ENTITIES[client % 4], ENTITIES[(client + 1) % 4]];
    vec![
        (None, 0, json!({})),
        (Some(format!("mine {client} \"é\"")), 0, json!({"thread": thread})),
        (Some("late".into()), 0, json!({"entity": entities, "since": 180_000})),
        (Some("moving".into()), 1, json!({"entity": entities[0]})),
        (None, 1, json!({})),
        (None, 2, json!({})),
        (Some("posts".into()), 2, json!({"thread": thread})),
        (Some("firing".into()), 3, json!({"state": "firing"})),
        (None, 4, json!({})),
        (
            Some("sure".into()),
            4,
            json!({"company": ["EXAMPLE corp", "nobody"], "confidence_min": 0.9, "keyword": "tge"}),
        ),
        (
            Some("every".into()),
            4,
            json!({"suppressed": true, "duplicates": client.is_multiple_of(2), "since": 1_200_000}),
        ),
    ]
}

/// Whether an event is wanted, in other words than the filter's.
fn tells(filter: &Value, event: &Value) -> bool {
    let any = |name: &str| filter.get(name).is_none_or(|wanted| *wanted == event[name]);
    let company = |wanted: &Value| {
        let name = event["company"].as_str().map(str::to_lowercase);
        wanted[0].as_str().map(str::to_lowercase) == name
    };
    (filter["suppressed"] == true || event["suppressed_by"].is_null())
        && (filter["duplicates"] == true || event["duplicate_of"].is_null())
        && (filter.get("since").is_none() || event["created_at"].as_str() >= Some("1970-01-01T00:20:00.000Z"))
        && event["confidence"].as_f64() >= filter["confidence_min"].as_f64()
        && filter.get("company").is_none_or(company)
        && any("keyword")
}

fn matches(filter: &Value, row: &Value) -> bool {
    if row.get("matched_text").is_some() {
        return tells(filter, row);
    }
    filter
        .as_object()
        .expect("object")
        .iter()
        .all(|(name, wanted)| match name.as_str() {
            "since" => row["window_start"].as_str().expect("time") >= "1970-01-01T00:03:00.000Z",
            _ => match wanted {
                Value::Array(any) => any.contains(&row[name]),
                one => row[name] == *one,
            },
        })
}

struct Seen {
    at: u64,
    plan: usize,
    rows: Vec<Value>,
}

/// Reads until the last tick, leaving now and then, and notes what it has at every progress frame.
async fn follow(addr: SocketAddr, client: usize, last: tokio::sync::watch::Receiver<u64>) -> (Vec<Seen>, usize) {
    let plan = plan(client);
    let mut folds: Vec<Fold> = vec![Fold::default(); plan.len()];
    let (mut seen, mut resumed, mut visit) = (Vec::new(), 0, 0);
    loop {
        let mut socket = connect_with(addr, ["", "?encoding=msgpack"][client % 2]).await;
        let resume = folds.iter().map(|f| f.at).collect::<Vec<_>>();
        for ((id, feed, filter), at) in plan.iter().zip(&resume) {
            let from = (*at > 0).then_some(*at);
            say(
                &mut socket,
                &json!({"op": "subscribe", "id": id, "view": FEEDS[*feed], "filter": filter, "from": from}),
            )
            .await;
        }
        visit += 1;
        resumed += usize::from(resume.iter().any(|at| *at > 0));
        let (mut heard, mut live) = (0, vec![false; plan.len()]);
        let index = |frame: &Value| {
            let id = frame.get("id").map(|id| id.as_str().expect("a string"));
            plan.iter()
                .position(|(i, feed, _)| FEEDS[*feed] == frame["view"] && i.as_deref() == id)
                .expect("mine")
        };
        while let Some(frame) = hear(&mut socket).await {
            heard += 1;
            match frame["type"].as_str().expect("type") {
                "progress" => {
                    let at = frame["at"].as_u64().expect("at");
                    // It speaks for the subscriptions the server has answered.
                    for index in (0..plan.len()).filter(|index| live[*index]) {
                        folds[index].at = folds[index].at.max(at);
                        seen.push(Seen {
                            at,
                            plan: index,
                            rows: folds[index].rows(),
                        });
                    }
                    let end = *last.borrow();
                    if end > 0 && at >= end && live.iter().all(|live| *live) {
                        return (seen, resumed);
                    }
                    if heard > 40 + client * 7 && visit < 6 {
                        break;
                    }
                }
                "snapshot" | "delta" => {
                    live[index(&frame)] = true;
                    folds[index(&frame)].take(&frame);
                }
                "resumed" => {
                    assert_eq!(frame["from"], folds[index(&frame)].at);
                    live[index(&frame)] = true;
                }
                "resync" => {}
                other => panic!("{other}: {frame}"),
            }
        }
        drop(socket);
        tokio::time::sleep(Duration::from_millis(client as u64 * 3)).await;
    }
}

#[test]
fn twenty_subscribers_have_the_state_of_every_tick_they_are_told_about() {
    let limits = HubLimits {
        history_ticks: 100,
        ..HubLimits::default()
    };
    let mut running = Running::start(
        5,
        3,
        SocketLimits {
            progress: Duration::from_millis(50),
            ..SocketLimits::default()
        },
        limits,
    );
    let addr = running.server.addr();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    let (end, last) = tokio::sync::watch::channel(0);
    let clients: Vec<_> = (0..20)
        .map(|client| runtime.spawn(follow(addr, client, last.clone())))
        .collect();
    let mut states: HashMap<u64, Vec<Vec<Value>>> = HashMap::new();
    states.insert(running.history.tick, content(&running.hub));
    for _ in 0..250 {
        std::thread::sleep(Duration::from_millis(3));
        running.tick();
        states.insert(running.history.tick, content(&running.hub));
    }
    end.send(running.history.tick).expect("clients are there");
    // Said before the last tick: whoever hears of that tick knows it is the end.
    running.tick();
    states.insert(running.history.tick, content(&running.hub));
    let (mut checked, mut resumed) = (0, 0);
    for (client, task) in clients.into_iter().enumerate() {
        let (seen, visits) = runtime.block_on(task).expect("no panic");
        resumed += visits;
        for Seen { at, plan: index, rows } in seen {
            let (_, feed, filter) = &plan(client)[index];
            let expected: Vec<Value> = states[&at][*feed]
                .iter()
                .filter(|r| matches(filter, r))
                .cloned()
                .collect();
            assert!(
                rows == sorted(expected),
                "client {client}, {} with {filter} at {at}",
                FEEDS[*feed]
            );
            checked += 1;
        }
    }
    assert!(checked > 2_000 && resumed > 20, "{checked} states, {resumed} visits");
    let over_http = running.get("/api/v1/views/by_minute?limit=1000").json();
    assert_eq!(over_http["metadata"]["at"], running.history.tick);
    let data = over_http["data"].as_array().expect("data").clone();
    assert_eq!(sorted(data), sorted(states[&running.history.tick][0].clone()));
    running.server.shutdown();
}

#[test]
fn malformed_frames_are_answered_ten_times() {
    let running = Running::start(6, 5, SocketLimits::default(), HubLimits::default());
    let addr = running.server.addr();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let mut socket = connect(addr).await;
        for (bad, code) in [
            (json!({"op": "subscribe", "view": "by_minutes"}), "UNKNOWN_VIEW"),
            (
                json!({"op": "subscribe", "view": VIEWS[0], "filter": {"x": "y"}}),
                "INVALID_PARAMETER",
            ),
            (
                json!({"op": "subscribe", "view": VIEWS[0], "id": ""}),
                "INVALID_PARAMETER",
            ),
            (json!({"op": "unsubscribe", "view": VIEWS[0]}), "NOT_SUBSCRIBED"),
        ] {
            say(&mut socket, &bad).await;
            let frame = hear(&mut socket).await.expect("an answer");
            assert_eq!(
                (&frame["type"], &frame["code"]),
                (&json!("error"), &json!(code)),
                "{frame}"
            );
        }
        let bad = [
            Message::text("{"),
            Message::text("[]"),
            Message::binary(vec![1, 2]),
            Message::text("{\"op\":\"x\"}"),
        ];
        for (n, frame) in bad.iter().cycle().take(10).enumerate() {
            socket.send(frame.clone()).await.expect("sent");
            let frame = hear(&mut socket).await.expect("an answer");
            assert_eq!(
                (&frame["code"], &frame["details"]["left"]),
                (&json!("INVALID_FRAME"), &json!(9 - n)),
                "{frame}"
            );
        }
        assert_eq!(hear(&mut socket).await, None);

        let mut socket = connect(addr).await;
        socket.send(Message::text("x".repeat(100_000))).await.expect("sent");
        assert_eq!(
            hear(&mut socket).await,
            None,
            "a frame beyond the limit ends the connection"
        );

        let mut socket = connect(addr).await;
        say(&mut socket, &json!({"op": "subscribe", "view": VIEWS[0], "id": "a"})).await;
        assert_eq!(hear(&mut socket).await.expect("frame")["type"], "snapshot");
        assert_eq!(hear(&mut socket).await.expect("frame")["type"], "progress");
        say(&mut socket, &json!({"op": "subscribe", "view": VIEWS[1], "id": "a"})).await;
        assert_eq!(hear(&mut socket).await.expect("frame")["code"], "ALREADY_SUBSCRIBED");
        say(&mut socket, &json!({"op": "unsubscribe", "id": "a"})).await;
        assert_eq!(hear(&mut socket).await.expect("frame")["type"], "unsubscribed");
    });
    let metrics = running.metrics.text().expect("text");
    assert!(
        metrics.contains(r#"groundswell_websocket_dropped_total{reason="malformed"} 1"#),
        "{metrics}"
    );
    running.server.shutdown();
}

#[test]
fn a_silent_client_is_dropped_and_a_shutdown_says_where_to_resume() {
    let socket = SocketLimits {
        heartbeat: Duration::from_millis(60),
        clients: 2,
        ..SocketLimits::default()
    };
    let running = Running::start(7, 5, socket, HubLimits::default());
    let addr = running.server.addr();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("runtime");
    let mut live = runtime.block_on(connect(addr));
    let silent = runtime.block_on(connect(addr));
    let full = runtime.block_on(tokio_tungstenite::connect_async(format!("ws://{addr}/ws")));
    assert!(full.is_err(), "a third client");
    let tick = running.history.tick;
    let heard = runtime.spawn(async move {
        say(&mut live, &json!({"op": "subscribe", "view": POSTS_FEED})).await;
        loop {
            match live.next().await {
                Some(Ok(Message::Close(Some(close)))) => return close.reason.to_string(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let dropped = r#"groundswell_websocket_dropped_total{reason="silent"} 1"#;
    while !running.metrics.text().expect("text").contains(dropped) {
        assert!(std::time::Instant::now() < deadline, "never dropped");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(silent);
    running.server.shutdown();
    let reason = runtime.block_on(heard).expect("no panic");
    assert_eq!(reason, format!("shutting down; resume from {tick}"));
}

#[test]
fn message_pack_is_for_those_who_ask_for_it() {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let running = Running::start(8, 20, SocketLimits::default(), HubLimits::default());
    let addr = running.server.addr();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let open = async |query: &str, protocols: &str| {
            let mut upgrade = format!("ws://{addr}/ws{query}")
                .into_client_request()
                .expect("a request");
            if !protocols.is_empty() {
                let protocols = protocols.parse().expect("a header");
                upgrade.headers_mut().insert("sec-websocket-protocol", protocols);
            }
            tokio_tungstenite::connect_async(upgrade)
                .await
                .map(|(socket, _)| socket)
        };
        for (query, protocols, binary) in [
            ("", "", false),
            ("", "groundswell", false),
            ("?encoding=json", "", false),
            ("?encoding=msgpack", "", true),
            ("", "groundswell, groundswell.msgpack", true),
        ] {
            let mut socket = open(query, protocols).await.expect("connected");
            let subscribe = json!({"op": "subscribe", "view": VIEWS[0], "filter": {"thread": THREADS[0]}});
            // Such a client may speak it too.
            let say = match binary {
                true => Message::binary(rmp_serde::to_vec_named(&subscribe).expect("MessagePack")),
                false => Message::text(subscribe.to_string()),
            };
            socket.send(say).await.expect("sent");
            let frame = loop {
                match socket.next().await.expect("open").expect("a frame") {
                    Message::Ping(_) => {}
                    frame => break frame,
                }
            };
            assert_eq!(frame.is_binary(), binary, "{query} {protocols}: {frame:?}");
        }
        assert!(open("?encoding=xml", "").await.is_err());
        assert!(open("?token=x", "").await.is_err());
        let mut socket = open("?encoding=msgpack", "").await.expect("connected");
        socket.send(Message::binary(vec![0xc1])).await.expect("sent");
        assert_eq!(hear(&mut socket).await.expect("an answer")["code"], "INVALID_FRAME");
    });
}
