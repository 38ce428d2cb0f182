//! `/api/threads`, one thread, its cast and its timeline.
//!
//! A thread is listed once it has a record or a post. A tenant sees those in which a row of theirs is, and of those the
//! record.

use super::{ThreadViews, aged, not_configured, number, tenancy, thread_views, visible};
use crate::http::App;
use crate::http::api::answers::{Guarded, NotFound, Unread};
use crate::http::api::params::{Between, Conditional, OfThread};
use crate::http::api::shapes::{Answer, CastRow, FirstThread, TimelineRow};
use crate::http::auth::{Principal, Tenancy};
use crate::http::error::ApiError;
use crate::http::query::Params;
use crate::http::reply::{conditional, json};
use crate::http::views::tag;
use crate::hub::ViewState;
use crate::hub::filter::Filter;
use crate::hub::render::{self, Lookup};
use crate::hub::table::Row;
use crate::hub::threads::Threads;
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use groundswell_core::id::Dim;
use groundswell_core::record::Thread;
use groundswell_core::spec::{GroupColumn, Measure, ViewKey, ViewSpec};
use groundswell_core::time::EventTime;
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Most rows that one answer is made of.
const MOST: usize = 200_000;
/// Most rows of one thread's cast.
const CAST: usize = 2_000;
/// Most points of one thread's lines.
const POINTS: usize = 10_000;

/// Posts by thread, as somebody may see them.
fn totals(
    state: &ViewState,
    spec: &ViewSpec,
    only: Option<Dim>,
    tenancy: Option<Tenancy>,
) -> Result<HashMap<Dim, u64>, ApiError> {
    let slot = slot(spec, GroupColumn::Thread);
    let rows = state
        .table
        .all(&of_thread(spec, only, tenancy), MOST)
        .ok_or_else(too_many)?;
    let mut totals = HashMap::new();
    for (key, row) in rows {
        *totals.entry(key.group[slot]).or_default() += u64::from(row.acc.posts.unsigned_abs());
    }
    Ok(totals)
}

fn too_many() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "RANGE_TOO_LARGE",
        "There are more rows than one answer is made of: ask for less with `start` and `end`, or use a view with longer windows",
    )
}

fn slot(spec: &ViewSpec, column: GroupColumn) -> usize {
    spec.group_by.iter().position(|c| *c == column).unwrap_or(0)
}

/// Rows of a thread, or of all, that somebody may see.
fn of_thread(spec: &ViewSpec, thread: Option<Dim>, tenancy: Option<Tenancy>) -> Filter {
    let mut filter = Filter::default();
    if let Some(thread) = thread {
        filter.only(&spec.group_by, GroupColumn::Thread, thread);
    }
    if let Some(tenancy) = tenancy {
        tenancy.rows(spec, &mut filter);
    }
    filter
}

/// A thread as the routes show it; what no record says is null.
fn thread_json(lookup: &Lookup, id: Dim, record: Option<&Thread>, posts: u64, clock: EventTime) -> Value {
    let time = |at: Option<EventTime>| at.map(render::time);
    let (air_time, ends_at) = record.map_or((None, None), |t| (t.air_time, t.ends_at));
    let status = match (air_time, ends_at) {
        (_, Some(ends_at)) if ends_at <= clock => Some("ended"),
        (Some(air_time), _) if air_time <= clock => Some("live"),
        (Some(_), _) => Some("scheduled"),
        (None, _) => None,
    };
    json!({
        "reddit_id": lookup.name(id),
        "title": record.map(|t| t.title.as_str()).filter(|title| !title.is_empty()),
        "air_time_utc": time(air_time),
        "ends_at_utc": time(ends_at),
        "status": status,
        "total_comments": posts,
    })
}

/// The threads and the posts of each, at one tick.
struct Seen {
    threads: Threads,
    state: ViewState,
}

impl Seen {
    fn of(app: &App, views: &ThreadViews) -> Result<Self, ApiError> {
        let (threads, [state]) = app.hub.threads([views.list]);
        let state = state.ok_or_else(|| not_configured("serve.routes.threads"))?;
        Ok(Seen { threads, state })
    }

    fn version(&self) -> u64 {
        self.state.version.max(self.threads.version())
    }
}

/// Threads by air time, the latest first.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else.
#[utoipa::path(
    get,
    path = "/api/threads",
    tag = "first systems",
    operation_id = "get_first_threads",
    params(("page" = Option<u32>, Query, description = "From 1 on.", minimum = 1, maximum = 1_000_000), ("page_size" = Option<u32>, Query, description = "Threads in a page; 20 if not said.", minimum = 1, maximum = 1_000), Conditional),
    responses(
        (status = 200, description = "The answer, in the shape of the first systems.", body = Answer<Vec<FirstThread>>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let views = thread_views(&app)?;
    let tenancy = tenancy(&app, &who);
    let spec = visible(&app, views.list, tenancy)?;
    let params = Params::parse(&uri, &["page", "page_size"])?;
    let page = number(&params, "page", 1, 1, 1_000_000)?;
    let size = number(&params, "page_size", 20, 1, 1_000)?;
    app.require_served()?;
    let seen = Seen::of(&app, views)?;
    let (spec, answering) = (spec.clone(), app.clone());
    let answer = tokio::task::spawn_blocking(move || {
        conditional(&headers, &tag(&answering, seen.version(), tenancy), || {
            let totals = totals(&seen.state, &spec, None, tenancy)?;
            let mut ids: Vec<Dim> = totals.keys().copied().filter(|id| *id != Dim::NONE).collect();
            if tenancy.is_none() {
                ids.extend(
                    seen.threads
                        .iter()
                        .map(|(id, _)| id)
                        .filter(|id| !totals.contains_key(id)),
                );
            }
            let lookup = answering.hub.lookup();
            let place = |id: &Dim| {
                let air_time = seen.threads.get(*id).and_then(|t| t.air_time);
                (Reverse(air_time), lookup.name(*id))
            };
            ids.sort_by_cached_key(place);
            let shown = ids.iter().skip((page - 1).saturating_mul(size)).take(size);
            let data: Vec<Value> = shown
                .map(|id| {
                    let posts = totals.get(id).copied().unwrap_or(0);
                    let record = seen.threads.get(*id).map(AsRef::as_ref);
                    thread_json(lookup, *id, record, posts, seen.state.clock)
                })
                .collect();
            let metadata = json!({ "total": ids.len(), "page": page, "page_size": size, "at": seen.state.at });
            json(StatusCode::OK, &json!({ "data": data, "metadata": metadata }))
        })
    });
    answer.await.map_err(|error| ApiError::internal(&error))?
}

/// A thread.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else.
#[utoipa::path(
    get,
    path = "/api/threads/{thread}",
    tag = "first systems",
    operation_id = "get_first_threads_thread",
    params(OfThread, Conditional),
    responses(
        (status = 200, description = "The answer, in the shape of the first systems.", body = Answer<FirstThread>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn one(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    thread: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let views = thread_views(&app)?;
    let tenancy = tenancy(&app, &who);
    let spec = visible(&app, views.list, tenancy)?;
    let Path(name) = thread.map_err(|error| ApiError::not_found(error.body_text()))?;
    Params::parse(&uri, &[])?;
    app.require_served()?;
    let seen = Seen::of(&app, views)?;
    conditional(&headers, &tag(&app, seen.version(), tenancy), || {
        let id = Dim::of(&name);
        let posts = totals(&seen.state, spec, Some(id), tenancy)?.get(&id).copied();
        let record = seen.threads.get(id).filter(|_| tenancy.is_none() || posts.is_some());
        if posts.is_none() && record.is_none() {
            return Err(no_thread());
        }
        let record = record.map(AsRef::as_ref);
        let data = thread_json(app.hub.lookup(), id, record, posts.unwrap_or(0), seen.state.clock);
        json(
            StatusCode::OK,
            &json!({ "data": data, "metadata": { "at": seen.state.at } }),
        )
    })
}

pub(super) fn no_thread() -> ApiError {
    ApiError::not_found("There is no such thread: it has neither a record nor a live post")
}

/// A thread's cast: what the view shows, by cast member and window.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else. May be kept for 30 seconds.
#[utoipa::path(
    get,
    path = "/api/threads/{thread}/cast",
    tag = "first systems",
    operation_id = "get_first_threads_thread_cast",
    params(OfThread, Conditional),
    responses(
        (status = 200, description = "The answer, in the shape of the first systems.", body = Answer<Vec<CastRow>>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn cast(
    state: State<App>,
    who: Extension<Principal>,
    thread: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(thread) = thread.map_err(|error| ApiError::not_found(error.body_text()))?;
    of_cast(&state.0, &who.0, &thread, None, &uri, &headers)
}

/// The same of one cast member.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else. May be kept for 30 seconds.
#[utoipa::path(
    get,
    path = "/api/threads/{thread}/cast/{member}",
    tag = "first systems",
    operation_id = "get_first_threads_thread_cast_member",
    params(OfThread, ("member" = String, Path, description = "The entity's id."), Conditional),
    responses(
        (status = 200, description = "The answer, in the shape of the first systems.", body = Answer<Vec<CastRow>>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn cast_member(
    state: State<App>,
    who: Extension<Principal>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path((thread, member)) = path.map_err(|error| ApiError::not_found(error.body_text()))?;
    of_cast(&state.0, &who.0, &thread, Some(&member), &uri, &headers)
}

fn of_cast(
    app: &App,
    who: &Principal,
    thread: &str,
    member: Option<&str>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let index = thread_views(app)?
        .cast
        .ok_or_else(|| not_configured("serve.routes.threads.cast"))?;
    let tenancy = tenancy(app, who);
    let spec = visible(app, index, tenancy)?;
    Params::parse(uri, &[])?;
    app.require_served()?;
    let state = app
        .hub
        .view(index)
        .ok_or_else(|| not_configured("serve.routes.threads.cast"))?;
    let answer = conditional(headers, &tag(app, state.version, tenancy), || {
        let data = cast_rows(
            app.hub.lookup(),
            &state,
            spec,
            Dim::of(thread),
            member.map(Dim::of),
            tenancy,
        )?;
        let metadata = json!({ "total": data.len(), "thread": thread, "at": state.at });
        json(StatusCode::OK, &json!({ "data": data, "metadata": metadata }))
    })?;
    Ok(aged(answer))
}

/// What a view shows of a thread's cast, by cast member and window.
pub(super) fn cast_rows(
    lookup: &Lookup,
    state: &ViewState,
    spec: &ViewSpec,
    thread: Dim,
    member: Option<Dim>,
    tenancy: Option<Tenancy>,
) -> Result<Vec<Value>, ApiError> {
    let mut filter = of_thread(spec, Some(thread), tenancy);
    if let Some(member) = member {
        filter.only(&spec.group_by, GroupColumn::Entity, member);
    }
    let rows = state.table.all(&filter, CAST).ok_or_else(too_many)?;
    let mut shown: Vec<(_, EventTime, Value)> = rows
        .iter()
        .map(|(key, row)| {
            let cast = lookup.name(key.group[slot(spec, GroupColumn::Entity)]);
            (cast, key.start, cast_row(lookup, spec, state.clock, key, row))
        })
        .collect();
    shown.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    Ok(shown.into_iter().map(|(_, _, row)| row).collect())
}

#[allow(clippy::cast_possible_truncation)] // counts are whole and below 2^31
fn cast_row(lookup: &Lookup, spec: &ViewSpec, clock: EventTime, key: &ViewKey, row: &Row) -> Value {
    let (start, end) = spec.window.bounds_at(key, clock);
    let mut out = Map::new();
    for (column, dim) in spec.group_by.iter().zip(key.group) {
        let name = match column {
            GroupColumn::Thread => continue,
            GroupColumn::Entity => "cast_member",
            GroupColumn::Phase => "time_window",
            other => other.name(),
        };
        out.insert(name.to_owned(), json!(lookup.name(dim)));
    }
    out.insert("window_start".to_owned(), render::time(start).into());
    out.insert("window_end".to_owned(), render::time(end).into());
    for measure in &spec.measures {
        let value = measure.value(&row.acc);
        let value = if measure.is_count() {
            json!(value.map(|v| v as i64))
        } else {
            json!(value)
        };
        out.insert(measure.name().to_owned(), value);
    }
    Value::Object(out)
}

/// A row per window with the sentiment of each cast member in it.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else. May be kept for 30 seconds.
#[utoipa::path(
    get,
    path = "/api/threads/{thread}/timeline",
    tag = "first systems",
    operation_id = "get_first_threads_thread_timeline",
    params(OfThread, Between, Conditional),
    responses(
        (status = 200, description = "The answer, in the shape of the first systems.", body = Answer<Vec<TimelineRow>>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn timeline(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    thread: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let key = "serve.routes.threads.timeline";
    let index = thread_views(&app)?.timeline.ok_or_else(|| not_configured(key))?;
    let tenancy = tenancy(&app, &who);
    let spec = visible(&app, index, tenancy)?;
    let Path(thread) = thread.map_err(|error| ApiError::not_found(error.body_text()))?;
    let params = Params::parse(&uri, &["start", "end"])?;
    let mut filter = of_thread(spec, Some(Dim::of(&thread)), tenancy);
    for (name, bound) in [("start", "since"), ("end", "until")] {
        if let Some(text) = params.one(name)? {
            filter
                .bound(bound, text)
                .map_err(|invalid| crate::hub::filter::Invalid {
                    parameter: name.to_owned(),
                    message: format!("Invalid value for parameter '{name}'"),
                    ..invalid
                })?;
        }
    }
    app.require_served()?;
    let state = app.hub.view(index).ok_or_else(|| not_configured(key))?;
    let answer = conditional(&headers, &tag(&app, state.version, tenancy), || {
        let rows = state.table.all(&filter, POINTS).ok_or_else(too_many)?;
        let cast = slot(spec, GroupColumn::Entity);
        let mut lines = BTreeMap::<EventTime, Map<String, Value>>::new();
        for (key, row) in rows {
            // Without a score there is no point; a line has none there.
            let point = Measure::Sentiment
                .value(&row.acc)
                .zip(app.hub.lookup().name(key.group[cast]));
            let line = lines.entry(key.start).or_default();
            if let Some((value, name)) = point {
                line.insert(name.to_string(), value.into());
            }
        }
        let row = |(start, mut line): (EventTime, Map<String, Value>)| {
            line.insert("time".to_owned(), render::time(start).into());
            Value::Object(line)
        };
        let data: Vec<Value> = lines.into_iter().map(row).collect();
        let metadata = json!({ "total": data.len(), "thread": thread, "at": state.at });
        json(StatusCode::OK, &json!({ "data": data, "metadata": metadata }))
    })?;
    Ok(aged(answer))
}
