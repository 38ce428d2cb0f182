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

use groundswell_core::acc::Acc;
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
        Series::on(Carried::default(), EventTime::MIN)
    }
}

impl Series {
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
            let (next, moved) = step(state, rule, shape, *start, acc);
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

fn step(mut state: Carried, rule: &RuleSpec, shape: WindowSpec, start: EventTime, acc: &Acc) -> (Carried, Moved) {
    let (holds, silent) = (rule.when.holds(acc), acc.posts == 0);
    if let Some(fired) = state.fired {
        let clears = rule.clear.as_ref().map_or(!holds, |clear| clear.holds(acc));
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
    let counts = holds && !silent && acc.posts >= rule.min_posts;
    state.since = counts.then(|| state.since.unwrap_or(start));
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

/// The same answer computed from scratch: all alerts of a group's windows.
#[cfg(test)]
fn episodes_of(rule: &RuleSpec, shape: WindowSpec, windows: &BTreeMap<EventTime, Acc>) -> Episodes {
    let (mut state, mut episodes) = (Carried::default(), Episodes::new());
    for (start, acc) in windows {
        let (next, moved) = step(state, rule, shape, *start, acc);
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use groundswell_core::acc::UNIT;
    use groundswell_core::expr::Expr;
    use groundswell_core::score::Label;

    const MINUTE: WindowSpec = WindowSpec::Tumble { size: 60 };

    fn rule(for_ms: i64, cooldown_ms: i64) -> RuleSpec {
        RuleSpec {
            id: "r".into(),
            view: "v".into(),
            when: Expr::parse("sentiment < -0.3").unwrap(),
            clear: Some(Expr::parse("sentiment > -0.1").unwrap()),
            min_posts: 2,
            for_ms,
            cooldown_ms,
        }
    }

    fn windows(values: &[(i64, i32, i32)]) -> BTreeMap<i64, Acc> {
        let acc = |percent: i32, posts| Acc {
            posts,
            ..Acc::scored(UNIT, percent * 10_000, Label::Neutral, false, false)
        };
        values
            .iter()
            .map(|(minute, percent, posts)| (minute * 60, acc(*percent, *posts)))
            .collect()
    }

    #[test]
    fn fires_holds_through_the_gap_and_resolves() {
        let w = windows(&[(0, -40, 5), (1, -20, 5), (2, 90, 1), (3, -40, 1), (4, -40, 5)]);
        let e = episodes_of(&rule(0, 0), MINUTE, &w);
        assert_eq!(
            e,
            Episodes::from([(0, Some(120)), (240, None)]),
            "-0.2 does not clear, one post is enough to clear, and too few to fire"
        );
        let e = episodes_of(&rule(0, 120), MINUTE, &w);
        assert_eq!(e, Episodes::from([(0, Some(120))]), "minute 4 is within the cooldown");
    }

    #[test]
    fn silence_resolves_unless_it_is_what_the_rule_looks_for() {
        let mut w = windows(&[(0, -40, 5), (3, -40, 5)]);
        w.insert(60, Acc::default());
        assert_eq!(
            episodes_of(&rule(0, 0), MINUTE, &w),
            Episodes::from([(0, Some(60)), (180, None)]),
            "no sentiment is neither above -0.1 nor below -0.3"
        );
        let quiet = RuleSpec {
            when: Expr::parse("posts < 6").unwrap(),
            clear: None,
            ..rule(0, 0)
        };
        assert_eq!(episodes_of(&quiet, MINUTE, &w), Episodes::from([(0, None)]));
        let w = BTreeMap::from([(0, Acc::default())]);
        assert_eq!(
            episodes_of(&quiet, MINUTE, &w),
            Episodes::new(),
            "silence alone fires nothing"
        );
    }

    #[test]
    fn for_needs_a_run_of_windows() {
        let run = |values: &[(i64, i32, i32)]| episodes_of(&rule(120, 0), MINUTE, &windows(values));
        let w = [(0, -40, 5), (1, 0, 5), (2, -40, 5), (3, -40, 5), (4, -40, 5)];
        assert_eq!(run(&w), Episodes::from([(180, None)]));
        let w = [(0, -40, 5), (1, -40, 1), (2, -40, 5), (3, -40, 5)];
        assert_eq!(
            run(&w),
            Episodes::from([(180, None)]),
            "a window with too few posts ends the run"
        );
    }

    #[test]
    fn a_series_goes_on_from_what_was_carried() {
        let w = windows(&[(0, -40, 5), (1, -20, 5), (2, 90, 5), (3, -40, 5), (5, -40, 5)]);
        let all = Vec::from_iter(w.keys().copied());
        let rule = rule(0, 120);
        let mut live = Series::default();
        live.update(&rule, MINUTE, &w, &all);
        let mut told = Carried::default();
        for cut in 1..=6 {
            told = live.forget(cut * 60).unwrap_or(told);
            let rest: BTreeMap<_, _> = w
                .iter()
                .filter(|(at, _)| **at >= cut * 60)
                .map(|(at, acc)| (*at, *acc))
                .collect();
            let mut restored = Series::on(told, cut * 60);
            restored.update(&rule, MINUTE, &w, &all);
            assert_eq!(
                restored.episodes(),
                live.episodes(),
                "windows before the cut are in the floor"
            );
            assert_eq!(
                restored.states.keys().collect::<Vec<_>>(),
                rest.keys().collect::<Vec<_>>()
            );
        }
        assert_eq!(told.fired, Some(300));
    }

    #[test]
    fn any_sequence_of_changes_ends_like_from_scratch() {
        let mut random = 7u64;
        let mut next = |n: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        for (for_ms, cooldown) in [(0, 0), (120, 0), (0, 120), (180, 240)] {
            let rule = rule(for_ms, cooldown);
            let (mut series, mut now) = (Series::default(), BTreeMap::new());
            for _ in 0..2_000 {
                let mut changed = Vec::new();
                for _ in 0..=next(3) {
                    let start = i64::try_from(next(24)).unwrap() * 60;
                    if next(4) == 0 {
                        now.remove(&start);
                    } else {
                        now.extend(windows(&[(
                            start / 60,
                            i32::try_from(next(120)).unwrap() - 80,
                            i32::try_from(next(4)).unwrap(),
                        )]));
                    }
                    changed.push(start);
                }
                let before = series.episodes().clone();
                let touched = series.update(&rule, MINUTE, &now, &changed);
                assert_eq!(*series.episodes(), episodes_of(&rule, MINUTE, &now));
                for fired in before.keys().chain(series.episodes().keys()) {
                    let (was, is) = (before.get(fired).copied(), series.episodes().get(fired).copied());
                    if was != is {
                        assert_eq!(
                            touched.get(fired),
                            Some(&was),
                            "a changed alert is reported with what it was"
                        );
                    }
                }
            }
        }
    }
}
