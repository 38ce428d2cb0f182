//! `POST /predict`: texts to the model, answers back, nothing recorded.

use super::App;
use super::api::answers::{ErrorBody, Guarded, NotReady};
use super::api::shapes::Class;
use super::error::ApiError;
use super::guard::own_pages_only;
use super::reply::{Received, json, uncached};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use groundswell_core::score::{Label, PPM, Score};
use serde::Deserialize;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use tokio::sync::oneshot;
use utoipa::ToSchema;
use utoipa_axum::router::{UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

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
pub(super) fn route() -> UtoipaMethodRouter<App> {
    routes!(predict).layer(DefaultBodyLimit::max(BODY_BYTES))
}

/// Texts to ask about.
#[derive(Deserialize, ToSchema)]
struct PredictRequest {
    /// In the order of the answers.
    #[schema(max_items = 256)]
    texts: Vec<String>,
}

/// Asks the model about texts; nothing is recorded.
///
/// Answers come in the order of the texts. `score` and `confidence` of a sentiment are both the probability of its
/// label; `is_sarcastic` and `is_toxic` are above the model's cut-offs. A text the model cannot answer has `error`
/// in its place. At most 256 texts and 1 MiB; longer texts are cut to what the model reads. Requests wait in a
/// queue of their own, eight at most. Refused to pages of other origins.
#[utoipa::path(
    post,
    path = ROUTE,
    tag = "models",
    operation_id = "post_predict",
    request_body = PredictRequest,
    responses(
        (status = 200, description = "A prediction for each text.", body = Predictions),
        (status = 400, description = "The body is not such a request.", body = ErrorBody),
        (status = 408, description = "The body did not come in time.", body = ErrorBody),
        (status = 413, description = "More texts or bytes than one request may have.", body = ErrorBody),
        NotReady, Guarded
    )
)]
async fn predict(State(app): State<App>, headers: HeaderMap, body: Received) -> Result<Response, ApiError> {
    // Another one could keep the model busy with its reader's browser.
    own_pages_only(&app, &headers)?;
    let body = body.bytes(BODY_BYTES, "send the texts in several requests")?;
    let request: PredictRequest = serde_json::from_slice(&body).map_err(|error| {
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
    let predictions = answers.iter().map(prediction).collect();
    uncached(json(StatusCode::OK, &Predictions { predictions }))
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

/// What the model says, text by text.
#[derive(Serialize, ToSchema)]
struct Predictions {
    /// In the order of the texts.
    predictions: Vec<Prediction>,
}

/// What the model says about a text, or why it says nothing.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Prediction {
    /// An answer.
    Said {
        /// Its class.
        sentiment: Sentiment,
        /// Whether it is meant.
        sarcasm: Sarcasm,
        /// Whether it hurts.
        toxicity: Toxicity,
    },
    /// None.
    Failed {
        /// Why.
        error: Failure,
    },
}

/// The most probable class; `score` and `confidence` are both its probability.
#[derive(Serialize, ToSchema)]
struct Sentiment {
    #[schema(value_type = Class)]
    label: Label,
    #[schema(minimum = 0, maximum = 1)]
    score: f64,
    #[schema(minimum = 0, maximum = 1)]
    confidence: f64,
}

/// Above the model's cut-off or not.
#[derive(Serialize, ToSchema)]
struct Sarcasm {
    is_sarcastic: bool,
    #[schema(minimum = 0, maximum = 1)]
    confidence: f64,
}

/// Above the model's cut-off or not.
#[derive(Serialize, ToSchema)]
struct Toxicity {
    is_toxic: bool,
    #[schema(minimum = 0, maximum = 1)]
    confidence: f64,
}

/// Why a text has no answer.
#[derive(Serialize, ToSchema)]
struct Failure {
    code: &'static str,
    message: String,
}

/// One text's answer.
fn prediction(answer: &Predicted) -> Prediction {
    let unit = |ppm: i32| f64::from(ppm) / f64::from(PPM);
    match answer {
        Ok(score) => {
            let sure = unit(score.positive.max(score.neutral).max(score.negative));
            Prediction::Said {
                sentiment: Sentiment {
                    label: score.label(),
                    score: sure,
                    confidence: sure,
                },
                sarcasm: Sarcasm {
                    is_sarcastic: score.is_sarcastic,
                    confidence: unit(score.sarcastic),
                },
                toxicity: Toxicity {
                    is_toxic: score.is_toxic,
                    confidence: unit(score.toxic),
                },
            }
        }
        Err(why) => Prediction::Failed {
            error: Failure {
                code: why.code,
                message: why.message.clone(),
            },
        },
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
        assert_eq!(json!(prediction(&Ok(score))), expected);
        let failure = PredictFailure {
            code: "model_failed",
            message: "no".into(),
        };
        assert_eq!(json!(prediction(&Err(failure)))["error"]["code"], "model_failed");
    }
}
