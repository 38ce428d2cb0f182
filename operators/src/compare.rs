//! Compare: how another model's answers differ from the live one's, over the posts that have both.
//!
//! *In*: posts with a [`Pair`] of answers, and their mentions. *Out*: [`Tally`]s, whose diffs are numbers to be added up:
//! for each model over all posts, and over those that mention an entity, how many posts, how many with the same label, how
//! many of each label, and the sums of both sentiments. *State*: per post its mentions and pairs. *Emits* at the tick of the
//! change, one update per tally that changed. *A retraction* takes away what was added, from state, so that a tally is
//! exactly what a computation from scratch gives. Rendered only where there is a model beside the live one.
//!
//! Integers only; a share or an index is divided out where a tally is read. Posts are not weighted by votes: models are
//! compared as readers of text.

use crate::link::Mentions;
use differential_dataflow::VecCollection;
use differential_dataflow::consolidation::consolidate;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{Dim, ModelKey, PostKey};
use groundswell_core::score::{Label, Score};
use groundswell_core::table::Table;
use groundswell_core::time::Tick;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// What a model says of a text, as far as it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Verdict {
    /// The most probable class.
    pub label: Label,
    /// Sentiment, ppm.
    pub sentiment: i32,
}

impl Verdict {
    /// Of a score.
    pub fn of(score: &Score) -> Self {
        Verdict {
            label: score.label(),
            sentiment: score.sentiment(),
        }
    }
}

/// What the live model and another one say of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// The other model.
    pub model: ModelKey,
    /// The live model's.
    pub live: Verdict,
    /// The other's.
    pub other: Verdict,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Count {
    /// Posts whose thread has no times, where a view has anchored windows; of no model ([`ModelKey::NONE`]).
    Adrift,
    /// Texts of live posts, whatever the model ([`ModelKey::NONE`]).
    Texts,
    /// Of these, those the model has answered for.
    Answered,
    /// Of these, those the live model has answered for and this one has not.
    Behind,
    /// Posts with answers of both.
    Posts,
    /// Of these, those with the same label.
    Agreeing,
    /// Of these, those the live model gives this label.
    Live(Label),
    /// Of these, those the other model gives this label.
    Other(Label),
    /// Sum of the live model's sentiments, ppm.
    LiveSentiment,
    /// Sum of the other model's sentiments, ppm.
    OtherSentiment,
}

/// A number about a model: of one entity's posts, or of all ([`Dim::NONE`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tally {
    /// The model that is compared with the live one.
    pub model: ModelKey,
    /// The entity.
    pub entity: Dim,
    /// What is counted.
    pub count: Count,
}

/// Input of the operator, by post.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Item {
    Pair(Pair),
    Mentions(Mentions),
}

/// See the module documentation.
pub fn compare<'s>(
    pairs: VecCollection<'s, Tick, (PostKey, Pair)>,
    mentions: VecCollection<'s, Tick, (PostKey, Mentions)>,
) -> VecCollection<'s, Tick, Tally> {
    let items = pairs
        .map(|(post, pair)| (post, Item::Pair(pair)))
        .concat(mentions.map(|(post, mentions)| (post, Item::Mentions(mentions))));
    let no_side = items.clone().filter(|_| false).map(|_| ());
    let mut posts = Table::<PostKey, Compared>::default();
    per_tick(
        items,
        no_side,
        "Compare",
        |(post, _)| post.route(),
        move |Complete { rows, .. }, out| {
            let mut tallies = BTreeMap::<Tally, isize>::new();
            rows.sort_unstable_by_key(|((post, _), _)| *post);
            let mut rows = rows.drain(..).peekable();
            let mut group = Vec::new();
            while let Some(((post, item), diff)) = rows.next() {
                group.push((item, diff));
                if rows.peek().is_some_and(|((next, _), _)| *next == post) {
                    continue;
                }
                consolidate(&mut group);
                let slot = posts.get_or_default(post);
                slot.count(-1, &mut tallies);
                slot.take(&mut group);
                slot.count(1, &mut tallies);
                if slot.pairs.is_empty() && slot.mentions.is_empty() {
                    posts.remove(post);
                }
            }
            for (tally, n) in tallies {
                if n != 0 {
                    out.give(tally, n);
                }
            }
        },
    )
}

#[derive(Default)]
struct Compared {
    mentions: Mentions,
    pairs: SmallVec<[Pair; 1]>,
}

impl Compared {
    /// Applies net changes, retractions first.
    fn take(&mut self, changes: &mut Vec<(Item, isize)>) {
        changes.sort_unstable_by_key(|(_, diff)| *diff);
        for (item, diff) in changes.drain(..) {
            match item {
                Item::Mentions(m) => self.mentions = if diff > 0 { m } else { Mentions::new() },
                Item::Pair(pair) if diff > 0 => self.pairs.push(pair),
                Item::Pair(pair) => self.pairs.retain(|p| *p != pair),
            }
        }
    }

    fn count(&self, times: isize, tallies: &mut BTreeMap<Tally, isize>) {
        for pair in &self.pairs {
            let mentioned = self.mentions.iter().map(|mention| mention.entity);
            for entity in std::iter::once(Dim::NONE).chain(mentioned) {
                let model = pair.model;
                let mut add =
                    |count, n: isize| *tallies.entry(Tally { model, entity, count }).or_default() += n * times;
                add(Count::Posts, 1);
                add(Count::Agreeing, isize::from(pair.live.label == pair.other.label));
                add(Count::Live(pair.live.label), 1);
                add(Count::Other(pair.other.label), 1);
                add(Count::LiveSentiment, sum(pair.live.sentiment));
                add(Count::OtherSentiment, sum(pair.other.sentiment));
            }
        }
    }
}

/// A sentiment as part of a sum; the sums are far from the ends of 64 bits.
fn sum(sentiment: i32) -> isize {
    isize::try_from(sentiment).unwrap_or(0)
}
