//! Which entities a text mentions: pure logic, no dataflow.
//!
//! In: the dictionary (once, when it changes) and a text. Out: one [`Mention`] per entity, sorted by entity. State: the
//! compiled dictionary only, so the answer is a function of (dictionary, spec, text) and can be computed anywhere.
//!
//! The rule: aliases and canonical names as whole words, letter case folded (`fold`, `exact`); only where no entity
//! was named that way, canonical names approximately (`fuzzy`, `ratio`). An exclude phrase silences the matches of
//! its entity that lie inside it, and keeps the fuzzy rule from bringing that entity back.
//!
//! With [`LinkSpec::seed_compat`] the rule is the first systems', to the letter: `alias.lower() in text.lower()`,
//! substrings of words included, listed aliases only, exclude phrases unknown; else
//! `partial_ratio(text.lower(), name.lower())` whatever the length of the name.

mod bag;
pub(crate) mod exact;
pub(crate) mod fold;
mod fuzzy;
mod ratio;

use exact::Exact;
use fuzzy::Fuzzy;
use groundswell_core::id::Dim;
use groundswell_core::record::Entity;
use groundswell_core::serving::Mention;
use groundswell_core::spec::{LinkSpec, Method};
use smallvec::SmallVec;

/// Characters the shorter of name and text must have for a fuzzy match. Anything shorter is found inside unrelated words
/// all the time ("Mo" in "tomorrow" is a perfect partial ratio, and the text "no" is one for "Nolan").
const FUZZY_SHORTEST: usize = 4;

/// A dictionary, compiled for linking texts; immutable and shareable between threads.
pub struct Matcher {
    /// By entity index; ascending.
    dims: Vec<Dim>,
    exact: Exact,
    exact_confidence: i32,
    fuzzy: Option<Fuzzy>,
    seed_compat: bool,
}

impl Matcher {
    /// Compiles a dictionary. The order of the entities does not matter; names that fold to nothing are left out.
    pub fn build<'a>(entities: impl Iterator<Item = &'a Entity>, spec: &LinkSpec) -> Matcher {
        let mut entities: Vec<(Dim, &Entity)> = entities.map(|e| (Dim::of(&e.id), e)).collect();
        entities.sort_unstable();
        let seed = spec.seed_compat;
        let mut exact = exact::Builder::new(!seed);
        for (index, (_, entity)) in (0u32..).zip(&entities) {
            for alias in &entity.aliases {
                exact.alias(index, &fold_phrase(alias, seed));
            }
            if !seed {
                exact.alias(index, &fold_phrase(&entity.name, seed));
                for phrase in &entity.exclude {
                    exact.exclude(index, &fold_phrase(phrase, seed));
                }
            }
        }
        let fuzzy = spec.fuzzy_min.map(|min| {
            let names = entities.iter().map(|(_, entity)| fold_phrase(&entity.name, seed));
            Fuzzy::build(names, min, if seed { 1 } else { FUZZY_SHORTEST })
        });
        Matcher {
            dims: entities.into_iter().map(|(dim, _)| dim).collect(),
            exact: exact.build(),
            exact_confidence: spec.exact_confidence,
            fuzzy,
            seed_compat: seed,
        }
    }

    /// The entities a text mentions, one mention each, sorted by entity.
    pub fn link(&self, text: &str) -> SmallVec<[Mention; 2]> {
        let text = fold_text(text, self.seed_compat);
        let found = self.exact.search(&text);
        let mut mentions: SmallVec<[Mention; 2]> = SmallVec::new();
        if !found.entities.is_empty() {
            mentions.extend(found.entities.iter().map(|index| Mention {
                entity: self.dim(*index),
                confidence: self.exact_confidence,
                method: Method::Exact,
            }));
        } else if let Some(fuzzy) = &self.fuzzy {
            mentions.extend(
                fuzzy
                    .search(&text)
                    .into_iter()
                    .filter(|(index, _)| !found.excluded.contains(index))
                    .map(|(index, confidence)| Mention {
                        entity: self.dim(index),
                        confidence,
                        method: Method::Fuzzy,
                    }),
            );
        }
        // Two records of one id, should the caller hand over both, are one entity: the surer mention stays.
        mentions.sort_unstable_by_key(|m| (m.entity, std::cmp::Reverse(m.confidence)));
        mentions.dedup_by_key(|m| m.entity);
        mentions
    }

    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.dims.len()
    }

    /// Whether there are none, so that nothing is ever linked.
    pub fn is_empty(&self) -> bool {
        self.dims.is_empty()
    }

    fn dim(&self, index: u32) -> Dim {
        self.dims[index as usize]
    }
}

fn fold_text(text: &str, seed: bool) -> String {
    if seed { text.to_lowercase() } else { fold::fold(text) }
}

/// An alias, name or phrase of the dictionary, folded like the texts; blanks at its ends are not part of it. The seed rule
/// takes aliases as they are, but an empty one, which is "in" every text, is dropped like any other.
fn fold_phrase(phrase: &str, seed: bool) -> String {
    if seed {
        phrase.to_lowercase()
    } else {
        fold::fold(phrase.trim())
    }
}

#[cfg(test)]
mod tests;
