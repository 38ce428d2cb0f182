//! The oracle's alerts: the rules over the windows of each group, folded with plain loops.
//!
//! Nothing is shared with the engine but the conditions themselves, and what they say of given windows. Each tick folds all windows again, one by one along the
//! clock, those without posts included. Only what retention has dropped is carried: the state after the last dropped window,
//! as the windows were when they were dropped.

use groundswell_core::acc::Acc;
use groundswell_core::expr::Expr;
use groundswell_core::id::Dim;
use groundswell_core::spec::{RuleSpec, ViewKey, ViewSpec, WindowSpec};
use groundswell_operators::window::RowKey;
use std::collections::{BTreeMap, BTreeSet};

type Group = [Dim; 4];
/// Sums of the windows in sight, by group and start.
pub type Windows = BTreeMap<Group, BTreeMap<i64, Acc>>;

/// Where a fold stands after a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Fold {
    run_from: Option<i64>,
    firing: Option<i64>,
    quiet_until: Option<i64>,
}

/// One rule over one group.
#[derive(Default)]
struct Watch {
    floor: Fold,
    /// Window that fired → window that resolved.
    current: BTreeMap<i64, Option<i64>>,
    /// The same, all windows forgotten.
    forgotten: BTreeMap<i64, Option<i64>>,
}

#[derive(Default)]
pub struct Alerts {
    watches: BTreeMap<(String, u16, Group), Watch>,
    rules: BTreeMap<(String, u16), RuleSpec>,
    /// As of the tick before, by view.
    seen: Vec<Windows>,
    clock: Option<i64>,
}

/// Start of the first window that `keep` retains.
fn first_kept(spec: &ViewSpec, clock: i64) -> i64 {
    let step = spec.window.step();
    let kept = |start: i64| spec.keep.is_none_or(|keep| start + spec.window.size() + keep > clock);
    if spec.keep.is_none() || clock == i64::MIN {
        return i64::MIN;
    }
    let mut start = clock.div_euclid(step) * step;
    while kept(start - step) {
        start -= step;
    }
    start
}

/// Start of the first window that is judged: none that it looks back at may be forgotten.
fn first_judged(rule: &RuleSpec, spec: &ViewSpec, clock: i64) -> i64 {
    match first_kept(spec, clock) {
        i64::MIN => i64::MIN,
        first => first + rule.reach(&spec.window),
    }
}

/// The end of the last step that is over.
fn over(window: WindowSpec, clock: i64) -> i64 {
    clock.max(i64::MIN / 2).div_euclid(window.step()) * window.step()
}

impl Fold {
    /// One window. Returns the window that fired, if this one resolves, and whether this one fires.
    fn window(
        &mut self,
        rule: &RuleSpec,
        shape: WindowSpec,
        start: i64,
        rows: &BTreeMap<i64, Acc>,
    ) -> (Option<i64>, bool) {
        let (acc, nothing) = (rows.get(&start), Acc::default());
        let at = |distance: i64| rows.get(&(start - distance)).copied();
        let before = rule.earlier(&shape, &at);
        let holds = |condition: &Expr| match acc {
            Some(acc) => condition.holds_after(acc, Some(&before)),
            None => condition.holds(&nothing),
        };
        let when = holds(&rule.when);
        if let Some(fired) = self.firing {
            let cleared = match (&rule.clear, acc) {
                (None, _) => !when,
                (Some(clear), Some(_)) => holds(clear),
                (Some(clear), None) => holds(clear) || !when,
            };
            if !cleared {
                return (None, false);
            }
            let quiet = start + shape.size() + rule.cooldown_ms;
            *self = Fold {
                quiet_until: (rule.cooldown_ms > 0).then_some(quiet),
                ..Fold::default()
            };
            return (Some(fired), false);
        }
        let enough = |acc: &Acc| {
            let few = acc.posts < rule.min_posts || acc.authors < rule.min_authors;
            !few && (rule.min_n_eff == 0 || acc.n_eff() >= f64::from(rule.min_n_eff) - 1e-9)
        };
        if !when || !acc.is_some_and(enough) {
            self.run_from = None;
            return (None, false);
        }
        let from = *self.run_from.get_or_insert(start);
        if start + shape.step() - from < rule.for_ms || self.quiet_until.is_some_and(|until| start < until) {
            return (None, false);
        }
        (self.run_from, self.firing) = (None, Some(start));
        (None, true)
    }

    /// All windows from `from` up to `until`, as far as they are over or have posts.
    fn run(
        &mut self,
        rule: &RuleSpec,
        shape: WindowSpec,
        rows: &BTreeMap<i64, Acc>,
        (from, until): (i64, i64),
        over: i64,
    ) -> BTreeMap<i64, Option<i64>> {
        let mut alerts: BTreeMap<_, _> = self.firing.map(|fired| (fired, None)).into_iter().collect();
        let mut next = rows.range(from..).next().map_or(until, |(start, _)| *start);
        if *self != Fold::default() && from > i64::MIN {
            next = from;
        }
        while next < until {
            let row = rows.get(&next);
            if row.is_none() && next + shape.size() > over {
                break;
            }
            let before = *self;
            let (resolved, fired) = self.window(rule, shape, next, rows);
            if let Some(fired) = resolved {
                alerts.insert(fired, Some(next));
            }
            if fired {
                alerts.insert(next, None);
            }
            next += shape.step();
            if row.is_none() && before == *self {
                // One silent window changed nothing, so a second will not either.
                next = rows.range(next..).next().map_or(until, |(start, _)| *start);
            }
        }
        alerts
    }
}

impl Alerts {
    pub fn tick(&mut self, views: &[ViewSpec], watched: &[(u16, RuleSpec)], seen: Vec<Windows>, clock: i64) {
        let rules: BTreeMap<_, _> = watched
            .iter()
            .map(|(view, r)| ((r.id.clone(), *view), r.clone()))
            .collect();
        for ((rule, view, _), watch) in &mut self.watches {
            if !rules.contains_key(&(rule.clone(), *view)) {
                (watch.floor, watch.current) = (Fold::default(), BTreeMap::new());
            }
        }
        let was = self.clock.unwrap_or(i64::MIN);
        let none = BTreeMap::new();
        for ((id, view), rule) in &rules {
            let (spec, at) = (&views[usize::from(*view)], usize::from(*view));
            let changed = self.rules.get(&(id.clone(), *view)) != Some(rule);
            let (old, new) = (self.seen.get(at), &seen[at]);
            let known = self
                .watches
                .keys()
                .filter(|(r, v, _)| r == id && v == view)
                .map(|(.., group)| *group);
            let groups = known
                .chain(old.into_iter().flat_map(|w| w.keys().copied()))
                .chain(new.keys().copied());
            for group in groups.collect::<BTreeSet<_>>() {
                let watch = self.watches.entry((id.clone(), *view, group)).or_default();
                if changed {
                    (watch.floor, watch.current) = (Fold::default(), BTreeMap::new());
                }
                let (from, to) = (first_judged(rule, spec, was), first_judged(rule, spec, clock));
                let before = old.and_then(|w| w.get(&group)).unwrap_or(&none);
                watch
                    .floor
                    .run(rule, spec.window, before, (from, to), over(spec.window, was));
                let gone = |fired: &i64, resolved: &Option<i64>| *fired < to && resolved.is_some_and(|at| at < to);
                watch.forgotten.extend(watch.current.iter().filter(|(f, r)| gone(f, r)));
                let after = new.get(&group).unwrap_or(&none);
                let mut fold = watch.floor;
                watch.current = fold.run(rule, spec.window, after, (to, i64::MAX), over(spec.window, clock));
            }
        }
        (self.rules, self.seen, self.clock) = (rules, seen, Some(clock));
    }

    fn all<'a>(
        &'a self,
        of: impl Fn(&'a Watch) -> Vec<(i64, Option<i64>)> + 'a,
    ) -> impl Iterator<Item = ((String, RowKey), Option<i64>)> {
        self.watches.iter().flat_map(move |((rule, view, group), watch)| {
            let row = |start| RowKey {
                view: *view,
                key: ViewKey { group: *group, start },
            };
            let of = of(watch).into_iter();
            of.map(|(fired, resolved)| ((rule.clone(), row(fired)), resolved))
                .collect::<Vec<_>>()
        })
    }

    pub fn carried(&self) -> usize {
        self.watches.values().filter(|w| w.floor != Fold::default()).count()
    }

    pub fn standing(&self) -> BTreeMap<(String, RowKey), Option<i64>> {
        let both = |w: &Watch| w.forgotten.iter().chain(&w.current).map(|(f, r)| (*f, *r)).collect();
        self.all(both).collect()
    }

    pub fn forgotten(&self) -> BTreeSet<(String, RowKey)> {
        let old = |w: &Watch| w.forgotten.iter().map(|(f, r)| (*f, *r)).collect();
        self.all(old).map(|(key, _)| key).collect()
    }
}
