//! Author: what is known of a post's author, by post.
//!
//! *In*: live posts, records and purges of authors (on every worker). *Out*: the author's numbers for every live post whose author has
//! some. *State*: by author its newest record's numbers, and its live posts. *Emits* at the tick of the change; a record that
//! changes an author's numbers changes those of all its posts. *A retraction* of a post takes them along; authors are not
//! forgotten, as there is one entry for each however often it is observed.

use crate::event::Control;
use crate::live::Live;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::erasure::Subject;
use groundswell_core::id::{DigestMap, Dim, PostKey};
use groundswell_core::number::{MOST_OF_AUTHORS, Values};
use groundswell_core::record::Rank;
use groundswell_core::time::Tick;
use std::collections::{BTreeMap, BTreeSet};

type OfAuthor = Values<MOST_OF_AUTHORS>;

/// See the module documentation.
pub fn author<'s>(
    live: VecCollection<'s, Tick, Live>,
    control: VecCollection<'s, Tick, Control>,
) -> VecCollection<'s, Tick, (PostKey, OfAuthor)> {
    let mut table = Table::default();
    let posts = live.flat_map(|live| {
        let author = live.post.author;
        (author != Dim::NONE).then_some((author, live.key))
    });
    per_tick(
        posts,
        control.filter(|c| matches!(c, Control::Author { .. } | Control::Purged(Subject::Author(_)))),
        "Author",
        |(author, _)| author.0,
        move |Complete { rows, side, .. }, out| {
            let mut posts = BTreeMap::<(Dim, PostKey), isize>::new();
            for (at, diff) in rows.drain(..) {
                *posts.entry(at).or_default() += diff;
            }
            let records = side.drain(..).filter_map(|(control, _)| match control {
                Control::Author { id, rank, values } => Some((id, Some((rank, values)))),
                Control::Purged(Subject::Author(id)) => Some((id, None)),
                _ => None,
            });
            table.tick(records, posts, &mut |post, values, diff| out.give((post, values), diff));
        },
    )
}

#[derive(Default)]
struct Table {
    known: DigestMap<Dim, (Rank, OfAuthor)>,
    posts: DigestMap<Dim, BTreeSet<PostKey>>,
}

impl Table {
    fn values(&self, author: Dim) -> Option<OfAuthor> {
        let values = self.known.get(&author).map(|(_, values)| *values);
        values.filter(|values| !values.is_empty())
    }

    fn tick(
        &mut self,
        records: impl Iterator<Item = (Dim, Option<(Rank, OfAuthor)>)>,
        posts: BTreeMap<(Dim, PostKey), isize>,
        give: &mut impl FnMut(PostKey, OfAuthor, isize),
    ) {
        // What was known before the tick of authors that are told of in it.
        let (mut before, mut purged) = (BTreeMap::new(), Vec::new());
        for (author, record) in records {
            before.entry(author).or_insert_with(|| self.values(author));
            let Some((rank, values)) = record else {
                purged.push(author);
                continue;
            };
            let slot = self.known.entry(author).or_insert((rank, values));
            if rank > slot.0 {
                *slot = (rank, values);
            }
        }
        // Also what came with the purge's own tick.
        for author in purged {
            self.known.remove(&author);
        }
        before.retain(|author, was| self.values(*author) != *was);
        for (author, was) in &before {
            for post in self.posts.get(author).into_iter().flatten() {
                was.iter().for_each(|values| give(*post, *values, -1));
            }
        }
        for ((author, post), diff) in posts {
            if diff == 0 {
                continue;
            }
            let all = self.posts.entry(author).or_default();
            if diff > 0 {
                all.insert(post);
            } else {
                all.remove(&post);
            }
            if all.is_empty() {
                self.posts.remove(&author);
            }
            if !before.contains_key(&author) {
                self.values(author)
                    .into_iter()
                    .for_each(|values| give(post, values, diff.signum()));
            }
        }
        for author in before.keys() {
            let is = self.values(*author);
            for post in self.posts.get(author).into_iter().flatten() {
                is.iter().for_each(|values| give(*post, *values, 1));
            }
        }
    }
}
