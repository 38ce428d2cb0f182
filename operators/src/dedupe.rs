//! Dedupe and upsert: of all records of a post, the one with the highest source offset stands.
//!
//! *In*: post events (rows, deletions, vote observations) and thread control events. *Out*: the live row of every post,
//! and apart from it its votes, so that a change of votes touches neither text nor links nor scores; and, where the counts of
//! [`Duplicates`] travel, those. *State*: per post id
//! the winning row with its rank, deletions included (a stale redelivery must lose against them), and the newest vote
//! observation, which may come before the post; and which threads are deleted. *Emits* at the tick of the change, net.
//! *A retraction* of a post takes its votes along; deleting a thread retracts all that hangs on it, and bringing the
//! thread back brings them back.
//!
//! With a *retention*, a post written longer than that before the clock is forgotten with all that is known of it: it is
//! retracted, which lets everything behind forget it too, and changes no row, as the windows it was in are gone. So are
//! deletions and votes of posts that never came, by the clock they came at.

use crate::event::{Control, PostEvent, PostRow, VoteAt, clock_of};
use crate::expiry::Expiry;
use crate::score::Recalled;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, Dim, PostKey};
use groundswell_core::record::{Rank, SourceId, UNRANKED, votes_rank};
use groundswell_core::table;
use groundswell_core::time::{EventTime, Tick};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What stands for a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Upserted {
    /// Its live row.
    Row(PostRow),
    /// Its votes; absent while unknown.
    Votes(i64),
    /// What travels about records that changed nothing.
    Unchanged(Unchanged),
}

/// Records that changed nothing, as many as the difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unchanged {
    /// Of this source.
    Source(SourceId),
    /// This one, of a watched tick; it is among those of its source.
    Record(Stale),
}

/// Records that changed nothing (stale, repeated), by tick and source, until somebody takes the counts. Of ticks that are
/// watched also which they were.
#[derive(Clone, Default, Debug)]
pub struct Duplicates {
    kept: Arc<Mutex<Kept>>,
    recalled: Arc<Recalled>,
    travel: bool,
}

#[derive(Default, Debug)]
struct Kept {
    counts: BTreeMap<(Tick, SourceId), u64>,
    watched: BTreeMap<Tick, Vec<Stale>>,
}

/// A record of a post that changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stale {
    /// The post.
    pub post: PostKey,
    /// The record's rank; see [`groundswell_core::record::Envelope::rank`].
    pub rank: Rank,
    /// Whether it was a vote observation.
    pub votes: bool,
}

impl Stale {
    fn of(post: PostKey, event: &PostEvent) -> Self {
        let (rank, votes) = match event {
            PostEvent::Row { rank, .. } => (*rank, false),
            PostEvent::Votes((at, votes), _) => (votes_rank(*at, *votes), true),
        };
        Stale { post, rank, votes }
    }
}

fn source_of(event: &PostEvent) -> SourceId {
    match event {
        PostEvent::Row {
            rank: (_, _, source, _),
            ..
        }
        | PostEvent::Votes(_, source) => *source,
    }
}

impl Duplicates {
    /// For a graph that is spread over processes: the counts leave it as an output, and come in with [`Duplicates::arrived`]
    /// where somebody takes them.
    pub fn travelling() -> Self {
        Duplicates {
            travel: true,
            ..Duplicates::default()
        }
    }

    /// Posts of this process whose text needed no answer when they came: those repeat as well.
    pub fn recalled(&self) -> &Arc<Recalled> {
        &self.recalled
    }

    /// Whether the counts are an output of the graph.
    pub(crate) fn travel(&self) -> bool {
        self.travel
    }

    /// Takes in what the graph put out.
    pub fn arrived(&self, tick: Tick, unchanged: impl IntoIterator<Item = (Unchanged, isize)>) {
        let (mut counts, mut list) = (Vec::new(), Vec::new());
        for (unchanged, n) in unchanged {
            match unchanged {
                Unchanged::Source(source) => counts.push((source, n.unsigned_abs() as u64)),
                Unchanged::Record(stale) => list.extend(std::iter::repeat_n(stale, n.unsigned_abs())),
            }
        }
        self.add(tick, counts, list);
    }

    /// Takes the counts of a tick, which must be complete.
    pub fn take(&self, tick: Tick) -> BTreeMap<SourceId, u64> {
        let counts = &mut self.kept.lock().counts;
        let later = counts.split_off(&(tick + 1, 0));
        let taken = std::mem::replace(counts, later);
        taken
            .into_iter()
            .filter(|((at, _), _)| *at == tick)
            .map(|((_, source), n)| (source, n))
            .collect()
    }

    /// From now on, remembers which records of this tick change nothing; call it before the tick is released, with
    /// [`Control::Watched`] among its events.
    pub fn watch(&self, tick: Tick) {
        self.kept.lock().watched.entry(tick).or_default();
    }

    /// Those of a watched tick, which must be complete; the tick is not watched any more.
    pub fn unwatch(&self, tick: Tick) -> Vec<Stale> {
        self.kept.lock().watched.remove(&tick).unwrap_or_default()
    }

    fn add(&self, tick: Tick, counts: impl IntoIterator<Item = (SourceId, u64)>, list: Vec<Stale>) {
        let mut kept = self.kept.lock();
        for (source, n) in counts {
            *kept.counts.entry((tick, source)).or_default() += n;
        }
        if let Some(watched) = kept.watched.get_mut(&tick) {
            watched.extend(list);
        }
    }
}

/// See the module documentation; `retention` in ms.
pub fn dedupe<'s>(
    events: VecCollection<'s, Tick, (PostKey, PostEvent)>,
    control: VecCollection<'s, Tick, Control>,
    retention: Option<i64>,
    duplicates: Duplicates,
) -> VecCollection<'s, Tick, (PostKey, Upserted)> {
    let mut table = Table::new(retention);
    per_tick(
        events,
        control.filter(move |c| match c {
            Control::Clock(_) => retention.is_some(),
            other => matches!(other, Control::Thread { .. } | Control::Watched),
        }),
        "Dedupe",
        |(key, _)| key.route(),
        move |Complete { tick, rows, side }, out| {
            let watched = side.iter().any(|(control, _)| matches!(control, Control::Watched));
            if let Some(clock) = clock_of(side) {
                table.forget(clock, &mut |key, row| out.give((key, row), -1));
            }
            let flipped = table.threads(side.drain(..).map(|(control, _)| control));
            rows.sort_unstable_by_key(|((key, _), _)| *key);
            let (mut counts, mut list) = (BTreeMap::new(), Vec::new());
            let mut stale = |key, event: &PostEvent| {
                *counts.entry(source_of(event)).or_default() += 1;
                if watched {
                    list.push(Stale::of(key, event));
                }
            };
            let groups = rows.chunk_by(|a, b| a.0.0 == b.0.0).map(|g| (g[0].0.0, g));
            if flipped.is_empty() {
                for (key, group) in groups {
                    table.apply(key, group, &mut stale, &flipped, &mut |row, diff| {
                        out.give((key, row), diff)
                    });
                }
            } else {
                // Posts of those threads change whether or not something came for them; each must change once.
                let mut touched = table.posts_in(&flipped);
                touched.extend(groups);
                for (key, group) in touched {
                    table.apply(key, group, &mut stale, &flipped, &mut |row, diff| {
                        out.give((key, row), diff)
                    });
                }
            }
            if duplicates.travel() {
                let mut tell = |unchanged, n| out.give((PostKey::NONE, Upserted::Unchanged(unchanged)), n);
                for (source, n) in counts {
                    tell(Unchanged::Source(source), isize::try_from(n).unwrap_or(isize::MAX));
                }
                list.into_iter().for_each(|stale| tell(Unchanged::Record(stale), 1));
            } else if !counts.is_empty() {
                duplicates.add(tick, counts, list);
            }
        },
    )
}

/// An event as it came, with its (positive) difference.
type Arrived = ((PostKey, PostEvent), isize);

/// The rank of a row without the part in which rows never differ (see [`groundswell_core::record::Envelope::rank`]).
type RowRank = (i64, u16, u64);

/// Below every rank of a row.
const NO_ROW: RowRank = (i64::MIN, 0, 0);

/// All that is remembered about one post id.
#[derive(Clone, Copy)]
struct Entry {
    /// Without a row: the clock when something last came. With one, the post's own time counts.
    touched: EventTime,
    rank: RowRank,
    row: Option<(PostRow, VoteAt)>,
    votes: Option<VoteAt>,
}

impl Default for Entry {
    fn default() -> Self {
        Entry {
            touched: EventTime::MIN,
            rank: NO_ROW,
            row: None,
            votes: None,
        }
    }
}

impl Entry {
    /// What stands, given whether the post's thread is deleted.
    fn standing(&self, deleted: impl Fn(Dim) -> bool) -> (Option<PostRow>, Option<i64>) {
        match self.row {
            Some((row, own)) if !deleted(row.thread) => {
                let newest = match self.votes {
                    Some(seen) if votes_rank(seen.0, seen.1) >= votes_rank(own.0, own.1) => seen,
                    _ => own,
                };
                (Some(row), newest.1)
            }
            _ => (None, None),
        }
    }

    fn is_known(&self) -> bool {
        self.rank != NO_ROW || self.votes.is_some()
    }

    /// The time from which retention counts.
    fn needed(&self) -> EventTime {
        self.row.map_or(self.touched, |(row, _)| row.created_at)
    }

    /// Takes an event; false if it changed nothing.
    fn take(&mut self, event: &PostEvent) -> bool {
        match event {
            PostEvent::Row {
                rank: (_, order, source, offset),
                row,
            } => {
                let rank = (*order, *source, *offset);
                if self.rank >= rank {
                    return false;
                }
                let changed = self.rank == NO_ROW || self.row != *row;
                (self.rank, self.row) = (rank, *row);
                changed
            }
            PostEvent::Votes(seen, _) => {
                if self
                    .votes
                    .is_some_and(|v| votes_rank(v.0, v.1) >= votes_rank(seen.0, seen.1))
                {
                    return false;
                }
                self.votes = Some(*seen);
                true
            }
        }
    }
}

#[derive(Default)]
struct Table {
    posts: table::Table<PostKey, Entry>,
    threads: DigestMap<Dim, (Rank, bool)>,
    /// Each known post once, by a time at which to look whether it can be forgotten.
    expiry: Option<Expiry<PostKey>>,
}

impl Table {
    fn new(retention: Option<i64>) -> Self {
        Table {
            expiry: retention.map(Expiry::new),
            ..Table::default()
        }
    }

    /// Forgets what is beyond retention at the clock, and gives what stood.
    fn forget(&mut self, clock: EventTime, give: &mut impl FnMut(PostKey, Upserted)) {
        let Some(expiry) = &mut self.expiry else { return };
        for key in expiry.advance(clock) {
            let Some(entry) = self.posts.get(key) else { continue };
            let needed = entry.needed();
            if needed == EventTime::MIN {
                // It came before there was a clock: it counts as of now.
                self.posts.get_or_default(key).touched = clock;
                expiry.push(clock, key);
                continue;
            }
            if !expiry.is_due(needed) {
                expiry.push(needed, key);
                continue;
            }
            let threads = &self.threads;
            let (row, votes) = entry.standing(|thread| threads.get(&thread).is_some_and(|t| t.1));
            row.into_iter().for_each(|row| give(key, Upserted::Row(row)));
            votes.into_iter().for_each(|votes| give(key, Upserted::Votes(votes)));
            self.posts.remove(key);
        }
    }

    /// Applies a post's events and emits its net change; `stale` hears of those that change nothing. `flipped` threads were alive or deleted before the tick, as told,
    /// and are the opposite now.
    fn apply(
        &mut self,
        key: PostKey,
        events: &[Arrived],
        stale: &mut impl FnMut(PostKey, &PostEvent),
        flipped: &BTreeMap<Dim, bool>,
        give: &mut impl FnMut(Upserted, isize),
    ) {
        let threads = &self.threads;
        let deleted = |thread| threads.get(&thread).is_some_and(|t| t.1);
        let entry = self.posts.get_or_default(key);
        let known = entry.is_known();
        let before = entry.standing(|thread| flipped.get(&thread).copied().unwrap_or_else(|| deleted(thread)));
        for ((_, event), _) in events {
            if !entry.take(event) {
                stale(key, event);
            }
        }
        if let Some(expiry) = self.expiry.as_mut().filter(|_| !events.is_empty()) {
            entry.touched = expiry.clock();
            if !known {
                expiry.push(entry.needed(), key);
            }
        }
        let after = entry.standing(deleted);
        differ(before.0.map(Upserted::Row), after.0.map(Upserted::Row), give);
        differ(before.1.map(Upserted::Votes), after.1.map(Upserted::Votes), give);
    }

    /// Applies thread events; returns the threads that flipped, with whether they were deleted before.
    fn threads(&mut self, events: impl Iterator<Item = Control>) -> BTreeMap<Dim, bool> {
        let mut before = BTreeMap::new();
        for control in events {
            let Control::Thread { id, rank, deleted, .. } = control else {
                continue;
            };
            let slot = self.threads.entry(id).or_insert((UNRANKED, false));
            before.entry(id).or_insert(slot.1);
            if slot.0 <= rank {
                *slot = (rank, deleted);
            }
        }
        before.retain(|id, was| self.threads.get(id).is_some_and(|now| now.1 != *was));
        before
    }

    /// Posts of these threads. Rare and linear in what this worker holds: an index by thread would cost memory on every
    /// post instead.
    fn posts_in<'a>(&self, threads: &BTreeMap<Dim, bool>) -> BTreeMap<PostKey, &'a [Arrived]> {
        let inside = |entry: &Entry| entry.row.is_some_and(|(row, _)| threads.contains_key(&row.thread));
        self.posts
            .iter()
            .filter(|(_, entry)| inside(entry))
            .map(|(key, _)| (key, &[][..]))
            .collect()
    }
}

fn differ<T: PartialEq>(before: Option<T>, after: Option<T>, give: &mut impl FnMut(T, isize)) {
    if before != after {
        before.into_iter().for_each(|row| give(row, -1));
        after.into_iter().for_each(|row| give(row, 1));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use groundswell_core::id::TextKey;

    fn row(text: &str) -> PostRow {
        PostRow {
            text: TextKey::of(text.as_bytes()),
            parent: PostKey::NONE,
            thread: Dim::of("t"),
            author: Dim::NONE,
            source: Dim::NONE,
            created_at: 7,
            given: None,
        }
    }

    fn run(table: &mut Table, events: &[PostEvent]) -> (Vec<(Upserted, isize)>, u64) {
        let (mut out, mut stale) = (Vec::new(), Vec::new());
        let events: Vec<_> = events.iter().map(|e| ((PostKey(1), *e), 1)).collect();
        let mut count = |key, event: &PostEvent| stale.push(Stale::of(key, event));
        table.apply(PostKey(1), &events, &mut count, &BTreeMap::new(), &mut |r, d| {
            out.push((r, d))
        });
        (out, stale.len() as u64)
    }

    fn at(order: i64, row: Option<(PostRow, VoteAt)>) -> PostEvent {
        PostEvent::Row {
            rank: (0, order, 0, 0),
            row,
        }
    }

    #[test]
    fn votes_alone_never_touch_the_row() {
        let mut table = Table::default();
        run(&mut table, &[at(1, Some((row("a"), (5, Some(3)))))]);
        let (out, _) = run(&mut table, &[PostEvent::Votes((9, Some(8)), 0)]);
        assert_eq!(out, [(Upserted::Votes(3), -1), (Upserted::Votes(8), 1)]);
        let (out, stale) = run(&mut table, &[PostEvent::Votes((8, Some(100)), 0)]);
        assert_eq!((out, stale), (vec![], 1), "an older observation is stale");
    }

    #[test]
    fn a_vote_may_come_first_and_a_stale_redelivery_loses_against_a_deletion() {
        let mut table = Table::default();
        assert_eq!(run(&mut table, &[PostEvent::Votes((9, Some(8)), 0)]).0, []);
        let (out, _) = run(&mut table, &[at(1, Some((row("a"), (5, Some(3)))))]);
        assert_eq!(out, [(Upserted::Row(row("a")), 1), (Upserted::Votes(8), 1)]);
        let (out, _) = run(&mut table, &[at(3, None)]);
        assert_eq!(out, [(Upserted::Row(row("a")), -1), (Upserted::Votes(8), -1)]);
        assert_eq!(run(&mut table, &[at(2, Some((row("b"), (5, None))))]), (vec![], 1));
    }

    #[test]
    fn what_changed_nothing_is_named_at_watched_ticks_only() {
        let duplicates = Duplicates::default();
        duplicates.watch(5);
        let stale = Stale::of(PostKey(1), &at(2, None));
        assert_eq!((stale.rank, stale.votes), ((0, 2, 0, 0), false));
        for tick in [5, 6] {
            duplicates.add(tick, [(0, 1)], vec![stale]);
        }
        assert_eq!((duplicates.unwatch(5), duplicates.unwatch(6)), (vec![stale], vec![]));
        assert_eq!(duplicates.unwatch(5), [], "it is watched no more");
        assert_eq!(duplicates.take(5), [(0, 1)].into());
        duplicates.watch(7);
        duplicates.arrived(7, [(Unchanged::Source(3), 2), (Unchanged::Record(stale), 2)]);
        assert_eq!(duplicates.unwatch(7), [stale, stale], "one that came twice");
        assert_eq!(duplicates.take(7), [(3, 2)].into());
        let votes = Stale::of(PostKey(1), &PostEvent::Votes((9, None), 3));
        assert_eq!((votes.rank, votes.votes), (votes_rank(9, None), true));
    }

    #[test]
    fn posts_beyond_retention_are_retracted_and_nothing_is_left_of_them() {
        let mut table = Table::new(Some(1_000));
        let forget = |table: &mut Table, clock| {
            let mut gone = Vec::new();
            table.forget(clock, &mut |_, row| gone.push(row));
            gone
        };
        // Before there is a clock.
        run(&mut table, &[PostEvent::Votes((9, Some(8)), 0)]);
        assert_eq!(forget(&mut table, 5_000), []);
        assert_eq!(table.posts.len(), 1);
        let late = PostRow {
            created_at: 5_500,
            ..row("a")
        };
        run(&mut table, &[at(1, Some((late, (5, Some(3)))))]);
        // Looked at where its votes would have gone, and kept by when it was written.
        assert_eq!(forget(&mut table, 6_200), []);
        assert_eq!(forget(&mut table, 6_700), [Upserted::Row(late), Upserted::Votes(8)]);
        assert!(table.posts.is_empty());
        let (out, _) = run(&mut table, &[at(2, None)]);
        assert_eq!(
            (out, table.posts.len()),
            (vec![], 1),
            "a deletion counts from when it came"
        );
        assert_eq!(forget(&mut table, 7_600), []);
        assert_eq!(table.posts.len(), 1);
        assert_eq!(forget(&mut table, 7_900), []);
        assert!(table.posts.is_empty());
    }

    #[test]
    fn deleting_a_thread_removes_and_restores_what_hangs_on_it() {
        let mut table = Table::default();
        run(&mut table, &[at(1, Some((row("a"), (5, Some(3)))))]);
        let flip = |table: &mut Table, order, deleted| {
            let id = Dim::of("t");
            let flipped = table.threads(
                [Control::Thread {
                    id,
                    rank: (0, order, 0, 0),
                    deleted,
                    anchors: groundswell_core::spec::Anchors::default(),
                }]
                .into_iter(),
            );
            let mut out = Vec::new();
            for (key, events) in table.posts_in(&flipped) {
                table.apply(key, events, &mut |_, _| {}, &flipped, &mut |r, d| out.push((r, d)));
            }
            out
        };
        let out = flip(&mut table, 1, true);
        assert_eq!(out.len(), 2);
        assert!(out.iter().all(|(_, d)| *d == -1));
        let (edit, _) = run(&mut table, &[at(2, Some((row("b"), (5, Some(3)))))]);
        assert_eq!(edit, [], "an edit below a deleted thread stays invisible");
        let out = flip(&mut table, 2, false);
        assert!(out.contains(&(Upserted::Row(row("b")), 1)));
        assert_eq!(
            flip(&mut table, 1, true),
            [],
            "a stale record of the thread changes nothing"
        );
    }
}
