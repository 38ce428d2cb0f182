//! Stories: which posts tell what another one told before.
//!
//! *In*: live rows with a title or an address. *Out*: for each post that tells a story another one began, that one. *State*:
//! the signatures of all such posts, on one worker: whether a post begins a story depends on those before it, and news come
//! by the thousand a minute, not by the hundred thousand. *Emits* at the tick of the change. *A retraction* gives back what
//! was emitted, from state.
//!
//! What a story is does not depend on the order of arrival: of all posts, by `created_at` and then by key, each belongs to
//! the first post before it that began a story at most `within` ago and is like it, and begins a story itself if there is
//! none. So a story is never longer than `within`, and everything in it is like its beginning. Two posts are *like* each
//! other if their addresses are the same, but for what only tracks readers, or their titles nearly are ([`signature`]).

pub mod ledger;
pub mod signature;

use crate::event::{Control, PostRow, clock_of};
use crate::link::FetchText;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{PostKey, TextKey};
use groundswell_core::keywords::{EventsSpec, url_and_title};
use groundswell_core::time::{EventTime, Tick};
use ledger::{Ledger, Place};
use signature::Signature;
use std::sync::Arc;

/// See the module documentation: `(post, the first post of its story)`.
pub fn stories<'s>(
    rows: VecCollection<'s, Tick, (PostKey, PostRow)>,
    control: VecCollection<'s, Tick, Control>,
    spec: EventsSpec,
    fetch: FetchText,
) -> VecCollection<'s, Tick, (PostKey, PostKey)> {
    let signatures = rows.flat_map(move |(key, row)| {
        let about = (row.about != TextKey::NONE).then(|| fetch(row.about)).flatten()?;
        let (url, title) = url_and_title(&about);
        let signature = Signature::of(url, title, spec.similarity);
        (!signature.is_empty()).then(|| (key, row.created_at, Arc::new(signature)))
    });
    let mut ledger = Ledger::new(spec.within, spec.similarity);
    let mut now = EventTime::MIN;
    per_tick(
        signatures,
        control.filter(move |c| spec.keep.is_some() && matches!(c, Control::Clock(_))),
        "Stories",
        |_| 0,
        move |Complete { rows, side, .. }, out| {
            now = now.max(clock_of(side).unwrap_or(EventTime::MIN));
            // Retractions first, so that a replaced post finds its place empty.
            rows.sort_unstable_by_key(|(_, diff)| *diff);
            for ((key, created_at, signature), diff) in rows.drain(..) {
                let place = Place { created_at, key };
                if diff < 0 {
                    ledger.remove(place);
                } else if spec.keep.is_none_or(|keep| created_at.saturating_add(keep) > now) {
                    ledger.insert(place, signature);
                }
            }
            if let Some(keep) = spec.keep {
                ledger.expire(now.saturating_sub(keep));
            }
            for (post, before, after) in ledger.settle() {
                before.into_iter().for_each(|story| out.give((post, story), -1));
                after.into_iter().for_each(|story| out.give((post, story), 1));
            }
        },
    )
}
