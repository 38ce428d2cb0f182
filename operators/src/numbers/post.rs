//! Post: a post's numbers, its own and its author's, in the rows it is in.
//!
//! *In*: live posts, their numbers and their authors' by post. *Out*: for every view that uses numbers and every row of it the
//! post is in, the numbers that the view uses. *State*: the three pieces of every live post. *Emits* at the tick of the change,
//! what was out and what is in; nothing where they are the same. *A retraction* of any piece gives back what was emitted.

use crate::window::{RowKey, for_each_row};
use differential_dataflow::VecCollection;
use differential_dataflow::consolidation::consolidate;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, PostKey};
use groundswell_core::number::{MOST_OF_AUTHORS, Of, Values};
use groundswell_core::scoring::Policy;
use groundswell_core::serving::LivePost;
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;

/// A piece of what is known of a post.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Piece {
    /// The post.
    Post(Box<LivePost>),
    /// Its own numbers.
    Own(Values),
    /// Its author's.
    Author(Values<MOST_OF_AUTHORS>),
}

/// A post in a row, with the numbers that the row's view uses, in the view's order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Item {
    /// Which post.
    pub post: PostKey,
    /// When it was written.
    pub at: EventTime,
    /// Its numbers.
    pub values: SmallVec<[Option<i64>; 4]>,
}

/// See the module documentation.
pub fn post<'s>(
    pieces: VecCollection<'s, Tick, (PostKey, Piece)>,
    views: &Arc<[ViewSpec]>,
    policies: &Arc<[Policy]>,
) -> VecCollection<'s, Tick, (RowKey, Item)> {
    let (views, policies) = (Arc::clone(views), Arc::clone(policies));
    let mut posts = DigestMap::<PostKey, Known>::default();
    let nothing = pieces.clone().filter(|_| false).map(|_| ());
    per_tick(
        pieces,
        nothing,
        "PostNumbers",
        |(key, _)| key.route(),
        move |Complete { rows, .. }, out| {
            rows.sort_unstable_by_key(|((key, _), _)| *key);
            let mut rows = rows.drain(..).peekable();
            let mut changes = Vec::new();
            while let Some(((key, piece), diff)) = rows.next() {
                changes.push((piece, diff));
                if rows.peek().is_some_and(|((next, _), _)| *next == key) {
                    continue;
                }
                consolidate(&mut changes);
                let known = posts.entry(key).or_default();
                let before = known.items(key, &views, &policies);
                known.take(&mut changes);
                let after = known.items(key, &views, &policies);
                if known.is_empty() {
                    posts.remove(&key);
                }
                if before != after {
                    before.into_iter().for_each(|item| out.give(item, -1));
                    after.into_iter().for_each(|item| out.give(item, 1));
                }
            }
        },
    )
}

#[derive(Default)]
struct Known {
    post: Option<Box<LivePost>>,
    own: Values,
    author: Values<MOST_OF_AUTHORS>,
}

impl Known {
    fn take(&mut self, changes: &mut Vec<(Piece, isize)>) {
        // What goes before what comes in its place.
        changes.sort_unstable_by_key(|(_, diff)| *diff);
        for (piece, diff) in changes.drain(..) {
            let on = diff > 0;
            match piece {
                Piece::Post(post) => self.post = on.then_some(post),
                Piece::Own(values) => self.own = if on { values } else { Values::default() },
                Piece::Author(values) => self.author = if on { values } else { Values::default() },
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.post.is_none() && self.own.is_empty() && self.author.is_empty()
    }

    fn items(&self, key: PostKey, views: &[ViewSpec], policies: &[Policy]) -> Vec<(RowKey, Item)> {
        let mut items = Vec::new();
        let Some(post) = &self.post else { return items };
        let of = |of: Of| match of {
            Of::Votes => post.votes,
            Of::Post(at) => self.own.get(at),
            Of::Author(at) => self.author.get(at),
        };
        for ((view, spec), policy) in (0u16..).zip(views).zip(policies) {
            if !spec.has_numbers() {
                continue;
            }
            let item = Item {
                post: key,
                at: post.created_at,
                values: spec.extras.numbers.iter().map(|used| of(used.number.of)).collect(),
            };
            // A post without any of them changes nothing of what is kept.
            if item.values.iter().any(Option::is_some) {
                for_each_row(spec, post, *policy, &mut |key| {
                    items.push((RowKey { view, key }, item.clone()));
                });
            }
        }
        items
    }
}
