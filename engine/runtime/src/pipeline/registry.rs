//! The schema registries of a pipeline's sources.

use super::{StartError, recorded_sources};
use crate::config::{Pipeline, SourceKind};
use groundswell_connectors::registry::{Registry, RegistryError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One for every source that needs one, by its name.
#[derive(Default)]
pub(super) struct Registries {
    all: BTreeMap<String, Arc<Registry>>,
    /// Sources that have run before.
    recorded: Vec<String>,
}

impl Registries {
    /// Those of a pipeline, not asked yet.
    pub(super) fn of(pipeline: &Pipeline) -> Result<Self, StartError> {
        let mut all = BTreeMap::new();
        for source in &pipeline.sources {
            if let SourceKind::Kafka(kafka) = &source.kind
                && let Some(config) = &kafka.registry
            {
                let (encoding, spec) = config.spec();
                let registry = Registry::new(encoding, &spec).map_err(at(&source.name))?;
                all.insert(source.name.clone(), Arc::new(registry));
            }
        }
        let recorded = if all.is_empty() {
            Vec::new()
        } else {
            recorded_sources(pipeline)?
        };
        Ok(Registries { all, recorded })
    }

    /// The registry of a source, after a look whether it answers. One that is away keeps nobody from going on with what is
    /// recorded, but it would hide a wrong address at the first start.
    pub(super) fn checked(&self, source: &str, patience: Duration) -> Result<Option<Arc<Registry>>, StartError> {
        let Some(registry) = self.all.get(source) else {
            return Ok(None);
        };
        let known = self.recorded.iter().any(|name| name == source);
        match registry.check(if known { Duration::ZERO } else { patience }) {
            Err(error) if !(known && error.is_unreachable()) => Err(at(source)(error)),
            _ => Ok(Some(Arc::clone(registry))),
        }
    }

    /// Every source with a registry, and why it waits for that, if it does.
    pub(super) fn troubles(&self) -> impl Iterator<Item = (&str, Option<String>)> {
        self.all
            .iter()
            .map(|(source, registry)| (source.as_str(), registry.trouble()))
    }
}

fn at(source: &str) -> impl Fn(RegistryError) -> StartError {
    let place = format!("sources.{source}.registry");
    move |source| StartError::Registry {
        place: place.clone(),
        source,
    }
}
