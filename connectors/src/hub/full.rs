//! The full state of all views as changes from nothing: what a sink is compared with.

use super::Hub;
use super::filter::Filter;
use super::table::Order;
use groundswell_core::serving::{RowChange, TickChanges};

impl Hub {
    /// Every row, alert and keyword event there is, what is withheld from readers too, as of the last complete tick; `None` before the first.
    pub fn full(&self) -> Option<TickChanges> {
        // Cheap copies under the lock, rows after it.
        let (tick, clock, tables, alerts, events) = {
            let state = self.state.read();
            let (tables, alerts) = state
                .everything
                .as_ref()
                .map_or((&state.tables, &state.alerts), |(tables, alerts)| (tables, alerts));
            (
                state.tick?,
                state.clock,
                tables.clone(),
                alerts.newest(),
                state.events.table().clone(),
            )
        };
        let rows = |table: &super::table::Table| {
            let page = table.page(&Filter::default(), Order::Ascending, None, usize::MAX);
            let row = |(key, row): (_, super::table::Row)| RowChange {
                key,
                acc: Some(row.acc),
                numbers: row.numbers,
                revision: row.revision,
            };
            page.rows.into_iter().map(row).collect()
        };
        Some(TickChanges {
            tick,
            clock,
            views: tables.iter().map(rows).collect(),
            alerts: alerts.iter().map(|alert| alert.latest.clone()).collect(),
            events: events.all(),
            ..TickChanges::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::hub::HubLimits;
    use crate::hub::testing::{History, hub};

    #[test]
    fn a_full_state_has_every_row_and_alert() {
        let served = hub(HubLimits::default());
        assert!(served.full().is_none());
        let mut history = History::new(3);
        for _ in 0..50 {
            served.apply(&history.next());
        }
        let full = served.full().expect("served");
        assert_eq!(Some(full.tick), served.tick());
        let rows: Vec<usize> = served.view_states().iter().map(|v| v.table.len()).collect();
        assert_eq!(full.views.iter().map(Vec::len).collect::<Vec<_>>(), rows);
        assert!(rows.iter().any(|n| *n > 0) && full.views.iter().flatten().all(|row| row.acc.is_some()));
        assert_eq!(full.alerts.len(), served.alerts().2.len());
    }
}
