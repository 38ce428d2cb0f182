//! `groundswell dlq`: the dead letters of a pipeline, read where its sink keeps them; and given to the running engine again.

mod list;
mod replay;
mod show;
mod text;

use super::{Failure, load};
use crate::config::Pipeline;
use crate::pipeline::{NoLetters, letters};
use clap::{Args, Subcommand};
use groundswell_connectors::dlq::{Filter, Letters, LettersError, Position, Since};
use groundswell_core::time::wall_now;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum DlqCommand {
    /// The letters as a table, the newest last, with counts by stage, code and source.
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many, the newest; a table shows 100 if nothing is said, --json all.
        #[arg(long)]
        limit: Option<usize>,
        /// One JSON object a line, as a file sink writes them, instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One letter in full: the newest at a position.
    Show {
        #[command(flatten)]
        which: Which,
        /// Source, partition and offset, as `list` shows them: posts/0/1234.
        position: Position,
        /// Every letter at the position, the oldest first: earlier attempts, or texts that could not be scored.
        #[arg(long, conflicts_with = "raw")]
        all: bool,
        /// The bytes as received and nothing else, for a file.
        #[arg(long)]
        raw: bool,
    },
    /// Give letters to the running pipeline again, with the maps it has now.
    ///
    /// The engine decodes them as their sources would. Those that are good are recorded at their original positions, so that
    /// they compete as they would have then and replaying twice changes nothing. Those that are still bad are dead letters
    /// again, five attempts at most. Of several letters of one record the newest is replayed.
    Replay {
        #[command(flatten)]
        which: Which,
        /// At most so many, the oldest.
        #[arg(long)]
        limit: Option<usize>,
        /// Only say what would become of them; record nothing.
        #[arg(long)]
        dry_run: bool,
        /// Where the pipeline serves HTTP, if not where its file says.
        #[arg(long)]
        url: Option<String>,
    },
}

/// Which letters of which pipeline.
#[derive(Args)]
pub(super) struct Which {
    /// The pipeline file.
    pipeline: PathBuf,
    /// The sink whose letters are meant; the first that takes dead letters if nothing is said.
    #[arg(long)]
    sink: Option<String>,
    /// Only those that failed there: decode, validate, window or score.
    #[arg(long)]
    stage: Option<String>,
    /// Only those with this code, such as `missing_field`.
    #[arg(long)]
    code: Option<String>,
    /// Only those of this source.
    #[arg(long)]
    source: Option<String>,
    /// Only those recorded since then: a time (2026-06-19T23:00:00Z), a day (2026-06-19), or so long ago (2h).
    #[arg(long)]
    since: Option<Since>,
}

impl Which {
    fn filter(&self) -> Filter {
        Filter {
            stage: self.stage.clone(),
            code: self.code.clone(),
            source: self.source.clone(),
            since: self.since.map(|since| since.from(wall_now())),
        }
    }

    fn open(&self) -> Result<Opened, Failure> {
        let pipeline = load(&self.pipeline)?;
        let (sink, letters) = letters(&pipeline, self.sink.as_deref()).map_err(|e| match e {
            NoLetters::Open(error) => Failure::of_letters(error),
            other => Failure::Usage(format!("{}: {other}", self.pipeline.display())),
        })?;
        Ok(Opened {
            pipeline,
            sink,
            letters,
        })
    }
}

/// A pipeline and its letters.
struct Opened {
    pipeline: Pipeline,
    sink: String,
    letters: Box<dyn Letters>,
}

impl Failure {
    fn of_letters(error: LettersError) -> Self {
        match error.unreachable {
            true => Failure::Unreachable(error.message),
            false => Failure::Other(error.message),
        }
    }
}

pub(super) fn run(command: &DlqCommand) -> Result<(), Failure> {
    match command {
        DlqCommand::List { which, limit, json } => list::run(which, *limit, *json),
        DlqCommand::Show {
            which,
            position,
            all,
            raw,
        } => show::run(which, position, *all, *raw),
        DlqCommand::Replay {
            which,
            limit,
            dry_run,
            url,
        } => replay::run(which, *limit, *dry_run, url.as_deref()),
    }
}
