//! Threshold: rules over view rows, as alerts that fire, resolve, or are retracted.
//!
//! *In*: view rows, what kind of change moved them, rules and the recorded clock. *Out*: alert transitions, one update each
//! at the tick they happen. *State*: for every watched group its windows' sums, and per rule the fold of [`series`].
//! *Emits* when the set of alerts changes. *A retraction* of rows re-folds from the earliest window touched: an alert whose
//! reason is gone is retracted; rules are data, so a new rule sees the present rows and a withdrawn one takes its alerts
//! along. Windows that end after the step the clock is in are not looked at yet; a window without a row counts as one
//! without posts once it is over; windows beyond retention are forgotten without a transition.
//!
//! What forgotten windows leave behind in a rule's alerts is a second output, [`Carry`], whenever it changes: it is recorded,
//! and comes back with the first tick after a restart from a snapshot, which no longer has what those windows held.

mod alert;
mod group;
pub mod series;
mod told;

pub use told::{Carry, Standing, Told, Transition, Watched};

use crate::event::{Control, Floor};
use alert::Alert;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, Emit, per_tick};
use groundswell_core::id::{DigestMap, Dim};
use groundswell_core::record::{Carried, Rank, UNRANKED};
use groundswell_core::serving::Cause;
use groundswell_core::spec::{RuleSpec, ViewSpec, WindowSpec};
use groundswell_core::time::{EventTime, Tick};
use group::{Group, Look};
use series::Series;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// See the module documentation.
pub fn threshold<'s>(
    watched: VecCollection<'s, Tick, Watched>,
    control: VecCollection<'s, Tick, Control>,
    views: &Arc<[ViewSpec]>,
    watch: Watch,
) -> VecCollection<'s, Tick, Told> {
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
            table.started = true;
            table.clock_passed(&mut work);
            table.settle(&mut work);
            table.emit(&work, out);
            for carry in work.carries {
                out.give(Told::Carry(carry), 1);
            }
            for ((rule, ready), diff) in work.standing {
                if diff != 0 {
                    out.give(Told::Standing(Standing { rule, ready }), diff);
                }
            }
        },
    )
}

type GroupKey = (u16, [Dim; 4]);
/// Finds the view whose rows the rules on a declared view watch.
pub type Watch = Arc<dyn Fn(&str) -> Option<u16> + Send + Sync>;
/// Windows to be looked at later, by view and the end that the present step must have reached.
type Waiting = BTreeMap<(u16, EventTime), BTreeSet<([Dim; 4], EventTime)>>;
/// How many groups more, or fewer, have a rule's baseline or lack it, or on how many workers more it is in force.
type Standings = BTreeMap<(Arc<RuleSpec>, Option<bool>), isize>;
type Out<'a, 'b> = Emit<'a, Told, isize>;

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
    carries: Vec<Carry>,
    standing: Standings,
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

/// The first window that a rule judges: all that it looks back at are retained.
fn judged_from(horizon: EventTime, rule: &RuleSpec, window: &WindowSpec) -> EventTime {
    if horizon == EventTime::MIN {
        return horizon;
    }
    horizon.saturating_add(rule.reach(window))
}

struct Table {
    views: Arc<[ViewSpec]>,
    watch: Watch,
    clock: Option<EventTime>,
    rules: BTreeMap<Dim, (Rank, Option<Arc<RuleSpec>>)>,
    groups: BTreeMap<GroupKey, Group>,
    waiting: Waiting,
    /// First window retained, by view.
    horizon: Vec<EventTime>,
    /// The first tick is over.
    started: bool,
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
            started: false,
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
            Watched::Floor(_, floor) => self.carried_over(group, &floor, work),
        }
    }

    /// Goes on from what was recorded before a snapshot. Later the table knows better: it has seen the windows itself.
    fn carried_over(&mut self, key: GroupKey, floor: &Floor, work: &mut Work) {
        let rule = self.rules.get(&floor.rule).and_then(|(_, rule)| rule.as_ref());
        let watching = rule.is_some_and(|r| r.view == floor.view && (self.watch)(&r.view) == Some(key.0));
        let shape = self.views.get(usize::from(key.0)).map(ViewSpec::shape);
        if self.started || !watching || shape != Some(floor.shape) {
            return;
        }
        let series = Series::on(floor.state, floor.up_to);
        for fired in series.episodes().keys() {
            work.before.entry((floor.rule, key, *fired)).or_insert(None);
        }
        self.groups.entry(key).or_default().series.insert(floor.rule, series);
    }

    /// End of the step the clock is in: windows that end later are not looked at yet.
    fn bound(&self, view: u16) -> EventTime {
        match (self.views.get(usize::from(view)), self.clock) {
            (Some(spec), Some(clock)) => spec.window.sliding_bounds(clock).1,
            _ => EventTime::MAX,
        }
    }

    /// Start of the first window still within retention; windows start at multiples of their step.
    fn first_kept(&self, view: u16) -> EventTime {
        match (self.views.get(usize::from(view)), self.clock) {
            (
                Some(ViewSpec {
                    keep: Some(keep),
                    window,
                    ..
                }),
                Some(clock),
            ) => {
                let gone = clock.saturating_sub(*keep).saturating_sub(window.size());
                gone.div_euclid(window.step())
                    .saturating_add(1)
                    .saturating_mul(window.step())
            }
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
        let Some(spec) = self.views.get(usize::from(view)) else {
            return;
        };
        let rules = self
            .rules
            .iter()
            .filter_map(|(id, (_, rule))| Some((*id, rule.as_ref()?)));
        let firsts: BTreeMap<Dim, EventTime> = rules
            .map(|(id, rule)| (id, judged_from(horizon, rule, &spec.window)))
            .collect();
        for (key, group) in self.groups.range_mut(range) {
            group.all = group.all.split_off(&horizon);
            group.seen = group.seen.split_off(&horizon);
            for (id, series) in &mut group.series {
                let up_to = firsts.get(id).copied().unwrap_or(horizon);
                let left = series.forget(up_to);
                let rule = self.rules.get(id).and_then(|(_, rule)| rule.as_ref());
                if let (Some(state), Some(rule)) = (left, rule) {
                    work.carries.push(Carry {
                        rule: rule.id.clone(),
                        view,
                        group: key.1,
                        up_to,
                        state,
                    });
                }
            }
            for id in group.standing.keys().copied().collect::<Vec<_>>() {
                if let Some((_, Some(rule))) = self.rules.get(&id) {
                    group.stand(id, rule, &spec.window, &mut work.standing);
                }
            }
            if let Some(changed) = work.changed.get_mut(key) {
                *changed = changed.split_off(&horizon);
            }
            let firsts: Vec<EventTime> = group.after_carried().collect();
            if !firsts.is_empty() {
                work.changed.entry(*key).or_default().extend(firsts);
            }
        }
        self.groups.retain(|key, group| key.0 != view || !group.is_idle());
    }

    fn settle(&mut self, work: &mut Work) {
        let mut watching: BTreeMap<u16, Vec<(Dim, Arc<RuleSpec>)>> = BTreeMap::new();
        if !work.changed.is_empty() {
            for (id, (_, rule)) in &self.rules {
                if let Some((view, rule)) = rule.as_ref().and_then(|rule| Some(((self.watch)(&rule.view)?, rule))) {
                    watching.entry(view).or_default().push((*id, Arc::clone(rule)));
                }
            }
        }
        for (key, changed) in &work.changed {
            let (bound, views) = (self.bound(key.0), Arc::clone(&self.views));
            let Some(spec) = views.get(usize::from(key.0)) else {
                continue;
            };
            let horizon = self.horizon.get(usize::from(key.0)).copied().unwrap_or(EventTime::MIN);
            let Some(group) = self.groups.get_mut(key) else {
                continue;
            };
            let (mut moved, mut todo) = (Vec::new(), changed.clone());
            while let Some(start) = todo.pop_first() {
                match group.look(start, spec.window, bound) {
                    Look::Unmoved => {}
                    Look::Later(at, was_seen) => {
                        self.waiting.entry((key.0, at)).or_default().insert((key.1, start));
                        if was_seen {
                            moved.push(start);
                        }
                    }
                    Look::Moved => moved.push(start),
                }
                // Whether the next window is a silent one depends on whether this one has posts.
                let next = start.saturating_add(spec.window.step());
                let (silent, follows) = (group.seen.contains_key(&next), group.seen.contains_key(&start));
                if !group.all.contains_key(&next) && (silent || follows) {
                    todo.insert(next);
                }
            }
            for (id, rule) in watching.get(&key.0).into_iter().flatten() {
                if group.is_plain(id, rule, &moved) {
                    continue;
                }
                let series = group.series.entry(*id);
                let series = series.or_insert_with(|| Series::beginning(judged_from(horizon, rule, &spec.window)));
                let touched = series.update(rule, spec.window, &group.seen, &moved);
                for (fired, was) in touched {
                    work.before.entry((*id, *key, fired)).or_insert(was);
                }
                group.stand(*id, rule, &spec.window, &mut work.standing);
            }
            if group.is_idle() {
                self.groups.remove(key);
            }
        }
    }

    fn rule(&mut self, id: Dim, rank: Rank, rule: Option<Arc<RuleSpec>>, work: &mut Work) {
        let slot = self.rules.entry(id).or_insert((UNRANKED, None));
        if slot.0 > rank || slot.1 == rule {
            slot.0 = slot.0.max(rank);
            return;
        }
        let replaced = std::mem::replace(slot, (rank, rule.clone())).1;
        for (rule, diff) in [(&replaced, -1), (&rule, 1)] {
            if let Some(rule) = rule {
                *work.standing.entry((Arc::clone(rule), None)).or_default() += diff;
            }
        }
        work.old_rules.entry(id).or_insert_with(|| replaced.clone());
        let old = work.old_rules.get(&id).and_then(Option::as_ref);
        for (key, group) in &mut self.groups {
            group.stand_no_more(id, replaced.as_ref(), &mut work.standing);
            let before = group.series.remove(&id).unwrap_or_default();
            if let Some(old) = old.filter(|_| before.told() != Carried::default()) {
                // What another rule of that name had left behind is void.
                work.carries.push(Carry {
                    rule: old.id.clone(),
                    view: key.0,
                    group: key.1,
                    up_to: EventTime::MIN,
                    state: Carried::default(),
                });
            }
            let mut after = Series::default();
            let watching = rule.as_ref().filter(|r| (self.watch)(&r.view) == Some(key.0));
            if let (Some(rule), Some(spec)) = (watching, self.views.get(usize::from(key.0))) {
                let horizon = self.horizon.get(usize::from(key.0)).copied().unwrap_or(EventTime::MIN);
                after = Series::beginning(judged_from(horizon, rule, &spec.window));
                group.stand(id, rule, &spec.window, &mut work.standing);
                let all: Vec<_> = group.seen.keys().copied().collect();
                after.update(rule, spec.window, &group.seen, &all);
            }
            for fired in before.episodes().keys().chain(after.episodes().keys()) {
                work.before
                    .entry((id, *key, *fired))
                    .or_insert_with(|| before.episodes().get(fired).copied());
            }
            if watching.is_some_and(|rule| rule.looks_back() || !after.is_plain()) {
                group.series.insert(id, after);
            }
        }
    }

    /// Emits how alerts differ from before the tick: once each, whatever happened in between.
    fn emit(&self, work: &Work, out: &mut Out<'_, '_>) {
        let nothing = BTreeMap::new();
        for ((id, key, fired), was) in &work.before {
            let (group, Some(spec)) = (self.groups.get(key), self.views.get(usize::from(key.0))) else {
                continue;
            };
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
                shape: &spec.window,
            };
            alert.transitions(*was, is, out);
        }
    }
}
