//! Connections cut and servers killed while transactions run: the tables are always as of `_progress`, and in the end as if
//! nothing had happened.

use super::world::World;
use groundswell_connectors::postgres::{PostgresError, PostgresSink};
use groundswell_core::serving::{Sink, TickChanges};
use groundswell_testing::postgres::Postgres;
use rand::RngExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn due(world: &World, sink: &PostgresSink) -> Vec<Arc<TickChanges>> {
    let due = world
        .ticks
        .iter()
        .filter(|t| sink.upper().is_none_or(|upper| t.tick > upper));
    due.cloned().collect()
}

/// Big ticks, so that a transaction takes long enough to be hit.
fn step(world: &mut World) {
    world.step(1500);
}

/// Ends the cutting when the sink is done with, in whatever way: the scope waits for its threads even then.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn cut_connections_lose_and_repeat_nothing() {
    let server = Postgres::start_own(&[]).unwrap();
    let url = server.database().unwrap();
    let mut world = World::new(77);
    let mut sink = world.open(&url);
    let done = AtomicBool::new(false);
    let mut cuts = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Another client cuts whatever is connected, all the time.
            let sql =
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'groundswell %'";
            let (mut pause, mut cut) = (5, 0);
            while !done.load(Ordering::Relaxed) {
                // Ever longer, for on a busy machine a transaction may need longer than any one pause.
                std::thread::sleep(Duration::from_millis(pause + cut * 2));
                (pause, cut) = (pause * 7 % 211, cut + 1);
                server.psql(&url, sql).unwrap();
            }
        });
        let _over = Over(&done);
        for _ in 0..12 {
            step(&mut world);
            let end = Instant::now() + Duration::from_secs(60);
            while let Err(why) = sink.apply_all(&due(&world, &sink)) {
                cuts += 1;
                assert!(why.contains("was lost") || why.contains("cannot reach"), "{why}");
                assert!(Instant::now() < end, "never through: {why}");
                world.check(&server, &url);
                if world.dice.random_bool(0.3) {
                    // As a new process would; it may be cut as well.
                    if let Ok(fresh) = PostgresSink::open(world.options(&url)) {
                        sink = fresh;
                    }
                }
            }
        }
    });
    assert!(cuts > 5, "only {cuts} connections were cut");
    assert_eq!(world.check(&server, &url), Some(world.ticks.last().unwrap().tick));
}

#[test]
fn a_killed_server_loses_and_repeats_nothing() {
    let server = Mutex::new(Postgres::start_own(&[]).unwrap());
    let url = server.lock().unwrap().database().unwrap();
    let mut world = World::new(78);
    let mut sink = world.open(&url);
    let mut failed = 0;
    for round in 0..6 {
        step(&mut world);
        let after = Duration::from_millis(world.dice.random_range(0..120));
        std::thread::scope(|scope| {
            let server = &server;
            scope.spawn(move || {
                std::thread::sleep(after);
                server.lock().unwrap().kill().unwrap();
            });
            failed += u32::from(sink.apply_all(&due(&world, &sink)).is_err());
        });
        world.step(3);
        let error = sink.commit(&[world.ticks.last().unwrap()]).err();
        assert!(
            matches!(
                error,
                Some(PostgresError::Lost { .. } | PostgresError::Unreachable { .. })
            ),
            "round {round}: {error:?}"
        );
        let mut server = server.lock().unwrap();
        server.restart().unwrap();
        world.check(&server, &url);
        if round % 2 == 0 {
            sink = world.open(&url);
        }
        sink.apply_all(&due(&world, &sink)).unwrap();
        assert_eq!(world.check(&server, &url), Some(world.ticks.last().unwrap().tick));
    }
    println!("{failed} of 6 kills hit a transaction");
}

#[test]
fn a_server_that_stands_still_is_given_up_and_goes_on() {
    let server = Postgres::start_own(&[]).unwrap();
    let url = server.database().unwrap();
    let mut world = World::new(79);
    (0..3).for_each(|_| world.step(10));
    let mut options = world.options(&url);
    (options.answer_timeout, options.connect_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    let mut sink = PostgresSink::open(options).unwrap();
    sink.apply(&world.ticks[0]).unwrap();
    server.pause().unwrap();
    let began = Instant::now();
    let error = sink.commit(&[&world.ticks[1]]).unwrap_err();
    assert!(
        matches!(error, PostgresError::Silent { .. }) && error.is_retriable(),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
    server.resume().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while let Err(why) = sink.apply_all(&world.ticks) {
        assert!(Instant::now() < end, "{why}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(world.check(&server, &url), Some(world.ticks[2].tick));
}
