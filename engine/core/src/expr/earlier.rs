//! What a condition may ask of the windows before the one it is asked about: `previous(x, 10m)` and `baseline(x)`.
//!
//! Both are values of *x* in earlier windows of the same group, computed from their sums when the condition is evaluated;
//! nothing is added up over time, so no order of arrival can change them. A comparison that uses one which is not known is
//! neither true nor false, and nor is its negation: it fires nothing.
//!
//! The median of an even number of values is the mean of the two in the middle, (a + b) / 2.

use super::{Sums, Value};
use crate::acc::Acc;
use crate::spec::Gates;
use crate::time::WEEK;
use serde::{Deserialize, Serialize};

/// Over how many weeks `baseline` takes the median, and how many of them it must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Baseline {
    /// Weeks looked back.
    pub weeks: u8,
    /// Least number of windows that are there; below it there is no baseline.
    pub min: u8,
}

impl Baseline {
    /// Most weeks: one year.
    pub const MOST: u8 = 52;
}

impl Default for Baseline {
    fn default() -> Self {
        Baseline { weeks: 4, min: 2 }
    }
}

/// The windows before the one that a condition is asked about.
#[derive(Clone, Copy)]
pub struct Earlier<'a> {
    /// Sums of the window that began this long before; none if there is none with posts.
    pub at: &'a dyn Fn(i64) -> Option<Acc>,
    /// How long before `previous` looks if it does not say.
    pub size: i64,
    /// What the window of `previous` must have.
    pub gates: Gates,
    /// What `baseline` is made of.
    pub baseline: Baseline,
}

/// How far back a condition looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// Distances of `previous` as written.
    pub previous: Vec<Option<i64>>,
    /// Whether it asks for a baseline.
    pub baseline: bool,
}

impl Looks {
    /// Whether it looks at the window alone.
    pub fn is_none(&self) -> bool {
        self.previous.is_empty() && !self.baseline
    }

    /// Puts the distances to all windows looked at into a list.
    pub fn distances(&self, size: i64, baseline: Baseline, into: &mut Vec<i64>) {
        into.extend(self.previous.iter().map(|distance| distance.unwrap_or(size)));
        if self.baseline {
            into.extend((1..=i64::from(baseline.weeks)).map(|week| week * WEEK));
        }
    }
}

impl Earlier<'_> {
    /// The value in the window that began `distance` before, if that passes the gates.
    pub(super) fn previous(&self, of: &Value, distance: Option<i64>) -> Option<f64> {
        let acc = (self.at)(distance.unwrap_or(self.size)).filter(|acc| self.gates.pass(acc))?;
        of.eval(&Sums::of(&acc))
    }

    /// The median of the values at the same moment of the weeks before. Windows count however few posts they have: the
    /// median is there because single ones may be odd.
    pub(super) fn median(&self, of: &Value) -> Option<f64> {
        let weeks = 1..=i64::from(self.baseline.weeks);
        let known = weeks.filter_map(|week| of.eval(&Sums::of(&(self.at)(week * WEEK)?)));
        median(known.collect())
            .filter(|(_, known)| *known >= usize::from(self.baseline.min))
            .map(|(value, _)| value)
    }
}

/// The median, and of how many.
fn median(mut values: Vec<f64>) -> Option<(f64, usize)> {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len();
    let (low, high) = (values.get(n.checked_sub(1)? / 2)?, values.get(n / 2)?);
    // Of whole numbers below 2^53 this is exact; otherwise it is rounded once.
    Some((if n % 2 == 1 { *high } else { (low + high) / 2.0 }, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Expr;
    use std::collections::BTreeMap;

    fn acc(posts: i32, positive: i32) -> Acc {
        Acc {
            posts,
            positive,
            scored: posts,
            ..Acc::default()
        }
    }

    /// Evaluates at 0 with these windows before.
    fn holds(text: &str, now: Acc, before: &[(i64, Acc)], min_posts: i32, baseline: Baseline) -> bool {
        let before: BTreeMap<i64, Acc> = before.iter().copied().collect();
        let at = |distance: i64| before.get(&distance).copied();
        let earlier = Earlier {
            at: &at,
            size: 60_000,
            gates: Gates {
                min_posts,
                ..Gates::default()
            },
            baseline,
        };
        Expr::parse(text).expect(text).holds_after(&now, Some(&earlier))
    }

    #[test]
    fn a_share_that_halves() {
        let spike = "positive / scored < 0.5 * previous(positive / scored, 10m)";
        let before = |posts, positive| [(600_000, acc(posts, positive)), (60_000, acc(9, 0))];
        let none = Baseline::default();
        assert!(holds(spike, acc(20, 3), &before(20, 8), 5, none));
        assert!(
            !holds(spike, acc(20, 4), &before(20, 8), 5, none),
            "exactly half is not below half"
        );
        assert!(!holds(spike, acc(20, 3), &before(4, 4), 5, none), "too few posts then");
        assert!(!holds(spike, acc(20, 3), &[], 5, none), "no window then");
        assert!(
            holds("previous(posts) == 9", acc(1, 0), &before(20, 8), 0, none),
            "one size before"
        );
    }

    #[test]
    fn what_is_not_known_is_neither_true_nor_false() {
        let none = Baseline::default();
        for (text, expected) in [
            ("not (posts > previous(posts))", false),
            ("posts > previous(posts) or posts > 1", true),
            ("not (posts > previous(posts) and posts > 1)", false),
            ("not (posts > previous(posts) and posts > 99)", true),
            ("not (posts > previous(posts) or posts > 1)", false),
            ("not (sentiment > 0)", true),
        ] {
            assert_eq!(holds(text, acc(5, 0), &[], 0, none), expected, "{text}");
        }
    }

    #[test]
    fn ten_times_the_median() {
        let week = |n: i64, posts| (n * WEEK, acc(posts, 0));
        let volume = "posts > 10 * baseline(posts)";
        let of = |weeks, min| Baseline { weeks, min };
        let odd = [week(1, 3), week(2, 900), week(3, 1)];
        assert!(
            holds(volume, acc(31, 0), &odd, 20, of(4, 2)),
            "windows of past weeks need not pass the gates"
        );
        assert!(!holds(volume, acc(30, 0), &odd, 0, of(4, 2)));
        let even = [week(1, 3), week(2, 4), week(4, 90), week(3, 1)];
        assert!(holds(volume, acc(36, 0), &even, 0, of(4, 2)), "3.5 is the median");
        assert!(!holds(volume, acc(35, 0), &even, 0, of(4, 2)));
        assert!(
            !holds(volume, acc(99, 0), &even, 0, of(4, 5)),
            "five weeks are not known"
        );
        assert!(!holds(volume, acc(900, 0), &[week(1, 3)], 0, of(4, 2)));
        assert!(
            !holds(volume, acc(900, 0), &[week(1, 3), week(5, 3)], 0, of(4, 2)),
            "beyond four weeks"
        );
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![0.25, 0.5, 0.125, 1.0]), Some((0.375, 4)));
    }

    #[test]
    fn what_is_compared() {
        let at = |distance: i64| (distance == 600_000).then(|| acc(20, 8));
        let earlier = Earlier {
            at: &at,
            size: 60_000,
            gates: Gates::default(),
            baseline: Baseline::default(),
        };
        for (text, expected) in [
            (
                "posts > 2 and positive / scored < 0.5 * previous(positive / scored, 10m)",
                (Some(0.1), Some(0.2)),
            ),
            ("posts > 10 * baseline(posts)", (Some(20.0), None)),
            ("10 * previous(posts, 10m) < posts", (Some(200.0), Some(20.0))),
            ("5 < posts and posts > 3", (Some(20.0), Some(5.0))),
            ("positive / scored < 2 * 0.25 or posts > 2", (Some(0.1), Some(0.5))),
        ] {
            let expr = Expr::parse(text).expect(text);
            assert_eq!(expr.compared(Some(&acc(20, 2)), Some(&earlier)), expected, "{text}");
        }
        let expr = Expr::parse("5 < posts").expect("parses");
        assert_eq!(expr.compared(None, None), (None, Some(5.0)));
    }

    #[test]
    fn mistakes_name_the_place_and_the_words() {
        for (text, at, says) in [
            (
                "posts > previos(posts)",
                9,
                "unknown function \"previos\"; known: previous, baseline",
            ),
            (
                "posts > previous",
                9,
                "`previous` wants a measure in parentheses: `previous(posts)`",
            ),
            ("posts > previous(pots)", 18, "unknown measure \"pots\""),
            (
                "posts > previous(3)",
                18,
                "`previous` wants a measure of the earlier window",
            ),
            (
                "posts > previous(posts, 10)",
                25,
                "expected a duration: `500ms`, `10s`, `1m`, `2h`, `30d`",
            ),
            ("posts > previous(posts, 0m)", 25, "expected a duration"),
            ("posts > previous(posts, 4000d)", 25, "expected a duration"),
            ("posts > previous(posts, 10 m", 29, "expected `)`"),
            (
                "posts > baseline(posts, 4)",
                23,
                "expected `)`: how many weeks a baseline takes in is said in `baseline` of the rule",
            ),
            (
                "posts > baseline(previous(posts))",
                18,
                "`previous` and `baseline` cannot stand in one another",
            ),
            (
                "posts > sum(posts)",
                9,
                "unknown function \"sum\"; known: previous, baseline",
            ),
        ] {
            let error = Expr::parse(text).expect_err(text);
            assert!(error.at == at && error.message.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn how_far_back_it_looks() {
        let looks = |text| Expr::parse(text).expect(text).looks().clone();
        assert!(looks("posts > 1").is_none());
        let twice_read = looks("((previous(posts) + 1) * 2 > posts)");
        assert_eq!(twice_read.previous, [None]);
        let mut all = Vec::new();
        looks("posts > previous(posts) + previous(posts, 90s) and posts > baseline(posts)").distances(
            60_000,
            Baseline { weeks: 2, min: 1 },
            &mut all,
        );
        assert_eq!(all, [60_000, 90_000, WEEK, 2 * WEEK]);
    }
}
