//! Beside: what rows have that is no sum, kept beside their sums.
//!
//! *In*: rows with their sums, something of every post in them, and the recorded clock. *Out*: the rows with what a [`Beside`]
//! makes of its posts. *State*: of every row its sums and its [`Beside`]; of sliding views what came of posts by step as well, as
//! a row there is of several steps. *Emits* at the tick of the change. *A retraction* takes off what was added. Windows beyond
//! retention are dropped whole, with `aggregate`'s rows.

use crate::aggregate::{dropped, is_sliding, turned};
use crate::event::{Control, clock_of};
use crate::window::RowKey;
use differential_dataflow::{ExchangeData, VecCollection};
use groundswell_core::acc::Acc;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, Dim};
use groundswell_core::spec::{ViewKey, ViewSpec};
use groundswell_core::time::{EventTime, Tick};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::Hash;

/// What is made of the posts of one row. Within a tick counts may be below zero, after it they are not.
pub(crate) trait Beside: Default + 'static {
    /// Of one post.
    type Item: ExchangeData + Hash;
    /// The row as it is given out.
    type Shown: Clone + PartialEq + 'static;

    /// Adds so many posts, or takes them off.
    fn add(&mut self, spec: &ViewSpec, item: &Self::Item, diff: isize);
    /// The row with these sums.
    fn shown(&self, spec: &ViewSpec, sums: Acc) -> Self::Shown;
    /// Whether no post is in it.
    fn is_empty(&self) -> bool;
}

/// Input of the operator, by row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Input<I> {
    /// The row's sums.
    Sums(Acc),
    /// A post in it; of a sliding view, in this step of it.
    Post(I),
}

/// See the module documentation. Rows that have no sums are not given out.
pub(crate) fn beside<'s, B: Beside>(
    items: VecCollection<'s, Tick, (RowKey, Input<B::Item>)>,
    control: VecCollection<'s, Tick, Control>,
    views: &[ViewSpec],
    name: &str,
) -> VecCollection<'s, Tick, (RowKey, B::Shown)> {
    let sliding: Vec<bool> = views.iter().map(is_sliding).collect();
    let mut states: Vec<View<B>> = views.iter().map(View::new).collect();
    per_tick(
        items,
        control.filter(|c| matches!(c, Control::Clock(_))),
        name,
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
                state.settle(&mut |key, shown, diff| out.give((RowKey { view, key }, shown), diff));
            }
        },
    )
}

/// A row: its sums, and what is beside them.
struct Kept<B> {
    sums: Option<Acc>,
    beside: B,
}

impl<B: Beside> Default for Kept<B> {
    fn default() -> Self {
        Kept {
            sums: None,
            beside: B::default(),
        }
    }
}

impl<B: Beside> Kept<B> {
    fn shown(&self, spec: &ViewSpec) -> Option<B::Shown> {
        self.sums.map(|sums| self.beside.shown(spec, sums))
    }

    fn is_empty(&self) -> bool {
        self.sums.is_none() && self.beside.is_empty()
    }
}

type Group = [Dim; 4];

/// One view's rows on this worker.
struct View<B: Beside> {
    spec: ViewSpec,
    clock: EventTime,
    /// By window start; all rows of a sliding view under 0, those of an anchored one turned, as in `aggregate`.
    windows: BTreeMap<EventTime, DigestMap<Group, Kept<B>>>,
    /// Sliding only: posts by step.
    steps: BTreeMap<EventTime, HashMap<(Group, B::Item), isize>>,
    /// Touched rows as they were before this tick.
    before: DigestMap<(Group, EventTime), Option<B::Shown>>,
}

impl<B: Beside> View<B> {
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

    /// Moves the sliding window: steps that enter are added, steps that leave are subtracted and forgotten.
    fn slide(&mut self, was: EventTime) {
        let window = self.spec.window;
        let inside = |at: EventTime, clock| {
            let (start, end) = window.sliding_bounds(clock);
            clock > EventTime::MIN && start <= at && at < end
        };
        let steps = std::mem::take(&mut self.steps);
        for (step, posts) in &steps {
            let sign = isize::from(inside(*step, self.clock)) - isize::from(inside(*step, was));
            if sign != 0 {
                for ((group, item), n) in posts {
                    self.add((*group, 0), item, sign * n);
                }
            }
        }
        self.steps = steps;
        self.steps = self.steps.split_off(&window.sliding_bounds(self.clock).0);
    }

    fn sums(&mut self, key: ViewKey, acc: Acc, diff: isize) {
        let key = turned(&self.spec, key);
        let at = (key.group, key.start);
        if diff > 0 {
            self.touch(at).sums = Some(acc);
        } else {
            let there = self.windows.get(&key.start).and_then(|w| w.get(&key.group));
            if there.is_some_and(|row| row.sums == Some(acc)) {
                self.touch(at).sums = None;
            }
        }
    }

    fn post(&mut self, key: ViewKey, item: B::Item, diff: isize) {
        let key = turned(&self.spec, key);
        if dropped(&self.spec, self.clock, key.start) {
            return;
        }
        if !is_sliding(&self.spec) {
            self.add((key.group, key.start), &item, diff);
            return;
        }
        if self.clock > EventTime::MIN && key.start < self.spec.window.sliding_bounds(self.clock).1 {
            self.add((key.group, 0), &item, diff);
        }
        let step = self.steps.entry(key.start).or_default();
        let slot = step.entry((key.group, item));
        let slot = slot.and_modify(|n| *n += diff).or_insert_entry(diff);
        if *slot.get() == 0 {
            slot.remove();
        }
    }

    fn add(&mut self, at: (Group, EventTime), item: &B::Item, diff: isize) {
        let View {
            windows, before, spec, ..
        } = self;
        touch(windows, before, spec, at).beside.add(spec, item, diff);
    }

    fn touch(&mut self, at: (Group, EventTime)) -> &mut Kept<B> {
        touch(&mut self.windows, &mut self.before, &self.spec, at)
    }

    /// Emits what differs from before the tick.
    fn settle(&mut self, give: &mut impl FnMut(ViewKey, B::Shown, isize)) {
        for ((group, start), before) in self.before.drain() {
            let window = self.windows.get_mut(&start);
            let row = window.as_ref().and_then(|w| w.get(&group));
            let after = row.and_then(|row| row.shown(&self.spec));
            if let Some(window) = window {
                if window.get(&group).is_some_and(Kept::is_empty) {
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
fn touch<'a, B: Beside>(
    windows: &'a mut BTreeMap<EventTime, DigestMap<Group, Kept<B>>>,
    before: &mut DigestMap<(Group, EventTime), Option<B::Shown>>,
    spec: &ViewSpec,
    (group, start): (Group, EventTime),
) -> &'a mut Kept<B> {
    let row = windows.entry(start).or_default().entry(group).or_default();
    before.entry((group, start)).or_insert_with(|| row.shown(spec));
    row
}
