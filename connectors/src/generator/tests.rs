//! The stream is the same every time, contains what it promises, and goes on where it was.

use super::*;
use crate::decode::Decoder;
use crate::pace::fake::FakeClock;
use groundswell_core::id::Names;
use groundswell_core::record::{Binding, Envelope, Record};
use groundswell_core::source::{Source, SourceBatch, SourceContext, StopFlag};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

fn run(spec: &GeneratorSpec, clock: FakeClock, resume: Vec<Binding>) -> Vec<SourceBatch> {
    let (out, batches) = crossbeam_channel::unbounded();
    let context = SourceContext {
        source: 2,
        resume,
        out,
        stop: StopFlag::default(),
        names: Arc::new(Names::default()),
        horizon: Arc::new(AtomicI64::new(i64::MIN)),
    };
    Box::new(Generator::with_clock("demo", spec.clone(), clock))
        .run(context)
        .expect("runs");
    batches.iter().collect()
}

fn records(batches: &[SourceBatch]) -> Vec<Envelope> {
    batches.iter().flat_map(|b| b.records.clone()).collect()
}

fn full(limit: u64) -> GeneratorSpec {
    let start = Start::At(1_767_225_600_000);
    GeneratorSpec {
        start,
        pace: Rate::Full,
        limit: Some(limit),
        ..GeneratorSpec::default()
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let one: Vec<_> = Generator::iter(7, 3_000).collect();
    assert_eq!(one, Generator::iter(7, 3_000).collect::<Vec<_>>());
    assert_ne!(one, Generator::iter(8, 3_000).collect::<Vec<_>>());
    assert!(one.iter().zip(0..).all(|(event, n)| event.index == n));
    assert!(one.windows(2).all(|w| w[0].at <= w[1].at));
}

#[test]
fn resuming_anywhere_yields_the_rest() {
    let whole = records(&run(&full(2_000), FakeClock::default(), vec![]));
    assert_eq!(whole.len(), 2_000);
    for k in [0, 1, 13, 14, 18, 500, 1_234, 1_999, 2_000] {
        let resume = vec![Binding {
            source: 2,
            partition: 0,
            next: k,
        }];
        let rest = run(&full(2_000), FakeClock::default(), resume);
        assert_eq!(records(&rest), whole[usize::try_from(k).expect("small")..], "from {k}");
        assert!(rest.last().is_some_and(|b| b.finished && b.bindings[0].next == 2_000));
    }
}

#[test]
fn it_contains_what_streams_contain() {
    let decoders: Vec<_> = Collection::ALL
        .map(|c| Decoder::new(Generator::decoder_spec(c)).expect("valid"))
        .into_iter()
        .collect();
    let names = Names::default();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut versions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut votes: BTreeMap<String, Vec<(i64, Option<i64>)>> = BTreeMap::new();
    let mut codes = BTreeSet::new();
    let mut texts = BTreeSet::new();
    let spec = GeneratorSpec {
        garbage_ppm: 20_000,
        ..full(40_000)
    };
    for event in Generator::events(spec) {
        let decoder = &decoders[event.collection as usize];
        let mut count = |what| *seen.entry(what).or_default() += 1;
        match decoder.decode(Some(event.key.as_bytes()), Some(&event.payload), &names) {
            Ok((Record::Post(post), version)) => {
                count("posts");
                assert_eq!(post.id, event.key);
                let lag = event.at - post.created_at;
                if lag > 60_000 {
                    count("late");
                } else if lag < -60_000 {
                    count("skewed");
                }
                if post.parent.is_some() {
                    count("replies");
                }
                if votes.contains_key(&post.id) && !versions.contains_key(&post.id) {
                    count("votes before post");
                }
                texts.insert(post.text);
                versions.entry(post.id).or_default().push(version.expect("versioned"));
            }
            Ok((Record::PostDeleted { id }, version)) => {
                count("deletions");
                versions.entry(id).or_default().push(version.expect("versioned"));
            }
            Ok((Record::Votes(v), _)) => {
                count("votes");
                votes.entry(v.id).or_default().push((v.observed_at, v.votes));
            }
            Ok((Record::Thread(_), _)) => count("threads"),
            Ok((Record::Entity(_), _)) => count("entities"),
            Ok((other, _)) => panic!("{other:?}"),
            Err(dead) => {
                count("garbage");
                codes.insert(dead.code);
                assert!(event.key.starts_with("broken_"), "{}: {}", event.key, dead.message);
            }
        }
    }
    let mut count = |what, n: usize| seen.insert(what, n);
    count("edits", versions.values().filter(|v| v.contains(&2)).count());
    count(
        "redelivered",
        versions
            .values()
            .filter(|v| v.iter().filter(|x| **x == 1).count() > 1)
            .count(),
    );
    count(
        "stale redelivered",
        versions.values().filter(|v| v.windows(2).any(|w| w[0] > w[1])).count(),
    );
    count(
        "revealed",
        votes
            .values()
            .filter(|v| v.windows(2).any(|w| w[0].1.is_none() && w[1].1.is_some()))
            .count(),
    );
    count(
        "revised down",
        votes.values().filter(|v| v.windows(2).any(|w| w[0].1 > w[1].1)).count(),
    );
    count(
        "stale votes",
        votes.values().filter(|v| v.windows(2).any(|w| w[0].0 > w[1].0)).count(),
    );
    println!("{seen:?}\n{codes:?}\n{} texts", texts.len());
    for (what, least) in [
        ("posts", 8_000),
        ("votes", 10_000),
        ("threads", 4),
        ("entities", 14),
        ("late", 50),
        ("skewed", 10),
        ("replies", 2_000),
        ("votes before post", 50),
        ("deletions", 500),
        ("garbage", 50),
        ("edits", 100),
        ("redelivered", 50),
        ("stale redelivered", 10),
        ("revealed", 1_000),
        ("revised down", 500),
        ("stale votes", 50),
    ] {
        assert!(seen.get(what).copied().unwrap_or(0) >= least, "{what}: {seen:?}");
    }
    assert!(codes.len() >= 8, "{codes:?}");
    assert!(texts.len() > 4_000, "{} texts", texts.len());
}

/// Live posts about the target of the first brigade, second by second: what an alert rule would see.
#[test]
fn a_brigade_comes_and_goes_within_25_seconds() {
    let decoder = Decoder::new(Generator::decoder_spec(Collection::Posts)).expect("valid");
    let mut live: BTreeMap<String, i64> = BTreeMap::new();
    let mut per_second: BTreeMap<i64, usize> = BTreeMap::new();
    let zero = 1_767_225_600_000;
    for event in Generator::events(full(20_000)).take_while(|e| e.at < zero + 25_000) {
        if event.collection != Collection::Posts {
            continue;
        }
        match decoder.decode(None, Some(&event.payload), &Names::default()) {
            Ok((Record::Post(post), _)) if post.author.as_deref().is_some_and(|a| a.starts_with("user")) => {
                live.insert(post.id, post.created_at);
            }
            Ok((Record::PostDeleted { id }, _)) => {
                live.remove(&id);
            }
            _ => {}
        }
        per_second.insert((event.at - zero) / 1_000, live.len());
    }
    println!("{per_second:?}");
    assert!(per_second[&3] == 0 && per_second[&8] >= 190, "{per_second:?}");
    assert!(per_second[&16] <= 12, "{per_second:?}");
}

#[test]
fn a_live_stream_is_sent_on_time_and_goes_on_after_an_interruption() {
    let zero = 1_790_000_000_000;
    let spec = |limit| GeneratorSpec {
        limit: Some(limit),
        ..GeneratorSpec::default()
    };
    let clock = FakeClock::at(zero);
    let first = run(&spec(2_000), clock.clone(), vec![]);
    assert!(first.iter().all(|b| b.clock.is_none()));
    assert!(first.len() > 100, "sent as it happens, not at the end: {}", first.len());
    let took = crate::pace::Clock::elapsed(&clock);
    assert!((5..60).contains(&took.as_secs()), "{took:?}");
    let bindings = &first.last().expect("a batch").bindings;
    let bound = |p: u32| bindings.iter().find(|b| b.partition == p).map(|b| b.next);
    assert_eq!(
        (bound(0), bound(1), bound(2)),
        (Some(2_000), Some(0), u64::try_from(zero).ok())
    );

    // Seconds later it catches up, with the same times as without the interruption.
    let resumed = run(&spec(2_500), FakeClock::at(zero + 20_000), bindings.clone());
    let whole = run(&spec(2_500), FakeClock::at(zero), vec![]);
    assert_eq!(records(&resumed), records(&whole)[2_000..]);
    assert_eq!(resumed.last().expect("a batch").bindings.len(), 3);

    // A day later it goes on from then; what it told before keeps its times.
    let later = zero + 86_400_000;
    let resumed = run(&spec(2_500), FakeClock::at(later), bindings.clone());
    let bindings = &resumed.last().expect("a batch").bindings;
    assert_eq!(bindings.len(), 5);
    assert!(
        records(&resumed)
            .iter()
            .any(|e| matches!(&e.record, Record::Post(p) if p.created_at > later - 5_000))
    );
    let rest = run(&spec(3_000), FakeClock::at(later + 5_000), bindings.clone());
    let redelivered = records(&rest)
        .iter()
        .filter(|e| matches!(&e.record, Record::Post(p) if p.created_at < zero + 3_600_000 && p.created_at > zero))
        .count();
    println!("{redelivered} posts of the first day came again");
}

#[test]
#[ignore = "measures speed; run by hand"]
fn speed_of_skipping_and_writing() {
    let begun = std::time::Instant::now();
    let n = Generator::events(full(1_000_000))
        .map(|e| e.payload.len())
        .sum::<usize>();
    println!("1M events, {n} bytes, written in {:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    let mut stream = stream::Stream::new(full(u64::MAX), vec![(0, 1_767_225_600_000)]);
    for _ in 0..1_000_000 {
        stream.advance();
    }
    println!("1M events skipped in {:?}", begun.elapsed());
}
