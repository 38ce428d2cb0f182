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
use crate::hub::filter::Invalid;
use crate::hub::render;
use axum::Extension;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use groundswell_core::keywords::KeywordEvent;
use groundswell_core::time::EventTime;
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
/// Most values of one filter.
const VALUES: usize = 256;
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

/// A keyword found in a post.
#[derive(Serialize, ToSchema)]
struct TgeEvent {
    /// The same after any replay.
    id: String,
    /// Name of the company.
    #[schema(required)]
    company: Option<String>,
    /// Its id.
    #[schema(required)]
    entity: Option<String>,
    /// The keyword's id.
    keyword: String,
    /// What was found, as written.
    matched_text: String,
    /// Where, in characters of title and text.
    span: Span,
    /// It with the characters around it.
    context: String,
    /// How sure it is.
    #[schema(minimum = 0, maximum = 1)]
    confidence: f64,
    /// The exclusion near by.
    #[schema(required)]
    suppressed_by: Option<String>,
    /// The first post that tells the story.
    story: String,
    /// The event of an earlier post that says the same.
    #[schema(required)]
    duplicate_of: Option<String>,
    /// The post's id.
    post: String,
    /// Its outlet.
    source: String,
    /// Its title.
    #[schema(required)]
    title: Option<String>,
    /// Its address.
    #[schema(required)]
    url: Option<String>,
    /// When it was written.
    #[schema(format = DateTime)]
    created_at: String,
}

/// A part of a text.
#[derive(Serialize, ToSchema)]
struct Span {
    /// The first character, from 0.
    start: u32,
    /// The one after the last.
    end: u32,
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

/// A filter, checked.
struct Wanted {
    companies: Vec<String>,
    keywords: Vec<String>,
    sources: Vec<String>,
    least: i32,
    since: EventTime,
    until: EventTime,
    suppressed: bool,
    duplicates: bool,
}

impl Wanted {
    #[allow(clippy::cast_possible_truncation)] // in [0, 1]
    fn of(filters: EventFilters) -> Result<Self, ApiError> {
        let least = filters.confidence_min.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&least) {
            return Err(Invalid::value("confidence_min", &least.to_string(), &["0 to 1"]).into());
        }
        for (name, list) in [
            ("companies", &filters.companies),
            ("keywords", &filters.keywords),
            ("sources", &filters.sources),
        ] {
            if list.len() > VALUES {
                let most = format!("at most {VALUES} values");
                return Err(Invalid::value(name, &list.len().to_string(), &[&most]).into());
            }
        }
        let folded = |names: Vec<String>| names.iter().map(|name| name.to_lowercase()).collect();
        Ok(Wanted {
            companies: folded(filters.companies),
            keywords: filters.keywords,
            sources: filters.sources,
            least: (least * 1e6).round() as i32,
            since: moment("since", filters.since)?.unwrap_or(EventTime::MIN),
            until: moment("until", filters.until)?.unwrap_or(EventTime::MAX),
            suppressed: filters.suppressed,
            duplicates: filters.duplicates,
        })
    }

    fn takes(&self, event: &KeywordEvent) -> bool {
        let among = |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
        let company = || {
            let named = [event.company.as_deref(), event.entity.as_deref()];
            named
                .into_iter()
                .flatten()
                .any(|name| self.companies.contains(&name.to_lowercase()))
        };
        event.confidence >= self.least
            && (self.since..self.until).contains(&event.created_at)
            && (self.suppressed || event.suppressed_by.is_none())
            && (self.duplicates || event.duplicate_of.is_none())
            && among(&self.keywords, &event.keyword)
            && among(&self.sources, &event.source.0)
            && (self.companies.is_empty() || company())
    }
}

fn moment(name: &str, given: Option<Value>) -> Result<Option<EventTime>, ApiError> {
    let Some(given) = given.filter(|given| !given.is_null()) else {
        return Ok(None);
    };
    let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
    super::sentiment::time(name, &text).map(Some)
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
        (status = 200, description = "A page of events, the newest first.", body = Envelope<Vec<TgeEvent>>),
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
    let names = [
        "limit",
        "cursor",
        "company",
        "keyword",
        "source",
        "confidence_min",
        "since",
        "until",
        "suppressed",
        "duplicates",
    ];
    let params = Params::parse(&uri, &names)?;
    let all = |name: &str| {
        params
            .iter()
            .filter(|(n, _)| *n == name)
            .map(|(_, v)| v.to_owned())
            .collect()
    };
    let flag = |name: &str| match params.one(name)? {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(ApiError::from(Invalid::value(name, other, &["true", "false"]))),
    };
    let number = |name: &str| match params.one(name)? {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| ApiError::from(Invalid::value(name, text, &["0 to 1"]))),
    };
    let text = |name: &str| Ok::<_, ApiError>(params.one(name)?.map(|text| Value::String(text.to_owned())));
    let filters = EventFilters {
        companies: all("company"),
        keywords: all("keyword"),
        sources: all("source"),
        confidence_min: number("confidence_min")?,
        since: text("since")?,
        until: text("until")?,
        suppressed: flag("suppressed")?,
        duplicates: flag("duplicates")?,
    };
    let (limit, cursor) = (params.limit()?, params.one("cursor")?.map(str::to_owned));
    answer(
        &app,
        tenancy(&app, &who),
        Wanted::of(filters)?,
        limit,
        cursor.as_deref(),
        &headers,
    )
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
        (status = 200, description = "A page of events, the newest first.", body = Envelope<Vec<TgeEvent>>),
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
    let wanted = Wanted::of(search.filters)?;
    answer(
        &app,
        tenancy(&app, &who),
        wanted,
        limit,
        search.cursor.as_deref(),
        &headers,
    )
}

fn answer(
    app: &App,
    tenancy: Option<Tenancy>,
    wanted: Wanted,
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
    let own = |event: &KeywordEvent| tenancy.is_none_or(|tenancy| tenancy.owns_event(event));
    let (at, version, (events, next)) = app.hub.newest_events(after, limit, |e| wanted.takes(e) && own(e));
    conditional(headers, &tag(app, version, tenancy), || {
        let next_cursor =
            next.map(|(at, id)| encode_cursor(LISTING, &[&at.to_le_bytes()[..], &id.to_le_bytes()].concat()));
        let data: Vec<TgeEvent> = events.iter().map(|(id, event)| shown(*id, event)).collect();
        let metadata = Metadata {
            total: None,
            limit: Some(limit),
            next_cursor,
            at,
        };
        envelope(&data, metadata)
    })
}

/// An event as clients see it.
fn shown(id: u128, event: &KeywordEvent) -> TgeEvent {
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
    TgeEvent {
        id: render::alert_id(id),
        company: text(&event.company),
        entity: text(&event.entity),
        keyword: event.keyword.to_string(),
        matched_text: event.matched.to_string(),
        span: Span {
            start: event.span.0,
            end: event.span.1,
        },
        context: event.context.to_string(),
        confidence: f64::from(event.confidence) / 1e6,
        suppressed_by: text(&event.suppressed_by),
        story: event.story.to_string(),
        duplicate_of: event.duplicate_of.map(render::alert_id),
        post: event.post.to_string(),
        source: event.source.0.to_string(),
        title: text(&event.title),
        url: text(&event.url),
        created_at: render::time(event.created_at),
    }
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
