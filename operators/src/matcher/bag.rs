//! A coarse multiset of characters, to reject windows in a few instructions.
//!
//! Characters fall into 32 bins, so what two bags have in common is never less than what the strings have in common, in
//! order or not: rejecting on it never loses a match.

/// How many characters fall into each bin; exact for strings of at most [`LONGEST`] characters.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
#[repr(align(32))]
pub(super) struct Bag([u8; 32]);

/// Characters a bag can count without overflow, whatever they are.
pub(super) const LONGEST: usize = 255;

impl Bag {
    /// The bag of some characters.
    pub(super) fn of(chars: &[char]) -> Bag {
        chars.iter().fold(Bag::default(), |bag, c| bag.with(*c))
    }

    /// This bag and one more character, modulo 256 per bin: differences of running bags stay exact.
    #[allow(clippy::cast_possible_truncation)] // the low five bits choose the bin
    pub(super) fn with(mut self, c: char) -> Bag {
        let bin = &mut self.0[(c as usize) & 31];
        *bin = bin.wrapping_add(1);
        self
    }

    /// What came since `earlier`, a running bag of the same text.
    pub(super) fn since(&self, earlier: &Bag) -> Bag {
        Bag(std::array::from_fn(|i| self.0[i].wrapping_sub(earlier.0[i])))
    }

    /// The greater count of each bin: what either of two strings shares with a third, this shares too.
    pub(super) fn max(&self, other: &Bag) -> Bag {
        Bag(std::array::from_fn(|i| self.0[i].max(other.0[i])))
    }

    /// An upper bound of the characters two strings share; at most [`LONGEST`] if one of them has no more.
    pub(super) fn common(&self, other: &Bag) -> usize {
        usize::from(
            self.0
                .iter()
                .zip(&other.0)
                .fold(0u8, |sum, (a, b)| sum.wrapping_add(*a.min(b))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_strings_share_or_more() {
        let bag = |s: &str| Bag::of(&s.chars().collect::<Vec<_>>());
        assert_eq!(bag("love").common(&bag("glove")), 4);
        assert_eq!(bag("aab").common(&bag("abb")), 2);
        assert_eq!(bag("").common(&bag("x")), 0);
        assert_eq!(bag("love").max(&bag("glove")), bag("glove"));
        let long = "x".repeat(300) + "love";
        let chars: Vec<char> = long.chars().collect();
        assert_eq!(Bag::of(&chars).since(&Bag::of(&chars[..300])), bag("love"));
    }
}
