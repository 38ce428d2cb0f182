//! `/api/v1/alerts`, `/api/v1/alerts/{id}` and `/api/v1/alerts/{id}/explain`.

use super::App;
use super::api::answers::{BadRequest, Guarded, NotFound, NotReady, Unread};
use super::api::params::{AlertColumns, Conditional, OfAlert, Paging};
use super::api::shapes::Alert;
use super::auth::Principal;
use super::error::ApiError;
use super::query::{Params, encode_cursor};
use super::reply::{Envelope, Metadata, conditional, envelope};
use super::views::tag;
use crate::hub::alerts::{AlertPlace, AlertRecord};
use crate::hub::filter::AlertFilter;
use crate::hub::render::AlertJson;
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use groundswell_core::time::Tick;
use std::sync::Arc;

const LISTING: &str = "alerts";

/// Alerts, the newest transition first.
#[utoipa::path(
    get,
    path = "/api/v1/alerts",
    tag = "alerts",
    operation_id = "get_alerts",
    params(AlertColumns, Paging, Conditional),
    responses(
        (status = 200, description = "A page of alerts.", body = Envelope<Vec<Alert>>),
        Unread, Guarded
    )
)]
pub async fn list(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let params = Params::parse(&uri, &["rule", "state", "view", "limit", "cursor"])?;
    let limit = params.limit()?;
    let mut filter = AlertFilter::default();
    for (name, value) in params.iter().filter(|(name, _)| AlertFilter::PARAMETERS.contains(name)) {
        filter.add(name, value)?;
    }
    let tenancy = who.tenancy(&app);
    if let Some(tenancy) = tenancy {
        tenancy.alerts(&app.hub, &mut filter);
    }
    let after: Option<AlertPlace> = params.cursor::<24>(LISTING)?.map(|bytes| {
        let (mut at, mut id) = ([0; 8], [0; 16]);
        at.copy_from_slice(&bytes[..8]);
        id.copy_from_slice(&bytes[8..]);
        (u64::from_le_bytes(at), u128::from_le_bytes(id))
    });
    app.require_served()?;
    let (at, version, alerts) = app.hub.alerts();
    conditional(&headers, &tag(&app, version, tenancy), || {
        let place = |a: &AlertRecord| (a.latest.at, a.latest.id);
        let matching: Vec<&Arc<AlertRecord>> = alerts.iter().filter(|a| filter.alert(&a.latest)).collect();
        let rest = matching.iter().filter(|a| after.is_none_or(|after| place(a) < after));
        let mut page: Vec<&Arc<AlertRecord>> = rest.take(limit + 1).copied().collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next_cursor = page.last().filter(|_| more).map(|a| {
            let (at, id) = place(a);
            encode_cursor(LISTING, &[&at.to_le_bytes()[..], &id.to_le_bytes()].concat())
        });
        let data: Vec<AlertJson> = page
            .iter()
            .map(|a| AlertJson {
                lookup: app.hub.lookup(),
                spec: app.hub.spec(&a.latest.view),
                change: &a.latest,
                record: None,
                posts: None,
            })
            .collect();
        envelope(
            &data,
            Metadata {
                total: Some(matching.len()),
                limit: Some(limit),
                next_cursor,
                at,
            },
        )
    })
}

type Id = Result<Path<String>, PathRejection>;

/// One alert with its history.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/{id}",
    tag = "alerts",
    operation_id = "get_alerts_id",
    params(OfAlert, Conditional),
    responses(
        (status = 200, description = "The alert.", body = Envelope<Alert>),
        NotFound, Unread, Guarded
    )
)]
pub async fn one(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    id: Id,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (at, record) = find(&app, &who, id, &uri)?;
    conditional(&headers, &app.hub.tag(record.latest.at), || {
        answer(&app, at, &record, false)
    })
}

/// One alert with the posts that carry it and what their influence is computed from.
///
/// Evidence is of the tick of the alert's latest transition, also after a restart. A post's influence is
/// leave-one-out: with whole numbers w, x, W, S (exact.weight, exact.sentiment, sums.weight,
/// sums.weighted_sentiment) it is w(xW - S) / (W(W - w)) rounded towards zero, in ppm, or S/W where W = w:
/// exact.influence. sums are over all scored posts of the window that fired. text, votes, created_at and live are
/// of metadata.at.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/{id}/explain",
    tag = "alerts",
    operation_id = "get_alerts_id_explain",
    params(OfAlert),
    responses(
        (status = 200, description = "The alert; each piece of evidence with its post's text, votes and whether it is still live.", body = Envelope<Alert>),
        NotFound, BadRequest, NotReady, Guarded
    )
)]
pub async fn explain(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    id: Id,
    uri: Uri,
) -> Result<Response, ApiError> {
    let (at, record) = find(&app, &who, id, &uri)?;
    answer(&app, at, &record, true)
}

fn find(app: &App, who: &Principal, id: Id, uri: &Uri) -> Result<(Tick, Arc<AlertRecord>), ApiError> {
    let Path(id) = id.map_err(|error| ApiError::not_found(error.body_text()))?;
    Params::parse(uri, &[])?;
    app.require_served()?;
    let parsed = (id.len() == 32).then(|| u128::from_str_radix(&id, 16).ok()).flatten();
    let (at, found) = parsed.map_or((0, None), |id| app.hub.alert(id));
    let tenancy = who.tenancy(app);
    let found = found.filter(|alert| tenancy.is_none_or(|t| t.owns_alert(&app.hub, &alert.latest)));
    let record = found.ok_or_else(|| ApiError::not_found("There is no alert with this id among those kept"))?;
    Ok((at, record))
}

fn answer(app: &App, at: Tick, record: &AlertRecord, explain: bool) -> Result<Response, ApiError> {
    let posts = explain.then(|| app.hub.posts_by_key(record.latest.evidence.iter().map(|e| e.post)));
    let alert = AlertJson {
        lookup: app.hub.lookup(),
        spec: app.hub.spec(&record.latest.view),
        change: &record.latest,
        record: Some(record),
        posts: posts.as_deref(),
    };
    envelope(
        &alert,
        Metadata {
            at,
            ..Metadata::default()
        },
    )
}
