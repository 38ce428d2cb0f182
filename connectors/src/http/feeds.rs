//! Feeds of posts, and what was done with them: `/api/v1/posts/feed/`, `/api/v1/posts/user/{user}`, `…/likes` and `…/reposts`.
//!
//! In: who reads, in which order, whom they mute. Out: pages of posts with their numbers. A feed newest first goes on after its
//! last post. One in another order is put into order once, when its first page is asked for; the pages after it are cut from
//! that, so that no post is on two pages however much changes meanwhile, and a page is the same when it is asked for again,
//! less the posts that are gone. State: none here; the orders are in [`Lists`](crate::hub::feeds::lists::Lists).

mod question;
pub(super) mod shapes;

use super::App;
use super::api::answers::{BadRequest, ErrorBody, Guarded, NotFound, NotReady};
use super::auth::Principal;
use super::error::ApiError;
use super::posts::may_be_seen;
use super::query::{MAX_LIMIT, Params, encode_cursor};
use super::reply::{Envelope, Metadata, envelope, json, uncached};
use crate::hub::feeds::Feeds;
use crate::hub::feeds::lists::{List, name};
use crate::hub::feeds::rank::{Algorithm, Candidate, FeedOptions, Parts, ordered};
use crate::hub::filter::Invalid;
use crate::hub::posts::{PostPlace, Posts};
use crate::hub::render::{self, post_key};
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use groundswell_core::id::{Dim, PostKey};
use groundswell_core::tie::TieKind;
use groundswell_core::time::{EventTime, Tick};
use question::{OfPost, OfUser, Question, Reading};
use shapes::{Done, FeedPage, FeedPost, Passed, Shown};
use std::sync::Arc;

/// Posts in a page unless the client says otherwise.
const PAGE: usize = 20;
const LIKES: &str = "likes";
const REPOSTS: &str = "reposts";

fn options(app: &App) -> Result<&FeedOptions, ApiError> {
    app.hub.feed_options().ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "NOT_CONFIGURED",
            "This route is not served: the pipeline has no serve.routes.feeds",
        )
    })
}

fn limit(params: &Params) -> Result<usize, ApiError> {
    match params.one("limit")? {
        None => Ok(PAGE),
        Some(_) => params.limit(),
    }
}

/// A feed.
#[utoipa::path(
    get,
    path = "/api/v1/posts/feed/",
    tag = "feeds",
    operation_id = "get_posts_feed",
    params(Reading),
    responses(
        (status = 200, description = "A page of a feed.", body = FeedPage),
        (status = 410, description = "The order that the cursor goes on in is not kept any more: begin again.", body = ErrorBody),
        BadRequest, NotFound, NotReady, Guarded
    )
)]
pub async fn feed(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
) -> Result<Response, ApiError> {
    options(&app)?;
    may_be_seen(&app)?;
    let params = Params::parse(&uri, &question::NAMES)?;
    let question = Question::parse(&params, who.tenancy(&app))?;
    let limit = limit(&params)?;
    app.require_served()?;
    // Thousands of posts are looked at: not on the threads that serve everybody else.
    let page = tokio::task::spawn_blocking(move || match question.algorithm {
        Algorithm::Chronological => newest(&app, &question, &params, limit),
        _ => in_order(&app, &question, &params, limit),
    });
    uncached(page.await.map_err(|error| ApiError::internal(&error))?)
}

fn place_bytes((sort, key): PostPlace) -> Vec<u8> {
    [&sort.to_le_bytes()[..], &{ key.0 }.to_le_bytes()].concat()
}

fn place(bytes: &[u8; 24]) -> PostPlace {
    let (mut sort, mut key) = ([0; 8], [0; 16]);
    sort.copy_from_slice(&bytes[..8]);
    key.copy_from_slice(&bytes[8..]);
    (i64::from_le_bytes(sort), PostKey(u128::from_le_bytes(key)))
}

/// What a page is made of, read at one tick.
struct Page {
    posts: Vec<Shown>,
    next_cursor: Option<String>,
    tick: Tick,
    as_of: EventTime,
}

impl Page {
    fn answer(self, app: &App, algorithm: Algorithm, limit: usize) -> Result<Response, ApiError> {
        let lookup = app.hub.lookup();
        let posts = self.posts.into_iter().map(|post| FeedPost::of(lookup, post)).collect();
        json(
            StatusCode::OK,
            &FeedPage::new(posts, algorithm, (limit, self.next_cursor), (self.tick, self.as_of)),
        )
    }
}

fn newest(app: &App, question: &Question, params: &Params, limit: usize) -> Result<Response, ApiError> {
    let listing = question.listing();
    let after = params.cursor::<24>(&listing)?.map(|bytes| place(&bytes));
    let page = app.hub.read_ties(|ties, posts, tick, clock| {
        let wanted = |key, entry: &_| question.wants(ties, key, entry);
        let (keys, next) = ties.newest(&question.scope, posts, after, limit, wanted);
        Page {
            posts: keys
                .into_iter()
                .filter_map(|key| Shown::of(ties, posts, key, question.user, None))
                .collect(),
            next_cursor: next.map(|next| encode_cursor(&listing, &place_bytes(next))),
            tick,
            as_of: clock,
        }
    });
    let page = page.ok_or_else(|| ApiError::internal(&"no feeds"))?;
    page.answer(app, question.algorithm, limit)
}

/// The candidates in order, as of now.
fn list(question: &Question, options: &FeedOptions, ties: &Feeds, posts: &Posts, tick: Tick, at: EventTime) -> List {
    let wanted = |key, entry: &_| question.wants(ties, key, entry);
    let mut keys = ties.newest(&question.scope, posts, None, options.newest, wanted).0;
    keys.extend(ties.most_engaged(&question.scope, posts, options.engaged, wanted));
    let candidates: Vec<Candidate> = keys
        .iter()
        .filter_map(|key| {
            let entry = posts.get(*key)?;
            Some(Candidate {
                place: (entry.sort, *key),
                created_at: entry.post.created_at,
                engagement: ties.numbers(*key).score(),
                bond: question.user.map_or(0, |user| ties.bond(user, entry.post.author)),
                score: entry.post.score.as_ref(),
            })
        })
        .collect();
    let ordered = ordered(&candidates, question.algorithm, at, options).into_iter();
    List {
        tick,
        at,
        posts: ordered
            .take(options.longest)
            .map(|((_, key), parts)| (key, parts))
            .collect(),
    }
}

fn in_order(app: &App, question: &Question, params: &Params, limit: usize) -> Result<Response, ApiError> {
    let (listing, options) = (question.listing(), options(app)?);
    let (id, list, from) = match params.cursor::<12>(&listing)? {
        Some(bytes) => {
            let (mut id, mut from) = ([0; 8], [0; 4]);
            id.copy_from_slice(&bytes[..8]);
            from.copy_from_slice(&bytes[8..]);
            let (id, from) = (u64::from_le_bytes(id), u32::from_le_bytes(from));
            let list = app.hub.lists().get(id).ok_or_else(|| {
                let message =
                    "The order that this cursor goes on in is not kept any more: begin again without a cursor";
                ApiError::new(StatusCode::GONE, "CURSOR_EXPIRED", message)
            })?;
            (id, list, usize::try_from(from).unwrap_or(usize::MAX))
        }
        None => {
            let made = app.hub.read_ties(|ties, posts, tick, clock| {
                let id = name(&listing, tick);
                let known = app.hub.lists().get(id);
                let list = known.unwrap_or_else(|| Arc::new(list(question, options, ties, posts, tick, clock)));
                (id, list)
            });
            let (id, list) = made.ok_or_else(|| ApiError::internal(&"no feeds"))?;
            if list.posts.len() > limit {
                app.hub.lists().put(id, Arc::clone(&list));
            }
            (id, list, 0)
        }
    };
    let (posts, next) = app
        .hub
        .read_ties(|ties, posts, _, _| {
            let (mut page, mut at) = (Vec::new(), from);
            let parts = |parts: Parts| (question.algorithm == Algorithm::Ranked).then_some(parts);
            for (key, own) in list.posts.get(from..).unwrap_or_default() {
                if page.len() == limit {
                    break;
                }
                at += 1;
                page.extend(Shown::of(ties, posts, *key, question.user, parts(*own)));
            }
            (page, at)
        })
        .ok_or_else(|| ApiError::internal(&"no feeds"))?;
    let next = u32::try_from(next).ok().filter(|_| next < list.posts.len());
    let page = Page {
        posts,
        next_cursor: next.map(|n| encode_cursor(&listing, &[&id.to_le_bytes()[..], &n.to_le_bytes()].concat())),
        tick: list.tick,
        as_of: list.at,
    };
    page.answer(app, question.algorithm, limit)
}

/// A user's posts, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/posts/user/{user_id}",
    tag = "feeds",
    operation_id = "get_posts_user",
    params(("user_id" = String, Path, description = "The author."), OfUser),
    responses(
        (status = 200, description = "A page of the user's posts.", body = FeedPage),
        BadRequest, NotFound, NotReady, Guarded
    )
)]
pub async fn of_user(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    user: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, ApiError> {
    options(&app)?;
    may_be_seen(&app)?;
    let Path(user) = user.map_err(|error| ApiError::not_found(error.body_text()))?;
    let params = Params::parse(&uri, &["replies", "flagged", "limit", "cursor"])?;
    let question = Question::of_author(&params, &user, who.tenancy(&app))?;
    let limit = limit(&params)?;
    app.require_served()?;
    let page = tokio::task::spawn_blocking(move || newest(&app, &question, &params, limit));
    uncached(page.await.map_err(|error| ApiError::internal(&error))?)
}

/// Whether the post is there for whoever asks.
fn require_post(app: &App, who: &Principal, id: &str) -> Result<PostKey, ApiError> {
    let key = post_key(id);
    let tenancy = who.tenancy(app);
    let found = app.hub.post(key).1;
    match found.filter(|entry| tenancy.is_none_or(|t| t.owns_post(&entry.post))) {
        Some(_) => Ok(key),
        None => Err(ApiError::not_found(
            "There is no live post with this id: it never came, it was deleted, or it is older than the posts kept",
        )),
    }
}

fn cursor_of(params: &Params, listing: &str) -> Result<Option<(EventTime, u128)>, ApiError> {
    let after = params.cursor::<24>(listing)?.map(|bytes| place(&bytes));
    Ok(after.map(|(at, key)| (at, key.0)))
}

#[allow(clippy::cast_possible_truncation)] // compared first
fn as_dim(n: u128) -> Dim {
    Dim(n.min(u128::from(u64::MAX)) as u64)
}

/// Who likes a post, the latest first.
#[utoipa::path(
    get,
    path = "/api/v1/posts/{post_id}/likes",
    tag = "feeds",
    operation_id = "get_posts_likes",
    params(("post_id" = String, Path, description = "The post's id in its source's naming, percent-encoded."), OfPost),
    responses(
        (status = 200, description = "A page of those who like it.", body = Envelope<Vec<Done>>),
        BadRequest, NotFound, NotReady, Guarded
    )
)]
pub async fn likes(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, ApiError> {
    options(&app)?;
    may_be_seen(&app)?;
    let Path(id) = id.map_err(|error| ApiError::not_found(error.body_text()))?;
    let params = Params::parse(&uri, &["limit", "cursor"])?;
    let (limit, listing) = (limit(&params)?, format!("{LIKES} {id}"));
    let after = cursor_of(&params, &listing)?;
    app.require_served()?;
    let key = require_post(&app, &who, &id)?;
    let after = after.map(|(at, n)| (at, as_dim(n)));
    let read = app
        .hub
        .read_ties(|ties, _, tick, _| (ties.who(key, TieKind::Like, after, limit + 1), tick));
    let ((mut page, total), at) = read.ok_or_else(|| ApiError::internal(&"no feeds"))?;
    let more = page.len() > limit;
    page.truncate(limit);
    let last = page.last().filter(|_| more);
    let next_cursor = last.map(|(at, user)| encode_cursor(&listing, &place_bytes((*at, PostKey(u128::from(user.0))))));
    let lookup = app.hub.lookup();
    let done: Vec<Done> = page
        .iter()
        .map(|(at, user)| Done {
            user: lookup.name(*user).map(|name| name.to_string()),
            at: render::time(*at),
        })
        .collect();
    uncached(envelope(
        done,
        Metadata {
            total: Some(total),
            limit: Some(limit),
            next_cursor,
            at,
        },
    ))
}

/// Who passed a post on, the latest first: with a post of their own or without one.
#[utoipa::path(
    get,
    path = "/api/v1/posts/{post_id}/reposts",
    tag = "feeds",
    operation_id = "get_posts_reposts",
    params(("post_id" = String, Path, description = "The post's id in its source's naming, percent-encoded."), OfPost),
    responses(
        (status = 200, description = "A page of those who passed it on.", body = Envelope<Vec<Passed>>),
        BadRequest, NotFound, NotReady, Guarded
    )
)]
pub async fn reposts(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, ApiError> {
    options(&app)?;
    may_be_seen(&app)?;
    let Path(id) = id.map_err(|error| ApiError::not_found(error.body_text()))?;
    let params = Params::parse(&uri, &["limit", "cursor"])?;
    let (limit, listing) = (limit(&params)?, format!("{REPOSTS} {id}"));
    let after = cursor_of(&params, &listing)?;
    app.require_served()?;
    let key = require_post(&app, &who, &id)?;
    let read = app.hub.read_ties(|ties, posts, tick, _| {
        let without = ties.who(key, TieKind::Repost, after.map(|(at, n)| (at, as_dim(n))), limit + 1);
        let with = ties.hanging(key, true, after.map(|(at, n)| (at, PostKey(n))), limit + 1);
        let mut all: Vec<(EventTime, u128, Dim, Option<PostKey>)> = without
            .0
            .into_iter()
            .map(|(at, user)| (at, u128::from(user.0), user, None))
            .collect();
        let author = |post: PostKey| posts.get(post).map_or(Dim::NONE, |entry| entry.post.author);
        all.extend(
            with.into_iter()
                .map(|(at, post)| (at, post.0, author(post), Some(post))),
        );
        all.sort_unstable_by_key(|(at, id, ..)| std::cmp::Reverse((*at, *id)));
        (all, usize::try_from(ties.numbers(key).reposts).unwrap_or(0), tick)
    });
    let (mut page, total, at) = read.ok_or_else(|| ApiError::internal(&"no feeds"))?;
    let more = page.len() > limit;
    page.truncate(limit);
    let last = page.last().filter(|_| more);
    let next_cursor = last.map(|(at, id, ..)| encode_cursor(&listing, &place_bytes((*at, PostKey(*id)))));
    let lookup = app.hub.lookup();
    let passed: Vec<Passed> = page
        .iter()
        .map(|(at, _, user, post)| Passed {
            user: lookup.name(*user).map(|name| name.to_string()),
            post_id: post.map(|post| lookup.post_id(post).to_string()),
            at: render::time(*at),
        })
        .collect();
    uncached(envelope(
        passed,
        Metadata {
            total: Some(total),
            limit: Some(limit),
            next_cursor,
            at,
        },
    ))
}

/// A word that is one of some.
fn one_of<T: Copy>(params: &Params, name: &str, words: &[(&'static str, T)], default: T) -> Result<T, ApiError> {
    let Some(given) = params.one(name)? else {
        return Ok(default);
    };
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let found = words.iter().find(|(word, _)| *word == given).map(|(_, value)| *value);
    found.ok_or_else(|| Invalid::value(name, given, &known).into())
}

const _: () = assert!(PAGE <= MAX_LIMIT);
