//! Reading a state back: the snapshot in pieces, then the log tick by tick.
//!
//! In: what was live when the store was opened. Out: [`TickBatch`]es in tick order. Holds one object (a part of at most
//! some 64 MiB, or one tick) and one piece of it at a time. While a [`Restore`] exists the store removes nothing, so
//! folding and appending may go on meanwhile.

use super::decode::Rows;
use super::error::StoreError;
use super::fold::{Batches, NetBindings, Source};
use super::log;
use super::manifest::Manifest;
use super::objects::Objects;
use super::recover::Live;
use crate::record::{Binding, Envelope, TickBatch};
use crate::time::{EventTime, Tick};
use std::collections::VecDeque;
use std::sync::Arc;

/// What was recorded when the store was opened.
///
/// Iterating gives the snapshot first, as one or several batches that all carry the snapshot's tick (its bindings come
/// with the first), then every tick of the log. After an error nothing more comes.
pub struct Restore {
    /// The last recorded tick; `None` for a new state.
    pub upper: Option<Tick>,
    /// The clock at that tick.
    pub clock: Option<EventTime>,
    /// Where every source continues: the newest binding per source and partition.
    pub bindings: Vec<Binding>,
    objects: Objects,
    todo: VecDeque<Source>,
    /// Tick and clock of the snapshot, and its bindings until they were handed out.
    snapshot: Option<(Tick, EventTime, Option<Vec<Binding>>)>,
    open: Option<(String, Batches)>,
    _pin: Arc<()>,
}

impl Restore {
    pub(super) fn new(objects: Objects, manifest: &Manifest, log: &[Live], pin: Arc<()>) -> Self {
        let mut net = NetBindings::default();
        if let Some(snapshot) = &manifest.snapshot {
            net.apply(&snapshot.bindings);
        }
        for live in log {
            net.apply(&live.header.bindings);
        }
        let last = log.last().map(|l| (l.header.name.tick, l.header.clock));
        let last = last.or(manifest.snapshot.as_ref().map(|s| (s.tick, s.clock)));
        let parts = manifest
            .snapshot
            .iter()
            .flat_map(|s| s.parts.iter().cloned().map(Source::Part));
        Restore {
            upper: last.map(|(tick, _)| tick),
            clock: last.map(|(_, clock)| clock),
            bindings: net.to_vec(),
            todo: parts.chain(log.iter().map(|l| Source::Log(l.header.name))).collect(),
            snapshot: manifest
                .snapshot
                .as_ref()
                .map(|s| (s.tick, s.clock, Some(s.bindings.clone()))),
            open: None,
            objects,
            _pin: pin,
        }
    }

    /// Whether nothing was recorded yet.
    pub fn is_empty(&self) -> bool {
        self.upper.is_none()
    }

    /// Tick of the snapshot, which stands for all ticks up to it.
    pub fn snapshot_tick(&self) -> Option<Tick> {
        self.snapshot.as_ref().map(|(tick, ..)| *tick)
    }

    fn step(&mut self) -> Result<Option<TickBatch>, StoreError> {
        loop {
            if let Some((object, pieces)) = &mut self.open {
                if let Some(piece) = pieces.next() {
                    let mut records = Vec::new();
                    Rows::of(&piece?)
                        .and_then(|rows| rows.append_to(&mut records))
                        .map_err(|problem| StoreError::damaged(self.objects.full(object), problem))?;
                    if let Some(batch) = self.snapshot_batch(records) {
                        return Ok(Some(batch));
                    }
                    continue;
                }
                self.open = None;
            }
            match self.todo.pop_front() {
                Some(Source::Part(part)) => {
                    let pieces = Source::Part(part.clone()).open(&self.objects, None)?.1;
                    self.open = Some((part.object, pieces));
                }
                // A snapshot without rows still has bindings and a clock.
                next if self
                    .snapshot
                    .as_ref()
                    .is_some_and(|(_, _, bindings)| bindings.is_some()) =>
                {
                    next.into_iter().for_each(|source| self.todo.push_front(source));
                    return Ok(self.snapshot_batch(Vec::new()));
                }
                Some(Source::Log(name)) => {
                    let bytes = self.objects.get(&name.object())?;
                    let batch = log::decode(name, bytes)
                        .map_err(|problem| StoreError::damaged(self.objects.full(&name.object()), problem))?;
                    return Ok(Some(batch));
                }
                None => return Ok(None),
            }
        }
    }

    fn snapshot_batch(&mut self, records: Vec<Envelope>) -> Option<TickBatch> {
        let (tick, clock, bindings) = self.snapshot.as_mut()?;
        Some(TickBatch {
            tick: *tick,
            clock: *clock,
            bindings: bindings.take().unwrap_or_default(),
            records,
        })
    }
}

impl Iterator for Restore {
    type Item = Result<TickBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            (self.open, self.snapshot) = (None, None);
            self.todo.clear();
        }
        step.transpose()
    }
}

impl std::fmt::Debug for Restore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restore")
            .field("upper", &self.upper)
            .field("clock", &self.clock)
            .field("bindings", &self.bindings)
            .field("objects_left", &self.todo.len())
            .finish_non_exhaustive()
    }
}
