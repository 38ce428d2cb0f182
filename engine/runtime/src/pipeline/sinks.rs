//! The sinks a pipeline names, opened.

use super::{StartError, all_at_once, kafka};
use crate::config::{Pipeline, SinkConfig, SinkFrom, SinkKind, SourceKind, WebhookConfig};
use crate::engine::Shared;
use groundswell_connectors::dlq::Origin;
use groundswell_connectors::json::PostIds;
use groundswell_connectors::postgres::{PostgresOptions, PostgresSink};
use groundswell_connectors::sink_file::{AlertFile, DeadLetterFile, EventFile, ViewFile};
use groundswell_connectors::webhook::{Posts, Webhook, WebhookOptions};
use groundswell_core::scoring::ScoringSpec;
use groundswell_core::serving::Sink;
use groundswell_core::spec::{GraphSpec, ViewSpec};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a database may take to be there when the pipeline starts.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest attempt to connect to it.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest transaction.
const ANSWER: Duration = Duration::from_secs(120);

/// Opens all sinks, side by side; `state` is the name of the state whose ticks they take. Gives them in the order of the file.
pub(super) fn open(
    pipeline: &Pipeline,
    shared: &Shared,
    state: Option<&str>,
) -> Result<Vec<Box<dyn Sink>>, StartError> {
    let views: Arc<[_]> = pipeline.graph.views.clone().into();
    let opened = all_at_once(&pipeline.sinks, |sink| match &sink.kind {
        SinkKind::File { path } => file(sink, path, pipeline, state, &views, shared),
        SinkKind::Kafka(config) => kafka::sink(sink, config, pipeline, &views, shared, post_ids(shared)),
        SinkKind::Webhook(config) => webhook(sink, config, pipeline, state, &views, shared),
        SinkKind::Postgres {
            url,
            views: tables,
            alerts,
            events,
            dead_letters,
        } => {
            let index = |name: &String| views.iter().position(|view| view.name == *name);
            let basis = basis(&pipeline.graph);
            let sink = PostgresSink::open(PostgresOptions {
                name: sink.name.clone(),
                url: url.expose().to_owned(),
                schema: pipeline.graph.name.clone(),
                views: Arc::clone(&views),
                tables: tables.iter().filter_map(index).collect(),
                alerts: *alerts,
                events: pipeline.graph.events.filter(|_| *events),
                dead_letters: *dead_letters,
                origin: origin(pipeline),
                basis: basis.map_err(|e| StartError::Basis(e.to_string()))?,
                names: Arc::clone(&shared.names),
                post_ids: post_ids(shared),
                connect_timeout: CONNECT,
                answer_timeout: ANSWER,
                patience: PATIENCE,
            })?;
            Ok(Some(Box::new(sink) as Box<dyn Sink>))
        }
    });
    opened.into_iter().filter_map(Result::transpose).collect()
}

fn webhook(
    sink: &SinkConfig,
    config: &WebhookConfig,
    pipeline: &Pipeline,
    state: Option<&str>,
    views: &Arc<[ViewSpec]>,
    shared: &Shared,
) -> Result<Option<Box<dyn Sink>>, StartError> {
    let metrics = Arc::clone(&shared.metrics);
    let ms = |n: i64| Duration::from_millis(u64::try_from(n).unwrap_or(0));
    let webhook = Webhook::open(WebhookOptions {
        name: sink.name.clone(),
        url: config.url.expose().to_owned(),
        secret: config.secret.as_ref().map(|secret| secret.expose().to_owned()),
        posts: match &sink.from {
            SinkFrom::Events => Posts::Events,
            _ => Posts::Alerts,
        },
        body: config.body,
        timeout: ms(config.timeout_ms),
        longest_pause: ms(config.longest_pause_ms),
        past: config.past,
        folder: pipeline.state.folder.join("webhooks"),
        state: state.map(str::to_owned),
        views: Arc::clone(views),
        names: Arc::clone(&shared.names),
        post_ids: post_ids(shared),
        outcomes: Arc::new(move |sink, outcome| metrics.webhook_attempt(sink, outcome.name())),
    })?;
    Ok(Some(Box::new(webhook)))
}

/// What the numbers of tables depend on besides the record: other numbers would be in the rows that stay.
fn basis(graph: &GraphSpec) -> serde_json::Result<String> {
    let scoring = ScoringSpec {
        ladder: false,
        ..graph.scoring.clone()
    };
    // Tables that were made before there was a choice are as the usual one has them.
    if scoring == ScoringSpec::default() {
        return serde_json::to_string(&(&graph.link, &graph.weight));
    }
    serde_json::to_string(&(&graph.link, &graph.weight, scoring))
}

/// What dead letters say about where they come from.
pub(super) fn origin(pipeline: &Pipeline) -> Origin {
    let topics = pipeline.sources.iter().filter_map(|source| match &source.kind {
        SourceKind::Kafka(kafka) => Some((source.name.clone(), kafka.topic.clone())),
        _ => None,
    });
    Origin {
        topics: topics.collect(),
    }
}

fn post_ids(shared: &Shared) -> PostIds {
    let lookup = shared.clone();
    Arc::new(move |key| lookup.post_id(key))
}

fn file(
    sink: &SinkConfig,
    path: &Path,
    pipeline: &Pipeline,
    state: Option<&str>,
    views: &Arc<[ViewSpec]>,
    shared: &Shared,
) -> Result<Option<Box<dyn Sink>>, StartError> {
    let names = Arc::clone(&shared.names);
    Ok(Some(match &sink.from {
        SinkFrom::DeadLetters => Box::new(DeadLetterFile::open(&sink.name, path, state, origin(pipeline))?),
        SinkFrom::Events => Box::new(EventFile::open(&sink.name, path, state)?),
        SinkFrom::Rules => {
            let ids = post_ids(shared);
            Box::new(AlertFile::open(&sink.name, path, state, Arc::clone(views), names, ids)?)
        }
        SinkFrom::View(view) => {
            let found = (0..).zip(views.iter()).find(|(_, spec)| spec.name == *view);
            // The configuration was validated: the view exists.
            let Some((index, spec)) = found else { return Ok(None) };
            let (view, ids) = ((index, spec.clone()), post_ids(shared));
            Box::new(ViewFile::open(&sink.name, path, state, view, names, ids)?)
        }
        // Only tables are of several origins.
        SinkFrom::Tables => return Ok(None),
    }))
}
