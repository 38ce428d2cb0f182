//! The keys of rules.

use super::Kind::*;
use super::{Key, key};

pub(super) const KEYS: &[Key] = &[
    key("rules", Named, "When to raise alerts, by name.")
        .example("{backlash: {view: by_minute, when: \"sentiment < -0.3\", min_posts: 20}}"),
    key("rules.*.view", Text, "The view it watches.")
        .required()
        .example("by_minute"),
    key(
        "rules.*.when",
        Condition,
        "Fires when this holds: measures and numbers with `+ - * /`, comparisons, `and`, `or`, `not`, parentheses. `previous(x)` is \
         *x* in the window one size before, `previous(x, 10m)` in the one that began 10 minutes before; `baseline(x)` is the \
         median of *x* in the windows at the same moment of the weeks before. Without such windows nothing fires.",
    )
    .required()
    .example("\"sentiment < -0.3\""),
    key(
        "rules.*.clear",
        Condition,
        "Resolves when this holds; when absent, as soon as `when` does not. A window without posts resolves too.",
    )
    .example("\"sentiment > -0.1\""),
    key(
        "rules.*.min_posts",
        Integer(0, i32::MAX as i64),
        "Windows with fewer posts do not fire; they may resolve.",
    )
    .default("1")
    .example("20"),
    key(
        "rules.*.min_authors",
        Integer(0, i32::MAX as i64),
        "Windows with fewer distinct authors do not fire; to count them costs memory.",
    )
    .default("0")
    .example("5"),
    key(
        "rules.*.min_n_eff",
        Integer(0, i32::MAX as i64),
        "Windows with fewer effective posts, (Σw)² / Σw², do not fire.",
    )
    .default("0")
    .example("10"),
    key("rules.*.baseline", Section, "What the rule's `baseline(…)` is made of.").example("{weeks: 8, min: 4}"),
    key("rules.*.baseline.weeks", Integer(1, 52), "Weeks looked back; `keep` of the view must cover them.")
        .default("4")
        .example("8"),
    key(
        "rules.*.baseline.min",
        Integer(1, 52),
        "How many of those windows there must be; with fewer there is no baseline, and what needs one does not fire.",
    )
    .default("2")
    .example("4"),
    key(
        "rules.*.for",
        Duration("0ms", "3650d"),
        "`when` must hold over windows side by side that span this long.",
    )
    .default("0ms")
    .example("2m"),
    key(
        "rules.*.cooldown",
        Duration("0ms", "3650d"),
        "Quiet for this long after resolving.",
    )
    .default("0ms")
    .example("10m"),
];
