//! Sinks that write JSON Lines files, exactly once: dead letters, alerts, or the changelog of a view or of keyword events.
//!
//! In: the changes of each tick. Out: one line per change, then `{"progress":T}`, in one write and one fsync. State: the
//! file itself. On opening, whatever follows the last complete tick is cut off and [`Sink::upper`] is that tick, so the
//! engine hands over the rest again: a crash neither loses nor repeats a line. Readers skip lines with a `progress`, and
//! lines not yet followed by one are not committed.
//!
//! `journal` is the file and its protocol; the shapes of the lines are in [`crate::json`].

mod journal;
mod letters;

pub use journal::{FileError, Journal};
pub use letters::FileLetters;

use crate::dlq::{Facts, Origin};
use crate::json::event::news_json;
use crate::json::{PostIds, alert_json, dead_json, row_json};
use groundswell_core::id::Names;
use groundswell_core::serving::{Sink, TickChanges};
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::Tick;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// What a journal of dead letters says it is.
const DEAD_LETTERS: &str = "dead_letters";

/// Writes dead letters with their original bytes.
pub struct DeadLetterFile {
    name: String,
    journal: Journal,
    origin: Origin,
}

impl DeadLetterFile {
    /// Opens or creates the file of the sink `name`; `state` is the name of the state whose ticks it takes.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be opened, or is not a file of this sink, or of another state.
    pub fn open(name: &str, path: &Path, state: Option<&str>, origin: Origin) -> Result<Self, FileError> {
        Ok(DeadLetterFile {
            name: name.to_owned(),
            journal: Journal::open(path, DEAD_LETTERS, state)?,
            origin,
        })
    }
}

impl Sink for DeadLetterFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn upper(&self) -> Option<Tick> {
        self.journal.upper()
    }

    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        let mut lines = Vec::new();
        for dead in &changes.dead {
            push_line(&mut lines, &dead_json(&Facts::of(dead, changes.tick, &self.origin)))?;
        }
        self.journal.append(changes.tick, lines).map_err(|e| e.to_string())
    }
}

/// Writes alert transitions.
pub struct AlertFile {
    name: String,
    journal: Journal,
    views: Arc<[ViewSpec]>,
    names: Arc<Names>,
    post_ids: PostIds,
}

impl AlertFile {
    /// Opens or creates the file of the sink `name`. `views` are the pipeline's, to name the columns of an alert's group.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be opened, or is not a file of this sink.
    pub fn open(
        name: &str,
        path: &Path,
        state: Option<&str>,
        views: Arc<[ViewSpec]>,
        names: Arc<Names>,
        post_ids: PostIds,
    ) -> Result<Self, FileError> {
        Ok(AlertFile {
            name: name.to_owned(),
            journal: Journal::open(path, "alerts", state)?,
            views,
            names,
            post_ids,
        })
    }
}

impl Sink for AlertFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn upper(&self) -> Option<Tick> {
        self.journal.upper()
    }

    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        let mut lines = Vec::new();
        for alert in changes.told_alerts() {
            let Some(view) = self.views.iter().find(|v| *v.name == *alert.view) else {
                return Err(format!(
                    "rule \"{}\" watches a view \"{}\" that the pipeline lacks",
                    alert.rule, alert.view
                ));
            };
            let line = alert_json(view, &self.names, &self.post_ids, alert).map_err(|e| e.to_string())?;
            push_line(&mut lines, &line)?;
        }
        self.journal.append(changes.tick, lines).map_err(|e| e.to_string())
    }
}

/// Writes the changelog of one view: each changed row as it is now, or as gone.
pub struct ViewFile {
    name: String,
    journal: Journal,
    index: usize,
    view: ViewSpec,
    names: Arc<Names>,
    post_ids: PostIds,
}

impl ViewFile {
    /// Opens or creates the file of the sink `name` for the pipeline's `index`-th view.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be opened, or is not a file of this sink.
    pub fn open(
        name: &str,
        path: &Path,
        state: Option<&str>,
        (index, view): (usize, ViewSpec),
        names: Arc<Names>,
        post_ids: PostIds,
    ) -> Result<Self, FileError> {
        let journal = Journal::open(path, &format!("view {}", view.name), state)?;
        Ok(ViewFile {
            name: name.to_owned(),
            journal,
            index,
            view,
            names,
            post_ids,
        })
    }
}

impl Sink for ViewFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn upper(&self) -> Option<Tick> {
        self.journal.upper()
    }

    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        let mut lines = Vec::new();
        for change in changes.views.get(self.index).into_iter().flatten() {
            let strings = (&*self.names, &self.post_ids);
            let row = row_json(&self.view, strings, change, changes.tick, changes.clock).map_err(|e| e.to_string())?;
            push_line(&mut lines, &row)?;
        }
        self.journal.append(changes.tick, lines).map_err(|e| e.to_string())
    }
}

/// Writes the changelog of the keyword events that are news: each as it is now, or as gone.
pub struct EventFile {
    name: String,
    journal: Journal,
}

impl EventFile {
    /// Opens or creates the file of the sink `name`.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be opened, or is not a file of this sink.
    pub fn open(name: &str, path: &Path, state: Option<&str>) -> Result<Self, FileError> {
        Ok(EventFile {
            name: name.to_owned(),
            journal: Journal::open(path, "events", state)?,
        })
    }
}

impl Sink for EventFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn upper(&self) -> Option<Tick> {
        self.journal.upper()
    }

    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        let mut lines = Vec::new();
        for news in changes
            .events
            .iter()
            .filter_map(|change| news_json(change, changes.tick))
        {
            push_line(&mut lines, &news)?;
        }
        self.journal.append(changes.tick, lines).map_err(|e| e.to_string())
    }
}

fn push_line(lines: &mut Vec<u8>, value: &impl Serialize) -> Result<(), String> {
    serde_json::to_writer(&mut *lines, value).map_err(|e| e.to_string())?;
    lines.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests;
