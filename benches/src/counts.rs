//! What an event costs in counts: allocations and bytes asked for, and, under a tool that counts them, instructions.
//!
//! ```text
//! counts make FOLDER EVENTS
//! counts run FOLDER EVENTS
//! ```
//! `make` writes the events, from a fixed seed. `run` reads them through the whole engine; out comes one JSON object with what
//! was allocated meanwhile. Times differ from run to run and machine to machine; counts hardly do, so they can be held to a limit
//! (`tests/counts.rs`). Two runs of different length, subtracted, leave out what starting costs. Ticks are cut by number of
//! records, never by time, for the same reason.

// The jobs' own sources; not all of it is of use here.
#[allow(dead_code)]
mod feed;
mod posts;

use feed::{Dictionary, Gated};
use groundswell::engine::{ClockMode, Connections, Engine, EngineOptions, Shared, State};
use groundswell_core::source::Source;
use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Records of a tick, as many as by default.
const TICK: usize = 8_192;
const LIMIT: Duration = Duration::from_secs(600);
/// Nobody waits this long: ticks are cut by their records.
const NEVER: Duration = Duration::from_secs(3_600);

/// Counts what is asked of the system's allocator.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: every call is handed on to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, folder, events] = arguments.as_slice() else {
        return Err("usage: counts make|run FOLDER EVENTS".into());
    };
    let (folder, events): (_, usize) = (Path::new(folder), events.parse().map_err(|e| format!("EVENTS: {e}"))?);
    if what == "make" {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("posts.jsonl"), posts::posts(events, 0)?)?;
        std::fs::write(folder.join("aliases.csv"), posts::aliases()?)?;
        return Ok(());
    }
    let state = tempfile::Builder::new().prefix("counts-").tempdir()?;
    let (allocations, bytes) = run(folder, state.path(), events as u64)?;
    println!("{{\"events\": {events}, \"allocations\": {allocations}, \"bytes\": {bytes}}}");
    Ok(())
}

/// Reads the files through the whole engine, and says how much was allocated meanwhile.
fn run(folder: &Path, state: &Path, events: u64) -> Result<(u64, u64), Box<dyn Error>> {
    let shared = Shared::create(&state.join("cache"))?;
    let dictionary = Dictionary::read(&folder.join("aliases.csv"))?;
    let (source, begin) = Gated::posts("posts", &folder.join("posts.jsonl"))?;
    let mut options = EngineOptions::new(posts::graph(1));
    options.ticks.clock = ClockMode::Event;
    (options.ticks.every, options.ticks.max_records) = (NEVER, TICK);
    options.collect_posts = false;
    let state = State::Folder {
        path: state.join("state"),
        fold_after: u64::MAX,
    };
    let sources: Vec<Box<dyn Source>> = vec![Box::new(dictionary), Box::new(source)];
    let connections = Connections {
        sources,
        ..Connections::default()
    };
    let before = (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    let engine = Engine::start(options, state.open()?, &shared, connections)?;
    begin.send(())?;
    let done = engine.status().wait(LIMIT, |status| status.is_drained());
    if let Some(why) = engine.status().fatal() {
        return Err(why.into());
    }
    let read = shared.metrics.text().unwrap_or_default();
    if !done || !read.contains(&format!("records_read_total{{source=\"posts\"}} {events}")) {
        return Err(format!("{events} events were not done within {} s", LIMIT.as_secs()).into());
    }
    engine.stop()?;
    let after = (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    Ok((after.0 - before.0, after.1 - before.1))
}
