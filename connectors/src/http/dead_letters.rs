//! `/api/v1/dead-letters/replay`: dead letters given to the engine again.

use super::App;
use super::error::ApiError;
use super::guard::own_pages_only;
use super::reply::{self, json, uncached};
use crate::dlq::{Letter, REQUEST_BYTES, Refusal, Replayed, Verdict};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use serde::Deserialize;
use serde_json::{Map, json};

/// Its path.
pub(super) const ROUTE: &str = "/api/v1/dead-letters/replay";

/// Its answer, with room for a request of letters.
pub(super) fn route() -> MethodRouter<App> {
    post(replay).layer(DefaultBodyLimit::max(REQUEST_BYTES))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    letters: Vec<Letter>,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /api/v1/dead-letters/replay`.
async fn replay(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    own_pages_only(&app, &headers)?;
    let body = reply::body(body, REQUEST_BYTES, "send the letters in several requests")?;
    // Decoding and the wait for the graph are no work for the threads that answer everybody.
    let answered = tokio::task::spawn_blocking(move || {
        let request: Request = serde_json::from_slice(&body).map_err(|error| {
            let message = format!("The body is not {{\"letters\": [...], \"dry_run\": false}}: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "INVALID_BODY", message)
        })?;
        app.health.replay(&request.letters, request.dry_run).map_err(refused)
    });
    let replayed = answered.await.map_err(|error| ApiError::internal(&error))??;
    uncached(json(
        StatusCode::OK,
        &json!({ "data": data(&replayed), "metadata": {} }),
    ))
}

fn refused(refusal: Refusal) -> ApiError {
    let (status, code) = match refusal {
        Refusal::NotNow(_) => (StatusCode::SERVICE_UNAVAILABLE, "NOT_READY"),
        Refusal::Busy => (StatusCode::CONFLICT, "REPLAY_BUSY"),
        Refusal::TooMany { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "TOO_MANY_LETTERS"),
    };
    ApiError::new(status, code, refusal.to_string())
}

/// The sums, the tick, and the letters one by one.
fn data(replayed: &Replayed) -> serde_json::Value {
    let mut sums = Map::new();
    for verdict in Verdict::ALL {
        let n = replayed
            .letters
            .iter()
            .filter(|answer| answer.verdict == verdict)
            .count();
        sums.insert(verdict.key().to_owned(), n.into());
    }
    json!({ "tick": replayed.tick, "sums": sums, "letters": replayed.letters })
}
