//! Posts: what [`crate::dedupe`], [`crate::link`] and [`crate::live`] keep of every post, in one row on the worker that owns it.
//!
//! The three are routed by the same key, so on a worker they see the same posts, and what is kept of a post is most of the
//! engine's memory: three tables would hold its key, text, author, thread and times three times. Each operator writes a part of
//! its own: dedupe the winning record with its rank, link the mentions of the post's own words, live what it assembled.
//!
//! *As of a tick*: dedupe may be ticks ahead of link and live, which need what stood at the tick they are at. A row says since
//! which tick it stands as it does, and what stood before is on an undo list by tick until live, the last of the three, has
//! passed that tick. Nobody can ask for it then, and a post of which nothing is left is removed.

mod sets;

use crate::link::Mentions;
use groundswell_core::id::{DigestMap, Dim, PostKey, TextKey};
use groundswell_core::score::Score;
use groundswell_core::table::Table;
use groundswell_core::time::{EventTime, Tick};
use sets::{SetId, Sets};
use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The posts of one worker, shared by the operators that keep something of them.
#[derive(Clone, Default)]
pub struct Posts(Rc<RefCell<Held>>);

impl Posts {
    /// The posts themselves, for as long as an operator is at one tick: operators of a worker run one after the other.
    pub(crate) fn held(&self) -> RefMut<'_, Held> {
        self.0.borrow_mut()
    }
}

/// A vote observation in two words: when, and how many, [`i64::MIN`] while hidden.
pub(crate) type Seen = (EventTime, i64);

/// Before every observation.
pub(crate) const UNSEEN: Seen = (EventTime::MIN, i64::MIN);

/// The rank of a row without the part in which rows never differ (see [`groundswell_core::record::Envelope::rank`]).
pub(crate) type RowRank = (i64, u16, u64);

/// Below every rank of a row.
pub(crate) const NO_ROW: RowRank = (i64::MIN, 0, 0);

/// Posts that are looked for at once: their rows fit the caches until they are used.
pub(crate) const AHEAD: usize = 64;

/// Of a post of which dedupe has emitted nothing yet.
const NEVER: Tick = Tick::MAX;

/// All that is kept of a post. What few posts have lies beside, in [`Held`].
pub(crate) struct Post {
    text: TextKey,
    parent: PostKey,
    thread: Dim,
    author: Dim,
    source: Dim,
    /// Without a row: the clock when something last came.
    created_at: EventTime,
    order: i64,
    offset: u64,
    /// What came with the row.
    votes_given: Seen,
    /// What was observed apart from it.
    pub(crate) votes: Seen,
    /// Since when it stands as it does, or [`NEVER`].
    since: Tick,
    /// The votes live has assembled, [`i64::MIN`] for none.
    counted: i64,
    /// The sentiment that came with the row, or else the live model's answer.
    score: Option<Score>,
    /// By its own words.
    direct: SetId,
    /// All of them, as live has them.
    mentions: SetId,
    rank_source: u16,
    has_row: bool,
    /// Whether dedupe has emitted the row, and not taken it back.
    stands: bool,
    /// Whether `score` came with the row.
    given: bool,
    /// A switch of models took its score away, and the new model's is still to come.
    pub(crate) awaits: bool,
}

impl Default for Post {
    fn default() -> Self {
        let (order, rank_source, offset) = NO_ROW;
        Post {
            text: TextKey::NONE,
            parent: PostKey::NONE,
            thread: Dim::NONE,
            author: Dim::NONE,
            source: Dim::NONE,
            created_at: EventTime::MIN,
            order,
            offset,
            votes_given: UNSEEN,
            votes: UNSEEN,
            since: NEVER,
            counted: i64::MIN,
            score: None,
            direct: SetId::EMPTY,
            mentions: SetId::EMPTY,
            rank_source,
            has_row: false,
            stands: false,
            given: false,
            awaits: false,
        }
    }
}

/// What links and views need of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) text: TextKey,
    pub(crate) parent: PostKey,
    pub(crate) thread: Dim,
    pub(crate) author: Dim,
    pub(crate) source: Dim,
    pub(crate) created_at: EventTime,
    pub(crate) given: Option<Score>,
}

impl Row {
    const NONE: Row = Row {
        text: TextKey::NONE,
        parent: PostKey::NONE,
        thread: Dim::NONE,
        author: Dim::NONE,
        source: Dim::NONE,
        created_at: EventTime::MIN,
        given: None,
    };
}

impl Post {
    /// The winning row and the votes that came with it, whether it stands or is kept out.
    pub(crate) fn row(&self) -> Option<(Row, Seen)> {
        self.has_row.then(|| (self.shown(), self.votes_given))
    }

    fn shown(&self) -> Row {
        Row {
            text: self.text,
            parent: self.parent,
            thread: self.thread,
            author: self.author,
            source: self.source,
            created_at: self.created_at,
            given: self.score.filter(|_| self.given),
        }
    }

    /// The rank of the newest row or deletion.
    pub(crate) fn rank(&self) -> RowRank {
        (self.order, self.rank_source, self.offset)
    }

    /// Whether dedupe knows anything of it.
    pub(crate) fn is_known(&self) -> bool {
        self.rank() != NO_ROW || self.votes != UNSEEN
    }

    /// The time from which retention counts: when it was written, or without a row when something last came.
    pub(crate) fn needed(&self) -> EventTime {
        self.created_at
    }

    /// Something came now; with a row its own time counts.
    pub(crate) fn touch(&mut self, clock: EventTime) {
        if !self.has_row {
            self.created_at = clock;
        }
    }

    /// Puts the row of a rank, or its deletion.
    pub(crate) fn put(&mut self, row: Option<(Row, Seen)>, beside: &mut Beside<'_>) {
        let answer = self.answer(beside);
        let given = row.and_then(|(row, _)| row.given);
        self.has_row = row.is_some();
        let (row, votes) = row.unwrap_or((Row::NONE, UNSEEN));
        (self.text, self.parent) = (row.text, row.parent);
        (self.thread, self.author, self.source) = (row.thread, row.author, row.source);
        (self.created_at, self.votes_given) = (row.created_at, votes);
        self.put_scores(given, answer, beside);
    }

    /// Sets the rank of the row.
    pub(crate) fn rank_as(&mut self, (order, source, offset): RowRank) {
        (self.order, self.rank_source, self.offset) = (order, source, offset);
    }

    /// The live model's answer.
    pub(crate) fn answer(&self, beside: &Beside<'_>) -> Option<Score> {
        if self.given { beside.get() } else { self.score }
    }

    /// Sets the live model's answer.
    pub(crate) fn set_answer(&mut self, answer: Option<Score>, beside: &mut Beside<'_>) {
        self.put_scores(self.score.filter(|_| self.given), answer, beside);
    }

    fn put_scores(&mut self, given: Option<Score>, answer: Option<Score>, beside: &mut Beside<'_>) {
        (self.given, self.score) = (given.is_some(), given.or(answer));
        beside.set(answer.filter(|_| given.is_some()));
    }

    /// The votes live has assembled.
    pub(crate) fn counted(&self) -> Option<i64> {
        (self.counted != i64::MIN).then_some(self.counted)
    }

    /// Sets them.
    pub(crate) fn count(&mut self, votes: Option<i64>) {
        self.counted = votes.unwrap_or(i64::MIN);
    }

    fn is_empty(&self) -> bool {
        let unlinked = self.direct == SetId::EMPTY && self.mentions == SetId::EMPTY;
        !self.is_known() && unlinked && self.counted().is_none() && self.score.is_none()
    }
}

/// The live model's answer about a post that brought its sentiment: hardly any has both.
pub(crate) struct Beside<'a> {
    key: PostKey,
    answers: &'a mut DigestMap<PostKey, Score>,
}

impl Beside<'_> {
    fn get(&self) -> Option<Score> {
        // Nearly always empty: then no key is looked for.
        if self.answers.is_empty() {
            return None;
        }
        self.answers.get(&self.key).copied()
    }

    fn set(&mut self, answer: Option<Score>) {
        match answer {
            Some(answer) => {
                self.answers.insert(self.key, answer);
            }
            None if self.answers.is_empty() => {}
            None => {
                self.answers.remove(&self.key);
            }
        }
    }
}

/// What stood before a tick changed it, and since when.
struct Was {
    row: Option<Row>,
    since: Tick,
}

/// What stood before, by the tick that changed it.
#[derive(Default)]
pub(crate) struct Undo(BTreeMap<Tick, DigestMap<PostKey, Was>>);

impl Undo {
    /// What stands of a post at the end of a tick that live has not passed.
    pub(crate) fn row(&self, key: PostKey, post: &Post, at: Tick) -> Option<Row> {
        if post.since <= at {
            return post.stands.then(|| post.shown());
        }
        let mut changed = post.since;
        loop {
            // What is not on the list was not there before.
            let was = self.0.get(&changed)?.get(&key)?;
            if was.since <= at {
                return was.row;
            }
            changed = was.since;
        }
    }

    /// The same before the tick.
    pub(crate) fn row_before(&self, key: PostKey, post: &Post, tick: Tick) -> Option<Row> {
        self.row(key, post, tick.checked_sub(1)?)
    }
}

/// See [`Posts`].
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) posts: Table<PostKey, Post>,
    pub(crate) undo: Undo,
    sets: Sets,
    answers: DigestMap<PostKey, Score>,
}

/// One post, made if there was none, with what lies beside it.
pub(crate) struct Slot<'a> {
    pub(crate) key: PostKey,
    pub(crate) post: &'a mut Post,
    pub(crate) beside: Beside<'a>,
    pub(crate) undo: &'a mut Undo,
    sets: &'a mut Sets,
}

impl Slot<'_> {
    /// Dedupe has emitted, at this tick, that something else stands; `was` stood before, and what the post holds now stands if
    /// `stands`.
    pub(crate) fn turned(&mut self, tick: Tick, was: Option<Row>, stands: bool) {
        let since = self.post.since;
        if since != tick && since != NEVER {
            let list = self.undo.0.entry(tick).or_default();
            list.entry(self.key).or_insert(Was { row: was, since });
        }
        (self.post.since, self.post.stands) = (tick, stands);
    }

    /// Mentions by the post's own words.
    pub(crate) fn direct(&self) -> &Mentions {
        self.sets.get(self.post.direct)
    }

    /// Sets them.
    pub(crate) fn set_direct(&mut self, mentions: &Mentions) {
        self.sets.replace(&mut self.post.direct, mentions, SetId::EMPTY);
    }

    /// All mentions, as live has them.
    pub(crate) fn mentions(&self) -> &Mentions {
        self.sets.get(self.post.mentions)
    }

    /// Sets them.
    pub(crate) fn set_mentions(&mut self, mentions: &Mentions) {
        let direct = self.post.direct;
        self.sets.replace(&mut self.post.mentions, mentions, direct);
    }
}

impl Held {
    /// Says which posts are asked for next (see [`Table::warm`]); about [`AHEAD`] of them.
    pub(crate) fn warm(&self, keys: impl Iterator<Item = PostKey>) {
        // A value in each part of the row.
        let touch = |post: &Post| post.since ^ post.offset ^ post.counted.unsigned_abs() ^ post.votes.0.unsigned_abs();
        self.posts.warm(keys, touch);
    }

    /// The place of a post.
    pub(crate) fn slot(&mut self, key: PostKey) -> Slot<'_> {
        Slot {
            key,
            post: self.posts.get_or_default(key),
            beside: Beside {
                key,
                answers: &mut self.answers,
            },
            undo: &mut self.undo,
            sets: &mut self.sets,
        }
    }

    /// Dedupe forgets a post at this tick; `was` stood before. What the others keep of it goes with what they are told.
    pub(crate) fn forget(&mut self, key: PostKey, tick: Tick, was: Option<Row>) {
        let mut slot = self.slot(key);
        slot.post.put(None, &mut slot.beside);
        slot.post.rank_as(NO_ROW);
        slot.post.votes = UNSEEN;
        let since = slot.post.since;
        // On the list even if nothing was ever emitted: that is what removes it.
        let list = slot.undo.0.entry(tick).or_default();
        list.entry(key).or_insert(Was { row: was, since });
        (slot.post.since, slot.post.stands) = (tick, false);
    }

    /// Live has nothing of a post any more, at this tick.
    pub(crate) fn release(&mut self, key: PostKey, tick: Tick) {
        let removable = |post: &Post| post.is_empty() && (post.since <= tick || post.since == NEVER);
        if self.posts.get(key).is_some_and(removable) {
            self.posts.remove(key);
        }
    }

    /// Live has passed a tick.
    pub(crate) fn passed(&mut self, tick: Tick) {
        while let Some(first) = self.undo.0.first_entry().filter(|first| *first.key() <= tick) {
            for key in first.remove().into_keys() {
                self.release(key, tick);
            }
        }
    }
}

#[cfg(test)]
mod tests;
