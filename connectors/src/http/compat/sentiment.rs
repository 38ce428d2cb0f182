//! `/api/sentiment/aggregate` and `/api/sentiment/distribution`: posts by label, counted when they are scored.
//!
//! A view may group by more than the label: what a request does not ask for is added up. Percentages are rounded to two
//! places, half away from zero, in integers.

use super::{SentimentViews, aged, not_configured, sentiment_views, tenancy, visible};
use crate::http::App;
use crate::http::api::answers::{Guarded, NotFound, Unread};
use crate::http::api::params::{Between, Conditional, Period};
use crate::http::api::shapes::{Answer, Bar, Share};
use crate::http::auth::{Principal, Tenancy};
use crate::http::error::ApiError;
use crate::http::query::Params;
use crate::http::reply::{conditional, json};
use crate::http::views::tag;
use crate::hub::ViewState;
use crate::hub::filter::{Filter, Invalid};
use crate::hub::render;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use groundswell_core::score::Label;
use groundswell_core::spec::{GroupColumn, ViewSpec};
use groundswell_core::time::{DAY, EventTime};
use std::collections::BTreeMap;

/// Most rows that one answer adds up.
const MOST: usize = 200_000;

/// Posts by window start and label.
type Counts = BTreeMap<(EventTime, Label), u64>;

/// Posts by hour or day and label.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else. Every other column of the view is a
/// parameter of its own name. Without start, the last 24 hours or 30 days of the recorded clock. May be kept for 30
/// seconds.
#[utoipa::path(
    get,
    path = "/api/sentiment/aggregate",
    tag = "first systems",
    operation_id = "get_first_sentiment_aggregate",
    params(("period" = inline(Option<Period>), Query, description = "Length of the windows; hour if it is served."), Between, Conditional),
    responses(
        (status = 200, description = "The answer, in the shape of the first systems.", body = Answer<Vec<Bar>>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn aggregate(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let views = sentiment_views(&app)?;
    let tenancy = tenancy(&app, &who);
    let params = Params::any(&uri)?;
    let (period, index) = period(views, &params)?;
    let spec = visible(&app, index, tenancy)?;
    let mut filter = filter(spec, &params, &["period", "start", "end"], tenancy)?;
    app.require_served()?;
    let state = state(&app, index)?;
    let back = if period == "hour" { DAY } else { 30 * DAY };
    let bound = |name: &str, default| match params.one(name)? {
        None => Ok(default),
        Some(text) => time(name, text),
    };
    let step = spec.window.step();
    let start = bound("start", state.clock.saturating_sub(back))?;
    // The window that a moment lies in counts whole.
    filter.since = Some(start.div_euclid(step).saturating_mul(step));
    filter.until = Some(bound("end", EventTime::MAX)?);
    let at = state.at;
    let answer = conditional(&headers, &tag(&app, state.version, tenancy), || {
        let counts = counts(&state, spec, &filter)?;
        let row = |((start, label), count): (&(EventTime, Label), &u64)| serde_json::json!({ "timestamp": render::time(*start), "sentiment_label": label.name(), "count": count });
        let data: Vec<_> = counts.iter().map(row).collect();
        let metadata = serde_json::json!({ "total": data.len(), "period": period, "at": at });
        json(
            StatusCode::OK,
            &serde_json::json!({ "data": data, "metadata": metadata }),
        )
    })?;
    Ok(aged(answer))
}

/// Posts of the last hours by label.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else. hours is one of those that the pipeline
/// keeps a view of. Every other column of the view is a parameter of its own name. May be kept for 30 seconds.
#[utoipa::path(
    get,
    path = "/api/sentiment/distribution",
    tag = "first systems",
    operation_id = "get_first_sentiment_distribution",
    params(("hours" = Option<u32>, Query, description = "How far back; without it, the first that is served.", minimum = 1), Conditional),
    responses(
        (status = 200, description = "The answer, in the shape of the first systems.", body = Answer<Vec<Share>>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn distribution(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let views = sentiment_views(&app)?;
    let tenancy = tenancy(&app, &who);
    let params = Params::any(&uri)?;
    let (hours, index) = hours(views, &params)?;
    let spec = visible(&app, index, tenancy)?;
    let filter = filter(spec, &params, &["hours"], tenancy)?;
    app.require_served()?;
    let state = state(&app, index)?;
    let answer = conditional(&headers, &tag(&app, state.version, tenancy), || {
        let counts = by_label(&state, spec, &filter)?;
        let total: u64 = counts.values().sum();
        let row = |(label, count): (&Label, &u64)| {
            serde_json::json!({
                "sentiment_label": label.name(), "count": count, "percentage": percentage(*count, total),
            })
        };
        let data: Vec<_> = counts.iter().map(row).collect();
        let (start, end) = spec.window.sliding_bounds(state.clock);
        let metadata = serde_json::json!({
            "total": total, "hours": hours, "at": state.at,
            "window_start": render::time(start), "window_end": render::time(end),
        });
        json(
            StatusCode::OK,
            &serde_json::json!({ "data": data, "metadata": metadata }),
        )
    })?;
    Ok(aged(answer))
}

/// The period asked for and its view.
fn period(views: &SentimentViews, params: &Params) -> Result<(&'static str, usize), ApiError> {
    let all = [("hour", views.hour), ("day", views.day)];
    let served: Vec<(&'static str, usize)> = all.iter().filter_map(|(n, view)| Some((*n, (*view)?))).collect();
    let asked = params.one("period")?;
    let found = match asked {
        None => served.first(),
        Some(asked) => served.iter().find(|(name, _)| *name == asked),
    };
    found.copied().ok_or_else(|| match asked {
        None => not_configured("serve.routes.sentiment.hour or day"),
        Some(asked) => {
            let names: Vec<&str> = served.iter().map(|(name, _)| *name).collect();
            Invalid::value("period", asked, &names).into()
        }
    })
}

/// The hours asked for and their view.
fn hours(views: &SentimentViews, params: &Params) -> Result<(u32, usize), ApiError> {
    let served = &views.distribution;
    let asked = params.one("hours")?;
    let found = match asked {
        None => served.first(),
        Some(asked) => served.iter().find(|(hours, _)| asked.parse() == Ok(*hours)),
    };
    found.copied().ok_or_else(|| match asked {
        None => not_configured("serve.routes.sentiment.distribution"),
        Some(asked) => {
            let names: Vec<String> = served.iter().map(|(hours, _)| hours.to_string()).collect();
            Invalid::value("hours", asked, &names.iter().map(String::as_str).collect::<Vec<_>>()).into()
        }
    })
}

/// The columns asked for, besides the route's own parameters.
fn filter(spec: &ViewSpec, params: &Params, own: &[&str], tenancy: Option<Tenancy>) -> Result<Filter, ApiError> {
    let columns = spec.group_by.iter().map(|column| column.name());
    params.only(&own.iter().copied().chain(columns).collect::<Vec<_>>())?;
    let mut filter = Filter::default();
    for (name, value) in params.iter().filter(|(name, _)| !own.contains(name)) {
        filter.column(&spec.group_by, name, Some(value))?;
    }
    if let Some(tenancy) = tenancy {
        tenancy.rows(spec, &mut filter);
    }
    Ok(filter)
}

pub(super) fn time(name: &str, text: &str) -> Result<EventTime, ApiError> {
    let mut filter = Filter::default();
    filter.bound("since", text).map_err(|invalid| Invalid {
        parameter: name.to_owned(),
        message: format!("Invalid value for parameter '{name}'"),
        ..invalid
    })?;
    Ok(filter.since.unwrap_or_default())
}

fn state(app: &App, index: usize) -> Result<ViewState, ApiError> {
    app.hub
        .view(index)
        .ok_or_else(|| not_configured("serve.routes.sentiment"))
}

fn counts(state: &ViewState, spec: &ViewSpec, filter: &Filter) -> Result<Counts, ApiError> {
    let slot = spec
        .group_by
        .iter()
        .position(|column| *column == GroupColumn::Label)
        .unwrap_or(0);
    let rows = state.table.all(filter, MOST).ok_or_else(|| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "RANGE_TOO_LARGE",
            "There are too many rows to add up: ask for less at once",
        )
        .with(serde_json::json!({ "rows": MOST }))
    })?;
    let mut counts = Counts::new();
    for (key, row) in rows {
        // A post without a label is not scored, or its sentiment does not count.
        if let Some(label) = Label::ALL.into_iter().find(|label| label.dim() == key.group[slot]) {
            *counts.entry((key.start, label)).or_default() += u64::from(row.acc.posts.unsigned_abs());
        }
    }
    Ok(counts)
}

/// Posts by label, of all windows that a filter leaves.
pub(super) fn by_label(state: &ViewState, spec: &ViewSpec, filter: &Filter) -> Result<BTreeMap<Label, u64>, ApiError> {
    let mut all = BTreeMap::new();
    for ((_, label), n) in counts(state, spec, filter)? {
        *all.entry(label).or_default() += n;
    }
    Ok(all)
}

/// count · 100 / total to two places, half away from zero; 0 of nothing is 0.
#[allow(clippy::cast_precision_loss)] // at most 10 000
fn percentage(count: u64, total: u64) -> f64 {
    let (count, total) = (u128::from(count), u128::from(total.max(1)));
    let hundredths = (count * 20_000 + total) / (2 * total);
    hundredths as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_two_places() {
        assert_eq!(percentage(1, 3), 33.33);
        assert_eq!(percentage(2, 3), 66.67);
        assert_eq!(percentage(1, 800), 0.13, "0.125 goes up");
        assert_eq!((percentage(0, 0), percentage(7, 7)), (0.0, 100.0));
    }

    #[test]
    fn what_is_asked_for_has_to_be_served() {
        let views = SentimentViews {
            hour: Some(3),
            day: None,
            distribution: vec![(24, 1), (168, 2)],
        };
        let uri = |query: &str| Params::any(&format!("/x?{query}").parse().expect("uri")).expect("read");
        assert_eq!(period(&views, &uri("")), Ok(("hour", 3)));
        let error = period(&views, &uri("period=minute")).expect_err("no such period");
        assert_eq!(
            serde_json::json!(error.body())["error"],
            serde_json::json!({
                "code": "INVALID_PARAMETER",
                "message": "Invalid value for parameter 'period'",
                "details": { "parameter": "period", "provided": "minute", "allowed": ["hour"] },
            })
        );
        assert_eq!(hours(&views, &uri("hours=168")), Ok((168, 2)));
        assert_eq!(hours(&views, &uri("a=b")), Ok((24, 1)));
        assert!(hours(&views, &uri("hours=25")).is_err());
    }
}
