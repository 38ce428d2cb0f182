//! From text to conditions and formulas: a parser by recursive descent, which says where it stopped and what it expected.

use super::earlier::Looks;
use super::formula::Function;
use super::{Compare, ExprError, Node, Value};
use crate::spec::Measure;
use crate::time::{DAY, HOUR, MINUTE, SECOND};

/// Nesting allowed in a condition; deeper input is refused instead of using up the stack.
const MAX_DEPTH: usize = 32;

/// What a condition may ask of earlier windows.
const EARLIER: [&str; 2] = ["previous", "baseline"];

/// Units of durations, and the longest one.
const UNITS: [(&str, i64); 5] = [("ms", 1), ("s", SECOND), ("m", MINUTE), ("h", HOUR), ("d", DAY)];
const LONGEST: i64 = 3650 * DAY;

pub(super) struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
    kind: Kind,
    /// The earlier windows that were asked for.
    pub(super) looks: Looks,
    /// What a measure is asked of at the moment, if not of the window itself.
    within: Option<&'static str>,
}

/// What is parsed, and so which names there are.
pub(super) enum Kind {
    /// A condition: measures that are sums.
    Condition,
    /// A formula: all measures, and functions over these numbers; of a formula that was parsed before, over any.
    Formula(Option<Vec<String>>),
}

impl Parser {
    pub(super) fn condition(text: &str) -> Self {
        Parser {
            chars: text.chars().collect(),
            at: 0,
            depth: 0,
            kind: Kind::Condition,
            looks: Looks::default(),
            within: None,
        }
    }

    pub(super) fn formula(text: &str, known: Option<Vec<String>>) -> Self {
        Parser {
            kind: Kind::Formula(known),
            ..Parser::condition(text)
        }
    }

    pub(super) fn end(&mut self, message: &str) -> Result<(), ExprError> {
        self.space();
        if self.at < self.chars.len() {
            return self.fail(message);
        }
        Ok(())
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), ExprError> {
        if self.take(token) {
            Ok(())
        } else {
            self.space();
            self.fail(format!("expected `{token}`"))
        }
    }

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

    pub(super) fn take(&mut self, token: &str) -> bool {
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

    pub(super) fn or(&mut self) -> Result<Node, ExprError> {
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
        let (start, depth, within, looks) = (self.at, self.depth, self.within, self.looks.clone());
        let mut tried = None;
        if self.take("(") {
            match self.or() {
                Ok(inner) if self.take(")") => return Ok(inner),
                Ok(_) => {}
                Err(error) => tried = Some(error),
            }
            (self.at, self.depth, self.within, self.looks) = (start, depth, within, looks);
        }
        // Of two errors the one that got farther says more.
        self.compared()
            .map_err(|error| tried.filter(|tried| tried.at > error.at).unwrap_or(error))
    }

    fn compared(&mut self) -> Result<Node, ExprError> {
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

    pub(super) fn sum(&mut self) -> Result<Value, ExprError> {
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

    /// Reads on as long as the characters are of a kind.
    fn run(&mut self, ok: fn(char) -> bool) -> String {
        let start = self.at;
        while self.chars.get(self.at).is_some_and(|c| ok(*c)) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
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
        match self.chars.get(self.at) {
            Some(c) if c.is_ascii_digit() || *c == '.' => {
                let text = self.run(|c| c.is_ascii_digit() || c == '.');
                text.parse()
                    .map(Value::Number)
                    .or_else(|_| self.fail(format!("\"{text}\" is not a number")))
            }
            Some(c) if c.is_alphabetic() => {
                let name = self.run(|c| c.is_alphanumeric() || c == '_');
                self.named(&name, start)
            }
            _ => self.fail("expected a measure or a number"),
        }
    }

    /// What a name stands for that begins at `start` and has just been read.
    fn named(&mut self, name: &str, start: usize) -> Result<Value, ExprError> {
        let measures: &[Measure] = match self.kind {
            Kind::Condition => &Measure::SUMS,
            Kind::Formula(_) => &Measure::ALL,
        };
        let called = self.take("(");
        match (&self.kind, EARLIER.into_iter().find(|word| *word == name)) {
            (Kind::Condition, Some(word)) if called => return self.earlier(word, start),
            (Kind::Condition, Some(word)) => {
                self.at = start;
                return self.fail(format!("`{word}` wants a measure in parentheses: `{word}(posts)`"));
            }
            (Kind::Condition, None) if called => return self.unknown(start, "function", name, &EARLIER),
            (Kind::Formula(_), _) if called => return self.function(name, start),
            _ => {}
        }
        match measures.iter().find(|m| m.name() == name) {
            Some(m) => Ok(Value::Measure(*m)),
            None => {
                let known: Vec<&str> = measures.iter().map(|m| m.name()).collect();
                self.unknown(start, "measure", name, &known)
            }
        }
    }

    fn unknown<T>(&mut self, at: usize, what: &str, name: &str, known: &[&str]) -> Result<T, ExprError> {
        self.at = at;
        self.fail(format!("unknown {what} \"{name}\"; known: {}", known.join(", ")))
    }

    /// A function over a number, its name and the parenthesis read.
    fn function(&mut self, name: &str, start: usize) -> Result<Value, ExprError> {
        let functions = Function::ALL;
        let Some((_, function)) = functions.into_iter().find(|(word, _)| *word == name) else {
            let known = functions.map(|(word, _)| word);
            return self.unknown(start, "function", name, &known);
        };
        self.space();
        let from = self.at;
        let number = self.run(|c| c.is_alphanumeric() || c == '_');
        if let Kind::Formula(Some(known)) = &self.kind
            && !known.contains(&number)
        {
            let known = known.clone();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            return self.unknown(from, "number", &number, &known);
        }
        self.expect(")")?;
        Ok(Value::Of(function, number.into()))
    }

    /// A value of earlier windows, its name and the parenthesis read.
    fn earlier(&mut self, word: &'static str, start: usize) -> Result<Value, ExprError> {
        if self.within.replace(word).is_some() {
            self.at = start;
            return self.fail("`previous` and `baseline` cannot stand in one another");
        }
        self.space();
        let from = self.at;
        let of = Box::new(self.sum()?);
        self.within = None;
        if of.is_constant() {
            self.at = from;
            return self.fail(format!("`{word}` wants a measure of the earlier window"));
        }
        if word == "baseline" {
            self.looks.baseline = true;
            if !self.take(")") {
                self.space();
                let why = "how many weeks a baseline takes in is said in `baseline` of the rule";
                return self.fail(format!("expected `)`: {why}"));
            }
            return Ok(Value::Baseline(of));
        }
        let distance = if self.take(",") { Some(self.duration()?) } else { None };
        self.expect(")")?;
        self.looks.previous.push(distance);
        Ok(Value::Previous(of, distance))
    }

    fn duration(&mut self) -> Result<i64, ExprError> {
        self.space();
        let start = self.at;
        let number = self.run(|c| c.is_ascii_digit());
        self.space();
        let unit = self.run(char::is_alphabetic);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let length = number
            .parse::<i64>()
            .ok()
            .zip(factor)
            .and_then(|(n, factor)| n.checked_mul(factor));
        match length.filter(|ms| (1..=LONGEST).contains(ms)) {
            Some(length) => Ok(length),
            None => {
                self.at = start;
                self.fail("expected a duration: `500ms`, `10s`, `1m`, `2h`, `30d`, at most 3650d")
            }
        }
    }
}
