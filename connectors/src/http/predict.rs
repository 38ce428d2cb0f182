//! `POST /predict`: texts to the model, answers back, nothing recorded.

use super::App;
use super::error::ApiError;
use super::guard::own_pages_only;
use super::reply::{self, json, uncached};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use groundswell_core::score::{PPM, Score};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::oneshot;

/// Its path.
pub(super) const ROUTE: &str = "/predict";
/// Longest body.
pub(super) const BODY_BYTES: usize = 1 << 20;
/// Most texts of one request.
const TEXTS: usize = 256;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the model says about a text, or why it says nothing.
pub type Predicted = Result<Score, PredictFailure>;

/// Why one text has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictFailure {
    /// Stable code, as in dead letters.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredictRefusal {
    /// The engine is starting.
    Starting,
    /// The pipeline has no model.
    NoModel,
    /// Others wait already, as many as may.
    Busy,
}

/// Answers, in the order of the texts, when they are there.
pub type Predicting = oneshot::Receiver<Vec<Predicted>>;

/// Its answer, with room for the texts.
pub(super) fn route() -> MethodRouter<App> {
    post(predict).layer(DefaultBodyLimit::max(BODY_BYTES))
}

#[derive(Deserialize)]
struct Request {
    texts: Vec<String>,
}

async fn predict(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    // Another one could keep the model busy with its reader's browser.
    own_pages_only(&app, &headers)?;
    let body = reply::body(body, BODY_BYTES, "send the texts in several requests")?;
    let request: Request = serde_json::from_slice(&body).map_err(|error| {
        let message = format!("The body is not {{\"texts\": [\"...\"]}}: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "INVALID_BODY", message)
    })?;
    if request.texts.len() > TEXTS {
        let message = format!(
            "There are {} texts, and {TEXTS} may be in one request",
            request.texts.len()
        );
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_MANY_TEXTS", message)
            .with(json!({ "provided": request.texts.len(), "most": TEXTS })));
    }
    let answers = app.health.predict(request.texts).map_err(refused)?;
    let busy = || refused(PredictRefusal::Busy);
    let answers = tokio::time::timeout(PATIENCE, answers).await.map_err(|_| busy())?;
    // Whoever would answer is gone: the engine stops.
    let answers = answers.map_err(|_| refused(PredictRefusal::Starting))?;
    let predictions: Vec<Value> = answers.iter().map(prediction).collect();
    uncached(json(StatusCode::OK, &json!({ "predictions": predictions })))
}

/// 503 carries `Retry-After`.
fn refused(refusal: PredictRefusal) -> ApiError {
    let (code, message) = match refusal {
        PredictRefusal::Starting => ("NOT_READY", "The engine is starting or stopping"),
        PredictRefusal::NoModel => (
            "NO_MODEL",
            "No model is loaded; `models.live` of the pipeline names one",
        ),
        PredictRefusal::Busy => ("MODEL_BUSY", "The model has more to do than may wait"),
    };
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
}

/// One text's answer; `score` and `confidence` are both the probability of the label.
fn prediction(answer: &Predicted) -> Value {
    let unit = |ppm: i32| f64::from(ppm) / f64::from(PPM);
    match answer {
        Ok(score) => {
            let sure = unit(score.positive.max(score.neutral).max(score.negative));
            json!({
                "sentiment": { "label": score.label(), "score": sure, "confidence": sure },
                "sarcasm": { "is_sarcastic": score.is_sarcastic, "confidence": unit(score.sarcastic) },
                "toxicity": { "is_toxic": score.is_toxic, "confidence": unit(score.toxic) },
            })
        }
        Err(why) => json!({ "error": { "code": why.code, "message": why.message } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_has_the_shape_of_the_first_systems() {
        let score = Score {
            positive: 100_000,
            neutral: 150_000,
            negative: 750_000,
            toxic: 700_001,
            is_toxic: true,
            sarcastic: 600_000,
            ..Score::default()
        };
        let expected = json!({
            "sentiment": { "label": "negative", "score": 0.75, "confidence": 0.75 },
            "sarcasm": { "is_sarcastic": false, "confidence": 0.6 },
            "toxicity": { "is_toxic": true, "confidence": 0.700_001 },
        });
        assert_eq!(prediction(&Ok(score)), expected);
        let failure = PredictFailure {
            code: "model_failed",
            message: "no".into(),
        };
        assert_eq!(prediction(&Err(failure))["error"]["code"], "model_failed");
    }
}
