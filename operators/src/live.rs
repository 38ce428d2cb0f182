//! Live: everything a view needs to know about a post, in one row.
//!
//! *In*: rows, votes, mentions and scores by post, and the switches of the live model. *Out*: one [`LivePost`] per live post, tagged with what kind of change
//! it comes from. *State*: the four parts of every post, fixed-width. *Emits* at the tick of the change, the old row out
//! and the new one in. *A retraction* of any part gives back exactly what was emitted, from state.

use crate::dedupe::Upserted;
use crate::event::{Control, PostRow};
use crate::link::Mentions;
use differential_dataflow::VecCollection;
use differential_dataflow::consolidation::consolidate;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{Dim, PostKey, TextKey};
use groundswell_core::score::Score;
use groundswell_core::serving::{Cause, LivePost};
use groundswell_core::spec::WeightSpec;
use groundswell_core::table::Table;
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};

/// One part of a post.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// Its row.
    Row(PostRow),
    /// Its votes, where known.
    Votes(i64),
    /// Its mentions, inherited ones included.
    Mentions(Mentions),
    /// Its hashtags and names.
    Tags(Mentions),
    /// The live model's answer.
    Score(Score),
}

impl Part {
    /// What stands for a post, as one of its parts.
    pub fn of(u: Upserted) -> Option<Self> {
        match u {
            Upserted::Row(row) => Some(Part::Row(row)),
            Upserted::Votes(votes) => Some(Part::Votes(votes)),
            Upserted::Unchanged(_) | Upserted::Numbers(_) => None,
        }
    }
}

/// A live post and why it was emitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Live {
    /// The post's key.
    pub key: PostKey,
    /// The post.
    pub post: LivePost,
    /// The kind of change; not part of the post's identity, so strip it before arranging.
    pub cause: Cause,
}

/// See the module documentation.
pub fn live<'s>(
    parts: VecCollection<'s, Tick, (PostKey, Part)>,
    control: VecCollection<'s, Tick, Control>,
    weight: WeightSpec,
) -> VecCollection<'s, Tick, Live> {
    let mut posts = Table::<PostKey, Assembled>::default();
    per_tick(
        parts,
        control.filter(|c| matches!(c, Control::LiveModel(_))),
        "Live",
        |(key, _)| key.route(),
        move |Complete { rows, side, .. }, out| {
            let switch = !side.is_empty();
            rows.sort_unstable_by_key(|((key, _), _)| *key);
            let mut rows = rows.drain(..).peekable();
            let mut group = Vec::new();
            while let Some(((key, part), diff)) = rows.next() {
                group.push((part, diff));
                if rows.peek().is_some_and(|((next, _), _)| *next == key) {
                    continue;
                }
                if group.len() > 1 {
                    consolidate(&mut group);
                }
                let slot = posts.get_or_default(key);
                let before = slot.post(&weight);
                let cause = slot.take(&mut group, switch);
                let after = slot.post(&weight);
                if slot.is_empty() {
                    posts.remove(key);
                }
                if before != after {
                    let cause = if after.is_none() { Cause::Deletion } else { cause };
                    before
                        .into_iter()
                        .for_each(|post| out.give(Live { key, post, cause }, -1));
                    after
                        .into_iter()
                        .for_each(|post| out.give(Live { key, post, cause }, 1));
                }
            }
        },
    )
}

/// What is kept of a post: there is one for every post.
#[derive(Default)]
struct Assembled {
    row: Option<Kept>,
    votes: Option<i64>,
    mentions: Mentions,
    score: Scores,
    /// A switch of models took its score away, and the new model's is still to come.
    awaits: bool,
}

/// Of a [`PostRow`], what a [`LivePost`] is made of.
struct Kept {
    text: TextKey,
    thread: Dim,
    author: Dim,
    source: Dim,
    created_at: EventTime,
}

/// The sentiment that came with a post's row and the live model's answer. Hardly any post has both.
#[derive(Default)]
enum Scores {
    #[default]
    Neither,
    Given(Score),
    Answer(Score),
    Both(Box<[Score; 2]>),
}

impl Scores {
    fn given(&self) -> Option<Score> {
        match self {
            Scores::Given(given) => Some(*given),
            Scores::Both(both) => Some(both[0]),
            Scores::Neither | Scores::Answer(_) => None,
        }
    }

    fn answer(&self) -> Option<Score> {
        match self {
            Scores::Answer(answer) => Some(*answer),
            Scores::Both(both) => Some(both[1]),
            Scores::Neither | Scores::Given(_) => None,
        }
    }

    fn set(&mut self, given: Option<Score>, answer: Option<Score>) {
        *self = match (given, answer) {
            (None, None) => Scores::Neither,
            (Some(given), None) => Scores::Given(given),
            (None, Some(answer)) => Scores::Answer(answer),
            (Some(given), Some(answer)) => Scores::Both(Box::new([given, answer])),
        };
    }
}

impl Kept {
    fn of(row: &PostRow) -> Self {
        Kept {
            text: row.text,
            thread: row.thread,
            author: row.author,
            source: row.source,
            created_at: row.created_at,
        }
    }
}

impl Assembled {
    fn post(&self, weight: &WeightSpec) -> Option<LivePost> {
        self.row.as_ref().map(|row| LivePost {
            text: row.text,
            thread: row.thread,
            author: row.author,
            source: row.source,
            created_at: row.created_at,
            votes: self.votes,
            weight: weight.weight(self.votes),
            score: self.score.given().or(self.score.answer()),
            // What hangs on a post whose text is gone inherits through it; it says nothing itself.
            mentions: if row.text == TextKey::NONE {
                Mentions::new()
            } else {
                self.mentions.clone()
            },
        })
    }

    fn is_empty(&self) -> bool {
        self.row.is_none() && self.votes.is_none() && self.mentions.is_empty() && self.score.answer().is_none()
    }

    /// Applies net changes, retractions first, and says what kind of change it was; `switch` if another model is live.
    fn take(&mut self, changes: &mut Vec<(Part, isize)>, switch: bool) -> Cause {
        changes.sort_unstable_by_key(|(_, diff)| *diff);
        let (mut row, mut votes, mut links, mut rescored, mut scored) = (false, false, false, false, false);
        for (part, diff) in changes.drain(..) {
            let on = diff > 0;
            match part {
                Part::Row(r) => {
                    self.score.set(r.given.filter(|_| on), self.score.answer());
                    (self.row, row) = (on.then(|| Kept::of(&r)), true);
                }
                Part::Votes(v) => (self.votes, votes) = (on.then_some(v), true),
                // Entities first, and what the text says after them.
                Part::Mentions(m) => {
                    self.mentions.retain(|mention| !mention.is_of_entity());
                    if on {
                        self.mentions.insert_from_slice(0, &m);
                    }
                    links = true;
                }
                Part::Tags(m) => {
                    self.mentions.retain(|mention| mention.is_of_entity());
                    if on {
                        self.mentions.extend(m);
                    }
                }
                Part::Score(s) => {
                    rescored |= !on && switch;
                    scored |= on;
                    self.score.set(self.score.given(), on.then_some(s));
                }
            }
        }
        let late = self.awaits && scored;
        self.awaits = !row && self.score.answer().is_none() && (self.awaits || rescored);
        if row {
            Cause::Data
        } else if rescored || late {
            Cause::Model
        } else if links {
            Cause::Entities
        } else if votes && !scored {
            Cause::Votes
        } else {
            Cause::Data
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_as_large_as_the_performance_page_says() {
        assert_eq!(size_of::<(PostKey, Assembled)>(), 168);
    }
}
