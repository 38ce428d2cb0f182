//! Row: what a view asks for of the numbers of a row's posts.
//!
//! *In*: rows with their sums, posts in them with their numbers, and the recorded clock. *Out*: the rows with their numbers.
//! *State* (`beside`): of every row and number its count and sum; where the view asks for ends, every value with how
//! often it is there, and where it asks for top posts, every post by its value: what goes down or away must leave the right one
//! on top. So ends and top posts cost an entry per post of the rows that are kept, the rest nothing per post. *Emits* at the
//! tick of the change. *A retraction* takes off what was added.

use super::Numbered;
use super::post::Item;
use crate::aggregate::Row;
use crate::beside::{Beside, Input, beside};
use crate::event::Control;
use crate::window::RowKey;
use differential_dataflow::VecCollection;
use groundswell_core::acc::Acc;
use groundswell_core::id::PostKey;
use groundswell_core::number::{Numbers, Stat, TopPost};
use groundswell_core::spec::ViewSpec;
use groundswell_core::time::{EventTime, Tick};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module documentation; rows of views without numbers are left out.
pub fn row<'s>(
    rows: VecCollection<'s, Tick, Row>,
    posts: VecCollection<'s, Tick, (RowKey, Item)>,
    control: VecCollection<'s, Tick, Control>,
    views: &Arc<[ViewSpec]>,
) -> VecCollection<'s, Tick, Numbered> {
    let asks: Vec<bool> = views.iter().map(ViewSpec::has_numbers).collect();
    let sums = rows.flat_map(move |row| {
        let asks = asks.get(usize::from(row.at.view)) == Some(&true);
        asks.then_some((row.at, Input::Sums(row.acc)))
    });
    let items = sums.concat(posts.map(|(at, item)| (at, Input::Post(item))));
    beside::<Group>(items, control, views, "RowNumbers").map(|(at, (acc, numbers))| Numbered {
        row: Row { at, acc },
        numbers,
    })
}

/// A row as it is given out.
type Shown = (Acc, Arc<Numbers>);

/// Place of a post among those of a row: by value, the greatest first, then the older, then by digest.
type Place = (Reverse<i64>, EventTime, PostKey);

/// One number over a row's posts. Within a tick counts may be below zero, after it they are not.
#[derive(Clone, Default)]
struct Kept {
    known: i64,
    sum: i128,
    squares: i128,
    /// Values with how often they are there, where the view asks for ends.
    values: BTreeMap<i64, i64>,
}

/// The numbers of a row's posts.
#[derive(Default)]
struct Group {
    kept: Vec<Kept>,
    top: BTreeMap<Place, i64>,
}

impl Beside for Group {
    type Item = Item;
    type Shown = Shown;

    fn shown(&self, spec: &ViewSpec, sums: Acc) -> Shown {
        let stat = |(at, used): (usize, &groundswell_core::spec::Used)| {
            let kept = self.kept.get(at);
            kept.map_or_else(Stat::default, |kept| Stat {
                known: kept.known,
                sum: kept.sum,
                squares: if used.squares { kept.squares } else { 0 },
                bounds: kept
                    .values
                    .first_key_value()
                    .zip(kept.values.last_key_value())
                    .map(|((least, _), (most, _))| (*least, *most)),
            })
        };
        let k = spec.extras.top.as_ref().map_or(0, |top| top.k);
        let top = self.top.keys().take(k).map(|(value, _, post)| TopPost {
            post: *post,
            value: value.0,
        });
        let numbers = Numbers {
            stats: spec.extras.numbers.iter().enumerate().map(stat).collect(),
            top: top.collect(),
        };
        (sums, Arc::new(numbers))
    }

    fn add(&mut self, spec: &ViewSpec, item: &Item, diff: isize) {
        let by = diff as i64;
        self.kept.resize_with(spec.extras.numbers.len(), Kept::default);
        for ((kept, used), value) in self.kept.iter_mut().zip(&spec.extras.numbers).zip(&item.values) {
            let Some(value) = *value else { continue };
            let wide = i128::from(value);
            kept.known += by;
            kept.sum += wide * i128::from(by);
            kept.squares += wide * wide * i128::from(by);
            if used.bounds {
                count(&mut kept.values, value, by);
            }
        }
        if let Some(top) = &spec.extras.top
            && let Some(Some(value)) = item.values.get(top.by)
        {
            count(&mut self.top, (Reverse(*value), item.at, item.post), by);
        }
    }

    fn is_empty(&self) -> bool {
        let none = |kept: &Kept| kept.known == 0 && kept.values.is_empty();
        self.top.is_empty() && self.kept.iter().all(none)
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, i64>, key: K, by: i64) {
    use std::collections::btree_map::Entry;
    match counts.entry(key) {
        Entry::Vacant(slot) => {
            slot.insert(by);
        }
        Entry::Occupied(mut slot) => {
            *slot.get_mut() += by;
            if *slot.get() == 0 {
                slot.remove();
            }
        }
    }
}
