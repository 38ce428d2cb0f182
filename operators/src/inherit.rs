//! Inherit: a reply without a mention of its own takes its parent's.
//!
//! *In*: what [`crate::link`] said about each post. *Out*: the effective mentions of every post that has any. *State*:
//! differential's arrangements of mentions by post and of orphan replies by parent. *Emits* at the tick of the change.
//! It is a join to a fixed point, so editing or deleting a parent re-links its whole subtree, and a cycle of replies
//! without mentions simply has none.
//!
//! With a limit, mentions come from ancestors, and through such, that were written at most so long before the reply. A reply
//! passes on what it inherited itself and nothing else: one that is newer than its own replies (clocks differ) may stand between
//! them and an ancestor that would be near enough. The graph remembers posts for twice the limit, so what a reply inherits never
//! depends on what is forgotten.

use crate::link::{Linked, Mentions};
use differential_dataflow::VecCollection;
use differential_dataflow::operators::Iterate;
use groundswell_core::id::PostKey;
use groundswell_core::spec::Method;
use groundswell_core::time::{EventTime, Tick};

/// See the module documentation.
pub fn inherit<'s>(
    linked: VecCollection<'s, Tick, (PostKey, Linked)>,
    enabled: bool,
    limit: Option<i64>,
) -> VecCollection<'s, Tick, (PostKey, Mentions)> {
    if !enabled {
        return linked.flat_map(|(key, linked)| match linked {
            Linked::Direct(mentions, _) => Some((key, mentions)),
            Linked::ReplyTo(..) => None,
        });
    }
    // Without a limit times do not matter, and one that is edited re-links nothing.
    let time = move |at: EventTime| if limit.is_some() { at } else { 0 };
    let limit = limit.unwrap_or(i64::MAX);
    // Mentions, and the oldest post they came from or through.
    let direct = linked.clone().flat_map(move |(key, linked)| match linked {
        Linked::Direct(mentions, at) => Some((key, (mentions, time(at)))),
        Linked::ReplyTo(..) => None,
    });
    let replies = linked.flat_map(move |(child, linked)| match linked {
        Linked::ReplyTo(parent, at) => Some((parent, (child, time(at)))),
        Linked::Direct(..) => None,
    });
    let effective = direct.clone().iterate(|scope, effective| {
        let (direct, replies) = (direct.enter(scope), replies.enter(scope));
        effective
            .join_map(replies, move |_parent, (mentions, oldest), (child, at)| {
                let near = at.saturating_sub(*oldest) <= limit;
                near.then(|| (*child, (inherited(mentions), *at.min(oldest))))
            })
            .flat_map(|inherited| inherited)
            .concat(direct)
    });
    effective.map(|(key, (mentions, _))| (key, mentions))
}

fn inherited(mentions: &Mentions) -> Mentions {
    let mut mentions = mentions.clone();
    mentions.iter_mut().for_each(|m| m.method = Method::Inherited);
    mentions
}
