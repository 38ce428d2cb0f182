//! How answers count in views: what becomes of sarcasm, and of answers nobody gave.
//!
//! Applied where a post's sentiment enters a view's sums, to the recorded answer and in integers: a change of the policy sums
//! anew and asks no model.

use crate::score::{Label, PPM, Rung, Score};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a view makes of sarcasm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sarcasm {
    /// The sentiment is what the answer says.
    #[default]
    Keep,
    /// A sarcastic post means the opposite: positive and negative change places.
    Flip,
    /// The sentiment is multiplied by 1 − P(sarcastic), that of every post.
    Discount,
    /// A sarcastic post has no sentiment: it is counted, and not among `scored`.
    Exclude,
}

impl Sarcasm {
    /// All policies, in the order of the documentation.
    pub const ALL: [Sarcasm; 4] = [Sarcasm::Keep, Sarcasm::Flip, Sarcasm::Discount, Sarcasm::Exclude];

    /// The policy's name in config.
    pub fn name(self) -> &'static str {
        match self {
            Sarcasm::Keep => "keep",
            Sarcasm::Flip => "flip",
            Sarcasm::Discount => "discount",
            Sarcasm::Exclude => "exclude",
        }
    }
}

/// How the answers of a pipeline count.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScoringSpec {
    /// For views that have no policy of their own.
    pub sarcasm: Sarcasm,
    /// Views that have, by name.
    pub views: BTreeMap<String, Sarcasm>,
    /// Whether what stands for an answer ([`Rung::Neutral`]) counts like one.
    pub count_neutral: bool,
    /// Whether a text for which nothing better is recorded stays wanted: a rung below the model may answer it later.
    pub ladder: bool,
}

impl ScoringSpec {
    /// How answers count in a view.
    pub fn policy(&self, view: &str) -> Policy {
        Policy {
            sarcasm: self.views.get(view).copied().unwrap_or(self.sarcasm),
            count_neutral: self.count_neutral,
        }
    }
}

/// How answers count in one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Policy {
    /// What becomes of sarcasm.
    pub sarcasm: Sarcasm,
    /// Whether what stands for an answer counts like one.
    pub count_neutral: bool,
}

impl Policy {
    /// The sentiment with which a post with this answer counts, ppm; `None` if its sentiment does not count.
    pub fn sentiment(self, score: &Score) -> Option<i32> {
        let x = score.sentiment();
        match self.sarcasm {
            _ if score.rung == Rung::Neutral && !self.count_neutral => None,
            Sarcasm::Exclude if score.is_sarcastic => None,
            Sarcasm::Flip if score.is_sarcastic => Some(-x),
            Sarcasm::Discount => Some(discounted(x, score.sarcastic)),
            Sarcasm::Keep | Sarcasm::Flip | Sarcasm::Exclude => Some(x),
        }
    }

    /// The class with which it counts.
    pub fn label(self, score: &Score) -> Label {
        match (self.sarcasm, score.label()) {
            (Sarcasm::Flip, Label::Positive) if score.is_sarcastic => Label::Negative,
            (Sarcasm::Flip, Label::Negative) if score.is_sarcastic => Label::Positive,
            (_, label) => label,
        }
    }
}

/// x·(1 − p), rounded half away from zero: symmetric in x.
fn discounted(x: i32, p: i32) -> i32 {
    let (product, one) = (i64::from(x) * i64::from(PPM - p.clamp(0, PPM)), i64::from(PPM));
    let half = one / 2 * product.signum();
    i32::try_from((product + half) / one).unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sarcastic(positive: i32, negative: i32, p: i32) -> Score {
        Score {
            positive,
            negative,
            neutral: PPM - positive - negative,
            sarcastic: p,
            is_sarcastic: p > 600_000,
            ..Score::default()
        }
    }

    #[test]
    fn each_policy_says_what_counts() {
        let policy = |sarcasm| Policy {
            sarcasm,
            count_neutral: false,
        };
        let (plain, mocking) = (
            sarcastic(800_000, 100_000, 250_000),
            sarcastic(800_000, 100_000, 900_001),
        );
        for (sarcasm, of_plain, of_mocking) in [
            (Sarcasm::Keep, Some(700_000), Some(700_000)),
            (Sarcasm::Flip, Some(700_000), Some(-700_000)),
            (Sarcasm::Discount, Some(525_000), Some(69_999)),
            (Sarcasm::Exclude, Some(700_000), None),
        ] {
            assert_eq!(policy(sarcasm).sentiment(&plain), of_plain, "{sarcasm:?}");
            assert_eq!(policy(sarcasm).sentiment(&mocking), of_mocking, "{sarcasm:?}");
        }
        assert_eq!(policy(Sarcasm::Flip).label(&mocking), Label::Negative);
        assert_eq!(policy(Sarcasm::Flip).label(&plain), Label::Positive);
        assert_eq!(policy(Sarcasm::Discount).label(&mocking), Label::Positive);
    }

    #[test]
    fn a_discount_is_symmetric_and_never_changes_the_sign() {
        for x in [-PPM, -700_001, -1, 0, 1, 333_333, PPM] {
            for p in [0, 1, 499_999, 500_000, 999_999, PPM] {
                let y = discounted(x, p);
                assert_eq!(discounted(-x, p), -y);
                assert!(y.abs() <= x.abs() && i64::from(y) * i64::from(x) >= 0, "{x} {p}");
            }
            assert_eq!((discounted(x, 0), discounted(x, PPM)), (x, 0));
        }
    }

    #[test]
    fn what_nobody_answered_counts_only_if_asked_for() {
        let policy = |count_neutral| Policy {
            count_neutral,
            ..Policy::default()
        };
        assert_eq!(policy(false).sentiment(&Score::neutral()), None);
        assert_eq!(policy(true).sentiment(&Score::neutral()), Some(0));
    }

    #[test]
    fn a_view_may_have_a_policy_of_its_own() {
        let spec = ScoringSpec {
            sarcasm: Sarcasm::Flip,
            views: [("calm".to_owned(), Sarcasm::Exclude)].into(),
            ..ScoringSpec::default()
        };
        assert_eq!(spec.policy("calm").sarcasm, Sarcasm::Exclude);
        assert_eq!(spec.policy("other").sarcasm, Sarcasm::Flip);
    }
}
