//! Revisions as a column, and states by the clock that `_progress` holds.

use super::world::{START, World, server, views};
use groundswell_connectors::postgres::{PostgresOptions, PostgresSink};
use groundswell_core::acc::Acc;
use groundswell_core::serving::{RowChange, Sink, TickChanges};
use groundswell_core::spec::ViewKey;
use groundswell_core::time::{MINUTE, Tick};
use std::sync::Arc;

#[test]
fn the_state_of_a_row_follows_the_clock_and_no_row_is_written_for_it() {
    let server = server();
    let url = server.database().unwrap();
    let world = World::new(1);
    let mut view = views()[0].clone();
    view.extras.revisions = true;
    let options = PostgresOptions {
        views: Arc::new([view]),
        tables: vec![0],
        alerts: false,
        dead_letters: false,
        ..world.options(&url)
    };
    let mut sink = PostgresSink::open(options).unwrap();
    let start = START / MINUTE * MINUTE;
    let key = |minute: i64| ViewKey {
        start: start + minute * MINUTE,
        ..ViewKey::default()
    };
    let row = |minute, revision| RowChange {
        revision,
        ..RowChange::new(key(minute), Some(Acc::unscored()))
    };
    let mut apply = |tick: Tick, minutes: i64, rows: Vec<RowChange>| {
        let changes = TickChanges {
            tick,
            clock: start + minutes * MINUTE,
            views: vec![rows],
            ..TickChanges::default()
        };
        sink.apply(&changes).unwrap();
    };
    let states = || {
        let sql = "select revision, \"live-threads\".row_state(window_end, revision), xmin from \"live-threads\".by_minute order by window_start";
        let answer = server.psql(&url, sql).unwrap();
        let rows: Vec<Vec<String>> = answer
            .lines()
            .map(|l| l.split('\t').map(str::to_owned).collect())
            .collect();
        let written: Vec<String> = rows.iter().map(|row| row[2].clone()).collect();
        let shown: Vec<String> = rows.iter().map(|row| format!("{} {}", row[0], row[1])).collect();
        (shown, written)
    };
    apply(1, 1, vec![row(0, 0), row(1, 0)]);
    let (shown, written) = states();
    assert_eq!(shown, ["0 final", "0 open"]);
    apply(2, 2, vec![]);
    assert_eq!(states(), (vec!["0 final".to_owned(), "0 final".to_owned()], written));
    apply(3, 2, vec![row(0, 1)]);
    apply(4, 2, vec![row(0, 2)]);
    assert_eq!(states().0, ["2 revised", "0 final"]);
    let clock = server
        .psql(
            &url,
            "select extract(epoch from clock)::bigint * 1000 from \"live-threads\"._progress",
        )
        .unwrap();
    assert_eq!(clock, (start + 2 * MINUTE).to_string());
}
