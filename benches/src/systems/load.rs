//! Questions on schedule over connections that are kept open.

use crate::Failure;
use crate::exchange::exchange;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::BufReader;
use tokio::net::TcpStream;

/// Connections; a question goes to the next.
const CONNECTIONS: u64 = 32;

/// Asks for the targets in turn and gives quantiles of the times, in milliseconds, in all and of each kind of target.
pub fn ask(addr: SocketAddr, targets: Vec<String>, per_second: u64, seconds: u64) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let begin = Instant::now() + Duration::from_millis(100);
        let gap = Duration::from_secs_f64(1.0 / per_second as f64);
        let targets: std::sync::Arc<[String]> = targets.into();
        let mut tasks = Vec::new();
        for own in 0..CONNECTIONS {
            let targets = std::sync::Arc::clone(&targets);
            tasks.push(tokio::spawn(async move {
                let mut stream = BufReader::new(TcpStream::connect(addr).await?);
                let mut times = Vec::new();
                for n in (own..per_second * seconds).step_by(CONNECTIONS as usize) {
                    let due = begin + gap * u32::try_from(n).unwrap_or(u32::MAX);
                    tokio::time::sleep_until(due.into()).await;
                    // Not in step with the connections: every connection asks for everything.
                    let which = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % targets.len();
                    exchange(&mut stream, addr, &targets[which]).await?;
                    times.push((which, due.elapsed().as_secs_f64() * 1e3));
                }
                Ok::<_, std::io::Error>(times)
            }));
        }
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        let mut all: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
        let mut said = quantiles(&mut all);
        for (which, target) in targets.iter().enumerate() {
            let mut of: Vec<f64> = times
                .iter()
                .filter(|(w, _)| *w == which)
                .map(|(_, time)| *time)
                .collect();
            said["of"][target] = quantiles(&mut of)["p99"].clone();
        }
        Ok(said)
    })
}

fn quantiles(times: &mut [f64]) -> Value {
    times.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| {
        let index = ((times.len() as f64 - 1.0) * q).round() as usize;
        times.get(index).map(|t| (t * 100.0).round() / 100.0)
    };
    json!({ "n": times.len(), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0) })
}
