//! `/api/analytics/…` and `/api/export/…`: what is made of a view's rows when somebody asks.
//!
//! In: a view and what to make of it. Out: rows added up by some of its columns, a series with growth and moving average, the
//! best hours and days, a summary; a file of the last days. Columns of several rows are computed from what they have together.
//! Holds no state. Who asks, what tenants see and how often somebody may ask is decided as everywhere else.

pub(super) mod report;
pub(super) mod rollup;
pub(super) mod series;

use super::App;
use super::auth::{Principal, Tenancy};
use super::error::ApiError;
use super::query::Params;
use super::reply::{conditional, json};
use super::views::{find, selection, tag};
use crate::hub::ViewState;
use crate::hub::filter::{Filter, Invalid, view_parameters};
use crate::hub::render;
use crate::hub::table::Row;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use groundswell_core::spec::{CellKind, Shown, ViewKey, ViewSpec};
use groundswell_core::time::DAY;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Most rows that one answer adds up.
const MOST: usize = 200_000;

/// An answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Analysis {
    /// What was asked for.
    data: Value,
    /// What accompanies it.
    metadata: AnalysisMetadata,
}

/// What accompanies an analysis.
#[derive(Serialize, ToSchema)]
struct AnalysisMetadata {
    /// Tick: epoch milliseconds.
    at: u64,
    /// Rows that were added up.
    rows: usize,
    /// What else is said of the answer.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    more: Map<String, Value>,
}

/// What somebody asks of a view, checked.
struct Asked {
    spec: ViewSpec,
    state: ViewState,
    filter: Filter,
    params: Params,
    app: App,
}

/// What every route here begins with: which view, which rows, and answers that are not sent twice.
async fn answer(
    app: App,
    who: &Principal,
    name: Result<Path<String>, PathRejection>,
    (uri, headers): (Uri, HeaderMap),
    own: &[&str],
    make: impl FnOnce(&Asked) -> Result<(Value, usize, Map<String, Value>), ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let Path(name) = name.map_err(|error| ApiError::not_found(error.body_text()))?;
    let tenancy = who.tenancy(&app);
    let (index, spec) = find(&app, &name, tenancy)?;
    let spec = spec.clone();
    let mut allowed = view_parameters(&spec);
    allowed.extend(own.iter().copied().chain(["days"]));
    let params = Params::parse(&uri, &allowed)?;
    app.require_served()?;
    let state = app
        .hub
        .view(index)
        .ok_or_else(|| ApiError::not_found("There is no such view"))?;
    let filter = filter(&spec, &state, &params, tenancy)?;
    let tag = tag(&app, state.version, tenancy);
    let asked = Asked {
        spec,
        state,
        filter,
        params,
        app,
    };
    let answer = tokio::task::spawn_blocking(move || {
        conditional(&headers, &tag, || {
            let (data, rows, more) = make(&asked)?;
            let metadata = AnalysisMetadata {
                at: asked.state.at,
                rows,
                more,
            };
            json(StatusCode::OK, &Analysis { data, metadata })
        })
    });
    answer.await.map_err(|error| ApiError::internal(&error))?
}

/// The rows a request is about: of the last `days` up to the recorded clock, if it says so.
fn filter(spec: &ViewSpec, state: &ViewState, params: &Params, tenancy: Option<Tenancy>) -> Result<Filter, ApiError> {
    let (mut filter, _) = selection(spec, params)?;
    if let Some(days) = whole(params, "days", 1, 3_650)? {
        if params.one("since")?.is_some() {
            return Err(Invalid::value("days", &days.to_string(), &["not with since"]).into());
        }
        if !render::is_sliding(spec) {
            filter.since = Some(since(spec, state, days));
        }
    }
    if let Some(tenancy) = tenancy {
        tenancy.rows(spec, &mut filter);
    }
    Ok(filter)
}

/// Where the last so many days begin: the window that is under way counts whole, and is the last of them.
fn since(spec: &ViewSpec, state: &ViewState, days: usize) -> i64 {
    let step = spec.window.step().max(1);
    let now = state.clock.div_euclid(step).saturating_mul(step);
    let back = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY);
    now.saturating_add(step).saturating_sub(back)
}

/// A whole number within bounds, if it is given.
fn whole(params: &Params, name: &str, least: usize, most: usize) -> Result<Option<usize>, ApiError> {
    let Some(text) = params.one(name)? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(n) if (least..=most).contains(&n) => Ok(Some(n)),
        _ => Err(Invalid::value(name, text, &[&format!("{least} to {most}")]).into()),
    }
}

impl Asked {
    /// The rows, if they are not too many.
    fn rows(&self, filter: &Filter) -> Result<Vec<(ViewKey, Row)>, ApiError> {
        let filter = if render::is_sliding(&self.spec) {
            filter.groups_only()
        } else {
            filter.clone()
        };
        self.state.table.all(&filter, MOST).ok_or_else(|| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "RANGE_TOO_LARGE",
                "There are too many rows to add up: ask for less at once",
            )
            .with(serde_json::json!({ "rows": MOST }))
        })
    }

    /// A column of the view that holds numbers, by the parameter that names it; without one, the first formula or measure.
    fn column(&self, name: &str) -> Result<Shown<'_>, ApiError> {
        let numbers = || {
            let shown = self.spec.shows();
            shown.filter(|shown| matches!(shown.kind(), CellKind::Whole(_) | CellKind::Real))
        };
        let asked = self.params.one(name)?;
        let found = match asked {
            Some(asked) => numbers().find(|shown| shown.name() == asked),
            None => numbers()
                .find(|shown| matches!(shown, Shown::Column(_)))
                .or_else(|| numbers().next()),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = numbers().map(|shown| shown.name()).collect();
            Invalid::value(name, asked.unwrap_or_default(), &known).into()
        })
    }
}
