//! One rule over the windows of one group, as a pure fold.
//!
//! The alerts of a group are a function of its windows in time order, not of the order in which the windows' values came
//! to be known: a late vote that lifts an old window above the threshold un-fires the alert that window had fired. The
//! fold keeps the state after every window, so that a change is re-folded only from there until the states agree again.
//!
//! A window counts for firing if it has at least `min_posts` posts (one in any case) and `when` holds. The alert fires at the
//! first window at which windows side by side that count span at least `for`. It resolves at the first later window where
//! `clear` holds (without `clear`: where `when` does not), however few posts it has. A window without posts, in which
//! nothing can be compared, resolves it too, unless `when` holds of nothing as well (`posts < 3`). After that, windows that
//! start before the resolving window's end plus `cooldown` do not fire.
//!
//! Of a run of windows without posts only the first can change anything, so the caller gives that one, with empty sums.
//!
//! A condition may look at earlier windows of the group (`previous`, `baseline`), those with posts; where it finds none, it does
//! not hold. A changed window is then a reason to look again at those that look back at it. In a window without posts
//! there is nothing to compare with an earlier one. Windows whose earlier ones may be forgotten are in the floor, as
//! they were judged when all of those were there.

use groundswell_core::acc::Acc;
use groundswell_core::expr::Earlier;
use groundswell_core::record::Carried;
use groundswell_core::spec::{RuleSpec, WindowSpec};
use groundswell_core::time::EventTime;
use std::collections::BTreeMap;

/// Alerts of one series: window that fired → window that resolved it, if any did.
pub type Episodes = BTreeMap<EventTime, Option<EventTime>>;

/// What happened at a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    No,
    Fired,
    Resolved(EventTime),
}

/// A rule over one group's windows.
#[derive(Debug)]
pub struct Series {
    /// State before the first window: what windows beyond retention left behind.
    floor: Carried,
    /// The floor as it was last told.
    told: Carried,
    /// Windows before this are in the floor.
    up_to: EventTime,
    states: BTreeMap<EventTime, (Carried, Moved)>,
    episodes: Episodes,
}

impl Default for Series {
    fn default() -> Self {
        Series::beginning(EventTime::MIN)
    }
}

impl Series {
    /// A series that judges windows from this one on.
    pub fn beginning(up_to: EventTime) -> Self {
        Series::on(Carried::default(), up_to)
    }

    /// A series that goes on from what windows before `up_to` left behind.
    pub fn on(floor: Carried, up_to: EventTime) -> Self {
        Series {
            floor,
            told: floor,
            up_to,
            states: BTreeMap::new(),
            episodes: floor.fired.map(|fired| (fired, None)).into_iter().collect(),
        }
    }

    /// What the forgotten windows left behind, as last told.
    pub fn told(&self) -> Carried {
        self.told
    }

    /// Whether the forgotten windows left anything behind.
    pub fn carries(&self) -> bool {
        self.floor != Carried::default() || self.told != Carried::default()
    }

    /// The first window that is judged; those before it are in the floor.
    pub fn up_to(&self) -> EventTime {
        self.up_to
    }

    /// Whether nothing ever moved: every window left the state in which the first found it.
    pub fn is_plain(&self) -> bool {
        let plain = (Carried::default(), Moved::No);
        !self.carries() && self.episodes.is_empty() && self.states.values().all(|state| *state == plain)
    }

    /// The alerts as they stand.
    pub fn episodes(&self) -> &Episodes {
        &self.episodes
    }

    /// Re-folds after `changed` windows got new sums or went away; `windows` are all windows of the group.
    /// Returns what the alerts it touched were before: fired window → `None` if there was none.
    pub fn update(
        &mut self,
        rule: &RuleSpec,
        shape: WindowSpec,
        windows: &BTreeMap<EventTime, Acc>,
        changed: &[EventTime],
    ) -> BTreeMap<EventTime, Option<Option<EventTime>>> {
        let mut touched = BTreeMap::new();
        for start in changed.iter().filter(|start| !windows.contains_key(start)) {
            if let Some((_, moved)) = self.states.remove(start) {
                self.undo(*start, moved, &mut touched);
            }
        }
        let mut changed = changed.to_vec();
        let distances = rule.distances(&shape);
        for at in 0..changed.len() {
            let later = distances.iter().map(|distance| changed[at].saturating_add(*distance));
            changed.extend(later.filter(|start| windows.contains_key(start)).collect::<Vec<_>>());
        }
        changed.sort_unstable();
        let mut done = EventTime::MIN;
        for first in changed {
            if first >= done {
                done = self.fold_from(first.max(self.up_to), rule, shape, windows, &mut touched);
            }
        }
        touched
    }

    /// Folds on from a window until the state is what it was before, and gives the first window that was not looked at.
    fn fold_from(
        &mut self,
        first: EventTime,
        rule: &RuleSpec,
        shape: WindowSpec,
        windows: &BTreeMap<EventTime, Acc>,
        touched: &mut BTreeMap<EventTime, Option<Option<EventTime>>>,
    ) -> EventTime {
        let before = self.states.range(..first).next_back();
        let mut state = before.map_or(self.floor, |(_, (state, _))| *state);
        for (start, acc) in windows.range(first..) {
            let (next, moved) = step(state, rule, shape, (*start, acc), windows);
            let old = self.states.insert(*start, (next, moved));
            if old == Some((next, moved)) {
                return start.saturating_add(1);
            }
            let before = old.map(|(_, moved)| moved);
            if before != Some(moved) {
                if let Some(moved) = before {
                    self.undo(*start, moved, touched);
                }
                self.redo(*start, moved, touched);
            }
            state = next;
        }
        EventTime::MAX
    }

    /// Forgets windows before `horizon` without touching what they led to. Returns what they left behind, if that differs
    /// from what was told last.
    pub fn forget(&mut self, horizon: EventTime) -> Option<Carried> {
        let kept = self.states.split_off(&horizon);
        if let Some((_, (state, _))) = self.states.last_key_value() {
            self.floor = *state;
        }
        self.states = kept;
        self.up_to = self.up_to.max(horizon);
        // No window is left that it could keep quiet.
        self.floor.quiet_until = self.floor.quiet_until.filter(|until| *until > horizon);
        self.episodes
            .retain(|fired, resolved| *fired >= horizon || resolved.is_none_or(|at| at >= horizon));
        let news = self.floor != self.told;
        self.told = self.floor;
        news.then_some(self.floor)
    }

    fn undo(&mut self, start: EventTime, moved: Moved, touched: &mut BTreeMap<EventTime, Option<Option<EventTime>>>) {
        match moved {
            Moved::No => {}
            Moved::Fired => {
                touched
                    .entry(start)
                    .or_insert_with(|| self.episodes.get(&start).copied());
                self.episodes.remove(&start);
            }
            Moved::Resolved(fired) => {
                touched
                    .entry(fired)
                    .or_insert_with(|| self.episodes.get(&fired).copied());
                if let Some(resolved) = self
                    .episodes
                    .get_mut(&fired)
                    .filter(|resolved| **resolved == Some(start))
                {
                    *resolved = None;
                }
            }
        }
    }

    fn redo(&mut self, start: EventTime, moved: Moved, touched: &mut BTreeMap<EventTime, Option<Option<EventTime>>>) {
        match moved {
            Moved::No => {}
            Moved::Fired => {
                touched
                    .entry(start)
                    .or_insert_with(|| self.episodes.get(&start).copied());
                self.episodes.insert(start, None);
            }
            Moved::Resolved(fired) => {
                touched
                    .entry(fired)
                    .or_insert_with(|| self.episodes.get(&fired).copied());
                self.episodes.insert(fired, Some(start));
            }
        }
    }
}

fn step(
    mut state: Carried,
    rule: &RuleSpec,
    shape: WindowSpec,
    (start, acc): (EventTime, &Acc),
    windows: &BTreeMap<EventTime, Acc>,
) -> (Carried, Moved) {
    let silent = acc.posts == 0;
    let at = |distance| before(windows, start, distance);
    let earlier = (!silent && rule.looks_back()).then(|| rule.earlier(&shape, &at));
    if let Some(fired) = state.fired {
        let holds = rule.when.holds_after(acc, earlier.as_ref());
        let clears = rule.clear.as_ref();
        let clears = clears.map_or(!holds, |clear| clear.holds_after(acc, earlier.as_ref()));
        if clears || (silent && !holds) {
            let quiet_until = start.saturating_add(shape.size()).saturating_add(rule.cooldown_ms);
            return (
                Carried {
                    quiet_until: (rule.cooldown_ms > 0).then_some(quiet_until),
                    ..Carried::default()
                },
                Moved::Resolved(fired),
            );
        }
        return (state, Moved::No);
    }
    state.since = counts(rule, acc, earlier.as_ref()).then(|| state.since.unwrap_or(start));
    let long_enough = state
        .since
        .is_some_and(|since| start.saturating_add(shape.step()).saturating_sub(since) >= rule.for_ms);
    if long_enough && state.quiet_until.is_none_or(|until| start >= until) {
        return (
            Carried {
                since: None,
                fired: Some(start),
                ..state
            },
            Moved::Fired,
        );
    }
    (state, Moved::No)
}

/// Whether a window counts for firing.
pub fn counts(rule: &RuleSpec, acc: &Acc, earlier: Option<&Earlier<'_>>) -> bool {
    acc.posts != 0 && rule.gates().pass(acc) && rule.when.holds_after(acc, earlier)
}

/// The sums of the window that began so long before another, if it has posts.
pub fn before(windows: &BTreeMap<EventTime, Acc>, start: EventTime, distance: i64) -> Option<Acc> {
    let acc = windows.get(&start.checked_sub(distance)?)?;
    (acc.posts > 0).then_some(*acc)
}

/// The same answer computed from scratch: all alerts of a group's windows.
#[cfg(test)]
fn episodes_of(rule: &RuleSpec, shape: WindowSpec, windows: &BTreeMap<EventTime, Acc>) -> Episodes {
    let (mut state, mut episodes) = (Carried::default(), Episodes::new());
    for (start, acc) in windows {
        let (next, moved) = step(state, rule, shape, (*start, acc), windows);
        state = next;
        match moved {
            Moved::No => {}
            Moved::Fired => {
                episodes.insert(*start, None);
            }
            Moved::Resolved(fired) => {
                episodes.insert(fired, Some(*start));
            }
        }
    }
    episodes
}

#[cfg(test)]
mod tests;
