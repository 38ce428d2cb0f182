//! Kafka in, views or Postgres out: how fast, at what cost, how late, and how long a restart takes.
//!
//! ```text
//! kafka throughput INPUT.jsonl ALIASES.csv [--workers N] [--postgres] [--restart]
//! kafka latency [--rate 10000] [--seconds 30] [--csv FILE] [--websocket [--hot]]
//! ```
//! A broker and a database of our own are started on this machine and share its cores with the engine, which runs as a
//! process of its own, so that what the kernel counts for it is the engine's alone.
//!
//! *throughput* (Job J's records, precomputed sentiment): everything is in the topic before the engine starts; the time is
//! from its start of reading until every record is accounted for, the last tick complete and, with a database, committed.
//! With `--restart` the engine is then stopped and started again on its state.
//!
//! *latency*: posts are written at a rate; every hundredth has an author of its own. Another client asks the database for
//! the newest such author all the time; how late it is is the time since that post was handed to the producer. With
//! `--websocket` no database is there, and a follower on `/ws` hears of those posts; with `--hot` all vote changes are of one
//! post, whose row is followed too.

#[path = "kafka/engine.rs"]
mod engine;
#[path = "kafka/follow.rs"]
mod follow;
#[path = "kafka/latency.rs"]
mod latency;
#[path = "kafka/process.rs"]
mod process;
#[path = "kafka/throughput.rs"]
mod throughput;
mod usage;

use clap::Parser;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// What the program itself uses: the standard allocator is slower, and keeps what folds have freed.
#[global_allocator]
static ALLOCATOR: groundswell::allocator::MiMalloc = groundswell::allocator::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Measures Kafka to views, Kafka to Postgres, and how long an event takes to its row")]
enum Job {
    /// Records per second from a full topic, and optionally a restart.
    Throughput(throughput::Arguments),
    /// How long an event takes from the producer to its row in Postgres, or to who follows it.
    Latency(latency::Arguments),
    /// The engine as a process; used by this program itself.
    #[command(hide = true)]
    Engine {
        /// The pipeline file.
        pipeline: PathBuf,
        /// The source that is watched, and how many records it has.
        source: String,
        /// Reports once so many records are done.
        records: u64,
    },
}

fn main() -> ExitCode {
    groundswell::allocator::tune();
    let done = match Job::parse() {
        Job::Throughput(arguments) => throughput::run(&arguments),
        Job::Latency(arguments) => latency::run(&arguments),
        Job::Engine {
            pipeline,
            source,
            records,
        } => engine::run(&pipeline, &source, records),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kafka: {error}");
            ExitCode::FAILURE
        }
    }
}
