//! Fifty subscribers follow a running engine while its generator revises: whatever each of them has folded is, at the tick of
//! an HTTP answer, that answer.
//!
//! Each chooses views, keyword events and filters at random, breaks off now and then, at times in the middle of a frame's tick, and comes
//! back with the last tick it has everything up to.

#![allow(clippy::unwrap_used)]

mod client;
mod fold;

use client::{Subscriber, Tally};
use groundswell::config;
use groundswell::engine::Connections;
use groundswell::pipeline::start;
use std::time::{Duration, Instant};

const SUBSCRIBERS: u64 = 50;
const LASTS: Duration = Duration::from_secs(20);

#[test]
fn what_each_of_fifty_subscribers_holds_is_what_http_says_of_the_same_tick() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.yaml");
    let text = "name: followed\n\
        time: {tick: 20ms}\n\
        sources: {posts: {type: generator, posts_per_minute: 12000, seed: 5}}\n\
        models: {live: fixture}\n\
        views:\n\
        \x20 by_minute: {group_by: [thread, entity], window: {tumble: 1m}}\n\
        \x20 by_source: {group_by: [source], window: {hop: {size: 10m, every: 5m}}}\n\
        \x20 last_hour: {group_by: [entity], window: {sliding: {size: 1h, every: 1s}}}\n\
        keywords:\n\
        \x20 orchard: {phrases: [Glass Orchard, Cold Harbour], exclude: [disappointed, painfully, backstage]}\n\
        \x20 lanterns: {phrases: [Run the Lanterns, Velvet Static], exclude: [butchered, loved]}\n\
        serve: {http: \"127.0.0.1:0\", routes: {events: true}}\n";
    std::fs::write(&file, text).unwrap();
    let pipeline = config::load(&file).unwrap_or_else(|e| panic!("{e}"));
    let running = start(&pipeline, Connections::default()).unwrap();
    let addr = running.addr().unwrap();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let tallies: Vec<Tally> = runtime.block_on(async {
        let until = Instant::now() + LASTS;
        let tasks: Vec<_> = (0..SUBSCRIBERS)
            .map(|seed| tokio::spawn(Subscriber::new(addr, seed).follow(until)))
            .collect();
        let mut tallies = Vec::new();
        for task in tasks {
            tallies.push(task.await.unwrap());
        }
        tallies
    });
    assert_eq!(running.engine.status().fatal(), None);
    running.stop().unwrap();

    let sum = |part: fn(&Tally) -> u64| tallies.iter().map(part).sum::<u64>();
    println!(
        "{} answers compared, {} of them with rows, {} with events; {} frames, {} resumed, {} resynced",
        sum(|t| t.compared),
        sum(|t| t.with_rows),
        sum(|t| t.with_events),
        sum(|t| t.frames),
        sum(|t| t.resumed),
        sum(|t| t.resynced)
    );
    assert!(tallies.iter().all(|t| t.compared > 0), "everybody compares");
    assert!(sum(|t| t.with_rows) > 100 && sum(|t| t.with_events) > 20);
    assert!(sum(|t| t.resumed) > 50 && sum(|t| t.resynced) > 0);
}
