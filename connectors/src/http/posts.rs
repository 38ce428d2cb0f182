//! `/api/v1/posts` and `/api/v1/posts/{id}`.

use super::App;
use super::auth::{Principal, forbidden};
use super::error::ApiError;
use super::query::{Params, encode_cursor};
use super::reply::{Metadata, conditional, envelope};
use super::views::tag;
use crate::hub::posts::Entry;
use crate::hub::render::{PostJson, post_key};
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use groundswell_core::id::PostKey;

const LISTING: &str = "posts";

/// Where rows about few are withheld, so are single posts.
fn may_be_seen(app: &App) -> Result<(), ApiError> {
    match app.hub.withholds() {
        false => Ok(()),
        true => Err(forbidden("Single posts are withheld here: serve.k_anonymity is set")),
    }
}

/// The newest posts.
pub async fn list(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    may_be_seen(&app)?;
    let params = Params::parse(&uri, &["limit", "cursor"])?;
    let limit = params.limit()?;
    let after = params.cursor::<24>(LISTING)?.map(|bytes| {
        let (mut sort, mut key) = ([0; 8], [0; 16]);
        sort.copy_from_slice(&bytes[..8]);
        key.copy_from_slice(&bytes[8..]);
        (i64::from_le_bytes(sort), PostKey(u128::from_le_bytes(key)))
    });
    app.require_served()?;
    let tenancy = who.tenancy(&app);
    let own = |entry: &Entry| tenancy.is_none_or(|t| t.owns_post(&entry.post));
    let (at, version, posts, next) = app.hub.newest_posts(after, limit, own);
    conditional(&headers, &tag(&app, version, tenancy), || {
        let next_cursor =
            next.map(|(sort, key)| encode_cursor(LISTING, &[&sort.to_le_bytes()[..], &key.0.to_le_bytes()].concat()));
        let lookup = app.hub.lookup();
        let data: Vec<PostJson> = posts
            .iter()
            .map(|(key, entry)| PostJson {
                lookup,
                id: lookup.post_id(*key),
                entry,
            })
            .collect();
        let total = tenancy.is_none().then(|| app.hub.post_count());
        envelope(
            &data,
            Metadata {
                total,
                limit: Some(limit),
                next_cursor,
                at,
            },
        )
    })
}

/// One post.
pub async fn one(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::not_found(error.body_text()))?;
    may_be_seen(&app)?;
    Params::parse(&uri, &[])?;
    app.require_served()?;
    let tenancy = who.tenancy(&app);
    let (at, found) = app.hub.post(post_key(&id));
    let found = found.filter(|entry| tenancy.is_none_or(|t| t.owns_post(&entry.post)));
    let entry = found.ok_or_else(|| {
        ApiError::not_found(
            "There is no live post with this id: it never came, it was deleted, or it is older than the posts kept",
        )
    })?;
    conditional(&headers, &app.hub.tag(entry.updated), || {
        let post = PostJson {
            lookup: app.hub.lookup(),
            id: id.into(),
            entry: &entry,
        };
        envelope(
            &post,
            Metadata {
                at,
                ..Metadata::default()
            },
        )
    })
}
