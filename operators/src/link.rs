//! Link: which entities a post mentions by its own words.
//!
//! *In*: of which posts another row stands, and the dictionary as control events; rows are read in [`crate::posts`] as of the
//! tick. *Out*: for each post either its direct mentions, or, if it has none and replies to something, an orphan edge (parent,
//! child) along which [`crate::inherit`] looks. *State*: the dictionary with its matcher, and per post, in [`crate::posts`], its
//! mentions. *Emits* at the tick of the change, what differs. *A retraction* gives back what was emitted, from state, never
//! recomputed. A change of the dictionary re-links history: texts are fetched by key and matched again; no text is scored for it.

use crate::event::Control;
use crate::matcher::Matcher;
use crate::posts::{AHEAD, Held, Posts, Row, Slot};
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, Emit, per_tick};
use groundswell_core::id::{Dim, PostKey, TextKey};
use groundswell_core::record::{Entity, Rank, UNRANKED};
use groundswell_core::serving::Mention;
use groundswell_core::spec::LinkSpec;
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

/// See the module documentation; `turned` are posts of which another row stands, or none any more, and `posts` those of the
/// [`crate::dedupe`] that says so.
pub fn link<'s>(
    turned: VecCollection<'s, Tick, PostKey>,
    control: VecCollection<'s, Tick, Control>,
    spec: LinkSpec,
    fetch: FetchText,
    posts: Posts,
) -> VecCollection<'s, Tick, (PostKey, Linked)> {
    let mut linker = Linker {
        spec,
        fetch,
        entities: BTreeMap::new(),
        matcher: None,
    };
    per_tick(
        turned,
        control.filter(|c| matches!(c, Control::Entity { .. })),
        "Link",
        |key| key.route(),
        move |Complete { tick, rows, side }, out| {
            let held = &mut *posts.held();
            let other = linker.learn(side);
            rows.sort_unstable_by_key(|(key, _)| *key);
            rows.dedup_by_key(|(key, _)| *key);
            for turned in rows.chunks(AHEAD) {
                held.warm(turned.iter().map(|(key, _)| *key));
                for (key, _) in turned {
                    linker.turn(held.slot(*key), tick, out);
                }
            }
            if other {
                linker.relink(held, tick, out);
            }
        },
    )
}

/// What is said about a post of which these are the direct mentions.
fn linked(mentions: &Mentions, parent: PostKey, created_at: EventTime, inherit: bool) -> Option<Linked> {
    if !mentions.is_empty() {
        Some(Linked::Direct(mentions.clone(), created_at))
    } else if inherit && parent != PostKey::NONE {
        Some(Linked::ReplyTo(parent, created_at))
    } else {
        None
    }
}

struct Linker {
    spec: LinkSpec,
    fetch: FetchText,
    entities: BTreeMap<Dim, (Rank, Option<Arc<Entity>>)>,
    matcher: Option<Matcher>,
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

    /// Links all posts that stand at a tick; those that it has brought are linked already.
    fn relink(&self, held: &mut Held, tick: Tick, out: &mut Emit<'_, (PostKey, Linked), isize>) {
        let inherit = self.spec.inherit_from_parent;
        let all: Vec<PostKey> = held.posts.iter().map(|(key, _)| key).collect();
        for key in all {
            let mut slot = held.slot(key);
            let Some(row) = slot.undo.row(key, slot.post, tick) else {
                continue;
            };
            let mentions = self.mentions(row.text);
            if mentions != *slot.direct() {
                let said = |mentions| linked(mentions, row.parent, row.created_at, inherit).into_iter();
                said(slot.direct()).for_each(|l| out.give((key, l), -1));
                said(&mentions).for_each(|l| out.give((key, l), 1));
                slot.set_direct(&mentions);
            }
        }
    }

    /// Says what differs about a post of which another row stands at a tick.
    fn turn(&self, mut slot: Slot<'_>, tick: Tick, out: &mut Emit<'_, (PostKey, Linked), isize>) {
        let said = |row: Option<Row>, mentions: &Mentions| {
            let row = row?;
            linked(mentions, row.parent, row.created_at, self.spec.inherit_from_parent)
        };
        let row = slot.undo.row(slot.key, slot.post, tick);
        let before = said(slot.undo.row_before(slot.key, slot.post, tick), slot.direct());
        let mentions = row.map(|row| self.mentions(row.text)).unwrap_or_default();
        let after = said(row, &mentions);
        if before != after {
            before.into_iter().for_each(|l| out.give((slot.key, l), -1));
            after.into_iter().for_each(|l| out.give((slot.key, l), 1));
        }
        slot.set_direct(&mentions);
    }
}
