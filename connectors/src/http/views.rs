//! `/api/v1/views` and `/api/v1/views/{view}`.

use super::App;
use super::api::answers::{Guarded, NotFound, Unread};
use super::api::params::{Conditional, Groups, InView, Ordered, Paging, Windows};
use super::api::shapes::ViewRow;
use super::auth::{Principal, Tenancy};
use super::error::ApiError;
use super::query::{Params, encode_cursor};
use super::reply::{Envelope, Metadata, conditional, envelope};
use crate::hub::filter::{Filter, Invalid, view_parameters};
use crate::hub::render::{self, RowJson};
use crate::hub::table::{Order, Page};
use crate::hub::{Feed, ViewState};
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use groundswell_core::id::Dim;
use groundswell_core::spec::{CellKind, Shown, ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::Tick;
use serde::Serialize;
use utoipa::ToSchema;

/// All views: columns, window, measures, rows, version.
#[utoipa::path(
    get,
    path = "/api/v1/views",
    tag = "views",
    operation_id = "get_views",
    params(Conditional),
    responses(
        (status = 200, description = "The views, in pipeline order.", body = Envelope<Vec<ViewInfo>>),
        Unread, Guarded
    )
)]
pub async fn list(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let tenancy = who.tenancy(&app);
    Params::parse(&uri, &[])?;
    app.require_served()?;
    let states = app.hub.view_states();
    let at = states.first().map_or(0, |s| s.at);
    let newest = states.iter().map(|s| s.version).max().unwrap_or(0);
    conditional(&headers, &tag(&app, newest, tenancy), || {
        let all = app.hub.specs().iter().zip(&states);
        let seen = all.filter(|(spec, _)| tenancy.is_none_or(|t| t.sees(spec)));
        // How many rows all tenants have together is nobody's business.
        let views: Vec<ViewInfo> = seen
            .map(|(spec, state)| describe(spec, state, tenancy.is_none()))
            .collect();
        envelope(
            &views,
            Metadata {
                total: Some(views.len()),
                at,
                ..Metadata::default()
            },
        )
    })
}

/// The tag of an answer: tenants' answers differ.
pub(super) fn tag(app: &App, version: Tick, tenancy: Option<Tenancy>) -> String {
    let tag = app.hub.tag(version);
    tenancy.map_or(tag.clone(), |t| {
        format!("{}-{:x}\"", tag.trim_end_matches('"'), t.tag())
    })
}

/// A view: what it is and how it stands.
#[derive(Serialize, ToSchema)]
struct ViewInfo {
    /// Its name.
    name: String,
    /// Its group columns.
    group_by: Vec<&'static str>,
    /// How it cuts time.
    window: WindowInfo,
    /// Its measures.
    measures: Vec<String>,
    /// How long rows are kept (ms); null for ever.
    keep_ms: Option<i64>,
    /// Whether rows have a `state` and a `revision`.
    revisions: bool,
    /// The columns that identify a row.
    key: Vec<&'static str>,
    /// Rows; null for a tenant.
    rows: Option<usize>,
    /// The tick of the last change; 0 before the first.
    version: u64,
    /// The same as a time.
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

/// Windows.
#[derive(Serialize, ToSchema)]
struct WindowInfo {
    /// `tumble`, `hop`, `sliding`, `anchored` or `session`.
    kind: &'static str,
    /// Their length (ms); of the longest there can be, if anchored or sessions.
    size_ms: i64,
    /// From one start to the next (ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    every_ms: Option<i64>,
    /// Of sessions: the most that neighbouring posts are apart (ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_ms: Option<i64>,
    /// The phases, if anchored.
    #[serde(skip_serializing_if = "Option::is_none")]
    phases: Option<Vec<String>>,
}

/// Whether a column holds numbers.
fn is_number(shown: &Shown<'_>) -> bool {
    matches!(shown.kind(), CellKind::Whole(_) | CellKind::Real)
}

fn describe(spec: &ViewSpec, state: &ViewState, count: bool) -> ViewInfo {
    let kind = match &spec.window {
        WindowSpec::Anchored(_) => "anchored",
        WindowSpec::Session(_) => "session",
        WindowSpec::Hop { .. } => "hop",
        WindowSpec::Sliding { .. } => "sliding",
        WindowSpec::Tumble { .. } => "tumble",
    };
    let phases = match &spec.window {
        WindowSpec::Anchored(phases) => Some(phases.iter().map(|phase| phase.name.as_str().to_owned()).collect()),
        _ => None,
    };
    let gap_ms = match &spec.window {
        WindowSpec::Session(sessions) => Some(sessions.gap),
        _ => None,
    };
    ViewInfo {
        name: spec.name.clone(),
        group_by: spec.group_by.iter().map(|c| c.name()).collect(),
        window: WindowInfo {
            kind,
            size_ms: spec.window.size(),
            every_ms: spec.window.is_regular().then(|| spec.window.step()),
            gap_ms,
            phases,
        },
        measures: spec
            .shows()
            .filter(is_number)
            .map(|shown| shown.name().to_owned())
            .collect(),
        keep_ms: spec.keep,
        revisions: spec.extras.revisions,
        key: render::key_columns(spec),
        rows: count.then(|| state.table.len()),
        version: state.version,
        updated_at: (state.version > 0).then(|| render::tick_time(state.version)),
    }
}

/// Rows of a view by window start.
///
/// Every group column of the view is a parameter of its own name; given several times, any of the values matches;
/// empty means rows without a value. A cursor stays good while rows come and go.
#[utoipa::path(
    get,
    path = "/api/v1/views/{view}",
    tag = "views",
    operation_id = "get_views_view",
    params(InView, Groups, Windows, Ordered, Paging, Conditional),
    responses(
        (status = 200, description = "A page of rows.", body = Envelope<Vec<ViewRow>>),
        NotFound, Unread, Guarded
    )
)]
pub async fn rows(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(name) = name.map_err(|error| ApiError::not_found(error.body_text()))?;
    let tenancy = who.tenancy(&app);
    let (index, spec) = find(&app, &name, tenancy)?;
    let mut request = RowsRequest::parse(spec, &uri)?;
    if let Some(tenancy) = tenancy {
        tenancy.rows(spec, &mut request.filter);
    }
    app.require_served()?;
    let state = app
        .hub
        .view(index)
        .ok_or_else(|| ApiError::not_found("There is no such view"))?;
    // States change with the clock too, when no row does.
    let version = if spec.extras.revisions { state.at } else { state.version };
    let tag = tag(&app, version, tenancy);
    let spec = spec.clone();
    let answering = app.clone();
    // A filter on a large view looks at many rows: not on the threads that serve everybody else.
    let answer =
        tokio::task::spawn_blocking(move || conditional(&headers, &tag, || request.answer(&answering, &spec, &state)));
    answer.await.map_err(|error| ApiError::internal(&error))?
}

/// A view by name, if it is there for whoever asks.
///
/// # Errors
/// 404 with the views there are.
pub(super) fn find<'a>(app: &'a App, name: &str, tenancy: Option<Tenancy>) -> Result<(usize, &'a ViewSpec), ApiError> {
    let sees = |spec: &ViewSpec| tenancy.is_none_or(|t| t.sees(spec));
    match app.hub.feed(name).zip(app.hub.spec(name).filter(|spec| sees(spec))) {
        Some((Feed::View(index), spec)) => Ok((index, spec)),
        _ => {
            let seen = app.hub.specs().iter().filter(|spec| sees(spec));
            let available: Vec<&str> = seen.map(|v| v.name.as_str()).collect();
            Err(ApiError::unknown_view(name, &available))
        }
    }
}

/// The rows a request is about, and in which direction.
///
/// # Errors
/// 400 for a value that cannot be used.
pub(super) fn selection(spec: &ViewSpec, params: &Params) -> Result<(Filter, Order), ApiError> {
    let mut filter = Filter::default();
    for bound in ["since", "until"] {
        if let Some(value) = params.one(bound)? {
            filter.bound(bound, value)?;
        }
    }
    for (name, value) in params.iter() {
        if spec.group_by.iter().any(|c| c.name() == name) {
            filter.column(&spec.group_by, name, Some(value).filter(|v| !v.is_empty()))?;
        }
    }
    let order = match params.one("order")? {
        None | Some("asc") => Order::Ascending,
        Some("desc") => Order::Descending,
        Some(other) => return Err(Invalid::value("order", other, &["asc", "desc"]).into()),
    };
    Ok((filter, order))
}

/// Some rows of a view, from a place on.
pub(super) fn page(
    spec: &ViewSpec,
    state: &ViewState,
    (filter, order): (&Filter, Order),
    after: Option<ViewKey>,
    limit: usize,
) -> Page {
    if !render::is_sliding(spec) {
        return state.table.page(filter, order, after, limit);
    }
    // All rows of a sliding view share the window that ends now: bounds apply to it, not to the stored key.
    if !filter.start(spec.window.sliding_bounds(state.clock).0) {
        return Page {
            rows: Vec::new(),
            more: false,
        };
    }
    state.table.page(&filter.groups_only(), order, after, limit)
}

struct RowsRequest {
    filter: Filter,
    order: Order,
    limit: usize,
    after: Option<ViewKey>,
    listing: String,
}

impl RowsRequest {
    fn parse(spec: &ViewSpec, uri: &Uri) -> Result<Self, ApiError> {
        let mut allowed = view_parameters(spec);
        allowed.extend(["limit", "cursor", "order"]);
        let params = Params::parse(uri, &allowed)?;
        let (filter, order) = selection(spec, &params)?;
        let listing = format!("{}/{order:?}", spec.name);
        let after = params.cursor::<40>(&listing)?.map(decode_key);
        Ok(RowsRequest {
            filter,
            order,
            limit: params.limit()?,
            after,
            listing,
        })
    }

    fn answer(&self, app: &App, spec: &ViewSpec, state: &ViewState) -> Result<Response, ApiError> {
        let page = page(spec, state, (&self.filter, self.order), self.after, self.limit);
        let total = self.filter.is_empty().then(|| state.table.len());
        let rows: Vec<RowJson> = page
            .rows
            .iter()
            .map(|(key, row)| RowJson {
                spec,
                lookup: app.hub.lookup(),
                clock: state.clock,
                key: *key,
                row: Some(row.clone()),
            })
            .collect();
        let last = page.rows.last().filter(|_| page.more);
        let next_cursor = last.map(|(key, _)| encode_cursor(&self.listing, &encode_key(key)));
        envelope(
            &rows,
            Metadata {
                total,
                limit: Some(self.limit),
                next_cursor,
                at: state.at,
            },
        )
    }
}

fn encode_key(key: &ViewKey) -> Vec<u8> {
    key.start
        .to_le_bytes()
        .into_iter()
        .chain(key.group.iter().flat_map(|d| d.0.to_le_bytes()))
        .collect()
}

fn decode_key(bytes: [u8; 40]) -> ViewKey {
    let word = |i: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[i * 8..i * 8 + 8]);
        word
    };
    ViewKey {
        start: i64::from_le_bytes(word(0)),
        group: [1, 2, 3, 4].map(|i| Dim(u64::from_le_bytes(word(i)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_a_cursor() {
        let key = ViewKey {
            group: [Dim(1), Dim(u64::MAX), Dim(0), Dim(7)],
            start: -5,
        };
        let bytes: [u8; 40] = encode_key(&key).try_into().expect("40 bytes");
        assert_eq!(decode_key(bytes), key);
    }
}
