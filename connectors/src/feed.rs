//! RSS and Atom feeds as a source of posts.
//!
//! In: addresses. Out: a post per item, with the feed's name as its source; what cannot be a post is a dead letter. State: of
//! each feed what its server said last (`ETag`, `Last-Modified`), digests of the items read last, and how it is
//! ([`FeedBoard`]). A thread per feed reads, so that one that does not answer holds up no other; the rate is limited for all
//! of the source together.
//!
//! *Positions*: a feed is a partition of the source (by the digest of its name), and its offsets count the items handed on;
//! the next one is recorded with each tick. Only items that are new or differ from what was read last are handed on. After a
//! restart nothing is known of that, so everything a feed still shows comes once more: a post is its id, and one that says
//! the same again changes nothing.
//!
//! *What can fail*: a feed that cannot be had, or is none, is tried again ([`pace`]) and says so in health and metrics; the
//! source goes on. A feed does not say that an item was withdrawn, so nothing is ever deleted.

pub mod fetch;
pub mod item;
pub mod pace;
mod read;

use crate::metrics::Metrics;
use groundswell_core::id::PostKey;
use groundswell_core::source::{Source, SourceContext, SourceError};
use groundswell_core::time::EventTime;
use pace::{Breaker, Limiter, Retries};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use fetch::check_url;

/// One feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its name: the source of its posts.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Time between two readings.
    pub interval: Duration,
}

/// Feeds as a source.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedSpec {
    /// The source's name in the config.
    pub name: String,
    /// The feeds.
    pub feeds: Vec<Feed>,
    /// Most requests…
    pub requests: u32,
    /// …in this time.
    pub per: Duration,
    /// What follows a failure that may pass.
    pub retries: Retries,
    /// Failures in a row after which a feed is left alone.
    pub failures: u32,
    /// How long.
    pub open: Duration,
    /// How long a request waits for the whole answer.
    pub timeout: Duration,
    /// Longest answer (bytes).
    pub max_bytes: u64,
    /// Items further ahead of the wall clock than this (ms) are dead letters until they are not.
    pub max_future_skew_ms: i64,
}

impl FeedSpec {
    /// Feeds with the usual limits.
    pub fn new(name: impl Into<String>, feeds: Vec<Feed>) -> Self {
        FeedSpec {
            name: name.into(),
            feeds,
            requests: 100,
            per: Duration::from_secs(60),
            retries: Retries::default(),
            failures: 5,
            open: Duration::from_secs(60),
            timeout: Duration::from_secs(30),
            max_bytes: 1 << 20,
            max_future_skew_ms: 5 * groundswell_core::time::MINUTE,
        }
    }
}

/// How a feed is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedStatus {
    /// Failures in a row.
    pub failures: u32,
    /// Why the last reading failed; `None` if it did not.
    pub trouble: Option<String>,
    /// When it was last read (epoch ms).
    pub read_at: Option<EventTime>,
    /// Items it showed then.
    pub items: usize,
}

/// How the feeds of a source are, by name; clones share it.
#[derive(Clone, Debug, Default)]
pub struct FeedBoard(Arc<Mutex<BTreeMap<String, FeedStatus>>>);

impl FeedBoard {
    /// All feeds.
    pub fn all(&self) -> BTreeMap<String, FeedStatus> {
        self.0.lock().clone()
    }

    fn change(&self, feed: &str, change: impl FnOnce(&mut FeedStatus)) {
        change(self.0.lock().entry(feed.to_owned()).or_default());
    }
}

/// See the module documentation.
pub struct FeedSource {
    spec: FeedSpec,
    board: FeedBoard,
    metrics: Option<Arc<Metrics>>,
}

impl FeedSource {
    /// A source of feeds; nothing is asked before it runs.
    pub fn new(spec: FeedSpec) -> Self {
        let board = FeedBoard::default();
        spec.feeds.iter().for_each(|feed| board.change(&feed.name, |_| ()));
        FeedSource {
            spec,
            board,
            metrics: None,
        }
    }

    /// The same, counting what it does.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<Metrics>) -> Self {
        FeedSource {
            metrics: Some(metrics),
            ..self
        }
    }

    /// How the feeds are, now and later.
    pub fn board(&self) -> FeedBoard {
        self.board.clone()
    }
}

/// The partition of a feed.
#[allow(clippy::cast_possible_truncation)] // the low half is what is wanted
pub fn partition(feed: &str) -> u32 {
    PostKey::of(feed.as_bytes()).0 as u32
}

impl Source for FeedSource {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        let FeedSource { spec, board, metrics } = *self;
        let limiter = Limiter::new(spec.requests, spec.per);
        let agent = fetch::agent(spec.timeout);
        let failed = |error: std::io::Error| SourceError {
            source_name: spec.name.clone(),
            message: format!("cannot start the thread of a feed: {error}"),
            hint: None,
        };
        std::thread::scope(|scope| {
            for feed in &spec.feeds {
                let mut reader = read::Reader {
                    spec: &spec,
                    feed,
                    agent: &agent,
                    limiter: &limiter,
                    breaker: Breaker::new(spec.failures, spec.open),
                    board: &board,
                    metrics: metrics.as_deref(),
                    context: &context,
                    validators: fetch::Validators::default(),
                    known: BTreeMap::new(),
                    next: read::resume(&context, &feed.name),
                };
                std::thread::Builder::new()
                    .name(format!("feed-{}", feed.name))
                    .spawn_scoped(scope, move || reader.run())
                    .map_err(failed)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
