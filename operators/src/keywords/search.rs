//! Which keywords a text contains, about whom, and how sure that is: pure logic, no dataflow.
//!
//! In: the dictionaries (once, when they change) and a text. Out: at most one [`Match`] for each keyword and entity. State:
//! two Aho–Corasick automata; a search is linear in the text and its occurrences, and looks at no more than what stands
//! within the context of an occurrence.
//!
//! The rule:
//!
//! 1. Phrases, exclusions, names and aliases are found as whole words in any letter case ("TGE" is not in "portTGEs").
//! 2. An occurrence is about the entities that are named at most `max_distance` characters from it. Where several
//!    occurrences of a keyword are about one entity, the best counts: not suppressed before suppressed, then the surer, then
//!    the earlier. A keyword of which no occurrence is about anybody makes one match without an entity.
//! 3. An exclusion at most `context` characters from the occurrence suppresses it. The match is kept and says by what: the
//!    nearest one, of equally near ones the first.
//! 4. The confidence is *form + company*:
//!
//!    | form | |
//!    |---|---|
//!    | a phrase of several words | 0.95 |
//!    | a single word, or an acronym as it is spelled ("TGE") | 0.90 |
//!    | an acronym in other letters ("tge") | 0.80 |
//!
//!    | company | |
//!    |---|---|
//!    | named at a distance of d characters | +0.05 · (1 − d / `max_distance`) |
//!    | nobody named | −0.05 |
//!
//!    Matches below `min_confidence` are none.

use crate::matcher::exact::{Builder, Exact, Span};
use crate::matcher::fold::{Folded, fold, is_word};
use groundswell_core::id::Dim;
use groundswell_core::keywords::{EventsSpec, Keyword, characters};
use groundswell_core::record::Entity;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Confidence of a phrase of several words, ppm.
const SEVERAL: i32 = 950_000;
/// Of a single word.
const SINGLE: i32 = 900_000;
/// Of an acronym in other letters.
const MISSPELT: i32 = 800_000;
/// What a named entity adds at most, and what its absence takes away.
const COMPANY: i32 = 50_000;

/// A keyword found in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Match {
    /// The keyword.
    pub keyword: Dim,
    /// The entity, or [`Dim::NONE`].
    pub entity: Dim,
    /// The entity's name, or [`Dim::NONE`].
    pub company: Dim,
    /// Where, in characters: first, and the one after the last.
    pub span: (u32, u32),
    /// The same with its context.
    pub context: (u32, u32),
    /// How sure, ppm.
    pub confidence: i32,
    /// The exclusion near by, or [`Dim::NONE`].
    pub suppressed_by: Dim,
}

/// Keywords and entities, compiled for searching texts.
pub struct Dictionary {
    spec: EventsSpec,
    /// By the number of a phrase in `phrases`.
    meanings: Vec<Meaning>,
    phrases: Exact,
    /// By the number of an entity in `names`: its id and its name.
    entities: Vec<(Dim, Dim)>,
    names: Exact,
    keywords: usize,
}

/// What an occurrence of a phrase says.
struct Meaning {
    keyword: Dim,
    kind: Kind,
}

enum Kind {
    Several,
    Single,
    /// As it is spelled.
    Acronym(String),
    Exclusion(Dim),
}

/// An occurrence in characters of the original text.
#[derive(Clone, Copy)]
struct Place {
    span: (u32, u32),
    what: usize,
}

impl Dictionary {
    /// Compiles the dictionaries; the order does not matter.
    pub fn build<'a>(
        keywords: impl Iterator<Item = &'a Keyword>,
        entities: impl Iterator<Item = &'a Entity>,
        spec: &EventsSpec,
    ) -> Dictionary {
        let (mut meanings, mut phrases, mut count) = (Vec::new(), Builder::new(true), 0);
        for keyword in keywords {
            count += 1;
            let id = Dim::of(&keyword.id);
            let all = keyword.phrases.iter().map(|phrase| (phrase, kind_of(phrase.trim())));
            let exclusions = keyword.exclude.iter();
            let all = all.chain(exclusions.map(|phrase| (phrase, Kind::Exclusion(Dim::of(phrase.trim())))));
            for (phrase, kind) in all {
                let index = u32::try_from(meanings.len()).unwrap_or(u32::MAX);
                meanings.push(Meaning { keyword: id, kind });
                phrases.alias(index, &fold(phrase.trim()));
            }
        }
        let mut known: Vec<&Entity> = entities.collect();
        known.sort_unstable();
        let mut names = Builder::new(true);
        for (index, entity) in (0u32..).zip(&known) {
            for alias in entity.aliases.iter().chain([&entity.name]) {
                names.alias(index, &fold(alias.trim()));
            }
            for phrase in &entity.exclude {
                names.exclude(index, &fold(phrase.trim()));
            }
        }
        Dictionary {
            spec: *spec,
            meanings,
            phrases: phrases.build(),
            entities: known.iter().map(|e| (Dim::of(&e.id), Dim::of(&e.name))).collect(),
            names: names.build(),
            keywords: count,
        }
    }

    /// Whether there are no keywords, so that nothing is ever found.
    pub fn is_empty(&self) -> bool {
        self.keywords == 0
    }

    /// The keywords of a text, by keyword and entity.
    pub fn search(&self, text: &str) -> Vec<Match> {
        let folded = Folded::new(text);
        let phrases = places(self.phrases.spans(&folded.text), &folded);
        let is_exclusion = |place: &Place| matches!(self.meaning(place).map(|m| &m.kind), Some(Kind::Exclusion(_)));
        if phrases.iter().all(is_exclusion) {
            return Vec::new();
        }
        let names = Nearby::new(places(self.names.spans(&folded.text), &folded));
        let mut exclusions = BTreeMap::<Dim, Vec<Place>>::new();
        for place in phrases.iter().filter(|place| is_exclusion(place)) {
            if let Some(meaning) = self.meaning(place) {
                exclusions.entry(meaning.keyword).or_default().push(*place);
            }
        }
        let exclusions: BTreeMap<Dim, Nearby> = exclusions.into_iter().map(|(k, v)| (k, Nearby::new(v))).collect();
        let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let mut best = BTreeMap::<(Dim, Dim), Match>::new();
        for place in phrases.iter().filter(|place| !is_exclusion(place)) {
            let Some(meaning) = self.meaning(place) else { continue };
            let (from, to) = place.span;
            let mut found = Match {
                keyword: meaning.keyword,
                entity: Dim::NONE,
                company: Dim::NONE,
                span: place.span,
                context: (
                    from.saturating_sub(self.spec.context),
                    to.saturating_add(self.spec.context).min(length),
                ),
                confidence: 0,
                suppressed_by: self.suppressor(exclusions.get(&meaning.keyword), place.span),
            };
            let form = meaning.form(text, place.span);
            found.confidence = form - COMPANY;
            consider(&mut best, found, self.spec.min_confidence);
            for (name, distance) in names.near(place.span, self.spec.max_distance) {
                let Some((entity, company)) = self.entities.get(name.what) else {
                    continue;
                };
                (found.entity, found.company) = (*entity, *company);
                found.confidence = form + self.company(distance);
                consider(&mut best, found, self.spec.min_confidence);
            }
        }
        // What is about somebody is not about nobody as well.
        let about: Vec<Dim> = best.keys().filter(|(_, e)| *e != Dim::NONE).map(|(k, _)| *k).collect();
        best.retain(|(keyword, entity), _| *entity != Dim::NONE || about.binary_search(keyword).is_err());
        best.into_values().collect()
    }

    fn meaning(&self, place: &Place) -> Option<&Meaning> {
        self.meanings.get(place.what)
    }

    fn company(&self, distance: u32) -> i32 {
        let most = i64::from(self.spec.max_distance.max(1));
        let left = most - i64::from(distance);
        i32::try_from(i64::from(COMPANY) * left / most).unwrap_or(0)
    }

    fn suppressor(&self, exclusions: Option<&Nearby>, span: (u32, u32)) -> Dim {
        let near = exclusions.into_iter().flat_map(|all| all.near(span, self.spec.context));
        let nearest = near.min_by_key(|(place, distance)| (*distance, place.span, self.exclusion(place)));
        nearest.map_or(Dim::NONE, |(place, _)| self.exclusion(place))
    }

    fn exclusion(&self, place: &Place) -> Dim {
        match self.meaning(place).map(|m| &m.kind) {
            Some(Kind::Exclusion(phrase)) => *phrase,
            _ => Dim::NONE,
        }
    }
}

impl Meaning {
    fn form(&self, text: &str, span: (u32, u32)) -> i32 {
        match &self.kind {
            Kind::Several => SEVERAL,
            Kind::Acronym(spelled) if characters(text, span) != spelled => MISSPELT,
            Kind::Single | Kind::Acronym(_) | Kind::Exclusion(_) => SINGLE,
        }
    }
}

fn kind_of(phrase: &str) -> Kind {
    let letters = phrase.chars().filter(|c| c.is_alphabetic()).count();
    if phrase.chars().any(|c| !is_word(c)) {
        Kind::Several
    } else if letters >= 2 && !phrase.chars().any(char::is_lowercase) {
        Kind::Acronym(phrase.to_owned())
    } else {
        Kind::Single
    }
}

/// Keeps the better of two matches of one keyword and entity.
fn consider(best: &mut BTreeMap<(Dim, Dim), Match>, found: Match, least: i32) {
    if found.confidence < least {
        return;
    }
    let worth = |m: &Match| {
        (
            m.suppressed_by != Dim::NONE,
            Reverse(m.confidence),
            m.span,
            m.suppressed_by,
        )
    };
    let slot = best.entry((found.keyword, found.entity)).or_insert(found);
    if worth(&found) < worth(slot) {
        *slot = found;
    }
}

fn places(spans: Vec<Span>, folded: &Folded) -> Vec<Place> {
    let place = |span: Span| Place {
        span: folded.characters(span.start, span.end),
        what: span.entity as usize,
    };
    spans.into_iter().map(place).collect()
}

/// Places by where they start, and the length of the longest: what is near a span starts in a bounded part of them.
struct Nearby {
    places: Vec<Place>,
    longest: u32,
}

impl Nearby {
    fn new(mut places: Vec<Place>) -> Self {
        places.sort_unstable_by_key(|place| (place.span, place.what));
        let longest = places.iter().map(|place| place.span.1 - place.span.0).max();
        Nearby {
            places,
            longest: longest.unwrap_or(0),
        }
    }

    /// Those at most so many characters away, with how many; 0 where they touch or overlap.
    fn near(&self, (from, to): (u32, u32), most: u32) -> impl Iterator<Item = (&Place, u32)> {
        let first = from.saturating_sub(most).saturating_sub(self.longest);
        let begin = self.places.partition_point(|place| place.span.0 < first);
        let last = to.saturating_add(most);
        let some = self.places[begin..]
            .iter()
            .take_while(move |place| place.span.0 <= last);
        some.filter_map(move |place| {
            let (start, end) = place.span;
            let distance = start.saturating_sub(to).max(from.saturating_sub(end));
            (distance <= most).then_some((place, distance))
        })
    }
}

#[cfg(test)]
mod tests;
