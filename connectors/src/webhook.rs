//! A sink that posts alerts or keyword events to an address: signed, retried, and told apart by a key that is the same each
//! time.
//!
//! In: the changes of each tick. Out: one `POST` per transition of an alert, or per change of what is news, in order, at least
//! once: after a crash between an answer and its note, or when an answer is lost, the same request comes again, with the same
//! `Idempotency-Key`. State: a file of what is to be posted, committed tick by tick like other file sinks, and a file that says how far it is posted.
//! Taking a tick only writes the file, so an address that does not answer holds up nobody; a thread posts from the file.
//!
//! A body that the other side will never take (400, 413, 422) is logged, set aside in a third file and left. Everything else
//! that is no success is tried again, with pauses that double up to a minute or so, or as long as `Retry-After` says.

mod delivery;
mod message;
mod place;

pub use delivery::{Outcome, Outcomes};
pub use message::Body;

use crate::json::{PostIds, alert_json};
use crate::sink_file::{FileError, Journal};
use delivery::{Delivery, Signal};
use groundswell_core::id::Names;
use groundswell_core::serving::{Sink, TickChanges};
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::{Tick, wall_now};
use message::Entry;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// What a webhook posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posts {
    /// Alerts.
    Alerts,
    /// The keyword events that are news.
    Events,
}

/// What a webhook needs.
pub struct WebhookOptions {
    /// The sink's name.
    pub name: String,
    /// Where to post; a secret.
    pub url: String,
    /// What requests are signed with; `None` signs nothing.
    pub secret: Option<String>,
    /// What is posted…
    pub posts: Posts,
    /// …and how.
    pub body: Body,
    /// How long a request waits for its answer.
    pub timeout: Duration,
    /// Longest pause between attempts.
    pub longest_pause: Duration,
    /// Whether what was there before the sink is posted.
    pub past: bool,
    /// The folder of its files.
    pub folder: PathBuf,
    /// The state whose ticks it takes.
    pub state: Option<String>,
    /// The pipeline's views, to name the columns of an alert's group.
    pub views: Arc<[ViewSpec]>,
    /// Strings of groups.
    pub names: Arc<Names>,
    /// Ids of posts.
    pub post_ids: PostIds,
    /// Told of every attempt.
    pub outcomes: Outcomes,
}

impl fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Address and secret are left out.
        f.debug_struct("WebhookOptions")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why a webhook cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Its files cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The address is none.
    #[error("the address of the sink \"{name}\" cannot be used: {problem}")]
    Address {
        /// The sink.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The note of how far it is cannot be read.
    #[error("cannot read \"{}\": {problem}; remove it to post again what the file beside it holds", path.display())]
    Place {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// No thread.
    #[error("cannot start the thread of the sink \"{name}\": {source}")]
    Thread {
        /// The sink.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}

/// What is wrong with an address, if something is.
///
/// # Errors
/// In words, without the address: it may be a secret.
pub fn check_url(url: &str) -> Result<(), String> {
    let Some((scheme, _)) = url.split_once("://") else {
        return Err("it begins with neither http:// nor https://".to_owned());
    };
    if !matches!(scheme, "http" | "https") {
        return Err("its scheme is neither http nor https".to_owned());
    }
    let parsed: ureq::http::Uri = url.parse().map_err(|e| format!("it is no URL: {e}"))?;
    match parsed.host() {
        Some(host) if !host.is_empty() => Ok(()),
        _ => Err("it names no host".to_owned()),
    }
}

/// See the module documentation.
pub struct Webhook {
    name: String,
    journal: Journal,
    /// What happened up to this tick is not posted.
    since: Tick,
    views: Arc<[ViewSpec]>,
    names: Arc<Names>,
    post_ids: PostIds,
    posts: Posts,
    body: Body,
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Webhook {
    /// Opens or creates its files and starts posting what waits.
    ///
    /// # Errors
    /// [`WebhookError`] if its files or its address cannot be used.
    pub fn open(options: WebhookOptions) -> Result<Self, WebhookError> {
        let name = options.name.clone();
        check_url(&options.url).map_err(|problem| WebhookError::Address {
            name: name.clone(),
            problem,
        })?;
        let path = options.folder.join(format!("{name}.jsonl"));
        let journal = Journal::open(&path, &format!("webhook {name}"), options.state.as_deref())?;
        let new = journal.upper().is_none() && !options.past;
        let since = if new { u64::try_from(wall_now()).unwrap_or(0) } else { 0 };
        let signal = Arc::new(Signal::new(journal.committed()));
        let delivery = Delivery::open(&options, path, Arc::clone(&signal))?;
        let thread = std::thread::Builder::new()
            .name(format!("webhook-{name}"))
            .spawn(move || delivery.run());
        Ok(Webhook {
            journal,
            since,
            views: options.views,
            names: options.names,
            post_ids: options.post_ids,
            posts: options.posts,
            body: options.body,
            signal,
            thread: Some(thread.map_err(|source| WebhookError::Thread {
                name: name.clone(),
                source,
            })?),
            name,
        })
    }

    fn lines(&self, changes: &TickChanges) -> Result<Vec<u8>, String> {
        let entries = match self.posts {
            Posts::Alerts => self.alerts(changes)?,
            Posts::Events if changes.tick > self.since => events(changes, self.body)?,
            Posts::Events => Vec::new(),
        };
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, &entry).map_err(|e| e.to_string())?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    fn alerts(&self, changes: &TickChanges) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        for alert in changes.told_alerts().filter(|alert| alert.at > self.since) {
            let Some(view) = self.views.iter().find(|v| *v.name == *alert.view) else {
                return Err(format!(
                    "rule \"{}\" watches a view \"{}\" that the pipeline lacks",
                    alert.rule, alert.view
                ));
            };
            let record = alert_json(view, &self.names, &self.post_ids, alert).map_err(|e| e.to_string())?;
            let record = serde_json::to_value(record).map_err(|e| e.to_string())?;
            entries.push(Entry::of(alert, &record, self.body));
        }
        Ok(entries)
    }
}

fn events(changes: &TickChanges, body: Body) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for change in &changes.events {
        entries.extend(Entry::of_event(change, changes.tick, body).map_err(|e| e.to_string())?);
    }
    Ok(entries)
}

impl Sink for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn upper(&self) -> Option<Tick> {
        self.journal.upper()
    }

    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        let lines = self.lines(changes)?;
        self.journal.append(changes.tick, lines).map_err(|e| e.to_string())?;
        self.signal.committed(self.journal.committed());
        Ok(())
    }

    fn apply_all(&mut self, changes: &[Arc<TickChanges>]) -> Result<(), String> {
        let mut lines = Vec::new();
        for changes in changes
            .iter()
            .filter(|c| self.journal.upper().is_none_or(|upper| c.tick > upper))
        {
            lines.extend(self.lines(changes)?);
        }
        if let Some(last) = changes.last() {
            self.journal.append(last.tick, lines).map_err(|e| e.to_string())?;
            self.signal.committed(self.journal.committed());
        }
        Ok(())
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // What waits is posted after the next start.
        self.signal.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(sink = self.name, "the thread of a webhook had panicked");
        }
    }
}

#[cfg(test)]
mod tests;
