use super::*;
use proptest::prelude::*;

fn tge() -> Keyword {
    Keyword {
        id: "tge".into(),
        phrases: [
            "token generation event",
            "token launch",
            "TGE",
            "initial token offering",
            "airdrop",
        ]
        .map(Into::into)
        .into(),
        exclude: ["rumor", "speculation", "allegedly"].map(Into::into).into(),
    }
}

fn entity(id: &str, name: &str, aliases: &[&str], exclude: &[&str]) -> Entity {
    Entity {
        id: id.into(),
        name: name.into(),
        aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
        kind: String::new(),
        exclude: exclude.iter().map(|a| (*a).to_owned()).collect(),
    }
}

fn dictionary(spec: &EventsSpec) -> Dictionary {
    let entities = [
        entity("example", "Example Corp", &["Example"], &["for example"]),
        entity("one", "Öne Labs", &[], &[]),
    ];
    Dictionary::build([tge()].iter(), entities.iter(), spec)
}

/// Matched text, entity or "", confidence, exclusion or "".
fn found(text: &str) -> Vec<(String, &'static str, i32, &'static str)> {
    let word = |dim: Dim, words: &[&'static str]| *words.iter().find(|w| Dim::of(w) == dim).expect("known");
    let all = dictionary(&EventsSpec::default()).search(text).into_iter().map(|m| {
        let matched = characters(text, m.span).to_owned();
        let entity = word(m.entity, &["", "example", "one"]);
        (
            matched,
            entity,
            m.confidence,
            word(m.suppressed_by, &["", "rumor", "speculation", "allegedly"]),
        )
    });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|m| m.1);
    all
}

#[test]
fn confidence_is_form_and_company() {
    let one = |text: &str| match &found(text)[..] {
        [one] => (one.0.clone(), one.1, one.2),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(one("A Token  Launch soon"), ("Token  Launch".into(), "", 900_000));
    assert_eq!(one("our TGE is near"), ("TGE".into(), "", 850_000));
    assert_eq!(one("an AirDrop"), ("AirDrop".into(), "", 850_000));
    assert_eq!(found("our tge is near"), [], "0.75 is not enough");
    // "Example Corp" ends one character before.
    assert_eq!(
        one("Example Corp token launch"),
        ("token launch".into(), "example", 999_000)
    );
    assert_eq!(one("TGE: Example"), ("TGE".into(), "example", 948_000));
    assert_eq!(found("Example Corp: tge"), [], "0.848 is not enough");
}

#[test]
fn acronyms_are_whole_words() {
    assert_eq!(found("portTGEs, TGE2, xTGE, TGE_a"), []);
    assert_eq!(found("(TGE)").len(), 1);
}

#[test]
fn a_match_is_about_those_who_are_named_near_by() {
    let far = "x".repeat(49);
    let near = found(&format!("Example {far} TGE"));
    assert_eq!((near[0].1, near[0].2), ("", 850_000), "51 characters between");
    let near = found(&format!("Example {} TGE", &far[1..]));
    assert_eq!((near[0].1, near[0].2), ("example", 900_000), "50 characters between");
    let both = found("Example and ÖNE labs: token launch. Later more on the TGE");
    assert_eq!(
        both.iter().map(|m| (&*m.0, m.1)).collect::<Vec<_>>(),
        [("token launch", "example"), ("token launch", "one")]
    );
    let excluded = found("for example, a token launch");
    assert_eq!(excluded[0].1, "", "the phrase is none of the company's names");
}

#[test]
fn an_exclusion_suppresses_and_is_named() {
    assert_eq!(
        found("rumor: the TGE, allegedly")[0].3,
        "allegedly",
        "it is nearer: 2 away, not 6"
    );
    let gap = "y".repeat(98);
    assert_eq!(
        found(&format!("rumor {gap} TGE"))[0].3,
        "rumor",
        "100 characters between"
    );
    assert_eq!(found(&format!("rumor {gap}y TGE"))[0].3, "", "101 characters between");
    // The better occurrence counts: one that nothing suppresses.
    let twice = found(&format!("Allegedly Example TGE {gap}{gap} Example airdrop"));
    assert_eq!((&*twice[0].0, twice[0].3), ("airdrop", ""));
}

#[test]
fn positions_are_characters_of_the_text_as_written() {
    let text = "Ünïcode — “Öne Labs” plans a Token  Generation\tEvent!";
    let spec = EventsSpec {
        context: 5,
        ..EventsSpec::default()
    };
    let all = dictionary(&spec).search(text);
    assert_eq!(all.len(), 1);
    assert_eq!(characters(text, all[0].span), "Token  Generation\tEvent");
    assert_eq!(characters(text, all[0].context), "ns a Token  Generation\tEvent!");
}

/// The rule with plain loops, over ASCII.
fn naive(text: &str, spec: &EventsSpec) -> Vec<(&'static str, (usize, usize), i32, String)> {
    let lower = text.to_lowercase();
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let all = |phrase: &str| -> Vec<(usize, usize)> {
        (0..lower.len())
            .filter(|at| lower[*at..].starts_with(&phrase.to_lowercase()))
            .map(|at| (at, at + phrase.len()))
            .filter(|(from, to)| !word(lower[..*from].chars().next_back()) && !word(lower[*to..].chars().next()))
            .collect()
    };
    let distance = |a: (usize, usize), b: (usize, usize)| b.0.saturating_sub(a.1).max(a.0.saturating_sub(b.1));
    let inside = |a: &(usize, usize), all: &[(usize, usize)]| all.iter().any(|b| b.0 <= a.0 && a.1 <= b.1);
    let not = all("for example");
    let mut names: Vec<(&'static str, (usize, usize))> = Vec::new();
    for name in ["Example Corp", "Example"] {
        names.extend(
            all(name)
                .into_iter()
                .filter(|s| !inside(s, &not))
                .map(|s| ("example", s)),
        );
    }
    let mut out: Vec<(&'static str, (usize, usize), i32, String)> = Vec::new();
    let mut candidates = Vec::new();
    for phrase in tge().phrases {
        for span in all(&phrase) {
            let form = match &*phrase {
                "TGE" if &text[span.0..span.1] != "TGE" => 800_000,
                "TGE" | "airdrop" => 900_000,
                _ => 950_000,
            };
            let near = tge()
                .exclude
                .into_iter()
                .flat_map(|e| all(&e).into_iter().map(move |s| (s, e.clone())));
            let near = near
                .map(|(s, e)| (distance(span, s), s, e))
                .filter(|n| n.0 <= spec.context as usize)
                .min();
            let by = near.map_or(String::new(), |n| n.2);
            candidates.push(("", span, form - 50_000, by.clone()));
            for (name, at) in &names {
                let d = distance(span, *at);
                if d <= spec.max_distance as usize {
                    let plus = 50_000 * (spec.max_distance as usize - d) / spec.max_distance as usize;
                    candidates.push((name, span, form + i32::try_from(plus).expect("small"), by.clone()));
                }
            }
        }
    }
    candidates.retain(|c| c.2 >= spec.min_confidence);
    candidates.sort_by_key(|c| (!c.3.is_empty(), Reverse(c.2), c.1));
    for c in candidates {
        if out.iter().all(|o| o.0 != c.0) {
            out.push(c);
        }
    }
    if out.iter().any(|o| !o.0.is_empty()) {
        out.retain(|o| !o.0.is_empty());
    }
    out.sort();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_search_finds_what_plain_loops_find(
        words in prop::collection::vec(prop::sample::select(vec![
            "token", "generation", "event", "launch", "TGE", "tge", "initial", "offering", "airdrop", "rumor", "allegedly",
            "Example", "Corp", "for", "example", "xxxxxxxxxxxxxxxxxxxxxxx", "TGEs",
        ]), 0..25),
        context in 0..60_u32, max_distance in 1..40_u32, min_confidence in 700_000..1_000_000_i32,
    ) {
        let text = words.join(" ");
        let spec = EventsSpec { context, max_distance, min_confidence, ..EventsSpec::default() };
        let mut got: Vec<_> = dictionary(&spec).search(&text).into_iter().map(|m| {
            let entity = if m.entity == Dim::NONE { "" } else { "example" };
            let by = tge().exclude.into_iter().find(|e| Dim::of(e) == m.suppressed_by).unwrap_or_default();
            (entity, (m.span.0 as usize, m.span.1 as usize), m.confidence, by)
        }).collect();
        got.sort();
        prop_assert_eq!(got, naive(&text, &spec));
    }
}
