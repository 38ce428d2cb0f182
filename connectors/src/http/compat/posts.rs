//! `/api/posts` and `/api/posts/{id}`: the newest posts with what the live model says of them.
//!
//! `id` is the post's digest as a UUID, `post_id` the id it came with; either finds it.

use super::{routes, tenancy};
use crate::http::App;
use crate::http::api::answers::{Guarded, NotFound, Unread};
use crate::http::api::params::{Between, Conditional, FirstPosts};
use crate::http::api::shapes::{Answer, FirstPost};
use crate::http::auth::Principal;
use crate::http::error::ApiError;
use crate::http::posts::may_be_seen;
use crate::http::query::{MAX_LIMIT, Params};
use crate::http::reply::{conditional, json};
use crate::http::views::tag;
use crate::hub::filter::{Filter, Invalid, parse_time};
use crate::hub::posts::Entry;
use crate::hub::render::{self, Lookup, post_key};
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use groundswell_core::id::PostKey;
use groundswell_core::score::{EMOTIONS, Label, Score};
use groundswell_core::spec::GroupColumn;
use groundswell_core::time::EventTime;
use serde_json::{Value, json};

/// Posts in a page unless the client says otherwise.
const PAGE: usize = 20;
/// Furthest place in the listing; a cursor (`/api/v1/posts`) goes on from there.
const FURTHEST: usize = 10_000;
/// Times that twenty thousand posts are looked through for those wanted.
const ROUNDS: usize = 10;

/// Most probable class with its probability, and the emotion.
fn said(score: Option<&Score>) -> (Option<&'static str>, Option<f64>, Option<&'static str>) {
    let Some(score) = score else {
        return (None, None, None);
    };
    let p = match score.label() {
        Label::Positive => score.positive,
        Label::Neutral => score.neutral,
        Label::Negative => score.negative,
    };
    let emotion = EMOTIONS.get(usize::from(score.emotion)).copied();
    (Some(score.label().name()), Some(f64::from(p) / 1e6), emotion)
}

/// A post as the route shows it.
fn post(lookup: &Lookup, key: PostKey, entry: &Entry) -> Value {
    let (label, confidence, emotion) = said(entry.post.score.as_ref());
    json!({
        "id": uuid(key),
        "post_id": lookup.post_id(key),
        "source": lookup.name(entry.post.source),
        "content": lookup.text(entry),
        "author": lookup.name(entry.post.author),
        "created_at": render::time(entry.post.created_at),
        "sentiment_label": label,
        "confidence_score": confidence,
        "emotion": emotion,
        "updated_at": render::tick_time(entry.updated),
    })
}

/// A post as the frame `new_post` shows it.
pub(super) fn frame(lookup: &Lookup, key: PostKey, entry: &Entry) -> Value {
    let (label, confidence, emotion) = said(entry.post.score.as_ref());
    json!({
        "id": uuid(key),
        "post_id": lookup.post_id(key),
        "content": lookup.text(entry),
        "sentiment": label,
        "confidence": confidence,
        "emotion": emotion,
        "timestamp": render::time(entry.post.created_at),
    })
}

/// A digest in the form of a UUID.
fn uuid(key: PostKey) -> String {
    let PostKey(digest) = key;
    let hex = format!("{digest:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| hex.get(part).unwrap_or_default());
    parts.join("-")
}

fn of_uuid(text: &str) -> Option<PostKey> {
    let hex: String = text.split('-').collect();
    let lengths = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    u128::from_str_radix(&hex, 16).ok().filter(|_| lengths).map(PostKey)
}

const COLUMNS: [(&str, GroupColumn); 5] = [
    ("source", GroupColumn::Source),
    ("author", GroupColumn::Author),
    ("thread", GroupColumn::Thread),
    ("sentiment", GroupColumn::Label),
    ("emotion", GroupColumn::Emotion),
];

struct Wanted {
    filter: Filter,
    since: Option<EventTime>,
    until: Option<EventTime>,
}

impl Wanted {
    fn parse(params: &Params) -> Result<Self, ApiError> {
        let mut filter = Filter::default();
        for (name, column) in COLUMNS {
            let Some(value) = params.one(name)? else { continue };
            let words: Vec<&str> = match column {
                GroupColumn::Label => Label::ALL.map(Label::name).to_vec(),
                GroupColumn::Emotion => EMOTIONS.to_vec(),
                _ => Vec::new(),
            };
            if !words.is_empty() && !words.contains(&value) {
                return Err(Invalid::value(name, value, &words).into());
            }
            filter.column(&GroupColumn::OF_POSTS, column.name(), Some(value))?;
        }
        let time = |name| -> Result<Option<EventTime>, ApiError> {
            let Some(text) = params.one(name)? else { return Ok(None) };
            let allowed = ["RFC 3339, such as 2026-01-31T12:00:00Z", "epoch milliseconds"];
            Ok(Some(
                parse_time(text).ok_or_else(|| Invalid::value(name, text, &allowed))?,
            ))
        };
        let (since, until) = (time("start")?, time("end")?);
        Ok(Wanted { filter, since, until })
    }

    fn is_all(&self) -> bool {
        self.filter.is_empty() && self.since.is_none() && self.until.is_none()
    }

    fn post(&self, entry: &Entry) -> bool {
        let at = entry.post.created_at;
        self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
            && self.filter.post(&entry.post)
    }
}

/// The newest posts with what the live model says of them.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else. Filters hold together. At most some two
/// hundred thousand posts are looked through for those wanted. total is null where there is a filter.
#[utoipa::path(
    get,
    path = "/api/posts",
    tag = "first systems",
    operation_id = "get_first_posts",
    params(FirstPosts, Between, Conditional),
    responses(
        (status = 200, description = "The answer, in the shape of the first systems.", body = Answer<Vec<FirstPost>>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    routes(&app)?;
    may_be_seen(&app)?;
    let mut names: Vec<&str> = COLUMNS.map(|(name, _)| name).to_vec();
    names.extend(["start", "end", "limit", "offset"]);
    let params = Params::parse(&uri, &names)?;
    let limit = super::number(&params, "limit", PAGE, 1, MAX_LIMIT)?;
    let offset = super::number(&params, "offset", 0, 0, FURTHEST)?;
    let wanted = Wanted::parse(&params)?;
    app.require_served()?;
    let tenancy = tenancy(&app, &who);
    // A rare post is looked for among many: not on the threads that serve everybody else.
    let found = tokio::task::spawn_blocking(move || {
        let takes = |entry: &Entry| wanted.post(entry) && tenancy.is_none_or(|t| t.owns_post(&entry.post));
        let (at, version, mut posts, mut next) = app.hub.newest_posts(None, offset + limit, takes);
        for _ in 1..ROUNDS {
            if posts.len() >= offset + limit || next.is_none() {
                break;
            }
            let (_, _, more, then) = app.hub.newest_posts(next, offset + limit - posts.len(), takes);
            posts.extend(more);
            next = then;
        }
        let total = (wanted.is_all() && tenancy.is_none()).then(|| app.hub.post_count());
        conditional(&headers, &tag(&app, version, tenancy), || {
            let lookup = app.hub.lookup();
            let page = posts.iter().skip(offset).take(limit);
            let data: Vec<Value> = page.map(|(key, entry)| post(lookup, *key, entry)).collect();
            let metadata = json!({ "total": total, "limit": limit, "offset": offset, "at": at });
            json_of(&json!({ "data": data, "metadata": metadata }))
        })
    });
    found.await.map_err(|error| ApiError::internal(&error))?
}

fn json_of(value: &Value) -> Result<Response, ApiError> {
    json(StatusCode::OK, value)
}

/// A post.
///
/// Served where serve.routes names views for it; 404 NOT_CONFIGURED else.
#[utoipa::path(
    get,
    path = "/api/posts/{id}",
    tag = "first systems",
    operation_id = "get_first_posts_id",
    params(("id" = String, Path, description = "The UUID of the listing, or the post's own id."), Conditional),
    responses(
        (status = 200, description = "The answer, in the shape of the first systems.", body = Answer<FirstPost>),
        NotFound, Unread, Guarded
    )
)]
pub(in crate::http) async fn one(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    routes(&app)?;
    may_be_seen(&app)?;
    let Path(id) = id.map_err(|error| ApiError::not_found(error.body_text()))?;
    Params::parse(&uri, &[])?;
    app.require_served()?;
    let tenancy = tenancy(&app, &who);
    let keys = of_uuid(&id).into_iter().chain([post_key(&id)]);
    let found = app.hub.posts_by_key(keys).into_iter().next();
    let found = found.filter(|(_, entry)| tenancy.is_none_or(|t| t.owns_post(&entry.post)));
    let (key, entry) = found.ok_or_else(|| {
        ApiError::not_found(
            "There is no live post with this id: it never came, it was deleted, or it is older than the posts kept",
        )
    })?;
    conditional(&headers, &app.hub.tag(entry.updated), || {
        json_of(&json!({ "data": post(app.hub.lookup(), key, &entry), "metadata": { "at": app.hub.tick() } }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_as_a_uuid_finds_its_post() {
        let key = PostKey::of(b"reddit_abc123");
        let text = uuid(key);
        assert_eq!((text.len(), of_uuid(&text)), (36, Some(key)));
        assert_eq!(of_uuid(&text.replace('-', "")), None);
        assert_eq!(of_uuid("reddit_abc123"), None);
    }

    #[test]
    fn the_confidence_is_that_of_the_label() {
        let score = Score {
            positive: 100_000,
            neutral: 200_000,
            negative: 700_000,
            emotion: 2,
            ..Score::default()
        };
        assert_eq!(said(Some(&score)), (Some("negative"), Some(0.7), Some("anger")));
        assert_eq!(said(None), (None, None, None));
    }
}
