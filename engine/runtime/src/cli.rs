//! The command line: what users type, and the exit codes they get.
//!
//! 0 done; 2 usage or configuration; 3 a dependency could not be reached in time; 1 anything else.

mod address;
mod cluster;
mod demo;
mod dlq;
mod erase;
mod export;
mod fresh;
mod key;
mod models;
mod out;
mod run;
mod score;
mod sink;
mod state;
mod summary;

use crate::config;
use crate::engine::EngineError;
use crate::pipeline::StartError;
use clap::{Parser, Subcommand, ValueEnum};
use out::{note, say};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Vote-weighted sentiment views, kept exactly right under revision.
#[derive(Parser)]
#[command(name = "groundswell", version, about)]
struct Args {
    /// How log lines are written to standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run a pipeline until SIGTERM or, if all its sources end, with --until-done until they do.
    Run {
        /// The pipeline file.
        pipeline: PathBuf,
        /// Stop by itself once every source was read to its end and everything that follows is done.
        #[arg(long)]
        until_done: bool,
        /// With --until-done: how long to wait, when all else is done, for a sink that does not get on.
        #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
        patience: Duration,
        /// Make the model that the file names under models.live the live one, whatever was promoted.
        #[arg(long)]
        live_as_configured: bool,
        #[command(flatten)]
        cluster: cluster::ClusterArgs,
    },
    /// Check a pipeline file: every mistake at once; prints the effective configuration, secrets masked.
    Check {
        /// The pipeline file.
        pipeline: PathBuf,
    },
    /// A live stream through the whole graph, with the real model and the console.
    Demo(demo::DemoArgs),
    /// Score texts from standard input, one a line, as JSON lines; or measure a model on labelled texts.
    Score(score::ScoreArgs),
    /// Pause, resume or resync a sink of a running pipeline.
    Sink {
        #[command(subcommand)]
        command: sink::SinkCommand,
    },
    /// List the models of a running pipeline, make another one live, or go back.
    Models {
        #[command(subcommand)]
        command: models::ModelsCommand,
    },
    /// Make an API key for `serve.auth.keys`.
    Key,
    /// Write the rows of a view of a running pipeline to a file: CSV, JSON Lines or Parquet.
    Export(export::ExportArgs),
    /// List, show and replay the dead letters of a pipeline.
    Dlq {
        #[command(subcommand)]
        command: dlq::DlqCommand,
    },
    /// Let a running pipeline forget an author, a post or a thread, whatever comes later; or take that back.
    Erase(erase::EraseArgs),
    /// Look into a state folder.
    State {
        #[command(subcommand)]
        command: state::StateCommand,
    },
    /// Print a reference page generated from the code.
    #[command(hide = true)]
    Reference {
        /// Which page.
        #[arg(value_enum)]
        page: Page,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Page {
    Config,
    Metrics,
    Cli,
    Schemas,
    Openapi,
}

/// Why a command failed, and the exit code that says so.
enum Failure {
    /// Usage or configuration.
    Usage(String),
    /// Something outside could not be reached in time.
    Unreachable(String),
    /// Whoever read standard output went away.
    Unread,
    /// The process that was watched over ended with this code, and has said why.
    Ended(u8),
    /// Anything else.
    Other(String),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Other(error.to_string())
    }
}

impl Failure {
    fn of_start(error: StartError) -> Self {
        match error {
            StartError::Kafka { ref source, .. } if source.is_unreachable() => Failure::Unreachable(error.to_string()),
            StartError::Registry { ref source, .. } if source.is_unreachable() => {
                Failure::Unreachable(error.to_string())
            }
            StartError::Postgres(why) if why.is_retriable() => Failure::Unreachable(why.to_string()),
            other => other.into(),
        }
    }

    fn of_engine(error: EngineError) -> Self {
        match error {
            EngineError::Sinks(_) => Failure::Unreachable(error.to_string()),
            other => other.into(),
        }
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let args = Args::parse();
    // The demo's own lines say how it goes.
    let quiet = matches!(args.command, Command::Demo(_));
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(if quiet { "warn" } else { "warn,groundswell=info" }));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would report that standard error is closed on standard error, and panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    match args.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    match execute(args.command) {
        Ok(()) | Err(Failure::Unread) => ExitCode::SUCCESS,
        Err(Failure::Ended(code)) => ExitCode::from(code),
        Err(Failure::Usage(message)) => {
            note(message);
            ExitCode::from(2)
        }
        Err(Failure::Unreachable(message)) => {
            note(format_args!("groundswell: {message}"));
            ExitCode::from(3)
        }
        Err(Failure::Other(message)) => {
            note(format_args!("groundswell: {message}"));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run {
            pipeline,
            until_done,
            patience,
            live_as_configured,
            cluster,
        } => {
            let hosts = cluster.hosts()?;
            let (pipeline, patience) = (load(&pipeline)?, until_done.then_some(patience));
            match hosts {
                None => run::run(&pipeline, patience, None, live_as_configured),
                Some(hosts) => cluster.run(hosts, &pipeline, patience, live_as_configured),
            }
        }
        Command::Check { pipeline } => say(load(&pipeline)?.effective_yaml()),
        Command::Demo(args) => demo::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Sink { command } => sink::run(&command),
        Command::Models { command } => models::run(&command),
        Command::Key => key::run(),
        Command::Export(args) => export::run(&args),
        Command::Dlq { command } => dlq::run(&command),
        Command::Erase(args) => erase::run(&args),
        Command::State { command } => state::run(&command),
        Command::Reference { page } => {
            let page = match page {
                Page::Config => config::reference_markdown(),
                Page::Metrics => groundswell_connectors::metrics::reference_markdown()?,
                Page::Cli => cli_reference(),
                Page::Schemas => groundswell_connectors::json::schema::reference_markdown(),
                Page::Openapi => format!("{:#}", groundswell_connectors::http::openapi()),
            };
            say(page.trim_end_matches('\n'))
        }
    }
}

fn load(path: &std::path::Path) -> Result<config::Pipeline, Failure> {
    config::load(path).map_err(|errors| Failure::Usage(errors.to_string()))
}

/// The command line as a page, from clap's own help.
fn cli_reference() -> String {
    use clap::CommandFactory;
    let mut page = String::from("# Command line\n\nGenerated by `groundswell reference cli`; do not edit.\n");
    let mut command = Args::command();
    command.build();
    let mut pages = vec![("groundswell".to_owned(), command)];
    while let Some((name, mut command)) = pages.pop() {
        let help = command.render_long_help();
        page.push_str(&format!(
            "\n## `{name}`\n\n```text\n{}\n```\n",
            help.to_string().trim_end()
        ));
        let subcommands: Vec<_> = command
            .get_subcommands()
            .filter(|c| !c.is_hide_set() && c.get_name() != "help")
            .cloned()
            .collect();
        pages.extend(
            subcommands
                .into_iter()
                .rev()
                .map(|c| (format!("{name} {}", c.get_name()), c)),
        );
    }
    page
}
