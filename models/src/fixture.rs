//! A pure scorer without weights, for tests and for trying the engine out where there is no LibTorch.
//!
//! In: a text. Out: a score from short word lists plus a little noise taken from the text's digest, in integers only, so
//! that every machine gives the same answer. It is chosen by a configuration that says `fixture`, and by nothing else.

use crate::scorer::{Batch, ScoreFailure, Scorer, padding};
use groundswell_core::id::{ModelKey, TextKey};
use groundswell_core::score::{PPM, Rung, Score};

const NAME: &str = "fixture/1";

const POSITIVE: &[&str] = &[
    "amazing",
    "awesome",
    "beautiful",
    "best",
    "brilliant",
    "clutch",
    "enjoyed",
    "excellent",
    "fantastic",
    "fun",
    "glad",
    "good",
    "great",
    "happy",
    "love",
    "loved",
    "nice",
    "perfect",
    "thanks",
    "win",
    "won",
    "wonderful",
    "wow",
];
const NEGATIVE: &[&str] = &[
    "angry",
    "annoying",
    "awful",
    "bad",
    "boring",
    "broken",
    "choke",
    "disappointing",
    "fail",
    "garbage",
    "hate",
    "hated",
    "horrible",
    "lose",
    "lost",
    "sad",
    "scared",
    "sucks",
    "terrible",
    "trash",
    "ugly",
    "worse",
    "worst",
];
const TOXIC: &[&str] = &[
    "clown", "dumb", "fool", "garbage", "idiot", "loser", "moron", "pathetic", "stupid", "trash",
];
const SARCASTIC: &[&str] = &["/s", "obviously", "riiight", "suuure", "totally"];
/// In the order of [`groundswell_core::score::EMOTIONS`]; the last one, neutral, is what is left.
const EMOTION_WORDS: [&[&str]; 5] = [
    &["fun", "glad", "happy", "love", "loved", "enjoyed", "won", "win"],
    &["cry", "disappointing", "lost", "miss", "sad"],
    &["angry", "annoying", "hate", "hated", "garbage", "sucks", "trash"],
    &["afraid", "nervous", "scared", "worried"],
    &["omg", "unbelievable", "what", "wow"],
];
const NEUTRAL: u8 = 5;
/// The variant behind [`FixtureScorer::contrary`].
const CONTRARY: &str = "contrary";

/// The scorer behind `path: fixture`.
#[derive(Clone, Debug, Default)]
pub struct FixtureScorer {
    variant: String,
}

impl FixtureScorer {
    /// A second model with other answers, for tests of shadows and switches.
    pub fn variant(name: &str) -> Self {
        FixtureScorer {
            variant: name.to_owned(),
        }
    }

    /// A model whose answers nobody could take for those of another: positive and negative change places, and every text is
    /// toxic.
    pub fn contrary() -> Self {
        Self::variant(CONTRARY)
    }

    /// The answer for one text.
    pub fn answer(&self, text: &str) -> Score {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_alphanumeric() && c != '/')
            .filter(|w| !w.is_empty())
            .collect();
        let hits = |list: &[&str]| {
            i32::try_from(words.iter().filter(|w| list.contains(w)).count())
                .unwrap_or(i32::MAX)
                .min(8)
        };
        let noise = self.noise(text);
        let (good, bad) = (hits(POSITIVE), hits(NEGATIVE));
        let shares = [
            1_000 + 4_000 * good + noise[0],
            1_000 + 4_000 * bad + noise[1],
            2_000 + noise[2],
        ];
        let total: i32 = shares.iter().sum();
        let [positive, negative, _] = shares.map(|share| per_million(share, total));
        let toxic = if hits(TOXIC) > 0 {
            750_000 + noise[3] * 200
        } else {
            noise[3] * 300
        };
        let sarcastic = if hits(SARCASTIC) > 0 {
            650_000 + noise[4] * 200
        } else {
            noise[4] * 300
        };
        let score = Score {
            positive,
            neutral: PPM - positive - negative,
            negative,
            toxic,
            sarcastic,
            emotion: emotion(&words),
            is_toxic: toxic > 700_000,
            is_sarcastic: sarcastic > 600_000,
            rung: Rung::Local,
        };
        if self.variant != CONTRARY {
            return score;
        }
        Score {
            positive: negative,
            negative: positive,
            toxic: PPM,
            is_toxic: true,
            ..score
        }
    }

    /// Five numbers in 0..1000 that depend on the text and the variant.
    fn noise(&self, text: &str) -> [i32; 5] {
        let mut seed = self.variant.clone().into_bytes();
        seed.extend_from_slice(text.as_bytes());
        let mut digest = TextKey::of(&seed).0;
        std::array::from_fn(|_| {
            let digit = i32::try_from(digest % 1_000).unwrap_or(0);
            digest /= 1_000;
            digit
        })
    }
}

fn per_million(share: i32, total: i32) -> i32 {
    i32::try_from(i64::from(share) * i64::from(PPM) / i64::from(total)).unwrap_or(0)
}

/// The emotion with most words; ties go to the first.
fn emotion(words: &[&str]) -> u8 {
    let mut best = (0, NEUTRAL);
    for (index, list) in (0u8..).zip(EMOTION_WORDS) {
        let n = words.iter().filter(|w| list.contains(w)).count();
        if n > best.0 {
            best = (n, index);
        }
    }
    best.1
}

impl Scorer for FixtureScorer {
    fn model(&self) -> ModelKey {
        ModelKey::of(format!("{NAME} {}", self.variant).as_bytes())
    }

    fn name(&self) -> &str {
        NAME
    }

    fn length_of(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn forward(&self, texts: &[&str]) -> Result<Batch, ScoreFailure> {
        let lengths = || texts.iter().map(|text| self.length_of(text));
        Ok(Batch {
            results: texts.iter().map(|text| Ok(self.answer(text))).collect(),
            tokens: lengths().sum(),
            padding: padding(lengths()),
            truncated: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundswell_core::score::{EMOTIONS, Label};

    #[test]
    fn answers_are_sane_and_sum_to_one() {
        let fixture = FixtureScorer::default();
        for (text, label) in [
            ("I love this, best game", Label::Positive),
            ("The WORST, so bad", Label::Negative),
            ("They play on Tuesday", Label::Neutral),
            ("", Label::Neutral),
        ] {
            let score = fixture.answer(text);
            assert_eq!(score.positive + score.neutral + score.negative, PPM, "{text}");
            assert_eq!(score.label(), label, "{text}");
        }
        assert!(fixture.answer("you idiot").is_toxic);
        assert!(!fixture.answer("hello").is_toxic);
        assert!(fixture.answer("suuure").is_sarcastic);
        assert_eq!(
            EMOTIONS[usize::from(fixture.answer("so scared and worried").emotion)],
            "fear"
        );
    }

    #[test]
    fn the_answer_never_changes() {
        // A literal: the same text gives the same score on every machine and in every later version of `fixture/1`.
        let score = FixtureScorer::default().answer("LeBron was clutch, wow");
        assert_eq!(
            (score.positive, score.neutral, score.negative),
            (723_001, 190_932, 86_067)
        );
    }

    #[test]
    fn a_variant_is_another_model() {
        let (one, two) = (FixtureScorer::default(), FixtureScorer::variant("b"));
        assert_ne!(one.model(), two.model());
        assert_ne!(one.answer("good"), two.answer("good"));
        let contrary = FixtureScorer::contrary();
        assert_ne!(contrary.model(), two.model());
        assert_eq!(contrary.answer("good, so good").label(), Label::Negative);
        assert!(contrary.answer("good").is_toxic);
    }
}
