//! Live: everything a view needs to know about a post, in one row.
//!
//! *In*: that rows changed, votes, mentions and scores by post, the switches of the live model, and the clock. *Out*: one
//! [`LivePost`] per live post, tagged with what kind of change it comes from. *State*: the four parts of every post, in
//! [`crate::posts`]; rows are read there as of the tick. *Emits* at the tick of the change, the old row out and the new one in.
//! *A retraction* of any part gives back exactly what was emitted, from state.

use crate::dedupe::Upserted;
use crate::event::Control;
use crate::link::Mentions;
use crate::posts::{AHEAD, Posts, Row, Slot};
use differential_dataflow::VecCollection;
use differential_dataflow::consolidation::consolidate;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{PostKey, TextKey};
use groundswell_core::score::Score;
use groundswell_core::serving::{Cause, LivePost};
use groundswell_core::spec::WeightSpec;
use groundswell_core::time::Tick;
use serde::{Deserialize, Serialize};

/// One part of a post, or that it changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// Another row stands, or none: which is in [`crate::posts`], and the difference says nothing.
    Row,
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
    pub fn of(u: &Upserted) -> Option<Self> {
        match u {
            Upserted::Row(_) => Some(Part::Row),
            Upserted::Votes(votes) => Some(Part::Votes(*votes)),
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

/// See the module documentation; `posts` are those of the [`crate::dedupe`] that the rows come from.
pub fn live<'s>(
    parts: VecCollection<'s, Tick, (PostKey, Part)>,
    control: VecCollection<'s, Tick, Control>,
    weight: WeightSpec,
    posts: Posts,
) -> VecCollection<'s, Tick, Live> {
    per_tick(
        parts,
        // The clock comes with every tick, so that none is passed unnoticed.
        control.filter(|c| matches!(c, Control::LiveModel(_) | Control::Clock(_))),
        "Live",
        |(key, _)| key.route(),
        move |Complete { tick, rows, side }, out| {
            let held = &mut *posts.held();
            let switch = side.iter().any(|(c, _)| matches!(c, Control::LiveModel(_)));
            rows.sort_unstable_by_key(|((key, _), _)| *key);
            let mut rows = rows.drain(..);
            let (mut group, mut turned) = (Vec::new(), false);
            let mut warm = 0;
            while let Some(((key, part), diff)) = rows.next() {
                if warm == 0 {
                    warm = AHEAD;
                    held.warm(rows.as_slice().iter().take(AHEAD).map(|((key, _), _)| *key));
                }
                warm -= 1;
                match part {
                    Part::Row => turned = true,
                    part => group.push((part, diff)),
                }
                if rows.as_slice().first().is_some_and(|((next, _), _)| *next == key) {
                    continue;
                }
                if group.len() > 1 {
                    consolidate(&mut group);
                }
                let mut slot = held.slot(key);
                let row = slot.undo.row(key, slot.post, tick);
                let was = match turned {
                    true => slot.undo.row_before(key, slot.post, tick),
                    false => row,
                };
                let before = was.map(|row| assembled(&row, &slot, &weight));
                let cause = take(&mut slot, &mut group, std::mem::take(&mut turned), switch);
                let after = row.map(|row| assembled(&row, &slot, &weight));
                if after.is_none() {
                    held.release(key, tick);
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
            held.passed(tick);
        },
    )
}

/// A row that stands, with what else is known of the post.
fn assembled(row: &Row, slot: &Slot<'_>, weight: &WeightSpec) -> LivePost {
    let votes = slot.post.counted();
    LivePost {
        text: row.text,
        thread: row.thread,
        author: row.author,
        source: row.source,
        created_at: row.created_at,
        votes,
        weight: weight.weight(votes),
        score: row.given.or_else(|| slot.post.answer(&slot.beside)),
        // What hangs on a post whose text is gone inherits through it; it says nothing itself.
        mentions: if row.text == TextKey::NONE {
            Mentions::new()
        } else {
            slot.mentions().clone()
        },
    }
}

/// Applies net changes, retractions first, and says what kind of change it was; `row` if another one stands, `switch` if another
/// model is live.
fn take(slot: &mut Slot<'_>, changes: &mut Vec<(Part, isize)>, row: bool, switch: bool) -> Cause {
    changes.sort_unstable_by_key(|(_, diff)| *diff);
    let (mut votes, mut links, mut rescored, mut scored) = (false, false, false, false);
    let mut mentions = None;
    for (part, diff) in changes.drain(..) {
        let on = diff > 0;
        match part {
            Part::Row => {}
            Part::Votes(v) => {
                slot.post.count(on.then_some(v));
                votes = true;
            }
            // Entities first, and what the text says after them.
            Part::Mentions(m) => {
                let all = mentions.get_or_insert_with(|| slot.mentions().clone());
                all.retain(|mention| !mention.is_of_entity());
                if on {
                    all.insert_from_slice(0, &m);
                }
                links = true;
            }
            Part::Tags(m) => {
                let all = mentions.get_or_insert_with(|| slot.mentions().clone());
                all.retain(|mention| mention.is_of_entity());
                if on {
                    all.extend(m);
                }
            }
            Part::Score(s) => {
                rescored |= !on && switch;
                scored |= on;
                slot.post.set_answer(on.then_some(s), &mut slot.beside);
            }
        }
    }
    if let Some(mentions) = mentions {
        slot.set_mentions(&mentions);
    }
    let post = &mut *slot.post;
    let unanswered = post.answer(&slot.beside).is_none();
    let late = post.awaits && scored;
    post.awaits = !row && unanswered && (post.awaits || rescored);
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
