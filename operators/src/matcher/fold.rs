//! Texts and aliases in one comparable form.
//!
//! In: any string. Out: the string with full Unicode case folding (`STRASSE` = `Straße`), composed (NFC, so that `é` is
//! one character however it was typed), typographic apostrophes made plain, and every run of white space made one space.

use icu_casemap::CaseMapperBorrowed;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

const CASES: CaseMapperBorrowed<'static> = CaseMapperBorrowed::new();
const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();

/// The folded form of a string.
pub(crate) fn fold(text: &str) -> String {
    if is_plain(text) {
        return text.to_ascii_lowercase();
    }
    let mut out = String::with_capacity(text.len());
    if text.is_ascii() {
        push(&mut out, text.chars().map(|c| c.to_ascii_lowercase()));
    } else {
        push(&mut out, NFC.normalize(&CASES.fold_string(text)).chars());
    }
    out
}

/// Whether letter case is all there is to fold: ASCII with single spaces, as most posts are. Loops without an early exit,
/// because those run on many bytes at once.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let odd = bytes
        .iter()
        .fold(false, |odd, b| odd | !b.is_ascii() | (9..=13).contains(b));
    let double = |next: &[u8]| {
        bytes
            .iter()
            .zip(next)
            .fold(false, |double, (a, b)| double | ((*a == b' ') & (*b == b' ')))
    };
    !odd && !double(bytes.get(1..).unwrap_or_default())
}

fn push(out: &mut String, chars: impl Iterator<Item = char>) {
    let mut space = false;
    for c in chars {
        if c.is_whitespace() {
            if !space {
                out.push(' ');
            }
            space = true;
            continue;
        }
        space = false;
        out.push(match c {
            '\u{2018}' | '\u{2019}' | '\u{02BC}' | '\u{FF07}' => '\'',
            c => c,
        });
    }
}

/// A folded text that knows where its parts come from.
pub(crate) struct Folded {
    /// What [`fold`] gives.
    pub(crate) text: String,
    /// Where the folded form of a cluster of characters starts in bytes, and the cluster in characters of the original; the
    /// ends of both last. Empty where a byte is a character on both sides.
    starts: Vec<(usize, u32)>,
}

impl Folded {
    /// Folds a text. A cluster is a character with its marks; where folding reaches across clusters, a word.
    pub(crate) fn new(text: &str) -> Self {
        if is_plain(text) {
            return Folded {
                text: text.to_ascii_lowercase(),
                starts: Vec::new(),
            };
        }
        let mut folded = Folded {
            text: String::with_capacity(text.len()),
            starts: Vec::new(),
        };
        let (mut at, mut rest) = (0u32, text);
        while let Some(first) = rest.chars().next() {
            let blank = first.is_whitespace();
            let piece = &rest[..rest.find(|c: char| c.is_whitespace() != blank).unwrap_or(rest.len())];
            if blank {
                folded.starts.push((folded.text.len(), at));
                folded.text.push(' ');
                at = at.saturating_add(count(piece));
            } else {
                folded.word(piece, &mut at);
            }
            rest = &rest[piece.len()..];
        }
        folded.starts.push((folded.text.len(), at));
        folded
    }

    fn word(&mut self, word: &str, at: &mut u32) {
        let whole = fold(word);
        let (from, starts) = (self.text.len(), self.starts.len());
        let mut rest = word;
        while !rest.is_empty() {
            let end = rest
                .char_indices()
                .skip(1)
                .find(|(_, c)| !is_mark(*c))
                .map_or(rest.len(), |(i, _)| i);
            self.starts.push((self.text.len(), *at));
            self.text.push_str(&fold(&rest[..end]));
            *at = at.saturating_add(count(&rest[..end]));
            rest = &rest[end..];
        }
        if self.text[from..] != *whole {
            self.starts.truncate(starts + 1);
            self.text.truncate(from);
            self.text.push_str(&whole);
        }
    }

    /// The characters of the original that a part of the folded text comes from; whole clusters.
    pub(crate) fn characters(&self, start: usize, end: usize) -> (u32, u32) {
        let plain = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
        if self.starts.is_empty() {
            return (plain(start), plain(end));
        }
        let first = self
            .starts
            .partition_point(|(byte, _)| *byte <= start)
            .saturating_sub(1);
        let last = self.starts.partition_point(|(byte, _)| *byte < end);
        let at = |i: usize| self.starts.get(i).or(self.starts.last()).map_or(0, |(_, at)| *at);
        (at(first), at(last))
    }
}

fn count(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

fn is_mark(c: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark, SpacingMark};
    matches!(
        CodePointMapData::<GeneralCategory>::new().get(c),
        NonspacingMark | SpacingMark | EnclosingMark
    )
}

/// Whether a character belongs to a word: letters and digits of all scripts, the underscore, and the marks that complete a
/// letter (a vowel sign, a virama). Variation selectors and enclosing marks complete emoji, not words.
pub(crate) fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    c.is_alphanumeric()
        || (!matches!(c, '\u{FE00}'..='\u{FE0F}')
            && matches!(
                CodePointMapData::<GeneralCategory>::new().get(c),
                GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark
            ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_composition_apostrophes_and_blanks_disappear() {
        assert_eq!(fold("STRASSE"), fold("Straße"));
        assert_eq!(fold("ΟΔΥΣΣΕΥΣ"), fold("Οδυσσεύς").replace('ύ', "υ"));
        assert_eq!(fold("Beyonce\u{301}"), "beyoncé");
        assert_eq!(fold("ﬁnals"), "finals");
        assert_eq!(fold("O’Neal"), "o'neal");
        assert_eq!(fold("Kevin \t\r\n\u{a0}Love\n"), "kevin love ");
        assert_eq!(fold(""), "");
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for text in ["İstanbul", "ǅ ǰ ΐ ẞ", "ᾳ ͅ", "🐐❤️ O’Neal", "Ｆｕｌｌ　ｗｉｄｔｈ"] {
            assert_eq!(fold(&fold(text)), fold(text), "{text}");
        }
    }

    #[test]
    fn positions_lead_back_to_the_original() {
        let original = "\u{a0} Der STRASSE e\u{301}clair’s \t ﬁn";
        let folded = Folded::new(original);
        let back = |part: &str| {
            let at = folded.text.find(part).expect("is there");
            let (from, to) = folded.characters(at, at + part.len());
            let (from, to) = (from as usize, to as usize);
            original.chars().skip(from).take(to - from).collect::<String>()
        };
        assert_eq!(back("strasse"), "STRASSE");
        assert_eq!(back("éclair"), "e\u{301}clair");
        assert_eq!(back("clair's fi"), "clair’s \t ﬁ");
        assert_eq!(back("fin"), "ﬁn");
        assert_eq!(Folded::new("A Plain one").characters(2, 7), (2, 7));
    }

    proptest::proptest! {
        #[test]
        fn a_folded_text_is_the_fold_of_the_text(text in "(?s)[a-cA-C é\u{301}\u{1100}\u{1161}\u{11a8}’ß\u{130}\t\u{3000}\u{345}]{0,30}|.{0,30}") {
            let folded = Folded::new(&text);
            proptest::prop_assert_eq!(&folded.text, &fold(&text));
            let all = u32::try_from(text.chars().count()).expect("short");
            proptest::prop_assert_eq!(folded.characters(0, folded.text.len()), (0, all));
        }
    }

    #[test]
    fn words_are_made_of_letters_digits_underscores_and_their_marks() {
        assert!("aZ9_é大ก²".chars().all(is_word));
        assert!(is_word('\u{94d}'), "a virama joins two consonants of one word");
        assert!(!"-.'@# ❤🐐\u{fe0f}\u{20e3}\u{200d}".chars().any(is_word));
    }
}
