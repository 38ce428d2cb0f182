//! `/api/v1/erasures`: an author, a post or a thread that is to be forgotten, or no more.

use super::App;
use super::api::answers::{ErrorBody, Guarded, NotReady};
use super::error::ApiError;
use super::guard::{BODY_BYTES, own_pages_only};
use super::reply::{Plain, Received, plain};
use crate::decode::MAX_ID_BYTES;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use groundswell_core::erasure::{Erasure, Subject};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Its path.
pub(super) const ROUTE: &str = "/api/v1/erasures";

/// What is to be erased: one of the three.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ErasureRequest {
    /// All posts of this author, and what the author did as a user.
    #[schema(min_length = 1, max_length = 512)]
    author: Option<String>,
    /// The post with this id.
    #[schema(min_length = 1, max_length = 512)]
    post: Option<String>,
    /// All posts of this thread.
    #[schema(min_length = 1, max_length = 512)]
    thread: Option<String>,
    /// Take the erasure back.
    #[serde(default)]
    undo: bool,
}

impl ErasureRequest {
    fn erasure(&self) -> Result<Erasure, String> {
        let (id, of): (_, fn(&str) -> Subject) = match (&self.author, &self.post, &self.thread) {
            (Some(id), None, None) => (id, Subject::author),
            (None, Some(id), None) => (id, Subject::post),
            (None, None, Some(id)) => (id, Subject::thread),
            _ => return Err("it names one of \"author\", \"post\" and \"thread\"".to_owned()),
        };
        match id.len() {
            0 => Err("the id is empty".to_owned()),
            1..=MAX_ID_BYTES => Ok(Erasure {
                of: of(id),
                undo: self.undo,
            }),
            n => Err(format!("the id is {n} bytes long, allowed are {MAX_ID_BYTES}")),
        }
    }
}

/// An erasure that is recorded.
#[derive(Serialize, ToSchema)]
struct Erased {
    /// What kind of thing it is about: `author`, `post` or `thread`.
    of: &'static str,
    /// Whether it takes an erasure back.
    undo: bool,
    /// The first tick at which it holds.
    tick: u64,
}

/// The engine cannot take an erasure now: why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EraseRefusal(pub String);

/// Erases an author, a post or a thread, or takes that back.
///
/// Recorded before the answer, which comes when the views have it: from that tick on no view, feed, alert or sink has any of
/// it, and what comes later stays out as well. With `undo` it comes back, but for what the record has forgotten by then; see
/// the guide. It stands above whatever sources said of the same before. Refused to pages of other origins.
#[utoipa::path(
    post,
    path = ROUTE,
    tag = "operations",
    operation_id = "post_erasures",
    request_body = ErasureRequest,
    responses(
        (status = 200, description = "It holds.", body = Plain<Erased>),
        (status = 400, description = "The body is not such a request.", body = ErrorBody),
        (status = 408, description = "The body did not come in time.", body = ErrorBody),
        (status = 413, description = "The body is longer than one request may be.", body = ErrorBody),
        NotReady, Guarded
    )
)]
pub async fn erase(State(app): State<App>, headers: HeaderMap, body: Received) -> Result<Response, ApiError> {
    own_pages_only(&app, &headers)?;
    let invalid = |why: String| {
        let message = format!("The body is not {{\"author\": ID, \"undo\": false}}: {why}");
        ApiError::new(StatusCode::BAD_REQUEST, "INVALID_BODY", message)
    };
    let body = body.bytes(BODY_BYTES, "it names one thing")?;
    let request: ErasureRequest = serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))?;
    let erasure = request.erasure().map_err(invalid)?;
    // It waits for the graph: no work for the threads that answer everybody.
    let done = tokio::task::spawn_blocking(move || app.health.erase(erasure)).await;
    let tick = done
        .map_err(|error| ApiError::internal(&error))?
        .map_err(|EraseRefusal(why)| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", why))?;
    let erased = Erased {
        of: erasure.of.kind(),
        undo: erasure.undo,
        tick,
    };
    plain(StatusCode::OK, erased)
}
