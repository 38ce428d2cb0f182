//! Thousands of WebSockets on one view.

use super::engine::{Engine, Other, VIEW, used};
use super::times::{now_ms, quantiles};
use crate::Failure;
use crate::usage::Usage;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// What is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// WebSockets.
    #[arg(long, default_value_t = 10_000)]
    clients: u64,
    /// Of them, those that subscribe and never read.
    #[arg(long, default_value_t = 0)]
    idle: u64,
    /// Rows that change with every tick.
    #[arg(long, default_value_t = 200)]
    keys: u64,
    /// Ticks a second.
    #[arg(long, default_value_t = 5)]
    ticks: u64,
    /// For how long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Everybody follows all rows; otherwise each client follows one.
    #[arg(long)]
    whole: bool,
}

/// What the other process is told.
#[derive(clap::Args)]
pub struct Followers {
    #[arg(long)]
    addr: SocketAddr,
    #[arg(long)]
    clients: u64,
    #[arg(long)]
    idle: u64,
    #[arg(long)]
    keys: u64,
    #[arg(long)]
    seconds: u64,
    #[arg(long)]
    whole: bool,
}

/// Measures.
pub fn run(a: &Arguments) -> Result<(), Failure> {
    let step = Duration::from_millis(1000 / a.ticks.max(1));
    // Ticks are cut well within a step: a step's posts are one tick, or now and then two.
    let mut engine = Engine::start(a.keys, 20)?;
    let mut arguments: Vec<String> = ["followers", "--addr"].map(str::to_owned).into();
    arguments.push(engine.addr.to_string());
    for (name, value) in [
        ("clients", a.clients),
        ("idle", a.idle),
        ("keys", a.keys),
        ("seconds", a.seconds),
    ] {
        arguments.extend([format!("--{name}"), value.to_string()]);
    }
    arguments.extend(a.whole.then(|| "--whole".to_owned()));
    let followers = Other::start(&arguments)?;
    let before = Usage::of("self")?;
    engine.feed(a.seconds, step, a.keys)?;
    let (engine_used, seen) = (used(before)?, followers.report()?);
    engine.stop()?;
    let said = json!({
        "clients": a.clients, "idle": a.idle, "keys": a.keys, "ticks_per_s": a.ticks, "seconds": a.seconds,
        "each_follows": if a.whole { "all rows" } else { "one row" }, "engine": engine_used, "followers": seen,
    });
    println!("{said}");
    Ok(())
}

/// The other process.
pub fn follow(a: &Followers) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (at_once, ready) = (Arc::new(Semaphore::new(200)), Arc::new(AtomicUsize::new(0)));
        let (begun, all_there) = tokio::sync::watch::channel(false);
        let tasks: Vec<_> = (0..a.clients)
            .map(|n| {
                let (addr, seconds, reads) = (a.addr, a.seconds, n >= a.idle);
                let filter = if a.whole {
                    json!({})
                } else {
                    json!({ "thread": format!("t{}", n % a.keys) })
                };
                let (at_once, ready, mut all_there) = (Arc::clone(&at_once), Arc::clone(&ready), all_there.clone());
                tokio::spawn(async move {
                    let permit = at_once.acquire_owned().await?;
                    let mut socket = begin(addr, &filter).await?;
                    drop(permit);
                    ready.fetch_add(1, Ordering::Release);
                    // Meanwhile nothing changes, and little comes.
                    all_there.wait_for(|begun| *begun).await?;
                    if reads {
                        return frames(socket, seconds).await;
                    }
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    socket.close(None).await.ok();
                    Ok(Vec::new())
                })
            })
            .collect();
        while (ready.load(Ordering::Acquire) as u64) < a.clients {
            if let Some(failed) = tasks.iter().position(tokio::task::JoinHandle::is_finished) {
                eprintln!("follower {failed} ended before all were there");
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        begun.send(true)?;
        println!("ready");
        let before = Usage::of("self")?;
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await?.map_err(|e: FailureHere| e.to_string())?);
        }
        let mut seen = quantiles(&mut times);
        seen["used"] = used(before)?;
        println!("{seen}");
        Ok(())
    })
}

type FailureHere = Box<dyn std::error::Error + Send + Sync>;

/// Connects, subscribes and waits for the snapshot.
async fn begin(addr: SocketAddr, filter: &Value) -> Result<Socket, FailureHere> {
    let mut socket = tokio_tungstenite::connect_async(format!("ws://{addr}/ws")).await?.0;
    let ask = json!({ "op": "subscribe", "view": VIEW, "filter": filter });
    socket.send(Message::text(ask.to_string())).await?;
    while let Some(message) = socket.next().await {
        if matches!(message?, Message::Text(text) if text.starts_with("{\"type\":\"snapshot\"")) {
            return Ok(socket);
        }
    }
    Err("closed before the snapshot".into())
}

/// For every delta how long after its tick it came (ms).
async fn frames(mut socket: Socket, seconds: u64) -> Result<Vec<f32>, FailureHere> {
    let mut times = Vec::new();
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    while let Ok(Some(message)) = tokio::time::timeout_at(end, socket.next()).await {
        let Message::Text(text) = message? else { continue };
        let now = now_ms();
        if text.starts_with("{\"type\":\"delta\"") {
            let at = text
                .split("\"at\":")
                .nth(1)
                .and_then(|rest| rest.split([',', '}']).next());
            let at: f64 = at.ok_or("a delta without its tick")?.parse()?;
            times.push((now - at) as f32);
        } else if text.starts_with("{\"type\":\"resync\"") {
            return Err("a reader was too slow".into());
        }
    }
    Ok(times)
}
