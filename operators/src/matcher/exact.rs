//! Aliases as they stand, in one pass over the text.
//!
//! In: folded aliases and exclude phrases of entities (by index), then folded texts. Out: the entities named, and those
//! with an exclude phrase in the text. State: one Aho–Corasick automaton over all distinct phrases; the search is linear
//! in the text plus the number of occurrences.

use super::fold::is_word;
use aho_corasick::{AhoCorasick, AhoCorasickKind, StartKind};
use hashbrown::HashMap;
use smallvec::SmallVec;

/// Collects phrases.
pub(crate) struct Builder {
    whole_words: bool,
    phrases: HashMap<String, Vec<Target>>,
}

/// What an occurrence of a phrase means for one entity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    entity: u32,
    exclude: bool,
}

/// The compiled phrases.
pub(crate) struct Exact {
    whole_words: bool,
    automata: Vec<Automaton>,
}

/// Dictionaries of up to this many bytes get a full transition table (some 160 bytes per byte of the dictionary, so two
/// megabytes): one look-up per byte of text. Larger ones would leave the caches, and get the compact form.
const FULL_TABLE: usize = 16 << 10;

struct Automaton {
    search: AhoCorasick,
    /// Targets of pattern `i`: `targets[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
    targets: Vec<Target>,
}

/// What a text says exactly; both lists ascending, without duplicates.
#[derive(Default, Debug, PartialEq)]
pub(super) struct Found {
    /// Entities named outside their exclude phrases.
    pub entities: SmallVec<[u32; 8]>,
    /// Entities with an exclude phrase in the text.
    pub excluded: SmallVec<[u32; 4]>,
}

/// An occurrence of a phrase of an entity, in bytes of the folded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) entity: u32,
}

impl Builder {
    /// `whole_words`: an occurrence counts only if no word character adjoins it.
    pub(crate) fn new(whole_words: bool) -> Self {
        Builder {
            whole_words,
            phrases: HashMap::new(),
        }
    }

    /// Adds a folded alias of an entity; an empty one is no alias.
    pub(crate) fn alias(&mut self, entity: u32, alias: &str) {
        self.add(alias, Target { entity, exclude: false });
    }

    /// Adds a folded exclude phrase of an entity.
    pub(crate) fn exclude(&mut self, entity: u32, phrase: &str) {
        self.add(phrase, Target { entity, exclude: true });
    }

    fn add(&mut self, phrase: &str, target: Target) {
        if !phrase.is_empty() {
            self.phrases.entry_ref(phrase).or_default().push(target);
        }
    }

    /// Compiles them.
    pub(crate) fn build(self) -> Exact {
        let mut phrases: Vec<(String, Vec<Target>)> = self.phrases.into_iter().collect();
        phrases.sort_unstable();
        let mut automata = Vec::new();
        compile(&mut phrases, &mut automata);
        Exact {
            whole_words: self.whole_words,
            automata,
        }
    }
}

/// An automaton has at most 2³¹ states; a dictionary beyond that is cut in two until each part fits. What does not fit
/// alone is a phrase of gigabytes, longer than any text.
fn compile(phrases: &mut [(String, Vec<Target>)], out: &mut Vec<Automaton>) {
    if phrases.is_empty() {
        return;
    }
    let bytes: usize = phrases.iter().map(|(phrase, _)| phrase.len()).sum();
    let automaton = AhoCorasick::builder()
        .start_kind(StartKind::Unanchored)
        .kind((bytes <= FULL_TABLE).then_some(AhoCorasickKind::DFA))
        .build(phrases.iter().map(|(phrase, _)| phrase.as_bytes()));
    match automaton {
        Ok(search) => {
            let mut starts = vec![0];
            let mut targets: Vec<Target> = Vec::new();
            for (_, list) in phrases {
                list.sort_unstable();
                list.dedup();
                targets.extend_from_slice(list);
                starts.push(u32::try_from(targets.len()).unwrap_or(u32::MAX));
            }
            out.push(Automaton {
                search,
                starts,
                targets,
            });
        }
        Err(_) if phrases.len() > 1 => {
            let (left, right) = phrases.split_at_mut(phrases.len() / 2);
            compile(left, out);
            compile(right, out);
        }
        Err(_) => {}
    }
}

impl Exact {
    /// What a folded text says.
    pub(super) fn search(&self, text: &str) -> Found {
        let (named, excludes) = self.occurrences(text);
        let mut found = Found::default();
        if excludes.is_empty() {
            found.entities.extend(named.iter().map(|s| s.entity));
        } else {
            let excludes = Excludes::new(excludes);
            found
                .entities
                .extend(named.iter().filter(|s| !excludes.cover(s)).map(|s| s.entity));
            found.excluded.extend(excludes.spans.iter().map(|s| s.entity));
            found.excluded.dedup();
        }
        found.entities.sort_unstable();
        found.entities.dedup();
        found
    }

    /// Where entities are named outside their exclude phrases, by position.
    pub(crate) fn spans(&self, text: &str) -> Vec<Span> {
        let (named, excludes) = self.occurrences(text);
        let excludes = Excludes::new(excludes);
        let mut spans: Vec<Span> = named.into_iter().filter(|s| !excludes.cover(s)).collect();
        spans.sort_unstable();
        spans.dedup();
        spans
    }

    /// Occurrences of aliases and of exclude phrases.
    fn occurrences(&self, text: &str) -> (SmallVec<[Span; 8]>, SmallVec<[Span; 4]>) {
        let mut named: SmallVec<[Span; 8]> = SmallVec::new();
        let mut excludes: SmallVec<[Span; 4]> = SmallVec::new();
        for automaton in &self.automata {
            for hit in automaton.search.find_overlapping_iter(text) {
                if self.whole_words && !stands_alone(text, hit.start(), hit.end()) {
                    continue;
                }
                let pattern = hit.pattern().as_usize();
                let (from, to) = (
                    automaton.starts[pattern] as usize,
                    automaton.starts[pattern + 1] as usize,
                );
                for target in &automaton.targets[from..to] {
                    let span = Span {
                        start: hit.start(),
                        end: hit.end(),
                        entity: target.entity,
                    };
                    if target.exclude {
                        excludes.push(span)
                    } else {
                        named.push(span)
                    }
                }
            }
        }
        (named, excludes)
    }
}

/// Exclude phrases of a text by (entity, start), each `end` raised to the greatest so far of its entity: a name lies
/// inside one of them exactly if it ends before the raised end of the last one that starts at or before it.
struct Excludes {
    spans: SmallVec<[Span; 4]>,
}

impl Excludes {
    fn new(mut spans: SmallVec<[Span; 4]>) -> Self {
        spans.sort_unstable_by_key(|s| (s.entity, s.start));
        for i in 1..spans.len() {
            if spans[i - 1].entity == spans[i].entity {
                spans[i].end = spans[i].end.max(spans[i - 1].end);
            }
        }
        Excludes { spans }
    }

    fn cover(&self, name: &Span) -> bool {
        let after = self
            .spans
            .partition_point(|s| (s.entity, s.start) <= (name.entity, name.start));
        after
            .checked_sub(1)
            .map(|i| self.spans[i])
            .is_some_and(|s| s.entity == name.entity && s.end >= name.end)
    }
}

/// Whether no word character adjoins the span. Its ends are character boundaries: phrases are whole characters.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    let before = match start.checked_sub(1).map(|i| bytes[i]) {
        None => false,
        Some(b) if b.is_ascii() => b.is_ascii_alphanumeric() || b == b'_',
        Some(_) => text[..start].chars().next_back().is_some_and(is_word),
    };
    if before {
        return false;
    }
    match bytes.get(end) {
        None => true,
        Some(b) if b.is_ascii() => !(b.is_ascii_alphanumeric() || *b == b'_'),
        Some(_) => !text[end..].chars().next().is_some_and(is_word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entities: &[u32], excluded: &[u32]) -> Found {
        Found {
            entities: entities.into(),
            excluded: excluded.into(),
        }
    }

    #[test]
    fn overlapping_phrases_are_all_found_once() {
        let mut builder = Builder::new(true);
        builder.alias(3, "kevin love");
        builder.alias(1, "love");
        builder.alias(2, "love");
        builder.alias(2, "");
        let exact = builder.build();
        assert_eq!(exact.search("kevin love, love"), found(&[1, 2, 3], &[]));
        assert_eq!(exact.search("glove loves love_it"), found(&[], &[]));
        assert_eq!(exact.search(""), found(&[], &[]));
    }

    #[test]
    fn an_exclude_phrase_silences_only_what_lies_inside_it() {
        let mut builder = Builder::new(true);
        builder.alias(0, "love");
        builder.exclude(0, "love it");
        builder.exclude(0, "i love it so");
        builder.alias(1, "it");
        let exact = builder.build();
        assert_eq!(exact.search("i love it"), found(&[1], &[0]));
        assert_eq!(exact.search("i love it so love"), found(&[0, 1], &[0]));
        assert_eq!(exact.search("love items"), found(&[0], &[]));
    }

    #[test]
    fn nothing_is_found_without_phrases() {
        assert_eq!(Builder::new(true).build().search("anything"), found(&[], &[]));
    }
}
