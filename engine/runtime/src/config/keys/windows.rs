//! The keys of windows that do not lie side by side.

use super::Kind::*;
use super::{Key, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "views.*.window.anchored",
        Section,
        "Phases of each thread, cut at the times of its record. The view groups by `thread`, by `phase` (added where it is \
         missing) and by at most one column more. Posts of a thread without these times are in no row.",
    )
    .example("{phases: {pre: {from: air_time - 24h, to: air_time}}}"),
    key("views.*.window.anchored.phases", Named, "The phases by name, at most six; they may overlap.")
        .required()
        .example("{pre: {from: air_time - 24h, to: air_time}, live: {from: air_time, to: ends_at}}"),
    key("views.*.window.anchored.phases.*", Section, "A phase, `[from, to)`.").example("{from: air_time, to: ends_at}"),
    key(
        "views.*.window.anchored.phases.*.from",
        Text,
        "Where it begins: `air_time` or `ends_at`, with `+ DURATION` or `- DURATION`.",
    )
    .required()
    .example("air_time - 24h"),
    key("views.*.window.anchored.phases.*.to", Text, "Where it ends, in the same way.")
        .required()
        .example("ends_at + 12h"),
    key(
        "views.*.window.anchored.lasts",
        Duration("1s", "3650d"),
        "How long after `air_time` a thread ends whose record has no `ends_at`; without this it is in no phase that needs one.",
    )
    .example("3h"),
    key(
        "views.*.window.anchored.longest",
        Duration("1s", "3650d"),
        "What of a phase lies further from its beginning than this is left out, whatever the thread's record says.",
    )
    .default("7d")
    .example("2d"),
    key(
        "views.*.window.session",
        Section,
        "A window for each run of posts of a group that follow one another closely: it begins with the first and ends `gap` after \
         the last. The view groups by at most three columns; no rule watches it.",
    )
    .example("{gap: 30m}"),
    key(
        "views.*.window.session.gap",
        Duration("1s", "30d"),
        "The most that neighbours of a session are apart; at most `max`.",
    )
    .required()
    .example("30m"),
    key(
        "views.*.window.session.max",
        Duration("1s", "365d"),
        "A run longer than this from its first post to its last is cut at the whole multiples of it since 1970 (of a day: at midnight \
         UTC). With `keep`, posts are remembered this long beyond it, as sessions that are kept may begin with them.",
    )
    .default("24h")
    .example("6h"),
];
