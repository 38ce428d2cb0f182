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
pub(super) fn fold(text: &str) -> String {
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

/// Whether a character belongs to a word: letters and digits of all scripts, the underscore, and the marks that complete a
/// letter (a vowel sign, a virama). Variation selectors and enclosing marks complete emoji, not words.
pub(super) fn is_word(c: char) -> bool {
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
    fn words_are_made_of_letters_digits_underscores_and_their_marks() {
        assert!("aZ9_é大ก²".chars().all(is_word));
        assert!(is_word('\u{94d}'), "a virama joins two consonants of one word");
        assert!(!"-.'@# ❤🐐\u{fe0f}\u{20e3}\u{200d}".chars().any(is_word));
    }
}
