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
use super::ratio::{Needle, WHOLE, common_inside, partial_ratio, shortest_window};
use aho_corasick::AhoCorasick;
use hashbrown::HashMap;
use std::sync::OnceLock;

/// Characters of a text that are looked at.
pub(super) const TEXT_LONGEST: usize = 10_000;

/// The shortest piece worth looking for; names that would need shorter ones are tried everywhere.
const PIECE_SHORTEST: usize = 2;

/// The compiled names.
pub(super) struct Fuzzy {
    min: u8,
    shortest: usize,
    names: Vec<Name>,
    /// Names without useful pieces, tried in every window.
    everywhere: Vec<u32>,
    pieces: Vec<Pieces>,
}

struct Name {
    entity: u32,
    chars: Box<[char]>,
    bag: Bag,
    /// Characters to find in a window of the name's length, and in a shorter one.
    inside: usize,
    at_end: usize,
    /// Prepared when first needed: most names never get past the bags.
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
    at: u16,
    /// How far from its place it may be.
    slack: u16,
}

impl Fuzzy {
    /// Compiles names. `min`: least ratio in percent; `shortest`: characters that name and text must both have.
    pub(super) fn build(names: impl Iterator<Item = String>, min: u8, shortest: usize) -> Fuzzy {
        let mut fuzzy = Fuzzy {
            min,
            shortest,
            names: Vec::new(),
            everywhere: Vec::new(),
            pieces: Vec::new(),
        };
        let mut pieces: HashMap<String, Vec<Use>> = HashMap::new();
        for (entity, name) in (0u32..).zip(names) {
            let chars: Box<[char]> = name.chars().collect();
            let len = chars.len();
            if !(shortest.max(1)..=bag::LONGEST).contains(&len) || min > 100 {
                continue;
            }
            let index = u32::try_from(fuzzy.names.len()).unwrap_or(u32::MAX);
            let inside = common_inside(len, min);
            let slack = len - inside;
            let count = 2 * slack + 1;
            if len / count < PIECE_SHORTEST {
                fuzzy.everywhere.push(index);
            } else {
                for i in 0..count {
                    let (from, to) = (len * i / count, len * (i + 1) / count);
                    let [at, slack] = [from, slack].map(|n| u16::try_from(n).unwrap_or(u16::MAX));
                    pieces
                        .entry(chars[from..to].iter().collect())
                        .or_default()
                        .push(Use { name: index, at, slack });
                }
            }
            let at_end = shortest_window(len, min);
            fuzzy.names.push(Name {
                entity,
                bag: Bag::of(&chars),
                chars,
                inside,
                at_end,
                needle: OnceLock::new(),
            });
        }
        let mut pieces: Vec<(String, Vec<Use>)> = pieces.into_iter().collect();
        pieces.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        fuzzy.compile(&pieces);
        fuzzy
    }

    /// One automaton, or several where one would be too large; pieces are shorter than 256 characters, so halving ends.
    fn compile(&mut self, pieces: &[(String, Vec<Use>)]) {
        if pieces.is_empty() {
            return;
        }
        match AhoCorasick::new(pieces.iter().map(|(piece, _)| piece.as_bytes())) {
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
        let mut best: Vec<Option<i32>> = vec![None; self.names.len()];
        for (name, best) in self.names.iter().zip(&mut best) {
            *best = name.at_the_ends(&text, self.min);
        }
        let mut inside = |name: u32, first: usize, last: usize| {
            let index = name as usize;
            self.names[index].inside(&text, first, last, self.min, &mut best[index]);
        };
        for name in &self.everywhere {
            inside(*name, 0, usize::MAX);
        }
        for pieces in &self.pieces {
            for hit in pieces.search.find_overlapping_iter(text.folded) {
                let at = text.char_at(hit.start());
                let pattern = hit.pattern().as_usize();
                let (from, to) = (pieces.starts[pattern] as usize, pieces.starts[pattern + 1] as usize);
                for piece in &pieces.uses[from..to] {
                    // The window starts about `piece.at` before the hit.
                    let Some(last) = (at + usize::from(piece.slack)).checked_sub(usize::from(piece.at)) else {
                        continue;
                    };
                    inside(piece.name, last.saturating_sub(2 * usize::from(piece.slack)), last);
                }
            }
        }
        self.names
            .iter()
            .zip(best)
            .filter_map(|(name, best)| Some((name.entity, best?)))
            .collect()
    }
}

impl Name {
    fn needle(&self) -> &Needle {
        self.needle.get_or_init(|| Needle::new(&self.chars))
    }

    /// The best ratio with windows shorter than the name; with a text no longer than the name, the whole answer.
    fn at_the_ends(&self, text: &Text<'_>, min: u8) -> Option<i32> {
        let (len, n) = (self.chars.len(), text.chars.len());
        if n <= len {
            let possible = text.bag(0, n).common(&self.bag) >= shortest_window(n, min);
            return possible.then(|| partial_ratio(&self.chars, &text.chars, min)).flatten();
        }
        let possible = |from, to| text.bag(from, to).common(&self.bag) >= self.at_end;
        let possible = possible(0, len - 1) || possible(n - (len - 1), n);
        possible.then(|| self.needle().ends(&text.chars, min)).flatten()
    }

    /// Raises `best` to the best ratio with the windows of the name's length that start from `first` to `last`.
    fn inside(&self, text: &Text<'_>, first: usize, last: usize, min: u8, best: &mut Option<i32>) {
        let len = self.chars.len();
        let Some(last) = text.chars.len().checked_sub(len).map(|greatest| last.min(greatest)) else {
            return;
        };
        for start in first..=last {
            if *best == Some(WHOLE) {
                return;
            }
            let end = start + len;
            if text.bag(start, end).common(&self.bag) >= self.inside {
                *best = (*best).max(self.needle().ratio(&text.chars[start..end], min));
            }
        }
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
