//! The engine as a process that can be killed: a pipeline until standard input closes.
//!
//! In: a pipeline file, and in the environment [`CRASH_AT`], `failpoint:count`. Out: exit code 0 once everything read is
//! recorded and committed in all sinks, and on standard output one line per source: name, read, accepted, duplicate,
//! dead-lettered. Its log goes to standard error.

use crate::Failure;
use groundswell::config;
use groundswell::config::Pipeline;
use groundswell::engine::Connections;
use groundswell::engine::cluster::{Joined, OnLost, read_hosts};
use groundswell::pipeline;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where and at which passing the process ends itself.
pub const CRASH_AT: &str = "CRASH_AT";

/// The hosts file, where the pipeline runs in two processes.
pub const HOSTS: &str = "CRASH_HOSTS";
/// Exit code of a process that lost the other one.
pub const LOST: i32 = 75;

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
    let connections = Connections {
        cluster: join(&pipeline, 0)?,
        ..Connections::default()
    };
    let running = pipeline::start(&pipeline, connections)?;
    let (engine, metrics) = (Arc::clone(running.engine.status()), running.shared.metrics.clone());
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

/// Runs a share of the workers, until the engine ends or whoever started this does.
pub fn follow(file: &Path) -> Result<(), Failure> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let pipeline = config::load(file)?;
    let joined = join(&pipeline, 1)?.ok_or("a follower needs CRASH_HOSTS")?;
    Ok(pipeline::follow(&pipeline, joined)?.wait()?)
}

/// Finds the other process, if there is to be one; the process ends when it is lost.
fn join(pipeline: &Pipeline, process: usize) -> Result<Option<Joined>, Failure> {
    let Some(hosts) = std::env::var_os(HOSTS) else {
        return Ok(None);
    };
    let lost: OnLost = Arc::new(|lost| {
        eprintln!("{lost}");
        std::process::exit(LOST);
    });
    let hosts = read_hosts(Path::new(&hosts), 2)?;
    Ok(Some(pipeline::member(pipeline, hosts, process).join(lost)?))
}
