//! Link: which entities a post mentions by its own words.
//!
//! *In*: live rows, and the dictionary as control events. *Out*: for each post either its direct mentions, or, if it has
//! none and replies to something, an orphan edge (parent, child) along which [`crate::inherit`] looks. *State*: the
//! dictionary with its matcher, and per post its text key, parent and mentions. *Emits* at the tick of the change.
//! *A retraction* gives back what was emitted, from state, never recomputed. A change of the dictionary re-links history:
//! texts are fetched by key and matched again; no text is scored for it.

use crate::event::{Control, PostRow};
use crate::matcher::Matcher;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, Emit, per_tick};
use groundswell_core::id::{Dim, PostKey, TextKey};
use groundswell_core::record::{Entity, Rank, UNRANKED};
use groundswell_core::serving::Mention;
use groundswell_core::spec::LinkSpec;
use groundswell_core::table::Table;
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Mentions of one post, sorted by entity.
pub type Mentions = SmallVec<[Mention; 2]>;

/// What linking says about a post.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Linked {
    /// Mentions by its own words, never empty; and when it was written.
    Direct(Mentions, EventTime),
    /// None of its own; it replies to this post, and was written then.
    ReplyTo(PostKey, EventTime),
}

/// Fetches a text by its key. The answer is a function of the key alone, so the graph stays pure.
pub type FetchText = Arc<dyn Fn(TextKey) -> Option<Arc<str>> + Send + Sync>;

/// See the module documentation.
pub fn link<'s>(
    rows: VecCollection<'s, Tick, (PostKey, PostRow)>,
    control: VecCollection<'s, Tick, Control>,
    spec: LinkSpec,
    fetch: FetchText,
) -> VecCollection<'s, Tick, (PostKey, Linked)> {
    let mut linker = Linker {
        spec,
        fetch,
        entities: BTreeMap::new(),
        matcher: None,
        posts: Table::default(),
    };
    per_tick(
        rows,
        control.filter(|c| matches!(c, Control::Entity { .. })),
        "Link",
        |(key, _)| key.route(),
        move |Complete { rows, side, .. }, out| {
            // Retractions first, so that a replaced row finds its slot empty.
            rows.sort_unstable_by_key(|(_, diff)| *diff);
            let (gone, new) = rows.split_at(rows.partition_point(|(_, diff)| *diff < 0));
            for ((key, _), _) in gone {
                linker.remove(*key, out);
            }
            if linker.learn(side) {
                linker.relink(out);
            }
            for ((key, row), _) in new {
                linker.insert(*key, row, out);
            }
        },
    )
}

#[derive(Default)]
struct Post {
    text: TextKey,
    parent: PostKey,
    created_at: EventTime,
    mentions: Mentions,
}

impl Post {
    fn linked(&self, inherit: bool) -> Option<Linked> {
        if !self.mentions.is_empty() {
            Some(Linked::Direct(self.mentions.clone(), self.created_at))
        } else if inherit && self.parent != PostKey::NONE {
            Some(Linked::ReplyTo(self.parent, self.created_at))
        } else {
            None
        }
    }
}

struct Linker {
    spec: LinkSpec,
    fetch: FetchText,
    entities: BTreeMap<Dim, (Rank, Option<Arc<Entity>>)>,
    matcher: Option<Matcher>,
    posts: Table<PostKey, Post>,
}

impl Linker {
    /// Applies dictionary events; true if the dictionary is a different one now.
    fn learn(&mut self, events: &mut Vec<(Control, isize)>) -> bool {
        let mut changed = false;
        for (control, _) in events.drain(..) {
            let Control::Entity { id, rank, entity } = control else {
                continue;
            };
            let slot = self.entities.entry(id).or_insert((UNRANKED, None));
            if slot.0 <= rank {
                changed |= slot.1 != entity;
                *slot = (rank, entity);
            }
        }
        if changed {
            let all = self.entities.values().filter_map(|(_, e)| e.as_deref());
            self.matcher = Some(Matcher::build(all, &self.spec));
        }
        changed
    }

    fn mentions(&self, text: TextKey) -> Mentions {
        let Some(matcher) = self.matcher.as_ref().filter(|_| text != TextKey::NONE) else {
            return Mentions::new();
        };
        (self.fetch)(text).map(|text| matcher.link(&text)).unwrap_or_default()
    }

    fn relink(&mut self, out: &mut Emit<'_, (PostKey, Linked), isize>) {
        let inherit = self.spec.inherit_from_parent;
        let mut posts = std::mem::take(&mut self.posts);
        for (key, post) in posts.iter_mut() {
            let mentions = self.mentions(post.text);
            if mentions != post.mentions {
                post.linked(inherit).into_iter().for_each(|l| out.give((key, l), -1));
                post.mentions = mentions;
                post.linked(inherit).into_iter().for_each(|l| out.give((key, l), 1));
            }
        }
        self.posts = posts;
    }

    fn insert(&mut self, key: PostKey, row: &PostRow, out: &mut Emit<'_, (PostKey, Linked), isize>) {
        let post = Post {
            text: row.text,
            parent: row.parent,
            created_at: row.created_at,
            mentions: self.mentions(row.text),
        };
        post.linked(self.spec.inherit_from_parent)
            .into_iter()
            .for_each(|l| out.give((key, l), 1));
        self.posts.insert(key, post);
    }

    fn remove(&mut self, key: PostKey, out: &mut Emit<'_, (PostKey, Linked), isize>) {
        if let Some(post) = self.posts.remove(key) {
            post.linked(self.spec.inherit_from_parent)
                .into_iter()
                .for_each(|l| out.give((key, l), -1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_as_large_as_the_performance_page_says() {
        assert_eq!(size_of::<(PostKey, Post)>(), 96);
    }
}
