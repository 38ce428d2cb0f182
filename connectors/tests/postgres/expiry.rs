//! `keep`: expired windows go with their partitions, and never show after the tick that dropped them.

use super::world::{World, server};
use groundswell_core::serving::Sink;
use std::sync::mpsc;
use std::time::Duration;

fn partitions(url: &str, table: &str) -> usize {
    let sql = format!("select count(*) from pg_inherits where inhparent = '\"live-threads\".{table}'::regclass");
    server().psql(url, &sql).unwrap().parse().unwrap()
}

#[test]
fn partitions_come_and_go() {
    let server = server();
    let url = server.database().unwrap();
    let mut world = World::new(1);
    let mut sink = world.open(&url);
    let mut most = 0;
    for _ in 0..80 {
        world.step(10);
        sink.apply(world.ticks.last().unwrap()).unwrap();
        most = most.max(partitions(&url, "kept")).max(partitions(&url, "aligned"));
    }
    world.check(server, &url);
    // The clock moved on by a day or more; what is live spans a few hours, and there is one partition for the far future.
    assert!((5..45).contains(&most), "{most} partitions at a time");
    let clock = world.ticks.last().unwrap().clock - world.ticks[0].clock;
    assert!(clock > 12 * 3_600_000, "{clock}");
}

#[test]
fn a_reader_of_an_old_partition_delays_its_end_and_sees_nothing_wrong() {
    let server = server();
    let url = server.database().unwrap();
    let mut world = World::new(2);
    let mut sink = world.open(&url);
    for _ in 0..12 {
        world.step(10);
    }
    sink.apply_all(&world.ticks[..4]).unwrap();
    let (read, reading) = mpsc::channel();
    let reader = {
        let url = url.clone();
        std::thread::spawn(move || {
            // Holds a lock on all partitions as long as it reads.
            read.send(()).unwrap();
            let sql = "select count(*), pg_sleep(4) from \"live-threads\".kept";
            server.psql(&url, sql).unwrap()
        })
    };
    reading.recv().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    for tick in &world.ticks[4..] {
        sink.apply(tick).unwrap();
    }
    assert!(!reader.is_finished(), "the sink waited for the reader");
    world.check(server, &url);
    reader.join().unwrap();
    let before = partitions(&url, "kept");
    for _ in 0..6 {
        world.step(10);
        sink.apply(world.ticks.last().unwrap()).unwrap();
    }
    world.check(server, &url);
    println!(
        "{before} partitions while it was read, {} after",
        partitions(&url, "kept")
    );
}
