//! `/api/v1/tge-events`, its `/search`, and `/api/v1/system/metrics`: keyword events, and numbers about the engine.
//!
//! The newest first. What an exclusion suppresses, and what repeats another post's story, is listed only if asked for.

use super::{not_configured, tenancy};
use crate::http::App;
use crate::http::api::answers::{ErrorBody, Guarded, NotFound, Unread};
use crate::http::api::params::{Conditional, Paging};
use crate::http::auth::{Principal, Tenancy, forbidden};
use crate::http::error::ApiError;
use crate::http::guard::own_pages_only;
use crate::http::health::Service;
use crate::http::posts::may_be_seen;
use crate::http::query::{DEFAULT_LIMIT, MAX_LIMIT, Params, cursor_place, encode_cursor};
use crate::http::reply::{Envelope, Metadata, Plain, Received, conditional, envelope, plain};
use crate::http::views::tag;
use crate::hub::events::EventPlace;
use crate::hub::events::filter::EventFilter;
use crate::hub::filter::Invalid;
use crate::hub::render;
use crate::json::event::EventJson;
use axum::Extension;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use groundswell_core::time::Tick;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::{UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

/// Where events are searched.
pub(in crate::http) const SEARCH: &str = "/api/v1/tge-events/search";
/// Longest body of a search.
const BODY_BYTES: usize = 64 << 10;
const LISTING: &str = "tge-events";

/// Which events are asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EventFilters {
    /// About one of these companies, by name or id in any letter case.
    #[serde(default)]
    #[schema(max_items = 256)]
    companies: Vec<String>,
    /// Of one of these keywords.
    #[serde(default)]
    #[schema(max_items = 256)]
    keywords: Vec<String>,
    /// Of one of these outlets.
    #[serde(default)]
    #[schema(max_items = 256)]
    sources: Vec<String>,
    /// Least confidence.
    #[schema(minimum = 0, maximum = 1)]
    confidence_min: Option<f64>,
    /// Of posts written then or later: RFC 3339 or epoch milliseconds.
    #[schema(value_type = Option<String>)]
    since: Option<Value>,
    /// Of posts written before.
    #[schema(value_type = Option<String>)]
    until: Option<Value>,
    /// Also those that an exclusion suppresses.
    #[serde(default)]
    suppressed: bool,
    /// Also those that repeat another post's story.
    #[serde(default)]
    duplicates: bool,
}

/// A search.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EventSearch {
    /// Which events.
    #[serde(default)]
    filters: EventFilters,
    /// Page size.
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// The same as parameters.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // described, not read
pub(in crate::http) struct EventColumns {
    /// About this company, by name or id in any letter case; several are alternatives.
    company: Option<Vec<String>>,
    /// Of this keyword; several are alternatives.
    keyword: Option<Vec<String>>,
    /// Of this outlet; several are alternatives.
    source: Option<Vec<String>>,
    /// Least confidence.
    #[param(minimum = 0, maximum = 1)]
    confidence_min: Option<f64>,
    /// Of posts written then or later: RFC 3339 or epoch milliseconds.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Of posts written before.
    #[param(format = DateTime)]
    until: Option<String>,
    /// Also those that an exclusion suppresses.
    #[param(default = false)]
    suppressed: Option<bool>,
    /// Also those that repeat another post's story.
    #[param(default = false)]
    duplicates: Option<bool>,
}

/// Numbers about the engine.
#[derive(Serialize, ToSchema)]
struct SystemMetrics {
    /// `healthy` or `degraded`.
    status: &'static str,
    /// Since the start.
    uptime_seconds: i64,
    /// Live posts.
    posts: usize,
    /// Keyword events, suppressed and repeated ones too.
    events: usize,
    /// What became of records.
    records: Records,
    /// The parts.
    services: BTreeMap<String, Part>,
    /// The last complete tick.
    #[schema(required)]
    at: Option<Tick>,
    /// Now.
    #[schema(format = DateTime)]
    timestamp: String,
}

/// What became of records since the start.
#[derive(Serialize, ToSchema)]
struct Records {
    /// Read.
    read: u64,
    /// Recorded and new.
    accepted: u64,
    /// Recorded, but nothing new.
    duplicate: u64,
    /// Could not be accepted.
    dead_lettered: u64,
}

/// A part of the engine or something it depends on.
#[derive(Serialize, ToSchema)]
struct Part {
    /// Whether it works.
    healthy: bool,
    /// In a few words.
    status: String,
}

impl EventFilters {
    /// The same as a filter.
    fn read(self) -> Result<EventFilter, Invalid> {
        let mut filter = EventFilter::default();
        let lists = [
            ("company", self.companies),
            ("keyword", self.keywords),
            ("source", self.sources),
        ];
        for (name, values) in &lists {
            values.iter().try_for_each(|value| filter.add(name, value))?;
        }
        if let Some(least) = self.confidence_min {
            filter.add("confidence_min", &least.to_string())?;
        }
        for (name, time) in [("since", self.since), ("until", self.until)] {
            if let Some(time) = time.filter(|time| !time.is_null()) {
                let text = time.as_str().map_or_else(|| time.to_string(), str::to_owned);
                filter.add(name, &text)?;
            }
        }
        filter.add("suppressed", &self.suppressed.to_string())?;
        filter.add("duplicates", &self.duplicates.to_string())?;
        Ok(filter)
    }
}

fn served(app: &App) -> Result<(), ApiError> {
    let routes = app.options.compat.as_ref();
    match routes.is_some_and(|routes| routes.events) {
        true => Ok(()),
        false => Err(not_configured("serve.routes.events")),
    }
}

/// Its answer, with room for a filter.
pub(in crate::http) fn search_route() -> UtoipaMethodRouter<App> {
    routes!(search).layer(DefaultBodyLimit::max(BODY_BYTES))
}

/// Keyword events, the newest first.
///
/// There if the pipeline says serve.routes.events. What an exclusion suppresses and what repeats another post's story is listed
/// only if asked for.
#[utoipa::path(
    get,
    path = "/api/v1/tge-events",
    tag = "events",
    operation_id = "get_tge_events",
    params(EventColumns, Paging, Conditional),
    responses(
        (status = 200, description = "A page of events, the newest first.", body = Envelope<Vec<EventJson<'static>>>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    served(&app)?;
    may_be_seen(&app)?;
    let params = Params::parse(&uri, &[&["limit", "cursor"], &EventFilter::PARAMETERS[..]].concat())?;
    let mut filter = EventFilter::default();
    for (name, value) in params.iter().filter(|(name, _)| !["limit", "cursor"].contains(name)) {
        filter.add(name, value)?;
    }
    let (limit, cursor) = (params.limit()?, params.one("cursor")?);
    answer(&app, tenancy(&app, &who), filter, limit, cursor, &headers)
}

/// Keyword events by a filter in the body.
///
/// The same listing. At most 256 values of one filter. Refused to pages of other origins.
#[utoipa::path(
    post,
    path = SEARCH,
    tag = "events",
    operation_id = "post_tge_events_search",
    params(Conditional),
    request_body = EventSearch,
    responses(
        (status = 200, description = "A page of events, the newest first.", body = Envelope<Vec<EventJson<'static>>>),
        (status = 408, description = "The body did not come in time.", body = ErrorBody),
        (status = 413, description = "The body is longer than 64 KiB.", body = ErrorBody),
        NotFound, Unread, Guarded
    )
)]
async fn search(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    headers: HeaderMap,
    body: Received,
) -> Result<Response, ApiError> {
    // Reading it is a question like any other, but a body is not sent across origins without being asked for.
    own_pages_only(&app, &headers)?;
    served(&app)?;
    may_be_seen(&app)?;
    let body = body.bytes(BODY_BYTES, "ask for fewer companies at once")?;
    let search: EventSearch = serde_json::from_slice(&body).map_err(|error| {
        let message = format!("The body is not {{\"filters\": {{…}}, \"limit\": 50}}: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "INVALID_BODY", message)
    })?;
    let limit = search.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Invalid::value("limit", &limit.to_string(), &[&format!("1 to {MAX_LIMIT}")]).into());
    }
    let filter = search.filters.read()?;
    let cursor = search.cursor.as_deref();
    answer(&app, tenancy(&app, &who), filter, limit, cursor, &headers)
}

fn answer(
    app: &App,
    tenancy: Option<Tenancy>,
    mut wanted: EventFilter,
    limit: usize,
    cursor: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let after: Option<EventPlace> = cursor_place::<24>(LISTING, cursor)?.map(|bytes| {
        let (mut at, mut id) = ([0; 8], [0; 16]);
        at.copy_from_slice(&bytes[..8]);
        id.copy_from_slice(&bytes[8..]);
        (i64::from_le_bytes(at), u128::from_le_bytes(id))
    });
    app.require_served()?;
    if let Some(tenancy) = tenancy {
        tenancy.events(&mut wanted);
    }
    let (at, version, (events, next)) = app.hub.newest_events(after, limit, |event| wanted.event(event));
    conditional(headers, &tag(app, version, tenancy), || {
        let next_cursor =
            next.map(|(at, id)| encode_cursor(LISTING, &[&at.to_le_bytes()[..], &id.to_le_bytes()].concat()));
        let data: Vec<EventJson<'_>> = events.iter().map(|(id, event)| EventJson::of(*id, event)).collect();
        let metadata = Metadata {
            total: None,
            limit: Some(limit),
            next_cursor,
            at,
        };
        envelope(&data, metadata)
    })
}

/// Numbers about the engine.
///
/// There if the pipeline says serve.routes.events. `/metrics` has all of them, for Prometheus.
#[utoipa::path(
    get,
    path = "/api/v1/system/metrics",
    tag = "events",
    operation_id = "get_system_metrics",
    responses(
        (status = 200, description = "As they are now.", body = Plain<SystemMetrics>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn metrics(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
) -> Result<Response, ApiError> {
    served(&app)?;
    Params::parse(&uri, &[])?;
    if tenancy(&app, &who).is_some() {
        return Err(forbidden("This shows more than one tenant's data"));
    }
    let report = app.health.report();
    let totals = app.metrics.totals();
    let healthy = report.ready && report.services.values().all(|s| s.healthy);
    let part = |(name, s): (String, Service)| {
        let Service { healthy, status } = s;
        (name, Part { healthy, status })
    };
    let now = groundswell_core::time::wall_now();
    let said = SystemMetrics {
        status: if healthy { "healthy" } else { "degraded" },
        uptime_seconds: (now - app.boot).max(0) / 1000,
        posts: app.hub.post_count(),
        events: app.hub.event_count(),
        records: Records {
            read: totals.read,
            accepted: totals.accepted,
            duplicate: totals.duplicate,
            dead_lettered: totals.dead_lettered,
        },
        services: report.services.into_iter().map(part).collect(),
        at: app.hub.tick(),
        timestamp: render::time(now),
    };
    plain(StatusCode::OK, said)
}
