//! The keys of linking.

use super::Kind::*;
use super::{Key, key};

pub(super) const KEYS: &[Key] = &[
    key("link", Section, "How texts are linked to entities."),
    key("link.exact", Section, "Aliases found as whole words."),
    key(
        "link.exact.confidence",
        Number(0.0, 1.0),
        "Confidence of such a mention.",
    )
    .default("0.95")
    .example("1.0"),
    key(
        "link.fuzzy",
        Section,
        "Names found approximately where nothing matched exactly; `false` switches it off.",
    )
    .or(&["false"])
    .example("{min: 90}"),
    key("link.fuzzy.min", Integer(1, 100), "Least likeness (partial ratio).")
        .default("85")
        .example("90"),
    key(
        "link.inherit_from_parent",
        Bool,
        "A reply without a mention inherits its parent's.",
    )
    .default("true")
    .example("false"),
    key(
        "link.compat",
        Choice(&["none", "seed"]),
        "`seed`: the literal rule of the first systems, any alias anywhere in the text, inside words too.",
    )
    .default("none")
    .example("seed"),
];
