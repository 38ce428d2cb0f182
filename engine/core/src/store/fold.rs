//! The fold: snapshot and log up to a tick become the next snapshot.
//!
//! In: a [`Plan`]. Out: the parts of a new snapshot, not yet referenced by any manifest, so a crash leaves the old state.
//! A pure function of the objects it reads, in two passes: the first reads only the columns that decide and keeps, for
//! every identity, the rank and place of its winner (tens of bytes each, never a text); the second copies the winning
//! rows. Deletions are rows like others and stay, so that a stale redelivery still loses. Dead letters are events and are
//! dropped. The model pointer's rank is its position: the latest wins. What is purged goes as `purge.rs` has it, from rows that
//! were recorded up to the purge.
//!
//! With a retention, posts written longer than that before the fold's clock go, with their votes and the answers about their
//! texts. Deletions go by the clock of their tick, which the first fold that sees them writes into `created_at`.

use super::decode::{COMPETING, Competitor, competitors, dated, people, text_keys};
use super::error::StoreError;
use super::log::{self, Header, LogName};
use super::objects::Objects;
use super::purge::{self, Purges};
use super::snapshot::{Part, PartWriter, Snapshot, read_part};
use crate::erasure::Subject;
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
    /// How long after they were written posts are kept (ms); `None` for ever.
    pub retention: Option<i64>,
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
    posts: DigestMap<PostKey, (Rank, Place, EventTime)>,
    votes: DigestMap<PostKey, (Rank, Place)>,
    dims: HashMap<(u8, Dim), (Rank, Place)>,
    scores: HashMap<(TextKey, ModelKey), (Rank, Place)>,
    floors: HashMap<TextKey, (Rank, Place)>,
    /// With the date of those that are forgotten.
    ties: HashMap<TextKey, (Rank, Place, Option<EventTime>)>,
    erasures: HashMap<Subject, (Rank, Place)>,
    live_model: Option<Place>,
}

impl Winners {
    /// `clock` is when a deletion without a date came.
    fn offer(&mut self, competitor: &Competitor, place: Place, clock: EventTime) {
        let (rank, at) = (competitor.rank, competitor.created_at.unwrap_or(clock));
        let new = (rank, place);
        let best = match competitor.identity {
            Identity::Post(key) => {
                let best = self.posts.entry(key).or_insert((rank, place, at));
                if rank > best.0 {
                    *best = (rank, place, at);
                }
                return;
            }
            Identity::Votes(key) => self.votes.entry(key).or_insert(new),
            Identity::Thread(dim) => self.dims.entry((0, dim)).or_insert(new),
            Identity::Entity(dim) => self.dims.entry((1, dim)).or_insert(new),
            Identity::Rule(dim) => self.dims.entry((2, dim)).or_insert(new),
            Identity::Keyword(dim) => self.dims.entry((4, dim)).or_insert(new),
            Identity::Author(dim) => self.dims.entry((3, dim)).or_insert(new),
            Identity::Score(text, model) => self.scores.entry((text, model)).or_insert(new),
            // The id of an alert and the digest of a key are never equal but by the chance of any two digests.
            Identity::AlertFloor(key) | Identity::AlertMuted(key) => self.floors.entry(key).or_insert(new),
            Identity::Tie(key) => {
                let new = (rank, place, competitor.created_at);
                let best = self.ties.entry(key).or_insert(new);
                if rank > best.0 {
                    *best = new;
                }
                return;
            }
            Identity::Erasure(of) => self.erasures.entry(of).or_insert(new),
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

    /// Forgets a winner of the competitor's identity that was purged before the competitor came; `gone` says it of the winner's
    /// object. Only what a purge leaves nothing of: posts and threads leave their rank.
    fn forget_purged(&mut self, competitor: &Competitor, gone: impl Fn(u32) -> bool) {
        match competitor.identity {
            Identity::Author(dim) => {
                let known = self.dims.get(&(3, dim)).map(|(_, place)| place.object);
                known.filter(|at| gone(*at)).and_then(|_| self.dims.remove(&(3, dim)));
            }
            Identity::Tie(key) => {
                let known = self.ties.get(&key).map(|(_, place, _)| place.object);
                known.filter(|at| gone(*at)).and_then(|_| self.ties.remove(&key));
            }
            _ => {}
        }
    }

    /// Drops posts from before the horizon, and votes and answers that no post is left for.
    fn forget(&mut self, horizon: EventTime, objects: &Objects, sources: &[Source]) -> Result<(), StoreError> {
        self.posts.retain(|_, (.., at)| *at >= horizon);
        self.ties.retain(|_, (.., at)| at.is_none_or(|at| at >= horizon));
        let posts = &self.posts;
        // Votes of posts that never came go by when they were observed.
        self.votes
            .retain(|key, ((observed_at, ..), _)| posts.contains_key(key) || *observed_at >= horizon);
        if self.scores.is_empty() {
            return Ok(());
        }
        let mut texts = DigestMap::<TextKey, ()>::default();
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); sources.len()];
        posts
            .values()
            .for_each(|(_, place, _)| rows[place.object as usize].push(place.row));
        for (source, mut rows) in sources.iter().zip(rows).filter(|(_, rows)| !rows.is_empty()) {
            rows.sort_unstable();
            let mut first = 0_u32;
            for batch in source.open(objects, Some(&["text"]))?.1 {
                let batch = batch?;
                let marked =
                    |row: usize| u32::try_from(row).is_ok_and(|row| rows.binary_search(&(first + row)).is_ok());
                let keys =
                    text_keys(&batch, marked).map_err(|e| StoreError::damaged(objects.full(&source.object()), e))?;
                texts.extend(keys.into_iter().map(|key| (key, ())));
                first += u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
            }
        }
        self.scores.retain(|(text, _), _| texts.contains_key(text));
        Ok(())
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
        let posts = self.posts.into_values().map(|(rank, place, _)| (rank, place));
        let ranked = posts.chain(self.votes.into_values()).chain(self.dims.into_values());
        let places = ranked
            .chain(self.scores.into_values())
            .chain(self.floors.into_values())
            .chain(self.erasures.into_values())
            .map(|(_, place)| place)
            .chain(self.ties.into_values().map(|(_, place, _)| place))
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

    // When the rows of each object came, at the latest.
    let mut clocks = Vec::with_capacity(sources.len());
    let mut winners = Winners::default();
    let mut purges = Purges::default();
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
        clocks.push(clock);
        let mut count = 0_usize;
        let mut purged = Vec::new();
        for batch in batches {
            let batch = batch?;
            for (i, competitor) in competitors(&batch).map_err(damaged)?.into_iter().enumerate() {
                let row = u32::try_from(count).map_err(|e| damaged(e.to_string()))?;
                if !purges.is_empty() {
                    let people = people(&batch, i).map_err(damaged)?;
                    winners.forget_purged(&competitor, |known| purges.between(&people, known, object));
                }
                purged.extend(competitor.purged);
                winners.offer(&competitor, Place { object, row }, clock);
                count += 1;
            }
        }
        purged.into_iter().for_each(|of| purges.add(object, of));
        counts.push(count);
    }

    if let Some(retention) = plan.retention {
        winners.forget(clock.saturating_sub(retention), objects, &sources)?;
    }
    let mut writer = PartWriter::new(objects, plan.epoch, tick, plan.part_bytes);
    for (object, ((source, came), mut bits)) in (0..).zip(sources.iter().zip(clocks).zip(winners.rows(&counts))) {
        if cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let wins = bits.finish();
        if wins.count_set_bits() == 0 {
            continue;
        }
        let damaged = |problem: String| StoreError::damaged(objects.full(&source.object()), problem);
        let purged = purges.since(object);
        let mut at = 0;
        for batch in source.open(objects, None)?.1 {
            let batch = batch?;
            if at + batch.num_rows() > wins.len() {
                return Err(damaged("it changed while it was read".into()));
            }
            let mask = BooleanArray::new(wins.slice(at, batch.num_rows()), None);
            at += batch.num_rows();
            let kept = arrow_select::filter::filter_record_batch(&batch, &mask).map_err(|e| damaged(e.to_string()))?;
            for kept in purge::without(kept, &purged).map_err(damaged)? {
                let kept = match plan.retention {
                    Some(_) => dated(kept, came).map_err(damaged)?,
                    None => kept,
                };
                writer.write(&kept)?;
            }
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
        assert!(size_of::<(PostKey, (Rank, Place, EventTime))>() <= 64);
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
        let mut offer = |identity, order, row| {
            let competitor = Competitor {
                identity,
                rank: (0, order, 0, 0),
                created_at: None,
                purged: None,
            };
            winners.offer(&competitor, place(row), 0);
        };
        let (model, post) = (Identity::LiveModel, Identity::Post(PostKey::of(b"a")));
        offer(model, 9, 0);
        offer(model, 1, 1);
        offer(post, 5, 2);
        offer(post, 5, 3);
        offer(Identity::None, 5, 4);
        let bits = winners.rows(&[5]).remove(0).finish();
        assert_eq!(
            (0..5).map(|i| bits.value(i)).collect::<Vec<_>>(),
            [false, true, true, false, false]
        );
    }
}
