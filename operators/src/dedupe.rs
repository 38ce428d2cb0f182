//! Dedupe and upsert: of all records of a post, the one with the highest source offset stands.
//!
//! *In*: post events (rows, deletions, vote observations), and control events of threads and erasures. *Out*: the live row of
//! every post, and apart from it its votes, so that a change of votes touches neither text nor links nor scores; and, where the
//! counts of [`Duplicates`] travel, those. *State*: per post id, in [`crate::posts`], the winning row with its rank, deletions
//! included (a stale redelivery must lose against them), and the newest vote observation, which may come before the post; and
//! which threads are deleted, and what is erased. *Emits* at the tick of the change, net. *A retraction* of a post takes its
//! votes along; deleting a thread retracts all that hangs on it, and bringing the thread back brings them back, and so it is with
//! the erasure of an author, a post or a thread. A purge turns the rows of what was erased into deletions, with their rank. Where
//! numbers are declared, those of the winning row go along with it, apart from it as the votes are; they are kept beside the
//! posts, in a table that is empty elsewhere.
//!
//! With a *retention*, a post written longer than that before the clock is forgotten with all that is known of it: it is
//! retracted, which lets everything behind forget it too, and changes no row, as the windows it was in are gone. So are
//! deletions and votes of posts that never came, by the clock they came at.

use crate::bars::{Bar, Bars, Turned};
use crate::event::{Control, PostEvent, PostRow, VoteAt, clock_of};
use crate::expiry::Expiry;
use crate::posts::{AHEAD, Held, NO_ROW, Post, Posts, Row, RowRank, Seen, Slot};
use crate::score::Recalled;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, PostKey, TextKey};
use groundswell_core::number::Values;
use groundswell_core::record::{Rank, SourceId, votes_rank};
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

impl Upserted {
    /// The row, if it is one.
    pub fn row(self) -> Option<PostRow> {
        match self {
            Upserted::Row(row) => Some(row),
            Upserted::Votes(_) | Upserted::Unchanged(_) | Upserted::Numbers(_) => None,
        }
    }
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
    posts: Posts,
) -> VecCollection<'s, Tick, (PostKey, Upserted)> {
    let mut upserts = Upserts::new(retention);
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
            let held = &mut *posts.held();
            if let Some(clock) = clock_of(side) {
                upserts.forget(held, tick, clock, &mut |key, row| out.give((key, row), -1));
            }
            let turned = upserts.bars.learn(side.drain(..).map(|(control, _)| control));
            let order = by_post(rows);
            let (mut counts, mut list) = (BTreeMap::new(), Vec::new());
            let mut stale = |key, event: &PostEvent| {
                *counts.entry(source_of(event)).or_default() += 1;
                if watched {
                    list.push(Stale::of(key, event));
                }
            };
            let groups = order.chunk_by(|a, b| a.0 == b.0).map(|g| (g[0].0, g));
            if turned.is_empty() {
                let (mut at, mut warm) = (0, 0);
                for (key, group) in groups {
                    if at >= warm {
                        warm = at + AHEAD;
                        held.warm(order[at..].iter().take(AHEAD).map(|(key, _)| *key));
                    }
                    at += group.len();
                    upserts.apply(
                        held.slot(key),
                        tick,
                        of_post(rows, group),
                        &mut stale,
                        &turned,
                        &mut |row, diff| out.give((key, row), diff),
                    );
                }
            } else {
                // Posts that those keep out change whether or not something came for them; each must change once.
                let mut touched = Upserts::posts_of(held, &turned);
                touched.extend(groups);
                for (key, group) in touched {
                    upserts.apply(
                        held.slot(key),
                        tick,
                        of_post(rows, group),
                        &mut stale,
                        &turned,
                        &mut |row, diff| out.give((key, row), diff),
                    );
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

/// Where the events of each post are, in the order they came in: they themselves are too wide to be moved about.
fn by_post(rows: &[Arrived]) -> Vec<(PostKey, u32)> {
    let mut order: Vec<_> = rows.iter().zip(0..).map(|(((key, _), _), at)| (*key, at)).collect();
    order.sort_unstable();
    order
}

/// The events of a post.
fn of_post<'a>(
    rows: &'a [Arrived],
    group: &'a [(PostKey, u32)],
) -> impl ExactSizeIterator<Item = &'a PostEvent> + Clone {
    group.iter().map(|(_, at)| &rows[*at as usize].0.1)
}

fn seen((at, votes): VoteAt) -> Seen {
    let (at, votes, ..) = votes_rank(at, votes);
    (at, votes)
}

impl Row {
    fn of(row: &PostRow) -> Self {
        Row {
            text: row.text,
            parent: row.parent,
            thread: row.thread,
            author: row.author,
            source: row.source,
            created_at: row.created_at,
            given: row.given,
        }
    }

    fn with(self, about: TextKey) -> PostRow {
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

    /// What may keep the post out.
    fn bars(&self, key: PostKey) -> [Bar; 4] {
        Bar::of_post(key, self.thread, self.author)
    }
}

impl Post {
    /// What stands, given whether the post is kept out and what its row says of its address and title.
    fn standing(&self, about: TextKey, kept_out: impl Fn(&Row) -> bool) -> (Option<PostRow>, Option<i64>) {
        match self.row() {
            Some((row, given)) if !kept_out(&row) => {
                let (_, votes) = self.votes.max(given);
                (Some(row.with(about)), (votes != i64::MIN).then_some(votes))
            }
            _ => (None, None),
        }
    }
}

/// Takes an event, and the address and title of a row that stands now; false if it changed nothing.
fn take(slot: &mut Slot<'_>, event: &PostEvent, about: &mut TextKey) -> bool {
    let post = &mut *slot.post;
    match event {
        PostEvent::Row {
            rank: (_, order, source, offset),
            row,
        } => {
            let rank = (*order, *source, *offset);
            if post.rank() >= rank {
                return false;
            }
            let kept = row.as_ref().map(|(row, votes)| (Row::of(row), seen(*votes)));
            let now = row.as_ref().map_or(TextKey::NONE, |(row, _)| row.about);
            let changed = post.rank() == NO_ROW || post.row() != kept || *about != now;
            post.put(kept, &mut slot.beside);
            post.rank_as(rank);
            *about = now;
            changed
        }
        PostEvent::Votes(votes, _) => {
            let seen = seen(*votes);
            if post.votes >= seen {
                return false;
            }
            post.votes = seen;
            true
        }
        // Taken beside: see `Upserts::number`.
        PostEvent::Numbers { .. } => true,
    }
}

/// What dedupe keeps beside the posts.
#[derive(Default)]
struct Upserts {
    bars: Bars,
    /// Of the posts whose row has one: [`PostRow::about`].
    abouts: DigestMap<PostKey, TextKey>,
    /// Of the posts with numbers: those of the winning row, and its rank.
    numbers: DigestMap<PostKey, (RowRank, Values)>,
    /// Each known post once, by a time at which to look whether it can be forgotten.
    expiry: Option<Expiry<PostKey>>,
}

impl Upserts {
    fn new(retention: Option<i64>) -> Self {
        Upserts {
            expiry: retention.map(Expiry::new),
            ..Upserts::default()
        }
    }

    /// Forgets what is beyond retention at the clock of a tick, and gives what stood.
    fn forget(&mut self, held: &mut Held, tick: Tick, clock: EventTime, give: &mut impl FnMut(PostKey, Upserted)) {
        let Some(expiry) = &mut self.expiry else { return };
        for key in expiry.advance(clock) {
            // Of one that was forgotten in the meantime nothing is known.
            let Some(post) = held.posts.get(key).filter(|post| post.is_known()) else {
                continue;
            };
            let needed = post.needed();
            if needed == EventTime::MIN {
                // It came before there was a clock: it counts as of now.
                held.slot(key).post.touch(clock);
                expiry.push(clock, key);
                continue;
            }
            if !expiry.is_due(needed) {
                expiry.push(needed, key);
                continue;
            }
            let bars = &self.bars;
            let about = self.abouts.remove(&key).unwrap_or(TextKey::NONE);
            let (row, votes) = post.standing(about, |row| bars.any(row.bars(key)));
            row.into_iter().for_each(|row| give(key, Upserted::Row(row)));
            votes.into_iter().for_each(|votes| give(key, Upserted::Votes(votes)));
            if let Some((_, values)) = self.numbers.remove(&key)
                && row.is_some()
                && !values.is_empty()
            {
                give(key, Upserted::Numbers(values));
            }
            held.forget(key, tick, row.as_ref().map(Row::of));
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
        // Empty where no numbers are declared: then no key is looked for.
        if self.numbers.is_empty() {
            return None;
        }
        let values = self.numbers.get(&key).map(|(_, values)| *values);
        values.filter(|values| !values.is_empty())
    }

    /// Applies a post's events of a tick and emits its net change; `stale` hears of those that change nothing. `turned` is what
    /// the tick says about bars.
    fn apply<'a>(
        &mut self,
        mut slot: Slot<'_>,
        tick: Tick,
        events: impl ExactSizeIterator<Item = &'a PostEvent> + Clone,
        stale: &mut impl FnMut(PostKey, &PostEvent),
        turned: &Turned,
        give: &mut impl FnMut(Upserted, isize),
    ) {
        let key = slot.key;
        let numbers_before = self.numbers_of(key);
        events.clone().for_each(|event| self.number(key, event));
        let bars = &self.bars;
        let known = slot.post.is_known();
        let had = about_of(&self.abouts, key);
        let before = slot.post.standing(had, |row| bars.any_before(row.bars(key), turned));
        let mut has = had;
        let any = events.len() > 0;
        for event in events {
            if !take(&mut slot, event, &mut has) {
                stale(key, event);
            }
        }
        if slot.post.row().is_some_and(|(row, _)| turned.purges(row.bars(key))) {
            slot.post.put(None, &mut slot.beside);
            has = TextKey::NONE;
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
        if let Some(expiry) = self.expiry.as_mut().filter(|_| any) {
            slot.post.touch(expiry.clock());
            if !known {
                expiry.push(slot.post.needed(), key);
            }
        }
        let after = slot.post.standing(has, |row| bars.any(row.bars(key)));
        if before.0 != after.0 {
            slot.turned(tick, before.0.as_ref().map(Row::of), after.0.is_some());
        }
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
    fn posts_of<'a>(held: &Held, turned: &Turned) -> BTreeMap<PostKey, &'a [(PostKey, u32)]> {
        let under = |key, post: &Post| post.row().is_some_and(|(row, _)| turned.concerns(row.bars(key)));
        held.posts
            .iter()
            .filter(|(key, post)| under(*key, post))
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
