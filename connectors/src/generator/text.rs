//! Sentences to texts: names in the forms people use, typos, hashtags, second sentences.

use super::dice::Dice;
use super::phrases::{BRIGADE, BRIGADE_ENDINGS, EDITS, MOMENTS, OPENERS, SONGS, Tone};
use groundswell_core::record::Entity;

/// A post's text. Without an entity it names nobody.
pub(super) fn compose(dice: &mut Dice, tone: Tone, entity: Option<&Entity>) -> String {
    let sentence = dice.word(if entity.is_some() { tone.about() } else { tone.general() });
    let mut text = dice.word(OPENERS).to_owned();
    let name = entity.map(|e| name_form(dice, e));
    if text.is_empty() {
        text = capitalised(&fill(dice, sentence, name.as_deref()));
    } else {
        text.push_str(&fill(dice, &continued(sentence), name.as_deref()));
    }
    if dice.permille(350) {
        text.push(' ');
        text.push_str(dice.word(tone.tails()));
    }
    if dice.permille(220) {
        text.push(' ');
        text.push_str(dice.word(tone.emoji()));
    }
    if dice.permille(80) {
        text.push_str(" #StarlightStage");
    }
    match dice.below(100) {
        0..6 => text.to_lowercase(),
        6..8 => text.to_uppercase(),
        8..12 => misspelled(dice, &text),
        _ => text,
    }
}

/// One copy of what a brigade posts.
pub(super) fn brigade(dice: &mut Dice, brigade: u64, copy: u64, entity: &Entity) -> String {
    let choose = |all: &[&'static str], n: u64| all[usize::try_from(n).unwrap_or(0) % all.len()];
    let name = entity.aliases.first().unwrap_or(&entity.name);
    let moment = choose(MOMENTS, brigade);
    let mut text = choose(BRIGADE, brigade).replace("{e}", name).replace("{m}", moment);
    text.push_str(choose(BRIGADE_ENDINGS, copy));
    if dice.permille(150) { text.to_uppercase() } else { text }
}

/// A text after its author edited it.
pub(super) fn edited(dice: &mut Dice, text: &str) -> String {
    format!("{text}\n\n{}", dice.word(EDITS))
}

fn fill(dice: &mut Dice, sentence: &str, name: Option<&str>) -> String {
    let moment = dice.word(MOMENTS);
    let song = dice.word(SONGS);
    sentence
        .replace("{e}", name.unwrap_or_default())
        .replace("{m}", moment)
        .replace("{s}", song)
}

/// Full name, alias, lower case, or misspelled full name (what fuzzy linking is for).
fn name_form(dice: &mut Dice, entity: &Entity) -> String {
    let alias = dice.pick(&entity.aliases).unwrap_or(&entity.name).clone();
    match dice.below(100) {
        0..30 => entity.name.clone(),
        30..42 => alias.to_lowercase(),
        42..47 => misspelled(dice, &entity.name),
        47..51 => format!("#{}", entity.name.replace(' ', "")),
        _ => alias,
    }
}

/// Drops, doubles or swaps one letter inside a word.
fn misspelled(dice: &mut Dice, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let inner: Vec<usize> = (1..letters.len().saturating_sub(1))
        .filter(|i| {
            [i - 1, *i, i + 1]
                .iter()
                .all(|j| letters.get(*j).is_some_and(|c| c.is_alphabetic()))
        })
        .collect();
    let Some(&at) = dice.pick(&inner) else {
        return text.to_owned();
    };
    match dice.below(3) {
        0 => {
            letters.remove(at);
        }
        1 => letters.insert(at, letters[at]),
        _ => letters.swap(at, at + 1),
    }
    letters.into_iter().collect()
}

/// A sentence as it stands after other words.
fn continued(sentence: &str) -> String {
    if sentence.starts_with("I ") {
        return sentence.to_owned();
    }
    let mut chars = sentence.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::super::cast;
    use super::super::dice::Purpose;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn texts_are_varied_filled_and_repeatable() {
        let cast = cast::entities();
        let tones = [
            Tone::Positive,
            Tone::Negative,
            Tone::Neutral,
            Tone::Sarcastic,
            Tone::Toxic,
        ];
        let all = || -> Vec<String> {
            (0..5_000u64)
                .map(|n| {
                    let mut dice = Dice::of(1, Purpose::Text, n);
                    let entity = dice.permille(800).then(|| dice.pick(&cast)).flatten();
                    compose(&mut dice, tones[usize::try_from(n % 5).expect("small")], entity)
                })
                .collect()
        };
        let texts = all();
        assert_eq!(texts, all());
        let distinct: BTreeSet<_> = texts.iter().collect();
        assert!(distinct.len() > 4_000, "only {} distinct texts", distinct.len());
        for text in &texts {
            assert!(
                !text.contains(['{', '}']) && !text.contains("  ") && text.len() < 400,
                "{text}"
            );
        }
    }

    #[test]
    fn brigade_copies_are_nearly_identical() {
        let entity = &cast::entities()[0];
        let texts: BTreeSet<_> = (0..200)
            .map(|i| brigade(&mut Dice::of(1, Purpose::Text, i), 0, i, entity).to_lowercase())
            .collect();
        assert!((2..=BRIGADE_ENDINGS.len()).contains(&texts.len()), "{texts:?}");
    }
}
