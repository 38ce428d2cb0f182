//! Job J: vote-weighted sentiment by thread, entity and minute over posts that are revised, repeated and deleted.
//!
//! ```text
//! job-j WORKERS ALIASES.csv OUT.csv|- BASE.jsonl[=RECORDS] [DELTA.jsonl[=RECORDS]]
//! ```
//! In: the files of the peers' generator, whose lines are counted first where their number is not given. Out: one line per step with its cost, and the final view as CSV. The engine is
//! the real one, durable record included; each run gets a state folder of its own below `TMPDIR`, removed afterwards. The
//! delta is read only after everything before it is complete.

mod feed;
mod usage;

use feed::{Dictionary, Gated};
use groundswell::engine::{ClockMode, Connections, Engine, EngineOptions, Observer, Shared, State};
use groundswell_core::acc::{Acc, UNIT};
use groundswell_core::serving::TickChanges;
use groundswell_core::source::Source;
use groundswell_core::spec::{GraphSpec, GroupColumn, LinkSpec, Measure, ViewKey, ViewSpec, WeightSpec, WindowSpec};
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::error::Error;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use usage::{Usage, folder_mib};

#[global_allocator]
static ALLOCATOR: groundswell::allocator::MiMalloc = groundswell::allocator::MiMalloc;

const USAGE: &str = "usage: job-j WORKERS ALIASES.csv OUT.csv|- BASE.jsonl[=RECORDS] [DELTA.jsonl[=RECORDS]]";
/// The default of a pipeline; `FOLD_AFTER_MIB` sets another.
const FOLD_AFTER_MIB: u64 = 256;
const LIMIT: Duration = Duration::from_secs(3600);

/// What the observer saw.
#[derive(Default)]
struct Seen {
    changes: u64,
    rows: HashMap<ViewKey, Acc>,
}

/// A file that is fed as one step.
struct Step {
    name: &'static str,
    records: u64,
    begin: SyncSender<()>,
}

fn main() -> Result<(), Box<dyn Error>> {
    groundswell::allocator::tune();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [workers, aliases, out, files @ ..] = args.as_slice() else {
        return Err(USAGE.into());
    };
    if files.is_empty() || files.len() > 2 {
        return Err(USAGE.into());
    }
    let out = (out != "-").then(|| PathBuf::from(out));
    let folder = tempfile::Builder::new().prefix("job-j-").tempdir()?;
    let shared = Shared::create(&folder.path().join("cache"))?;
    let seen = Arc::new(Mutex::new(Seen::default()));

    let dictionary = Dictionary::read(Path::new(aliases))?;
    let entities = dictionary.len();
    let mut sources: Vec<Box<dyn Source>> = vec![Box::new(dictionary)];
    let mut steps = Vec::new();
    for (name, file) in ["base", "delta"].into_iter().zip(files) {
        let (path, records) = match file.rsplit_once('=') {
            Some((path, records)) => (Path::new(path), records.parse()?),
            None => (Path::new(file), lines(Path::new(file))?),
        };
        let (source, begin) = Gated::posts(name, path)?;
        sources.push(Box::new(source));
        steps.push(Step { name, records, begin });
    }

    let mut options = EngineOptions::new(graph());
    options.workers = workers.parse().map_err(|e| format!("WORKERS: {e}; {USAGE}"))?;
    options.ticks.clock = ClockMode::Event;
    options.collect_posts = false;
    let fold_after = std::env::var("FOLD_AFTER_MIB")
        .ok()
        .map(|mib| mib.parse())
        .transpose()?;
    let state = State::Folder {
        path: folder.path().join("state"),
        fold_after: fold_after.unwrap_or(FOLD_AFTER_MIB) << 20,
    }
    .open()?;
    let observers = vec![observer(&seen, out.is_some())];
    let engine = Engine::start(
        options,
        state,
        &shared,
        Connections {
            sources,
            observers,
            ..Connections::default()
        },
    )?;
    drained(&engine, &shared, "entities", entities)?;

    for step in &steps {
        let (began, cpu, changes) = (Instant::now(), Usage::of("self")?.cpu_seconds, seen.lock().changes);
        step.begin.send(())?;
        drained(&engine, &shared, step.name, step.records)?;
        let (wall, cpu) = (began.elapsed().as_secs_f64(), Usage::of("self")?.cpu_seconds - cpu);
        #[allow(clippy::cast_precision_loss)]
        let rate = step.records as f64 / wall;
        println!(
            "{}: events={} wall_s={wall:.2} cpu_s={cpu:.2} events_per_s={rate:.0} rss_mib={} changes={} state_mib={}",
            step.name,
            step.records,
            Usage::of("self")?.peak_rss_mib,
            seen.lock().changes - changes,
            folder_mib(&folder.path().join("state")),
        );
    }
    engine.stop()?;
    if let Some(out) = out {
        write_view(&out, &seen.lock().rows, &shared)?;
    }
    Ok(())
}

fn graph() -> GraphSpec {
    let view = ViewSpec {
        name: "by_minute".into(),
        group_by: vec![GroupColumn::Thread, GroupColumn::Entity],
        window: WindowSpec::Tumble { size: 60_000 },
        measures: vec![Measure::Posts, Measure::Weight, Measure::Sentiment],
        keep: None,
        extras: groundswell_core::spec::Extras::default(),
    };
    let link = LinkSpec {
        fuzzy_min: None,
        inherit_from_parent: false,
        ..LinkSpec::default()
    };
    GraphSpec {
        name: "job-j".into(),
        views: vec![view],
        link,
        weight: WeightSpec::Log1p,
        scoring: Default::default(),
        events: None,
        numbers: Vec::new(),
        ties: false,
    }
}

/// Counts changed rows, and keeps the rows themselves where somebody wants them.
fn observer(seen: &Arc<Mutex<Seen>>, keep: bool) -> Observer {
    let seen = Arc::clone(seen);
    Box::new(move |tick: &TickChanges| {
        let mut seen = seen.lock();
        for row in tick.views.iter().flatten() {
            seen.changes += 1;
            match row.acc {
                _ if !keep => {}
                Some(acc) => {
                    seen.rows.insert(row.key, acc);
                }
                None => {
                    seen.rows.remove(&row.key);
                }
            }
        }
    })
}

/// Waits until a source was read to its end and all that follows from it was handed over. Later sources are still
/// waiting for their turn, so the engine as a whole is never drained; the source's own counters say it.
fn drained(engine: &Engine, shared: &Shared, source: &str, records: u64) -> Result<(), Box<dyn Error>> {
    let status = engine.status();
    let done = status.wait(LIMIT, |status| {
        let of = |counter| counted(shared, counter, source);
        of("read") >= records
            && of("accepted") + of("duplicate") + of("dead_lettered") >= records
            && status.complete() >= status.recorded()
    });
    if let Some(why) = status.fatal() {
        return Err(why.into());
    }
    if !done {
        return Err(format!("source \"{source}\" was not drained within {} s", LIMIT.as_secs()).into());
    }
    match counted(shared, "dead_lettered", source) {
        0 => Ok(()),
        dead => Err(format!("{dead} records of source \"{source}\" were refused; the answer would be wrong").into()),
    }
}

/// The sum of a source's counters `…records_<counter>_total`.
fn counted(shared: &Shared, counter: &str, source: &str) -> u64 {
    let (counter, source) = (format!("records_{counter}_total{{"), format!("source=\"{source}\""));
    let text = shared.metrics.text().unwrap_or_default();
    let lines = text.lines().filter(|l| l.contains(&counter) && l.contains(&source));
    lines.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Lines of a file; reading it also leaves it in the page cache, for the first run as for later ones.
fn lines(path: &Path) -> Result<u64, Box<dyn Error>> {
    let mut file = std::fs::File::open(path).map_err(|e| format!("cannot open {}: {e}", path.display()))?;
    let (mut buffer, mut lines) = (vec![0; 1 << 20], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(lines),
            n => lines += buffer[..n].iter().filter(|b| **b == b'\n').count() as u64,
        }
    }
}

/// Writes the view as the peers do: `thread,entity,window_start_ms,count,weight_sum,mean`, sorted.
fn write_view(path: &Path, rows: &HashMap<ViewKey, Acc>, shared: &Shared) -> Result<(), Box<dyn Error>> {
    let name = |dim| shared.names.get(dim).ok_or("a group has no name");
    let mut sorted = Vec::with_capacity(rows.len());
    for (key, acc) in rows {
        sorted.push((name(key.group[0])?, name(key.group[1])?, key.start, acc));
    }
    sorted.sort_unstable_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    writeln!(file, "thread,entity,window_start_ms,count,weight_sum,mean")?;
    for (thread, entity, start, acc) in sorted {
        #[allow(clippy::cast_precision_loss)]
        let weight = acc.w as f64 / UNIT as f64;
        writeln!(
            file,
            "{thread},{entity},{start},{},{weight},{}",
            acc.posts,
            acc.sentiment().unwrap_or_default()
        )?;
    }
    Ok(file.flush()?)
}
