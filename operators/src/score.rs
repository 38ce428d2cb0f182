//! Score: which answer of the live model each post has, and which texts still want one, or a better one.
//!
//! *In*: (text, post) pairs of live posts, recorded facts, and the live-model pointer. *Out*: the score of each post, and
//! the texts that wait for the live model (the scorer's work list). *State*: per text its live posts and all known facts;
//! facts stay when the posts go, so an identical text is scored once, ever; with a *retention*, facts nobody had a use for
//! that long are forgotten. Of two answers for one text and model the one of the better rung stands, whichever came first; of
//! equals the first. *Emits* at the tick of the change. *A retraction* of a post retracts its score from state. A model switch re-points every post at one tick; what the new
//! model has not answered yet becomes wanted. Votes never come here.

use crate::event::{Control, Fact, clock_of};
use crate::expiry::Expiry;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, Emit, per_tick};
use groundswell_core::id::{ModelKey, PostKey, TextKey};
use groundswell_core::score::{Rung, Score};
use groundswell_core::table;
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Input of the operator, keyed by text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TextEvent {
    /// A live post has this text (and was written then, for "newest first").
    Post(PostKey, EventTime),
    /// A recorded answer.
    Fact(ModelKey, Option<Score>),
}

/// A text that waits for the live model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Wanted {
    /// The text.
    pub text: TextKey,
    /// Its newest post was written then.
    pub at: EventTime,
    /// Something stands for an answer: nobody waits for a better one, which may come or not.
    pub stopgap: bool,
}

/// Output of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scored {
    /// The post's score by the live model.
    Post(PostKey, Score),
    /// No model has answered for this text.
    Wanted(Wanted),
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

/// See the module documentation; `retention` in ms. With a `ladder` texts for which something only stands stay wanted.
pub fn score<'s>(
    posts: VecCollection<'s, Tick, (TextKey, PostKey, EventTime)>,
    facts: VecCollection<'s, Tick, Fact>,
    control: VecCollection<'s, Tick, Control>,
    retention: Option<i64>,
    ladder: bool,
    recalled: Arc<Recalled>,
) -> VecCollection<'s, Tick, Scored> {
    let posts = posts.map(|(text, post, at)| (text, TextEvent::Post(post, at)));
    let facts = facts.map(|fact| (fact.text, TextEvent::Fact(fact.model, fact.score)));
    let mut table = Table::new(retention, ladder);
    per_tick(
        posts.concat(facts),
        control.filter(move |c| match c {
            Control::Clock(_) => retention.is_some(),
            other => matches!(other, Control::LiveModel(_)),
        }),
        "Score",
        |(text, _)| text.route(),
        move |Complete { tick, rows, side }, out| {
            if let Some(clock) = clock_of(side) {
                table.forget(clock);
            }
            let mut live = side
                .drain(..)
                .filter_map(|(c, _)| if let Control::LiveModel(m) = c { Some(m) } else { None });
            if let Some(model) = live.next_back() {
                table.switch(model, out);
            }
            rows.sort_unstable_by_key(|((text, _), diff)| (*text, *diff));
            for group in rows.chunk_by(|a, b| a.0.0 == b.0.0) {
                recalled.add(tick, table.apply(group[0].0.0, group, out));
            }
        },
    )
}

type Out<'a, 'b> = Emit<'a, Scored, isize>;

type Posts = SmallVec<[(PostKey, EventTime); 1]>;

#[derive(Default)]
struct Text {
    posts: Posts,
    facts: SmallVec<[(ModelKey, Option<Score>); 1]>,
}

/// What a text shows for one model: its posts' score, and whether it waits, since when and for what.
#[derive(PartialEq, Clone, Copy, Default)]
struct Shown {
    score: Option<Score>,
    wanted: Option<(EventTime, bool)>,
}

fn quality(fact: Option<&Score>) -> i64 {
    fact.map_or(0, |score| score.rung.quality())
}

impl Text {
    fn shown(&self, live: Option<ModelKey>, ladder: bool) -> Shown {
        let Some(live) = live else { return Shown::default() };
        let fact = self.facts.iter().find(|(model, _)| *model == live);
        let score = fact.and_then(|(_, score)| *score);
        let stopgap = fact.is_some();
        let waits = !stopgap || (ladder && quality(score.as_ref()) <= Rung::Neutral.quality());
        let newest = || self.posts.iter().map(|(_, at)| *at).max();
        Shown {
            score,
            wanted: if waits { newest().map(|at| (at, stopgap)) } else { None },
        }
    }

    /// Of equals the first stands: a fact is true for ever.
    fn learn(&mut self, model: ModelKey, score: Option<Score>) {
        match self.facts.iter_mut().find(|(m, _)| *m == model) {
            None => self.facts.push((model, score)),
            Some((_, known)) if quality(score.as_ref()) > quality(known.as_ref()) => *known = score,
            Some(_) => {}
        }
    }
}

#[derive(Default)]
struct Table {
    live: Option<ModelKey>,
    ladder: bool,
    texts: table::Table<TextKey, Text>,
    /// Texts that lost their last post, by the clock when they did.
    unused: Option<Expiry<TextKey>>,
}

impl Table {
    fn new(retention: Option<i64>, ladder: bool) -> Self {
        Table {
            ladder,
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

    fn switch(&mut self, model: ModelKey, out: &mut Out<'_, '_>) {
        let old = self.live.replace(model);
        if old == self.live {
            return;
        }
        for (key, text) in self.texts.iter() {
            let (before, after) = (text.shown(old, self.ladder), text.shown(self.live, self.ladder));
            rescore(&text.posts, before.score, -1, out);
            rescore(&text.posts, after.score, 1, out);
            want(key, before.wanted, after.wanted, out);
        }
    }

    /// Applies the events of a text; how many posts found it answered.
    fn apply(&mut self, key: TextKey, events: &[((TextKey, TextEvent), isize)], out: &mut Out<'_, '_>) -> usize {
        let text = self.texts.get_or_default(key);
        let before = text.shown(self.live, self.ladder);
        let (mut gone, mut new) = (Posts::new(), Posts::new());
        for ((_, event), diff) in events {
            match event {
                TextEvent::Post(post, at) if *diff > 0 => new.push((*post, *at)),
                TextEvent::Post(post, at) => gone.push((*post, *at)),
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
        let after = text.shown(self.live, self.ladder);
        rescore(&gone, before.score, -1, out);
        rescore(&new, after.score, 1, out);
        // A text shared by thousands must not re-emit them all.
        if before.score != after.score {
            rescore(&stayed, before.score, -1, out);
            rescore(&stayed, after.score, 1, out);
        }
        want(key, before.wanted, after.wanted, out);
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

fn rescore(posts: &[(PostKey, EventTime)], score: Option<Score>, diff: isize, out: &mut Out<'_, '_>) {
    for (post, _) in posts {
        score
            .into_iter()
            .for_each(|score| out.give(Scored::Post(*post, score), diff));
    }
}

fn want(text: TextKey, before: Option<(EventTime, bool)>, after: Option<(EventTime, bool)>, out: &mut Out<'_, '_>) {
    if before == after {
        return;
    }
    for (wanted, diff) in [(before, -1), (after, 1)] {
        if let Some((at, stopgap)) = wanted {
            out.give(Scored::Wanted(Wanted { text, at, stopgap }), diff);
        }
    }
}
