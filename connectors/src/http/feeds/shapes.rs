//! What feeds look like on the wire.

use crate::hub::feeds::Feeds;
use crate::hub::feeds::rank::{Algorithm, Parts};
use crate::hub::posts::{Entry, Posts};
use crate::hub::render::{self, Lookup};
use groundswell_core::id::{Dim, PostKey};
use groundswell_core::spec::GroupColumn;
use groundswell_core::tie::Engagement;
use groundswell_core::time::{EventTime, Tick};
use serde::Serialize;
use utoipa::ToSchema;

/// A post as it is read, before its strings are looked up.
pub(super) struct Shown {
    key: PostKey,
    entry: Entry,
    numbers: Engagement,
    liked: Option<bool>,
    parent: Option<PostKey>,
    original: Option<PostKey>,
    parts: Option<Parts>,
}

impl Shown {
    /// A post, if it is still live; to somebody, if it is said who reads.
    pub(super) fn of(
        ties: &Feeds,
        posts: &Posts,
        key: PostKey,
        reader: Option<Dim>,
        parts: Option<Parts>,
    ) -> Option<Self> {
        Some(Shown {
            key,
            entry: posts.get(key)?.clone(),
            numbers: ties.numbers(key),
            liked: reader.map(|reader| ties.likes(reader, key)),
            parent: ties.hangs_on(key, false),
            original: ties.hangs_on(key, true),
            parts,
        })
    }
}

/// A post of a feed.
#[derive(Serialize, ToSchema)]
pub struct FeedPost {
    /// Its id in its source's naming.
    id: String,
    /// Author.
    user_id: Option<String>,
    /// Its text, as long as it is kept.
    content: Option<String>,
    /// When it was written.
    #[schema(format = DateTime)]
    created_at: String,
    /// Platform or community.
    source: Option<String>,
    /// Thread.
    thread: Option<String>,
    /// The post it replies to.
    parent_id: Option<String>,
    /// The post it passes on.
    original_post_id: Option<String>,
    /// Users who like it.
    likes_count: i64,
    /// Live posts that reply to it, and users who commented without one.
    comments_count: i64,
    /// Live posts that pass it on, and users who did without one.
    reposts_count: i64,
    /// Users who saw it.
    views_count: i64,
    /// Whether whoever reads likes it; null where nobody is said to read.
    is_liked: Option<bool>,
    /// Its hashtags, where a view groups by them.
    hashtags: Vec<String>,
    /// The names it says.
    mentions: Vec<String>,
    /// What the model says against it.
    moderation: Moderation,
    /// Why it is where it is; of ranked feeds.
    score: Option<FeedScore>,
}

/// What the model says against a post.
#[derive(Serialize, ToSchema)]
pub struct Moderation {
    /// Probability that it is toxic; null as long as it is not scored.
    toxicity: Option<f64>,
    /// Whether that is above the cut-off.
    flagged: bool,
}

/// The parts of a post's place, each in [0, 1]: 0.4·recency + 0.3·engagement + 0.2·affinity + 0.1·model is `final`.
#[derive(Serialize, ToSchema)]
pub struct FeedScore {
    recency: f64,
    engagement: f64,
    affinity: f64,
    model: f64,
    r#final: f64,
}

impl From<Parts> for FeedScore {
    fn from(parts: Parts) -> Self {
        FeedScore {
            recency: parts.recency,
            engagement: parts.engagement,
            affinity: parts.affinity,
            model: parts.model,
            r#final: parts.mixed(),
        }
    }
}

impl FeedPost {
    /// With its strings.
    pub(super) fn of(lookup: &Lookup, shown: Shown) -> Self {
        let (post, numbers) = (&shown.entry.post, shown.numbers);
        let name = |dim| lookup.name(dim).map(|name| name.to_string());
        let id = |key: PostKey| lookup.post_id(key).to_string();
        let said = |column: GroupColumn| -> Vec<String> {
            let mentions = post.mentions.iter().filter(|mention| mention.is_of(column));
            let mut words: Vec<String> = mentions.filter_map(|mention| name(mention.entity)).collect();
            words.sort();
            words
        };
        FeedPost {
            id: id(shown.key),
            user_id: name(post.author),
            content: lookup.text(&shown.entry).map(|text| text.to_string()),
            created_at: render::time(post.created_at),
            source: name(post.source),
            thread: name(post.thread),
            parent_id: shown.parent.map(id),
            original_post_id: shown.original.map(id),
            likes_count: numbers.likes,
            comments_count: numbers.comments,
            reposts_count: numbers.reposts,
            views_count: numbers.views,
            is_liked: shown.liked,
            hashtags: said(GroupColumn::Tag),
            mentions: said(GroupColumn::Mention),
            moderation: Moderation {
                toxicity: post.score.map(|score| f64::from(score.toxic) / 1e6),
                flagged: post.score.is_some_and(|score| score.is_toxic),
            },
            score: shown.parts.map(FeedScore::from),
        }
    }
}

/// A page of a feed.
#[derive(Serialize, ToSchema)]
pub struct FeedPage {
    /// Its posts, in order.
    data: Vec<FeedPost>,
    /// What accompanies them.
    metadata: FeedMetadata,
}

/// What accompanies a page of a feed.
#[derive(Serialize, ToSchema)]
pub struct FeedMetadata {
    /// `chronological`, `engagement` or `ranked`.
    algorithm: &'static str,
    /// The page size.
    limit: usize,
    /// Where to continue; null on the last page.
    next_cursor: Option<String>,
    /// The tick the order is as of.
    at: Tick,
    /// The time that ages are counted to: the recorded clock at that tick.
    #[schema(format = DateTime)]
    as_of: String,
}

impl FeedPage {
    /// A page with its size and what follows, and tick and time of its order.
    pub(super) fn new(
        data: Vec<FeedPost>,
        algorithm: Algorithm,
        (limit, next_cursor): (usize, Option<String>),
        (at, as_of): (Tick, EventTime),
    ) -> Self {
        let named = Algorithm::ALL.iter().find(|(_, known)| *known == algorithm);
        FeedPage {
            data,
            metadata: FeedMetadata {
                algorithm: named.map_or("", |(name, _)| name),
                limit,
                next_cursor,
                at,
                as_of: render::time(as_of),
            },
        }
    }
}

/// Somebody who did something with a post.
#[derive(Serialize, ToSchema)]
pub struct Done {
    /// Who.
    pub(super) user: Option<String>,
    /// When.
    #[schema(format = DateTime)]
    pub(super) at: String,
}

/// Somebody who passed a post on.
#[derive(Serialize, ToSchema)]
pub struct Passed {
    /// Who.
    pub(super) user: Option<String>,
    /// With which post of their own; null without one.
    pub(super) post_id: Option<String>,
    /// When.
    #[schema(format = DateTime)]
    pub(super) at: String,
}
