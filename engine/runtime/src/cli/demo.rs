//! `groundswell demo`: the whole graph on a live stream, without Kafka, Postgres or Docker.

use super::Failure;
use super::fresh::Fresh;
use super::out::say;
use super::run::wait_and;
use super::summary::Gathering;
use crate::config::{self, Collection, DeletedBody, FileFormat, Pace, SourceConfig, SourceKind};
use crate::engine::Connections;
use crate::pipeline::start_with;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The demo's pipeline file.
const PIPELINE: &str = include_str!("demo.yaml");
/// Where the model bundle is looked for, after `--model`.
const MODEL: &str = "models/social";

#[derive(clap::Args)]
pub(super) struct DemoArgs {
    /// End by itself after this long, e.g. `20s`.
    #[arg(long = "for", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Your own posts (JSON Lines, plain or gzip) instead of the generator.
    #[arg(long)]
    input: Option<PathBuf>,
    /// Your own entities (YAML or JSON: id, name, aliases) for --input.
    #[arg(long, requires = "input")]
    entities: Option<PathBuf>,
    /// Posts per second of the generator, e.g. `15/s`.
    #[arg(long, default_value = "15/s", value_parser = rate)]
    rate: f64,
    /// Port of the console; 0 takes any free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The model bundle.
    #[arg(long, default_value = MODEL)]
    model: PathBuf,
    /// Where the state is kept; a fresh folder that is removed at the end if not given.
    #[arg(long)]
    state: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse::<f64>() {
        Ok(n) if n.is_finite() && n > 0.0 && n <= 100_000.0 => Ok(n),
        _ => Err("expected posts per second, such as 15/s".into()),
    }
}

pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    for (flag, file) in [("--input", &args.input), ("--entities", &args.entities)] {
        if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
            return Err(Failure::Usage(format!(
                "{flag}: \"{}\" does not exist or is not a file",
                file.display()
            )));
        }
    }
    let fresh;
    let state = match &args.state {
        Some(folder) => folder.as_path(),
        None => {
            fresh = Fresh::create()?;
            fresh.path()
        }
    };
    let pipeline = pipeline(args, state)?;
    say(format_args!(
        "groundswell demo: loading the model and restoring {}",
        state.display()
    ))?;
    let mut gathering = None;
    let running = start_with(&pipeline, |shared| Connections {
        observers: vec![gathering.insert(Gathering::new(&pipeline, shared)).observer()],
        ..Connections::default()
    })?;
    let Some(gathering) = gathering else {
        return Err(Failure::Other("the demo has no summary; this is a bug".into()));
    };
    if let Some(addr) = running.addr() {
        say(format_args!("console at http://{addr}  (Ctrl-C ends the demo)"))?;
    }
    let (began, mut printed, mut alerts) = (Instant::now(), Instant::now(), 0);
    let stats = Arc::clone(running.engine.scorer_stats());
    let deadline = args.duration.map(|d| began + d);
    let ends = args.input.is_some();
    wait_and(
        &running,
        deadline,
        |status| ends && deadline.is_none() && status.is_drained(),
        || {
            let summary = gathering.summary.lock();
            for alert in &summary.alerts[alerts..] {
                say(format_args!("  ! {alert}"))?;
            }
            alerts = summary.alerts.len();
            if printed.elapsed() < Duration::from_secs(2) {
                return Ok(());
            }
            printed = Instant::now();
            say(format_args!(
                "  {:>4.0} s  {:>6} posts changed  {:>6} texts scored  {:>5} waiting  {:>5} rows revised  {} dead letters",
                began.elapsed().as_secs_f64(),
                summary.posts,
                stats.texts.load(Ordering::Relaxed),
                running.engine.status().wanted(),
                summary.revised,
                summary.dead,
            ))
        },
    )?;
    running.stop().map_err(Failure::of_engine)?;
    say(format_args!("\n{}", gathering.report(12, &stats)))
}

fn pipeline(args: &DemoArgs, state: &Path) -> Result<config::Pipeline, Failure> {
    let absolute = |path: &Path| std::path::absolute(path);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked when parsed
    let per_minute = (args.rate * 60.0).ceil() as u64;
    let env: BTreeMap<&str, String> = [
        ("GROUNDSWELL_DEMO_STATE", absolute(state)?.display().to_string()),
        ("GROUNDSWELL_DEMO_RATE", per_minute.to_string()),
        ("GROUNDSWELL_DEMO_MODEL", absolute(&args.model)?.display().to_string()),
        ("GROUNDSWELL_DEMO_PORT", args.port.to_string()),
    ]
    .into();
    let lookup = |name: &str| env.get(name).cloned();
    let mut pipeline = config::parse(PIPELINE, "demo.yaml", Path::new("."), &lookup)
        .map_err(|errors| Failure::Usage(errors.to_string()))?;
    if let Some(input) = &args.input {
        let file = |name: &str, path: &Path, into, format| SourceConfig {
            name: name.into(),
            kind: SourceKind::File {
                path: path.to_owned(),
                into,
                pace: Pace::Full,
                map: BTreeMap::new(),
                format,
                deleted_body: DeletedBody::Gone,
            },
            platform: None,
        };
        pipeline.sources = vec![file("input", input, Collection::Posts, FileFormat::Jsonl)];
        if let Some(entities) = &args.entities {
            pipeline
                .sources
                .push(file("entities", entities, Collection::Entities, FileFormat::Yaml));
        }
        pipeline.time.clock = config::Clock::Event;
        for view in &mut pipeline.graph.views {
            view.keep = None;
        }
        if args.entities.is_none() {
            // Without a dictionary nothing is an entity; the same views by source.
            for view in &mut pipeline.graph.views {
                use groundswell_core::spec::GroupColumn::{Entity, Source};
                view.group_by
                    .iter_mut()
                    .filter(|c| **c == Entity)
                    .for_each(|c| *c = Source);
            }
        }
    }
    Ok(pipeline)
}
