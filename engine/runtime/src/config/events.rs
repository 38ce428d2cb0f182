//! `keywords:` and `events:`

use super::pipeline::{Collection, SourceConfig};
use super::read::Section;
use super::sources::checked_name;
use groundswell_core::keywords::{EventsSpec, Keyword};

/// Reads the keywords; none is no mistake.
pub(super) fn keywords(root: &Section<'_>) -> Option<Vec<Keyword>> {
    let Some(field) = root.given("keywords") else {
        return Some(Vec::new());
    };
    let all = field.section()?.named();
    let read = all.iter().map(|(name, field)| {
        let id = checked_name(name, field);
        let section = field.section()?;
        let texts = |name: &str| match section.given(name) {
            None => Some(Vec::new()),
            Some(field) => field.list("a list of texts")?.iter().map(|item| item.text()).collect(),
        };
        let phrases: Option<Vec<String>> = section.required("phrases").and_then(|_| texts("phrases"));
        let exclude: Option<Vec<String>> = texts("exclude");
        let (phrases, exclude) = (phrases?, exclude?);
        if phrases.iter().all(|phrase| phrase.trim().is_empty()) {
            field.key_error(
                "there is nothing to look for",
                Some("give at least one phrase".to_owned()),
            );
            return None;
        }
        Some(Keyword {
            id: id?,
            phrases,
            exclude,
        })
    });
    // Every entry is read before giving up, so that every mistake is seen.
    let read: Vec<Option<Keyword>> = read.collect();
    read.into_iter().collect()
}

/// Reads how they become events: `Some(None)` where there is nothing to look for.
pub(super) fn events(
    root: &Section<'_>,
    keywords: Option<&[Keyword]>,
    sources: Option<&[SourceConfig]>,
) -> Option<Option<EventsSpec>> {
    let given = root.given("events").is_some();
    let section = root.section("events")?;
    let whole = |name: &str| {
        section
            .get(name)
            .and_then(|f| f.integer())
            .and_then(|n| u32::try_from(n).ok())
    };
    let (context, max_distance) = (whole("context"), whole("max_distance"));
    let min_confidence = section.get("min_confidence").and_then(|f| f.number()).map(ppm);
    let keep = section.get("keep").and_then(|f| match f.is("forever") {
        true => Some(None),
        false => f.duration().map(Some),
    });
    let stories = section.section("stories")?;
    let within = stories.get("within").and_then(|f| f.duration());
    let similarity = stories.get("similarity").and_then(|f| f.number()).map(ppm);
    let comes = |sources: &[SourceConfig]| sources.iter().any(|s| s.collection() == Some(Collection::Keywords));
    let sought = keywords.is_none_or(|k| !k.is_empty()) || sources.is_none_or(comes);
    if given && !sought {
        let hint = "add `keywords:`, or a source with `into: keywords`".to_owned();
        section.error("there are no keywords that could make events", Some(hint));
        return None;
    }
    let spec = EventsSpec {
        context: context?,
        max_distance: max_distance?,
        min_confidence: min_confidence?,
        keep: keep?,
        within: within?,
        similarity: similarity?,
    };
    Some(sought.then_some(spec))
}

#[allow(clippy::cast_possible_truncation)] // a share, checked to lie in [0, 1]
fn ppm(share: f64) -> i32 {
    (share * 1e6).round() as i32
}
