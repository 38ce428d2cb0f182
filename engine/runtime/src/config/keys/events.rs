//! The keys of keywords and the events they make.

use super::Kind::*;
use super::{Key, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "keywords",
        Named,
        "What is looked for in posts, by id. They may also come as records (`into: keywords`), which stand above these.",
    )
    .example("{launches: {phrases: [token launch, TGE], exclude: [rumor]}}"),
    key("keywords.*", Section, "A keyword.").example("{phrases: [token launch, TGE]}"),
    key(
        "keywords.*.phrases",
        Texts,
        "Words and phrases that mean it, found as whole words in any letter case. One of capitals only is an acronym, and \
         surer in these letters.",
    )
    .required()
    .example("[token launch, TGE]"),
    key("keywords.*.exclude", Texts, "Words and phrases that suppress an event in whose context they stand.").example("[rumor]"),
    key("events", Section, "How keywords become events; there are any if there are keywords, or a source of them."),
    key("events.context", Integer(0, 10_000), "Characters shown before and after a match, and searched for exclusions.")
        .default("100")
        .example("80"),
    key("events.max_distance", Integer(0, 10_000), "Most characters between a match and the entity it is about.")
        .default("50")
        .example("30"),
    key("events.min_confidence", Number(0.0, 1.0), "Less sure matches make no event.").default("0.85").example("0.9"),
    key("events.keep", Duration("1m", "36500d"), "Events of posts written this long ago are dropped.")
        .or(&["forever"])
        .default("30d")
        .example("90d"),
    key("events.stories", Section, "When posts tell the same story: by their titles and addresses, the fields `title` and `url`."),
    key("events.stories.within", Duration("1m", "365d"), "Longest time between the first post of a story and its others.")
        .default("48h")
        .example("24h"),
    key(
        "events.stories.similarity",
        Number(0.01, 1.0),
        "Least share of the pairs of neighbouring words of two titles that both have; 1 takes equal titles only.",
    )
    .default("0.6")
    .example("0.8"),
];
