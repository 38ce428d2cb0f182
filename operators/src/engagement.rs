//! Engagement: what was done with each live post, as numbers, and how much each user did with each author's posts.
//!
//! *In*: standing ties and posts that hang on others, and live rows. *Out*: the numbers of every live post that has any, and
//! what is added to the interactions of a user with an author, as differences: likes count one, comments two, reposts three,
//! views nothing. *State*: per post its author, its numbers and what each user did. *Emits* at the tick of the change. *A
//! retraction* of a post takes back its numbers and what was done with it; what was done waits for the post to come (back).
//!
//! Nobody interacts with themselves, and nobody with posts that have no author.

use crate::event::{Control, PostRow};
use crate::ties::Standing;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, Dim, PostKey};
use groundswell_core::tie::{Engagement, TieKind};
use groundswell_core::time::Tick;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What comes in about a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Item {
    /// It is live, and this is its author.
    Live(Dim),
    /// A user did this.
    Done(Dim, TieKind),
}

/// What is known of posts and authors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Engaged {
    /// A live post's numbers.
    Post(PostKey, Engagement),
    /// A user's interactions with an author: the difference says how many more.
    Bond(Dim, Dim),
}

/// See the module documentation.
pub fn engagement<'s>(
    standing: VecCollection<'s, Tick, Standing>,
    rows: VecCollection<'s, Tick, (PostKey, PostRow)>,
    control: VecCollection<'s, Tick, Control>,
) -> VecCollection<'s, Tick, Engaged> {
    let done = standing.flat_map(|standing| match standing {
        Standing::Tie(key, _) if key.kind == TieKind::Follow => None,
        Standing::Tie(key, _) => Some((key.target, Item::Done(key.user, key.kind))),
        Standing::Child(child) => {
            let kind = if child.repost {
                TieKind::Repost
            } else {
                TieKind::Comment
            };
            Some((child.on, Item::Done(child.author, kind)))
        }
    });
    let live = rows.map(|(post, row)| (post, Item::Live(row.author)));
    let mut posts = DigestMap::<PostKey, Post>::default();
    per_tick(
        done.concat(live),
        control.filter(|_| false),
        "Engagement",
        |(post, _)| post.route(),
        move |Complete { rows, .. }, out| {
            rows.sort_unstable_by_key(|((post, _), _)| *post);
            for items in rows.chunk_by(|a, b| a.0.0 == b.0.0) {
                let Some(((key, _), _)) = items.first() else { continue };
                let slot = posts.entry(*key).or_default();
                let (author, numbers, mut bonds) = (slot.author, slot.numbers, BTreeMap::<Dim, i64>::new());
                let (mut gone, mut came) = (false, None);
                for ((_, item), diff) in items {
                    match item {
                        Item::Live(_) if *diff < 0 => gone = true,
                        Item::Live(author) => came = Some(*author),
                        Item::Done(user, kind) => {
                            let n = i64::try_from(*diff).unwrap_or(0);
                            slot.numbers.add(*kind, n);
                            if kind.weight() != 0 {
                                *bonds.entry(*user).or_default() += n * kind.weight();
                            }
                        }
                    }
                }
                slot.author = came.or(author.filter(|_| !gone));
                let shown = |author: Option<Dim>, numbers: Engagement| author.map(|_| numbers).filter(|n| !n.is_zero());
                let (was, now) = (shown(author, numbers), shown(slot.author, slot.numbers));
                if was != now {
                    was.into_iter().for_each(|n| out.give(Engaged::Post(*key, n), -1));
                    now.into_iter().for_each(|n| out.give(Engaged::Post(*key, n), 1));
                }
                slot.bonds(author, &bonds, &mut |user, author, n| {
                    out.give(Engaged::Bond(user, author), isize::try_from(n).unwrap_or(0));
                });
                if slot.author.is_none() && slot.numbers.is_zero() {
                    posts.remove(key);
                }
            }
        },
    )
}

#[derive(Default)]
struct Post {
    /// Of the live post.
    author: Option<Dim>,
    numbers: Engagement,
    /// What each user did, by weight.
    users: BTreeMap<Dim, i64>,
}

impl Post {
    /// Adds what users did at this tick, and says what that and a change of author do to bonds.
    fn bonds(&mut self, was: Option<Dim>, more: &BTreeMap<Dim, i64>, give: &mut impl FnMut(Dim, Dim, i64)) {
        let now = self.author;
        let counts = |user: Dim, author: Dim| user != author && user != Dim::NONE && author != Dim::NONE;
        let mut tell = |user: Dim, author: Option<Dim>, n: i64| {
            if let Some(author) = author.filter(|author| n != 0 && counts(user, *author)) {
                give(user, author, n);
            }
        };
        if was != now {
            for (user, n) in &self.users {
                tell(*user, was, -n);
                tell(*user, now, *n);
            }
        }
        for (user, n) in more {
            tell(*user, now, *n);
            let slot = self.users.entry(*user).or_default();
            *slot += n;
            if *slot == 0 {
                self.users.remove(user);
            }
        }
    }
}
