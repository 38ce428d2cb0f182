//! The accumulator that rides in the difference.
//!
//! Each contribution (one post in one group and window) is an integer vector used as the *diff* of its group's key, so a
//! group's sums change in O(changed contributions). Means and intervals are divided out when a row is read.

use crate::score::Label;
use differential_dataflow::difference::{Abelian, IsZero, Monoid, Multiply, Semigroup};
use serde::{Deserialize, Serialize};

/// Fixed-point one of weights and their products: 2^24, so that one rounding is below 3e-8.
///
/// Σw of 8 million posts at the greatest weight ([`crate::spec::MAX_WEIGHT`], 65 536) still fits an `i64`.
pub const UNIT: i64 = 1 << 24;

/// Sums over the posts of one group. All integers; equality is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Acc {
    /// Σ w over scored posts, in [`UNIT`]s.
    pub w: i64,
    /// Σ w², in [`UNIT`]s.
    pub w2: i64,
    /// Σ w·x, in [`UNIT`]s (x in [−1, 1]).
    pub wx: i64,
    /// Σ w·x², in [`UNIT`]s.
    pub wx2: i64,
    /// Live posts, scored or not.
    pub posts: i32,
    /// Posts whose sentiment counts: those with a score, but for what [`crate::scoring::Policy`] leaves out.
    pub scored: i32,
    /// Scored posts labelled positive.
    pub positive: i32,
    /// Scored posts labelled neutral.
    pub neutral: i32,
    /// Scored posts labelled negative.
    pub negative: i32,
    /// Posts above the toxicity cut-off.
    pub toxic: i32,
    /// Posts above the sarcasm cut-off.
    pub sarcastic: i32,
    /// Distinct authors of the posts, where the view asks for it. No sum: it is 0 in contributions, and set on rows.
    pub authors: i32,
}

impl Acc {
    /// The contribution of a post without a score: it counts, and weighs nothing yet.
    pub fn unscored() -> Self {
        Acc {
            posts: 1,
            ..Acc::default()
        }
    }

    /// The contribution of a post whose sentiment does not count: what else its answer says does.
    pub fn left_out(toxic: bool, sarcastic: bool) -> Self {
        Acc {
            toxic: i32::from(toxic),
            sarcastic: i32::from(sarcastic),
            ..Acc::unscored()
        }
    }

    /// The contribution of a scored post: weight `w` in [`UNIT`]s, sentiment `x` in ppm.
    pub fn scored(w: i64, x: i32, label: Label, toxic: bool, sarcastic: bool) -> Self {
        let x = i64::from(x);
        let wx = ratio(i128::from(w) * i128::from(x), 1_000_000);
        Acc {
            w,
            w2: ratio(i128::from(w) * i128::from(w), i128::from(UNIT)),
            wx,
            wx2: ratio(i128::from(w) * i128::from(x * x), 1_000_000_000_000),
            posts: 1,
            scored: 1,
            positive: i32::from(label == Label::Positive),
            neutral: i32::from(label == Label::Neutral),
            negative: i32::from(label == Label::Negative),
            toxic: i32::from(toxic),
            sarcastic: i32::from(sarcastic),
            authors: 0,
        }
    }

    /// Adds other sums to these.
    pub fn merge(&mut self, other: &Acc) {
        self.plus_equals(other);
    }

    /// Vote-weighted mean sentiment Σw·x / Σw, or none without scored weight.
    #[allow(clippy::cast_precision_loss)] // the quotient is good to 1e-15
    pub fn sentiment(&self) -> Option<f64> {
        (self.w > 0).then(|| self.wx as f64 / self.w as f64)
    }

    /// Effective sample size (Σw)² / Σw² (Kish, *Survey Sampling*, 1965).
    #[allow(clippy::cast_precision_loss)]
    pub fn n_eff(&self) -> f64 {
        if self.w2 <= 0 {
            0.0
        } else {
            self.w as f64 * (self.w as f64 / self.w2 as f64) / UNIT as f64
        }
    }

    /// Half-width of the 95 % interval of the weighted mean, 1.96·√(s² / `n_eff`), with the weighted variance
    /// s² = (Σw·x² / Σw − mean²) · `n_eff` / (`n_eff` − 1). None below two effective posts.
    #[allow(clippy::cast_precision_loss)]
    pub fn sentiment_ci(&self) -> Option<f64> {
        let mean = self.sentiment()?;
        let n = self.n_eff();
        if n <= 1.0 + 1e-9 || self.scored < 2 {
            return None;
        }
        let variance = (self.wx2 as f64 / self.w as f64 - mean * mean).max(0.0) * n / (n - 1.0);
        Some(1.96 * (variance / n).sqrt())
    }
}

/// Integer division rounded half away from zero: symmetric, so a negated input gives the negated result.
#[allow(clippy::cast_possible_truncation)] // callers stay within the bounds documented at UNIT
fn ratio(n: i128, d: i128) -> i64 {
    let half = if n < 0 { -d / 2 } else { d / 2 };
    ((n + half) / d) as i64
}

impl IsZero for Acc {
    fn is_zero(&self) -> bool {
        *self == Acc::default()
    }
}
impl Semigroup for Acc {
    fn plus_equals(&mut self, o: &Self) {
        self.w += o.w;
        self.w2 += o.w2;
        self.wx += o.wx;
        self.wx2 += o.wx2;
        self.posts += o.posts;
        self.scored += o.scored;
        self.positive += o.positive;
        self.neutral += o.neutral;
        self.negative += o.negative;
        self.toxic += o.toxic;
        self.sarcastic += o.sarcastic;
        self.authors += o.authors;
    }
}
impl Monoid for Acc {
    fn zero() -> Self {
        Acc::default()
    }
}
impl Abelian for Acc {
    fn negate(&mut self) {
        *self = self.multiply(&-1);
    }
}
impl Multiply<isize> for Acc {
    type Output = Acc;
    #[allow(clippy::cast_possible_truncation)] // multiplicities of contributions are ±1
    fn multiply(self, n: &isize) -> Acc {
        let (l, s) = (*n as i64, *n as i32);
        Acc {
            w: self.w * l,
            w2: self.w2 * l,
            wx: self.wx * l,
            wx2: self.wx2 * l,
            posts: self.posts * s,
            scored: self.scored * s,
            positive: self.positive * s,
            neutral: self.neutral * s,
            negative: self.negative * s,
            toxic: self.toxic * s,
            sarcastic: self.sarcastic * s,
            authors: self.authors * s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_and_removing_leaves_exactly_nothing() {
        let mut sum = Acc::zero();
        let rows: Vec<Acc> = (1..2000)
            .map(|i| {
                Acc::scored(
                    UNIT + i * 7919,
                    (i * 997 % 2_000_001) as i32 - 1_000_000,
                    Label::Positive,
                    true,
                    false,
                )
            })
            .collect();
        rows.iter().for_each(|r| sum.plus_equals(r));
        assert!(!sum.is_zero());
        rows.iter().rev().for_each(|r| sum.plus_equals(&r.multiply(&-1)));
        assert!(sum.is_zero());
    }

    #[test]
    fn the_mean_is_within_1e_6_of_real_arithmetic() {
        let mut sum = Acc::zero();
        let (mut w, mut wx) = (0.0, 0.0);
        for i in 0..10_000i64 {
            let votes = i * i % 977;
            let weight = crate::spec::WeightSpec::Log1p.weight(Some(votes));
            let x = (i * 7919 % 2_000_001) as i32 - 1_000_000;
            sum.plus_equals(&Acc::scored(weight, x, Label::Neutral, false, false));
            let exact = 1.0 + (1.0 + votes as f64).ln();
            w += exact;
            wx += exact * f64::from(x) / 1e6;
        }
        assert!((sum.sentiment().expect("scored") - wx / w).abs() < 1e-6);
    }
}
