//! Exactly once, by killing things: a pipeline from Kafka to Kafka and Postgres is killed again and again while brokers and
//! database are paused, killed and started again; then everything it wrote is compared with what it should have written.
//!
//! ```text
//! cargo run --release -p groundswell-benches --bin crash -- --kills 200 --seed 1
//! ```
//! Posts, edits, deletions, votes, garbage and rule changes go into three topics ([`feed`]). The engine runs as a process of
//! its own ([`engine`]), ended by SIGKILL at a random moment or by itself at a failpoint between the steps of a commit
//! ([`faults`]). At the end ([`check`]):
//!
//! 1. every view in Postgres equals what SQL computes from the raw topics;
//! 2. dead letters, in the topic and in the table, are the garbage, byte for byte, once;
//! 3. the record holds every offset of every partition once;
//! 4. alerts and changelog, read committed, equal what an engine that was never disturbed writes for the same ticks, record
//!    for record (with `--fold` the ticks are folded away, so that each alert's history is checked to be one that can be);
//! 5. an engine that reads the topics without being disturbed has the same tables, and `read = accepted + duplicate +
//!    dead-lettered` for each of its sources.
//!
//! With `--processes 2` the pipeline runs in two processes, either of which is killed. The other one ends by itself when it has
//! noticed, which is counted; one that has not within seconds (it may not have been joined yet) is killed as well.
//!
//! Real posts and vote movements are taken from the folder `GROUNDSWELL_DATA` (default `../shared/data`); without it they are
//! made up, which the output says. Failpoints are compiled into this binary only.

#[path = "crash/check.rs"]
mod check;
#[path = "crash/engine.rs"]
mod engine;
#[path = "crash/faults.rs"]
mod faults;
#[path = "crash/feed.rs"]
mod feed;
#[path = "crash/oracle.rs"]
mod oracle;
#[path = "crash/world.rs"]
mod world;

use clap::{Parser, Subcommand};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
#[command(
    about = "Kills a pipeline from Kafka to Kafka and Postgres, and compares what it wrote with what it should have"
)]
struct Arguments {
    /// How often the engine is killed.
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// Decides about the input and about every fault.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Posts; votes, edits, deletions, garbage and rules come on top.
    #[arg(long, default_value_t = 20_000)]
    posts: usize,
    /// Vote updates.
    #[arg(long, default_value_t = 100_000)]
    votes: usize,
    /// Let the log be folded into snapshots meanwhile.
    #[arg(long)]
    fold: bool,
    /// Processes the killed pipeline runs in.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    processes: u8,
    /// Keep the folder with states, logs and pipeline files.
    #[arg(long)]
    keep: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Runs a pipeline until standard input closes; used by this program itself.
    #[command(hide = true)]
    Engine {
        /// The pipeline file.
        pipeline: PathBuf,
    },
    /// Runs a share of its workers until the engine ends; used by this program itself.
    #[command(hide = true)]
    Follower {
        /// The pipeline file.
        pipeline: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.role {
        Some(Role::Engine { pipeline }) => engine::run(pipeline),
        Some(Role::Follower { pipeline }) => engine::follow(pipeline),
        None => torture(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::FAILURE
        }
    }
}

fn torture(arguments: &Arguments) -> Result<(), Failure> {
    let began = Instant::now();
    let feed = feed::Feed::make(arguments.seed, arguments.posts, arguments.votes)?;
    println!("seed {}: {feed}", arguments.seed);
    let mut world = world::World::start(arguments.fold, arguments.processes > 1)?;
    world.folder.disable_cleanup(arguments.keep);
    if arguments.keep {
        println!("in {}", world.folder.path().display());
    }
    let faults = faults::ruin(&mut world, &feed, arguments.kills, arguments.seed)?;
    println!("{faults}; {:.0?} so far", began.elapsed());
    let drained = Instant::now();
    world.drain(world::RUINED)?;
    println!(
        "everything read, recorded and written {:.0?} after the last kill",
        drained.elapsed()
    );
    check::all(&world, &feed, arguments.fold)?;
    println!("ok: {} kills, {:.0?}", faults.kills(), began.elapsed());
    Ok(())
}
