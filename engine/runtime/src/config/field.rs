//! A key's value: read as what the key table says it is, with environment references resolved.
//!
//! As in [`super::read`], `None` means that the reason has been reported.

use super::error::{Pos, quoted, suggest};
use super::keys::{self, Key, Kind};
use super::read::{Reader, Section, describe};
use super::secret::{self, Secret};
use super::tree::{Node, Value};
use super::units;
use std::path::PathBuf;
use std::rc::Rc;

/// A key with its value.
pub(super) struct Field<'a> {
    pub reader: &'a Reader<'a>,
    pub path: String,
    /// As in the key table: the user's names are `*`.
    pub pattern: String,
    /// The row of the table that describes the value; the row of the whole for a list's elements and for the entries of
    /// a mapping from names.
    pub key: &'static Key,
    pub key_pos: Pos,
    pub node: Node,
}

impl<'a> Field<'a> {
    /// Notes a mistake in the value.
    pub fn error(&self, message: impl Into<String>, hint: Option<String>) {
        self.reader.report(self.node.pos, &self.path, message.into(), hint);
    }

    /// Notes a mistake in the key.
    pub fn key_error(&self, message: impl Into<String>, hint: Option<String>) {
        self.reader.report(self.key_pos, &self.path, message.into(), hint);
    }

    /// Notes a mistake at a place inside the value, if that is known.
    pub fn error_at(&self, pos: Option<Pos>, message: String, hint: Option<String>) {
        self.reader
            .report(pos.unwrap_or(self.node.pos), &self.path, message, hint);
    }

    /// Whether the value is a mapping.
    pub fn is_section(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// Whether the value is exactly this word.
    pub fn is(&self, word: &str) -> bool {
        match &self.node.value {
            Value::Scalar { text, .. } => secret::substitute(text, self.reader.env).is_ok_and(|t| t == word),
            _ => false,
        }
    }

    /// The mapping with its keys checked.
    pub fn section(&self) -> Option<Section<'a>> {
        let section = self.open()?;
        if keys::find(&self.pattern).is_none_or(|k| k.kind != Kind::Named) {
            section.check(None);
        }
        Some(section)
    }

    /// The mapping whose keys depend on the choice in `by`, with that choice.
    pub fn variant(&self, by: &str) -> Option<(Section<'a>, &'static str)> {
        let section = self.open()?;
        let choice = match section.get(by) {
            Some(field) => field.choice(),
            None => {
                section.required(by);
                None
            }
        };
        match choice {
            Some(choice) => {
                section.check(Some((by, choice)));
                Some((section, choice))
            }
            None => {
                // A planned kind brings planned keys; one message is enough.
                if section.given(by).is_none_or(|f| f.later_value().is_none()) {
                    section.check(None);
                }
                None
            }
        }
    }

    fn open(&self) -> Option<Section<'a>> {
        let entries = match &self.node.value {
            Value::Map(entries) => Rc::clone(entries),
            _ if self.node.is_null() => Rc::new([]),
            _ => {
                let words: Vec<String> = self.key.or.iter().map(|w| format!("\"{w}\" or ")).collect();
                return self.fail(&format!("{}a section", words.concat()));
            }
        };
        let (path, pattern) = (self.path.clone(), self.pattern.clone());
        Some(Section {
            reader: self.reader,
            path,
            pattern,
            pos: self.key_pos,
            entries,
        })
    }

    /// The elements of a list.
    pub fn list(&self, expected: &str) -> Option<Vec<Field<'a>>> {
        let Value::List(items) = &self.node.value else {
            return self.fail(expected);
        };
        let item = |(i, node): (usize, &Node)| Field {
            reader: self.reader,
            path: format!("{}[{i}]", self.path),
            pattern: self.pattern.clone(),
            key: self.key,
            key_pos: node.pos,
            node: node.clone(),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// A scalar with its references resolved.
    fn scalar(&self, expected: &str) -> Option<String> {
        let Value::Scalar { text, .. } = &self.node.value else {
            return self.fail(expected);
        };
        if self.node.is_null() {
            return self.fail(expected);
        }
        match secret::substitute(text, self.reader.env) {
            Ok(text) => Some(text),
            Err((message, hint)) => {
                self.error(message, hint);
                None
            }
        }
    }

    fn fail<T>(&self, expected: &str) -> Option<T> {
        let hint =
            (!self.key.example.is_empty()).then(|| format!("for example {}: {}", self.key.name(), self.key.example));
        let hint = hint.filter(|_| self.key.name() != "*");
        self.error(format!("expected {expected}, found {}", describe(&self.node)), hint);
        None
    }

    /// Free text, not empty.
    pub fn text(&self) -> Option<String> {
        let text = self.scalar("text")?;
        if text.trim().is_empty() {
            self.error("must not be empty", None);
            return None;
        }
        Some(text)
    }

    /// A secret: from the environment or a file, never spelt out here.
    pub fn secret(&self) -> Option<Secret> {
        let text = self.text()?;
        if let Value::Scalar { text: written, .. } = &self.node.value
            && secret::is_spelt_out(written)
        {
            let hint = format!("write {}: \"${{NAME}}\", or file:PATH", self.key.name());
            self.error("a password does not belong into this file", Some(hint));
            return None;
        }
        match Secret::read(&text, self.reader.base) {
            Ok(secret) => Some(secret),
            Err(why) => {
                self.error(why, None);
                None
            }
        }
    }

    /// A condition's text, and where in the file its characters stand, if one can tell.
    pub fn condition(&self) -> Option<(String, Option<Pos>)> {
        let text = self.scalar("a condition")?;
        let pos = match &self.node.value {
            Value::Scalar {
                text: written,
                verbatim: Some(column),
                ..
            } if **written == *text => Some(Pos {
                line: self.node.pos.line,
                column: *column,
            }),
            _ => None,
        };
        Some((text, pos))
    }

    /// A path, relative to the pipeline file, made absolute.
    pub fn path(&self) -> Option<PathBuf> {
        let text = self.scalar("a path")?;
        self.resolve(&text)
    }

    /// Makes a path of this field absolute.
    pub fn resolve(&self, text: &str) -> Option<PathBuf> {
        if text.is_empty() || text.contains('\0') {
            self.error(format!("{} is not a path", quoted(text)), None);
            return None;
        }
        match std::path::absolute(self.reader.base.join(text)) {
            Ok(path) => Some(path),
            Err(e) => {
                self.error(format!("{} cannot be made an absolute path: {e}", quoted(text)), None);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn bool(&self) -> Option<bool> {
        let text = self.scalar("true or false")?;
        match text.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.error(format!("{} is neither true nor false", quoted(&text)), None);
                None
            }
        }
    }

    /// A whole number within the table's limits.
    pub fn integer(&self) -> Option<i64> {
        let Kind::Integer(min, max) = self.key.kind else {
            return self.mistyped();
        };
        let value = self.whole()?;
        self.within(value, min, max, |v| v.to_string())
    }

    /// A whole number.
    pub fn whole(&self) -> Option<i64> {
        let text = self.scalar("a whole number")?;
        let value = text.trim().parse().ok();
        if value.is_none() {
            let or: Vec<String> = self.key.or.iter().map(|w| format!("or {w}")).collect();
            self.error(
                format!("{} is not a whole number", quoted(&text)),
                (!or.is_empty()).then(|| or.join(" ")),
            );
        }
        value
    }

    /// A finite number within the table's limits.
    pub fn number(&self) -> Option<f64> {
        let Kind::Number(min, max) = self.key.kind else {
            return self.mistyped();
        };
        let value = self.real()?;
        self.within(value, min, max, |v| v.to_string())
    }

    /// A finite number.
    pub fn real(&self) -> Option<f64> {
        let text = self.scalar("a number")?;
        let value = text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
        if value.is_none() {
            self.error(format!("{} is not a number", quoted(&text)), None);
        }
        value
    }

    /// Milliseconds of a duration within the table's limits.
    pub fn duration(&self) -> Option<i64> {
        let Kind::Duration(min, max) = self.key.kind else {
            return self.mistyped();
        };
        let hint = "write a whole number and a unit, as in 500ms, 10s, 1m, 2h, 30d";
        let value = self.measured("a duration", units::duration, hint)?;
        self.within(value, units::duration(min)?, units::duration(max)?, |v| {
            units::show_duration(*v)
        })
    }

    /// Bytes of a size within the table's limits.
    pub fn size(&self) -> Option<i64> {
        let Kind::Size(min, max) = self.key.kind else {
            return self.mistyped();
        };
        let hint = "write a whole number and a unit, as in 512KiB, 64MiB, 1GiB";
        let value = self.measured("a size", units::size, hint)?;
        self.within(value, units::size(min)?, units::size(max)?, |v| units::show_size(*v))
    }

    fn measured(&self, what: &str, parse: fn(&str) -> Option<i64>, hint: &str) -> Option<i64> {
        let text = self.scalar(what)?;
        let value = parse(&text);
        if value.is_none() {
            self.error(format!("{} is not {what}", quoted(&text)), Some(hint.to_owned()));
        }
        value
    }

    fn within<T: PartialOrd>(&self, value: T, min: T, max: T, show: impl Fn(&T) -> String) -> Option<T> {
        if value >= min && value <= max {
            return Some(value);
        }
        self.error(
            format!(
                "must be between {} and {}, not {}",
                show(&min),
                show(&max),
                show(&value)
            ),
            None,
        );
        None
    }

    /// One of the table's words.
    pub fn choice(&self) -> Option<&'static str> {
        let (Kind::Choice(words) | Kind::Choices(words)) = self.key.kind else {
            return self.mistyped();
        };
        let text = self.scalar(&format!("one of {}", words.join(", ")))?;
        let found = words.iter().find(|w| **w == text).copied();
        match (found, self.later_value()) {
            (None, Some(what)) => self.error(format!("not supported in this build: {what}"), None),
            (None, None) => self.error(format!("unknown value {}", quoted(&text)), suggest(&text, words)),
            _ => {}
        }
        found
    }

    /// A list of the table's words, each once.
    pub fn choices(&self) -> Option<Vec<&'static str>> {
        let mut all = Vec::new();
        let mut good = true;
        for item in self.list("a list of words")? {
            match item.choice() {
                Some(word) if all.contains(&word) => {
                    item.error(format!("\"{word}\" stands here twice"), None);
                    good = false;
                }
                Some(word) => all.push(word),
                None => good = false,
            }
        }
        good.then_some(all)
    }

    /// What this value will be, if it is a planned one.
    fn later_value(&self) -> Option<&'static str> {
        self.key
            .later_values
            .iter()
            .find(|(word, _)| self.is(word))
            .map(|(_, what)| *what)
    }

    /// Reports an unknown name, with the nearest of those there are.
    pub fn unknown(&self, what: &str, given: &str, known: &[&str]) {
        self.error(format!("unknown {what} {}", quoted(given)), suggest(given, known));
    }

    /// Reports a key that is none of the names there are.
    pub fn key_unknown(&self, what: &str, given: &str, known: &[&str]) {
        self.key_error(format!("unknown {what} {}", quoted(given)), suggest(given, known));
    }

    /// The code reads a key as what the table says it is not; a test reads every key once.
    fn mistyped<T>(&self) -> Option<T> {
        self.error(
            format!(
                "the key table calls this {:?}; this is a fault of the program",
                self.key.kind
            ),
            None,
        );
        None
    }
}
