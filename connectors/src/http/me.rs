//! `GET /api/v1/me`: who asks, and what they may do. It changes nothing and tells nobody about anybody else.

use super::App;
use super::auth::Principal;
use super::error::ApiError;
use super::reply::{json, uncached};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

/// The one who asks.
pub async fn show(State(app): State<App>, Extension(who): Extension<Principal>) -> Result<Response, ApiError> {
    let data = json!({
        "name": app.auth.is_some().then_some(who.own_name()),
        "role": who.role.name(),
        "tenant": who.tenant.as_deref(),
        "expires": who.expires,
    });
    uncached(json(StatusCode::OK, &json!({ "data": data, "metadata": {} })))
}
