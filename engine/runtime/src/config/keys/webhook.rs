//! The keys of webhooks, but for those they share with other sinks.

use super::Kind::*;
use super::{Key, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "sinks.*.secret",
        Text,
        "What requests are signed with, as `${NAME}` or `file:PATH`; unsigned without it.",
    )
    .only("type", "http")
    .example("\"${NAME:-x}\""),
    key(
        "sinks.*.body",
        Choice(&["alert", "slack"]),
        "What is posted: the record of an alert or event as on a topic, or `{\"text\": …}` as Slack's incoming webhooks take it.",
    )
    .default("alert")
    .only("type", "http")
    .example("slack"),
    key(
        "sinks.*.longest_pause",
        Duration("1s", "1h"),
        "Longest pause between attempts; the first is a second, each twice the last.",
    )
    .default("1m")
    .only("type", "http")
    .example("5m"),
    key(
        "sinks.*.past",
        Choice(&["skip", "send"]),
        "What becomes of alerts and events from before the sink was there.",
    )
    .default("skip")
    .only("type", "http")
    .example("send"),
];
