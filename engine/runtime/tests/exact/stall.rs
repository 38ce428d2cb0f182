//! A model that stalls: nothing but scores waits for it, rows say how many of their posts are scored, and all is made up for.

use crate::rig::{Rig, T0, graph, post};
use groundswell::engine::{EngineOptions, MemoryLog};
use groundswell_core::id::ModelKey;
use groundswell_core::record::{Post, Record, Votes};
use groundswell_core::score::Score;
use groundswell_models::{Batch, FixtureScorer, ScoreFailure, Scorer};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The fixture, whose passes wait while it is told to.
#[derive(Default)]
struct Stalling {
    inner: FixtureScorer,
    stalled: Mutex<bool>,
    changed: Condvar,
}

impl Stalling {
    fn set(&self, stalled: bool) {
        *self.stalled.lock().unwrap() = stalled;
        self.changed.notify_all();
    }
}

impl Scorer for Stalling {
    fn model(&self) -> ModelKey {
        self.inner.model()
    }
    fn name(&self) -> &str {
        "stalling"
    }
    fn length_of(&self, text: &str) -> usize {
        self.inner.length_of(text)
    }
    fn forward(&self, texts: &[&str]) -> Result<Batch, ScoreFailure> {
        let stalled = self.stalled.lock().unwrap();
        drop(self.changed.wait_while(stalled, |stalled| *stalled).unwrap());
        self.inner.forward(texts)
    }
}

/// What the test does every few milliseconds, by turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Text,
    Vote,
    Delete,
    OtherView,
}

fn record(n: u64) -> (Kind, Record) {
    match n % 4 {
        0 => (Kind::Text, post(n, "t0", &format!("good take number {n}"))),
        1 => {
            let votes = Votes {
                id: format!("p{}", (n / 8) * 4),
                votes: Some(i64::try_from(n).unwrap()),
                observed_at: T0 + i64::try_from(n).unwrap(),
            };
            (Kind::Vote, Record::Votes(votes))
        }
        2 if n.is_multiple_of(3) => {
            let id = format!("p{}", n.saturating_sub(122));
            (Kind::Delete, Record::PostDeleted { id })
        }
        _ => {
            let Record::Post(text) = post(n, "other", "") else {
                unreachable!()
            };
            let score = Some(Score::given(i32::try_from(n % 1_000).unwrap() * 1_000));
            (Kind::OtherView, Record::Post(Post { score, ..text }))
        }
    }
}

const PACE: Duration = Duration::from_millis(10);

/// Sends records for a while; when each was sent.
fn load(rig: &mut Rig, n: &mut u64, lasts: Duration) -> Vec<(u64, Kind, Instant)> {
    let mut sent = Vec::new();
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        let (kind, record) = record(*n);
        *n += 1;
        let offset = rig.put(vec![record]);
        sent.push((offset, kind, Instant::now()));
        std::thread::sleep(PACE);
    }
    sent
}

/// From being sent to the tick being complete, by kind: the median and the slowest of twenty.
fn latencies(rig: &Rig, sent: &[(u64, Kind, Instant)]) -> BTreeMap<Kind, (Duration, Duration)> {
    let said = rig.said.lock().unwrap();
    let mut tick_of = BTreeMap::new();
    for tick in rig.log.ticks() {
        for envelope in tick.records.iter().filter(|e| e.source == 0) {
            tick_of.insert(envelope.offset, tick.tick);
        }
    }
    let mut all = BTreeMap::<Kind, Vec<Duration>>::new();
    for (offset, kind, at) in sent {
        all.entry(*kind)
            .or_default()
            .push(said.complete[&tick_of[offset]] - *at);
    }
    let quantiles = |(kind, mut took): (Kind, Vec<Duration>)| {
        took.sort_unstable();
        (kind, (took[took.len() / 2], took[took.len() * 19 / 20]))
    };
    all.into_iter().map(quantiles).collect()
}

fn stalls_for(stall: Duration) {
    let scorer = Arc::new(Stalling::default());
    let mut options = EngineOptions::new(graph());
    options.scorer = Some(Arc::clone(&scorer) as Arc<dyn Scorer>);
    let mut rig = Rig::start(options, &MemoryLog::default());
    let mut n = 0;
    let before = load(&mut rig, &mut n, Duration::from_secs(4));
    rig.until("everything is scored", |said| {
        let (posts, scored) = said.counts(0);
        posts > 50 && posts == scored
    });
    scorer.set(true);
    let began = Instant::now();
    let during = load(&mut rig, &mut n, stall);
    let (posts, scored, other) = {
        let said = rig.said.lock().unwrap();
        let other: Vec<i32> = said
            .rows
            .values()
            .filter(|a| a.posts == a.scored)
            .map(|a| a.posts)
            .collect();
        let (posts, scored) = said.counts(0);
        (posts, scored, other.iter().sum::<i32>())
    };
    let waiting = rig.engine.status().wanted();
    assert!(
        scored > 50 && scored < posts && waiting > 100,
        "{scored} of {posts} scored, {waiting} texts wait"
    );
    assert!(other > 100, "rows without texts are whole: {other}");
    rig.check();
    assert!(began.elapsed() >= stall);
    scorer.set(false);
    rig.drain();
    rig.check();
    let (posts, scored) = rig.said.lock().unwrap().counts(0);
    assert_eq!(posts, scored, "everything has caught up");
    let (calm, stalled) = (latencies(&rig, &before), latencies(&rig, &during));
    println!(
        "stalled for {stall:?}, {waiting} texts waited; median and 19 in 20 before {calm:?}, meanwhile {stalled:?}"
    );
    for (kind, (median, most)) in &stalled {
        // The other tests of this program run at the same time: what is ruled out is waiting for the model.
        let (usual, mostly) = calm[kind];
        assert!(
            *median < usual * 3 + Duration::from_millis(50),
            "{kind:?}: {median:?}, before {usual:?}"
        );
        assert!(
            *most < mostly * 5 + Duration::from_millis(500),
            "{kind:?}: {most:?}, before {mostly:?}"
        );
    }
    rig.engine.stop().unwrap();
}

/// `GROUNDSWELL_STALL` seconds; a minute if it does not say.
#[test]
fn nothing_but_scores_waits_for_a_stalled_model() {
    let seconds = std::env::var("GROUNDSWELL_STALL").ok().and_then(|s| s.parse().ok());
    stalls_for(Duration::from_secs(seconds.unwrap_or(60)));
}
