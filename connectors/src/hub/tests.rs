//! Resuming, and what a tick does.

use super::testing::{self, History as Changing};
use super::*;
use crate::hub::filter::Filter;
use crate::hub::table::Row;
use groundswell_core::spec::ViewKey;
use std::collections::BTreeMap;

type Rows = BTreeMap<ViewKey, Row>;

fn rows(hub: &Hub, index: usize) -> Rows {
    let all = hub
        .view(index)
        .expect("view")
        .table
        .all(&Filter::default(), usize::MAX - 1);
    all.expect("no limit").into_iter().collect()
}

#[test]
fn resuming_at_any_tick_gives_the_same_as_reading_afresh() {
    let hub = testing::hub(HubLimits {
        history_ticks: 60,
        ..HubLimits::default()
    });
    let mut changes = Changing::new(1);
    let mut states: Vec<(Tick, [Rows; 2])> = Vec::new();
    for _ in 0..100 {
        hub.apply(&changes.next());
        states.push((hub.tick().expect("ticked"), [rows(&hub, 0), rows(&hub, 1)]));
    }
    let (end, last) = states.last().cloned().expect("states");
    let mut resumed = 0;
    for (tick, held) in &states {
        for index in 0..2 {
            let Missed::Deltas { deltas, at } = hub.since(Feed::View(index), *tick, end) else {
                continue;
            };
            assert_eq!(at, end);
            let mut folded = held[index].clone();
            let mut before = *tick;
            for delta in deltas {
                assert!(delta.at > before);
                before = delta.at;
                let Changes::Rows(changes) = &delta.changes else {
                    panic!("rows")
                };
                for (key, row) in changes {
                    match row {
                        Some(row) => folded.insert(*key, row.clone()),
                        None => folded.remove(key),
                    };
                }
            }
            assert_eq!(folded, last[index], "view {index} resumed at {tick}");
            resumed += 1;
        }
    }
    assert!(
        (120..200).contains(&resumed),
        "some ticks must be forgotten, {resumed} were not"
    );
}

#[test]
fn ticks_of_another_history_cannot_be_resumed() {
    let hub = testing::hub(HubLimits::default());
    assert!(
        matches!(hub.since(Feed::Posts, 0, Tick::MAX), Missed::TooMuch),
        "before the first tick"
    );
    let mut changes = Changing::new(2);
    hub.apply(&changes.next());
    let first = hub.tick().expect("ticked");
    assert!(matches!(hub.since(Feed::Posts, first - 1, Tick::MAX), Missed::TooMuch));
    assert!(matches!(
        hub.since(Feed::Posts, first, Tick::MAX),
        Missed::Deltas { .. }
    ));
    assert!(matches!(hub.since(Feed::Posts, first + 1, Tick::MAX), Missed::TooMuch));
}

#[test]
fn a_tick_is_served_once() {
    let hub = testing::hub(HubLimits::default());
    let changes = Changing::new(3).next();
    hub.apply(&changes);
    let before = rows(&hub, 0);
    hub.apply(&TickChanges {
        views: vec![Vec::new(), Vec::new()],
        ..changes.clone()
    });
    hub.apply(&changes);
    assert_eq!(rows(&hub, 0), before);
}

#[test]
fn a_sliding_view_has_a_new_version_when_its_window_moves() {
    let hub = testing::hub(HubLimits::default());
    let at = |tick, clock| TickChanges {
        tick,
        clock,
        views: vec![vec![]; 2],
        ..TickChanges::default()
    };
    let versions = |hub: &Hub| hub.view_states().iter().map(|v| v.version).collect::<Vec<_>>();
    hub.apply(&at(1, 600_000));
    hub.apply(&at(2, 659_999));
    assert_eq!(versions(&hub), [0, 1]);
    hub.apply(&at(3, 660_000));
    assert_eq!(versions(&hub), [0, 3]);
}
