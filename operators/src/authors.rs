//! Authors: how many distinct authors the posts of a row have.
//!
//! *In*: rows with their sums, the author of every live post in them, and the recorded clock. *Out*: the same rows, the number
//! in their sums. *State* (`beside`): of every row how many posts each author has in it. *Emits* at the tick of the change.
//! *A retraction* of an author's last post takes one off.
//!
//! A number of distinct things is no sum, so that it cannot ride in the difference as the others do. The operator is rendered
//! for the views that ask for it only; posts without an author add none.

use crate::aggregate::Row;
use crate::beside::{Beside, Input, beside};
use crate::event::Control;
use crate::live::Live;
use crate::window::{RowKey, for_each_row};
use differential_dataflow::VecCollection;
use groundswell_core::acc::Acc;
use groundswell_core::id::{DigestMap, Dim};
use groundswell_core::scoring::Policy;
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::Tick;
use hashbrown::hash_map::Entry;
use std::sync::Arc;

/// Authors by row.
type Authors<'s> = VecCollection<'s, Tick, (RowKey, Dim)>;

/// See the module documentation. Rows of anchored views have their authors from `anchor`. Policies say how answers count in each
/// view, which decides about its groups, and flags of every view whether it asks; rows of others pass by.
pub fn authors<'s>(
    rows: VecCollection<'s, Tick, Row>,
    (live, anchored): (VecCollection<'s, Tick, Live>, Option<Authors<'s>>),
    control: VecCollection<'s, Tick, Control>,
    views: &Arc<[ViewSpec]>,
    (policies, counted): (&Arc<[Policy]>, &Arc<[bool]>),
) -> VecCollection<'s, Tick, Row> {
    let asks = {
        let counted = Arc::clone(counted);
        move |view: u16| counted.get(usize::from(view)) == Some(&true)
    };
    let others = rows.clone().filter({
        let asks = asks.clone();
        move |row| !asks(row.at.view)
    });
    let sums = rows.flat_map({
        let asks = asks.clone();
        move |row| asks(row.at.view).then_some((row.at, Input::Sums(row.acc)))
    });
    let posts = live.flat_map({
        let (views, policies) = (Arc::clone(views), Arc::clone(policies));
        move |live| {
            let mut out = smallvec::SmallVec::<[_; 4]>::new();
            let author = live.post.author;
            for (view, (spec, policy)) in (0u16..)
                .zip(views.iter().zip(policies.iter()))
                .filter(|(view, _)| author != Dim::NONE && asks(*view))
            {
                for_each_row(spec, &live.post, *policy, &mut |key| {
                    out.push((RowKey { view, key }, Input::Post(author)))
                });
            }
            out
        }
    });
    let mut items = sums.concat(posts);
    if let Some(anchored) = anchored {
        items = items.concat(anchored.map(|(row, author)| (row, Input::Post(author))));
    }
    let with_authors = beside::<Posts>(items, control, views, "Authors");
    others.concat(with_authors.map(|(at, acc)| Row { at, acc }))
}

/// A row's posts by author.
#[derive(Default)]
struct Posts(DigestMap<Dim, isize>);

impl Beside for Posts {
    type Item = Dim;
    type Shown = Acc;

    fn add(&mut self, _: &ViewSpec, author: &Dim, diff: isize) {
        match self.0.entry(*author) {
            Entry::Vacant(slot) => {
                slot.insert(diff);
            }
            Entry::Occupied(mut slot) => {
                *slot.get_mut() += diff;
                if *slot.get() == 0 {
                    slot.remove();
                }
            }
        }
    }

    fn shown(&self, _: &ViewSpec, sums: Acc) -> Acc {
        let authors = i32::try_from(self.0.len()).unwrap_or(i32::MAX);
        Acc { authors, ..sums }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
