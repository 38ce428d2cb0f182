//! The keys of sources that read RSS and Atom.

use super::Kind::*;
use super::{Key, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "sources.*.feeds",
        Named,
        "RSS or Atom feeds by name; the name is the source of their posts.",
    )
    .required()
    .only("type", "feed")
    .example("{coindesk: {url: \"https://www.coindesk.com/arc/outboundfeeds/rss/\"}}"),
    key("sources.*.feeds.*", Section, "A feed.").example("{url: \"https://example.com/rss\", interval: 300s}"),
    key("sources.*.feeds.*.url", Text, "Its address, `http` or `https`.")
        .required()
        .example("\"https://example.com/rss\""),
    key(
        "sources.*.feeds.*.interval",
        Duration("1s", "7d"),
        "Time between two readings.",
    )
    .default("300s")
    .example("60s"),
    key(
        "sources.*.rate",
        Section,
        "Most requests of all feeds of the source together.",
    )
    .only("type", "feed"),
    key("sources.*.rate.requests", Integer(1, 1_000_000), "This many…")
        .default("100")
        .example("20"),
    key("sources.*.rate.per", Duration("1s", "1d"), "…in this time.")
        .default("60s")
        .example("1h"),
    key(
        "sources.*.retry",
        Section,
        "What follows a failure that may pass; pauses double and are shortened at random.",
    )
    .only("type", "feed"),
    key("sources.*.retry.attempts", Integer(1, 10), "Requests for one reading.")
        .default("3")
        .example("2"),
    key("sources.*.retry.base", Duration("1ms", "1h"), "Longest first pause.")
        .default("1s")
        .example("5s"),
    key("sources.*.retry.longest", Duration("1ms", "1d"), "Longest pause.")
        .default("60s")
        .example("5m"),
    key("sources.*.breaker", Section, "When a feed is left alone.").only("type", "feed"),
    key(
        "sources.*.breaker.failures",
        Integer(1, 1_000),
        "After this many failures in a row…",
    )
    .default("5")
    .example("3"),
    key(
        "sources.*.breaker.open",
        Duration("1ms", "1d"),
        "…for so long; then one request is tried.",
    )
    .default("60s")
    .example("5m"),
];
