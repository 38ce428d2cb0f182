//! Row: what a view asks for of the numbers of a row's posts.
//!
//! *In*: rows with their sums, posts in them with their numbers, and the recorded clock. *Out*: the rows with their numbers.
//! *State*: of every row its sums, and of every number its count and sum; where the view asks for ends, every value with how
//! often it is there, and where it asks for top posts, every post by its value: what goes down or away must leave the right one
//! on top. So ends and top posts cost an entry per post of the rows that are kept, the rest nothing per post. Sliding views keep
//! their posts by step as well. *Emits* at the tick of the change. *A retraction* takes off what was added. Windows beyond
//! retention are dropped whole, with `aggregate`'s rows.

use super::Numbered;
use super::post::Item;
use crate::aggregate::{Row, dropped, is_sliding, turned};
use crate::event::{Control, clock_of};
use crate::window::RowKey;
use differential_dataflow::VecCollection;
use groundswell_core::acc::Acc;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, Dim, PostKey};
use groundswell_core::number::{Numbers, Stat, TopPost};
use groundswell_core::spec::{ViewKey, ViewSpec};
use groundswell_core::time::{EventTime, Tick};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Input of the operator, by row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Input {
    /// The row's sums.
    Sums(Acc),
    /// A post in it; of a sliding view, in this step of it.
    Post(Item),
}

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
    let sliding: Vec<bool> = views.iter().map(is_sliding).collect();
    let mut states: Vec<View> = views.iter().map(View::new).collect();
    per_tick(
        sums.concat(posts.map(|(at, item)| (at, Input::Post(item)))),
        control.filter(|c| matches!(c, Control::Clock(_))),
        "RowNumbers",
        move |(row, _)| match sliding.get(usize::from(row.view)) {
            Some(true) => row.route_group(),
            _ => row.route(),
        },
        move |Complete { rows, side, .. }, out| {
            if let Some(clock) = clock_of(side) {
                states.iter_mut().for_each(|view| view.advance(clock));
            }
            for ((row, input), diff) in rows.drain(..) {
                if let Some(view) = states.get_mut(usize::from(row.view)) {
                    match input {
                        Input::Sums(acc) => view.sums(row.key, acc, diff),
                        Input::Post(item) => view.post(row.key, item, diff),
                    }
                }
            }
            for (view, state) in (0u16..).zip(&mut states) {
                state.settle(&mut |key, (acc, numbers): Shown, diff| {
                    let at = RowKey { view, key };
                    let row = Row { at, acc };
                    out.give(Numbered { row, numbers }, diff);
                });
            }
        },
    )
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

#[derive(Default)]
struct Group {
    sums: Option<Acc>,
    kept: Vec<Kept>,
    top: BTreeMap<Place, i64>,
}

impl Group {
    fn shown(&self, spec: &ViewSpec) -> Option<Shown> {
        let sums = self.sums?;
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
        Some((sums, Arc::new(numbers)))
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
        self.sums.is_none() && self.top.is_empty() && self.kept.iter().all(none)
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

type Groups = DigestMap<[Dim; 4], Group>;

/// One view's rows on this worker.
struct View {
    spec: ViewSpec,
    clock: EventTime,
    /// By window start; all rows of a sliding view under 0.
    windows: BTreeMap<EventTime, Groups>,
    /// Sliding only: posts by step.
    steps: BTreeMap<EventTime, HashMap<([Dim; 4], Item), isize>>,
    /// Touched rows as they were before this tick.
    before: DigestMap<([Dim; 4], EventTime), Option<Shown>>,
}

impl View {
    fn new(spec: &ViewSpec) -> Self {
        View {
            spec: spec.clone(),
            clock: EventTime::MIN,
            windows: BTreeMap::new(),
            steps: BTreeMap::new(),
            before: DigestMap::default(),
        }
    }

    fn advance(&mut self, clock: EventTime) {
        if clock <= self.clock {
            return;
        }
        let was = std::mem::replace(&mut self.clock, clock);
        if is_sliding(&self.spec) {
            self.slide(was);
            let first = self.spec.window.sliding_bounds(self.clock).0;
            self.steps = self.steps.split_off(&first);
            return;
        }
        while let Some(start) = self.windows.first_key_value().map(|(start, _)| *start)
            && dropped(&self.spec, self.clock, start)
        {
            for (group, row) in self.windows.remove(&start).unwrap_or_default() {
                let shown = row.shown(&self.spec);
                self.before.entry((group, start)).or_insert(shown);
            }
        }
    }

    /// Moves the sliding window: steps that enter are added, steps that leave are subtracted.
    fn slide(&mut self, was: EventTime) {
        let window = self.spec.window;
        let inside = |at: EventTime, clock| {
            let (start, end) = window.sliding_bounds(clock);
            clock > EventTime::MIN && start <= at && at < end
        };
        for (step, posts) in &self.steps {
            let sign = isize::from(inside(*step, self.clock)) - isize::from(inside(*step, was));
            if sign != 0 {
                for ((group, item), n) in posts {
                    let row = touch(&mut self.windows, &mut self.before, &self.spec, (*group, 0));
                    row.add(&self.spec, item, sign * n);
                }
            }
        }
    }

    fn sums(&mut self, key: ViewKey, acc: Acc, diff: isize) {
        let key = turned(&self.spec, key);
        let at = (key.group, key.start);
        if diff > 0 {
            touch(&mut self.windows, &mut self.before, &self.spec, at).sums = Some(acc);
        } else {
            let there = self.windows.get(&key.start).and_then(|w| w.get(&key.group));
            if there.is_some_and(|row| row.sums == Some(acc)) {
                touch(&mut self.windows, &mut self.before, &self.spec, at).sums = None;
            }
        }
    }

    fn post(&mut self, key: ViewKey, item: Item, diff: isize) {
        let key = turned(&self.spec, key);
        if dropped(&self.spec, self.clock, key.start) {
            return;
        }
        let mut start = key.start;
        if is_sliding(&self.spec) {
            let step = self.steps.entry(start).or_default();
            let n = step.entry((key.group, item.clone())).or_default();
            *n += diff;
            if *n == 0 {
                step.remove(&(key.group, item.clone()));
            }
            let seen = self.clock > EventTime::MIN && start < self.spec.window.sliding_bounds(self.clock).1;
            if !seen {
                return;
            }
            start = 0;
        }
        touch(&mut self.windows, &mut self.before, &self.spec, (key.group, start)).add(&self.spec, &item, diff);
    }

    /// Emits what differs from before the tick.
    fn settle(&mut self, give: &mut impl FnMut(ViewKey, Shown, isize)) {
        for ((group, start), before) in self.before.drain() {
            let window = self.windows.get_mut(&start);
            let row = window.as_ref().and_then(|w| w.get(&group));
            let after = row.and_then(|row| row.shown(&self.spec));
            if let Some(window) = window {
                if window.get(&group).is_some_and(Group::is_empty) {
                    window.remove(&group);
                }
                if window.is_empty() {
                    self.windows.remove(&start);
                }
            }
            if before != after {
                let key = turned(&self.spec, ViewKey { group, start });
                before.into_iter().for_each(|shown| give(key, shown, -1));
                after.into_iter().for_each(|shown| give(key, shown, 1));
            }
        }
    }
}

/// A row that is about to change; what it was before the tick is remembered.
fn touch<'a>(
    windows: &'a mut BTreeMap<EventTime, Groups>,
    before: &mut DigestMap<([Dim; 4], EventTime), Option<Shown>>,
    spec: &ViewSpec,
    (group, start): ([Dim; 4], EventTime),
) -> &'a mut Group {
    let row = windows.entry(start).or_default().entry(group).or_default();
    before.entry((group, start)).or_insert_with(|| row.shown(spec));
    row
}
