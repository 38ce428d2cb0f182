//! Random histories: whatever is applied, in whatever portions, with restarts in between, the tables equal the model.

use super::world::{World, server};
use groundswell_connectors::postgres::PostgresSink;
use groundswell_core::serving::{Sink, TickChanges};
use rand::RngExt;
use std::sync::Arc;

fn cases() -> u64 {
    std::env::var("GROUNDSWELL_POSTGRES_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(8)
}

/// What the engine hands over: everything after the sink's upper.
fn due(world: &World, sink: &PostgresSink) -> Vec<Arc<TickChanges>> {
    let due = world
        .ticks
        .iter()
        .filter(|t| sink.upper().is_none_or(|upper| t.tick > upper));
    due.cloned().collect()
}

#[test]
fn tables_equal_the_model_through_restarts() {
    for seed in 0..cases() {
        let server = server();
        let url = server.database().unwrap();
        let mut world = World::new(seed);
        let mut sink = world.open(&url);
        assert_eq!(sink.upper(), None);
        for _ in 0..12 {
            for _ in 0..world.dice.random_range(1..4) {
                world.step(12);
            }
            let mut ticks = due(&world, &sink);
            match world.dice.random_range(0..4) {
                0 => sink.apply_all(&ticks).unwrap(),
                1 => {
                    // A crash with ticks left over: a new process begins where the tables are.
                    ticks.truncate(world.dice.random_range(0..=ticks.len()));
                    sink.apply_all(&ticks).unwrap();
                    sink = world.open(&url);
                    sink.apply_all(&due(&world, &sink)).unwrap();
                }
                2 => {
                    // The server ends our connection; the next attempt makes a new one.
                    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name \
                               = 'groundswell live-threads/pg' and datname = current_database()";
                    assert_eq!(server.psql(&url, sql).unwrap(), "1");
                    let why = sink.apply_all(&ticks).unwrap_err();
                    assert!(why.contains("was lost"), "{why}");
                    sink.apply_all(&ticks).unwrap();
                }
                _ => ticks.iter().for_each(|tick| sink.apply(tick).unwrap()),
            }
            // Ticks that are committed already change nothing.
            sink.apply_all(&world.ticks).unwrap();
            assert_eq!(
                world.check(server, &url),
                Some(world.ticks.last().unwrap().tick),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn a_second_sink_has_tables_and_progress_of_its_own() {
    let server = server();
    let url = server.database().unwrap();
    let mut world = World::new(1000);
    let options = |name: &str, tables: &[usize], rest: bool| {
        let mut options = world.options(&url);
        (options.name, options.tables) = (name.into(), tables.to_vec());
        (options.alerts, options.dead_letters) = (rest, rest);
        options
    };
    let (first, second) = (options("pg", &[0, 1, 2, 3], true), options("other", &[4, 5, 6], false));
    let mut all = options("other", &[4, 5, 6], true);
    let mut sink = PostgresSink::open(first.clone()).unwrap();
    let mut other = PostgresSink::open(second).unwrap();
    for _ in 0..10 {
        world.step(10);
    }
    sink.apply_all(&world.ticks).unwrap();
    other.apply_all(&world.ticks[..4]).unwrap();
    let (last, fourth) = (world.ticks[9].tick, world.ticks[3].tick);
    world.check_at(server, &url, Some(last), &[0, 1, 2, 3]);
    other = PostgresSink::open({
        let mut options = first;
        (options.name, options.tables) = ("other".into(), vec![4, 5, 6]);
        (options.alerts, options.dead_letters) = (false, false);
        options
    })
    .unwrap();
    assert_eq!((sink.upper(), other.upper()), (Some(last), Some(fourth)));
    other.apply_all(&world.ticks[4..]).unwrap();
    world.check(server, &url);
    // What one sink writes another may not.
    all.tables = vec![4];
    let error = PostgresSink::open(all).err().unwrap().to_string();
    assert!(error.contains("\"alerts\" belongs to the sink \"pg\""), "{error}");
}

#[test]
fn resync_writes_only_what_differs() {
    let server = server();
    let url = server.database().unwrap();
    let mut world = World::new(2000);
    for _ in 0..30 {
        world.step(15);
    }
    let mut sink = world.open(&url);
    sink.apply_all(&world.ticks).unwrap();
    let full = world.full();
    let none = sink.resync(&full).unwrap();
    assert!(none.iter().all(|d| d.deleted == 0 && d.written == 0), "{none:?}");
    let sql = "begin; set search_path = \"live-threads\"; \
        delete from by_minute where ctid in (select ctid from by_minute limit 3); \
        update kept set posts = posts + 1 where (author, thread, entity, source, window_start) in \
          (select author, thread, entity, source, window_start from kept limit 2); \
        update kept set sentiment = null where sentiment is not null and window_start = (select max(window_start) from kept); \
        insert into aligned select 'nobody', window_start, window_end, 0, 1, now() from aligned limit 1; \
        update alerts set state = 'wrong', evidence = '[]'; commit";
    server.psql(&url, sql).unwrap();
    let found = sink.resync(&full).unwrap();
    let of = |table: &str| found.iter().find(|d| d.table == table).unwrap();
    assert_eq!((of("by_minute").deleted, of("by_minute").written), (0, 3));
    assert_eq!(of("aligned").deleted, 1);
    assert!(of("kept").written >= 2 && of("alerts").written >= 1, "{found:?}");
    // The rows are as wanted; when they were last written is all that tells.
    let sql = "set search_path = \"live-threads\"; update by_minute set updated_at = 'epoch'; update kept set updated_at = 'epoch'";
    server.psql(&url, sql).unwrap();
    let again = sink.resync(&full).unwrap();
    assert!(again.iter().all(|d| d.deleted == 0 && d.written == 0), "{again:?}");
    world.step(5);
    sink.apply(&world.ticks[30]).unwrap();
    assert_eq!(sink.upper(), Some(world.ticks[30].tick));
}
