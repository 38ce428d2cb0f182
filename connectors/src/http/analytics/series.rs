//! A column over time: with growth, a moving average and a forecast, in at most as many points as a chart can show.

use super::{Analysis, answer, whole};
use crate::http::App;
use crate::http::api::answers::{Guarded, NotFound, Unread};
use crate::http::api::params::{Conditional, Groups, InView, Windows};
use crate::http::auth::Principal;
use crate::http::error::ApiError;
use crate::hub::analytics::{Merged, growth, largest_triangles, moving_average};
use crate::hub::render;
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use groundswell_core::spec::WindowSpec;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most points of a series, and as many as there are without a wish.
const POINTS: usize = 1_000;

/// A column of a view over time.
///
/// Of a view with windows side by side; all rows of a window are added up. growth is what the value has grown by since
/// the window before, in percent; average the mean of the last so many windows, and metadata.forecast its last value. A
/// window in which nobody posted has no point. Of more points than asked for (1,000 at most) those stay that a line needs
/// to look the same (LTTB).
#[utoipa::path(
    get,
    path = "/api/analytics/{view}/series",
    tag = "analytics",
    operation_id = "get_analytics_series",
    params(InView, ("column" = Option<String>, Query, description = "A column of numbers; the first formula if not said."),
        ("average" = Option<u32>, Query, description = "Windows of the moving average; 7.", minimum = 1, maximum = 1000),
        ("points" = Option<u32>, Query, description = "Most points.", minimum = 3, maximum = 1000),
        ("days" = Option<u32>, Query, description = "How far back.", minimum = 1, maximum = 3650), Groups, Windows, Conditional),
    responses((status = 200, description = "Points.", body = Analysis), NotFound, Unread, Guarded)
)]
pub async fn series(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let own = ["column", "average", "points"];
    answer(app, &who, name, (uri, headers), &own, |asked| {
        let WindowSpec::Tumble { size } = asked.spec.window else {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "NO_SERIES",
                "A series is made of windows side by side, and this view has others",
            ));
        };
        let column = asked.column("column")?;
        let average = whole(&asked.params, "average", 1, 1_000)?.unwrap_or(7);
        let points = whole(&asked.params, "points", 3, POINTS)?.unwrap_or(POINTS);
        let rows = asked.rows(&asked.filter)?;
        let mut windows = BTreeMap::<i64, Merged>::new();
        for (key, row) in &rows {
            windows.entry(key.start).or_default().add(&asked.spec, row);
        }
        let value = |start: i64| {
            windows
                .get(&start)
                .and_then(|merged| merged.number(&asked.spec, column))
        };
        let (first, last) = windows.keys().next().zip(windows.keys().next_back()).unzip();
        let (first, last) = (first.copied().unwrap_or(0), last.copied().unwrap_or(-1));
        // A window without posts is a place in the average, but no point.
        let places = usize::try_from((last - first).div_euclid(size) + 1).unwrap_or(0);
        if places > super::MOST {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "RANGE_TOO_LARGE",
                "There are too many windows: ask for less at once",
            ));
        }
        let starts: Vec<i64> = (0..places)
            .zip((first..).step_by(usize::try_from(size).unwrap_or(1)))
            .map(|(_, at)| at)
            .collect();
        let values: Vec<Option<f64>> = starts.iter().map(|start| value(*start)).collect();
        let averages = moving_average(&values, average);
        let known: Vec<usize> = (0..places).filter(|at| values[*at].is_some()).collect();
        #[allow(clippy::cast_precision_loss)] // places of a list
        let line: Vec<(f64, f64)> = known
            .iter()
            .map(|at| (*at as f64, values[*at].unwrap_or_default()))
            .collect();
        let data: Vec<Value> = largest_triangles(&line, points)
            .into_iter()
            .map(|chosen| {
                let at = known[chosen];
                let before = at.checked_sub(1).and_then(|before| values[before]);
                serde_json::json!({
                    "time": render::time(starts[at]), "value": values[at], "average": averages[at],
                    "growth": growth(before, values[at]),
                })
            })
            .collect();
        let more: Map<String, Value> = [
            ("column", column.name().into()),
            ("windows", known.len().into()),
            ("points", data.len().into()),
            ("forecast", averages.last().copied().flatten().into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
        Ok((Value::Array(data), rows.len(), more))
    })
    .await
}
