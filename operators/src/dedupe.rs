//! Dedupe and upsert: of all records of a post, the one with the highest source offset stands.
//!
//! *In*: post events (rows, deletions, vote observations), and control events of threads and erasures. *Out*: the live row of every post,
//! and apart from it its votes, so that a change of votes touches neither text nor links nor scores; and, where the counts of
//! [`Duplicates`] travel, those. *State*: per post id
//! the winning row with its rank, deletions included (a stale redelivery must lose against them), and the newest vote
//! observation, which may come before the post; and which threads are deleted, and what is erased. *Emits* at the tick of the change, net.
//! *A retraction* of a post takes its votes along; deleting a thread retracts all that hangs on it, and bringing the
//! thread back brings them back, and so it is with the erasure of an author, a post or a thread. A purge turns the rows of what
//! was erased into deletions, with their rank. Where numbers are declared, those of the winning row go along with it, apart from it as the
//! votes are; they are kept beside the posts, in a table that is empty elsewhere.
//!
//! With a *retention*, a post written longer than that before the clock is forgotten with all that is known of it: it is
//! retracted, which lets everything behind forget it too, and changes no row, as the windows it was in are gone. So are
//! deletions and votes of posts that never came, by the clock they came at.

use crate::bars::{Bar, Bars, Turned};
use crate::event::{Control, PostEvent, PostRow, VoteAt, clock_of};
use crate::expiry::Expiry;
use crate::score::Recalled;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, Dim, PostKey, TextKey};
use groundswell_core::number::Values;
use groundswell_core::record::{Rank, SourceId, votes_rank};
use groundswell_core::score::Score;
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
    /// Its numbers; absent while it has none.
    Numbers(Values),
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
            PostEvent::Numbers { rank, .. } => (*rank, false),
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
        | PostEvent::Numbers {
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
            other => matches!(
                other,
                Control::Thread { .. } | Control::Erasure { .. } | Control::Purged(_) | Control::Watched
            ),
        }),
        "Dedupe",
        |(key, _)| key.route(),
        move |Complete { tick, rows, side }, out| {
            let watched = side.iter().any(|(control, _)| matches!(control, Control::Watched));
            if let Some(clock) = clock_of(side) {
                table.forget(clock, &mut |key, row| out.give((key, row), -1));
            }
            let turned = table.bars.learn(side.drain(..).map(|(control, _)| control));
            rows.sort_unstable_by_key(|((key, _), _)| *key);
            let (mut counts, mut list) = (BTreeMap::new(), Vec::new());
            let mut stale = |key, event: &PostEvent| {
                *counts.entry(source_of(event)).or_default() += 1;
                if watched {
                    list.push(Stale::of(key, event));
                }
            };
            let groups = rows.chunk_by(|a, b| a.0.0 == b.0.0).map(|g| (g[0].0.0, g));
            if turned.is_empty() {
                for (key, group) in groups {
                    table.apply(key, group, &mut stale, &turned, &mut |row, diff| {
                        out.give((key, row), diff)
                    });
                }
            } else {
                // Posts that those keep out change whether or not something came for them; each must change once.
                let mut touched = table.posts_of(&turned);
                touched.extend(groups);
                for (key, group) in touched {
                    table.apply(key, group, &mut stale, &turned, &mut |row, diff| {
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

/// A vote observation in two words: when, and how many, [`i64::MIN`] while hidden, as [`votes_rank`] has it.
type Seen = (EventTime, i64);

/// Before every observation.
const UNSEEN: Seen = (EventTime::MIN, i64::MIN);

fn seen((at, votes): VoteAt) -> Seen {
    let (at, votes, ..) = votes_rank(at, votes);
    (at, votes)
}

/// All that is remembered about one post id. There is one for every post, and it is a large part of the engine's memory: what
/// few posts have lies beside, in [`Table`].
#[derive(Clone, Copy)]
struct Entry {
    /// Without a row: the clock when something last came. With one, the post's own time counts.
    touched: EventTime,
    order: i64,
    offset: u64,
    source: u16,
    row: Option<Stored>,
    votes: Seen,
}

/// A [`PostRow`] but for its `about`, and the votes that came with it.
#[derive(Clone, Copy, PartialEq)]
struct Stored {
    text: TextKey,
    parent: PostKey,
    thread: Dim,
    author: Dim,
    source: Dim,
    created_at: EventTime,
    given: Option<Score>,
    votes: Seen,
}

impl Stored {
    /// What may keep the post out.
    fn bars(&self, key: PostKey) -> [Bar; 4] {
        Bar::of_post(key, self.thread, self.author)
    }

    fn row(&self, about: TextKey) -> PostRow {
        PostRow {
            text: self.text,
            parent: self.parent,
            thread: self.thread,
            author: self.author,
            source: self.source,
            created_at: self.created_at,
            about,
            given: self.given,
        }
    }

    fn of(row: &PostRow, votes: VoteAt) -> Self {
        Stored {
            text: row.text,
            parent: row.parent,
            thread: row.thread,
            author: row.author,
            source: row.source,
            created_at: row.created_at,
            given: row.given,
            votes: seen(votes),
        }
    }
}

impl Default for Entry {
    fn default() -> Self {
        let (order, source, offset) = NO_ROW;
        Entry {
            touched: EventTime::MIN,
            order,
            offset,
            source,
            row: None,
            votes: UNSEEN,
        }
    }
}

impl Entry {
    fn rank(&self) -> RowRank {
        (self.order, self.source, self.offset)
    }

    /// What stands, given whether the post is kept out and what its row says of its address and title.
    fn standing(&self, about: TextKey, kept_out: impl Fn(&Stored) -> bool) -> (Option<PostRow>, Option<i64>) {
        match &self.row {
            Some(kept) if !kept_out(kept) => {
                let (_, votes) = self.votes.max(kept.votes);
                (Some(kept.row(about)), (votes != i64::MIN).then_some(votes))
            }
            _ => (None, None),
        }
    }

    fn is_known(&self) -> bool {
        self.rank() != NO_ROW || self.votes != UNSEEN
    }

    /// The time from which retention counts.
    fn needed(&self) -> EventTime {
        self.row.map_or(self.touched, |row| row.created_at)
    }

    /// Takes an event, and the address and title of a row that stands now; false if it changed nothing.
    fn take(&mut self, event: &PostEvent, about: &mut TextKey) -> bool {
        match event {
            PostEvent::Row {
                rank: (_, order, source, offset),
                row,
            } => {
                if self.rank() >= (*order, *source, *offset) {
                    return false;
                }
                let kept = row.as_ref().map(|(row, votes)| Stored::of(row, *votes));
                let now = row.as_ref().map_or(TextKey::NONE, |(row, _)| row.about);
                let changed = self.rank() == NO_ROW || self.row != kept || *about != now;
                (self.order, self.source, self.offset) = (*order, *source, *offset);
                (self.row, *about) = (kept, now);
                changed
            }
            PostEvent::Votes(votes, _) => {
                let seen = seen(*votes);
                if self.votes >= seen {
                    return false;
                }
                self.votes = seen;
                true
            }
            // Taken beside: see `Table::number`.
            PostEvent::Numbers { .. } => true,
        }
    }
}

#[derive(Default)]
struct Table {
    posts: table::Table<PostKey, Entry>,
    bars: Bars,
    /// Of the posts whose row has one: [`PostRow::about`].
    abouts: DigestMap<PostKey, TextKey>,
    /// Of the posts with numbers: those of the winning row, and its rank.
    numbers: DigestMap<PostKey, (RowRank, Values)>,
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
            let bars = &self.bars;
            let about = self.abouts.remove(&key).unwrap_or(TextKey::NONE);
            let (row, votes) = entry.standing(about, |stored| bars.any(stored.bars(key)));
            row.into_iter().for_each(|row| give(key, Upserted::Row(row)));
            votes.into_iter().for_each(|votes| give(key, Upserted::Votes(votes)));
            if let Some((_, values)) = self.numbers.remove(&key)
                && row.is_some()
                && !values.is_empty()
            {
                give(key, Upserted::Numbers(values));
            }
            self.posts.remove(key);
        }
    }

    /// Takes the numbers of the row of some rank, if no row above it had some.
    fn number(&mut self, key: PostKey, event: &PostEvent) {
        if let PostEvent::Numbers {
            rank: (_, order, source, offset),
            values,
        } = event
        {
            let rank = (*order, *source, *offset);
            let slot = self.numbers.entry(key).or_insert((NO_ROW, Values::default()));
            if rank > slot.0 {
                *slot = (rank, *values);
            }
        }
    }

    /// The numbers of a post.
    fn numbers_of(&self, key: PostKey) -> Option<Values> {
        let values = self.numbers.get(&key).map(|(_, values)| *values);
        values.filter(|values| !values.is_empty())
    }

    /// Applies a post's events and emits its net change; `stale` hears of those that change nothing. `turned` is what the
    /// tick says about bars.
    fn apply(
        &mut self,
        key: PostKey,
        events: &[Arrived],
        stale: &mut impl FnMut(PostKey, &PostEvent),
        turned: &Turned,
        give: &mut impl FnMut(Upserted, isize),
    ) {
        let numbers_before = self.numbers_of(key);
        events.iter().for_each(|((_, event), _)| self.number(key, event));
        let bars = &self.bars;
        let entry = self.posts.get_or_default(key);
        let known = entry.is_known();
        let had = about_of(&self.abouts, key);
        let before = entry.standing(had, |stored| bars.any_before(stored.bars(key), turned));
        let mut has = had;
        for ((_, event), _) in events {
            if !entry.take(event, &mut has) {
                stale(key, event);
            }
        }
        if entry.row.is_some_and(|row| turned.purges(row.bars(key))) {
            (entry.row, has) = (None, TextKey::NONE);
            if let Some((_, values)) = self.numbers.get_mut(&key) {
                *values = Values::default();
            }
        }
        if has != had {
            match has {
                TextKey::NONE => self.abouts.remove(&key),
                about => self.abouts.insert(key, about),
            };
        }
        if let Some(expiry) = self.expiry.as_mut().filter(|_| !events.is_empty()) {
            entry.touched = expiry.clock();
            if !known {
                expiry.push(entry.needed(), key);
            }
        }
        let after = entry.standing(has, |stored| bars.any(stored.bars(key)));
        let numbers_after = self.numbers_of(key);
        differ(before.0.map(Upserted::Row), after.0.map(Upserted::Row), give);
        differ(before.1.map(Upserted::Votes), after.1.map(Upserted::Votes), give);
        let (was, is) = (
            numbers_before.filter(|_| before.0.is_some()),
            numbers_after.filter(|_| after.0.is_some()),
        );
        differ(was.map(Upserted::Numbers), is.map(Upserted::Numbers), give);
    }

    /// Posts that the tick says something about. Rare and linear in what this worker holds: an index by thread and author would
    /// cost memory on every post instead.
    fn posts_of<'a>(&self, turned: &Turned) -> BTreeMap<PostKey, &'a [Arrived]> {
        let under = |key, entry: &Entry| entry.row.is_some_and(|row| turned.concerns(row.bars(key)));
        self.posts
            .iter()
            .filter(|(key, entry)| under(*key, entry))
            .map(|(key, _)| (key, &[][..]))
            .collect()
    }
}

fn about_of(abouts: &DigestMap<PostKey, TextKey>, key: PostKey) -> TextKey {
    // Nearly always empty: then no key is looked for.
    if abouts.is_empty() {
        return TextKey::NONE;
    }
    abouts.get(&key).copied().unwrap_or(TextKey::NONE)
}

fn differ<T: PartialEq>(before: Option<T>, after: Option<T>, give: &mut impl FnMut(T, isize)) {
    if before != after {
        before.into_iter().for_each(|row| give(row, -1));
        after.into_iter().for_each(|row| give(row, 1));
    }
}

#[cfg(test)]
mod tests;
