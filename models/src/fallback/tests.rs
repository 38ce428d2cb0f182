//! The ladder over a real HTTP server that misbehaves on request: what a text says is what happens to it.

use super::*;
use crate::ScorerStats;
use crate::stats::Watch;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use groundswell_core::id::TextKey;
use groundswell_core::score::{Rung, Score};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

#[derive(Default)]
struct Seen {
    texts: Vec<String>,
    headers: Vec<HeaderMap>,
    bodies: Vec<Value>,
    /// Every answer is this status, whatever the text says.
    all: Option<StatusCode>,
}

type Server = Arc<Mutex<Seen>>;

fn good() -> Response {
    let content =
        json!({"positive": 0.7, "neutral": 0.2, "negative": 0.1, "toxic": 0.1, "sarcastic": 0.9, "emotion": "joy"});
    Json(json!({"choices": [{"message": {"content": content.to_string()}}]})).into_response()
}

async fn answer(State(server): State<Server>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let text = body["messages"][1]["content"].as_str().unwrap_or_default().to_owned();
    let (nth, all) = {
        let mut seen = server.lock();
        seen.texts.push(text.clone());
        seen.headers.push(headers);
        seen.bodies.push(body);
        (seen.texts.iter().filter(|t| **t == text).count(), seen.all)
    };
    if let Some(status) = all {
        return status.into_response();
    }
    match text.as_str() {
        "answers 500" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "answers 500 twice" if nth <= 2 => StatusCode::BAD_GATEWAY.into_response(),
        "answers 401" => StatusCode::UNAUTHORIZED.into_response(),
        "answers 400" => StatusCode::BAD_REQUEST.into_response(),
        "answers 404" => StatusCode::NOT_FOUND.into_response(),
        "redirects" => (StatusCode::TEMPORARY_REDIRECT, [("location", "/v1/elsewhere")]).into_response(),
        "is too fast once" if nth == 1 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "2")]).into_response(),
        "never comes" => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            good()
        }
        "is not json" => "<html>busy</html>".into_response(),
        "is off the schema" => {
            Json(json!({"choices": [{"message": {"content": "{\"mood\": \"fine\"}"}}]})).into_response()
        }
        "is cut off" => Json(json!({"choices": [{"message": {"content": "{\"positive\": 0.5,"}}]})).into_response(),
        "is huge" => Body::from(vec![b' '; 8 << 20]).into_response(),
        _ => good(),
    }
}

fn serve() -> (SocketAddr, Server, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("runtime");
    let server = Server::default();
    let router = Router::new()
        .route("/v1/chat/completions", post(answer))
        .with_state(Arc::clone(&server));
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("bound");
    let addr = listener.local_addr().expect("address");
    runtime.spawn(async move { axum::serve(listener, router).await });
    (addr, server, runtime)
}

fn key(text: &str) -> TextKey {
    TextKey::of(text.as_bytes())
}

#[derive(Default)]
struct Outcomes(Mutex<Vec<&'static str>>);

impl Watch for Outcomes {
    fn batch(&self, _: usize, _: Duration) {}
    fn answered(&self, _: Duration) {}
    fn failed(&self, _: &'static str) {}
    fn recorded(&self, _: Option<Rung>) {}
    fn asked(&self, outcome: &'static str, _: Duration) {
        self.0.lock().push(outcome);
    }
    fn below(&self, _: usize, _: bool) {}
}

struct Stage {
    ladder: Ladder,
    facts: mpsc::Receiver<Vec<Fell>>,
    server: Server,
    outcomes: Arc<Outcomes>,
    waiting: Vec<Fell>,
    runtime: tokio::runtime::Runtime,
}

const MODEL: ModelKey = ModelKey(7);

/// A ladder with short pauses; `change` makes them what a test needs.
fn stage(texts: &[&str], change: impl FnOnce(&mut HttpSetup)) -> Stage {
    let (addr, server, runtime) = serve();
    let mut setup = HttpSetup::new(format!("http://{addr}/v1"), "small");
    setup.token = Some("hush".into());
    setup.timeout = Duration::from_millis(400);
    setup.pause = Duration::from_millis(10);
    setup.failures = 1_000;
    setup.budget_per_minute = None;
    change(&mut setup);
    let fallback = Fallback {
        again: Duration::from_millis(400),
        longest: Duration::from_millis(800),
        ..Fallback::new(Arc::new(HttpScorer::new(setup).expect("a scorer")))
    };
    let known: HashMap<TextKey, Arc<str>> = texts.iter().map(|t| (key(t), Arc::from(*t))).collect();
    let stats = Arc::new(ScorerStats::default());
    let outcomes = Arc::<Outcomes>::default();
    stats.watch(Arc::clone(&outcomes) as Arc<dyn Watch>);
    let (ladder, facts) = Ladder::start(fallback, MODEL, move |key| known.get(&key).cloned(), stats).expect("started");
    for (recency, text) in (0..).zip(texts) {
        ladder.want(key(text), recency, false);
        ladder.model_failed(key(text), crate::ScoreFailure::Tokens("none".into()));
    }
    Stage {
        ladder,
        facts,
        server,
        outcomes,
        waiting: Vec::new(),
        runtime,
    }
}

impl Stage {
    fn next(&mut self) -> Fell {
        if self.waiting.is_empty() {
            let lot = self
                .runtime
                .block_on(async { tokio::time::timeout(Duration::from_secs(20), self.facts.recv()).await });
            self.waiting = lot.expect("in time").expect("open");
            self.waiting.reverse();
        }
        let fell = self.waiting.pop().expect("a lot is not empty");
        // The graph hears of it and says what it wants now.
        match fell.score.map(|score| score.rung) {
            Some(Rung::Http) => self.ladder.unwant(fell.text),
            _ => self.ladder.want(fell.text, 0, true),
        }
        fell
    }

    fn asked(&self, text: &str) -> usize {
        self.server.lock().texts.iter().filter(|t| *t == text).count()
    }
}

#[test]
fn a_good_answer_is_of_the_rung_http() {
    let mut stage = stage(&["fine"], |_| {});
    let fell = stage.next();
    let score = fell.score.expect("a score");
    assert_eq!(
        (score.positive, score.rung, score.is_sarcastic),
        (700_000, Rung::Http, true)
    );
    assert_eq!((fell.text, fell.model, fell.failure), (key("fine"), MODEL, None));
    let seen = stage.server.lock();
    assert_eq!(seen.headers[0]["authorization"], "Bearer hush");
    assert_eq!(seen.bodies[0]["model"], "small");
    assert_eq!(seen.bodies[0]["response_format"]["json_schema"]["strict"], true);
}

/// How often each is asked for before something else stands for its answer, and what is said of it.
#[test]
fn whatever_the_server_does_a_text_ends_neutral_and_named() {
    for (text, asked, outcome, why) in [
        ("answers 500", 4, "server_error", "500"),
        ("answers 401", 1, "unauthorized", "401"),
        ("answers 400", 1, "refused", "400"),
        ("answers 404", 1, "unexpected_status", "404"),
        ("redirects", 1, "unexpected_status", "307"),
        ("never comes", 4, "timeout", "no answer in time"),
        ("is not json", 4, "not_json", "not JSON"),
        ("is off the schema", 4, "off_schema", "neither"),
        ("is cut off", 4, "not_json", "not JSON"),
        ("is huge", 1, "too_large", "longer than"),
    ] {
        let mut stage = stage(&[text], |_| {});
        let fell = stage.next();
        assert_eq!(fell.score, Some(Score::neutral()), "{text}");
        let (failure, message) = fell.failure.expect("a dead letter");
        assert_eq!(failure.code(), "text_not_tokenised");
        assert!(message.contains(why), "{text}: {message}");
        assert_eq!(stage.asked(text), asked, "{text}");
        assert!(stage.outcomes.0.lock().iter().all(|o| *o == outcome), "{text}");
    }
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let mut stage = stage(&["fine"], |setup| setup.url = "http://127.0.0.1:1/v1".into());
    assert_eq!(stage.next().score.map(|s| s.rung), Some(Rung::Neutral));
    assert_eq!(*stage.outcomes.0.lock(), ["unreachable"; 4]);
}

#[test]
fn a_failure_that_passes_is_not_seen() {
    let mut stage = stage(&["answers 500 twice"], |_| {});
    assert_eq!(stage.next().score.map(|s| s.rung), Some(Rung::Http));
    assert_eq!(stage.asked("answers 500 twice"), 3);
}

#[test]
fn too_many_requests_pause_all_for_as_long_as_the_server_says() {
    let mut stage = stage(&["is too fast once"], |_| {});
    let began = Instant::now();
    assert_eq!(
        stage.next().score.map(|s| s.rung),
        Some(Rung::Neutral),
        "it need not wait"
    );
    assert!(began.elapsed() < Duration::from_millis(1900));
    assert_eq!(stage.next().score.map(|s| s.rung), Some(Rung::Http));
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(stage.asked("is too fast once"), 2);
}

#[test]
fn the_breaker_opens_and_a_probe_closes_it() {
    let texts: Vec<String> = (0..20).map(|n| format!("text {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut stage = stage(&texts, |setup| {
        setup.failures = 5;
        setup.open = Duration::from_millis(700);
        setup.retries = 0;
    });
    stage.server.lock().all = Some(StatusCode::SERVICE_UNAVAILABLE);
    let rungs: Vec<_> = (0..20).map(|_| stage.next().score.map(|s| s.rung)).collect();
    let neutral = rungs.iter().filter(|r| **r == Some(Rung::Neutral)).count();
    // The first ones may have been asked before the server was told to fail.
    assert!(neutral >= 12, "{rungs:?}");
    let asked = stage.server.lock().texts.len();
    assert!(asked < 16, "{asked} requests");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        stage.server.lock().texts.len(),
        asked,
        "nobody is asked while it is open"
    );
    stage.server.lock().all = None;
    for _ in 0..neutral {
        assert_eq!(
            stage.next().score.map(|s| s.rung),
            Some(Rung::Http),
            "what was neutral is mended"
        );
    }
    assert!(stage.facts.try_recv().is_err(), "and nothing twice");
}

#[test]
fn the_budget_is_kept_and_what_it_does_not_cover_is_neutral() {
    let texts: Vec<String> = (0..10).map(|n| format!("text {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut stage = stage(&texts, |setup| setup.budget_per_minute = Some(3));
    let mut rungs: Vec<_> = (0..10).map(|_| stage.next().score.map(|s| s.rung)).collect();
    rungs.sort_unstable();
    assert_eq!(rungs[..3], [Some(Rung::Http); 3]);
    assert_eq!(rungs[3..], [Some(Rung::Neutral); 7]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stage.server.lock().texts.len(), 3);
}

#[test]
fn stopping_does_not_wait_for_an_answer() {
    let stage = stage(&["never comes"], |setup| setup.timeout = Duration::from_secs(300));
    let end = Instant::now() + Duration::from_secs(20);
    while stage.asked("never comes") == 0 {
        assert!(Instant::now() < end, "asked");
        std::thread::sleep(Duration::from_millis(5));
    }
    let began = Instant::now();
    drop(stage.ladder);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn without_a_model_every_text_falls() {
    let none = NoModel::new(&HttpSetup::new("http://127.0.0.1:1/v1", "m"));
    let batch = none.forward(&["a", "b"]).expect("a batch");
    assert!(batch.results.iter().all(|r| *r == Err(ScoreFailure::NoModel)));
    assert!(ScoreFailure::NoModel.is_lasting());
    let other = HttpSetup::new("http://127.0.0.1:1/v1", "other");
    assert_ne!(none.model(), other.key(), "another model has other answers");
}
