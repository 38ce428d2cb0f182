//! The last days in one page, and as a file.

use super::rollup::{merged, row};
use super::{Analysis, Asked, answer, since, whole};
use crate::http::App;
use crate::http::api::answers::{Guarded, NotFound, Unread};
use crate::http::api::params::{Conditional, Groups, InView};
use crate::http::auth::Principal;
use crate::http::error::ApiError;
use crate::http::export::{self, Rows};
use crate::http::query::Params;
use crate::http::views::find;
use crate::hub::analytics::{Merged, growth};
use crate::hub::export::Format;
use crate::hub::filter::{Filter, Invalid, view_parameters};
use crate::hub::render;
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use groundswell_core::spec::{CellKind, GroupColumn, WindowSpec};
use groundswell_core::time::DAY;
use serde_json::{Map, Value};

/// Ranges there are files and summaries of.
const RANGES: [&str; 3] = ["7", "30", "90"];

/// The last 7, 30 or 90 days of a view in one page.
///
/// Of a view with windows side by side: everything added up, by source where the view groups by it, what it has grown by
/// since as many days before, in percent, posts a day, and the top posts where the view has some.
#[utoipa::path(
    get,
    path = "/api/export/{view}/report",
    tag = "analytics",
    operation_id = "get_export_report",
    params(InView, ("days" = Option<u32>, Query, description = "7, 30 or 90; 30."), Groups, Conditional),
    responses((status = 200, description = "The summary.", body = Analysis), NotFound, Unread, Guarded)
)]
pub async fn report(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    answer(app, &who, name, (uri, headers), &[], summary).await
}

#[allow(clippy::cast_precision_loss)] // at most 90 days
fn summary(asked: &Asked) -> Result<(Value, usize, Map<String, Value>), ApiError> {
    if !matches!(asked.spec.window, WindowSpec::Tumble { .. }) {
        return Err(ApiError::new(
            axum::http::StatusCode::BAD_REQUEST,
            "NO_SERIES",
            "A summary is made of windows side by side, and this view has others",
        ));
    }
    let days = range(&asked.params)?;
    let from = since(&asked.spec, &asked.state, days);
    let back = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY);
    let period = |from: i64, to: Option<i64>| {
        let mut filter: Filter = asked.filter.clone();
        (filter.since, filter.until) = (Some(from), to);
        filter
    };
    let total = |filter: &Filter| {
        let mut total = Merged::default();
        let rows = asked.rows(filter)?;
        rows.iter().for_each(|(_, row)| total.add(&asked.spec, row));
        Ok::<_, ApiError>((total, rows.len()))
    };
    let now = Asked {
        spec: asked.spec.clone(),
        state: asked.state.clone(),
        filter: period(from, None),
        params: asked.params.clone(),
        app: asked.app.clone(),
    };
    let (total_now, rows) = total(&now.filter)?;
    let (total_before, _) = total(&period(from.saturating_sub(back), Some(from)))?;
    let mut grown = Map::new();
    for shown in asked.spec.shows() {
        if matches!(shown.kind(), CellKind::Whole(_) | CellKind::Real) {
            let [was, is] = [&total_before, &total_now].map(|merged| merged.number(&asked.spec, shown));
            grown.insert(shown.name().to_owned(), growth(was, is).into());
        }
    }
    let mut data = Map::new();
    data.insert("total".to_owned(), row(&now, &[], &[], &total_now)?);
    data.insert("growth".to_owned(), Value::Object(grown));
    data.insert(
        "posts_a_day".to_owned(),
        (f64::from(total_now.posts()) / days as f64).into(),
    );
    if let Some(place) = asked.spec.group_by.iter().position(|c| *c == GroupColumn::Source) {
        let (groups, _) = merged(&now, &[place])?;
        let platforms = groups.iter().map(|(group, merged)| row(&now, &[place], group, merged));
        data.insert("by_source".to_owned(), platforms.collect::<Result<Vec<_>, _>>()?.into());
    }
    let end = from.saturating_add(back);
    let more = [
        ("view", asked.spec.name.as_str().into()),
        ("days", days.into()),
        ("from", render::time(from).into()),
        ("to", render::time(end).into()),
    ];
    Ok((
        Value::Object(data),
        rows,
        more.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
    ))
}

fn range(params: &Params) -> Result<usize, ApiError> {
    match params.one("days")? {
        None => Ok(30),
        Some(days) if RANGES.contains(&days) => Ok(whole(params, "days", 7, 90)?.unwrap_or(30)),
        Some(days) => Err(Invalid::value("days", days, &RANGES).into()),
    }
}

/// The last 7, 30 or 90 days of a view as a file.
///
/// Streamed, and as of one tick; the columns are those of the view's own export. A sliding view is given as it is.
#[utoipa::path(
    get,
    path = "/api/export/{view}/csv",
    tag = "analytics",
    operation_id = "get_export_csv",
    params(InView, ("days" = Option<u32>, Query, description = "7, 30 or 90; 30."), Groups, Conditional),
    responses((status = 200, description = "The file.", body = String, content_type = "text/csv; charset=utf-8; header=present"),
        NotFound, Unread, Guarded)
)]
pub async fn csv(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    method: Method,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(name) = name.map_err(|error| ApiError::not_found(error.body_text()))?;
    let tenancy = who.tenancy(&app);
    let (index, spec) = find(&app, &name, tenancy)?;
    let mut allowed = view_parameters(spec);
    allowed.retain(|name| !["since", "until"].contains(name));
    allowed.push("days");
    let params = Params::parse(&uri, &allowed)?;
    let days = range(&params)?;
    export::send(&app, (index, spec), (method, &headers), tenancy, Format::Csv, |state| {
        let (mut filter, order) = crate::http::views::selection(spec, &params)?;
        if !render::is_sliding(spec) {
            filter.since = Some(since(spec, state, days));
        }
        Ok(Rows { filter, order })
    })
}
