//! `partial_ratio`: how well the shorter of two strings fits somewhere in the longer.
//!
//! In: two strings as characters and the least ratio of interest. Out: the best ratio, in parts per million, if it reaches
//! that. The ratio of two strings is 2·LCS / (sum of their lengths); the windows compared are those of the shorter
//! string's length, and shorter ones at both ends of the longer string, as in `RapidFuzz`. All integers: a ratio equal
//! to the least one counts on every machine.

use rapidfuzz::distance::indel::{Args, BatchComparator};

/// A whole ratio in parts per million: the shorter string occurs in the longer.
pub(super) const WHOLE: i32 = 1_000_000;

/// One string prepared for comparison with many windows.
pub(super) struct Needle {
    comparator: BatchComparator<char>,
    len: usize,
}

impl Needle {
    pub(super) fn new(chars: &[char]) -> Self {
        Needle {
            comparator: BatchComparator::new(chars.iter().copied()),
            len: chars.len(),
        }
    }

    /// The ratio with one window, if it reaches `min` percent.
    pub(super) fn ratio(&self, window: &[char], min: u8) -> Option<i32> {
        let total = self.len + window.len();
        let furthest = total * usize::from(100u8.checked_sub(min)?) / 100;
        let distance = self
            .comparator
            .distance_with_args(window.iter().copied(), &Args::default().score_cutoff(furthest))?;
        ppm(total - distance, total)
    }

    /// The best ratio with windows of `text` shorter than this string that touch one of its ends.
    pub(super) fn ends(&self, text: &[char], min: u8) -> Option<i32> {
        let shortest = shortest_window(self.len, min).max(1);
        let lengths = shortest..self.len.min(text.len() + 1);
        let best = lengths.flat_map(|len| [&text[..len], &text[text.len() - len..]]);
        best.filter_map(|window| self.ratio(window, min)).max()
    }
}

fn ppm(part: usize, total: usize) -> Option<i32> {
    i32::try_from((part * 1_000_000 + total / 2).checked_div(total)?).ok()
}

/// Characters that two strings, together `total` long, must have in common, in order, for a ratio of at least `min`
/// percent: 2c / total ≥ min / 100.
pub(super) fn common(total: usize, min: u8) -> usize {
    (total * usize::from(min)).div_ceil(200)
}

/// The length of the shortest window that can have a ratio of at least `min` percent with a string of `len`, and the
/// characters they must then have in common: with c ≤ window, 2c / (len + window) ≥ min / 100 needs
/// c ≥ len·min / (200 − min).
pub(super) fn shortest_window(len: usize, min: u8) -> usize {
    (len * usize::from(min)).div_ceil(200 - usize::from(min.min(100)))
}

/// The partial ratio of two strings, in parts per million, if it reaches `min` percent. An empty string fits nowhere.
pub(super) fn partial_ratio(a: &[char], b: &[char], min: u8) -> Option<i32> {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.is_empty() {
        return None;
    }
    let forth = windows(short, long, min);
    if short.len() < long.len() || forth == Some(WHOLE) {
        return forth;
    }
    forth.max(windows(long, short, min))
}

fn windows(short: &[char], long: &[char], min: u8) -> Option<i32> {
    let needle = Needle::new(short);
    let inside = long
        .windows(short.len())
        .filter_map(|window| needle.ratio(window, min))
        .max();
    inside.max(needle.ends(long, min))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(a: &str, b: &str, min: u8) -> Option<i32> {
        partial_ratio(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>(), min)
    }

    #[test]
    fn the_least_ratio_is_inclusive() {
        // 17 of 20 characters in a window of 20: 34 / 40.
        let name = "abcdefghijklmnopqrst";
        let text = "..abcdefghijklmnopq.....";
        assert_eq!(ratio(text, name, 85), Some(850_000).max(ratio(text, name, 0)));
        assert_eq!(ratio("lebron", "lebron james", 100), Some(WHOLE));
        assert_eq!(ratio("", "lebron", 0), None);
        assert_eq!(ratio("abcd", "abcx", 75), Some(857_143));
    }

    /// (text, name, ratio) by Python's `RapidFuzz` 3.x on random words, near misses and real spellings; made for this
    /// test by `partial_ratio.py` beside it.
    #[test]
    fn agrees_with_the_reference_implementation() {
        let rows = include_str!("../../tests/data/partial_ratio.tsv");
        let mut count = 0;
        for row in rows.lines().filter(|r| !r.starts_with('#')) {
            let mut cells = row.split('\t');
            let (Some(text), Some(name), Some(expected)) = (cells.next(), cells.next(), cells.next()) else {
                panic!("three cells in {row:?}")
            };
            let expected: f64 = expected.parse().expect("a number");
            let ours = ratio(text, name, 0).map_or(0.0, |ppm| f64::from(ppm) / 1e4);
            assert!(
                (ours - expected).abs() < 1e-4,
                "{text:?} / {name:?}: ours {ours}, reference {expected}"
            );
            if (expected - 85.0).abs() > 1e-9 {
                assert_eq!(ratio(text, name, 85).is_some(), expected > 85.0, "{text:?} / {name:?}");
            }
            count += 1;
        }
        assert!(count > 400, "{count} rows");
    }
}
