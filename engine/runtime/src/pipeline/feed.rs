//! Sources of feeds, and how their feeds are.

use super::StartError;
use crate::config::{FeedConfig, Pipeline};
use crate::engine::Shared;
use groundswell_connectors::feed::pace::Retries;
use groundswell_connectors::feed::{Feed, FeedBoard, FeedSource, FeedSpec, FeedStatus};
use groundswell_connectors::http::Service;
use groundswell_core::source::Source;
use groundswell_core::time::wall_now;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// The feeds of all sources, by the source's name; clones share it.
#[derive(Clone, Default)]
pub(super) struct Feeds(Arc<Mutex<Vec<(String, FeedBoard)>>>);

impl Feeds {
    /// A source of feeds.
    pub(super) fn source(
        &self,
        name: &str,
        config: &FeedConfig,
        pipeline: &Pipeline,
        shared: &Shared,
    ) -> Result<Box<dyn Source>, StartError> {
        let source = FeedSource::new(spec(name, config, pipeline)).with_metrics(Arc::clone(&shared.metrics));
        self.0.lock().push((name.to_owned(), source.board()));
        Ok(Box::new(source))
    }

    /// How each feed is.
    pub(super) fn services(&self) -> Vec<(String, Service)> {
        let boards = self.0.lock().clone();
        let of = |(source, board): (String, FeedBoard)| {
            let service = move |(feed, status)| (format!("feed {source}.{feed}"), service(&status));
            board.all().into_iter().map(service).collect::<Vec<_>>()
        };
        boards.into_iter().flat_map(of).collect()
    }
}

fn spec(name: &str, config: &FeedConfig, pipeline: &Pipeline) -> FeedSpec {
    let ms = |n: i64| Duration::from_millis(u64::try_from(n).unwrap_or(0));
    let feeds = config.feeds.iter().map(|(name, url, interval)| Feed {
        name: name.clone(),
        url: url.clone(),
        interval: ms(*interval),
    });
    FeedSpec {
        requests: config.requests,
        per: ms(config.per_ms),
        retries: Retries {
            attempts: config.attempts,
            base: ms(config.base_ms),
            longest: ms(config.longest_ms),
        },
        failures: config.failures,
        open: ms(config.open_ms),
        timeout: ms(config.timeout_ms),
        max_bytes: u64::try_from(config.max_bytes).unwrap_or(0),
        max_future_skew_ms: pipeline.time.max_future_skew_ms,
        ..FeedSpec::new(name, feeds.collect())
    }
}

fn service(status: &FeedStatus) -> Service {
    let ago = status.read_at.map(|at| wall_now().saturating_sub(at).max(0) / 1000);
    let read = ago.map_or_else(
        || "never read".to_owned(),
        |s| format!("read {s} s ago, {} items", status.items),
    );
    match &status.trouble {
        None => Service {
            healthy: true,
            status: read,
        },
        Some(why) => Service {
            healthy: false,
            status: format!("failed {} times: {why} ({read})", status.failures),
        },
    }
}
