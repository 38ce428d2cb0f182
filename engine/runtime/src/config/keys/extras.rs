//! The keys of numbers, and of what views have beyond groups, windows and measures.

use super::Kind::*;
use super::{Key, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "numbers",
        Section,
        "Numbers of posts and authors that columns and top posts are made of, by the names of their fields. A value that is no \
         such number is a dead letter; one that is not there, or null, is not known. The votes are always there, as `votes`.",
    )
    .example("{posts: [likes, replies], decimals: [upvote_ratio], authors: [followers]}"),
    key("numbers.posts", Texts, "Whole numbers of posts; with the decimals at most eight.").example("[likes, replies]"),
    key("numbers.decimals", Texts, "Numbers of posts with decimals, kept to six places.").example("[upvote_ratio]"),
    key("numbers.authors", Texts, "Whole numbers of authors, from sources `into: authors`; at most four.")
        .example("[followers]"),
    key(
        "sources.*.platform",
        Text,
        "The `source` of posts whose records name none.",
    )
    .only("type", "file|kafka")
    .example("twitter"),
    key(
        "sources.*.map.*.prefix",
        Text,
        "Of an id (`id`, `thread`, `parent`, `author`, `post`): what is put before it, so that two platforms may use the same ones.",
    )
    .example("\"twitter:\""),
    key(
        "sources.*.map.*.with",
        Texts,
        "Of `id`: at most two other fields that belong to it, each put after a `/`; so that each observation of something, or each \
         tenant's, is a post of its own.",
    )
    .example("[recorded_at]"),
    key(
        "views.*.columns",
        Named,
        "Columns by formula, shown after the measures. A formula has measures, numbers, `+ - * /`, parentheses and \
         `sum(x)` (null if no post has it), `total(x)` (0 then), `mean(x)`, `max(x)`, `min(x)`, `stddev(x)`, `known(x)` over a number of the posts. `share(a, b)` alone is \
         `a / b` and adds the columns `NAME_low` and `NAME_high`, Wilson's 95 % interval. What divides by zero, or by what is not \
         known, is null. `max`, `min` and top posts cost memory for every post, the rest does not.",
    )
    .example("{votes_mean: mean(votes), positive_share: \"share(positive, scored)\"}"),
    key("views.*.columns.*", Formula, "A column's formula.").example("\"sum(votes) / posts\""),
    key(
        "views.*.gates",
        Section,
        "What a row must have for its numbers to be shown. Without it estimates are null: measures that are no counts, but for \
         `weight`, and columns that are no count, sum or end of whole numbers. The column `basis` says `sufficient` or \
         `insufficient`.",
    )
    .example("{min_posts: 20, min_authors: 5}"),
    key("views.*.gates.min_posts", Integer(0, 1_000_000_000), "Posts.").default("0").example("20"),
    key("views.*.gates.min_authors", Integer(0, 1_000_000_000), "Distinct authors; to count them costs memory.")
        .default("0")
        .example("5"),
    key(
        "views.*.gates.min_n_eff",
        Integer(0, 1_000_000_000),
        "Effective posts, (Σw)² / Σw²: as many posts of equal weight would say as much.",
    )
    .default("0")
    .example("10"),
    key("views.*.top", Section, "The posts of each row with the most of a number, in the column `top`; those without it are not among \
         them. Of equals the older is first.")
        .example("{k: 10, by: votes}"),
    key("views.*.top.k", Integer(1, 100), "How many.").default("10").example("5"),
    key("views.*.top.by", Text, "The number.").required().example("votes"),
    key(
        "views.*.time_zone",
        Text,
        "Where the clock hangs that `hour`, `weekday` and `hour_of_week` are read from: a name of the IANA database, of which one \
         version is built in. Windows stay in UTC.",
    )
    .default("UTC")
    .example("Europe/Berlin"),
    key(
        "views.*.watch",
        Bool,
        "Whether rules may watch the view. With a source of rules, which may come to watch any view, a sliding view is also kept \
         as overlapping windows of its size, one a step; more than 300 of them are refused, and `false` does without.",
    )
    .default("true")
    .example("false"),
    key(
        "views.*.revisions",
        Bool,
        "Whether rows say how far they are: the columns `state` (`open` until the window ends, then `final`, or `revised` once the row \
         has changed after that) and `revision` (at how many ticks it did). Not for sliding views. Costs a count per row that has one.",
    )
    .default("false")
    .example("true"),
];
