//! `/api/v1/dead-letters/replay`: dead letters given to the engine again.

use super::App;
use super::api::answers::{ErrorBody, Guarded, NotReady};
use super::error::ApiError;
use super::guard::own_pages_only;
use super::reply::{Plain, Received, plain};
use crate::dlq::{Answer, Letter, REQUEST_BYTES, Refusal, Replayed, Verdict};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::router::{UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

/// Its path.
pub(super) const ROUTE: &str = "/api/v1/dead-letters/replay";

/// Its answer, with room for a request of letters.
pub(super) fn route() -> UtoipaMethodRouter<App> {
    routes!(replay).layer(DefaultBodyLimit::max(REQUEST_BYTES))
}

/// Letters to try again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    /// Where they stood and what they were.
    #[schema(value_type = Vec<LetterShape>, max_items = 500)]
    letters: Vec<Letter>,
    /// Only decode; record nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Gives dead letters to the engine again.
///
/// The engine decodes the original bytes as their sources would now. Good ones are recorded at their original
/// positions in a tick of their own, and the answer comes when the views have it: an old record never replaces a
/// newer one, and the same request again changes nothing. Those still bad are dead letters again with `attempt` one
/// higher, five attempts at most. At most 500 letters and 16 MiB. Refused to pages of other origins.
#[utoipa::path(
    post,
    path = ROUTE,
    tag = "operations",
    operation_id = "post_dead_letters_replay",
    request_body(content = ReplayRequest, description = "Letters as `groundswell dlq list --json` prints them and a file sink writes them."),
    responses(
        (status = 200, description = "What became of each, in the order of the request: `accepted`, `duplicate` (it repeats or precedes what is known), `good` (with `dry_run`: it would be recorded), `still_bad`, `refused`. `tick` is null if nothing was recorded.", body = Plain<Outcome>),
        (status = 400, description = "The body is not such a request.", body = ErrorBody),
        (status = 408, description = "The body did not come in time.", body = ErrorBody),
        (status = 409, description = "Another replay is under way.", body = ErrorBody),
        (status = 413, description = "More letters or bytes than one request may have.", body = ErrorBody),
        NotReady, Guarded
    )
)]
async fn replay(State(app): State<App>, headers: HeaderMap, body: Received) -> Result<Response, ApiError> {
    own_pages_only(&app, &headers)?;
    let body = body.bytes(REQUEST_BYTES, "send the letters in several requests")?;
    // Decoding and the wait for the graph are no work for the threads that answer everybody.
    let answered = tokio::task::spawn_blocking(move || {
        let request: ReplayRequest = serde_json::from_slice(&body).map_err(|error| {
            let message = format!("The body is not {{\"letters\": [...], \"dry_run\": false}}: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "INVALID_BODY", message)
        })?;
        app.health.replay(&request.letters, request.dry_run).map_err(refused)
    });
    let replayed = answered.await.map_err(|error| ApiError::internal(&error))??;
    plain(StatusCode::OK, outcome(replayed))
}

fn refused(refusal: Refusal) -> ApiError {
    let (status, code) = match refusal {
        Refusal::NotNow(_) => (StatusCode::SERVICE_UNAVAILABLE, "NOT_READY"),
        Refusal::Busy => (StatusCode::CONFLICT, "REPLAY_BUSY"),
        Refusal::TooMany { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "TOO_MANY_LETTERS"),
    };
    ApiError::new(status, code, refusal.to_string())
}

/// A letter, as far as it is needed.
#[derive(ToSchema)]
#[allow(dead_code)] // `Letter` reads itself, and takes what else letters carry
struct LetterShape {
    /// The source's name.
    source: String,
    /// The partition.
    #[schema(format = "uint32", maximum = 4_294_967_295_u64)]
    partition: u32,
    /// The offset in it.
    #[schema(format = "uint64")]
    offset: u64,
    /// The record's bytes as received.
    #[schema(
        content_encoding = "base64",
        pattern = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
    )]
    payload_base64: String,
}

/// What became of letters.
#[derive(Serialize, ToSchema)]
struct Outcome {
    /// The tick they were recorded at; null if none was.
    #[schema(required)]
    tick: Option<u64>,
    /// How many had which verdict.
    sums: BTreeMap<&'static str, usize>,
    /// One by one, in the order of the request.
    letters: Vec<Answer>,
}

/// The sums, the tick, and the letters one by one.
fn outcome(replayed: Replayed) -> Outcome {
    let mut sums = BTreeMap::new();
    for verdict in Verdict::ALL {
        let n = replayed
            .letters
            .iter()
            .filter(|answer| answer.verdict == verdict)
            .count();
        sums.insert(verdict.key(), n);
    }
    Outcome {
        tick: replayed.tick,
        sums,
        letters: replayed.letters,
    }
}
