//! How costs grow: with views and rules, with history, with workers where one entity has nearly all mentions.
//!
//! ```text
//! scale [EVENTS] [RUNS]
//! ```
//! In: nothing; the events are made from a fixed seed. Out: one line per case, medians of the runs, which are taken in turn.
//! Every run is a whole engine with its durable record, in this process; what is given is the process's own time.

// Not all of the other jobs' parts is of use here.
#[allow(dead_code)]
mod feed;
mod posts;
#[allow(dead_code)]
mod usage;

use feed::{Dictionary, Gated};
use groundswell::engine::{ClockMode, Connections, Engine, EngineOptions, Shared, State};
use groundswell_core::expr::Expr;
use groundswell_core::source::Source;
use groundswell_core::spec::RuleSpec;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use usage::Usage;

#[global_allocator]
static ALLOCATOR: groundswell::allocator::MiMalloc = groundswell::allocator::MiMalloc;

const LIMIT: Duration = Duration::from_secs(1_200);
/// Votes that are revised once everything else is there.
const STEP: usize = 10_000;

/// Seconds of a run, or of its last step.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

struct Case {
    name: String,
    views: usize,
    rules: usize,
    workers: usize,
    events: usize,
    /// Of a hundred posts, those that name one entity.
    hot: u32,
    /// What is measured is a step of [`STEP`] revisions after all events, and not the events.
    step: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    groundswell::allocator::tune();
    let mut arguments = std::env::args().skip(1).map(|n| n.parse::<usize>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (events, runs) = (next(200_000)?, next(3)?);
    let plain = |name: &str| Case {
        name: name.to_owned(),
        views: 1,
        rules: 0,
        workers: 1,
        events,
        hot: 0,
        step: false,
    };
    let cases = [
        plain("1 view"),
        Case {
            views: 2,
            ..plain("2 views")
        },
        Case {
            views: 64,
            ..plain("64 views")
        },
        Case {
            rules: 1,
            ..plain("1 view, 1 rule")
        },
        Case {
            rules: 1_000,
            ..plain("1 view, 1,000 rules")
        },
        Case {
            hot: 90,
            ..plain("90 % of posts name one entity, 1 worker")
        },
        Case {
            hot: 90,
            workers: 2,
            ..plain("90 % of posts name one entity, 2 workers")
        },
        Case {
            workers: 2,
            ..plain("1 view, 2 workers")
        },
        Case {
            step: true,
            ..plain("10,000 revisions after the events")
        },
        Case {
            step: true,
            events: events * 10,
            ..plain("10,000 revisions after ten times the events")
        },
    ];
    let mut costs: Vec<Vec<Cost>> = cases.iter().map(|_| Vec::new()).collect();
    for run in 0..runs {
        for (case, costs) in cases.iter().zip(&mut costs) {
            eprintln!("scale: run {} of {runs}: {}", run + 1, case.name);
            costs.push(measure(case)?);
        }
    }
    println!("| case | runs | events | wall s | CPU s | wall ÷ first row |\n|---|--:|--:|--:|--:|--:|");
    let first = median(&costs[0], |c| c.wall);
    for (case, costs) in cases.iter().zip(&costs) {
        let (wall, cpu) = (median(costs, |c| c.wall), median(costs, |c| c.cpu));
        let ratio = if case.step {
            "–".to_owned()
        } else {
            format!("{:.2}", wall / first)
        };
        println!(
            "| {} | {runs} | {} | {wall:.3} | {cpu:.3} | {ratio} |",
            case.name, case.events
        );
    }
    Ok(())
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut all: Vec<f64> = costs.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn measure(case: &Case) -> Result<Cost, Box<dyn Error>> {
    let folder = tempfile::Builder::new().prefix("scale-").tempdir()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("posts.jsonl"), posts::posts(case.events, case.hot)?)?;
    std::fs::write(path("aliases.csv"), posts::aliases()?)?;
    std::fs::write(path("step.jsonl"), revisions(&path("posts.jsonl"))?)?;
    let shared = Shared::create(&path("cache"))?;
    let (base, begin) = Gated::posts("posts", &path("posts.jsonl"))?;
    let (step, and_then) = Gated::posts("step", &path("step.jsonl"))?;
    let dictionary = Dictionary::read(&path("aliases.csv"))?;
    let mut options = EngineOptions::new(posts::graph(case.views));
    options.rules = rules(case.rules)?;
    options.ticks.clock = ClockMode::Event;
    options.workers = case.workers;
    options.collect_posts = false;
    let state = State::Folder {
        path: path("state"),
        fold_after: u64::MAX,
    };
    let sources: Vec<Box<dyn Source>> = vec![Box::new(dictionary), Box::new(base), Box::new(step)];
    let connections = Connections {
        sources,
        ..Connections::default()
    };
    let engine = Engine::start(options, state.open()?, &shared, connections)?;
    let mut now = (Instant::now(), Usage::of("self")?.cpu_seconds);
    begin.send(())?;
    read(&engine, &shared, "posts", case.events)?;
    let mut cost = spent(&mut now)?;
    if case.step {
        and_then.send(())?;
        read(&engine, &shared, "step", STEP)?;
        cost = spent(&mut now)?;
    }
    engine.stop()?;
    Ok(cost)
}

fn spent(since: &mut (Instant, f64)) -> Result<Cost, Box<dyn Error>> {
    let now = (Instant::now(), Usage::of("self")?.cpu_seconds);
    let cost = Cost {
        wall: (now.0 - since.0).as_secs_f64(),
        cpu: now.1 - since.1,
    };
    *since = now;
    Ok(cost)
}

/// Waits until a source's records are recorded and all that follows from them is done.
fn read(engine: &Engine, shared: &Shared, source: &str, records: usize) -> Result<(), Box<dyn Error>> {
    let status = engine.status();
    let line = format!("groundswell_records_read_total{{source=\"{source}\"}} {records}\n");
    let done = status.wait(LIMIT, |status| {
        status.complete() >= status.recorded() && shared.metrics.text().is_ok_and(|text| text.contains(&line))
    });
    match status.fatal() {
        Some(why) => Err(why.into()),
        None if done => Ok(()),
        None => Err(format!(
            "{records} records of \"{source}\" were not read within {} s",
            LIMIT.as_secs()
        )
        .into()),
    }
}

/// Other votes for every so-manieth of the posts, with versions beyond theirs.
fn revisions(posts: &Path) -> Result<String, Box<dyn Error>> {
    let text = std::fs::read_to_string(posts)?;
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("\"score\":")).collect();
    let mut step = String::new();
    for n in 0..STEP {
        let line = lines[n * 7_919 % lines.len()];
        let (head, tail) = line.split_once("\"score\":").ok_or("a post without votes")?;
        let (_, tail) = tail.split_once(',').ok_or("nothing behind the votes")?;
        let (tail, _) = tail.split_once("\"version\":").ok_or("a post without a version")?;
        writeln!(
            step,
            "{head}\"score\":{},{tail}\"version\":{}}}",
            1_000 + n,
            1_000_000_000 + n
        )?;
    }
    Ok(step)
}

/// Rules with thresholds of their own; few of them ever fire.
fn rules(rules: usize) -> Result<Vec<RuleSpec>, Box<dyn Error>> {
    let rule = |n: usize| -> Result<RuleSpec, Box<dyn Error>> {
        let when = format!("sentiment < -0.{:03} and posts > {}", n % 1_000, 3 + n / 100);
        Ok(RuleSpec {
            id: format!("rule_{n}"),
            view: "view_0".into(),
            when: Expr::parse(&when).map_err(|e| format!("{when}: {e}"))?,
            clear: None,
            min_posts: 3,
            for_ms: 0,
            cooldown_ms: 0,
            baseline: Default::default(),
            min_authors: 0,
            min_n_eff: 0,
        })
    };
    (0..rules).map(rule).collect()
}
