use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn entity(id: &str, name: &str, aliases: &[&str], exclude: &[&str]) -> Entity {
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    Entity {
        id: id.into(),
        name: name.into(),
        aliases: strings(aliases),
        kind: String::new(),
        exclude: strings(exclude),
    }
}

fn cast() -> Vec<Entity> {
    vec![
        entity("lebron", "LeBron James", &["LeBron", "King James", "LBJ"], &[]),
        entity("love", "Kevin Love", &["Love", "K-Love"], &["love it", "in love with"]),
        entity("jr", "J.R. Smith", &["JR", "J.R."], &[]),
        entity("mo", "Mo Williams", &["Mo"], &[]),
        entity("strasse", "Straße", &[], &[]),
        entity("tristan", "Tristan Thompson", &["Thompson", "TT"], &[]),
        entity("klay", "Klay Thompson", &["Klay", "Thompson"], &[]),
    ]
}

fn with(spec: LinkSpec) -> impl Fn(&str) -> Vec<(&'static str, i32, Method)> {
    let entities = cast();
    let matcher = Matcher::build(entities.iter(), &spec);
    let ids = ["lebron", "love", "jr", "mo", "strasse", "tristan", "klay"];
    move |text| {
        let mentions = matcher.link(text);
        assert!(
            mentions.is_sorted() && mentions.iter().map(|m| m.entity).collect::<BTreeSet<_>>().len() == mentions.len()
        );
        ids.into_iter()
            .filter_map(|id| {
                let m = mentions.iter().find(|m| m.entity == Dim::of(id))?;
                Some((id, m.confidence, m.method))
            })
            .collect()
    }
}

fn exactly(ids: &[&'static str]) -> Vec<(&'static str, i32, Method)> {
    ids.iter().map(|id| (*id, 950_000, Method::Exact)).collect()
}

fn strict() -> LinkSpec {
    LinkSpec {
        fuzzy_min: None,
        ..LinkSpec::default()
    }
}

#[test]
fn aliases_match_as_whole_words_whatever_their_case() {
    let link = with(strict());
    assert_eq!(link("LEBRON is back"), exactly(&["lebron"]));
    assert_eq!(link("LeBron's and lebron’s"), exactly(&["lebron"]));
    assert_eq!(link("@LeBron #LBJ!"), exactly(&["lebron"]));
    assert_eq!(link("(lebron), \"mo\"."), exactly(&["lebron", "mo"]));
    assert_eq!(link("also tomorrow, lebrons, mo_, _mo, émo, mo2"), exactly(&[]));
    assert_eq!(link("STRASSE / strasse / Straße"), exactly(&["strasse"]));
    assert_eq!(link("❤️LeBron🐐"), exactly(&["lebron"]));
    assert_eq!(link(""), exactly(&[]));
}

#[test]
fn words_of_an_alias_may_be_apart_and_aliases_may_overlap() {
    let link = with(strict());
    assert_eq!(link("king\n\n  james"), exactly(&["lebron"]));
    assert_eq!(link("kingjames king-james"), exactly(&[]));
    assert_eq!(link("Kevin Love"), exactly(&["love"]));
    assert_eq!(
        link("Klay Thompson"),
        exactly(&["tristan", "klay"]),
        "the surname is an alias of both"
    );
}

#[test]
fn aliases_with_punctuation_work() {
    let link = with(strict());
    assert_eq!(link("give J.R. the ball"), exactly(&["jr"]));
    assert_eq!(link("it was j.r."), exactly(&["jr"]));
    assert_eq!(link("j.r.'s shirt"), exactly(&["jr"]));
    assert_eq!(link("jxrx"), exactly(&[]));
}

#[test]
fn an_exclude_phrase_silences_exact_and_fuzzy_matches() {
    let link = with(LinkSpec::default());
    assert_eq!(link("I LOVE  it"), exactly(&[]));
    assert_eq!(link("I love it, Love!"), exactly(&["love"]));
    assert_eq!(link("kevinlove, love it"), exactly(&[]), "would match the name fuzzily");
    assert_eq!(link("kevinlove"), vec![("love", 888_889, Method::Fuzzy)]);
}

#[test]
fn fuzzy_is_for_texts_that_name_nobody() {
    let link = with(LinkSpec::default());
    assert_eq!(
        link("what a block by lebrun james today"),
        vec![("lebron", 916_667, Method::Fuzzy)]
    );
    assert_eq!(link("lebrun james and Mo"), exactly(&["mo"]));
    assert_eq!(link("nothing like that"), exactly(&[]));
    let never = with(strict());
    assert_eq!(never("lebrun james"), exactly(&[]));
}

#[test]
fn the_seed_rule_is_literal() {
    let link = with(LinkSpec {
        seed_compat: true,
        ..LinkSpec::default()
    });
    assert_eq!(link("ALSO TOMORROW"), exactly(&["mo"]), "inside a word");
    assert_eq!(link("i love it"), exactly(&["love"]), "exclude phrases are unknown");
    assert_eq!(link("king  james"), exactly(&[]), "blanks count");
    assert_eq!(link("lebrun james"), vec![("lebron", 916_667, Method::Fuzzy)]);
    assert_eq!(
        link("e"),
        vec![
            ("lebron", 1_000_000, Method::Fuzzy),
            ("love", 1_000_000, Method::Fuzzy),
            ("strasse", 1_000_000, Method::Fuzzy),
        ]
    );
}

#[test]
fn odd_dictionaries_are_harmless() {
    let spec = LinkSpec::default();
    assert!(
        Matcher::build(std::iter::empty(), &spec)
            .link("anything at all")
            .is_empty()
    );
    let odd = [
        entity("a", "  ", &["", "\n"], &[""]),
        entity("a", "Ann", &[], &[]),
        entity("a", "Ann", &["Annie"], &[]),
    ];
    let matcher = Matcher::build(odd.iter(), &spec);
    assert_eq!(matcher.link(" ann and annie\n").len(), 1);
    assert_eq!(matcher.link("   ").len(), 0);
    let seed = Matcher::build(
        odd.iter(),
        &LinkSpec {
            seed_compat: true,
            ..spec
        },
    );
    assert_eq!(seed.link("x").len(), 0);
}

/// Occurrences of an alias in a text, straight from the rule: at every character, compare, then look at the neighbours.
fn occurrences(text: &[char], alias: &[char]) -> Vec<(usize, usize)> {
    let word = |c: Option<&char>| c.is_some_and(|c| fold::is_word(*c));
    let mut found = Vec::new();
    for start in 0..text.len() {
        let end = start + alias.len();
        if text.get(start..end) == Some(alias) && !(start > 0 && word(text.get(start - 1))) && !word(text.get(end)) {
            found.push((start, end));
        }
    }
    found
}

fn naive(entities: &[Entity], text: &str) -> Vec<Dim> {
    let chars = |s: &str| fold::fold(s).chars().collect::<Vec<char>>();
    let text = chars(text);
    let named = |e: &Entity| {
        let excluded: Vec<_> = e
            .exclude
            .iter()
            .flat_map(|p| occurrences(&text, &chars(p.trim())))
            .collect();
        e.aliases
            .iter()
            .chain([&e.name])
            .filter(|alias| !alias.trim().is_empty())
            .flat_map(|alias| occurrences(&text, &chars(alias.trim())))
            .any(|(start, end)| !excluded.iter().any(|(from, to)| *from <= start && end <= *to))
    };
    let mut dims: Vec<Dim> = entities.iter().filter(|e| named(e)).map(|e| Dim::of(&e.id)).collect();
    dims.sort_unstable();
    dims
}

fn phrase() -> impl Strategy<Value = String> {
    prop_oneof![
        "[abAB]{1,3}",
        "[ab]{1,2} [abß.]{1,3}",
        "[abé'_]{1,2}  [ab] [aB]{1,2}",
        "[abß ]{0,4}",
        "[@#]?[ab]{1,2}[.!]?"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn finds_what_the_naive_rule_finds(
        entities in prop::collection::vec(
            (phrase(), prop::collection::vec(phrase(), 0..4), prop::collection::vec(phrase(), 0..3)), 0..6),
        text in "[abABß .,'_é\n-]{0,40}",
    ) {
        let mut entities: Vec<Entity> = entities.into_iter().enumerate().map(|(i, (name, aliases, exclude))| {
            Entity { id: i.to_string(), name, aliases, kind: String::new(), exclude }
        }).collect();
        let link = |entities: &[Entity]| Matcher::build(entities.iter(), &strict()).link(&text);
        let mentions = link(&entities);
        prop_assert_eq!(mentions.iter().map(|m| m.entity).collect::<Vec<_>>(), naive(&entities, &text));
        entities.reverse();
        prop_assert_eq!(mentions, link(&entities), "the order of the dictionary does not matter");
    }

    #[test]
    fn any_text_is_linked_without_a_panic(text in any::<String>(), name in any::<String>(), seed_compat in any::<bool>()) {
        let entities = [entity("x", &name, &[&name], &[&text])];
        let matcher = Matcher::build(entities.iter(), &LinkSpec { seed_compat, ..LinkSpec::default() });
        prop_assert!(matcher.link(&text).len() <= 1);
        prop_assert_eq!(matcher.link(&format!("{text} {name}")), matcher.link(&format!("{text} {name}")));
    }
}
