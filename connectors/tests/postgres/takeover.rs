//! Two processes that are the same sink: the later one writes, the earlier one cannot any more.

use super::world::{World, server};
use groundswell_connectors::postgres::PostgresError;
use groundswell_core::serving::Sink;

#[test]
fn a_zombie_cannot_write() {
    let server = server();
    let url = server.database().unwrap();
    let mut world = World::new(1);
    (0..6).for_each(|_| world.step(10));
    let mut zombie = world.open(&url);
    zombie.apply_all(&world.ticks[..2]).unwrap();
    let mut heir = world.open(&url);
    assert_eq!(heir.upper(), Some(world.ticks[1].tick));
    let fenced = |zombie: &mut groundswell_connectors::postgres::PostgresSink| {
        let error = zombie.commit(&[&world.ticks[2]]).unwrap_err();
        assert!(matches!(error, PostgresError::Fenced { mine: 1, .. }), "{error}");
        assert!(!error.is_retriable());
    };
    // Before the heir has written anything, after it has, and when the zombie connects again.
    fenced(&mut zombie);
    heir.apply_all(&world.ticks[2..4]).unwrap();
    fenced(&mut zombie);
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity where application_name \
               = 'groundswell live-threads/pg' and datname = current_database()";
    server.psql(&url, sql).unwrap();
    fenced(&mut zombie);
    assert!(heir.apply_all(&world.ticks[4..]).is_err());
    heir.apply_all(&world.ticks[4..]).unwrap();
    assert_eq!(world.check(server, &url), Some(world.ticks[5].tick));
}

#[test]
fn progress_changed_by_hand_is_noticed() {
    let server = server();
    let url = server.database().unwrap();
    let mut world = World::new(2);
    (0..2).for_each(|_| world.step(10));
    let mut sink = world.open(&url);
    sink.apply(&world.ticks[0]).unwrap();
    let ahead = world.ticks[1].tick + 1;
    server
        .psql(&url, &format!("update \"live-threads\"._progress set upper = {ahead}"))
        .unwrap();
    let error = sink.commit(&[&world.ticks[1]]).unwrap_err();
    assert!(matches!(error, PostgresError::Progress { .. }), "{error}");
}
