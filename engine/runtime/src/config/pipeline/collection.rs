//! What sources feed, as the decoder knows it, and the fields its records have.

use super::Collection;
use groundswell_connectors::decode;

impl Collection {
    /// The decoder's name for it.
    pub(crate) fn decoded(self) -> decode::Collection {
        match self {
            Collection::Posts => decode::Collection::Posts,
            Collection::Votes => decode::Collection::Votes,
            Collection::Threads => decode::Collection::Threads,
            Collection::Entities => decode::Collection::Entities,
            Collection::Rules => decode::Collection::Rules,
            Collection::Keywords => decode::Collection::Keywords,
            Collection::Authors => decode::Collection::Authors,
            Collection::Interactions => decode::Collection::Interactions,
            Collection::Follows => decode::Collection::Follows,
            Collection::Erasures => decode::Collection::Erasures,
        }
    }

    /// The fields its records have, as the names `map` may use.
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Collection::Posts => &[
                "id",
                "source",
                "thread",
                "parent",
                "author",
                "text",
                "score",
                "created_at",
                "observed_at",
                "title",
                "url",
                "lang",
                "followers",
                "likes",
                "replies",
                "reposts",
                "views",
                "dislikes",
                "upvote_ratio",
                "comments",
                "downvotes",
                "retweets",
                "shares",
                "upvotes",
                "viewers",
                "edited_at",
                "hidden_score",
                "kind",
                "original_post_id",
                "sentiment",
                "deleted",
                "version",
            ],
            Collection::Votes => &["id", "score", "observed_at", "hidden_score", "deleted"],
            Collection::Authors => &["id", "observed_at", "deleted"],
            Collection::Threads => &["thread", "title", "air_time", "ends_at", "deleted", "version"],
            Collection::Entities => &[
                "id",
                "name",
                "canonical_name",
                "aliases",
                "kind",
                "exclude",
                "deleted",
                "version",
            ],
            Collection::Interactions => &["user", "post", "kind", "at", "deleted", "version"],
            Collection::Follows => &["follower", "followed", "at", "deleted", "version"],
            Collection::Erasures => &["author", "post", "thread", "undo", "version"],
            Collection::Keywords => &["id", "phrases", "exclude", "deleted", "version"],
            Collection::Rules => &[
                "id",
                "view",
                "when",
                "clear",
                "min_posts",
                "min_authors",
                "min_n_eff",
                "baseline_weeks",
                "baseline_min",
                "for",
                "cooldown",
                "deleted",
                "version",
            ],
        }
    }
}
