//! Aggregate: the rows of all views.
//!
//! *In*: contributions as differences of row keys, and the recorded clock. *Out*: for every live row its sums. *State*: the
//! sums of every row by view and window (for sliding views by step, plus the running total per group); windows that ended
//! longer than `keep` before the clock are dropped whole. *Emits* at the tick of the change, old sums out, new sums in;
//! nothing where the sums are what they were. *A retraction* subtracts; a group without posts has no row. Contributions to
//! windows that are already dropped change nothing.
//!
//! The sums are kept in hash maps by window instead of an arrangement: dropping a window gives its memory back at once,
//! and a tick costs one lookup per contribution.

use crate::event::{Control, clock_of};
use crate::window::RowKey;
use differential_dataflow::VecCollection;
use differential_dataflow::difference::{IsZero, Multiply, Semigroup};
use groundswell_core::acc::Acc;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, Dim};
use groundswell_core::spec::{ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A row of a view with its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Row {
    /// Which row.
    pub at: RowKey,
    /// Its sums.
    pub acc: Acc,
}

/// See the module documentation.
pub fn aggregate<'s>(
    contributions: VecCollection<'s, Tick, RowKey, Acc>,
    control: VecCollection<'s, Tick, Control>,
    views: &Arc<[ViewSpec]>,
) -> VecCollection<'s, Tick, Row> {
    let mut states: Vec<View> = views.iter().map(View::new).collect();
    let sliding: Vec<bool> = views.iter().map(is_sliding).collect();
    per_tick(
        contributions,
        control.filter(|c| matches!(c, Control::Clock(_))),
        "Aggregate",
        move |row| {
            if sliding.get(usize::from(row.view)) == Some(&true) {
                row.route_group()
            } else {
                row.route()
            }
        },
        move |Complete { rows, side, .. }, out| {
            if let Some(clock) = clock_of(side) {
                states.iter_mut().for_each(|view| view.advance(clock));
            }
            for (row, acc) in rows.drain(..) {
                if let Some(view) = states.get_mut(usize::from(row.view)) {
                    view.add(row.key, &acc);
                }
            }
            for (view, state) in (0u16..).zip(&mut states) {
                state.settle(&mut |key, acc, diff| {
                    out.give(
                        Row {
                            at: RowKey { view, key },
                            acc,
                        },
                        diff,
                    )
                });
            }
        },
    )
}

/// A row as it is kept here, and back.
pub(crate) fn turned(spec: &ViewSpec, key: ViewKey) -> ViewKey {
    match spec.window {
        WindowSpec::Anchored(_) | WindowSpec::Session(_) => key.by_end(),
        _ => key,
    }
}

/// Whether a view's window moves with the clock.
pub(crate) fn is_sliding(spec: &ViewSpec) -> bool {
    matches!(spec.window, WindowSpec::Sliding { .. })
}

/// Whether a window, or a step of a sliding one, is beyond retention at the clock; of an anchored one by its end.
pub(crate) fn dropped(spec: &ViewSpec, clock: EventTime, start: EventTime) -> bool {
    let kept = |end: EventTime| spec.keep.is_none_or(|keep| end.saturating_add(keep) > clock);
    match spec.window {
        WindowSpec::Sliding { .. } => clock > EventTime::MIN && start < spec.window.sliding_bounds(clock).0,
        WindowSpec::Anchored(_) | WindowSpec::Session(_) => !kept(start),
        window => !kept(start.saturating_add(window.size())),
    }
}

type Groups = DigestMap<[Dim; 4], Acc>;

/// One view's rows on this worker.
struct View {
    spec: ViewSpec,
    clock: EventTime,
    /// Fixed windows: rows by window start. Sliding: contributions by step. Anchored: rows by window end, with the start in
    /// its place in the group.
    windows: BTreeMap<EventTime, Groups>,
    /// Sliding only: sums over the steps inside the window.
    totals: Groups,
    /// Sums of touched rows before this tick.
    before: DigestMap<([Dim; 4], EventTime), Acc>,
}

impl View {
    fn new(spec: &ViewSpec) -> Self {
        View {
            spec: spec.clone(),
            clock: EventTime::MIN,
            windows: BTreeMap::new(),
            totals: Groups::default(),
            before: DigestMap::default(),
        }
    }

    fn advance(&mut self, clock: EventTime) {
        if clock <= self.clock {
            return;
        }
        let was = self.clock;
        self.clock = clock;
        if is_sliding(&self.spec) {
            self.slide(was, clock);
        }
        while let Some(first) = self.windows.first_entry() {
            let start = *first.key();
            if !dropped(&self.spec, self.clock, start) {
                break;
            }
            let Some((_, groups)) = self.windows.pop_first() else {
                break;
            };
            if !is_sliding(&self.spec) {
                for (group, acc) in groups {
                    self.before.entry((group, start)).or_insert(acc);
                }
            }
        }
    }

    /// Moves the sliding window: steps that enter are added, steps that leave are subtracted.
    fn slide(&mut self, was: EventTime, now: EventTime) {
        let inside = |at: EventTime, clock| {
            let (start, end) = self.spec.window.sliding_bounds(clock);
            clock > EventTime::MIN && start <= at && at < end
        };
        for (start, groups) in &self.windows {
            let sign = isize::from(inside(*start, now)) - isize::from(inside(*start, was));
            if sign != 0 {
                for (group, acc) in groups {
                    add(&mut self.totals, &mut self.before, *group, 0, &acc.multiply(&sign));
                }
            }
        }
    }

    fn add(&mut self, key: ViewKey, acc: &Acc) {
        let key = turned(&self.spec, key);
        if dropped(&self.spec, self.clock, key.start) {
            return;
        }
        let sliding = is_sliding(&self.spec);
        let groups = self.windows.entry(key.start).or_default();
        if !sliding {
            add(groups, &mut self.before, key.group, key.start, acc);
            return;
        }
        let step = groups.entry(key.group).or_default();
        step.plus_equals(acc);
        if step.is_zero() {
            groups.remove(&key.group);
        }
        if self.clock > EventTime::MIN && key.start < self.spec.window.sliding_bounds(self.clock).1 {
            add(&mut self.totals, &mut self.before, key.group, 0, acc);
        }
    }

    /// Emits what differs from before the tick.
    fn settle(&mut self, give: &mut impl FnMut(ViewKey, Acc, isize)) {
        let sliding = is_sliding(&self.spec);
        let mut touched = std::mem::take(&mut self.before);
        for ((group, start), before) in touched.drain() {
            let groups = if sliding {
                Some(&self.totals)
            } else {
                self.windows.get(&start)
            };
            let after = groups.and_then(|g| g.get(&group)).copied().unwrap_or_default();
            if before == after {
                continue;
            }
            let key = turned(&self.spec, ViewKey { group, start });
            if !before.is_zero() {
                give(key, before, -1);
            }
            if !after.is_zero() {
                give(key, after, 1);
            } else if !sliding && self.windows.get(&start).is_some_and(|groups| groups.is_empty()) {
                self.windows.remove(&start);
            }
        }
        // Its memory is used again at the next tick.
        self.before = touched;
    }
}

fn add(
    groups: &mut Groups,
    before: &mut DigestMap<([Dim; 4], EventTime), Acc>,
    group: [Dim; 4],
    start: EventTime,
    acc: &Acc,
) {
    let slot = groups.entry(group).or_default();
    before.entry((group, start)).or_insert(*slot);
    slot.plus_equals(acc);
    if slot.is_zero() {
        groups.remove(&group);
    }
}
