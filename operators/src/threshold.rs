//! Threshold: rules over view rows, as alerts that fire, resolve, or are retracted.
//!
//! *In*: view rows, what kind of change moved them, rules and the recorded clock. *Out*: alert transitions, one update each
//! at the tick they happen. *State*: for every watched group its windows' sums, and per rule the fold of [`series`].
//! *Emits* when the set of alerts changes. *A retraction* of rows re-folds from the earliest window touched: an alert whose
//! reason is gone is retracted; rules are data, so a new rule sees the present rows and a withdrawn one takes its alerts
//! along. Windows that end after the step the clock is in are not looked at yet; windows beyond retention are forgotten
//! without a transition.

pub mod series;

use crate::aggregate::Row;
use crate::event::Control;
use crate::window::RowKey;
use differential_dataflow::VecCollection;
use groundswell_core::acc::Acc;
use groundswell_core::dataflow::{Complete, Emit, per_tick};
use groundswell_core::id::{DigestMap, Dim};
use groundswell_core::record::Rank;
use groundswell_core::serving::{AlertState, Cause};
use groundswell_core::spec::{RuleSpec, ViewKey, ViewSpec};
use groundswell_core::time::{EventTime, Tick};
use serde::{Deserialize, Serialize};
use series::Series;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Input of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Watched {
    /// A row and its sums.
    Row(Row),
    /// A contribution to this row changed, and why.
    Because(RowKey, Cause),
}

impl Watched {
    fn at(&self) -> RowKey {
        match self {
            Watched::Row(row) => row.at,
            Watched::Because(at, _) => *at,
        }
    }
}

/// A transition of an alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Transition {
    /// The rule.
    pub rule: Arc<RuleSpec>,
    /// The row that fired.
    pub fired: RowKey,
    /// The window that moved the alert: the one that fired, or the one that resolved.
    pub window: EventTime,
    /// The new state.
    pub state: AlertState,
    /// Why.
    pub cause: Cause,
    /// Sums of `window`, if it has a row.
    pub acc: Option<Acc>,
}

/// See the module documentation.
pub fn threshold<'s>(
    watched: VecCollection<'s, Tick, Watched>,
    control: VecCollection<'s, Tick, Control>,
    views: &Arc<[ViewSpec]>,
    watch: Watch,
) -> VecCollection<'s, Tick, Transition> {
    let mut table = Table {
        views: Arc::clone(views),
        watch,
        ..Table::default()
    };
    per_tick(
        watched,
        control.filter(|c| matches!(c, Control::Clock(_) | Control::Rule { .. })),
        "Threshold",
        |w| w.at().route_group(),
        move |Complete { rows, side, .. }, out| {
            let mut work = Work::default();
            for (control, _) in side.drain(..) {
                match control {
                    Control::Clock(at) => table.clock = table.clock.max(Some(at)),
                    Control::Rule { id, rank, rule } => table.rule(id, rank, rule, &mut work),
                    _ => {}
                }
            }
            for (watched, diff) in rows.drain(..) {
                table.take(watched, diff, &mut work);
            }
            table.clock_passed(&mut work);
            table.settle(&mut work);
            table.emit(&work, out);
        },
    )
}

type GroupKey = (u16, [Dim; 4]);
/// Finds the view whose rows the rules on a declared view watch.
pub type Watch = Arc<dyn Fn(&str) -> Option<u16> + Send + Sync>;
/// Windows that end after the present step, by view and end.
type Waiting = BTreeMap<(u16, EventTime), BTreeSet<([Dim; 4], EventTime)>>;
type Out<'a, 'b> = Emit<'a, Transition, isize>;

/// An alert: rule, group, and the window that fired.
type AlertKey = (Dim, GroupKey, EventTime);

/// What a tick touched.
#[derive(Default)]
struct Work {
    /// Alerts that may have changed, with what they were before the tick.
    before: BTreeMap<AlertKey, Option<Option<EventTime>>>,
    /// Rules that changed, as they were.
    old_rules: BTreeMap<Dim, Option<Arc<RuleSpec>>>,
    changed: BTreeMap<GroupKey, BTreeSet<EventTime>>,
    causes: DigestMap<GroupKey, BTreeMap<Cause, usize>>,
}

impl Work {
    /// The most frequent kind of change in a group, the stronger kind on a tie.
    fn cause(&self, group: &GroupKey) -> Cause {
        let counts = self.causes.get(group);
        counts
            .and_then(|c| c.iter().max_by_key(|(cause, n)| (**n, **cause)))
            .map_or(Cause::Data, |(cause, _)| *cause)
    }
}

#[derive(Default)]
struct Group {
    /// Sums of every window, those the clock has not reached included.
    all: BTreeMap<EventTime, Acc>,
    /// Sums of the windows in sight.
    seen: BTreeMap<EventTime, Acc>,
    series: BTreeMap<Dim, Series>,
}

struct Table {
    views: Arc<[ViewSpec]>,
    watch: Watch,
    clock: Option<EventTime>,
    rules: BTreeMap<Dim, (Rank, Option<Arc<RuleSpec>>)>,
    groups: BTreeMap<GroupKey, Group>,
    waiting: Waiting,
    horizon: Vec<EventTime>,
}

impl Default for Table {
    fn default() -> Self {
        Table {
            views: Arc::from([]),
            watch: Arc::new(|_| None),
            clock: None,
            rules: BTreeMap::new(),
            groups: BTreeMap::new(),
            waiting: BTreeMap::new(),
            horizon: Vec::new(),
        }
    }
}

impl Table {
    fn take(&mut self, watched: Watched, diff: isize, work: &mut Work) {
        let at = watched.at();
        let group = (at.view, at.key.group);
        match watched {
            Watched::Because(_, cause) => {
                *work.causes.entry(group).or_default().entry(cause).or_default() += 1;
            }
            Watched::Row(row) => {
                let windows = &mut self.groups.entry(group).or_default().all;
                if diff > 0 {
                    windows.insert(at.key.start, row.acc);
                } else if windows.get(&at.key.start) == Some(&row.acc) {
                    windows.remove(&at.key.start);
                }
                work.changed.entry(group).or_default().insert(at.key.start);
            }
        }
    }

    /// End of the step the clock is in: windows that end later are not looked at yet.
    fn bound(&self, view: u16) -> EventTime {
        match (self.views.get(usize::from(view)), self.clock) {
            (Some(spec), Some(clock)) => spec.window.sliding_bounds(clock).1,
            _ => EventTime::MAX,
        }
    }

    /// Start of the first window still within retention.
    fn first_kept(&self, view: u16) -> EventTime {
        match (self.views.get(usize::from(view)), self.clock) {
            (
                Some(ViewSpec {
                    keep: Some(keep),
                    window,
                    ..
                }),
                Some(clock),
            ) => clock
                .saturating_sub(*keep)
                .saturating_sub(window.size())
                .saturating_add(1),
            _ => EventTime::MIN,
        }
    }

    /// Windows the clock has reached come into sight.
    fn clock_passed(&mut self, work: &mut Work) {
        for view in 0..u16::try_from(self.views.len()).unwrap_or(u16::MAX) {
            let bound = self.bound(view);
            while let Some((&(v, end), _)) = self.waiting.range((view, EventTime::MIN)..=(view, bound)).next() {
                for (group, start) in self.waiting.remove(&(v, end)).unwrap_or_default() {
                    work.changed.entry((view, group)).or_default().insert(start);
                }
            }
            let horizon = self.first_kept(view);
            self.horizon
                .resize(self.views.len().max(self.horizon.len()), EventTime::MIN);
            if horizon > self.horizon[usize::from(view)] {
                self.horizon[usize::from(view)] = horizon;
                self.forget(view, horizon, work);
            }
        }
    }

    fn forget(&mut self, view: u16, horizon: EventTime, work: &mut Work) {
        let range = (view, [Dim(0); 4])..=(view, [Dim(u64::MAX); 4]);
        for (key, group) in self.groups.range_mut(range) {
            group.all = group.all.split_off(&horizon);
            group.seen = group.seen.split_off(&horizon);
            group.series.values_mut().for_each(|s| s.forget(horizon));
            if let Some(changed) = work.changed.get_mut(key) {
                *changed = changed.split_off(&horizon);
            }
        }
        self.groups.retain(|key, group| {
            key.0 != view || !group.all.is_empty() || group.series.values().any(|s| !s.episodes().is_empty())
        });
    }

    fn settle(&mut self, work: &mut Work) {
        for (key, changed) in &work.changed {
            let (bound, views) = (self.bound(key.0), Arc::clone(&self.views));
            let Some(spec) = views.get(usize::from(key.0)) else {
                continue;
            };
            let Some(group) = self.groups.get_mut(key) else {
                continue;
            };
            let mut moved = Vec::new();
            for start in changed {
                let end = start + spec.window.size();
                match group.all.get(start) {
                    Some(_) if end > bound => {
                        self.waiting.entry((key.0, end)).or_default().insert((key.1, *start));
                        continue;
                    }
                    Some(acc) => group.seen.insert(*start, *acc),
                    None => group.seen.remove(start),
                };
                moved.push(*start);
            }
            for (id, (_, rule)) in &self.rules {
                let Some(rule) = rule.as_ref().filter(|r| (self.watch)(&r.view) == Some(key.0)) else {
                    continue;
                };
                let touched = group
                    .series
                    .entry(*id)
                    .or_default()
                    .update(rule, spec.window, &group.seen, &moved);
                for (fired, was) in touched {
                    work.before.entry((*id, *key, fired)).or_insert(was);
                }
            }
            if group.all.is_empty() && group.series.values().all(|s| s.episodes().is_empty()) {
                self.groups.remove(key);
            }
        }
    }

    fn rule(&mut self, id: Dim, rank: Rank, rule: Option<Arc<RuleSpec>>, work: &mut Work) {
        let slot = self.rules.entry(id).or_default();
        if slot.0 > rank || slot.1 == rule {
            slot.0 = slot.0.max(rank);
            return;
        }
        let old = std::mem::replace(slot, (rank, rule.clone())).1;
        work.old_rules.entry(id).or_insert(old);
        for (key, group) in &mut self.groups {
            let before = group.series.remove(&id).unwrap_or_default();
            let mut after = Series::default();
            let watching = rule.as_ref().filter(|r| (self.watch)(&r.view) == Some(key.0));
            if let (Some(rule), Some(spec)) = (watching, self.views.get(usize::from(key.0))) {
                let all: Vec<_> = group.seen.keys().copied().collect();
                after.update(rule, spec.window, &group.seen, &all);
            }
            for fired in before.episodes().keys().chain(after.episodes().keys()) {
                work.before
                    .entry((id, *key, *fired))
                    .or_insert_with(|| before.episodes().get(fired).copied());
            }
            if watching.is_some() {
                group.series.insert(id, after);
            }
        }
    }

    /// Emits how alerts differ from before the tick: once each, whatever happened in between.
    fn emit(&self, work: &Work, out: &mut Out<'_, '_>) {
        let nothing = BTreeMap::new();
        for ((id, key, fired), was) in &work.before {
            let group = self.groups.get(key);
            let is = group
                .and_then(|g| g.series.get(id))
                .and_then(|s| s.episodes().get(fired))
                .copied();
            let old = work.old_rules.get(id);
            let cause = if old.is_some() { Cause::Rule } else { work.cause(key) };
            // An alert that is gone with its rule is reported under the rule it had.
            let now = self.rules.get(id).and_then(|(_, rule)| rule.as_ref());
            let Some(rule) = now.filter(|_| is.is_some()).or(old.and_then(Option::as_ref)).or(now) else {
                continue;
            };
            let alert = Alert {
                rule,
                key,
                fired: *fired,
                cause,
                seen: group.map_or(&nothing, |g| &g.seen),
            };
            alert.transitions(*was, is, out);
        }
    }
}

struct Alert<'a> {
    rule: &'a Arc<RuleSpec>,
    key: &'a GroupKey,
    fired: EventTime,
    cause: Cause,
    seen: &'a BTreeMap<EventTime, Acc>,
}

impl Alert<'_> {
    /// Emits the transitions that lead from what the alert was to what it is.
    fn transitions(&self, was: Option<Option<EventTime>>, is: Option<Option<EventTime>>, out: &mut Out<'_, '_>) {
        let mut give = |state, window| {
            let transition = Transition {
                rule: Arc::clone(self.rule),
                fired: RowKey {
                    view: self.key.0,
                    key: ViewKey {
                        group: self.key.1,
                        start: self.fired,
                    },
                },
                window,
                state,
                cause: self.cause,
                acc: self.seen.get(&window).copied(),
            };
            out.give(transition, 1);
        };
        match (was, is) {
            (None, Some(None)) | (Some(Some(_)), Some(None)) => give(AlertState::Firing, self.fired),
            (None, Some(Some(resolved))) => {
                give(AlertState::Firing, self.fired);
                give(AlertState::Resolved, resolved);
            }
            (Some(None), Some(Some(resolved))) => give(AlertState::Resolved, resolved),
            // Resolved by another window now: the consumer learns the new one.
            (Some(Some(before)), Some(Some(resolved))) if before != resolved => give(AlertState::Resolved, resolved),
            (Some(_), None) => give(AlertState::Retracted, self.fired),
            (Some(Some(_)), Some(Some(_))) | (None, None) | (Some(None), Some(None)) => {}
        }
    }
}
