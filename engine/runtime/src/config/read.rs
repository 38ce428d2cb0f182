//! The reader on top of the tree: sections and their keys, checked against the key table.
//!
//! Every method that returns `None` has reported why (or the key is absent and has no default), so callers go on with
//! the next key and the user sees all mistakes at once. What a key holds is read by [`super::field`].

use super::error::{ConfigError, Pos, quoted, suggest};
use super::field::Field;
use super::keys::{self, Key};
use super::tree::{Entry, Node, Value};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

/// What all of a reading shares.
pub(super) struct Reader<'a> {
    /// The file as the user named it.
    pub file: &'a str,
    /// Folder that relative paths start from.
    pub base: &'a Path,
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// What was wrong so far.
    pub errors: RefCell<Vec<ConfigError>>,
}

impl<'a> Reader<'a> {
    /// Notes a mistake.
    pub fn report(&self, pos: Pos, path: &str, message: String, hint: Option<String>) {
        self.errors.borrow_mut().push(ConfigError {
            file: self.file.to_owned(),
            line: pos.line,
            column: pos.column,
            path: path.to_owned(),
            message,
            hint,
        });
    }

    /// The whole file as a section.
    pub fn root(&'a self, node: &Node) -> Option<Section<'a>> {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected keys and values, found {}", describe(node));
            self.report(
                node.pos,
                "",
                message,
                Some("a pipeline file begins with \"name: …\"".to_owned()),
            );
            return None;
        };
        let section = Section {
            reader: self,
            path: String::new(),
            pattern: String::new(),
            pos: node.pos,
            entries: Rc::clone(entries),
        };
        section.check(None);
        Some(section)
    }
}

/// A mapping with known keys, or with names of the user's choice.
pub(super) struct Section<'a> {
    pub reader: &'a Reader<'a>,
    /// As the user sees it.
    pub path: String,
    /// As in the key table.
    pub pattern: String,
    pub pos: Pos,
    pub entries: Rc<[Entry]>,
}

impl<'a> Section<'a> {
    /// Reports keys that are not known here. With a variant (`type: file`), keys of other variants are not.
    pub fn check(&self, variant: Option<(&str, &str)>) {
        for entry in self.entries.iter() {
            let at = |message: String, hint| self.reader.report(entry.pos, &self.path, message, hint);
            let Some(key) = keys::child(&self.pattern, &entry.key).filter(|k| k.name() != "*") else {
                let known: Vec<&str> = keys::below(&self.pattern).map(Key::name).collect();
                at(
                    format!("unknown key {}", quoted(&entry.key)),
                    suggest(&entry.key, &known),
                );
                continue;
            };
            if let (Some((of, values)), Some((_, given))) = (key.only, variant)
                && !key.goes_with(given)
            {
                let value = values.replace('|', " or ");
                at(
                    format!(
                        "\"{}\" goes with \"{of}: {value}\", and this is \"{of}: {given}\"",
                        key.name()
                    ),
                    None,
                );
            }
        }
    }

    /// A key as the user gave it.
    pub fn given(&self, name: &str) -> Option<Field<'a>> {
        let key = self.key(name)?;
        let entry = self.entries.iter().find(|e| &*e.key == name)?;
        Some(self.field(key, name, entry))
    }

    /// A key as given, else its default.
    pub fn get(&self, name: &str) -> Option<Field<'a>> {
        self.given(name).or_else(|| {
            let key = self.key(name)?;
            let node = Node::plain(self.pos, key.default?);
            let (path, pattern) = (join(&self.path, name), join(&self.pattern, name));
            Some(Field {
                reader: self.reader,
                path,
                pattern,
                key,
                key_pos: self.pos,
                node,
            })
        })
    }

    /// A key that must be there.
    pub fn required(&self, name: &str) -> Option<Field<'a>> {
        let field = self.given(name);
        if field.is_none() {
            let example = self.key(name).map(|key| format!("for example {name}: {}", key.example));
            self.reader
                .report(self.pos, &self.path, format!("missing key \"{name}\""), example);
        }
        field
    }

    /// A section below; an absent one is as good as an empty one.
    pub fn section(&self, name: &str) -> Option<Section<'a>> {
        match self.given(name) {
            Some(field) => field.section(),
            None => Some(Section {
                reader: self.reader,
                path: join(&self.path, name),
                pattern: join(&self.pattern, name),
                pos: self.pos,
                entries: Rc::new([]),
            }),
        }
    }

    /// The entries of a mapping whose keys are names of the user's choice.
    pub fn named(&self) -> Vec<(Rc<str>, Field<'a>)> {
        let own = keys::child(&self.pattern, "*");
        let Some(key) = own.or_else(|| keys::find(&self.pattern)) else {
            return Vec::new();
        };
        self.entries
            .iter()
            .map(|e| (Rc::clone(&e.key), self.field(key, "*", e)))
            .collect()
    }

    /// Notes a mistake in the section as a whole.
    pub fn error(&self, message: impl Into<String>, hint: Option<String>) {
        self.reader.report(self.pos, &self.path, message.into(), hint);
    }

    /// Whether no other keys than these were given, right or wrong.
    pub fn only_has(&self, names: &[&str]) -> bool {
        self.entries.iter().all(|e| names.contains(&&*e.key))
    }

    /// The table's row of a key here. All keys the code asks for are in the table; a test reads every one.
    fn key(&self, name: &str) -> Option<&'static Key> {
        let found = keys::child(&self.pattern, name);
        if found.is_none() {
            self.error(
                format!("\"{name}\" is not in the key table; this is a fault of the program"),
                None,
            );
        }
        found
    }

    fn field(&self, key: &'static Key, name: &str, entry: &Entry) -> Field<'a> {
        let (path, pattern) = (join(&self.path, &entry.key), join(&self.pattern, name));
        Field {
            reader: self.reader,
            path,
            pattern,
            key,
            key_pos: entry.pos,
            node: entry.value.clone(),
        }
    }
}

pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

/// What a value is, for "expected …, found …".
pub(super) fn describe(node: &Node) -> String {
    match &node.value {
        _ if node.is_null() => "nothing".to_owned(),
        Value::Scalar { text, .. } => quoted(text),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a section".to_owned(),
    }
}
