//! Numbers: sums, means, ends and top posts over the numbers of a row's posts (likes, viewers, their authors' followers).
//!
//! Three operators, rendered only for views that use numbers: [`author`] joins what is known of authors to their posts,
//! [`post`] puts a post's own and its author's numbers into the rows the post is in, and [`row`] keeps what a view asks for of
//! each row. Rows of such views leave the graph as [`Numbered`], all others as they are; rules see the sums of both.

pub mod author;
pub mod post;
pub mod row;

use crate::aggregate::Row;
use crate::dedupe::Upserted;
use crate::event::Control;
use crate::live::Live;
use differential_dataflow::VecCollection;
use groundswell_core::id::PostKey;
use groundswell_core::number::{Numbers, Of};
use groundswell_core::scoring::Policy;
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::Tick;
use post::Piece;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A row of a view with its sums and its numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Numbered {
    /// The row.
    pub row: Row,
    /// Its numbers.
    pub numbers: Arc<Numbers>,
}

/// Rows of the views that use numbers, with them.
pub fn numbers<'s>(
    rows: VecCollection<'s, Tick, Row>,
    live: VecCollection<'s, Tick, Live>,
    upserted: VecCollection<'s, Tick, (PostKey, Upserted)>,
    control: VecCollection<'s, Tick, Control>,
    views: &Arc<[ViewSpec]>,
    policies: &Arc<[Policy]>,
) -> VecCollection<'s, Tick, Numbered> {
    let uses = |of: fn(Of) -> bool| {
        let mut used = views.iter().flat_map(|view| &view.extras.numbers);
        used.any(|used| of(used.number.of))
    };
    let mut pieces = live.clone().map(|live| (live.key, Piece::Post(Box::new(live.post))));
    if uses(|of| matches!(of, Of::Post(_))) {
        pieces = pieces.concat(upserted.flat_map(|(key, upserted)| match upserted {
            Upserted::Numbers(values) => Some((key, Piece::Own(values))),
            _ => None,
        }));
    }
    if uses(|of| matches!(of, Of::Author(_))) {
        let of_authors = author::author(live, control.clone());
        pieces = pieces.concat(of_authors.map(|(key, values)| (key, Piece::Author(values))));
    }
    row::row(rows, post::post(pieces, views, policies), control, views)
}
