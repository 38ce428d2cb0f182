//! The windows of one watched group, and which of them are in sight.
//!
//! A row is in sight as soon as the step the clock is in reaches its end. A window without a row is in sight, with empty sums,
//! once it is over, but only right after one that has a row: of a silence only the beginning can change anything.

use super::Standings;
use super::series::{Series, before, counts};
use groundswell_core::acc::Acc;
use groundswell_core::id::Dim;
use groundswell_core::spec::{RuleSpec, WindowSpec};
use groundswell_core::time::EventTime;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A group's windows and the rules over them.
#[derive(Default)]
pub(super) struct Group {
    /// Sums of every window, those the clock has not reached included.
    pub(super) all: BTreeMap<EventTime, Acc>,
    /// Sums of the windows in sight; empty ones for the first window without a row after one that has one.
    pub(super) seen: BTreeMap<EventTime, Acc>,
    /// The rules' folds. One that has never moved is not kept, unless its rule looks back: it would have nothing to say, and
    /// there may be a thousand rules over each of many groups.
    pub(super) series: BTreeMap<Dim, Series>,
    /// By rule with a baseline: whether the newest window has one.
    pub(super) standing: BTreeMap<Dim, bool>,
}

/// When a window is to be looked at.
pub(super) enum Look {
    /// It changed nothing that anybody sees.
    Unmoved,
    /// Its sums in sight changed.
    Moved,
    /// When the present step ends here; whether it was in sight until now.
    Later(EventTime, bool),
}

impl Group {
    pub(super) fn is_idle(&self) -> bool {
        self.all.is_empty() && self.series.values().all(|s| s.episodes().is_empty() && !s.carries())
    }

    /// Whether a rule has nothing to say of the group, nor has it after these windows moved.
    pub(super) fn is_plain(&self, id: &Dim, rule: &RuleSpec, moved: &[EventTime]) -> bool {
        let mut windows = moved.iter().filter_map(|start| self.seen.get(start));
        !rule.looks_back() && !self.series.contains_key(id) && !windows.any(|acc| counts(rule, acc, None))
    }

    /// The first windows that are judged after what is carried.
    pub(super) fn after_carried(&self) -> impl Iterator<Item = EventTime> {
        self.series.values().filter(|s| s.carries()).map(Series::up_to)
    }

    /// Learns whether the newest window has the baseline that a rule asks for, if it asks for one.
    pub(super) fn stand(&mut self, id: Dim, rule: &Arc<RuleSpec>, shape: &WindowSpec, told: &mut Standings) {
        if !rule.has_baseline() {
            return;
        }
        let newest = self.seen.iter().rev().find(|(_, acc)| acc.posts > 0);
        let is =
            newest.map(|(start, _)| rule.has_its_baselines(shape, &|distance| before(&self.seen, *start, distance)));
        if self.standing.get(&id).copied() != is {
            self.stand_no_more(id, Some(rule), told);
            if let Some(is) = is {
                self.standing.insert(id, is);
                *told.entry((Arc::clone(rule), Some(is))).or_default() += 1;
            }
        }
    }

    /// A rule is gone, or another one now.
    pub(super) fn stand_no_more(&mut self, id: Dim, rule: Option<&Arc<RuleSpec>>, told: &mut Standings) {
        if let (Some(was), Some(rule)) = (self.standing.remove(&id), rule) {
            *told.entry((Arc::clone(rule), Some(was))).or_default() -= 1;
        }
    }

    /// Brings a window's sums in sight up to date.
    pub(super) fn look(&mut self, start: EventTime, window: WindowSpec, bound: EventTime) -> Look {
        let end = start.saturating_add(window.size());
        if let Some(acc) = self.all.get(&start) {
            if end > bound {
                return Look::Later(end, false);
            }
            self.seen.insert(start, *acc);
            return Look::Moved;
        }
        let before = start.saturating_sub(window.step());
        // After what is carried, the first window that is judged is the first that can be silent.
        let follows = self.all.contains_key(&before) || self.after_carried().any(|first| first == start);
        let over = end.saturating_add(window.step());
        if follows && over <= bound {
            let was = self.seen.insert(start, Acc::default());
            return if was == Some(Acc::default()) {
                Look::Unmoved
            } else {
                Look::Moved
            };
        }
        match (self.seen.remove(&start), follows) {
            (was, true) => Look::Later(over, was.is_some()),
            (Some(_), false) => Look::Moved,
            (None, false) => Look::Unmoved,
        }
    }
}
