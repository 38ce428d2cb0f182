//! Followers on `/ws`: when they hear of marked posts, and whether a post that changes all the time disturbs them.

use crate::Failure;
use crate::latency::{Seen, now_ms};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

/// The thread of marked posts, and that of the post whose votes change all the time.
pub const MARKED: &str = "marked";
pub const HOT: &str = "hot";

/// Longest wait for a frame before looking whether all is over.
const PATIENCE: Duration = Duration::from_millis(200);

/// What was heard.
pub struct Heard {
    /// Lateness of marked posts.
    pub seen: Seen,
    /// Frames that name the row of the hot post.
    pub frames: u64,
}

/// Follows marked posts and the hot one until told to stop.
pub fn follow(addr: SocketAddr, over: &AtomicBool, latest: &AtomicU64) -> Result<Heard, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut heard = Heard {
        seen: Seen::new(),
        frames: 0,
    };
    runtime.block_on(async {
        let mut marked = subscribed(addr, MARKED).await?;
        let mut hot = subscribed(addr, HOT).await?;
        let (mut newest, mut last) = (0.0, 0);
        while !over.load(Ordering::Acquire) {
            tokio::select! {
                frame = marked.next() => {
                    let at = now_ms();
                    let frame = delta(frame)?;
                    let mut written: Vec<f64> = rows(&frame).map(written).collect::<Result<_, Failure>>()?;
                    // A row comes again when its votes change.
                    written.retain(|written| *written > newest);
                    newest = written.iter().copied().fold(newest, f64::max);
                    for late in written.into_iter().map(|written| at - written) {
                        heard.seen.push((Instant::now(), late));
                        latest.fetch_max(late as u64, Ordering::AcqRel);
                    }
                }
                frame = hot.next() => {
                    let frame = delta(frame)?;
                    let named = rows(&frame).count() as u64;
                    let at = frame["at"].as_i64().unwrap_or(last);
                    if named > 1 || named == 1 && at <= last {
                        return Err(format!("one key, twice for tick {at}").into());
                    }
                    heard.frames += named;
                    last = at;
                }
                () = tokio::time::sleep(PATIENCE) => {}
            }
        }
        Ok::<_, Failure>(())
    })?;
    Ok(heard)
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;
type Frame = Option<Result<Message, tokio_tungstenite::tungstenite::Error>>;

async fn subscribed(addr: SocketAddr, thread: &str) -> Result<Socket, Failure> {
    let mut socket = tokio_tungstenite::connect_async(format!("ws://{addr}/ws")).await?.0;
    let ask = json!({ "op": "subscribe", "view": "by_author", "filter": { "thread": thread } });
    socket.send(Message::text(ask.to_string())).await?;
    Ok(socket)
}

/// A delta; null if the frame is another one.
fn delta(frame: Frame) -> Result<Value, Failure> {
    let Message::Text(text) = frame.ok_or("the engine closed the socket")?? else {
        return Ok(Value::Null);
    };
    let frame: Value = serde_json::from_str(&text)?;
    match frame["type"].as_str() {
        Some("delta") => Ok(frame),
        Some("error" | "resync") => Err(text.to_string().into()),
        _ => Ok(Value::Null),
    }
}

fn rows(delta: &Value) -> impl Iterator<Item = &Value> {
    delta["rows"].as_array().into_iter().flatten()
}

/// When a marked post was written: its author says so.
fn written(row: &Value) -> Result<f64, Failure> {
    let author = row["author"].as_str().ok_or("a row without its author")?;
    Ok(author.trim_start_matches('m').parse()?)
}
