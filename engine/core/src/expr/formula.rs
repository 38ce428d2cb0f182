//! Columns by formula: `100 * (sum(likes) + sum(replies)) / sum(followers)`.
//!
//! A formula is the arithmetic of conditions (`+ - * /`, numbers, measures), with functions over the numbers of a row's posts:
//! `sum`, `total` (the same, but zero where no post has it), `mean`, `max`, `min`, `stddev` and `known` (how many posts have it). `share(a, b)` alone is `a / b` with Wilson's
//! 95 % interval. What is not known is null, and so is what is computed from it; so is a division by zero.

use super::{ExprError, Parser, Sums, Value};
use crate::acc::Acc;
use crate::number::{NumberSpec, Numbers, PARTS, Stat};
use crate::spec::{Measure, Part, Used};
use serde::{Deserialize, Serialize};

/// A function over one number of the posts of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Sum,
    /// The same, and zero where no post has it.
    Total,
    Mean,
    Max,
    Min,
    Stddev,
    Known,
}

impl Function {
    pub(super) const ALL: [(&'static str, Function); 7] = [
        ("sum", Function::Sum),
        ("total", Function::Total),
        ("mean", Function::Mean),
        ("max", Function::Max),
        ("min", Function::Min),
        ("stddev", Function::Stddev),
        ("known", Function::Known),
    ];

    /// The value over a row; none where no post has the number.
    #[allow(clippy::cast_precision_loss)] // rounded once
    pub(super) fn value(self, stat: &Stat, decimal: bool) -> Option<f64> {
        let parts = if decimal { PARTS as f64 } else { 1.0 };
        let n = i128::from(stat.known);
        if self == Function::Known {
            return Some(n as f64);
        }
        if n <= 0 {
            return (self == Function::Total).then_some(0.0);
        }
        match self {
            Function::Sum | Function::Total => Some(stat.sum as f64 / parts),
            Function::Mean => Some(stat.sum as f64 / n as f64 / parts),
            Function::Max => stat.bounds.map(|(_, most)| most as f64 / parts),
            Function::Min => stat.bounds.map(|(least, _)| least as f64 / parts),
            // n·Σx² − (Σx)² is a whole number, and never below zero; where it does not fit, n is in the millions of the
            // greatest numbers there are.
            Function::Stddev => {
                let spread = n
                    .checked_mul(stat.squares)?
                    .checked_sub(stat.sum.checked_mul(stat.sum)?)?;
                Some((spread.max(0) as f64).sqrt() / n as f64 / parts)
            }
            Function::Known => None,
        }
    }
}

/// A parsed formula. Two are equal when they are written the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Formula {
    text: String,
    root: Root,
    whole: bool,
}

#[derive(Serialize, Deserialize)]
struct Written {
    text: String,
    whole: bool,
}

#[derive(Clone, Debug)]
enum Root {
    Value(Value),
    Share(Value, Value),
}

impl Formula {
    /// Parses a formula over these numbers.
    ///
    /// # Errors
    /// [`ExprError`] with the position and, for an unknown name, the names there are.
    pub fn parse(text: &str, numbers: &[NumberSpec]) -> Result<Formula, ExprError> {
        let known = numbers.iter().map(|n| n.name.clone()).collect();
        let mut formula = Formula::with(text, Some(known))?;
        formula.whole = match &formula.root {
            Root::Value(Value::Measure(measure)) => measure.is_count(),
            Root::Value(Value::Of(Function::Known, _)) => true,
            Root::Value(Value::Of(Function::Sum | Function::Total | Function::Max | Function::Min, name)) => {
                !numbers.iter().any(|n| n.decimal && n.name == **name)
            }
            _ => false,
        };
        Ok(formula)
    }

    fn with(text: &str, known: Option<Vec<String>>) -> Result<Formula, ExprError> {
        let mut parser = Parser::formula(text, known);
        let root = if parser.take("share") {
            parser.expect("(")?;
            let of = parser.sum()?;
            parser.expect(",")?;
            let all = parser.sum()?;
            parser.expect(")")?;
            Root::Share(of, all)
        } else {
            Root::Value(parser.sum()?)
        };
        parser.end("expected an operator or the end")?;
        Ok(Formula {
            text: text.trim().to_owned(),
            root,
            whole: false,
        })
    }

    /// The formula as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has an interval.
    pub fn is_share(&self) -> bool {
        matches!(self.root, Root::Share(..))
    }

    /// Whether its value is a whole number: a count, or a sum or an end of whole numbers.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Calls with every number it uses, and whether its ends and its squares are needed.
    pub fn each_use(&self, give: &mut impl FnMut(&str, bool, bool)) {
        let mut visit = |value: &Value| {
            value.each_of(&mut |function, name| {
                let bounds = matches!(function, Function::Max | Function::Min);
                give(name, bounds, function == Function::Stddev);
            });
        };
        match &self.root {
            Root::Value(value) => visit(value),
            Root::Share(of, all) => {
                visit(of);
                visit(all);
            }
        }
    }

    /// Whether it uses the number of authors.
    pub fn uses_authors(&self) -> bool {
        match &self.root {
            Root::Value(value) => value.has(Measure::Authors),
            Root::Share(of, all) => of.has(Measure::Authors) || all.has(Measure::Authors),
        }
    }

    /// One of its numbers for a row, whose numbers are those that the view uses, in this order.
    pub fn part(&self, part: Part, acc: &Acc, used: &[Used], numbers: Option<&Numbers>) -> Option<f64> {
        let sums = Sums {
            numbers: numbers.map(|numbers| (used, numbers)),
            ..Sums::of(acc)
        };
        match &self.root {
            Root::Value(value) => (part == Part::Value).then(|| value.eval(&sums)).flatten(),
            Root::Share(of, all) => {
                let (of, all) = (of.eval(&sums)?, all.eval(&sums)?);
                let (share, low, high) = wilson(of, all)?;
                Some(match part {
                    Part::Value => share,
                    Part::Low => low,
                    Part::High => high,
                })
            }
        }
    }
}

impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Formula {}
impl TryFrom<Written> for Formula {
    type Error = ExprError;
    fn try_from(written: Written) -> Result<Self, ExprError> {
        let formula = Formula::with(&written.text, None)?;
        Ok(Formula {
            whole: written.whole,
            ..formula
        })
    }
}
impl From<Formula> for Written {
    fn from(formula: Formula) -> Written {
        Written {
            text: formula.text,
            whole: formula.whole,
        }
    }
}

/// A share with its 95 % interval (Wilson, *JASA* 22, 1927); none unless 0 ≤ `of` ≤ `all` and `all` > 0.
pub fn wilson(of: f64, all: f64) -> Option<(f64, f64, f64)> {
    const Z: f64 = 1.959_963_984_540_054;
    if !(all > 0.0 && (0.0..=all).contains(&of)) {
        return None;
    }
    let (p, z2) = (of / all, Z * Z);
    let scale = 1.0 + z2 / all;
    let middle = (p + z2 / (2.0 * all)) / scale;
    let half = Z / scale * (p * (1.0 - p) / all + z2 / (4.0 * all * all)).sqrt();
    Some((p, (middle - half).max(0.0), (middle + half).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<NumberSpec> {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        NumberSpec::declare(
            &names(&["likes", "dislikes"]),
            &names(&["ratio"]),
            &names(&["followers"]),
        )
    }

    fn eval(text: &str, likes: &[i64], dislikes: &[i64], posts: i32) -> [Option<f64>; 3] {
        let formula = Formula::parse(text, &declared()).expect("parses");
        let extras = crate::spec::Extras::new(Column::of("x", &formula), None, &declared());
        let stat = |used: &Used| {
            let values = match used.number.name.as_str() {
                "likes" => likes,
                "dislikes" => dislikes,
                _ => &[],
            };
            Stat {
                known: i64::try_from(values.len()).expect("few"),
                sum: values.iter().map(|v| i128::from(*v)).sum(),
                squares: values.iter().map(|v| i128::from(*v).pow(2)).sum(),
                bounds: values.iter().min().copied().zip(values.iter().max().copied()),
            }
        };
        let numbers = Numbers {
            stats: extras.numbers.iter().map(stat).collect(),
            top: vec![],
        };
        let acc = Acc {
            posts,
            ..Acc::default()
        };
        [Part::Value, Part::Low, Part::High].map(|part| formula.part(part, &acc, &extras.numbers, Some(&numbers)))
    }
    use crate::spec::Column;

    #[test]
    fn functions_over_numbers() {
        for (text, expected) in [
            ("sum(likes)", Some(9.0)),
            ("mean(likes)", Some(3.0)),
            ("max(likes) - min(likes)", Some(4.0)),
            ("known(likes) / posts", Some(0.75)),
            ("stddev(likes) * stddev(likes)", Some(8.0 / 3.0)),
            ("100 * sum(likes) / (sum(likes) + sum(dislikes))", None),
            ("1 / (posts - 4)", None),
            ("sum(dislikes)", None),
            ("total(dislikes)", Some(0.0)),
            ("-posts", Some(-4.0)),
        ] {
            let got = eval(text, &[1, 3, 5], &[], 4)[0];
            match (got, expected) {
                (Some(got), Some(expected)) => assert!((got - expected).abs() < 1e-12, "{text}: {got}"),
                other => assert_eq!(other, (None, None), "{text}"),
            }
        }
        let ratio = eval("100 * sum(likes) / (sum(likes) + sum(dislikes))", &[3], &[1], 1)[0];
        assert_eq!(ratio, Some(75.0));
        assert_eq!(
            eval("sum(likes) / sum(dislikes)", &[3], &[0], 1)[0],
            None,
            "a division by zero"
        );
    }

    #[test]
    fn a_share_has_an_interval() {
        // The roots of (0.6 - q)^2 = z^2 q (1 - q) / 10.
        let [share, low, high] = eval("share(sum(likes), posts)", &[6], &[], 10);
        let near = |got: Option<f64>, expected: f64| got.is_some_and(|got| (got - expected).abs() < 1e-9);
        assert!(near(share, 0.6) && near(low, 0.312_673_769_733_658), "{low:?}");
        assert!(near(high, 0.831_819_670_293_764), "{high:?}");
        assert_eq!(eval("share(sum(likes), posts)", &[6], &[], 0), [None; 3]);
        assert_eq!(eval("share(sum(likes), posts)", &[7], &[], 6), [None; 3], "no share");
        for n in 0..50 {
            for of in 0..=n {
                if let Some((p, low, high)) = wilson(f64::from(of), f64::from(n)) {
                    assert!(
                        0.0 <= low && low <= p + 1e-12 && p <= high + 1e-12 && high <= 1.0,
                        "{of}/{n}"
                    );
                }
            }
        }
    }

    #[test]
    fn whole_numbers_are_known_by_their_form() {
        for (text, whole) in [
            ("posts", true),
            ("sum(likes)", true),
            ("known(ratio)", true),
            ("max(ratio)", false),
            ("mean(likes)", false),
            ("sum(likes) + 1", false),
            ("sentiment", false),
        ] {
            let formula = Formula::parse(text, &declared()).expect("parses");
            assert_eq!(formula.is_whole(), whole, "{text}");
            let text = serde_json::to_string(&formula).expect("json");
            let back: Formula = serde_json::from_str(&text).expect("back");
            assert_eq!((&back, back.is_whole()), (&formula, whole));
        }
    }

    #[test]
    fn mistakes_name_the_place_and_the_words() {
        for (text, at, says) in [
            (
                "sum(liks)",
                5,
                "unknown number \"liks\"; known: votes, likes, dislikes, ratio, followers",
            ),
            (
                "totl(likes)",
                1,
                "unknown function \"totl\"; known: sum, total, mean, max, min, stddev, known",
            ),
            ("likes", 1, "unknown measure \"likes\""),
            ("sum(likes", 10, "expected `)`"),
            ("share(posts)", 12, "expected `,`"),
            ("posts >", 7, "expected an operator or the end"),
            ("1 + share(posts, posts)", 5, "unknown function \"share\""),
        ] {
            let error = Formula::parse(text, &declared()).expect_err(text);
            assert!(error.at == at && error.message.contains(says), "{text}: {error}");
        }
    }
}
