//! A pipeline in a process of its own.
//!
//! Out, a line each: `ready SECONDS` once it is started and the past is restored, `done SECONDS` (since then) once the
//! watched source has so many records and everything that follows from them is complete and committed. It ends when its
//! standard input closes.

use crate::Failure;
use groundswell::config;
use groundswell::engine::{Connections, Status};
use groundswell::pipeline;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs the pipeline until so many records are done, or with `u64::MAX` only until standard input ends.
pub fn run(file: &Path, source: &str, records: u64) -> Result<(), Failure> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let began = Instant::now();
    let running = pipeline::start(&config::load(file)?, Connections::default())?;
    let (status, metrics) = (running.engine.status(), running.shared.metrics.clone());
    status.wait(Duration::from_secs(600), |s| {
        s.is_replayed() && s.complete() >= s.recorded()
    });
    println!("ready {:.3}", began.elapsed().as_secs_f64());
    let began = Instant::now();
    if records < u64::MAX {
        status.wait(Duration::from_secs(3_600), |s: &Status| {
            let t = metrics.source_totals(source);
            t.accepted + t.duplicate + t.dead_lettered >= records && s.complete() >= s.recorded() && s.is_committed()
        });
    }
    if let Some(why) = status.fatal() {
        return Err(why.into());
    }
    println!("done {:.3}", began.elapsed().as_secs_f64());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(running.stop()?)
}
