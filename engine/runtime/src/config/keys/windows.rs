//! The keys of windows that do not lie side by side.

use super::Kind::*;
use super::{Key, key, later};

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
    later("views.*.window.session", "session windows"),
];
