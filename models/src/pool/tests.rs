//! The pool as a whole, with the fixture scorer and one that misbehaves.

use super::*;
use crate::FixtureScorer;
use crate::scorer::doubles::Fragile;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

const PATIENCE: Duration = Duration::from_secs(20);

fn corpus(n: usize) -> (Vec<TextKey>, HashMap<TextKey, Arc<str>>) {
    let texts: HashMap<TextKey, Arc<str>> = (0..n)
        .map(|i| format!("post {i} {}", "good ".repeat(i % 7)))
        .map(|t| (TextKey::of(t.as_bytes()), Arc::from(t)))
        .collect();
    let mut keys: Vec<TextKey> = texts.keys().copied().collect();
    keys.sort_unstable();
    (keys, texts)
}

fn collect(answers: &Receiver<Vec<Answer>>, n: usize) -> Vec<Answer> {
    let mut all = Vec::new();
    while all.len() < n {
        all.extend(answers.recv_timeout(PATIENCE).expect("answers in time"));
    }
    all
}

#[test]
fn every_text_is_answered_once_and_right() {
    let (keys, texts) = corpus(500);
    let lookup = texts.clone();
    let options = PoolOptions {
        threads: 3,
        ..PoolOptions::default()
    };
    let (pool, answers) = ScorerPool::start(
        Arc::new(FixtureScorer::default()),
        move |k| lookup.get(&k).cloned(),
        options,
    )
    .expect("started");
    for (recency, key) in (0..).zip(&keys) {
        pool.want(*key, recency);
        pool.want(*key, recency);
    }
    let mut all = collect(&answers, 500);
    all.sort_unstable_by_key(|a| a.text);
    assert_eq!(all.iter().map(|a| a.text).collect::<Vec<_>>(), keys);
    for answer in &all {
        assert_eq!(answer.result, Ok(FixtureScorer::default().answer(&texts[&answer.text])));
    }
    assert!(
        answers.recv_timeout(Duration::from_millis(50)).is_err(),
        "nothing comes twice"
    );
    let stats = pool.stats().snapshot();
    assert_eq!(
        (stats.texts, stats.failures, stats.waiting, stats.in_flight),
        (500, 0, 0, 0)
    );
    pool.stop();
}

#[test]
fn a_single_text_is_answered_after_the_age() {
    let (keys, texts) = corpus(1);
    let (pool, answers) = ScorerPool::start(
        Arc::new(FixtureScorer::default()),
        move |k| texts.get(&k).cloned(),
        PoolOptions {
            age: Duration::from_millis(60),
            ..PoolOptions::default()
        },
    )
    .expect("started");
    let started = Instant::now();
    pool.want(keys[0], 0);
    assert_eq!(collect(&answers, 1).len(), 1);
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[test]
fn bad_and_missing_texts_fail_alone() {
    let texts = ["fine", "panic now", "fail now", "good"];
    let lookup: HashMap<TextKey, Arc<str>> = texts
        .iter()
        .map(|t| (TextKey::of(t.as_bytes()), Arc::from(*t)))
        .collect();
    let fetch = move |k| lookup.get(&k).cloned();
    let (pool, answers) =
        ScorerPool::start(Arc::new(Fragile::default()), fetch, PoolOptions::default()).expect("started");
    let keys: Vec<TextKey> = texts
        .iter()
        .chain(&["unknown"])
        .map(|t| TextKey::of(t.as_bytes()))
        .collect();
    for key in &keys {
        pool.want(*key, 0);
    }
    let results: HashMap<TextKey, _> = collect(&answers, 5).into_iter().map(|a| (a.text, a.result)).collect();
    let codes = keys
        .iter()
        .map(|k| results[k].as_ref().err().map(ScoreFailure::code))
        .collect::<Vec<_>>();
    assert_eq!(
        codes,
        [
            None,
            Some("model_panicked"),
            Some("model_failed"),
            None,
            Some("text_missing")
        ]
    );
    assert_eq!(pool.stats().snapshot().failures, 3);
}

#[test]
fn unread_answers_stop_the_pool_and_stopping_does_not_wait_for_a_reader() {
    let (keys, texts) = corpus(300);
    let fetched = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&fetched);
    let fetch = move |k| {
        counter.fetch_add(1, Ordering::Relaxed);
        texts.get(&k).cloned()
    };
    let options = PoolOptions {
        limits: Limits {
            texts: 4,
            tokens: 1_000,
        },
        answers: 1,
        ..PoolOptions::default()
    };
    let (pool, answers) = ScorerPool::start(Arc::new(FixtureScorer::default()), fetch, options).expect("started");
    for key in &keys {
        pool.want(*key, 0);
    }
    std::thread::sleep(Duration::from_millis(100));
    assert!(
        fetched.load(Ordering::Relaxed) <= 2 * 4 * LOT,
        "it went on without a reader"
    );
    assert!(pool.stats().snapshot().waiting > 200);
    pool.stop();
    assert!(answers.iter().flatten().count() <= 8);
}

#[test]
fn wanted_again_before_the_record_knows_costs_no_pass() {
    let (keys, texts) = corpus(1);
    let (pool, answers) = ScorerPool::start(
        Arc::new(FixtureScorer::default()),
        move |k| texts.get(&k).cloned(),
        PoolOptions::default(),
    )
    .expect("started");
    pool.want(keys[0], 0);
    let first = collect(&answers, 1);
    pool.unwant(keys[0]);
    pool.want(keys[0], 0);
    assert_eq!(collect(&answers, 1), first);
    let stats = pool.stats().snapshot();
    assert_eq!((stats.passes, stats.memo_hits), (1, 1));
}

#[test]
fn zero_options_are_refused() {
    let options = PoolOptions {
        threads: 0,
        ..PoolOptions::default()
    };
    let error = ScorerPool::start(Arc::new(FixtureScorer::default()), |_| None, options)
        .err()
        .expect("refused");
    assert_eq!(error.to_string(), "the scorer pool needs at least one thread");
}

/// Holds back the pass with the last of so many texts, until the gate's other end is dropped.
struct Gated {
    scorer: FixtureScorer,
    left: AtomicUsize,
    gate: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Scorer for Gated {
    fn model(&self) -> groundswell_core::id::ModelKey {
        self.scorer.model()
    }
    fn name(&self) -> &str {
        "gated"
    }
    fn length_of(&self, text: &str) -> usize {
        self.scorer.length_of(text)
    }
    fn forward(&self, texts: &[&str]) -> Result<crate::Batch, ScoreFailure> {
        if self.left.fetch_sub(texts.len(), Ordering::Relaxed) == texts.len() {
            let _ = self.gate.lock().expect("nobody panicked").recv();
        }
        self.scorer.forward(texts)
    }
}

#[test]
fn a_pool_in_the_background_waits_for_the_one_in_front() {
    let (keys, texts) = corpus(100);
    let texts = Arc::new(texts);
    let traffic = Arc::<Traffic>::default();
    let start = |background, scorer: Arc<dyn Scorer>| {
        let texts = Arc::clone(&texts);
        let lane = Lane {
            traffic: Arc::clone(&traffic),
            background,
            rate: None,
        };
        let mut options = PoolOptions::default();
        options.limits.texts = 10;
        ScorerPool::start_in(lane, scorer, move |k| texts.get(&k).cloned(), options).expect("started")
    };
    let (open, gate) = std::sync::mpsc::channel();
    let (live, of_live) = start(
        false,
        Arc::new(Gated {
            scorer: FixtureScorer::default(),
            left: AtomicUsize::new(keys.len()),
            gate: std::sync::Mutex::new(gate),
        }),
    );
    let (shadow, of_shadow) = start(true, Arc::new(FixtureScorer::variant("b")));
    (0..).zip(&keys).for_each(|(recency, key)| live.want(*key, recency));
    (0..).zip(&keys).for_each(|(recency, key)| shadow.want(*key, recency));
    // The last pass has ten texts at most.
    let most = collect(&of_live, 90).len();
    assert!(of_shadow.is_empty(), "the live model has texts left");
    drop(open);
    assert_eq!(collect(&of_live, 100 - most).len(), 100 - most);
    assert_eq!(collect(&of_shadow, 100).len(), 100);
    // In front it waits for nobody.
    shadow.set_background(false);
    live.set_background(true);
    let more = keys.iter().map(|key| TextKey(key.0 ^ 1));
    more.for_each(|key| shadow.want(key, 0));
    assert_eq!(
        collect(&of_shadow, 100).len(),
        100,
        "answered, if only with what was missing"
    );
    live.stop();
    shadow.stop();
}
