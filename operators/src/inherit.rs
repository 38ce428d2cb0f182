//! Inherit: a reply without a mention of its own takes its parent's.
//!
//! *In*: what [`crate::link`] said about each post. *Out*: the effective mentions of every post that has any. *State*:
//! differential's arrangements of mentions by post and of orphan replies by parent. *Emits* at the tick of the change.
//! It is a join to a fixed point, so editing or deleting a parent re-links its whole subtree, and a cycle of replies
//! without mentions simply has none.

use crate::link::{Linked, Mentions};
use differential_dataflow::VecCollection;
use differential_dataflow::operators::Iterate;
use groundswell_core::id::PostKey;
use groundswell_core::spec::Method;
use groundswell_core::time::Tick;

/// See the module documentation.
pub fn inherit<'s>(
    linked: VecCollection<'s, Tick, (PostKey, Linked)>,
    enabled: bool,
) -> VecCollection<'s, Tick, (PostKey, Mentions)> {
    let direct = linked.clone().flat_map(|(key, linked)| match linked {
        Linked::Direct(mentions) => Some((key, mentions)),
        Linked::ReplyTo(_) => None,
    });
    if !enabled {
        return direct;
    }
    let replies = linked.flat_map(|(child, linked)| match linked {
        Linked::ReplyTo(parent) => Some((parent, child)),
        Linked::Direct(_) => None,
    });
    direct.clone().iterate(|scope, effective| {
        let (direct, replies) = (direct.enter(scope), replies.enter(scope));
        effective
            .join_map(replies, |_parent, mentions, child| (*child, inherited(mentions)))
            .concat(direct)
    })
}

fn inherited(mentions: &Mentions) -> Mentions {
    let mut mentions = mentions.clone();
    mentions.iter_mut().for_each(|m| m.method = Method::Inherited);
    mentions
}
