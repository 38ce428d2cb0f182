//! `POST /predict`, and the rungs below the model, over the wire.

use crate::world::{ask, drained, get, run};
use axum::routing::post;
use axum::{Json, Router};
use groundswell_models::FixtureScorer;
use serde_json::{Value, json};

#[test]
fn predictions_have_the_shape_and_order_of_the_first_systems() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path(), &[], "{live: fixture}", "");
    let addr = running.addr().unwrap();
    drained(&running);
    let predict = |body: &str| ask(addr, "POST", "/predict", "Content-Type: application/json\r\n", body);
    let texts = [
        "what a great game, love it",
        "",
        "the worst, you idiot",
        "good, obviously /s",
        "🏀🏀🏀",
        "אין\u{0} דבר",
    ];
    let answer = predict(&json!({ "texts": texts }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let unit = |ppm: i32| f64::from(ppm) / 1e6;
    let expected: Vec<Value> = texts
        .iter()
        .map(|text| {
            let s = FixtureScorer::default().answer(text);
            let sure = unit(s.positive.max(s.neutral).max(s.negative));
            json!({
                "sentiment": {"label": s.label(), "score": sure, "confidence": sure},
                "sarcasm": {"is_sarcastic": s.is_sarcastic, "confidence": unit(s.sarcastic)},
                "toxicity": {"is_toxic": s.is_toxic, "confidence": unit(s.toxic)},
            })
        })
        .collect();
    assert_eq!(answer.json(), json!({ "predictions": expected }));
    assert_eq!(predict("{\"texts\": []}").json(), json!({"predictions": []}));
    let long = "good ".repeat(100_000);
    assert_eq!(predict(&json!({ "texts": [long] }).to_string()).status, 200);

    let many = json!({ "texts": vec!["x"; 257] }).to_string();
    let huge = json!({ "texts": ["x".repeat(1 << 20)] }).to_string();
    for (body, status, code) in [
        ("", 400, "INVALID_BODY"),
        ("{", 400, "INVALID_BODY"),
        ("[]", 400, "INVALID_BODY"),
        ("{\"text\": \"one\"}", 400, "INVALID_BODY"),
        ("{\"texts\": \"one\"}", 400, "INVALID_BODY"),
        ("{\"texts\": [1]}", 400, "INVALID_BODY"),
        (many.as_str(), 413, "TOO_MANY_TEXTS"),
        (huge.as_str(), 413, "PAYLOAD_TOO_LARGE"),
    ] {
        let answer = predict(body);
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (status, Some(code))
        );
    }
    assert_eq!(get(addr, "/predict").status, 405);
    let foreign = ask(
        addr,
        "POST",
        "/predict",
        "Origin: http://evil.example\r\n",
        "{\"texts\": []}",
    );
    assert_eq!(foreign.json()["error"]["code"], "FORBIDDEN_ORIGIN");
    // Nothing of it is in the views or the record.
    assert_eq!(running.engine.status().recorded(), running.engine.status().complete());
    assert_eq!(get(addr, "/api/v1/posts").json()["data"], json!([]));
    running.stop().unwrap();
}

#[test]
fn without_a_model_there_is_no_prediction_and_when_to_ask_again() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(folder.path(), &[], "{live: given}", "");
    let answer = ask(running.addr().unwrap(), "POST", "/predict", "", "{\"texts\": [\"a\"]}");
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (503, Some("NO_MODEL"))
    );
    assert!(answer.head.contains("\r\nretry-after: "), "{}", answer.head);
    running.stop().unwrap();
}

/// A pipeline file with a scorer below, and what a post says of who answered.
#[test]
fn a_pipeline_without_a_model_asks_its_http_scorer() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let answer = || async {
        let said = json!({"label": "negative", "confidence": 0.8}).to_string();
        Json(json!({"choices": [{"message": {"content": said}}]}))
    };
    let router = Router::new().route("/v1/chat/completions", post(answer));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let server = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "hush\n").unwrap();
    let models =
        format!("{{fallback: {{http: {{url: \"http://{server}/v1\", model: small, token: \"file:token\"}}}}}}");
    let running = run(
        folder.path(),
        &[("a", "some text")],
        &models,
        "scoring: {sarcasm: flip}",
    );
    drained(&running);
    let post = get(running.addr().unwrap(), "/api/v1/posts/a").json();
    assert_eq!(post["data"]["score"]["answered_by"], "http", "{post}");
    assert_eq!(post["data"]["sentiment"], -0.7);
    let refused = ask(running.addr().unwrap(), "POST", "/predict", "", "{\"texts\": [\"a\"]}");
    assert_eq!(
        refused.json()["error"]["code"],
        "NO_MODEL",
        "an HTTP scorer's budget is the pipeline's"
    );
    running.stop().unwrap();
}
