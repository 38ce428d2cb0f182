//! Score: which answer of the live model each post has, and which texts still want one of which model.
//!
//! *In*: (text, post) pairs of live posts, recorded facts, the live-model pointer, and the models that are asked beside it.
//! *Out*: the score of each post, the texts that wait for a model (the scorers' work list), the posts that two models have
//! answered, and how many texts each has. *State*: per text its live posts and all known facts of all models;
//! facts stay when the posts go, so an identical text is scored once, ever; with a *retention*, facts nobody had a use for
//! that long are forgotten. Of two answers for one text and model the one of the better rung stands, whichever came first; of
//! equals the first. *Emits* at the tick of the change. *A retraction* of a post retracts its score from state. A model switch re-points every post at one tick; what the new
//! model has not answered yet becomes wanted. Votes never come here.
//!
//! A model beside the live one changes nothing but its own wishes, pairs and counts. It may be asked about a *share* of the
//! authors only: a text is wanted of it if one of the text's posts is by such an author.

use crate::compare::{Count, Pair, Verdict};
use crate::event::{Background, Control, Fact, clock_of};
use crate::expiry::Expiry;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, Emit, mix, per_tick};
use groundswell_core::id::{Dim, ModelKey, PostKey, TextKey};
use groundswell_core::score::{PPM, Rung, Score};
use groundswell_core::table;
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Input of the operator, keyed by text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TextEvent {
    /// A live post has this text, was written then (for "newest first"), and has this place in samples.
    Post(PostKey, EventTime, u32),
    /// A recorded answer.
    Fact(ModelKey, Option<Score>),
}

/// A text that waits for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Wanted {
    /// The model.
    pub model: ModelKey,
    /// The text.
    pub text: TextKey,
    /// Its newest post that asks was written then.
    pub at: EventTime,
    /// Something stands for an answer: nobody waits for a better one, which may come or not.
    pub stopgap: bool,
}

/// Output of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scored {
    /// The post's score by the live model.
    Post(PostKey, Score),
    /// This model has not answered for this text, or somebody else did who can do less.
    Wanted(Wanted),
    /// The post has answers of the live model and of another.
    Pair(PostKey, Pair),
    /// How many texts of live posts there are, and how many of them a model has; the diff is the number.
    Count(ModelKey, Count),
}

/// The place of a post in samples, in 0..1,000,000: that of its author, so that a sample holds all that an author says or
/// nothing; without an author its own.
pub fn sample(author: Dim, post: PostKey) -> u32 {
    let who = if author == Dim::NONE { post.route() } else { author.0 };
    // The salt keeps samples apart from how work is spread over workers.
    let place = (mix(who, 0x5A4D_504C_4553_414C) >> 32) * u64::from(PPM.unsigned_abs());
    u32::try_from(place >> 32).unwrap_or(0)
}

/// Counts posts whose text had an answer when they came, from some tick on: what is restored came before.
#[derive(Debug, Default)]
pub struct Recalled {
    after: AtomicU64,
    count: AtomicU64,
}

impl Recalled {
    /// Counts posts of ticks after this one only.
    pub fn after(&self, tick: Tick) {
        self.after.store(tick, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn add(&self, tick: Tick, posts: usize) {
        if posts > 0 && tick > self.after.load(Ordering::Relaxed) {
            self.count.fetch_add(posts as u64, Ordering::Relaxed);
        }
    }
}

/// See the module documentation; `retention` in ms. With a `ladder` texts for which something only stands stay wanted of the
/// live model.
pub fn score<'s>(
    posts: VecCollection<'s, Tick, (TextKey, PostKey, EventTime, u32)>,
    facts: VecCollection<'s, Tick, Fact>,
    control: VecCollection<'s, Tick, Control>,
    retention: Option<i64>,
    ladder: bool,
    recalled: Arc<Recalled>,
) -> VecCollection<'s, Tick, Scored> {
    let posts = posts.map(|(text, post, at, sample)| (text, TextEvent::Post(post, at, sample)));
    let facts = facts.map(|fact| (fact.text, TextEvent::Fact(fact.model, fact.score)));
    let mut table = Table::new(retention, ladder);
    per_tick(
        posts.concat(facts),
        control.filter(move |c| match c {
            Control::Clock(_) => retention.is_some(),
            other => matches!(other, Control::LiveModel(_) | Control::Background(_)),
        }),
        "Score",
        |(text, _)| text.route(),
        move |Complete { tick, rows, side }, out| {
            if let Some(clock) = clock_of(side) {
                table.forget(clock);
            }
            let mut asked = table.asked.clone();
            for (control, _) in side.drain(..) {
                match control {
                    Control::LiveModel(model) => asked.live = Some(model),
                    Control::Background(models) => asked.background = models,
                    _ => {}
                }
            }
            table.switch(asked, out);
            rows.sort_unstable_by_key(|((text, _), diff)| (*text, *diff));
            for group in rows.chunk_by(|a, b| a.0.0 == b.0.0) {
                recalled.add(tick, table.apply(group[0].0.0, group, out));
            }
            for ((model, count), n) in std::mem::take(&mut table.counts) {
                if n != 0 {
                    out.give(Scored::Count(model, count), n);
                }
            }
        },
    )
}

type Out<'a, 'b> = Emit<'a, Scored, isize>;

/// A post, when it was written, and its place in samples.
type Posts = SmallVec<[(PostKey, EventTime, u32); 1]>;

#[derive(Default)]
struct Text {
    posts: Posts,
    facts: SmallVec<[(ModelKey, Option<Score>); 1]>,
}

impl Text {
    /// The model's answer, if it has given one: a score, or that it cannot say.
    fn fact(&self, model: ModelKey) -> Option<Option<Score>> {
        self.facts.iter().find(|(m, _)| *m == model).map(|(_, score)| *score)
    }

    /// The model's score, if it is one: what stands where nobody answered is none.
    fn said(&self, model: ModelKey) -> Option<Score> {
        self.fact(model).flatten().filter(|score| score.rung != Rung::Neutral)
    }

    /// Of equals the first stands: a fact is true for ever.
    fn learn(&mut self, model: ModelKey, score: Option<Score>) {
        match self.facts.iter_mut().find(|(m, _)| *m == model) {
            None => self.facts.push((model, score)),
            Some((_, known)) if quality(score.as_ref()) > quality(known.as_ref()) => *known = score,
            Some(_) => {}
        }
    }

    /// When the newest of its posts that are in the share was written.
    fn newest(&self, share: u32) -> Option<EventTime> {
        let asking = self.posts.iter().filter(|(.., sample)| *sample < share);
        asking.map(|(_, at, _)| *at).max()
    }
}

fn quality(fact: Option<&Score>) -> i64 {
    fact.map_or(0, |score| score.rung.quality())
}

/// Which models are asked.
#[derive(Clone, PartialEq, Default)]
struct Asked {
    live: Option<ModelKey>,
    background: Arc<[Background]>,
    ladder: bool,
}

/// Since when a text waits, and whether something stands for an answer.
type Wish = Option<(EventTime, bool)>;

/// What a text shows: its posts' score and pairs, and who is to answer. One place for every background model, in order.
#[derive(Default)]
struct Shown {
    score: Option<Score>,
    wanted: Wish,
    pairs: SmallVec<[Option<Pair>; 1]>,
    wishes: SmallVec<[Wish; 1]>,
}

impl Asked {
    /// Models asked beside the live one.
    fn beside(&self) -> impl Iterator<Item = &Background> {
        self.background
            .iter()
            .filter(|b| self.live.is_some_and(|live| live != b.model))
    }

    fn shown(&self, text: &Text) -> Shown {
        let Some(live) = self.live else {
            return Shown::default();
        };
        let fact = text.fact(live);
        let (score, stopgap) = (fact.flatten(), fact.is_some());
        let waits = !stopgap || (self.ladder && quality(score.as_ref()) <= Rung::Neutral.quality());
        let newest = |share| text.newest(share);
        let wish = |b: &Background| match text.fact(b.model) {
            Some(_) => None,
            None => newest(b.share).map(|at| (at, false)),
        };
        let pair = |b: &Background| {
            Some(Pair {
                model: b.model,
                live: Verdict::of(&text.said(live)?),
                other: Verdict::of(&text.said(b.model)?),
            })
        };
        Shown {
            score,
            wanted: if waits {
                newest(u32::MAX).map(|at| (at, stopgap))
            } else {
                None
            },
            pairs: self.beside().map(pair).collect(),
            wishes: self.beside().map(wish).collect(),
        }
    }

    /// Adds what a text counts for, or takes it away.
    fn count(&self, text: &Text, diff: isize, counts: &mut BTreeMap<(ModelKey, Count), isize>) {
        if text.posts.is_empty() {
            return;
        }
        let mut add = |model, count| *counts.entry((model, count)).or_default() += diff;
        add(ModelKey::NONE, Count::Texts);
        text.facts.iter().for_each(|(model, _)| add(*model, Count::Answered));
        if self.live.is_some_and(|live| text.fact(live).is_some()) {
            let behind = self.beside().filter(|b| text.fact(b.model).is_none());
            behind.for_each(|b| add(b.model, Count::Behind));
        }
    }
}

#[derive(Default)]
struct Table {
    asked: Asked,
    texts: table::Table<TextKey, Text>,
    /// Texts that lost their last post, by the clock when they did.
    unused: Option<Expiry<TextKey>>,
    /// How the counts differ from before the tick.
    counts: BTreeMap<(ModelKey, Count), isize>,
}

impl Table {
    fn new(retention: Option<i64>, ladder: bool) -> Self {
        Table {
            asked: Asked {
                ladder,
                ..Asked::default()
            },
            unused: retention.map(Expiry::new),
            ..Table::default()
        }
    }

    /// Forgets facts about texts that lost their last post so long ago and have none.
    fn forget(&mut self, clock: EventTime) {
        for key in self.unused.iter_mut().flat_map(|unused| unused.advance(clock)) {
            if self.texts.get(key).is_some_and(|text| text.posts.is_empty()) {
                self.texts.remove(key);
            }
        }
    }

    fn switch(&mut self, asked: Asked, out: &mut Out<'_, '_>) {
        if asked == self.asked {
            return;
        }
        let old = std::mem::replace(&mut self.asked, asked);
        for (key, text) in self.texts.iter() {
            old.count(text, -1, &mut self.counts);
            self.asked.count(text, 1, &mut self.counts);
            give(&old, key, &text.posts, &old.shown(text), -1, out);
            give(&self.asked, key, &text.posts, &self.asked.shown(text), 1, out);
        }
    }

    /// Applies the events of a text; how many posts found it answered.
    fn apply(&mut self, key: TextKey, events: &[((TextKey, TextEvent), isize)], out: &mut Out<'_, '_>) -> usize {
        let text = self.texts.get_or_default(key);
        self.asked.count(text, -1, &mut self.counts);
        let before = self.asked.shown(text);
        let (mut gone, mut new) = (Posts::new(), Posts::new());
        for ((_, event), diff) in events {
            match event {
                TextEvent::Post(post, at, sample) if *diff > 0 => new.push((*post, *at, *sample)),
                TextEvent::Post(post, at, sample) => gone.push((*post, *at, *sample)),
                TextEvent::Fact(model, score) => text.learn(*model, *score),
            }
        }
        let found = if before.score.is_some() {
            new.len().saturating_sub(gone.len())
        } else {
            0
        };
        text.posts.retain(|post| !gone.contains(post));
        let stayed = text.posts.clone();
        text.posts.extend(new.iter().copied());
        self.asked.count(text, 1, &mut self.counts);
        let after = self.asked.shown(text);
        let moved = Moved {
            gone: &gone,
            stayed: &stayed,
            new: &new,
        };
        moved.emit(before.score, after.score, Scored::Post, out);
        let live = self.asked.live.unwrap_or_default();
        wish(key, live, before.wanted, after.wanted, out);
        for (before, after) in before.pairs.iter().zip(&after.pairs) {
            moved.emit(*before, *after, Scored::Pair, out);
        }
        for ((b, before), after) in self.asked.beside().zip(&before.wishes).zip(&after.wishes) {
            wish(key, b.model, *before, *after, out);
        }
        if text.posts.is_empty() && text.facts.is_empty() {
            self.texts.remove(key);
        } else if text.posts.is_empty()
            && let Some(unused) = &mut self.unused
        {
            unused.push(unused.clock(), key);
        }
        found
    }
}

/// The posts of a text in a tick.
struct Moved<'a> {
    gone: &'a Posts,
    stayed: &'a Posts,
    new: &'a Posts,
}

impl Moved<'_> {
    /// Emits how what all posts of a text show differs. If it does not, only for the posts that came or went: a text shared
    /// by thousands must not re-emit them all.
    fn emit<T: Copy + PartialEq>(
        &self,
        before: Option<T>,
        after: Option<T>,
        show: impl Fn(PostKey, T) -> Scored,
        out: &mut Out<'_, '_>,
    ) {
        let mut give = |posts: &Posts, what: Option<T>, diff| {
            if let Some(what) = what {
                posts.iter().for_each(|(post, ..)| out.give(show(*post, what), diff));
            }
        };
        give(self.gone, before, -1);
        if before != after {
            give(self.stayed, before, -1);
            give(self.stayed, after, 1);
        }
        give(self.new, after, 1);
    }
}

fn wish(text: TextKey, model: ModelKey, before: Wish, after: Wish, out: &mut Out<'_, '_>) {
    if before != after {
        one_wish(text, model, before, -1, out);
        one_wish(text, model, after, 1, out);
    }
}

fn one_wish(text: TextKey, model: ModelKey, wish: Wish, diff: isize, out: &mut Out<'_, '_>) {
    if let Some((at, stopgap)) = wish {
        let wanted = Wanted {
            model,
            text,
            at,
            stopgap,
        };
        out.give(Scored::Wanted(wanted), diff);
    }
}

/// Emits all that a text shows.
fn give(asked: &Asked, key: TextKey, posts: &Posts, shown: &Shown, diff: isize, out: &mut Out<'_, '_>) {
    let mut each = |row: &dyn Fn(PostKey) -> Scored| posts.iter().for_each(|(post, ..)| out.give(row(*post), diff));
    if let Some(score) = shown.score {
        each(&|post| Scored::Post(post, score));
    }
    for pair in shown.pairs.iter().flatten() {
        each(&|post| Scored::Pair(post, *pair));
    }
    one_wish(key, asked.live.unwrap_or_default(), shown.wanted, diff, out);
    for (b, wish) in asked.beside().zip(&shown.wishes) {
        one_wish(key, b.model, *wish, diff, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_stable_and_about_as_large_as_its_share() {
        let authors = (0..20_000).map(|n| Dim::of(&format!("author {n}")));
        let places: Vec<u32> = authors.clone().map(|author| sample(author, PostKey(1))).collect();
        assert!(places.iter().all(|place| *place < 1_000_000));
        let tenth = places.iter().filter(|place| **place < 100_000).count();
        assert!((1_800..2_200).contains(&tenth), "{tenth} of 20,000");
        // All posts of an author are in it or none, whatever the post.
        assert_eq!(sample(Dim::of("ada"), PostKey(1)), sample(Dim::of("ada"), PostKey(2)));
        assert_ne!(sample(Dim::NONE, PostKey(1)), sample(Dim::NONE, PostKey(2)));
        // A literal: the same author is in the same samples on every machine and in every later version.
        assert_eq!(sample(Dim::of("ada"), PostKey(1)), 448_895);
    }
}
