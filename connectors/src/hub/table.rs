//! The rows of one view, cheap to hold still while they are read.
//!
//! In: changed rows, tick by tick. Out: pages of rows in the order of window start and group. State: rows by window, each
//! window behind its own [`Arc`]. A reader clones one pointer and reads at leisure; the writer then copies only the
//! windows it touches while such a reader is around, so neither waits for the other.

use super::filter::Filter;
use groundswell_core::acc::Acc;
use groundswell_core::id::Dim;
use groundswell_core::number::Numbers;
use groundswell_core::serving::RowChange;
use groundswell_core::spec::ViewKey;
use groundswell_core::time::{EventTime, Tick};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A row: its sums, its numbers where it has some, and the tick that last changed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The sums.
    pub acc: Acc,
    /// The numbers.
    pub numbers: Option<Arc<Numbers>>,
    /// Tick of the last change.
    pub updated: Tick,
    /// At how many ticks it changed after the end of its window, in views that count them.
    pub revision: u32,
}

/// Direction of a listing by window start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest window first.
    Ascending,
    /// Newest window first.
    Descending,
}

/// A part of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The rows, in order.
    pub rows: Vec<(ViewKey, Row)>,
    /// Whether others follow.
    pub more: bool,
}

type Window = BTreeMap<[Dim; 4], Row>;

/// The rows of one view; a clone is a consistent copy.
#[derive(Clone, Default)]
pub struct Table {
    windows: Arc<BTreeMap<EventTime, Arc<Window>>>,
    len: usize,
}

impl Table {
    /// Applies the changes of one tick.
    pub fn apply(&mut self, changes: &[RowChange], tick: Tick) {
        if changes.is_empty() {
            return;
        }
        let windows = Arc::make_mut(&mut self.windows);
        for change in changes {
            let ViewKey { group, start } = change.key;
            if let Some(acc) = change.acc {
                let window = Arc::make_mut(windows.entry(start).or_default());
                let row = Row {
                    acc,
                    numbers: change.numbers.clone(),
                    updated: tick,
                    revision: change.revision,
                };
                self.len += usize::from(window.insert(group, row).is_none());
            } else if let Some(window) = windows.get_mut(&start) {
                let window = Arc::make_mut(window);
                self.len -= usize::from(window.remove(&group).is_some());
                if window.is_empty() {
                    windows.remove(&start);
                }
            }
        }
    }

    /// Whether there is such a row.
    pub fn contains(&self, key: &ViewKey) -> bool {
        self.windows
            .get(&key.start)
            .is_some_and(|window| window.contains_key(&key.group))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The matching rows behind `after`, at most `limit` of them. A key that is no longer there is as good a place to
    /// continue as one that is.
    pub fn page(&self, filter: &Filter, order: Order, after: Option<ViewKey>, limit: usize) -> Page {
        let mut from = filter.since.unwrap_or(EventTime::MIN);
        let mut to = filter.until.unwrap_or(EventTime::MAX);
        match (order, after) {
            (Order::Ascending, Some(key)) => from = from.max(key.start),
            (Order::Descending, Some(key)) => to = to.min(key.start.saturating_add(1)),
            (_, None) => {}
        }
        let mut page = Page {
            rows: Vec::new(),
            more: false,
        };
        if from >= to {
            return page;
        }
        let windows = self
            .windows
            .range(from..to)
            .map(|(start, window)| (*start, window.as_ref()));
        let mut collect = |start: EventTime, window: &Window| {
            let continued = after.filter(|key| key.start == start).map(|key| key.group);
            rows_of(window, filter, order, continued, |group, row| {
                page.more = page.rows.len() == limit;
                if !page.more {
                    page.rows.push((ViewKey { group, start }, row));
                }
                !page.more
            })
        };
        match order {
            Order::Ascending => windows.into_iter().all(|(start, window)| collect(start, window)),
            Order::Descending => windows.rev().all(|(start, window)| collect(start, window)),
        };
        page
    }

    /// All matching rows, or `None` if there are more than `most`.
    pub fn all(&self, filter: &Filter, most: usize) -> Option<Vec<(ViewKey, Row)>> {
        let page = self.page(filter, Order::Ascending, None, most);
        (!page.more).then_some(page.rows)
    }
}

/// Hands the matching rows of one window to `take` until it returns false; returns whether it always wanted more.
fn rows_of(
    window: &Window,
    filter: &Filter,
    order: Order,
    after: Option<[Dim; 4]>,
    mut take: impl FnMut([Dim; 4], Row) -> bool,
) -> bool {
    let (low, high) = filter.group_range();
    let mut visit = |group: &[Dim; 4], row: &Row| !filter.group(group) || take(*group, row.clone());
    match order {
        Order::Ascending => {
            let low = after.map_or(low, |a| a.max(low));
            low > high
                || window
                    .range(low..=high)
                    .filter(|(group, _)| Some(**group) != after)
                    .all(|(group, row)| visit(group, row))
        }
        Order::Descending => {
            let high = after.map_or(high, |a| a.min(high));
            low > high
                || window
                    .range(low..=high)
                    .rev()
                    .filter(|(group, _)| Some(**group) != after)
                    .all(|(group, row)| visit(group, row))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::spec::GroupColumn;

    fn key(start: EventTime, thread: u64, entity: u64) -> ViewKey {
        ViewKey {
            group: [Dim(thread), Dim(entity), Dim::NONE, Dim::NONE],
            start,
        }
    }

    fn table() -> (Table, Vec<ViewKey>) {
        let mut table = Table::default();
        let mut keys = Vec::new();
        for start in [0, 60, 120] {
            for thread in 1..=3 {
                for entity in 1..=3 {
                    keys.push(key(start, thread, entity));
                }
            }
        }
        let changes: Vec<RowChange> = keys.iter().map(|k| RowChange::new(*k, Some(Acc::unscored()))).collect();
        table.apply(&changes, 1);
        (table, keys)
    }

    fn walk(table: &Table, filter: &Filter, order: Order, limit: usize) -> Vec<ViewKey> {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = table.page(filter, order, after, limit);
            assert!(page.rows.len() <= limit);
            seen.extend(page.rows.iter().map(|(k, _)| *k));
            after = seen.last().copied();
            if !page.more {
                return seen;
            }
        }
    }

    #[test]
    fn pages_of_any_size_and_order_add_up_to_the_whole() {
        let (table, keys) = table();
        assert_eq!(table.len(), 27);
        for limit in 1..=28 {
            assert_eq!(walk(&table, &Filter::default(), Order::Ascending, limit), keys);
            let mut down = walk(&table, &Filter::default(), Order::Descending, limit);
            down.reverse();
            assert_eq!(down, keys);
        }
    }

    #[test]
    fn filters_and_bounds_hold_on_every_page() {
        let (table, keys) = table();
        let columns = [GroupColumn::Thread, GroupColumn::Entity];
        let names = ["a", "b", "c"];
        let mut named = Table::default();
        let rename = |k: &ViewKey| {
            let name = |d: Dim| Dim::of(names[usize::try_from(d.0 - 1).expect("small")]);
            ViewKey {
                group: [name(k.group[0]), name(k.group[1]), Dim::NONE, Dim::NONE],
                start: k.start,
            }
        };
        let changes: Vec<RowChange> = keys
            .iter()
            .map(|k| RowChange::new(rename(k), Some(Acc::unscored())))
            .collect();
        named.apply(&changes, 1);
        for column in ["thread", "entity"] {
            let mut filter = Filter::default();
            filter.column(&columns, column, Some("b")).expect("known");
            filter.bound("since", "60").expect("time");
            filter.bound("until", "120").expect("time");
            for order in [Order::Ascending, Order::Descending] {
                let seen = walk(&named, &filter, order, 2);
                assert_eq!(seen.len(), 3, "{column} {order:?}");
                assert!(seen.iter().all(|k| filter.key(k)));
            }
        }
        assert_eq!(table.all(&Filter::default(), 26), None);
        assert_eq!(table.all(&Filter::default(), 27).map(|r| r.len()), Some(27));
    }

    #[test]
    fn a_reader_keeps_its_copy_while_the_table_moves_on() {
        let (mut table, keys) = table();
        let before = table.clone();
        table.apply(&keys.iter().map(|k| RowChange::new(*k, None)).collect::<Vec<_>>(), 2);
        assert!(table.is_empty() && table.windows.is_empty());
        assert_eq!(walk(&before, &Filter::default(), Order::Ascending, 10), keys);
    }
}
