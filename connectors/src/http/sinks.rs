//! `/api/v1/sinks`: how sinks are, and what an operator may tell them.

use super::App;
use super::error::{ApiError, nearest};
use super::guard::own_pages_only;
use super::health::{SinkAction, SinkRefusal};
use super::reply::{json, uncached};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

/// All sinks.
pub async fn list(State(app): State<App>) -> Result<Response, ApiError> {
    uncached(json(
        StatusCode::OK,
        &json!({ "data": app.health.sinks(), "metadata": {} }),
    ))
}

/// `POST /api/v1/sinks/{sink}/pause|resume|resync`.
pub async fn act(
    State(app): State<App>,
    Path((sink, action)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    own_pages_only(&app, &headers)?;
    let action = match action.as_str() {
        "pause" => SinkAction::Pause,
        "resume" => SinkAction::Resume,
        "resync" => SinkAction::Resync,
        _ => return Err(ApiError::not_found("A sink can be told to pause, resume or resync")),
    };
    let sinks = app.health.sinks();
    match app.health.tell_sink(&sink, action) {
        Ok(()) => {
            let now = app.health.sinks().into_iter().find(|s| s.name == sink);
            uncached(json(StatusCode::ACCEPTED, &json!({ "data": now, "metadata": {} })))
        }
        Err(SinkRefusal::Unknown) => {
            let names: Vec<&str> = sinks.iter().map(|s| s.name.as_str()).collect();
            let guess = nearest(&sink, &names);
            let hint = guess.map(|g| format!("; did you mean '{g}'?")).unwrap_or_default();
            let message = format!(
                "There is no sink '{}'{hint}",
                sink.chars().take(120).collect::<String>()
            );
            Err(ApiError::new(StatusCode::NOT_FOUND, "UNKNOWN_SINK", message).with(json!({ "available": names })))
        }
        Err(SinkRefusal::Cannot(why)) => Err(ApiError::new(StatusCode::CONFLICT, "SINK_CANNOT", why)),
    }
}
