//! YAML text → a tree that knows where everything stands.
//!
//! Built from parser events without recursion; nesting and size are bounded, so hostile input costs nothing. Aliases
//! (`*name`) and merge keys (`<<`) are resolved here. A syntax error ends the reading; duplicate keys and tags are
//! collected and the reading goes on.

use super::error::{Pos, quoted};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Deepest nesting; the deepest key there is needs seven.
const MAX_DEPTH: usize = 32;

/// Most values in a file after aliases are resolved.
const MAX_VALUES: usize = 20_000;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub pos: Pos,
    pub value: Value,
    /// Values in here, itself included.
    count: usize,
}

/// What a value is. Scalars stay text: what they mean is decided by the key that reads them.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar {
        text: Rc<str>,
        /// Unquoted: an empty or `null` one is no value.
        plain: bool,
        /// Where in the line the text itself begins, if it stands there character by character.
        verbatim: Option<usize>,
    },
    List(Rc<[Node]>),
    Map(Rc<[Entry]>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: Rc<str>,
    pub pos: Pos,
    pub value: Node,
}

/// A mistake in the YAML itself: place, path, message, hint.
pub(super) type Mistake = (Pos, String, String, Option<String>);

impl Node {
    fn new(pos: Pos, value: Value) -> Node {
        let count = 1 + match &value {
            Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(|n| n.count).sum(),
            Value::Map(entries) => entries.iter().map(|e| e.value.count).sum::<usize>(),
        };
        Node { pos, value, count }
    }

    /// An unquoted scalar, as a default of the key table.
    pub fn plain(pos: Pos, text: &str) -> Node {
        Node::new(
            pos,
            Value::Scalar {
                text: text.into(),
                plain: true,
                verbatim: None,
            },
        )
    }

    /// Whether the key was written without a value.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true, .. } if matches!(&**text, "" | "~" | "null"))
    }
}

/// Reads a document; `None` after a syntax error or when there is nothing in it.
pub(super) fn parse(text: &str) -> (Option<Node>, Vec<Mistake>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let goes_on = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => {
                let pos = place(*error.marker());
                let line = text.lines().nth(pos.line.saturating_sub(1)).unwrap_or_default();
                let indent = &line[..line.len() - line.trim_start().len()];
                let hint = if indent.contains('\t') {
                    Some("indent with spaces, not with tabs".to_owned())
                } else if line.contains("${") {
                    Some("put values with ${…} in quotes inside {…} and […]".to_owned())
                } else {
                    None
                };
                // The parser has a limit of its own, and scans ahead of ours.
                let message = match error.info().contains("recursion limit") {
                    true => format!("nested deeper than {MAX_DEPTH} levels"),
                    false => format!("not valid YAML: {}", error.info()),
                };
                builder.mistakes.push((pos, String::new(), message, hint));
                false
            }
        };
        if !goes_on {
            return (None, builder.mistakes);
        }
    }
    (builder.root, builder.mistakes)
}

fn place(marker: Marker) -> Pos {
    Pos {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// A collection whose end has not come yet.
struct Open {
    pos: Pos,
    anchor: usize,
    /// Values in it so far, aliases expanded.
    count: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        key: Option<(Rc<str>, Pos)>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    mistakes: Vec<Mistake>,
}

impl Builder {
    /// Takes one event; false ends the reading.
    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        let pos = place(span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                self.documents == 1 || self.stop(pos, "a second YAML document; a pipeline file holds one")
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.tag(pos, tag.as_deref());
                if self.wants_key() {
                    return self.key(&text, pos);
                }
                let quotes = match style {
                    ScalarStyle::Plain => Some(0),
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Some(1),
                    ScalarStyle::Literal | ScalarStyle::Folded => None,
                };
                let verbatim = quotes
                    .filter(|q| span.len() == text.chars().count() + 2 * q)
                    .map(|q| pos.column + q);
                let plain = style == ScalarStyle::Plain;
                self.value(
                    Node::new(
                        pos,
                        Value::Scalar {
                            text: (&*text).into(),
                            plain,
                            verbatim,
                        },
                    ),
                    anchor,
                )
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    let node = Node { pos, ..node.clone() };
                    if self.wants_key() {
                        self.stop(pos, "an alias cannot be a key")
                    } else {
                        self.value(node, 0)
                    }
                }
                None => self.stop(pos, "an alias inside the value it stands for"),
            },
            Event::SequenceStart(anchor, tag) => {
                self.tag(pos, tag.as_deref());
                self.begin(pos, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(pos, tag.as_deref());
                self.begin(
                    pos,
                    anchor,
                    Content::Map {
                        entries: Vec::new(),
                        key: None,
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => true,
        }
    }

    fn wants_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                content: Content::Map { key: None, .. },
                ..
            })
        )
    }

    fn tag(&mut self, pos: Pos, tag: Option<&saphyr_parser::Tag>) {
        if let Some(tag) = tag {
            let message = format!("YAML tag {} is not supported", quoted(&tag.to_string()));
            self.mistakes.push((pos, self.path(), message, None));
        }
    }

    fn stop(&mut self, pos: Pos, message: &str) -> bool {
        // The whole path of a 10,000-deep nesting helps nobody.
        let path = if self.open.len() >= MAX_DEPTH {
            String::new()
        } else {
            self.path()
        };
        self.mistakes.push((pos, path, message.to_owned(), None));
        false
    }

    /// Dotted path of the value that is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.content {
                Content::List(items) => path.push_str(&format!("[{}]", items.len())),
                Content::Map {
                    key: Some((key, _)), ..
                } => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(key);
                }
                Content::Map { key: None, .. } => {}
            }
        }
        path
    }

    fn key(&mut self, text: &str, pos: Pos) -> bool {
        if let Some(Open {
            content: Content::Map { key, .. },
            ..
        }) = self.open.last_mut()
        {
            *key = Some((text.into(), pos));
        }
        true
    }

    fn begin(&mut self, pos: Pos, anchor: usize, content: Content) -> bool {
        if self.wants_key() {
            return self.stop(pos, "a key must be a word, not a list or a mapping");
        }
        if self.open.len() >= MAX_DEPTH {
            return self.stop(pos, &format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.open.push(Open {
            pos,
            anchor,
            count: 1,
            content,
        });
        true
    }

    fn end(&mut self) -> bool {
        let Some(Open {
            pos, anchor, content, ..
        }) = self.open.pop()
        else {
            return true;
        };
        let value = match content {
            Content::List(items) => Value::List(items.into()),
            Content::Map { entries, .. } => Value::Map(self.merged(entries).into()),
        };
        self.value(Node::new(pos, value), anchor)
    }

    /// Puts a finished value where it belongs.
    fn value(&mut self, node: Node, anchor: usize) -> bool {
        if let Some(open) = self.open.last_mut() {
            open.count += node.count;
            if open.count > MAX_VALUES {
                return self.stop(node.pos, &format!("more than {MAX_VALUES} values"));
            }
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let path = self.path();
        match self.open.last_mut().map(|o| &mut o.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key }) => {
                let Some((key, pos)) = key.take() else { return true };
                // `<<` may be given several times: each is another merge.
                match entries.iter().find(|e| e.key == key && &*key != "<<") {
                    Some(first) => {
                        let parent = path
                            .strip_suffix(&*key)
                            .unwrap_or(&path)
                            .trim_end_matches('.')
                            .to_owned();
                        let message = format!("duplicate key {} (first on line {})", quoted(&key), first.pos.line);
                        self.mistakes.push((pos, parent, message, None));
                    }
                    None => entries.push(Entry { key, pos, value: node }),
                }
            }
        }
        true
    }

    /// Resolves `<<: *base` and `<<: [*a, *b]`: keys that stand here win, then earlier bases.
    fn merged(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|e| &*e.key == "<<");
        let mut known: HashSet<Rc<str>> = own.iter().map(|e| Rc::clone(&e.key)).collect();
        for merge in merges {
            let bases: Vec<Node> = match &merge.value.value {
                Value::List(items) => items.to_vec(),
                _ => vec![merge.value.clone()],
            };
            for base in bases {
                let Value::Map(base) = &base.value else {
                    let message = "\"<<\" merges mappings, and this is none".to_owned();
                    self.mistakes.push((merge.pos, self.path(), message, None));
                    continue;
                };
                for entry in base.iter() {
                    if known.insert(Rc::clone(&entry.key)) {
                        own.push(entry.clone());
                    }
                }
            }
        }
        own
    }
}
