//! The routes and frames of the first systems, in their own shapes, over views that the pipeline names for them.
//!
//! In: requests as those systems' clients make them. Out: their shapes, from the same state as `/api/v1`; errors are ours,
//! whose shape is theirs. State: the rooms that somebody is in. A route whose view is not named is not there. Who asks, what
//! tenants see and how often somebody may ask is decided as everywhere else.

pub(super) mod happenings;
pub(super) mod posts;
mod room;
pub(super) mod rooms;
pub(super) mod sentiment;
pub(super) mod threads;

pub(super) use rooms::Rooms;

use super::App;
use super::api::answers::Guarded;
use super::auth::{Principal, Tenancy, forbidden};
use super::error::ApiError;
use super::query::Params;
use super::reply::{json, uncached};
use crate::hub::filter::Invalid;
use crate::hub::render;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use groundswell_core::spec::ViewSpec;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Which views answer; by their places among the pipeline's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompatRoutes {
    /// `/api/sentiment/…` and `/ws/sentiment`.
    pub sentiment: Option<SentimentViews>,
    /// `/api/threads…` and `/ws/thread/{thread}`.
    pub threads: Option<ThreadViews>,
    /// `/api/v1/tge-events…` and `/api/v1/system/metrics`.
    pub events: bool,
}

impl CompatRoutes {
    /// Names of those that are served.
    pub(super) fn served(&self) -> Vec<&'static str> {
        let all = [
            ("sentiment", self.sentiment.is_some()),
            ("threads", self.threads.is_some()),
            ("events", self.events),
        ];
        all.into_iter()
            .filter_map(|(name, served)| served.then_some(name))
            .collect()
    }
}

/// Views that group by `label`, and by nothing that shows a post twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentimentViews {
    /// Windows of an hour, side by side.
    pub hour: Option<usize>,
    /// Windows of a day, side by side.
    pub day: Option<usize>,
    /// The last so many hours, with the hours; the first is what one gets without asking.
    pub distribution: Vec<(u32, usize)>,
}

/// Views that group by `thread`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadViews {
    /// Fixed windows that show each post once: which threads there are, with how many posts.
    pub list: usize,
    /// By `entity` too: a cast member's rows.
    pub cast: Option<usize>,
    /// By `entity` too, windows side by side: a line per cast member.
    pub timeline: Option<usize>,
}

/// How long clients may keep an aggregate without asking.
const AGED: HeaderValue = HeaderValue::from_static("private, max-age=30");

fn not_configured(key: &str) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "NOT_CONFIGURED",
        format!("This route is not served: the pipeline names no view for it under {key}"),
    )
}

fn routes(app: &App) -> Result<&CompatRoutes, ApiError> {
    app.options
        .compat
        .as_ref()
        .ok_or_else(|| not_configured("serve.routes"))
}

fn sentiment_views(app: &App) -> Result<&SentimentViews, ApiError> {
    let views = routes(app)?.sentiment.as_ref();
    views.ok_or_else(|| not_configured("serve.routes.sentiment"))
}

fn thread_views(app: &App) -> Result<&ThreadViews, ApiError> {
    let views = routes(app)?.threads.as_ref();
    views.ok_or_else(|| not_configured("serve.routes.threads"))
}

/// A view that somebody may see.
fn visible(app: &App, index: usize, tenancy: Option<Tenancy>) -> Result<&ViewSpec, ApiError> {
    let spec = app
        .hub
        .specs()
        .get(index)
        .ok_or_else(|| not_configured("serve.routes"))?;
    if tenancy.is_some_and(|tenancy| !tenancy.sees(spec)) {
        return Err(forbidden("This shows more than one tenant's data"));
    }
    Ok(spec)
}

/// Lets clients keep a good answer for a while.
fn aged(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, AGED);
    response
}

/// A whole number within bounds.
fn number(params: &Params, name: &str, default: usize, least: usize, most: usize) -> Result<usize, ApiError> {
    let Some(text) = params.one(name)? else {
        return Ok(default);
    };
    match text.parse() {
        Ok(n) if (least..=most).contains(&n) => Ok(n),
        _ => Err(Invalid::value(name, text, &[&format!("{least} to {most}")]).into()),
    }
}

/// How everything is, in words.
#[derive(Serialize, ToSchema)]
struct Words {
    /// `healthy` or `degraded`.
    status: &'static str,
    /// The parts by name: `connected` or `disconnected`.
    services: BTreeMap<String, &'static str>,
    /// Now.
    #[schema(format = DateTime)]
    timestamp: String,
}

/// The engine and its parts, each in one word.
///
/// connected or disconnected; /health says more.
#[utoipa::path(
    get,
    path = "/api/health",
    tag = "first systems",
    operation_id = "get_first_health",
    responses(
        (status = 200, description = "Ready.", body = Words),
        (status = 503, description = "Not ready; the same shape.", body = Words), Guarded
    )
)]
pub(super) async fn health(State(app): State<App>) -> Result<Response, ApiError> {
    let report = app.health.report();
    let healthy = report.ready && report.services.values().all(|s| s.healthy);
    let word = |healthy| if healthy { "connected" } else { "disconnected" };
    let services = report.services.iter();
    let services = services.map(|(name, s)| (name.clone(), word(s.healthy))).collect();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = Words {
        status: if healthy { "healthy" } else { "degraded" },
        services,
        timestamp: render::time(groundswell_core::time::wall_now()),
    };
    let mut response = uncached(json(status, &body))?;
    if !report.ready {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    Ok(response)
}

/// What a principal is restricted to.
fn tenancy(app: &App, who: &Principal) -> Option<Tenancy> {
    who.tenancy(app)
}
