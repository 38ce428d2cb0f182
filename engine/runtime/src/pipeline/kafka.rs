//! Kafka sources and sinks of a pipeline.

use super::registry::Registries;
use super::{StartError, decoder};
use crate::config::{Brokers, KafkaSinkConfig, KafkaSourceConfig, Pipeline, SinkConfig, SinkFrom};
use crate::engine::Shared;
use groundswell_connectors::json::PostIds;
use groundswell_connectors::kafka::{Cluster, KafkaError, KafkaSink, KafkaSinkSpec, KafkaSource, KafkaSourceSpec};
use groundswell_core::serving::Sink;
use groundswell_core::source::Source;
use groundswell_core::spec::ViewSpec;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn cluster(brokers: &Brokers) -> Cluster {
    let properties = brokers.properties.iter();
    Cluster {
        properties: properties
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect(),
        patience: millis(brokers.timeout_ms),
        ..Cluster::new(&brokers.addresses)
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn at(place: String) -> impl Fn(KafkaError) -> StartError {
    move |source| StartError::Kafka {
        place: place.clone(),
        source,
    }
}

/// A source, after a look whether its topic can be read and its registry answers.
pub(super) fn source(
    name: &str,
    config: &KafkaSourceConfig,
    pipeline: &Pipeline,
    shared: &Shared,
    registries: &Registries,
) -> Result<Box<dyn Source>, StartError> {
    let bytes = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut decoder = decoder((pipeline, name), config.into, &config.map, config.deleted_body);
    decoder.max_bytes = bytes(config.max_bytes);
    let group = config.group.clone();
    let registry = registries.checked(name, millis(config.brokers.timeout_ms))?;
    let source = KafkaSource::new(KafkaSourceSpec {
        group: group.unwrap_or_else(|| format!("groundswell-{}-{name}", pipeline.graph.name)),
        start: config.start.clone(),
        on_gap: config.on_gap,
        max_in_flight: bytes(config.max_in_flight),
        discover: millis(config.discover_ms),
        ..KafkaSourceSpec::new(name, cluster(&config.brokers), &config.topic, decoder)
    })?;
    let source = match registry {
        Some(registry) => source.with_registry(registry),
        None => source,
    };
    source.check().map_err(at(format!("sources.{name}")))?;
    Ok(Box::new(source.with_metrics(shared.metrics.source(name))))
}

/// A sink, opened.
pub(super) fn sink(
    sink: &SinkConfig,
    config: &KafkaSinkConfig,
    pipeline: &Pipeline,
    views: &Arc<[ViewSpec]>,
    shared: &Shared,
    post_ids: PostIds,
) -> Result<Option<Box<dyn Sink>>, StartError> {
    let mut spec = KafkaSinkSpec::new(
        &pipeline.graph.name,
        &sink.name,
        cluster(&config.brokers),
        &config.topic,
    );
    spec.create_topics = config.create_topics;
    spec.partitions = config.partitions;
    spec.topic_config.clone_from(&config.topic_config);
    if let Some(id) = &config.transactional_id {
        spec.transactional_id.clone_from(id);
    }
    if let Some(topic) = &config.progress_topic {
        spec.progress_topic.clone_from(topic);
    }
    let names = Arc::clone(&shared.names);
    let opened = match &sink.from {
        SinkFrom::Rules => KafkaSink::alerts(spec, Arc::clone(views), names, post_ids),
        SinkFrom::Events => KafkaSink::events(spec),
        SinkFrom::DeadLetters => KafkaSink::dead_letters(spec, super::sinks::origin(pipeline)),
        SinkFrom::View(name) => {
            let found = (0..).zip(views.iter()).find(|(_, view)| view.name == *name);
            // The configuration was validated: the view exists.
            let Some((index, view)) = found else { return Ok(None) };
            KafkaSink::view(spec, index, view.clone(), names, post_ids)
        }
        // Only tables are of several origins.
        SinkFrom::Tables => return Ok(None),
    };
    let opened = opened.map_err(at(format!("sinks.{}", sink.name)))?;
    Ok(Some(Box::new(opened)))
}
