//! Revisions: how often rows changed after the end of their window.
//!
//! In: the changed rows of each complete tick and its clock. Out: the same, with the count on each. State: a count for every row
//! that has one, until it is gone or `keep` drops it; only of views with `revisions: true`, others cost nothing. It is a
//! function of the recorded ticks, and so the same after a restart that replays them.
//!
//! A snapshot is one tick that holds many: what it brings is taken as it is, with the counts that were carried over the fold,
//! or none.

use groundswell_core::serving::RowChange;
use groundswell_core::spec::{ViewKey, ViewSpec};
use groundswell_core::time::{EventTime, Tick};
use hashbrown::HashMap;

/// What tables know a row by.
type Place = ViewKey;

/// See the module documentation.
pub(crate) struct Revisions {
    /// The views that ask, by index.
    views: Vec<(usize, ViewSpec)>,
    counts: HashMap<(usize, Place), u32>,
    /// The tick of the snapshot.
    folded: Option<Tick>,
}

impl Revisions {
    /// For these views, restored from a snapshot of this tick if there is one.
    pub(crate) fn new(views: &[ViewSpec], folded: Option<Tick>) -> Self {
        let all = views.iter().cloned().enumerate();
        Revisions {
            views: all.filter(|(_, spec)| spec.extras.revisions).collect(),
            counts: HashMap::new(),
            folded,
        }
    }

    /// Counts a tick's changes and writes the counts on them.
    pub(crate) fn mark(&mut self, tick: Tick, clock: EventTime, changed: &mut [Vec<RowChange>]) {
        let restored = self.folded == Some(tick);
        for (index, spec) in &self.views {
            let Some(rows) = changed.get_mut(*index) else { continue };
            let regular = spec.window.is_regular();
            let place = |row: &RowChange| (*index, if regular { row.key } else { row.place() });
            let end = |row: &RowChange| spec.window.bounds(&row.key).1;
            // A window whose end moved is there under another key: it is the same row.
            let mut gone: HashMap<(usize, Place), EventTime> = rows
                .iter()
                .filter(|row| row.acc.is_none())
                .map(|row| (place(row), end(row)))
                .collect();
            for row in rows.iter_mut().filter(|row| row.acc.is_some()) {
                let at = place(row);
                let was = gone.remove(&at).unwrap_or(EventTime::MAX);
                let over = was.min(end(row)) <= clock && !restored;
                row.revision = match over {
                    true => {
                        let count = self.counts.entry(at).or_default();
                        *count = count.saturating_add(1);
                        *count
                    }
                    false => self.counts.get(&at).copied().unwrap_or_default(),
                };
            }
            for at in gone.keys() {
                self.counts.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::acc::Acc;
    use groundswell_core::id::Dim;
    use groundswell_core::spec::{Extras, Measure, Sessions, WindowSpec};

    fn view(window: WindowSpec, revisions: bool) -> ViewSpec {
        ViewSpec {
            name: "v".into(),
            group_by: vec![],
            window,
            measures: vec![Measure::Posts],
            keep: None,
            extras: Extras {
                revisions,
                ..Extras::default()
            },
        }
    }

    fn change(key: ViewKey, there: bool) -> RowChange {
        RowChange::new(key, there.then(Acc::default))
    }

    #[test]
    fn changes_after_the_end_of_a_window_are_counted_and_none_of_views_that_do_not_ask() {
        let minute = WindowSpec::Tumble { size: 60 };
        let mut revisions = Revisions::new(&[view(minute, false), view(minute, true)], None);
        let key = |start| ViewKey {
            start,
            ..ViewKey::default()
        };
        let mut mark = |tick, clock, there| {
            let row = || vec![change(key(0), there)];
            let mut changed = vec![row(), row()];
            revisions.mark(tick, clock, &mut changed);
            assert_eq!(changed[0][0].revision, 0);
            changed[1][0].revision
        };
        assert_eq!([mark(1, 10, true), mark(2, 59, true)], [0, 0]);
        assert_eq!([mark(3, 60, true), mark(4, 60, true), mark(5, 99, true)], [1, 2, 3]);
        // A row that goes and comes again is another.
        assert_eq!([mark(6, 99, false), mark(7, 99, true)], [0, 1]);
    }

    #[test]
    fn a_session_that_goes_on_after_its_end_is_revised() {
        let window = WindowSpec::Session(Sessions { gap: 10, max: 100 });
        let mut revisions = Revisions::new(&[view(window, true)], None);
        let key = |end| ViewKey::with_end([Dim::NONE; 4], 0, end);
        let mut mark = |clock, from: Option<i64>, to| {
            let gone = from.map(|end| change(key(end), false));
            let mut changed = vec![gone.into_iter().chain([change(key(to), true)]).collect::<Vec<_>>()];
            revisions.mark(1, clock, &mut changed);
            changed[0].last().map(|row| row.revision)
        };
        assert_eq!(mark(5, None, 15), Some(0));
        assert_eq!(mark(12, Some(15), 20), Some(0), "it went on before its end");
        assert_eq!(mark(21, Some(20), 30), Some(1), "it was over, and is open again");
        assert_eq!(mark(25, Some(30), 32), Some(1));
        assert_eq!(mark(40, Some(32), 25), Some(2));
    }

    #[test]
    fn what_a_snapshot_brings_is_no_revision() {
        let mut revisions = Revisions::new(&[view(WindowSpec::Tumble { size: 60 }, true)], Some(7));
        let mut changed = vec![vec![change(ViewKey::default(), true)]];
        revisions.mark(7, 1_000, &mut changed);
        assert_eq!(changed[0][0].revision, 0);
        revisions.mark(8, 1_000, &mut changed);
        assert_eq!(changed[0][0].revision, 1);
    }
}
