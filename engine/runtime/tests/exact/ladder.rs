//! The ladder in the engine: a model that fails on some texts, a real HTTP server below it that is down and comes back, and
//! views that are exact at every step.

use crate::rig::{Rig, graph, post};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post as on_post;
use axum::{Json, Router};
use groundswell::engine::{EngineOptions, MemoryLog, Rungs};
use groundswell_core::id::ModelKey;
use groundswell_core::record::Record;
use groundswell_core::score::Rung;
use groundswell_models::fallback::{Fallback, HttpScorer, HttpSetup, NoModel};
use groundswell_models::{Batch, FixtureScorer, ScoreFailure, Scorer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The fixture, which has no answer for texts with `odd` in them.
struct Picky(FixtureScorer);

impl Scorer for Picky {
    fn model(&self) -> ModelKey {
        self.0.model()
    }
    fn name(&self) -> &str {
        "picky"
    }
    fn length_of(&self, text: &str) -> usize {
        self.0.length_of(text)
    }
    fn forward(&self, texts: &[&str]) -> Result<Batch, ScoreFailure> {
        let mut batch = self.0.forward(texts)?;
        for (text, result) in texts.iter().zip(&mut batch.results) {
            if text.contains("odd") {
                *result = Err(ScoreFailure::Tokens("odd".into()));
            }
        }
        Ok(batch)
    }
}

#[derive(Default)]
struct Server {
    up: AtomicBool,
    asked: AtomicUsize,
}

async fn answer(State(server): State<Arc<Server>>, Json(body): Json<Value>) -> Response {
    server.asked.fetch_add(1, Ordering::Relaxed);
    if !server.up.load(Ordering::Relaxed) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let length = body["messages"][1]["content"].as_str().map_or(0, str::len);
    let positive = (length % 10) as f64 / 10.0;
    let said = json!({"positive": positive, "neutral": 1.0 - positive, "negative": 0.0, "sarcastic": 0.7});
    Json(json!({"choices": [{"message": {"content": said.to_string()}}]})).into_response()
}

fn serve() -> (SocketAddr, Arc<Server>, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = Arc::<Server>::default();
    let router = Router::new()
        .route("/v1/chat/completions", on_post(answer))
        .with_state(Arc::clone(&server));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    (addr, server, runtime)
}

fn setup(addr: SocketAddr) -> HttpSetup {
    let mut setup = HttpSetup::new(format!("http://{addr}/v1"), "small");
    setup.budget_per_minute = None;
    setup.retries = 1;
    setup.pause = Duration::from_millis(5);
    setup.failures = 5;
    setup.open = Duration::from_millis(300);
    setup
}

fn options(scorer: Arc<dyn Scorer>, http: Option<HttpSetup>, neutral: bool) -> EngineOptions {
    let mut options = EngineOptions::new(graph());
    options.graph.scoring.ladder = http.is_some();
    options.scorer = Some(scorer);
    options.rungs = Rungs {
        neutral,
        http: http.map(|setup| Fallback {
            neutral,
            again: Duration::from_millis(200),
            longest: Duration::from_millis(400),
            ..Fallback::new(Arc::new(HttpScorer::new(setup).unwrap()))
        }),
    };
    options
}

fn picky() -> Arc<dyn Scorer> {
    Arc::new(Picky(FixtureScorer::default()))
}

fn posts() -> Vec<Record> {
    let odd = |n: u64| if n.is_multiple_of(3) { "odd " } else { "" };
    (0..30)
        .map(|n| post(n, "t", &format!("{}good {}", odd(n), "x".repeat(n as usize))))
        .collect()
}

/// How many answers of each rung are recorded; `None` is that there is none.
fn recorded(log: &MemoryLog) -> BTreeMap<Option<Rung>, usize> {
    let mut rungs = BTreeMap::new();
    for envelope in log.ticks().into_iter().flat_map(|t| t.records) {
        match envelope.record {
            Record::Score { score, .. } => *rungs.entry(Some(score.rung)).or_default() += 1,
            Record::Unscorable { .. } => *rungs.entry(None).or_default() += 1,
            _ => {}
        }
    }
    rungs
}

#[test]
fn a_rung_that_recovers_corrects_the_views() {
    let (addr, server, _runtime) = serve();
    let log = MemoryLog::default();
    let mut rig = Rig::start(options(picky(), Some(setup(addr)), true), &log);
    rig.put(posts());
    rig.until("ten texts are neutral, which is not scored", |said| {
        said.counts(0) == (30, 20) && said.dead.len() == 10
    });
    rig.drain();
    rig.check();
    assert_eq!(recorded(&log)[&Some(Rung::Neutral)], 10, "each of them once");
    assert!(
        server.asked.load(Ordering::Relaxed) < 30,
        "the breaker keeps from asking"
    );
    server.up.store(true, Ordering::Relaxed);
    rig.until("the server is back", |said| said.counts(0) == (30, 30));
    rig.check();
    assert_eq!(rig.said.lock().unwrap().dead, vec!["text_not_tokenised"; 10]);
    let rungs = BTreeMap::from([
        (Some(Rung::Local), 20),
        (Some(Rung::Http), 10),
        (Some(Rung::Neutral), 10),
    ]);
    assert_eq!(recorded(&log), rungs);
    rig.engine.stop().unwrap();

    // What is recorded is asked for by nobody, on no rung.
    let asked = server.asked.load(Ordering::Relaxed);
    let mut rig = Rig::start(options(picky(), Some(setup(addr)), true), &log);
    rig.drain();
    rig.check();
    assert_eq!(rig.said.lock().unwrap().counts(0), (30, 30));
    assert_eq!(rig.engine.scorer_stats().passes.load(Ordering::Relaxed), 0);
    assert_eq!(server.asked.load(Ordering::Relaxed), asked);
    rig.engine.stop().unwrap();
}

#[test]
fn what_was_neutral_before_a_restart_is_mended_after_it() {
    let (addr, server, _runtime) = serve();
    let log = MemoryLog::default();
    let mut rig = Rig::start(options(picky(), Some(setup(addr)), true), &log);
    rig.put(posts());
    rig.until("ten texts are neutral", |said| said.dead.len() == 10);
    rig.drain();
    rig.engine.stop().unwrap();
    server.up.store(true, Ordering::Relaxed);
    let rig = Rig::start(options(picky(), Some(setup(addr)), true), &log);
    rig.until("mended", |said| said.counts(0) == (30, 30));
    rig.check();
    assert_eq!(
        recorded(&log)[&Some(Rung::Neutral)],
        10,
        "nothing is neutral a second time"
    );
    rig.engine.stop().unwrap();
}

#[test]
fn neutral_alone_is_a_rung_and_counts_where_it_is_asked_to() {
    let log = MemoryLog::default();
    let mut rig = Rig::start(options(picky(), None, true), &log);
    rig.put(posts());
    rig.drain();
    rig.check();
    assert_eq!(rig.said.lock().unwrap().counts(0), (30, 20));
    assert_eq!(recorded(&log)[&Some(Rung::Neutral)], 10);
    rig.engine.stop().unwrap();
    let mut counting = options(picky(), None, true);
    counting.graph.scoring.count_neutral = true;
    let mut rig = Rig::start(counting, &log);
    rig.drain();
    rig.check();
    assert_eq!(rig.said.lock().unwrap().counts(0), (30, 30));
    assert_eq!(rig.engine.scorer_stats().passes.load(Ordering::Relaxed), 0);
    rig.engine.stop().unwrap();
}

/// Without neutral, a text nobody answers has no score until somebody does.
#[test]
fn without_neutral_a_text_waits_without_a_score() {
    let (addr, server, _runtime) = serve();
    let log = MemoryLog::default();
    let mut rig = Rig::start(options(picky(), Some(setup(addr)), false), &log);
    rig.put(vec![post(0, "t", "odd one")]);
    rig.until("a dead letter", |said| said.dead.len() == 1);
    rig.drain();
    rig.check();
    assert_eq!(recorded(&log), BTreeMap::from([(None, 1)]));
    server.up.store(true, Ordering::Relaxed);
    rig.until("answered", |said| said.counts(0) == (1, 1));
    rig.check();
    rig.engine.stop().unwrap();
}

#[test]
fn without_a_model_the_http_scorer_answers_all() {
    let (addr, server, _runtime) = serve();
    server.up.store(true, Ordering::Relaxed);
    let log = MemoryLog::default();
    let none = Arc::new(NoModel::new(&setup(addr)));
    let mut rig = Rig::start(options(none, Some(setup(addr)), true), &log);
    rig.put(posts());
    rig.drain();
    rig.check();
    assert_eq!(rig.said.lock().unwrap().counts(0), (30, 30));
    assert_eq!(recorded(&log), BTreeMap::from([(Some(Rung::Http), 30)]));
    assert!(rig.said.lock().unwrap().dead.is_empty());
    let text = rig.shared.metrics.text().unwrap();
    assert!(
        text.contains("groundswell_scorer_answers_total{rung=\"http\"} 30"),
        "{text}"
    );
    assert!(text.contains("groundswell_scorer_http_requests_total{outcome=\"ok\"} 30"));
    rig.engine.stop().unwrap();
}

/// A model that is slow is waited for, unless the pipeline says for how long; its answer replaces the other one.
#[test]
fn a_slow_model_is_overtaken_only_after_a_while_and_has_the_last_word() {
    struct Slow(FixtureScorer);
    impl Scorer for Slow {
        fn model(&self) -> ModelKey {
            self.0.model()
        }
        fn name(&self) -> &str {
            "slow"
        }
        fn length_of(&self, text: &str) -> usize {
            self.0.length_of(text)
        }
        fn forward(&self, texts: &[&str]) -> Result<Batch, ScoreFailure> {
            std::thread::sleep(Duration::from_millis(1_500));
            self.0.forward(texts)
        }
    }
    let (addr, server, _runtime) = serve();
    server.up.store(true, Ordering::Relaxed);
    for (after, http) in [(None, 0), (Some(Duration::from_millis(200)), 1)] {
        let log = MemoryLog::default();
        let mut options = options(Arc::new(Slow(FixtureScorer::default())), Some(setup(addr)), true);
        if let Some(below) = &mut options.rungs.http {
            below.after = after;
        }
        let rig_options = options;
        let mut rig = Rig::start(rig_options, &log);
        rig.put(vec![post(0, "t", "good")]);
        rig.until("the model has answered", |_| {
            recorded(&log).contains_key(&Some(Rung::Local))
        });
        rig.drain();
        rig.check();
        assert_eq!(recorded(&log).get(&Some(Rung::Http)).copied().unwrap_or(0), http);
        let score = FixtureScorer::default().answer("good");
        let wx: i64 = rig
            .said
            .lock()
            .unwrap()
            .rows
            .iter()
            .filter(|(row, _)| row.view == 0)
            .map(|(_, acc)| acc.wx)
            .sum();
        let expected = groundswell_core::acc::Acc::scored(1 << 24, score.sentiment(), score.label(), false, false).wx;
        assert_eq!(wx, expected, "the model's answer counts in the end");
        rig.engine.stop().unwrap();
    }
}
