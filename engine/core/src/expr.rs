//! Conditions over the measures of a view row: `sentiment < -0.3 and posts >= 20`.
//!
//! Grammar: `or` binds weaker than `and`, `not` and parentheses as usual; a comparison has an arithmetic expression
//! (`+ - * /`, numbers, measure names) on both sides. A comparison with a null operand is false.
//!
//! `previous(x)`, `previous(x, 10m)` and `baseline(x)` are values of earlier windows ([`earlier`]). A comparison that lacks one
//! is neither true nor false, and what depends on it is neither.

pub mod earlier;
mod formula;
mod parse;

pub use earlier::{Baseline, Earlier, Looks};
pub use formula::{Formula, wilson};

use crate::acc::Acc;
use crate::number::Numbers;
use crate::spec::{Measure, Used};
use formula::Function;
use parse::Parser;
use serde::{Deserialize, Serialize};

/// A parsed condition.
///
/// Two conditions are equal when they are written the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expr {
    text: String,
    root: Node,
    looks: Looks,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Or(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Compare(Value, Compare, Value),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(f64),
    Measure(Measure),
    /// A function over a number of the posts; in formulas only.
    Of(Function, Box<str>),
    /// A value of the window that began this long before, or one size before; in conditions only.
    Previous(Box<Value>, Option<i64>),
    /// The median of a value in the same window of past weeks; in conditions only.
    Baseline(Box<Value>),
    Op(Box<Value>, char, Box<Value>),
}

/// What values are computed from.
struct Sums<'a> {
    acc: &'a Acc,
    /// The numbers a view uses, and what they are in the row.
    numbers: Option<(&'a [Used], &'a Numbers)>,
    /// The windows before.
    earlier: Option<&'a Earlier<'a>>,
}

impl<'a> Sums<'a> {
    /// Those of a window, and nothing else.
    fn of(acc: &'a Acc) -> Self {
        Sums {
            acc,
            numbers: None,
            earlier: None,
        }
    }
}

/// Why a condition does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at character {at})")]
pub struct ExprError {
    /// What is wrong.
    pub message: String,
    /// 1-based character position.
    pub at: usize,
}

impl Expr {
    /// Whether the condition holds for a group's sums, where nothing is known of earlier windows.
    pub fn holds(&self, acc: &Acc) -> bool {
        self.holds_after(acc, None)
    }

    /// Whether the condition holds for a group's sums after these windows.
    pub fn holds_after(&self, acc: &Acc, earlier: Option<&Earlier<'_>>) -> bool {
        let sums = Sums {
            earlier,
            ..Sums::of(acc)
        };
        self.root.truth(&sums) == Some(true)
    }

    /// How far back it looks.
    pub fn looks(&self) -> &Looks {
        &self.looks
    }

    /// Whether every baseline that it asks for is known.
    pub fn has_its_baselines(&self, earlier: &Earlier<'_>) -> bool {
        self.root.has_its_baselines(earlier)
    }

    /// The condition as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What an alert reports as `value` and `threshold`: both sides of the first comparison that looks back, else of the
    /// first one; the side without a measure is the threshold, else the right one. None for what is not known.
    pub fn compared(&self, acc: Option<&Acc>, earlier: Option<&Earlier<'_>>) -> (Option<f64>, Option<f64>) {
        let (value, threshold) = self.root.subject();
        let nothing = Acc::default();
        let eval = |side: &Value| {
            let sums = Sums {
                earlier,
                ..Sums::of(acc.unwrap_or(&nothing))
            };
            let known = acc.is_some() || side.is_constant();
            known.then(|| side.eval(&sums)).flatten()
        };
        (eval(value), eval(threshold))
    }

    /// Whether posts that pull sentiment *down* explain this condition: `sentiment < …`, `negative / posts > …`.
    /// Conditions that say nothing about direction count as downwards.
    pub fn looks_down(&self) -> bool {
        self.root.looks_down().unwrap_or(true)
    }

    /// Parses a condition.
    ///
    /// # Errors
    /// [`ExprError`] with the position and, for an unknown name, the names there are.
    pub fn parse(text: &str) -> Result<Expr, ExprError> {
        let mut parser = Parser::condition(text);
        let root = parser.or()?;
        parser.end("expected `and`, `or` or the end")?;
        Ok(Expr {
            text: text.trim().to_owned(),
            root,
            looks: parser.looks,
        })
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Expr {}
impl PartialOrd for Expr {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Expr {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl TryFrom<String> for Expr {
    type Error = ExprError;
    fn try_from(text: String) -> Result<Self, ExprError> {
        Expr::parse(&text)
    }
}

impl From<Expr> for String {
    fn from(e: Expr) -> String {
        e.text
    }
}

impl Node {
    /// Whether it holds; none where that hangs on an earlier window that is not known.
    fn truth(&self, sums: &Sums<'_>) -> Option<bool> {
        match self {
            Node::Or(a, b) => match (a.truth(sums), b.truth(sums)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (a, b) => a.and(b),
            },
            Node::And(a, b) => match (a.truth(sums), b.truth(sums)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (a, b) => a.and(b),
            },
            Node::Not(a) => a.truth(sums).map(|holds| !holds),
            Node::Compare(a, op, b) => match (a.eval(sums), b.eval(sums)) {
                (Some(a), Some(b)) => Some(match op {
                    Compare::Lt => a < b,
                    Compare::Le => a <= b,
                    Compare::Gt => a > b,
                    Compare::Ge => a >= b,
                    Compare::Eq => a == b,
                    Compare::Ne => a != b,
                }),
                _ => (!a.looks_back() && !b.looks_back()).then_some(false),
            },
        }
    }

    fn looks_down(&self) -> Option<bool> {
        match self {
            Node::Or(a, b) | Node::And(a, b) => a.looks_down().or_else(|| b.looks_down()),
            Node::Not(a) => a.looks_down().map(|down| !down),
            Node::Compare(a, op, b) => {
                let (good, flipped) = match (a.is_good(), b.is_good()) {
                    (Some(good), _) => (good, false),
                    (None, Some(good)) => (good, true),
                    (None, None) => return None,
                };
                let below = matches!(op, Compare::Lt | Compare::Le) != flipped;
                Some(below == good)
            }
        }
    }

    fn has_its_baselines(&self, earlier: &Earlier<'_>) -> bool {
        match self {
            Node::Or(a, b) | Node::And(a, b) => a.has_its_baselines(earlier) && b.has_its_baselines(earlier),
            Node::Not(a) => a.has_its_baselines(earlier),
            Node::Compare(a, _, b) => a.has_its_baselines(earlier) && b.has_its_baselines(earlier),
        }
    }

    /// Both sides of the comparison that an alert reports, what is compared first.
    fn subject(&self) -> (&Value, &Value) {
        match self {
            Node::Or(a, b) | Node::And(a, b) => {
                let (first, second) = (a.subject(), b.subject());
                let back = |(value, threshold): (&Value, &Value)| value.looks_back() || threshold.looks_back();
                if back(second) && !back(first) { second } else { first }
            }
            Node::Not(a) => a.subject(),
            Node::Compare(a, _, b) if a.is_constant() => (b, a),
            Node::Compare(a, _, b) => (a, b),
        }
    }
}

impl Value {
    /// Whether more of this value means happier people; none if it says nothing about that.
    fn is_good(&self) -> Option<bool> {
        match self {
            Value::Measure(Measure::Sentiment | Measure::Positive) => Some(true),
            Value::Measure(Measure::Negative | Measure::Toxic | Measure::Sarcastic) => Some(false),
            Value::Measure(_) | Value::Number(_) | Value::Of(..) => None,
            Value::Previous(of, _) | Value::Baseline(of) => of.is_good(),
            Value::Op(a, '/' | '*' | '+', b) => a.is_good().or_else(|| b.is_good()),
            Value::Op(a, _, b) => a.is_good().or_else(|| b.is_good().map(|good| !good)),
        }
    }

    fn eval(&self, sums: &Sums<'_>) -> Option<f64> {
        match self {
            Value::Number(n) => Some(*n),
            Value::Measure(m) => m.value(sums.acc),
            Value::Of(function, name) => {
                let (used, numbers) = sums.numbers?;
                let at = used.iter().position(|used| *used.number.name == **name)?;
                function.value(numbers.stats.get(at)?, used[at].number.decimal)
            }
            Value::Previous(of, distance) => sums.earlier?.previous(of, *distance),
            Value::Baseline(of) => sums.earlier?.median(of),
            Value::Op(a, op, b) => {
                let (a, b) = (a.eval(sums)?, b.eval(sums)?);
                let v = match op {
                    '+' => a + b,
                    '-' => a - b,
                    '*' => a * b,
                    _ => a / b,
                };
                v.is_finite().then_some(v)
            }
        }
    }

    /// Calls with every function and the number it is over.
    fn each_of(&self, give: &mut impl FnMut(Function, &str)) {
        match self {
            Value::Of(function, name) => give(*function, name),
            Value::Op(a, _, b) => {
                a.each_of(give);
                b.each_of(give);
            }
            // Conditions know no functions over numbers.
            Value::Number(_) | Value::Measure(_) | Value::Previous(..) | Value::Baseline(_) => {}
        }
    }

    fn has_its_baselines(&self, earlier: &Earlier<'_>) -> bool {
        match self {
            Value::Baseline(of) => earlier.median(of).is_some(),
            Value::Op(a, _, b) => a.has_its_baselines(earlier) && b.has_its_baselines(earlier),
            Value::Number(_) | Value::Measure(_) | Value::Of(..) | Value::Previous(..) => true,
        }
    }

    /// Whether it needs an earlier window.
    fn looks_back(&self) -> bool {
        match self {
            Value::Previous(..) | Value::Baseline(_) => true,
            Value::Op(a, _, b) => a.looks_back() || b.looks_back(),
            Value::Number(_) | Value::Measure(_) | Value::Of(..) => false,
        }
    }

    /// Whether it is the same in every window.
    fn is_constant(&self) -> bool {
        match self {
            Value::Number(_) => true,
            Value::Op(a, _, b) => a.is_constant() && b.is_constant(),
            _ => false,
        }
    }

    /// Whether it uses a measure.
    fn has(&self, measure: Measure) -> bool {
        match self {
            Value::Measure(m) => *m == measure,
            Value::Op(a, _, b) => a.has(measure) || b.has(measure),
            Value::Previous(of, _) | Value::Baseline(of) => of.has(measure),
            Value::Number(_) | Value::Of(..) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acc::UNIT;
    use crate::score::Label;

    fn acc(x: i32, posts: i32) -> Acc {
        Acc {
            posts,
            ..Acc::scored(UNIT, x, Label::Negative, false, false)
        }
    }

    #[test]
    fn compares_measures() {
        let e = Expr::parse("sentiment < -0.3 and posts >= 20").expect("parses");
        assert!(e.holds(&acc(-400_000, 20)));
        assert!(!e.holds(&acc(-400_000, 19)));
        assert!(!e.holds(&acc(-250_000, 20)));
        assert_eq!(e.compared(Some(&acc(-500_000, 20)), None), (Some(-0.5), Some(-0.3)));
    }

    #[test]
    fn arithmetic_parentheses_and_not() {
        let e = Expr::parse("(negative / posts > 0.5) and not (posts + 1 < 3)").expect("parses");
        assert!(!e.holds(&acc(0, 1)) && !e.holds(&acc(0, 2)));
        assert!(Expr::parse("(posts + 1) * 2 == 6").expect("parses").holds(&acc(0, 2)));
    }

    #[test]
    fn knows_which_posts_explain_it() {
        for (text, down) in [
            ("sentiment < -0.3", true),
            ("sentiment > 0.5", false),
            ("-0.3 > sentiment", true),
            ("posts > 9 and negative / posts > 0.5", true),
            ("posts > 100", true),
        ] {
            assert_eq!(Expr::parse(text).expect("parses").looks_down(), down, "{text}");
        }
    }

    #[test]
    fn a_null_compares_false_both_ways() {
        let empty = Acc::unscored();
        assert!(!Expr::parse("sentiment < 0").expect("parses").holds(&empty));
        assert!(!Expr::parse("sentiment >= 0").expect("parses").holds(&empty));
        assert!(!Expr::parse("1 / (posts - 1) > 0").expect("parses").holds(&empty));
    }

    #[test]
    fn errors_name_the_place_and_the_words() {
        let e = Expr::parse("sentimnt < 0").expect_err("unknown");
        assert!(e.message.contains("sentiment") && e.at == 1, "{e}");
        assert!(Expr::parse("posts").is_err());
        assert!(Expr::parse("posts > ").is_err());
        assert!(Expr::parse("posts > 1 posts").is_err());
        assert!(Expr::parse(&"(".repeat(10_000)).is_err());
    }
}
