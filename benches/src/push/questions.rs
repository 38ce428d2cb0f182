//! Thousands of HTTP requests a second against one view.

use super::engine::{Engine, Other, VIEW, used};
use super::times::quantiles;
use crate::Failure;
use crate::exchange::exchange;
use crate::usage::Usage;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::BufReader;
use tokio::net::TcpStream;

/// Connections that are kept open; a request goes to the next.
const CONNECTIONS: u64 = 64;

/// What is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Requests a second.
    #[arg(long, default_value_t = 2_000)]
    per_second: u64,
    /// Posts a second meanwhile.
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
    /// Rows of the view.
    #[arg(long, default_value_t = 1_000)]
    keys: u64,
    /// Rows of an answer.
    #[arg(long, default_value_t = 20)]
    limit: u64,
    /// For how long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// What the other process is told.
#[derive(clap::Args)]
pub struct Askers {
    #[arg(long)]
    addr: SocketAddr,
    #[arg(long)]
    per_second: u64,
    #[arg(long)]
    keys: u64,
    #[arg(long)]
    limit: u64,
    #[arg(long)]
    seconds: u64,
}

/// Measures.
pub fn run(a: &Arguments) -> Result<(), Failure> {
    let mut engine = Engine::start(a.keys, 100)?;
    let mut arguments: Vec<String> = ["askers", "--addr"].map(str::to_owned).into();
    arguments.push(engine.addr.to_string());
    for (name, value) in [
        ("per-second", a.per_second),
        ("keys", a.keys),
        ("limit", a.limit),
        ("seconds", a.seconds),
    ] {
        arguments.extend([format!("--{name}"), value.to_string()]);
    }
    let askers = Other::start(&arguments)?;
    let before = Usage::of("self")?;
    engine.feed(a.seconds, Duration::from_millis(20), a.rate / 50)?;
    let (engine_used, seen) = (used(before)?, askers.report()?);
    engine.stop()?;
    let said = json!({
        "requests_per_s": a.per_second, "posts_per_s": a.rate, "rows": a.keys, "limit": a.limit, "seconds": a.seconds,
        "engine": engine_used, "askers": seen,
    });
    println!("{said}");
    Ok(())
}

/// The other process: half of the requests ask for a page of the view, half for one row.
pub fn ask(a: &Askers) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        println!("ready");
        let before = Usage::of("self")?;
        let begin = Instant::now() + Duration::from_millis(200);
        let gap = Duration::from_secs_f64(1.0 / a.per_second as f64);
        let total = a.per_second * a.seconds;
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|own| {
                let (addr, keys, limit) = (a.addr, a.keys, a.limit);
                tokio::spawn(async move {
                    let mut stream = BufReader::new(TcpStream::connect(addr).await.map_err(|e| e.to_string())?);
                    let mut times = Vec::new();
                    for n in (own..total).step_by(CONNECTIONS as usize) {
                        let due = begin + gap * u32::try_from(n).unwrap_or(u32::MAX);
                        tokio::time::sleep_until(due.into()).await;
                        let target = match n % 2 {
                            0 => format!("/api/v1/views/{VIEW}?limit={limit}"),
                            _ => format!("/api/v1/views/{VIEW}?limit={limit}&thread=t{}", n % keys),
                        };
                        exchange(&mut stream, addr, &target).await.map_err(|e| e.to_string())?;
                        times.push(due.elapsed().as_secs_f32() * 1e3);
                    }
                    Ok::<_, String>(times)
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        let mut seen = quantiles(&mut times);
        seen["used"] = used(before)?;
        println!("{seen}");
        Ok(())
    })
}
