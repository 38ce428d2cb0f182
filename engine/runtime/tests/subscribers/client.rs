//! A subscriber that comes and goes.

use super::fold::{Fold, sorted};
use futures::{SinkExt, StreamExt};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

/// Rows asked for over HTTP at once; a longer answer is not compared.
const LIMIT: usize = 1000;

/// What a subscriber saw.
#[derive(Default)]
pub struct Tally {
    pub frames: u64,
    pub compared: u64,
    pub with_rows: u64,
    pub with_events: u64,
    pub resumed: u64,
    pub resynced: u64,
}

/// One view, or the keyword events, with a filter.
struct Subscription {
    id: String,
    view: &'static str,
    filter: Vec<(&'static str, String)>,
    fold: Fold,
    /// An answer of HTTP, to be compared when the fold is at its tick.
    due: Option<(u64, Value)>,
}

/// See the module's documentation.
pub struct Subscriber {
    addr: SocketAddr,
    random: ChaCha8Rng,
    subscriptions: Vec<Subscription>,
    /// Everything up to here was received.
    progress: Option<u64>,
    tally: Tally,
}

impl Subscriber {
    pub fn new(addr: SocketAddr, seed: u64) -> Self {
        Subscriber {
            addr,
            random: ChaCha8Rng::seed_from_u64(seed),
            subscriptions: Vec::new(),
            progress: None,
            tally: Tally::default(),
        }
    }

    /// Follows until then, comparing all the time.
    pub async fn follow(mut self, until: Instant) -> Tally {
        self.choose().await;
        while Instant::now() < until {
            let mut socket = self.connect().await;
            let stay = Duration::from_millis(self.random.random_range(300..3_000));
            let leave = (Instant::now() + stay).min(until);
            while Instant::now() < leave {
                let Some(frame) = hear(&mut socket).await else { break };
                self.take(&frame);
                if self.random.random_ratio(1, 30) {
                    self.ask().await;
                }
            }
            // Without a goodbye: the connection just goes.
            drop(socket);
        }
        self.tally
    }

    /// One to three views, with filters of values that occur.
    async fn choose(&mut self) {
        for n in 0..self.random.random_range(1..=3) {
            let (view, columns): (_, &[&str]) = match self.random.random_range(0..4) {
                0 => ("by_minute", &["thread", "entity"]),
                1 => ("by_source", &["source"]),
                2 => ("_events", &["keyword", "source"]),
                _ => ("last_hour", &["entity"]),
            };
            let rows = loop {
                let answer = get(self.addr, &format!("{}?limit=50", listing(view))).await;
                let rows = answer["data"].as_array().unwrap().clone();
                if rows.len() > 3 || (view == "by_source" && !rows.is_empty()) {
                    break rows;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            let row = &rows[self.random.random_range(0..rows.len())];
            let chosen = columns.iter().filter(|_| self.random.random_bool(0.5));
            let filter = chosen.map(|column| (*column, row[*column].as_str().unwrap().to_owned()));
            self.subscriptions.push(Subscription {
                id: format!("s{n}"),
                view,
                filter: filter.collect(),
                fold: Fold::default(),
                due: None,
            });
        }
    }

    /// Connects and asks for everything since the last complete tick.
    async fn connect(&mut self) -> Socket {
        let url = format!("ws://{}/ws", self.addr);
        let mut socket = tokio_tungstenite::connect_async(url).await.unwrap().0;
        for subscription in &mut self.subscriptions {
            // What came after the last complete tick would come again: then there is nothing to go on from.
            let whole = subscription.fold.begun && self.progress.is_some_and(|at| subscription.fold.at <= at);
            let from = match self.progress {
                Some(at) if whole && !self.random.random_ratio(1, 10) => Some(at),
                progress => {
                    subscription.fold = Fold::default();
                    // Some come back after longer than anybody remembers.
                    progress.filter(|_| self.random.random_bool(0.5)).map(|_| 1)
                }
            };
            subscription.due = None;
            let filter: serde_json::Map<_, _> = subscription
                .filter
                .iter()
                .map(|(c, v)| ((*c).to_owned(), json!(v)))
                .collect();
            let ask = json!({
                "op": "subscribe", "id": subscription.id, "view": subscription.view, "filter": filter, "from": from,
            });
            socket.send(Message::text(ask.to_string())).await.unwrap();
        }
        socket
    }

    fn take(&mut self, frame: &Value) {
        self.tally.frames += 1;
        let of = frame["id"].as_str();
        let found = self.subscriptions.iter_mut().find(|s| Some(s.id.as_str()) == of);
        match (frame["type"].as_str().unwrap(), found) {
            // It stands for all there was in between: what is due cannot be told any more.
            ("snapshot", Some(subscription)) => {
                subscription.due = None;
                subscription.fold.take(frame);
            }
            ("delta", Some(subscription)) => {
                subscription.compare(frame["at"].as_u64().unwrap() - 1, &mut self.tally);
                subscription.fold.take(frame);
            }
            ("resumed", Some(_)) => self.tally.resumed += 1,
            ("resync", Some(_)) => self.tally.resynced += 1,
            ("progress", _) => {
                let at = frame["at"].as_u64().unwrap();
                assert!(
                    self.progress.is_none_or(|before| before <= at),
                    "progress goes back: {frame}"
                );
                self.progress = Some(at);
                for subscription in &mut self.subscriptions {
                    subscription.compare(at, &mut self.tally);
                }
            }
            _ => panic!("{frame}"),
        }
    }

    /// Asks over HTTP for what one of the subscriptions is about.
    async fn ask(&mut self) {
        let n = self.random.random_range(0..self.subscriptions.len());
        let subscription = &mut self.subscriptions[n];
        if !subscription.fold.begun || subscription.due.is_some() {
            return;
        }
        let filter: String = subscription.filter.iter().map(|(c, v)| format!("&{c}={v}")).collect();
        let answer = get(
            self.addr,
            &format!("{}?limit={LIMIT}{filter}", listing(subscription.view)),
        )
        .await;
        let at = answer["metadata"]["at"].as_u64().unwrap();
        assert!(
            at >= subscription.fold.at,
            "HTTP is not behind what was pushed: {at} {}",
            subscription.fold.at
        );
        if answer["metadata"]["next_cursor"].is_null() {
            subscription.due = Some((at, answer["data"].clone()));
        }
    }
}

impl Subscription {
    /// Compares an answer that is due, if the fold is what it was at that tick: nothing later was taken, and nothing of up to
    /// `complete` is missing.
    fn compare(&mut self, complete: u64, tally: &mut Tally) {
        let Some((at, _)) = self.due else { return };
        if complete < at {
            return;
        }
        let Some((_, rows)) = self.due.take() else { return };
        if !self.fold.begun || self.fold.at > at {
            return;
        }
        let sliding = self.view == "last_hour";
        let expected = sorted(rows.as_array().unwrap(), sliding);
        let (view, filter) = (self.view, &self.filter);
        assert_eq!(
            self.fold.rows(sliding),
            expected,
            "{view} {filter:?} at {at}, last frame at {}",
            self.fold.at
        );
        tally.compared += 1;
        tally.with_rows += u64::from(!expected.is_empty());
        tally.with_events += u64::from(view == "_events" && !expected.is_empty());
    }
}

/// Where HTTP lists what a feed tells.
fn listing(view: &str) -> String {
    match view {
        "_events" => "/api/v1/tge-events".to_owned(),
        view => format!("/api/v1/views/{view}"),
    }
}

/// The next frame; `None` when the server closed.
async fn hear(socket: &mut Socket) -> Option<Value> {
    let frame = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), frame)
        .await
        .expect("a frame in time")
}

async fn get(addr: SocketAddr, target: &str) -> Value {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{target}: {text}");
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {head} {body}"))
}
