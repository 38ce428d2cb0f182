//! Sink threads with sinks that fail when told to.

use super::*;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
struct Shared {
    broken: AtomicBool,
    taken: Mutex<Vec<Tick>>,
    batches: Mutex<Vec<usize>>,
    resyncs: Mutex<Vec<(Tick, Option<Tick>)>>,
}

/// Takes ticks while it is not broken, at most three of a batch before it breaks by itself.
struct Test {
    name: &'static str,
    shared: Arc<Shared>,
    fragile: bool,
}

impl Sink for Test {
    fn name(&self) -> &str {
        self.name
    }
    fn upper(&self) -> Option<Tick> {
        self.shared.taken.lock().last().copied()
    }
    fn apply(&mut self, changes: &TickChanges) -> Result<(), String> {
        if self.shared.broken.load(Ordering::Acquire) {
            return Err("it is broken".to_owned());
        }
        let mut taken = self.shared.taken.lock();
        if taken.last().is_none_or(|last| *last < changes.tick) {
            taken.push(changes.tick);
        }
        Ok(())
    }
    fn apply_all(&mut self, changes: &[Arc<TickChanges>]) -> Result<(), String> {
        self.shared.batches.lock().push(changes.len());
        for (n, tick) in changes.iter().enumerate() {
            if self.fragile && n == 3 {
                return Err("three are enough".to_owned());
            }
            self.apply(tick)?;
        }
        Ok(())
    }
    fn can_resync(&self) -> bool {
        true
    }
    fn resync(&mut self, full: &TickChanges) -> Result<String, String> {
        self.shared.resyncs.lock().push((full.tick, self.upper()));
        Ok("done".to_owned())
    }
}

fn start(name: &'static str, fragile: bool, full: Option<FullState>, stop: &StopFlag) -> (SinkThread, Arc<Shared>) {
    let shared = Arc::new(Shared::default());
    let sink = Test {
        name,
        shared: Arc::clone(&shared),
        fragile,
    };
    let state = Arc::new(SinkState::new(name, 0, true));
    let thread = SinkThread::start(Box::new(sink), state, full, stop.clone(), Arc::new(|_, _| {}));
    (thread.expect("a thread"), shared)
}

fn offer(sink: &mut SinkThread, ticks: std::ops::RangeInclusive<Tick>) {
    for tick in ticks {
        let changes = TickChanges {
            tick,
            ..TickChanges::default()
        };
        sink.offer(&Arc::new(changes), &Status::default());
    }
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_failing_sink_loses_nothing_and_holds_up_nobody() {
    let stop = StopFlag::default();
    let (mut bad, shared) = start("bad", false, None, &stop);
    let (mut good, other) = start("good", false, None, &stop);
    shared.broken.store(true, Ordering::Release);
    for tick in 1..=100 {
        offer(&mut bad, tick..=tick);
        offer(&mut good, tick..=tick);
    }
    eventually("the good one is through", || other.taken.lock().len() == 100);
    eventually("the bad one is in trouble", || {
        let report = bad.state.report();
        matches!(report.condition, SinkCondition::Retrying(n) if n > 1)
            && report.trouble.as_deref() == Some("it is broken")
    });
    assert_eq!((bad.state.committed(), bad.state.report().oldest), (0, Some(1)));
    shared.broken.store(false, Ordering::Release);
    bad.state.resume();
    eventually("it has caught up", || shared.taken.lock().len() == 100);
    assert_eq!(*shared.taken.lock(), (1..=100).collect::<Vec<_>>());
    assert!(shared.batches.lock().iter().any(|n| *n > 10), "it took them one by one");
    eventually("it is well", || {
        bad.state.report().condition == SinkCondition::Running && bad.state.report().behind == 0
    });
    assert_eq!(bad.state.committed(), 100);
    assert_eq!((bad.finish(), good.finish()), (None, None));
}

#[test]
fn what_a_failed_batch_took_is_not_given_again() {
    let stop = StopFlag::default();
    let (mut sink, shared) = start("fragile", true, None, &stop);
    sink.state.pause();
    offer(&mut sink, 1..=8);
    sink.state.resume();
    eventually("all are taken", || {
        sink.state.resume();
        shared.taken.lock().len() == 8
    });
    assert_eq!(sink.finish(), None);
    assert_eq!(shared.batches.lock().last(), Some(&2), "{:?}", shared.batches.lock());
}

#[test]
fn a_paused_sink_takes_nothing_until_it_is_resumed() {
    let stop = StopFlag::default();
    let (mut sink, shared) = start("paused", false, None, &stop);
    offer(&mut sink, 1..=3);
    eventually("they are taken", || shared.taken.lock().len() == 3);
    sink.state.pause();
    std::thread::sleep(3 * LOOK);
    offer(&mut sink, 4..=9);
    std::thread::sleep(3 * LOOK);
    assert_eq!(shared.taken.lock().len(), 3);
    let report = sink.state.report();
    assert_eq!((report.condition, report.behind), (SinkCondition::Paused, 6));
    sink.state.resume();
    eventually("they are taken", || shared.taken.lock().len() == 9);
    sink.state.pause();
    std::thread::sleep(3 * LOOK);
    offer(&mut sink, 10..=10);
    stop.stop();
    let why = sink.finish().expect("it was paused");
    assert!(why.contains("after tick 9: it is paused"), "{why}");
}

#[test]
fn a_resync_takes_place_at_the_tick_that_is_served() {
    let stop = StopFlag::default();
    let full: FullState = Arc::new(|| {
        Some(TickChanges {
            tick: 5,
            ..TickChanges::default()
        })
    });
    let (mut sink, shared) = start("resynced", false, Some(full), &stop);
    sink.state.pause();
    std::thread::sleep(3 * LOOK);
    offer(&mut sink, 1..=9);
    sink.state.ask_resync().expect("it can");
    sink.state.resume();
    eventually("it is done", || sink.state.report().resync.as_deref() == Some("done"));
    assert_eq!(*shared.resyncs.lock(), [(5, Some(5))]);
    eventually("the rest is taken", || shared.taken.lock().len() == 9);
    assert_eq!(sink.finish(), None);

    let (sink, _) = start("unserved", false, None, &stop);
    sink.state.ask_resync().expect("it can");
    eventually("it says no", || {
        sink.state
            .report()
            .resync
            .is_some_and(|what| what.contains("serve: false"))
    });
    assert_eq!(sink.finish(), None);
    let plain = SinkState::new("file", 0, false);
    assert_eq!(plain.ask_resync(), Err(SinkError::NoResync("file".to_owned())));
}

#[test]
fn a_failing_sink_gives_up_when_the_engine_stops() {
    let stop = StopFlag::default();
    let (mut sink, shared) = start("broken", false, None, &stop);
    shared.broken.store(true, Ordering::Release);
    offer(&mut sink, 1..=2);
    eventually("it failed", || sink.state.report().trouble.is_some());
    stop.stop();
    let why = sink.finish().expect("it failed");
    assert!(
        why.contains("\"broken\"") && why.contains("after tick 0: it is broken"),
        "{why}"
    );
}
