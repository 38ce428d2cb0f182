//! The built-in dictionary: the invented contestants and judges of "Starlight Stage", a talent show that does not exist.

use groundswell_core::record::Entity;

/// Id, name, kind, aliases, phrases to exclude.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const CAST: [Row; 14] = [
    (
        "mira-valdane",
        "Mira Valdane",
        "contestant",
        &["Mira", "Valdane", "Mimi V"],
        &[],
    ),
    (
        "theo-brankovitz",
        "Theo Brankovitz",
        "contestant",
        &["Theo", "Brankovitz", "Big Brank"],
        &[],
    ),
    (
        "odessa-quill",
        "Odessa Quill",
        "contestant",
        &["Odessa", "Dess", "Quill"],
        &["city of Odessa"],
    ),
    (
        "jasper-lindqvane",
        "Jasper Lindqvane",
        "contestant",
        &["Jasper", "JLQ", "Lindqvane"],
        &[],
    ),
    (
        "priya-solanke",
        "Priya Solanke",
        "contestant",
        &["Priya", "Solanke", "Pri Sol"],
        &[],
    ),
    (
        "caspian-rook",
        "Caspian Rook",
        "contestant",
        &["Caspian", "Rook", "Cas Rook"],
        &["rook takes", "Caspian Sea"],
    ),
    (
        "delphine-arcot",
        "Delphine Arcot",
        "contestant",
        &["Delphine", "Arcot", "Delph"],
        &[],
    ),
    (
        "benno-fairweather",
        "Benno Fairweather",
        "contestant",
        &["Benno", "Fairweather"],
        &["fairweather fans"],
    ),
    (
        "saoirse-pellam",
        "Saoirse Pellam",
        "contestant",
        &["Saoirse", "Pellam", "Queen Saoirse"],
        &[],
    ),
    (
        "kwame-addisson",
        "Kwame Addisson",
        "contestant",
        &["Kwame", "Addisson", "Kwame A"],
        &[],
    ),
    (
        "yukiko-tanabera",
        "Yukiko Tanabera",
        "contestant",
        &["Yukiko", "Tanabera", "Yuki T"],
        &[],
    ),
    (
        "paper-lanterns",
        "The Paper Lanterns",
        "group",
        &["Paper Lanterns", "the Lanterns"],
        &["made paper lanterns"],
    ),
    ("gideon-marsh", "Gideon Marsh", "judge", &["Gideon", "Judge Marsh"], &[]),
    (
        "petra-oyelaran",
        "Petra Oyelaran",
        "judge",
        &["Petra", "Judge Petra", "Oyelaran"],
        &[],
    ),
];

/// The dictionary the generator uses unless it is given another.
pub fn entities() -> Vec<Entity> {
    let owned = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
    CAST.iter()
        .map(|(id, name, kind, aliases, exclude)| Entity {
            id: (*id).into(),
            name: (*name).into(),
            aliases: owned(aliases),
            kind: (*kind).into(),
            exclude: owned(exclude),
        })
        .collect()
}
