//! The model's answer for one text, in fixed point.
//!
//! Floats end where the model ends: probabilities are rounded to parts per million once, recorded, and from then on
//! every computation is on integers, so a retraction cancels exactly.

use crate::id::Dim;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Fixed-point one: probabilities and sentiment are in parts per million.
pub const PPM: i32 = 1_000_000;

/// The six emotions of the engine, in label order. A seventh from a foreign model is mapped, never dropped.
pub const EMOTIONS: [&str; 6] = ["joy", "sadness", "anger", "fear", "surprise", "neutral"];

/// Which rung of the fallback ladder answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// The engine's own model.
    #[default]
    Local,
    /// The record brought its sentiment with it.
    Given,
    /// A scorer asked over HTTP, in place of a model that had no answer.
    Http,
    /// Nobody: neutral, so that something stands there.
    Neutral,
}

impl Rung {
    /// All of them.
    pub const ALL: [Rung; 4] = [Rung::Local, Rung::Given, Rung::Http, Rung::Neutral];

    /// Its name in JSON and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Rung::Local => "local",
            Rung::Given => "given",
            Rung::Http => "http",
            Rung::Neutral => "neutral",
        }
    }

    /// Of two answers for one text and model the one of the better rung stands, whichever came first; no answer at all is 0.
    pub fn quality(self) -> i64 {
        match self {
            Rung::Neutral => 1,
            Rung::Http => 2,
            Rung::Local | Rung::Given => 3,
        }
    }
}

/// A class of sentiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Most probable class is negative.
    Negative,
    /// Most probable class is neutral.
    Neutral,
    /// Most probable class is positive.
    Positive,
}

impl Label {
    /// All of them, in their order.
    pub const ALL: [Label; 3] = [Label::Negative, Label::Neutral, Label::Positive];

    /// Its name in JSON, tables and filters.
    pub fn name(self) -> &'static str {
        match self {
            Label::Negative => "negative",
            Label::Neutral => "neutral",
            Label::Positive => "positive",
        }
    }

    /// The digest of its name.
    pub fn dim(self) -> Dim {
        static DIMS: LazyLock<[Dim; 3]> = LazyLock::new(|| Label::ALL.map(|label| Dim::of(label.name())));
        match self {
            Label::Negative => DIMS[0],
            Label::Neutral => DIMS[1],
            Label::Positive => DIMS[2],
        }
    }
}

/// A score: class probabilities in parts per million, cut-offs already applied to the two flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Score {
    /// P(positive), ppm.
    pub positive: i32,
    /// P(neutral), ppm.
    pub neutral: i32,
    /// P(negative), ppm.
    pub negative: i32,
    /// P(toxic), ppm.
    pub toxic: i32,
    /// P(sarcastic), ppm.
    pub sarcastic: i32,
    /// Index into [`EMOTIONS`].
    pub emotion: u8,
    /// `toxic` was strictly above the model's cut-off.
    pub is_toxic: bool,
    /// `sarcastic` was strictly above the model's cut-off.
    pub is_sarcastic: bool,
    /// Who answered.
    pub rung: Rung,
}

impl Score {
    /// Sentiment of the text: P(positive) − P(negative), in [−1 000 000, 1 000 000].
    pub fn sentiment(&self) -> i32 {
        self.positive - self.negative
    }

    /// The most probable class; ties go to neutral, then negative.
    pub fn label(&self) -> Label {
        if self.neutral >= self.positive && self.neutral >= self.negative {
            Label::Neutral
        } else if self.negative >= self.positive {
            Label::Negative
        } else {
            Label::Positive
        }
    }

    /// The digest of the emotion's name.
    pub fn emotion_dim(&self) -> Dim {
        static DIMS: LazyLock<[Dim; 6]> = LazyLock::new(|| EMOTIONS.map(Dim::of));
        DIMS.get(usize::from(self.emotion)).copied().unwrap_or_default()
    }

    /// A score from a sentiment in [−1, 1] that came with the record (ppm): the mass not needed is neutral.
    pub fn given(sentiment: i32) -> Self {
        let x = sentiment.clamp(-PPM, PPM);
        Score {
            positive: x.max(0),
            negative: (-x).max(0),
            neutral: PPM - x.abs(),
            emotion: 5,
            rung: Rung::Given,
            ..Score::default()
        }
    }

    /// What stands for a text nobody could answer: neutral with a confidence of one half, the rest divided equally.
    pub fn neutral() -> Self {
        Score {
            positive: PPM / 4,
            neutral: PPM / 2,
            negative: PPM / 4,
            emotion: 5,
            rung: Rung::Neutral,
            ..Score::default()
        }
    }

    /// A probability as parts per million; anything not a number is an error of the model, reported as `None`.
    #[allow(clippy::cast_possible_truncation)] // bounded by the clamp
    pub fn ppm(p: f64) -> Option<i32> {
        p.is_finite()
            .then(|| (p.clamp(0.0, 1.0) * f64::from(PPM)).round() as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_keeps_the_sentiment_exactly() {
        for x in [-PPM, -123_000, 0, 1, 999_999, PPM] {
            let score = Score::given(x);
            assert_eq!(score.sentiment(), x);
            assert_eq!(score.positive + score.neutral + score.negative, PPM);
        }
    }

    #[test]
    fn nobody_is_neutral_with_half_the_mass() {
        let score = Score::neutral();
        assert_eq!(
            (score.label(), score.neutral, score.sentiment()),
            (Label::Neutral, PPM / 2, 0)
        );
        assert_eq!(score.positive + score.neutral + score.negative, PPM);
        assert_eq!(EMOTIONS[usize::from(score.emotion)], "neutral");
    }

    #[test]
    fn labels_have_the_names_they_are_written_with() {
        for label in Label::ALL {
            assert_eq!(serde_json::to_value(label).expect("a word"), label.name());
            assert_eq!(label.dim(), Dim::of(label.name()));
        }
        assert_eq!(Score::neutral().emotion_dim(), Dim::of("neutral"));
    }

    #[test]
    fn rungs_have_the_names_they_are_written_with() {
        for rung in Rung::ALL {
            assert_eq!(serde_json::to_value(rung).expect("a word"), rung.name());
        }
    }

    #[test]
    fn label_is_the_most_probable_class() {
        assert_eq!(
            Score {
                positive: 3,
                neutral: 2,
                negative: 1,
                ..Score::default()
            }
            .label(),
            Label::Positive
        );
        assert_eq!(
            Score {
                positive: 1,
                neutral: 2,
                negative: 3,
                ..Score::default()
            }
            .label(),
            Label::Negative
        );
        assert_eq!(Score::default().label(), Label::Neutral);
        assert_eq!(Score::ppm(f64::NAN), None);
    }
}
