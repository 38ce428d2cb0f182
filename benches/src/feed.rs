//! Sources of the job: the dictionary from memory, and files that are read only once their step begins.

use groundswell_connectors::decode::{Collection, FieldMap};
use groundswell_connectors::file::{FileSource, FileSpec};
use groundswell_core::record::{Entity, Envelope, Record};
use groundswell_core::source::{Source, SourceBatch, SourceContext, SourceError};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Hands over the whole dictionary at once.
pub struct Dictionary(Vec<Entity>);

impl Dictionary {
    /// Reads `alias,entity` lines below a heading. An entity's first alias becomes its name, which is matched like one.
    pub fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let mut entities = BTreeMap::<&str, Entity>::new();
        for line in text.lines().skip(1) {
            let (alias, id) = line
                .split_once(',')
                .ok_or_else(|| format!("{}: not alias,entity: {line}", path.display()))?;
            let entity = entities.entry(id).or_insert_with(|| Entity {
                id: id.into(),
                ..Entity::default()
            });
            if entity.name.is_empty() {
                entity.name = alias.into();
            } else {
                entity.aliases.push(alias.into());
            }
        }
        Ok(Dictionary(entities.into_values().collect()))
    }

    /// How many entities there are.
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl Source for Dictionary {
    fn name(&self) -> &str {
        "entities"
    }

    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        let source = context.source;
        let mut records = Vec::with_capacity(self.0.len());
        for (offset, entity) in (0..).zip(self.0) {
            context.names.intern(&entity.id).map_err(|e| SourceError {
                source_name: "entities".into(),
                message: e.to_string(),
                hint: None,
            })?;
            records.push(Envelope {
                source,
                partition: 0,
                offset,
                order: offset,
                record: Record::Entity(entity),
            });
        }
        // Fails only when the engine is stopping.
        let _ = context.send(SourceBatch {
            source,
            records,
            finished: true,
            ..SourceBatch::default()
        });
        Ok(())
    }
}

/// A file source that waits until it is told to begin.
pub struct Gated {
    inner: FileSource,
    begin: Receiver<()>,
}

impl Gated {
    /// A file of posts that bring their sentiment and a version; send to the other end to begin.
    pub fn posts(name: &str, path: &Path) -> Result<(Self, SyncSender<()>), Box<dyn Error>> {
        let mut spec = FileSpec::new(name, path, Collection::Posts);
        spec.decoder.map = FieldMap::default()
            .with("version", "version")
            .with("sentiment", "sentiment");
        let (gate, begin) = sync_channel(1);
        Ok((
            Gated {
                inner: FileSource::new(spec)?,
                begin,
            },
            gate,
        ))
    }
}

impl Source for Gated {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn run(self: Box<Self>, context: SourceContext) -> Result<(), SourceError> {
        let Gated { inner, begin } = *self;
        loop {
            match begin.recv_timeout(Duration::from_millis(50)) {
                Ok(()) => return Box::new(inner).run(context),
                Err(RecvTimeoutError::Timeout) if !context.stop.is_set() => {}
                Err(_) => return Ok(()),
            }
        }
    }
}
