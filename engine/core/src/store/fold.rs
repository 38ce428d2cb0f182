//! The fold: snapshot and log up to a tick become the next snapshot.
//!
//! In: a [`Plan`]. Out: the parts of a new snapshot, not yet referenced by any manifest, so a crash leaves the old state.
//! A pure function of the objects it reads, in two passes: the first reads only the columns that decide and keeps, for
//! every identity, the rank and place of its winner (tens of bytes each, never a text); the second copies the winning
//! rows. Deletions are rows like others and stay, so that a stale redelivery still loses. Dead letters are events and are
//! dropped. The model pointer's rank is its position: the latest wins.

use super::decode::{COMPETING, competitors};
use super::error::StoreError;
use super::log::{self, Header, LogName};
use super::objects::Objects;
use super::snapshot::{Part, PartWriter, Snapshot, read_part};
use crate::id::{DigestMap, Dim, ModelKey, PostKey, TextKey};
use crate::record::{Binding, Identity, Rank, SourceId};
use crate::time::{EventTime, Tick};
use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::{BooleanArray, RecordBatch};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is folded.
pub(super) struct Plan {
    /// The writer's epoch; names the parts.
    pub epoch: u64,
    /// The snapshot so far.
    pub snapshot: Option<Snapshot>,
    /// The live log, ascending; not empty.
    pub log: Vec<LogName>,
    /// Parts are closed at about this size.
    pub part_bytes: usize,
}

/// Net bindings: the newest position per source and partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NetBindings(BTreeMap<(SourceId, u32), u64>);

impl NetBindings {
    /// Applies the bindings of a later tick.
    pub fn apply(&mut self, bindings: &[Binding]) {
        self.0
            .extend(bindings.iter().map(|b| ((b.source, b.partition), b.next)));
    }
    /// All of them, by source and partition.
    pub fn to_vec(&self) -> Vec<Binding> {
        self.0
            .iter()
            .map(|(&(source, partition), &next)| Binding {
                source,
                partition,
                next,
            })
            .collect()
    }
}

/// An object with rows.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A part of the snapshot.
    Part(Part),
    /// A tick of the log.
    Log(LogName),
}

/// The rows of an object, piece by piece.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, StoreError>> + Send>;

impl Source {
    /// The object's name.
    pub fn object(&self) -> String {
        match self {
            Source::Part(part) => part.object.clone(),
            Source::Log(name) => name.object(),
        }
    }

    /// Opens the object, checked against its digest; log objects come with their header.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is missing or not what was written.
    pub fn open(&self, objects: &Objects, columns: Option<&[&str]>) -> Result<(Option<Header>, Batches), StoreError> {
        let object = objects.full(&self.object());
        match self {
            Source::Part(part) => {
                let reader = read_part(objects, part, columns)?;
                let batches = reader.map(move |b| b.map_err(|e| StoreError::damaged(object.clone(), e.to_string())));
                Ok((None, Box::new(batches)))
            }
            Source::Log(name) => {
                let bytes = objects.get(&name.object())?;
                let (header, reader) =
                    log::open(*name, bytes, columns).map_err(|e| StoreError::damaged(object.clone(), e))?;
                let batches = reader.map(move |b| b.map_err(|e| StoreError::damaged(object.clone(), e.to_string())));
                Ok((Some(header), Box::new(batches)))
            }
        }
    }
}

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    object: u32,
    row: u32,
}

/// The winners so far. A map per key type: the widest key would otherwise double the size of every entry.
#[derive(Default)]
struct Winners {
    posts: DigestMap<PostKey, (Rank, Place)>,
    votes: DigestMap<PostKey, (Rank, Place)>,
    dims: HashMap<(u8, Dim), (Rank, Place)>,
    scores: HashMap<(TextKey, ModelKey), (Rank, Place)>,
    floors: HashMap<TextKey, (Rank, Place)>,
    live_model: Option<Place>,
}

impl Winners {
    fn offer(&mut self, identity: Identity, rank: Rank, place: Place) {
        let new = (rank, place);
        let best = match identity {
            Identity::Post(key) => self.posts.entry(key).or_insert(new),
            Identity::Votes(key) => self.votes.entry(key).or_insert(new),
            Identity::Thread(dim) => self.dims.entry((0, dim)).or_insert(new),
            Identity::Entity(dim) => self.dims.entry((1, dim)).or_insert(new),
            Identity::Rule(dim) => self.dims.entry((2, dim)).or_insert(new),
            Identity::Score(text, model) => self.scores.entry((text, model)).or_insert(new),
            Identity::AlertFloor(key) => self.floors.entry(key).or_insert(new),
            Identity::LiveModel => {
                self.live_model = Some(place);
                return;
            }
            Identity::None => return,
        };
        // Of equals the earlier stays, as `Envelope::supersedes` has it.
        if rank > best.0 {
            *best = new;
        }
    }

    /// The winning rows of every object, as bits.
    fn rows(self, counts: &[usize]) -> Vec<BooleanBufferBuilder> {
        let mut rows: Vec<_> = counts
            .iter()
            .map(|&n| {
                let mut bits = BooleanBufferBuilder::new(n);
                bits.append_n(n, false);
                bits
            })
            .collect();
        let ranked = self
            .posts
            .into_values()
            .chain(self.votes.into_values())
            .chain(self.dims.into_values());
        let places = ranked
            .chain(self.scores.into_values())
            .chain(self.floors.into_values())
            .map(|(_, place)| place)
            .chain(self.live_model);
        for place in places {
            rows[place.object as usize].set_bit(place.row as usize, true);
        }
        rows
    }
}

/// Folds. `None` if `cancel` was set meanwhile.
///
/// # Errors
/// If an object is damaged or a part cannot be written; the state is as before.
pub(super) fn fold(objects: &Objects, plan: &Plan, cancel: &AtomicBool) -> Result<Option<Snapshot>, StoreError> {
    let sources: Vec<Source> = plan
        .snapshot
        .iter()
        .flat_map(|s| s.parts.iter().cloned().map(Source::Part))
        .chain(plan.log.iter().copied().map(Source::Log))
        .collect();
    let mut bindings = NetBindings::default();
    let (mut tick, mut clock): (Tick, EventTime) = (0, EventTime::MIN);
    if let Some(snapshot) = &plan.snapshot {
        bindings.apply(&snapshot.bindings);
        (tick, clock) = (snapshot.tick, snapshot.clock);
    }

    let mut winners = Winners::default();
    let mut counts = Vec::with_capacity(sources.len());
    for (at, source) in sources.iter().enumerate() {
        if cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let damaged = |problem: String| StoreError::damaged(objects.full(&source.object()), problem);
        let object = u32::try_from(at).map_err(|e| damaged(e.to_string()))?;
        let (header, batches) = source.open(objects, Some(&COMPETING))?;
        if let Some(header) = header {
            bindings.apply(&header.bindings);
            (tick, clock) = (header.name.tick, header.clock);
        }
        let mut count = 0_usize;
        for batch in batches {
            for (identity, rank) in competitors(&batch?).map_err(damaged)? {
                let row = u32::try_from(count).map_err(|e| damaged(e.to_string()))?;
                winners.offer(identity, rank, Place { object, row });
                count += 1;
            }
        }
        counts.push(count);
    }

    let mut writer = PartWriter::new(objects, plan.epoch, tick, plan.part_bytes);
    for (source, mut bits) in sources.iter().zip(winners.rows(&counts)) {
        if cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let wins = bits.finish();
        if wins.count_set_bits() == 0 {
            continue;
        }
        let damaged = |problem: String| StoreError::damaged(objects.full(&source.object()), problem);
        let mut at = 0;
        for batch in source.open(objects, None)?.1 {
            let batch = batch?;
            if at + batch.num_rows() > wins.len() {
                return Err(damaged("it changed while it was read".into()));
            }
            let mask = BooleanArray::new(wins.slice(at, batch.num_rows()), None);
            at += batch.num_rows();
            let kept = arrow_select::filter::filter_record_batch(&batch, &mask).map_err(|e| damaged(e.to_string()))?;
            writer.write(&kept)?;
        }
    }
    let parts = writer.finish()?;
    let rows = parts.iter().map(|p| p.rows).sum();
    Ok(Some(Snapshot {
        tick,
        clock,
        bindings: bindings.to_vec(),
        rows,
        parts,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<(PostKey, (Rank, Place))>() <= 64);
    }

    #[test]
    fn the_newest_binding_counts_even_if_it_goes_back() {
        let mut net = NetBindings::default();
        let at = |partition, next| Binding {
            source: 1,
            partition,
            next,
        };
        net.apply(&[at(0, 10), at(1, 5)]);
        net.apply(&[at(0, 3)]);
        assert_eq!(net.to_vec(), [at(0, 3), at(1, 5)]);
    }

    #[test]
    fn the_last_model_pointer_wins_and_ties_keep_the_earlier() {
        let mut winners = Winners::default();
        let place = |row| Place { object: 0, row };
        let model = Identity::LiveModel;
        winners.offer(model, (0, 9, 0, 0), place(0));
        winners.offer(model, (0, 1, 0, 0), place(1));
        let post = Identity::Post(PostKey::of(b"a"));
        winners.offer(post, (0, 5, 0, 0), place(2));
        winners.offer(post, (0, 5, 0, 0), place(3));
        winners.offer(Identity::None, (0, 5, 0, 0), place(4));
        let bits = winners.rows(&[5]).remove(0).finish();
        assert_eq!(
            (0..5).map(|i| bits.value(i)).collect::<Vec<_>>(),
            [false, true, true, false, false]
        );
    }
}
