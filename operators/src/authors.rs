//! Authors: how many distinct authors the posts of a row have.
//!
//! *In*: rows with their sums, the author of every live post in them, and the recorded clock. *Out*: the same rows, the number
//! in their sums. *State*: of every row its sums and how many posts each author has in it; of sliding views that number by step
//! as well, as an author may be in several. *Emits* at the tick of the change. *A retraction* of an author's last post takes one
//! off. Windows beyond retention are dropped whole, with `aggregate`'s rows.
//!
//! A number of distinct things is no sum, so that it cannot ride in the difference as the others do. The operator is rendered
//! for the views that ask for it only; posts without an author add none.

use crate::aggregate::Row;
use crate::aggregate::{dropped, is_sliding, turned};
use crate::event::{Control, clock_of};
use crate::live::Live;
use crate::window::{RowKey, for_each_row};
use differential_dataflow::VecCollection;
use groundswell_core::acc::Acc;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, Dim};
use groundswell_core::scoring::Policy;
use groundswell_core::spec::{ViewKey, ViewSpec};
use groundswell_core::time::{EventTime, Tick};
use hashbrown::hash_map::Entry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Input of the operator, by row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Item {
    /// The row's sums.
    Sums(Acc),
    /// The author of a post in it; of a sliding view, in this step of it.
    Author(Dim),
}

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
        move |row| asks(row.at.view).then_some((row.at, Item::Sums(row.acc)))
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
                    out.push((RowKey { view, key }, Item::Author(author)))
                });
            }
            out
        }
    });
    let sliding: Vec<bool> = views.iter().map(is_sliding).collect();
    let mut states: Vec<View> = views.iter().map(View::new).collect();
    let mut items = sums.concat(posts);
    if let Some(anchored) = anchored {
        items = items.concat(anchored.map(|(row, author)| (row, Item::Author(author))));
    }
    let with_authors = per_tick(
        items,
        control.filter(|c| matches!(c, Control::Clock(_))),
        "Authors",
        move |(row, _)| match sliding.get(usize::from(row.view)) {
            Some(true) => row.route_group(),
            _ => row.route(),
        },
        move |Complete { rows, side, .. }, out| {
            if let Some(clock) = clock_of(side) {
                states.iter_mut().for_each(|view| view.advance(clock));
            }
            for ((row, item), diff) in rows.drain(..) {
                if let Some(view) = states.get_mut(usize::from(row.view)) {
                    match item {
                        Item::Sums(acc) => view.sums(row.key, acc, diff),
                        Item::Author(author) => view.author(row.key, author, diff),
                    }
                }
            }
            for (view, state) in (0u16..).zip(&mut states) {
                state.settle(&mut |key, acc, diff| {
                    let at = RowKey { view, key };
                    out.give(Row { at, acc }, diff);
                });
            }
        },
    );
    others.concat(with_authors)
}

/// A row: its sums, and its posts by author.
#[derive(Default)]
struct Group {
    sums: Option<Acc>,
    posts: DigestMap<Dim, isize>,
}

impl Group {
    /// As it is given out; within a tick numbers of posts may be below zero, after it they are not.
    fn row(&self) -> Option<Acc> {
        let authors = i32::try_from(self.posts.len()).unwrap_or(i32::MAX);
        self.sums.map(|sums| Acc { authors, ..sums })
    }

    fn is_empty(&self) -> bool {
        self.sums.is_none() && self.posts.is_empty()
    }
}

type Groups = DigestMap<[Dim; 4], Group>;

/// One view's rows on this worker.
struct View {
    spec: ViewSpec,
    clock: EventTime,
    /// By window start; all rows of a sliding view under 0, those of an anchored one turned, as in `aggregate`.
    windows: BTreeMap<EventTime, Groups>,
    /// Sliding only: posts by author, by step.
    steps: BTreeMap<EventTime, DigestMap<([Dim; 4], Dim), isize>>,
    /// Touched rows as they were before this tick.
    before: DigestMap<([Dim; 4], EventTime), Option<Acc>>,
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
            let clock_bound = self.spec.window.sliding_bounds(self.clock).0;
            self.steps = self.steps.split_off(&clock_bound);
            return;
        }
        while let Some(start) = self.windows.first_key_value().map(|(start, _)| *start)
            && dropped(&self.spec, self.clock, start)
        {
            for (group, row) in self.windows.remove(&start).unwrap_or_default() {
                self.before.entry((group, start)).or_insert(row.row());
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
                for ((group, author), count) in posts {
                    add(&mut self.windows, &mut self.before, (*group, 0), *author, sign * count);
                }
            }
        }
    }

    fn sums(&mut self, key: ViewKey, acc: Acc, diff: isize) {
        let key = turned(&self.spec, key);
        if diff > 0 {
            let row = self.windows.entry(key.start).or_default().entry(key.group).or_default();
            self.before.entry((key.group, key.start)).or_insert_with(|| row.row());
            row.sums = Some(acc);
        } else if let Some(row) = self.windows.get_mut(&key.start).and_then(|w| w.get_mut(&key.group))
            && row.sums == Some(acc)
        {
            self.before.entry((key.group, key.start)).or_insert_with(|| row.row());
            row.sums = None;
        }
    }

    fn author(&mut self, key: ViewKey, author: Dim, diff: isize) {
        let key = turned(&self.spec, key);
        if dropped(&self.spec, self.clock, key.start) {
            return;
        }
        let mut start = key.start;
        if is_sliding(&self.spec) {
            count(self.steps.entry(start).or_default(), (key.group, author), diff);
            let seen = self.clock > EventTime::MIN && start < self.spec.window.sliding_bounds(self.clock).1;
            if !seen {
                return;
            }
            start = 0;
        }
        add(&mut self.windows, &mut self.before, (key.group, start), author, diff);
    }

    /// Emits what differs from before the tick.
    fn settle(&mut self, give: &mut impl FnMut(ViewKey, Acc, isize)) {
        for ((group, start), before) in self.before.drain() {
            let window = self.windows.get_mut(&start);
            let after = window.as_ref().and_then(|w| w.get(&group)).and_then(Group::row);
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
                before.into_iter().for_each(|acc| give(key, acc, -1));
                after.into_iter().for_each(|acc| give(key, acc, 1));
            }
        }
    }
}

fn add(
    windows: &mut BTreeMap<EventTime, Groups>,
    before: &mut DigestMap<([Dim; 4], EventTime), Option<Acc>>,
    (group, start): ([Dim; 4], EventTime),
    author: Dim,
    diff: isize,
) {
    let row = windows.entry(start).or_default().entry(group).or_default();
    before.entry((group, start)).or_insert_with(|| row.row());
    count(&mut row.posts, author, diff);
}

fn count<K: std::hash::Hash + Eq>(posts: &mut DigestMap<K, isize>, key: K, diff: isize) {
    match posts.entry(key) {
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
