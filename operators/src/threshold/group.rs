//! The windows of one watched group, and which of them are in sight.
//!
//! A row is in sight as soon as the step the clock is in reaches its end. A window without a row is in sight, with empty sums,
//! once it is over, but only right after one that has a row: of a silence only the beginning can change anything.

use super::series::Series;
use groundswell_core::acc::Acc;
use groundswell_core::id::Dim;
use groundswell_core::spec::WindowSpec;
use groundswell_core::time::EventTime;
use std::collections::BTreeMap;

/// A group's windows and the rules over them.
#[derive(Default)]
pub(super) struct Group {
    /// Sums of every window, those the clock has not reached included.
    pub(super) all: BTreeMap<EventTime, Acc>,
    /// Sums of the windows in sight; empty ones for the first window without a row after one that has one.
    pub(super) seen: BTreeMap<EventTime, Acc>,
    pub(super) series: BTreeMap<Dim, Series>,
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

    pub(super) fn carries(&self) -> bool {
        self.series.values().any(Series::carries)
    }

    /// Brings a window's sums in sight up to date.
    pub(super) fn look(&mut self, start: EventTime, window: WindowSpec, bound: EventTime, first: EventTime) -> Look {
        let end = start.saturating_add(window.size());
        if let Some(acc) = self.all.get(&start) {
            if end > bound {
                return Look::Later(end, false);
            }
            self.seen.insert(start, *acc);
            return Look::Moved;
        }
        let before = start.saturating_sub(window.step());
        // After what is carried, the first window retained is the first that can be silent.
        let follows = self.all.contains_key(&before) || (start == first && self.carries());
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
