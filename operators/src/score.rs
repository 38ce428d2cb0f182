//! Score: which answer of the live model each post has, and which texts still want one.
//!
//! *In*: (text, post) pairs of live posts, recorded facts, and the live-model pointer. *Out*: the score of each post, and
//! the texts that wait for the live model (the scorer's work list). *State*: per text its live posts and all known facts;
//! facts stay when the posts go, so an identical text is scored once, ever; with a *retention*, facts nobody had a use for
//! that long are forgotten. *Emits* at the tick of the change. *A
//! retraction* of a post retracts its score from state. A model switch re-points every post at one tick; what the new
//! model has not answered yet becomes wanted. Votes never come here.

use crate::event::{Control, Fact, clock_of};
use crate::expiry::Expiry;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, Emit, per_tick};
use groundswell_core::id::{ModelKey, PostKey, TextKey};
use groundswell_core::score::Score;
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

/// Output of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scored {
    /// The post's score by the live model.
    Post(PostKey, Score),
    /// The live model has not answered for this text; its newest post is this old.
    Wanted(TextKey, EventTime),
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

/// See the module documentation; `retention` in ms.
pub fn score<'s>(
    posts: VecCollection<'s, Tick, (TextKey, PostKey, EventTime)>,
    facts: VecCollection<'s, Tick, Fact>,
    control: VecCollection<'s, Tick, Control>,
    retention: Option<i64>,
    recalled: Arc<Recalled>,
) -> VecCollection<'s, Tick, Scored> {
    let posts = posts.map(|(text, post, at)| (text, TextEvent::Post(post, at)));
    let facts = facts.map(|fact| (fact.text, TextEvent::Fact(fact.model, fact.score)));
    let mut table = Table::new(retention);
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

/// What a text shows for one model: its posts' scores, or that it waits.
#[derive(PartialEq, Clone, Copy)]
enum Shown {
    Nothing,
    Score(Score),
    Wanted(EventTime),
}

impl Text {
    fn shown(&self, live: Option<ModelKey>) -> Shown {
        let Some(live) = live else { return Shown::Nothing };
        match self.facts.iter().find(|(model, _)| *model == live) {
            Some((_, Some(score))) => Shown::Score(*score),
            Some((_, None)) => Shown::Nothing,
            None => self
                .posts
                .iter()
                .map(|(_, at)| *at)
                .max()
                .map_or(Shown::Nothing, Shown::Wanted),
        }
    }
}

#[derive(Default)]
struct Table {
    live: Option<ModelKey>,
    texts: table::Table<TextKey, Text>,
    /// Texts that lost their last post, by the clock when they did.
    unused: Option<Expiry<TextKey>>,
}

impl Table {
    fn new(retention: Option<i64>) -> Self {
        Table {
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
            emit(key, &text.posts, text.shown(old), -1, out);
            emit(key, &text.posts, text.shown(self.live), 1, out);
        }
    }

    /// Applies the events of a text; how many posts found it answered.
    fn apply(&mut self, key: TextKey, events: &[((TextKey, TextEvent), isize)], out: &mut Out<'_, '_>) -> usize {
        let text = self.texts.get_or_default(key);
        let before = text.shown(self.live);
        let (mut gone, mut new) = (Posts::new(), Posts::new());
        for ((_, event), diff) in events {
            match event {
                TextEvent::Post(post, at) if *diff > 0 => new.push((*post, *at)),
                TextEvent::Post(post, at) => gone.push((*post, *at)),
                // The first recorded answer stands: a fact is true for ever.
                TextEvent::Fact(model, score) => {
                    if text.facts.iter().all(|(m, _)| m != model) {
                        text.facts.push((*model, *score));
                    }
                }
            }
        }
        text.posts.retain(|post| !gone.contains(post));
        let stayed = text.posts.clone();
        let found = if matches!(before, Shown::Score(_)) {
            new.len().saturating_sub(gone.len())
        } else {
            0
        };
        text.posts.extend(new.iter().copied());
        let after = text.shown(self.live);
        if before == after {
            // Only the posts that came or went: a text shared by thousands must not re-emit them all.
            if matches!(after, Shown::Score(_)) {
                emit(key, &gone, before, -1, out);
                emit(key, &new, after, 1, out);
            }
        } else {
            emit(key, &stayed, before, -1, out);
            emit(
                key,
                &gone,
                if matches!(before, Shown::Score(_)) {
                    before
                } else {
                    Shown::Nothing
                },
                -1,
                out,
            );
            emit(key, &text.posts, after, 1, out);
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

fn emit(key: TextKey, posts: &[(PostKey, EventTime)], shown: Shown, diff: isize, out: &mut Out<'_, '_>) {
    match shown {
        Shown::Nothing => {}
        Shown::Score(score) => posts
            .iter()
            .for_each(|(post, _)| out.give(Scored::Post(*post, score), diff)),
        Shown::Wanted(at) => out.give(Scored::Wanted(key, at), diff),
    }
}
