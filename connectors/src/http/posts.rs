//! `/api/v1/posts` and `/api/v1/posts/{id}`.

use super::App;
use super::api::answers::{Guarded, NotFound, Unread};
use super::api::params::{Conditional, Paging, PostColumns};
use super::api::shapes::Post;
use super::auth::{Principal, forbidden};
use super::error::ApiError;
use super::query::{Params, encode_cursor};
use super::reply::{Envelope, Metadata, conditional, envelope};
use super::views::tag;
use crate::hub::filter::Filter;
use crate::hub::posts::Entry;
use crate::hub::render::{PostJson, post_key};
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use groundswell_core::id::PostKey;
use groundswell_core::spec::GroupColumn;

const LISTING: &str = "posts";
/// Columns a post has whatever the views group by.
const COLUMNS: [GroupColumn; 4] = [
    GroupColumn::Thread,
    GroupColumn::Entity,
    GroupColumn::Source,
    GroupColumn::Author,
];

/// Where rows about few are withheld, so are single posts.
///
/// # Errors
/// 403 there.
pub(super) fn may_be_seen(app: &App) -> Result<(), ApiError> {
    match app.hub.withholds() {
        false => Ok(()),
        true => Err(forbidden("Single posts are withheld here: serve.k_anonymity is set")),
    }
}

/// The newest live posts.
#[utoipa::path(
    get,
    path = "/api/v1/posts",
    tag = "posts",
    operation_id = "get_posts",
    params(PostColumns, Paging, Conditional),
    responses(
        (status = 200, description = "A page of posts, newest first.", body = Envelope<Vec<Post>>),
        Unread, Guarded
    )
)]
pub async fn list(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    may_be_seen(&app)?;
    let params = Params::parse(&uri, &["thread", "entity", "source", "author", "limit", "cursor"])?;
    let limit = params.limit()?;
    let filter = filter(&params)?;
    let after = params.cursor::<24>(LISTING)?.map(|bytes| {
        let (mut sort, mut key) = ([0; 8], [0; 16]);
        sort.copy_from_slice(&bytes[..8]);
        key.copy_from_slice(&bytes[8..]);
        (i64::from_le_bytes(sort), PostKey(u128::from_le_bytes(key)))
    });
    app.require_served()?;
    let tenancy = who.tenancy(&app);
    let wanted = |entry: &Entry| filter.post(&entry.post) && tenancy.is_none_or(|t| t.owns_post(&entry.post));
    let (at, version, posts, next) = app.hub.newest_posts(after, limit, wanted);
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
        let total = (tenancy.is_none() && filter.is_empty()).then(|| app.hub.post_count());
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

/// Which posts are asked for: several values of one column are alternatives, an empty one asks for posts without a value.
fn filter(params: &Params) -> Result<Filter, ApiError> {
    let mut filter = Filter::default();
    for (name, value) in params.iter().filter(|(name, _)| !matches!(*name, "limit" | "cursor")) {
        filter.column(&COLUMNS, name, Some(value).filter(|v| !v.is_empty()))?;
    }
    Ok(filter)
}

/// One live post.
#[utoipa::path(
    get,
    path = "/api/v1/posts/{id}",
    tag = "posts",
    operation_id = "get_posts_id",
    params(("id" = String, Path, description = "The post's id in its source's naming, percent-encoded."), Conditional),
    responses(
        (status = 200, description = "The post.", body = Envelope<Post>),
        NotFound, Unread, Guarded
    )
)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::testing::{ENTITIES, THREADS, post};

    fn takes(query: &str) -> bool {
        let uri: Uri = format!("/api/v1/posts?{query}").parse().expect("uri");
        let params = Params::parse(&uri, &["thread", "entity", "author", "limit"]).expect("known");
        filter(&params).expect("valid").post(&post(1))
    }

    #[test]
    fn posts_are_asked_for_by_their_columns() {
        let (thread, entity) = (THREADS[0], ENTITIES[0]);
        assert!(takes("limit=5") && takes(&format!("thread={thread}&entity={entity}&entity=other")));
        assert!(takes("author="), "a post without an author");
        assert!(!takes("entity=other") && !takes("author=a") && !takes("thread="));
    }
}
