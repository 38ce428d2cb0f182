//! `/api/v1/views` and `/api/v1/views/{view}`.

use super::App;
use super::auth::{Principal, Tenancy};
use super::error::ApiError;
use super::query::{Params, encode_cursor};
use super::reply::{Metadata, conditional, envelope};
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
use groundswell_core::spec::{ViewKey, ViewSpec, WindowSpec};
use groundswell_core::time::Tick;
use serde_json::{Value, json};

/// All views: what they are and how they stand.
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
        let views: Vec<Value> = seen
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

fn describe(spec: &ViewSpec, state: &ViewState, count: bool) -> Value {
    let window = match &spec.window {
        WindowSpec::Anchored(phases) => json!({
            "kind": "anchored",
            "size_ms": spec.window.size(),
            "phases": phases.iter().map(|phase| phase.name.as_str()).collect::<Vec<_>>(),
        }),
        regular => {
            let kind = match regular {
                WindowSpec::Hop { .. } => "hop",
                WindowSpec::Sliding { .. } => "sliding",
                _ => "tumble",
            };
            json!({ "kind": kind, "size_ms": regular.size(), "every_ms": regular.step() })
        }
    };
    json!({
        "name": spec.name,
        "group_by": spec.group_by.iter().map(|c| c.name()).collect::<Vec<_>>(),
        "window": window,
        "measures": spec.measures.iter().map(|m| m.name()).collect::<Vec<_>>(),
        "keep_ms": spec.keep,
        "key": render::key_columns(spec),
        "rows": count.then(|| state.table.len()),
        "version": state.version,
        "updated_at": (state.version > 0).then(|| render::tick_time(state.version)),
    })
}

/// Rows of a view, in the order of window start.
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
    let tag = tag(&app, state.version, tenancy);
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
                row: Some(*row),
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
