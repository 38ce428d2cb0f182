//! `/health`, `/health/live`, `/health/ready`.

use super::App;
use super::error::ApiError;
use super::reply::json;
use crate::hub::render;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// A part of the engine or something it depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Whether it works.
    pub healthy: bool,
    /// In a few words: `running`, `finished`, `connected`, `stalled: …`.
    pub status: String,
}

/// How the engine is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthReport {
    /// Whether the views are complete and current enough to be relied on.
    pub ready: bool,
    /// Why not; empty when ready.
    pub reasons: Vec<String>,
    /// The parts by name.
    pub services: BTreeMap<String, Service>,
}

/// Somebody who knows how the engine is. Asked for every health request; must not wait.
pub trait Health: Send + Sync + 'static {
    /// How the engine is now.
    fn report(&self) -> HealthReport;
}

/// The process answers.
pub async fn live() -> Result<Response, ApiError> {
    uncached(json(StatusCode::OK, &json!({ "status": "alive" })))
}

/// The views can be relied on, or why not.
pub async fn ready(State(app): State<App>) -> Result<Response, ApiError> {
    let report = app.health.report();
    let (status, word) = if report.ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    uncached(json(
        status,
        &json!({ "status": word, "reasons": report.reasons, "at": app.hub.tick() }),
    ))
}

/// The parts one by one.
pub async fn full(State(app): State<App>) -> Result<Response, ApiError> {
    let report = app.health.report();
    let healthy = report.ready && report.services.values().all(|s| s.healthy);
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    uncached(json(
        status,
        &json!({
            "status": if healthy { "healthy" } else { "degraded" },
            "ready": report.ready,
            "reasons": report.reasons,
            "services": report.services,
            "at": app.hub.tick(),
            "timestamp": render::time(groundswell_core::time::wall_now()),
        }),
    ))
}

fn uncached(response: Result<Response, ApiError>) -> Result<Response, ApiError> {
    let mut response = response?;
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    Ok(response)
}
