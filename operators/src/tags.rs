//! Tags: the hashtags and the names that a post's text says.
//!
//! *In*: live rows. *Out*: for each post that has any, its tags and names as mentions of the methods [`Method::Tag`] and
//! [`Method::Named`], each once. *State*: per such post what was emitted. *Emits* at the tick of the change. *A retraction*
//! gives back what was emitted, from state.
//!
//! A *tag* begins with `#` (or `＃`) and goes on with letters, digits, marks and `_`, at least one of which is no digit. A
//! *name* begins with `@` (or `＠`) and goes on in the same way, with single `.` and `-` inside; or it is written `u/name` or
//! `/u/name`. Neither begins inside a word, nor after `&` or `/`: HTML entities, anchors, addresses and e-mails are none. Both
//! are compared without case (full Unicode case folding, composed) and are at most 100 characters long; what is longer is none.

use crate::event::{Control, PostRow};
use crate::link::{FetchText, Mentions};
use crate::matcher::fold::fold;
use differential_dataflow::VecCollection;
use groundswell_core::dataflow::{Complete, per_tick};
use groundswell_core::id::{DigestMap, Dim, PostKey, TextKey};
use groundswell_core::serving::Mention;
use groundswell_core::spec::Method;
use groundswell_core::time::Tick;
use std::collections::BTreeSet;

/// Longest tag or name, in characters.
const LONGEST: usize = 100;
/// The probability of what is written, ppm.
const CERTAIN: i32 = 1_000_000;

/// Which of the two are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sought {
    /// Hashtags.
    pub tags: bool,
    /// Names.
    pub names: bool,
}

impl Sought {
    /// Whether any are.
    pub fn any(self) -> bool {
        self.tags || self.names
    }
}

/// Hashtags and names of a text, without their signs, folded, each once and in order.
pub fn said(text: &str, sought: Sought) -> BTreeSet<(Method, String)> {
    let mut found = BTreeSet::new();
    if !text.contains(['#', '＃', '@', '＠', '/']) {
        return found;
    }
    let mut before = None;
    for (at, c) in text.char_indices() {
        let rest = text.get(at + c.len_utf8()..).unwrap_or_default();
        let free = before.is_none_or(|b: char| !is_word(b) && !matches!(b, '&' | '/'));
        match c {
            '#' | '＃' if free && sought.tags => {
                let tag = word(rest, false);
                if tag.chars().any(|c| !c.is_numeric()) {
                    keep(&mut found, Method::Tag, tag);
                }
            }
            '@' | '＠' if free && sought.names => keep(&mut found, Method::Named, word(rest, true)),
            // `u/name` and `/u/name`: the letter stands alone.
            'u' if sought.names && before.is_none_or(|b| !is_word(b) && b != '&') => {
                let alone = before != Some('/') || !preceded(text, at);
                if let Some(name) = rest.strip_prefix('/').filter(|_| alone) {
                    keep(&mut found, Method::Named, word(name, true));
                }
            }
            _ => {}
        }
        before = Some(c);
    }
    found
}

/// Whether the slash before a position follows something: then it is part of an address.
fn preceded(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let before = before.strip_suffix('/').unwrap_or(before);
    before
        .chars()
        .next_back()
        .is_some_and(|b| is_word(b) || matches!(b, '/' | '.' | ':'))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || is_mark(c)
}

/// Marks that letters carry: accents, vowel signs.
fn is_mark(c: char) -> bool {
    use icu_properties::CodePointMapData;
    use icu_properties::props::GeneralCategory as G;
    const MARKS: [G; 3] = [G::NonspacingMark, G::SpacingMark, G::EnclosingMark];
    !c.is_ascii() && MARKS.contains(&CodePointMapData::<G>::new().get(c))
}

/// The word a text begins with; a name may have single dots and hyphens inside.
fn word(text: &str, name: bool) -> &str {
    let (mut end, mut chars) = (0, text.char_indices().peekable());
    while let Some((at, c)) = chars.next() {
        let joins = name && at > 0 && matches!(c, '.' | '-') && chars.peek().is_some_and(|(_, next)| is_word(*next));
        if !is_word(c) && !joins {
            break;
        }
        end = at + c.len_utf8();
    }
    text.get(..end).unwrap_or_default()
}

fn keep(found: &mut BTreeSet<(Method, String)>, method: Method, word: &str) {
    let n = word.chars().take(LONGEST + 1).count();
    if (1..=LONGEST).contains(&n) {
        found.insert((method, fold(word)));
    }
}

/// See the module documentation.
pub fn tags<'s>(
    rows: VecCollection<'s, Tick, (PostKey, PostRow)>,
    control: VecCollection<'s, Tick, Control>,
    sought: Sought,
    fetch: FetchText,
) -> VecCollection<'s, Tick, (PostKey, Mentions)> {
    let mut posts = DigestMap::<PostKey, Mentions>::default();
    per_tick(
        rows,
        control.filter(|_| false),
        "Tags",
        |(key, _)| key.route(),
        move |Complete { rows, .. }, out| {
            // Retractions first, so that a replaced row finds its slot empty.
            rows.sort_unstable_by_key(|(_, diff)| *diff);
            for ((key, row), diff) in rows.drain(..) {
                if diff < 0 {
                    posts
                        .remove(&key)
                        .into_iter()
                        .for_each(|mentions| out.give((key, mentions), -1));
                } else if row.text != TextKey::NONE {
                    let text = fetch(row.text);
                    let mentions = text.map(|text| mentions(&text, sought)).unwrap_or_default();
                    if !mentions.is_empty() {
                        out.give((key, mentions.clone()), 1);
                        posts.insert(key, mentions);
                    }
                }
            }
        },
    )
}

fn mentions(text: &str, sought: Sought) -> Mentions {
    let said = said(text, sought).into_iter();
    let mention = |(method, word): (Method, String)| Mention {
        entity: Dim::of(&word),
        confidence: CERTAIN,
        method,
    };
    said.map(mention).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &str) -> Vec<String> {
        let sought = Sought {
            tags: true,
            names: true,
        };
        let sign = |method| if method == Method::Tag { '#' } else { '@' };
        said(text, sought)
            .into_iter()
            .map(|(method, word)| format!("{}{word}", sign(method)))
            .collect()
    }

    #[test]
    fn tags_and_names_are_found_where_a_reader_sees_them() {
        for (text, found) in [
            (
                "#NBA Finals! (#nba) #Nba_2024, #10 #10k",
                &["#10k", "#nba", "#nba_2024"][..],
            ),
            ("#Straße ＃STRASSE #naïve #nai\u{308}ve", &["#naïve", "#strasse"]),
            ("#日本 #हिन्दी #مرحبا.", &["#مرحبا", "#हिन्दी", "#日本"]),
            ("C#7 a#b &#39; https://x.org/#top http://x.org/a#b ##x #", &["#x"]),
            ("@Ann, @bob.smith. and (@al-1)-", &["@al-1", "@ann", "@bob.smith"]),
            ("ann@example.org https://medium.com/@ann @ @. @@bob", &["@bob"]),
            ("thanks u/LeBron and /u/Curry_30!", &["@curry_30", "@lebron"]),
            ("https://reddit.com/u/ann menu/lunch a/u/b you/me", &[]),
            ("nothing / here", &[]),
        ] {
            assert_eq!(both(text), found, "{text}");
        }
    }

    #[test]
    fn what_is_too_long_is_none_and_what_is_not_sought_is_not_found() {
        let long = format!("#{} #{}", "a".repeat(101), "b".repeat(100));
        assert_eq!(both(&long), [format!("#{}", "b".repeat(100))]);
        let tags = Sought {
            tags: true,
            names: false,
        };
        assert_eq!(said("#a @b", tags).len(), 1);
        assert!(said("#a @b", Sought::default()).is_empty());
    }
}
