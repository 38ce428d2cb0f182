//! Rows added up by some of a view's columns: how platforms compare, when posting pays.

use super::{Analysis, Asked, answer, whole};
use crate::http::App;
use crate::http::api::answers::{Guarded, NotFound, Unread};
use crate::http::api::params::{Conditional, Groups, InView, Windows};
use crate::http::auth::Principal;
use crate::http::error::ApiError;
use crate::hub::analytics::Merged;
use crate::hub::filter::Invalid;
use crate::json::CellJson;
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use groundswell_core::id::Dim;
use groundswell_core::spec::{GroupColumn, HOURS, Shown, WEEKDAYS};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Rows of a view, added up by some of its columns.
///
/// by names the columns, separated by commas; without it everything is one row. Columns are computed from what all posts
/// have together; those made of distinct authors are null over several rows. With sort the greatest are first, with -
/// before it the least; what is null is last. days looks back from the recorded clock, in place of since.
#[utoipa::path(
    get,
    path = "/api/analytics/{view}/rollup",
    tag = "analytics",
    operation_id = "get_analytics_rollup",
    params(InView, ("by" = Option<String>, Query, description = "Group columns of the view, separated by commas."),
        ("sort" = Option<String>, Query, description = "A column of numbers, perhaps with - before it."),
        ("limit" = Option<u32>, Query, description = "How many.", minimum = 1, maximum = 1000),
        ("days" = Option<u32>, Query, description = "How far back.", minimum = 1, maximum = 3650), Groups, Windows, Conditional),
    responses((status = 200, description = "Rows.", body = Analysis), NotFound, Unread, Guarded)
)]
pub async fn rollup(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    answer(app, &who, name, (uri, headers), &["by", "sort", "limit"], |asked| {
        let by = columns(asked)?;
        let limit = whole(&asked.params, "limit", 1, 1000)?.unwrap_or(1000);
        let (sort, least_first) = match asked.params.one("sort")? {
            None => (None, false),
            Some(text) => (
                Some(sorted(asked, text.trim_start_matches('-'))?),
                text.starts_with('-'),
            ),
        };
        let (groups, rows) = merged(asked, &by)?;
        let mut groups: Vec<(Vec<Dim>, Merged)> = groups.into_iter().collect();
        if let Some(sort) = sort {
            groups.sort_by(|(_, a), (_, b)| {
                let (a, b) = (a.number(&asked.spec, sort), b.number(&asked.spec, sort));
                order(a, b, least_first)
            });
        }
        let data = groups
            .iter()
            .take(limit)
            .map(|(group, merged)| row(asked, &by, group, merged));
        let data: Vec<Value> = data.collect::<Result<_, _>>()?;
        Ok((Value::Array(data), rows, Map::new()))
    })
    .await
}

/// The hours of the day and the days of the week in which posts do best.
///
/// Of a view that groups by hour and weekday. The best five hours and three days by column (the view's first formula
/// if not said), and the whole map of 7 × 24, Monday first; hours with fewer posts than min_posts are not among the best.
#[utoipa::path(
    get,
    path = "/api/analytics/{view}/best-times",
    tag = "analytics",
    operation_id = "get_analytics_best_times",
    params(InView, ("column" = Option<String>, Query, description = "A column of numbers."),
        ("hours" = Option<u32>, Query, description = "How many hours; 5.", minimum = 1, maximum = 24),
        ("weekdays" = Option<u32>, Query, description = "How many days of the week; 3.", minimum = 1, maximum = 7),
        ("min_posts" = Option<u32>, Query, description = "Fewer posts say nothing; 1.", minimum = 1),
        ("days" = Option<u32>, Query, description = "How far back.", minimum = 1, maximum = 3650), Groups, Windows, Conditional),
    responses((status = 200, description = "The best times.", body = Analysis), NotFound, Unread, Guarded)
)]
pub async fn best_times(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let own = ["column", "hours", "weekdays", "min_posts"];
    answer(app, &who, name, (uri, headers), &own, best).await
}

fn best(asked: &Asked) -> Result<(Value, usize, Map<String, Value>), ApiError> {
    let place = |column| asked.spec.group_by.iter().position(|c| *c == column);
    let (Some(hour), Some(weekday)) = (place(GroupColumn::Hour), place(GroupColumn::Weekday)) else {
        return Err(ApiError::new(
            axum::http::StatusCode::BAD_REQUEST,
            "NO_HOURS",
            "This view does not group by hour and weekday",
        ));
    };
    let column = asked.column("column")?;
    let number = |name, default, most| Ok::<_, ApiError>(whole(&asked.params, name, 1, most)?.unwrap_or(default));
    let (hours, weekdays) = (number("hours", 5, 24)?, number("weekdays", 3, 7)?);
    let min_posts = i32::try_from(number("min_posts", 1, 1_000_000_000)?).unwrap_or(i32::MAX);
    let value = |merged: Option<&Merged>| {
        let merged = merged.filter(|merged| merged.posts() >= min_posts)?;
        merged.number(&asked.spec, column)
    };
    let top = |slot: usize, name: &str, words: &[&str], most: usize| {
        let (groups, rows) = merged(asked, &[slot])?;
        let mut all: Vec<(&str, Option<f64>, i32)> = Vec::new();
        for word in words {
            let merged = groups.get(&vec![Dim::of(word)]);
            all.push((word, value(merged), merged.map_or(0, Merged::posts)));
        }
        all.retain(|(_, value, _)| value.is_some());
        // Of equals the earlier one.
        all.sort_by(|a, b| order(a.1, b.1, false));
        let best = all.iter().take(most);
        let best = best.map(|(word, value, posts)| serde_json::json!({ name: word, "value": value, "posts": posts }));
        Ok::<_, ApiError>((Value::Array(best.collect()), rows))
    };
    let (best_hours, rows) = top(hour, "hour", &HOURS, hours)?;
    let (best_days, _) = top(weekday, "weekday", &WEEKDAYS, weekdays)?;
    let (cells, _) = merged(asked, &[weekday, hour])?;
    let line = |day: &&str| {
        let at = |hour: &&str| cells.get(&vec![Dim::of(day), Dim::of(hour)]);
        HOURS.iter().map(|hour| value(at(hour)).into()).collect::<Vec<Value>>()
    };
    let map: Vec<Vec<Value>> = WEEKDAYS.iter().map(line).collect();
    let data = serde_json::json!({ "hours": best_hours, "weekdays": best_days, "heatmap": map });
    let more = [
        ("column".to_owned(), column.name().into()),
        ("time_zone".to_owned(), asked.spec.extras.zone.name().into()),
    ];
    Ok((data, rows, more.into_iter().collect()))
}

/// The greatest first, or the least; what is not known last.
fn order(a: Option<f64>, b: Option<f64>, least_first: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if least_first => a.total_cmp(&b),
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// Places of the columns that are asked for.
fn columns(asked: &Asked) -> Result<Vec<usize>, ApiError> {
    let Some(text) = asked.params.one("by")?.filter(|text| !text.is_empty()) else {
        return Ok(Vec::new());
    };
    let place = |name: &str| {
        let place = asked.spec.group_by.iter().position(|c| c.name() == name);
        let known: Vec<&str> = asked.spec.group_by.iter().map(|c| c.name()).collect();
        place.ok_or_else(|| ApiError::from(Invalid::value("by", name, &known)))
    };
    text.split(',').map(place).collect()
}

fn sorted<'a>(asked: &'a Asked, name: &str) -> Result<Shown<'a>, ApiError> {
    let found = asked.spec.shows().find(|shown| shown.name() == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = asked.spec.shows().map(|shown| shown.name()).collect();
        Invalid::value("sort", name, &known).into()
    })
}

/// The rows that are asked for, added up by the columns at these places; and how many they are.
pub(super) fn merged(asked: &Asked, by: &[usize]) -> Result<(BTreeMap<Vec<Dim>, Merged>, usize), ApiError> {
    let rows = asked.rows(&asked.filter)?;
    let mut groups = BTreeMap::<Vec<Dim>, Merged>::new();
    for (key, row) in &rows {
        let group = by.iter().map(|at| key.group[*at]).collect();
        groups.entry(group).or_default().add(&asked.spec, row);
    }
    Ok((groups, rows.len()))
}

/// A row as it is shown: the columns it is grouped by, and what the view shows.
pub(super) fn row(asked: &Asked, by: &[usize], group: &[Dim], merged: &Merged) -> Result<Value, ApiError> {
    let lookup = asked.app.hub.lookup();
    let mut out = Map::new();
    for (at, dim) in by.iter().zip(group) {
        let name = asked.spec.group_by.get(*at).map_or("", |column| column.name());
        out.insert(name.to_owned(), lookup.name(*dim).as_deref().into());
    }
    for shown in asked.spec.shows() {
        let cell = CellJson::of(merged.cell(&asked.spec, shown), |key| Some(lookup.post_id(key)));
        let cell = serde_json::to_value(cell).map_err(|error| ApiError::internal(&error))?;
        out.insert(shown.name().to_owned(), cell);
    }
    Ok(Value::Object(out))
}
