//! The ready-made pipelines under load: how fast they catch up, their memory, and how long their own routes take to answer.
//!
//! ```text
//! systems live-thread|live-sentiment|social-analytics|feeds [--records 50000] [--per-second 200] [--rate 100] [--seconds 20]
//! ```
//! A broker and a database of our own share this machine's cores with the engine, which is a process of its own and runs the
//! file of `deploy/pipelines` with one change: sentiment comes with the records (`models: {live: given}`), so that what is
//! measured is not the model. In: records from a fixed seed, at first all at once, then at a rate while clients ask. Out: one
//! line of JSON; an answer's time runs from the moment its question was due. The news sweeper has a bench of its own (`news`).

#[path = "kafka/engine.rs"]
mod engine;
mod exchange;
#[path = "systems/load.rs"]
mod load;
#[path = "kafka/process.rs"]
mod process;
#[path = "systems/records.rs"]
mod records;
// A process is asked for one of two figures here.
#[allow(dead_code)]
mod usage;

use clap::Parser;
use groundswell_testing::kafka::Kafka;
use groundswell_testing::port;
use groundswell_testing::postgres::Postgres;
use records::{Batch, Maker, System};
use serde_json::json;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the program itself uses.
#[global_allocator]
static ALLOCATOR: groundswell::allocator::MiMalloc = groundswell::allocator::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Measures the ready-made pipelines and their routes")]
enum Job {
    /// A system whose threads go on air.
    LiveThread(Arguments),
    /// Sentiment by hour and day.
    LiveSentiment(Arguments),
    /// Counters of four platforms.
    SocialAnalytics(Arguments),
    /// Three feeds.
    Feeds(Arguments),
    /// The engine as a process; used by this program itself.
    #[command(hide = true)]
    Engine {
        /// The pipeline file.
        pipeline: PathBuf,
        /// The source that is watched, and how many records it has.
        source: String,
        /// That many.
        records: u64,
    },
}

#[derive(clap::Args)]
struct Arguments {
    /// Posts written before the engine starts.
    #[arg(long, default_value_t = 50_000)]
    records: usize,
    /// Questions a second.
    #[arg(long, default_value_t = 200)]
    per_second: u64,
    /// Posts a second meanwhile.
    #[arg(long, default_value_t = 100)]
    rate: usize,
    /// For how long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

fn main() -> Result<(), Failure> {
    match Job::parse() {
        Job::LiveThread(a) => run(System::Thread, &a),
        Job::LiveSentiment(a) => run(System::Sentiment, &a),
        Job::SocialAnalytics(a) => run(System::Social, &a),
        Job::Feeds(a) => run(System::Feeds, &a),
        Job::Engine {
            pipeline,
            source,
            records,
        } => {
            groundswell::allocator::tune();
            engine::run(&pipeline, &source, records)
        }
    }
}

fn run(system: System, a: &Arguments) -> Result<(), Failure> {
    let (kafka, postgres) = (Kafka::start_fast()?, Postgres::start()?);
    for topic in system.topics() {
        kafka.create_topic(topic, 1)?;
    }
    let folder = tempfile::tempdir()?;
    let addr = port::free()?;
    let (pipeline, source) = (pipeline(system, folder.path(), &addr.to_string())?, system.posts());
    let mut maker = Maker::new(system, now_ms());
    let mut total = 0;
    let mut write = |batches: Vec<Batch>| -> Result<u64, Failure> {
        let mut posts = 0;
        for batch in batches {
            total += batch.lines.len();
            posts += if batch.topic == system.topic_of_posts() {
                batch.lines.len() as u64
            } else {
                0
            };
            produce(kafka.bootstrap(), &batch)?;
        }
        Ok(posts)
    };
    write(maker.beginning())?;
    let posts = write(maker.more(a.records, now_ms()))?;
    let environment = [
        ("KAFKA", kafka.bootstrap().to_owned()),
        ("DATABASE_URL", postgres.database()?),
    ];
    let mut engine = process::Engine::start_with(&pipeline, source, posts, &environment)?;
    engine.wait("ready")?;
    let took = engine.wait("done")?;
    let loaded = engine.usage()?;
    let targets = system.targets(&maker);
    let asked = std::thread::spawn({
        let (per_second, seconds) = (a.per_second, a.seconds);
        move || load::ask(addr, targets, per_second, seconds)
    });
    let end = Instant::now() + Duration::from_secs(a.seconds);
    let mut due = Instant::now();
    while due < end {
        write(maker.more(a.rate.div_ceil(5), now_ms()))?;
        due += Duration::from_millis(200);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let asked = asked.join().map_err(|_| "the asking thread panicked")??;
    let after = engine.usage()?;
    engine.stop()?;
    let said = json!({
        "system": system.name(), "posts": posts, "caught_up_s": took, "posts_per_s": (posts as f64 / took).round(),
        "rss_mib": loaded.rss_mib, "peak_rss_mib": after.peak_rss_mib,
        "api": { "per_second": a.per_second, "posts_per_s": a.rate, "seconds": a.seconds, "latency_ms": asked,
            "engine_cpu_s": ((after.cpu_seconds - loaded.cpu_seconds) * 100.0).round() / 100.0 },
        "records": total,
    });
    println!("{said}");
    Ok(())
}

/// The ready-made file, with the sentiment of records in place of a model and a port that is free.
fn pipeline(system: System, folder: &Path, addr: &str) -> Result<PathBuf, Failure> {
    let file = format!("{}.yaml", system.name());
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/pipelines")
        .join(&file);
    let mut text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    for (from, to) in [
        (
            "models: {live: {path: \"${GROUNDSWELL_MODEL:-../../models/social}\"}}",
            "models: {live: given}",
        ),
        ("127.0.0.1:8080", addr),
    ] {
        if !text.contains(from) {
            return Err(format!("{file} has no {from}").into());
        }
        text = text.replace(from, to);
    }
    let path = folder.join(file);
    std::fs::write(&path, text)?;
    Ok(path)
}

fn produce(bootstrap: &str, batch: &Batch) -> Result<(), Failure> {
    let mut kcat = Command::new("kcat");
    kcat.args(["-P", "-K", "\t", "-b", bootstrap, "-t", batch.topic]);
    let mut kcat = kcat
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| format!("kcat: {e}; scripts/setup.sh test installs it"))?;
    let mut input = std::io::BufWriter::new(kcat.stdin.take().ok_or("piped")?);
    for line in &batch.lines {
        writeln!(input, "{line}")?;
    }
    input.flush()?;
    drop(input);
    match kcat.wait()? {
        status if status.success() => Ok(()),
        status => Err(format!("kcat: {status}").into()),
    }
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
