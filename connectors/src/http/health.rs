//! `/health`, `/health/live`, `/health/ready`.

use super::App;
use super::api::answers::Guarded;
use super::erasures::EraseRefusal;
use super::error::ApiError;
use super::models::ModelControl;
use super::predict::{PredictRefusal, Predicting};
use super::reply::{json, uncached};
use super::rules::RuleInForce;
use crate::dlq::{Letter, Refusal, Replayed};
use crate::hub::render;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use groundswell_core::erasure::Erasure;
use groundswell_core::time::Tick;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// A part of the engine or something it depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
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

/// A sink, as `/api/v1/sinks` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// `running`, `retrying`, `broken` (tried once a minute) or `paused`.
    pub state: &'static str,
    /// The last tick it has committed; 0 for none.
    pub committed: u64,
    /// Complete ticks that wait for it.
    pub ticks_behind: usize,
    /// Age of the oldest of them.
    pub seconds_behind: f64,
    /// Failures in a row.
    pub failures: u32,
    /// Why it failed last.
    pub error: Option<String>,
    /// What the last resync did.
    pub resync: Option<String>,
}

/// What an operator may tell a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkAction {
    /// Take nothing more.
    Pause,
    /// Go on.
    Resume,
    /// Compare what is stored with what should be, and write the difference.
    Resync,
}

/// Why a sink was not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkRefusal {
    /// There is no such sink.
    Unknown,
    /// This sink cannot do that: why.
    Cannot(String),
}

/// Somebody who knows how the engine is. Asked for every health request; must not wait, but for [`Health::replay`] and
/// [`Health::erase`].
pub trait Health: Send + Sync + 'static {
    /// How the engine is now.
    fn report(&self) -> HealthReport;

    /// How the sinks are now.
    fn sinks(&self) -> Vec<SinkStatus> {
        Vec::new()
    }

    /// The rules in force.
    fn rules(&self) -> Vec<RuleInForce> {
        Vec::new()
    }

    /// The models; none while the engine is starting.
    fn models(&self) -> Option<Arc<dyn ModelControl>> {
        None
    }

    /// Gives dead letters to the engine again; waits for its answer, so it is not called where nothing may wait.
    ///
    /// # Errors
    /// If the engine cannot take them now.
    fn replay(&self, letters: &[Letter], dry_run: bool) -> Result<Replayed, Refusal> {
        let _ = (letters, dry_run);
        Err(Refusal::NotNow("there is no engine to replay into".to_owned()))
    }

    /// Records an erasure; returns the tick from which it holds, when the views have it. Not called where nothing may wait.
    ///
    /// # Errors
    /// If the engine cannot take it now.
    fn erase(&self, erasure: Erasure) -> Result<Tick, EraseRefusal> {
        let _ = erasure;
        Err(EraseRefusal("there is no engine that could erase".to_owned()))
    }

    /// Asks the model about texts; nothing of it is recorded. Returns at once, the answers come later.
    ///
    /// # Errors
    /// If there is no model, or others wait already.
    fn predict(&self, texts: Vec<String>) -> Result<Predicting, PredictRefusal> {
        let _ = texts;
        Err(PredictRefusal::NoModel)
    }

    /// Tells a sink what an operator wants of it. Returns at once; the sink does it when it can.
    ///
    /// # Errors
    /// If there is no such sink, or it cannot.
    fn tell_sink(&self, sink: &str, action: SinkAction) -> Result<(), SinkRefusal> {
        let _ = (sink, action);
        Err(SinkRefusal::Unknown)
    }
}

/// That the process answers.
#[derive(Serialize, ToSchema)]
struct Alive {
    /// `alive`.
    status: &'static str,
}

/// Whether the views can be relied on.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// Why not.
    reasons: Vec<String>,
    /// The last complete tick.
    at: Option<u64>,
}

/// The engine and its parts.
#[derive(Serialize, ToSchema)]
struct Condition {
    /// `healthy` or `degraded`.
    status: &'static str,
    /// Whether the views can be relied on.
    ready: bool,
    /// Why not.
    reasons: Vec<String>,
    /// The parts by name.
    services: BTreeMap<String, Service>,
    /// The last complete tick.
    at: Option<u64>,
    /// Now.
    #[schema(format = DateTime)]
    timestamp: String,
}

/// The process answers.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "health",
    operation_id = "get_health_live",
    responses(
        (status = 200, description = "Alive.", body = Alive)
    ),
    security(())
)]
pub async fn live() -> Result<Response, ApiError> {
    kept_by_nobody(json(StatusCode::OK, &Alive { status: "alive" }))
}

/// Whether the views can be relied on.
///
/// Also at /ready.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    operation_id = "get_health_ready",
    responses(
        (status = 200, description = "Ready.", body = Readiness),
        (status = 503, description = "Not ready; reasons say why.", body = Readiness)
    ),
    security(())
)]
pub async fn ready(State(app): State<App>) -> Result<Response, ApiError> {
    let report = app.health.report();
    let (status, word) = if report.ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    kept_by_nobody(json(
        status,
        &Readiness {
            status: word,
            reasons: report.reasons,
            at: app.hub.tick(),
        },
    ))
}

/// The engine and its parts.
///
/// Also at /health/detailed.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    operation_id = "get_health",
    responses(
        (status = 200, description = "Ready.", body = Condition),
        (status = 503, description = "Not ready; the same shape, with reasons.", body = Condition), Guarded
    )
)]
pub async fn full(State(app): State<App>) -> Result<Response, ApiError> {
    let report = app.health.report();
    let healthy = report.ready && report.services.values().all(|s| s.healthy);
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    kept_by_nobody(json(
        status,
        &Condition {
            status: if healthy { "healthy" } else { "degraded" },
            ready: report.ready,
            reasons: report.reasons,
            services: report.services,
            at: app.hub.tick(),
            timestamp: render::time(groundswell_core::time::wall_now()),
        },
    ))
}

fn kept_by_nobody(response: Result<Response, ApiError>) -> Result<Response, ApiError> {
    let mut response = uncached(response)?;
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    Ok(response)
}
