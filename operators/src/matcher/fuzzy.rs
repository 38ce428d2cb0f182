//! Canonical names that nearly occur in a text.
//!
//! In: folded names (by entity index), then folded texts. Out: the entities whose partial ratio with the text reaches the
//! least ratio, with that ratio in ppm; the same answer as trying every name in every window, for a fraction of the
//! work. State: the names, their character bags and one automaton over pieces of names.
//!
//! A name of m characters that fits a window of m characters with ratio r leaves u = m − ⌈r·m⌉ of its characters
//! unmatched, and as many of the window's. These 2u edits spoil at most 2u of 2u + 1 pieces, so one piece of the name
//! stands in the window unchanged, at most u places from where the name's start puts it. One pass of the automaton finds
//! all pieces of all names; around each, 2u + 1 windows are tried, nearly all of which fail on their bags. Windows
//! shorter than the name occur at the two ends of the text only and are tried there.
//!
//! Bounds: of a text only the first [`TEXT_LONGEST`] characters are looked at (more than any platform's comment), so that
//! a book sent as one post cannot stall a worker; a name longer than [`bag::LONGEST`] characters is not matched.

use super::bag::{self, Bag};
use super::ratio::{Needle, common, partial_ratio, shortest_window};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use hashbrown::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

/// Characters of a text that are looked at.
pub(super) const TEXT_LONGEST: usize = 10_000;

/// The shortest piece worth looking for; names that would need shorter ones are tried everywhere.
const PIECE_SHORTEST: usize = 2;

/// Bytes of pieces up to which their automaton is a table: several times faster to run, but it grows with the alphabet.
const TABLE_LIMIT: usize = 32 * 1024;

/// The compiled names.
pub(super) struct Fuzzy {
    min: u8,
    shortest: usize,
    /// By length.
    names: Vec<Name>,
    /// Bag of `names[i]`; apart because nearly every question about a name ends there.
    bags: Vec<Bag>,
    /// Names without useful pieces, tried in every window.
    everywhere: Vec<u32>,
    pieces: Vec<Pieces>,
}

struct Name {
    entity: u32,
    chars: Box<[char]>,
    /// Prepared when first needed: most names never get past their bag.
    needle: OnceLock<Needle>,
}

struct Pieces {
    search: AhoCorasick,
    /// Uses of pattern `i`: `uses[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
    uses: Vec<Use>,
}

/// A piece of a name.
#[derive(Clone, Copy)]
struct Use {
    name: u32,
    /// Where in the name it starts.
    at: u8,
    /// Characters of the name, and how many of them a window of that length must share.
    len: u8,
    inside: u8,
}

/// The best ratios so far, in any order; a name may occur more than once.
type Hits = Vec<(u32, i32)>;

impl Fuzzy {
    /// Compiles names. `min`: least ratio in percent; `shortest`: characters that name and text must both have.
    pub(super) fn build(names: impl Iterator<Item = String>, min: u8, shortest: usize) -> Fuzzy {
        let lengths = shortest.max(1)..=bag::LONGEST;
        let mut names: Vec<Name> = (0u32..)
            .zip(names)
            .map(|(entity, name)| Name {
                entity,
                chars: name.chars().collect(),
                needle: OnceLock::new(),
            })
            .filter(|name| lengths.contains(&name.chars.len()) && min <= 100)
            .collect();
        names.sort_by_key(|name| name.chars.len());
        let bags = names.iter().map(|name| Bag::of(&name.chars)).collect();
        let (mut everywhere, mut pieces) = (Vec::new(), HashMap::<String, Vec<Use>>::new());
        for (index, name) in (0u32..).zip(&names) {
            let len = name.chars.len();
            let inside = common(2 * len, min);
            let count = 2 * (len - inside) + 1;
            if len / count < PIECE_SHORTEST {
                everywhere.push(index);
                continue;
            }
            for i in 0..count {
                let (from, to) = (len * i / count, len * (i + 1) / count);
                let [at, len, inside] = [from, len, inside].map(|n| u8::try_from(n).unwrap_or(u8::MAX));
                let piece = name.chars[from..to].iter().collect();
                pieces.entry(piece).or_default().push(Use {
                    name: index,
                    at,
                    len,
                    inside,
                });
            }
        }
        let mut pieces: Vec<(String, Vec<Use>)> = pieces.into_iter().collect();
        pieces.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut fuzzy = Fuzzy {
            min,
            shortest,
            names,
            bags,
            everywhere,
            pieces: Vec::new(),
        };
        fuzzy.compile(&pieces);
        fuzzy
    }

    /// One automaton, or several where one would be too large; pieces are shorter than 256 characters, so halving ends.
    fn compile(&mut self, pieces: &[(String, Vec<Use>)]) {
        if pieces.is_empty() {
            return;
        }
        let bytes: usize = pieces.iter().map(|(piece, _)| piece.len()).sum();
        let kind = (bytes <= TABLE_LIMIT).then_some(AhoCorasickKind::DFA);
        match AhoCorasick::builder()
            .kind(kind)
            .build(pieces.iter().map(|(piece, _)| piece.as_bytes()))
        {
            Ok(search) => {
                let mut starts = vec![0];
                let mut uses = Vec::new();
                for (_, list) in pieces {
                    uses.extend_from_slice(list);
                    starts.push(u32::try_from(uses.len()).unwrap_or(u32::MAX));
                }
                self.pieces.push(Pieces { search, starts, uses });
            }
            Err(_) => {
                let (left, right) = pieces.split_at(pieces.len() / 2);
                self.compile(left);
                self.compile(right);
            }
        }
    }

    /// Entities whose name nearly occurs in a folded text, ascending, with the partial ratio in ppm.
    pub(super) fn search(&self, text: &str) -> Vec<(u32, i32)> {
        let text = Text::new(text);
        if text.chars.len() < self.shortest.max(1) {
            return Vec::new();
        }
        let mut hits = Hits::new();
        self.at_the_ends(&text, &mut hits);
        for name in &self.everywhere {
            let len = self.names[*name as usize].chars.len();
            self.inside(&text, *name, common(2 * len, self.min), 0..text.chars.len(), &mut hits);
        }
        for pieces in &self.pieces {
            for hit in pieces.search.find_overlapping_iter(text.folded) {
                let at = text.char_at(hit.start());
                let pattern = hit.pattern().as_usize();
                let (from, to) = (pieces.starts[pattern] as usize, pieces.starts[pattern + 1] as usize);
                for piece in &pieces.uses[from..to] {
                    let slack = usize::from(piece.len - piece.inside);
                    // The window starts about `piece.at` before the hit.
                    let Some(last) = (at + slack).checked_sub(usize::from(piece.at)) else {
                        continue;
                    };
                    let starts = last.saturating_sub(2 * slack)..last + 1;
                    self.inside(&text, piece.name, usize::from(piece.inside), starts, &mut hits);
                }
            }
        }
        for (name, _) in &mut hits {
            *name = self.names[*name as usize].entity;
        }
        hits.sort_unstable_by_key(|(entity, ratio)| (*entity, std::cmp::Reverse(*ratio)));
        hits.dedup_by_key(|(entity, _)| *entity);
        hits
    }

    /// Tries the windows shorter than a name; where the text is no longer than the name, all windows.
    fn at_the_ends(&self, text: &Text<'_>, hits: &mut Hits) {
        let n = text.chars.len();
        let whole = text.bag(0, n.min(bag::LONGEST));
        let mut first = 0;
        for group in self.names.chunk_by(|a, b| a.chars.len() == b.chars.len()) {
            let len = group[0].chars.len();
            let needed = shortest_window(len.min(n), self.min);
            let ends = if n <= len {
                whole
            } else {
                text.bag(0, len - 1).max(&text.bag(n - (len - 1), n))
            };
            for (index, bag) in (first..).zip(&self.bags[first..first + group.len()]) {
                if bag.common(&ends) < needed {
                    continue;
                }
                let name = &self.names[index];
                let best = if n <= len {
                    partial_ratio(&name.chars, &text.chars, self.min)
                } else {
                    let windows = (needed..len).flat_map(|window| [(0, window), (n - window, n)]);
                    let possible = |(from, to): &(usize, usize)| {
                        text.bag(*from, *to).common(bag) >= common(len + to - from, self.min)
                    };
                    let ratio = |(from, to)| name.needle().ratio(&text.chars[from..to], self.min);
                    windows.filter(possible).filter_map(ratio).max()
                };
                hits.extend(best.map(|ratio| (u32::try_from(index).unwrap_or(u32::MAX), ratio)));
            }
            first += group.len();
        }
    }

    /// Tries the windows of a name's length that start in `starts`; `needed`: characters they must share with it.
    fn inside(&self, text: &Text<'_>, index: u32, needed: usize, starts: Range<usize>, hits: &mut Hits) {
        let name = &self.names[index as usize];
        let len = name.chars.len();
        let bag = &self.bags[index as usize];
        let Some(last) = text.chars.len().checked_sub(len) else {
            return;
        };
        let starts = starts.start..starts.end.min(last + 1);
        let reach = starts.end + len;
        // All windows at once first: what their union lacks, each of them lacks.
        if starts.is_empty()
            || (reach - starts.start <= bag::LONGEST && text.bag(starts.start, reach - 1).common(bag) < needed)
        {
            return;
        }
        for start in starts {
            let end = start + len;
            if text.bag(start, end).common(bag) < needed {
                continue;
            }
            let Some(ratio) = name.needle().ratio(&text.chars[start..end], self.min) else {
                continue;
            };
            match hits.last_mut() {
                Some((same, best)) if *same == index => *best = ratio.max(*best),
                _ => hits.push((index, ratio)),
            }
        }
    }
}

impl Name {
    fn needle(&self) -> &Needle {
        self.needle.get_or_init(|| Needle::new(&self.chars))
    }
}

/// A folded text, prepared.
struct Text<'a> {
    folded: &'a str,
    chars: Vec<char>,
    /// `running[i]` is the bag of the first i characters.
    running: Vec<Bag>,
    /// Character index by byte; empty if they are the same.
    char_by_byte: Vec<u32>,
}

impl<'a> Text<'a> {
    fn new(folded: &'a str) -> Self {
        let folded = folded
            .char_indices()
            .nth(TEXT_LONGEST)
            .map_or(folded, |(end, _)| &folded[..end]);
        let chars: Vec<char> = folded.chars().collect();
        let mut running = Vec::with_capacity(chars.len() + 1);
        let mut bag = Bag::default();
        running.push(bag);
        running.extend(chars.iter().map(|c| {
            bag = bag.with(*c);
            bag
        }));
        let mut char_by_byte = Vec::new();
        if chars.len() != folded.len() {
            for (index, c) in (0u32..).zip(&chars) {
                char_by_byte.extend(std::iter::repeat_n(index, c.len_utf8()));
            }
        }
        Text {
            folded,
            chars,
            running,
            char_by_byte,
        }
    }

    fn bag(&self, from: usize, to: usize) -> Bag {
        self.running[to].since(&self.running[from])
    }

    fn char_at(&self, byte: usize) -> usize {
        self.char_by_byte.get(byte).map_or(byte, |c| *c as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ratio::WHOLE;
    use super::*;
    use proptest::prelude::*;

    fn naive(names: &[String], text: &str, min: u8, shortest: usize) -> Vec<(u32, i32)> {
        let text: Vec<char> = text.chars().collect();
        let fits = |name: &String| {
            let name: Vec<char> = name.chars().collect();
            let long_enough = name.len().min(text.len()) >= shortest;
            long_enough.then(|| partial_ratio(&name, &text, min)).flatten()
        };
        (0u32..)
            .zip(names)
            .filter_map(|(i, name)| Some((i, fits(name)?)))
            .collect()
    }

    fn search(names: &[String], text: &str, min: u8, shortest: usize) -> Vec<(u32, i32)> {
        Fuzzy::build(names.iter().cloned(), min, shortest).search(text)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_shortcuts_never_change_the_answer(
            names in prop::collection::vec("[a-d ]{1,12}|[abé大]{4,9}|[a-c]{20,40}", 1..8),
            text in "[a-d ]{0,60}|[abé大 ]{0,40}",
            min in prop::sample::select(vec![0u8, 40, 60, 75, 80, 85, 90, 100, 101]),
            shortest in 1usize..5,
        ) {
            prop_assert_eq!(search(&names, &text, min, shortest), naive(&names, &text, min, shortest));
        }

        #[test]
        fn near_misses_in_long_texts_are_found(
            before in "[a-z ]{0,80}",
            name in "[a-z]{3,12} [a-z]{3,12}",
            after in "[a-z ]{0,80}",
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), proptest::char::range('a', 'z')), 0..4),
        ) {
            let mut typed: Vec<char> = name.chars().collect();
            for (at, insert, c) in edits {
                let at = at.index(typed.len());
                if insert { typed.insert(at, c) } else { typed.remove(at); }
            }
            let text = format!("{before}{}{after}", typed.iter().collect::<String>());
            let names = [name];
            prop_assert_eq!(search(&names, &text, 85, 4), naive(&names, &text, 85, 4));
        }
    }

    #[test]
    fn short_names_and_texts_are_left_alone() {
        let names = ["mo".to_owned(), "mozgov".to_owned()];
        assert_eq!(search(&names, "tomorrow", 85, 4), vec![]);
        assert_eq!(search(&names, "mo", 85, 4), vec![]);
        assert_eq!(search(&names, "mo", 85, 1), vec![(0, WHOLE), (1, WHOLE)]);
        assert_eq!(search(&names, "", 0, 1), vec![]);
    }

    #[test]
    fn a_text_is_read_up_to_the_bound() {
        let names = ["lebron james".to_owned()];
        let text = |n: usize| "x".repeat(n) + "lebron james" + &"x".repeat(100);
        assert_eq!(search(&names, &text(TEXT_LONGEST - 12), 85, 4), vec![(0, WHOLE)]);
        assert_eq!(search(&names, &text(TEXT_LONGEST), 85, 4), vec![]);
        assert_eq!(search(&["y".repeat(bag::LONGEST + 1)], &"y".repeat(900), 85, 4), vec![]);
    }
}
