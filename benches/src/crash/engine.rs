//! The engine as a process that can be killed: a pipeline until standard input closes.
//!
//! In: a pipeline file, and in the environment [`CRASH_AT`], `failpoint:count`. Out: exit code 0 once everything read is
//! recorded and committed in all sinks, and on standard output one line per source: name, read, accepted, duplicate,
//! dead-lettered. Its log goes to standard error.

use crate::Failure;
use groundswell::config;
use groundswell::engine::Connections;
use groundswell::pipeline;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where and at which passing the process ends itself.
pub const CRASH_AT: &str = "CRASH_AT";

/// Every failpoint between the steps of a commit.
pub const POINTS: [&str; 11] = [
    "store::encoded",
    "store::appended",
    "kafka::begun",
    "kafka::written",
    "kafka::marked",
    "kafka::committed",
    "postgres::advanced",
    "postgres::written",
    "postgres::committed",
    "store::folded",
    "store::installed",
];

/// Runs the pipeline.
pub fn run(file: &Path) -> Result<(), Failure> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    if let Ok(at) = std::env::var(CRASH_AT) {
        let (point, count) = at.rsplit_once(':').ok_or("CRASH_AT is failpoint:count")?;
        let (count, passed) = (count.parse::<u32>()?, AtomicU32::new(0));
        fail::cfg_callback(point, move || {
            if passed.fetch_add(1, Ordering::Relaxed) + 1 == count {
                // Nothing is flushed and nothing is dropped, as with SIGKILL.
                std::process::abort();
            }
        })?;
    }
    let pipeline = config::load(file)?;
    let running = pipeline::start(&pipeline, Connections::default())?;
    let (engine, metrics) = (
        std::sync::Arc::clone(running.engine.status()),
        running.shared.metrics.clone(),
    );
    // Closed by the parent's asking us to stop, or by its end.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    if let Some(why) = engine.fatal() {
        return Err(why.into());
    }
    running.stop()?;
    for source in &pipeline.sources {
        let t = metrics.source_totals(&source.name);
        println!(
            "{} {} {} {} {}",
            source.name, t.read, t.accepted, t.duplicate, t.dead_lettered
        );
    }
    Ok(())
}
