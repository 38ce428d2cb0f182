//! Conditions over the measures of a view row: `sentiment < -0.3 and posts >= 20`.
//!
//! Grammar: `or` binds weaker than `and`, `not` and parentheses as usual; a comparison has an arithmetic expression
//! (`+ - * /`, numbers, measure names) on both sides. A comparison with a null operand is false.

use crate::acc::Acc;
use crate::spec::Measure;
use serde::{Deserialize, Serialize};

/// A parsed condition.
///
/// Two conditions are equal when they are written the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expr {
    text: String,
    root: Node,
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
    Op(Box<Value>, char, Box<Value>),
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
    /// Whether the condition holds for a group's sums.
    pub fn holds(&self, acc: &Acc) -> bool {
        self.root.holds(acc)
    }

    /// The condition as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first measure and number compared with it: what an alert reports as `value` and `threshold`.
    pub fn subject(&self) -> Option<(Measure, f64)> {
        self.root.subject()
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
        let mut parser = Parser {
            chars: text.chars().collect(),
            at: 0,
            depth: 0,
        };
        let root = parser.or()?;
        parser.space();
        if parser.at < parser.chars.len() {
            return parser.fail("expected `and`, `or` or the end");
        }
        Ok(Expr {
            text: text.trim().to_owned(),
            root,
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
    fn holds(&self, acc: &Acc) -> bool {
        match self {
            Node::Or(a, b) => a.holds(acc) || b.holds(acc),
            Node::And(a, b) => a.holds(acc) && b.holds(acc),
            Node::Not(a) => !a.holds(acc),
            Node::Compare(a, op, b) => match (a.eval(acc), b.eval(acc)) {
                (Some(a), Some(b)) => match op {
                    Compare::Lt => a < b,
                    Compare::Le => a <= b,
                    Compare::Gt => a > b,
                    Compare::Ge => a >= b,
                    Compare::Eq => a == b,
                    Compare::Ne => a != b,
                },
                _ => false,
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

    fn subject(&self) -> Option<(Measure, f64)> {
        match self {
            Node::Or(a, b) | Node::And(a, b) => a.subject().or_else(|| b.subject()),
            Node::Not(a) => a.subject(),
            Node::Compare(Value::Measure(m), _, Value::Number(n))
            | Node::Compare(Value::Number(n), _, Value::Measure(m)) => Some((*m, *n)),
            Node::Compare(..) => None,
        }
    }
}

impl Value {
    /// Whether more of this value means happier people; none if it says nothing about that.
    fn is_good(&self) -> Option<bool> {
        match self {
            Value::Measure(Measure::Sentiment | Measure::Positive) => Some(true),
            Value::Measure(Measure::Negative | Measure::Toxic | Measure::Sarcastic) => Some(false),
            Value::Measure(_) | Value::Number(_) => None,
            Value::Op(a, '/' | '*' | '+', b) => a.is_good().or_else(|| b.is_good()),
            Value::Op(a, _, b) => a.is_good().or_else(|| b.is_good().map(|good| !good)),
        }
    }

    fn eval(&self, acc: &Acc) -> Option<f64> {
        match self {
            Value::Number(n) => Some(*n),
            Value::Measure(m) => m.value(acc),
            Value::Op(a, op, b) => {
                let (a, b) = (a.eval(acc)?, b.eval(acc)?);
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
}

/// Nesting allowed in a condition; deeper input is refused instead of using up the stack.
const MAX_DEPTH: usize = 32;

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn fail<T>(&self, message: impl Into<String>) -> Result<T, ExprError> {
        Err(ExprError {
            message: message.into(),
            at: self.at + 1,
        })
    }

    fn space(&mut self) {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        let wanted: Vec<char> = token.chars().collect();
        let end = self.at + wanted.len();
        let hit = self.chars.get(self.at..end) == Some(&wanted[..]);
        let word = wanted.iter().all(|c| c.is_alphabetic());
        let boundary = !word || !self.chars.get(end).is_some_and(|c| c.is_alphanumeric() || *c == '_');
        if hit && boundary {
            self.at = end;
        }
        hit && boundary
    }

    fn or(&mut self) -> Result<Node, ExprError> {
        let mut left = self.and()?;
        while self.take("or") {
            left = Node::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Node, ExprError> {
        let mut left = self.not()?;
        while self.take("and") {
            left = Node::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Node, ExprError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail("nested too deeply");
        }
        let node = if self.take("not") {
            Node::Not(Box::new(self.not()?))
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(node)
    }

    /// A parenthesis may open a condition or a number; try the condition first and step back if it is not one.
    fn comparison(&mut self) -> Result<Node, ExprError> {
        let start = self.at;
        if self.take("(") {
            let inner = self.or();
            if inner.is_ok() && self.take(")") {
                return inner;
            }
            self.at = start;
        }
        let left = self.sum()?;
        let op = [
            ("<=", Compare::Le),
            (">=", Compare::Ge),
            ("==", Compare::Eq),
            ("!=", Compare::Ne),
            ("<", Compare::Lt),
            (">", Compare::Gt),
        ]
        .into_iter()
        .find(|(token, _)| self.take(token));
        let Some((_, op)) = op else {
            return self.fail("expected a comparison (<, <=, >, >=, ==, !=)");
        };
        Ok(Node::Compare(left, op, self.sum()?))
    }

    fn sum(&mut self) -> Result<Value, ExprError> {
        let mut left = self.product()?;
        loop {
            let op = if self.take("+") {
                '+'
            } else if self.take("-") {
                '-'
            } else {
                return Ok(left);
            };
            left = Value::Op(Box::new(left), op, Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Value, ExprError> {
        let mut left = self.atom()?;
        loop {
            let op = if self.take("*") {
                '*'
            } else if self.take("/") {
                '/'
            } else {
                return Ok(left);
            };
            left = Value::Op(Box::new(left), op, Box::new(self.atom()?));
        }
    }

    fn atom(&mut self) -> Result<Value, ExprError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail("nested too deeply");
        }
        let value = self.atom_inner();
        self.depth -= 1;
        value
    }

    fn atom_inner(&mut self) -> Result<Value, ExprError> {
        if self.take("(") {
            let inner = self.sum()?;
            return if self.take(")") {
                Ok(inner)
            } else {
                self.fail("expected `)`")
            };
        }
        if self.take("-") {
            return match self.atom()? {
                Value::Number(n) => Ok(Value::Number(-n)),
                other => Ok(Value::Op(Box::new(Value::Number(0.0)), '-', Box::new(other))),
            };
        }
        self.space();
        let start = self.at;
        let run = |this: &mut Self, ok: fn(char) -> bool| {
            while this.chars.get(this.at).is_some_and(|c| ok(*c)) {
                this.at += 1;
            }
            this.chars[start..this.at].iter().collect::<String>()
        };
        match self.chars.get(self.at) {
            Some(c) if c.is_ascii_digit() || *c == '.' => {
                let text = run(self, |c| c.is_ascii_digit() || c == '.');
                text.parse()
                    .map(Value::Number)
                    .or_else(|_| self.fail(format!("\"{text}\" is not a number")))
            }
            Some(c) if c.is_alphabetic() => {
                let name = run(self, |c| c.is_alphanumeric() || c == '_');
                let known = Measure::SUMS.map(Measure::name);
                match Measure::SUMS.into_iter().find(|m| m.name() == name) {
                    Some(m) => Ok(Value::Measure(m)),
                    None => {
                        self.at = start;
                        self.fail(format!("unknown measure \"{name}\"; known: {}", known.join(", ")))
                    }
                }
            }
            _ => self.fail("expected a measure or a number"),
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
        assert_eq!(e.subject(), Some((Measure::Sentiment, -0.3)));
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
