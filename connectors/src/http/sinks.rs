//! `/api/v1/sinks`: how sinks are, and what an operator may tell them.

use super::App;
use super::api::answers::{ErrorBody, Guarded, NotFound};
use super::api::params::SinkOrder;
use super::error::{ApiError, nearest};
use super::guard::own_pages_only;
use super::health::{SinkAction, SinkRefusal, SinkStatus};
use super::reply::{Plain, plain};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

/// The sinks: how they are and how far behind.
#[utoipa::path(
    get,
    path = "/api/v1/sinks",
    tag = "operations",
    operation_id = "get_sinks",
    responses(
        (status = 200, description = "The sinks in the order of the pipeline file.", body = Plain<Vec<SinkStatus>>),
        Guarded
    )
)]
pub async fn list(State(app): State<App>) -> Result<Response, ApiError> {
    plain(StatusCode::OK, app.health.sinks())
}

/// Tells a sink to pause, resume or resync.
///
/// Answers at once; the sink acts after its present transaction. A paused sink holds up the whole pipeline once
/// 1,024 ticks wait for it. Refused to pages of other origins.
#[utoipa::path(
    post,
    path = "/api/v1/sinks/{sink}/{action}",
    tag = "operations",
    operation_id = "post_sinks_sink_action",
    params(("sink" = String, Path, description = "Name of a sink."), ("action" = inline(SinkOrder), Path, description = "What to do.")),
    responses(
        (status = 202, description = "It was told.", body = Plain<SinkStatus>),
        NotFound, (status = 409, description = "This sink cannot do that.", body = ErrorBody), Guarded
    )
)]
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
            plain(StatusCode::ACCEPTED, now)
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
