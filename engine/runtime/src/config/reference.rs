//! The table of keys → `docs/reference/config.md`.

use super::keys::{self, Key, Kind};
use super::units;

/// The reference of the pipeline file as Markdown, generated from the table that the reader works by.
pub fn reference_markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for top in keys::below("") {
        out.push_str(&format!("\n## `{}`\n\n{}\n\n", top.name(), top.about));
        out.push_str(&format!("{}.", sentence(top)));
        if !top.example.is_empty() {
            out.push_str(&format!(" Example: `{}: {}`", top.name(), top.example));
        }
        out.push('\n');
        let rows: Vec<&Key> = keys::KEYS
            .iter()
            .filter(|k| k.path.starts_with(&format!("{}.", top.path)))
            .collect();
        if rows.is_empty() {
            continue;
        }
        out.push_str("\n| key | value | default | what it does | example |\n|---|---|---|---|---|\n");
        for key in rows {
            out.push_str(&row(key));
        }
    }
    out
}

const INTRODUCTION: &str = "# The pipeline file

Generated from the table in `engine/runtime/src/config/keys.rs`; do not edit. To write it again:
`GROUNDSWELL_WRITE_DOCS=1 cargo test --release -p groundswell config::`.

A pipeline file is YAML. `*` stands for a name of your choice: a lower-case letter, then letters, digits or `_`, at most
63. Relative paths start from the file's folder. Every mistake is reported at once, with its line and column.

- **Durations** are a whole number and a unit: `500ms`, `10s`, `1m`, `2h`, `30d`. **Sizes**: `512KiB`, `64MiB`, `1GiB`.
- **Environment**: `${NAME}` and `${NAME:-default}` (used when the variable is unset or empty) work in every value;
  `$${` stands for a literal `${`. A missing variable is an error.
- **Secrets** are never printed. A field that holds one also takes `file:PATH`: the secret is the file's content.
- Anchors, aliases and merge keys (`<<: *base`) work; tags and several documents in one file do not.
";

fn row(key: &Key) -> String {
    let path = key.path.replace('|', "\\|");
    let mut about = key.about.to_owned();
    if let Some((of, value)) = key.only {
        about = format!("With `{of}: {}`. {about}", value.replace('|', "` or `"));
    }
    let later: Vec<String> = key.later_values.iter().map(|(word, _)| format!("`{word}`")).collect();
    if !later.is_empty() {
        about = format!("{about} Not in this build: {}.", later.join(", "));
    }
    let default = match (key.required, key.default) {
        (true, _) => "**required**".to_owned(),
        (false, Some(default)) => format!("`{default}`"),
        (false, None) => "–".to_owned(),
    };
    let example = if key.example.is_empty() {
        "–".to_owned()
    } else {
        format!("`{}`", key.example)
    };
    format!(
        "| `{path}` | {} | {default} | {} | {} |\n",
        value(key),
        escape(&about),
        escape(&example)
    )
}

/// One line about a key at the top.
fn sentence(key: &Key) -> String {
    let need = match (key.required, key.default) {
        (true, _) => "required".to_owned(),
        (false, Some(default)) => format!("default `{default}`"),
        (false, None) => "optional".to_owned(),
    };
    let value = value(key);
    let mut chars = value.chars();
    let capital: String = chars
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(chars)
        .collect();
    format!("{capital}; {need}")
}

/// What a key holds, in words.
fn value(key: &Key) -> String {
    let words = |words: &[&str]| words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>();
    let kind = match key.kind {
        Kind::Section => "section".to_owned(),
        Kind::Named => "section of names".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Integer(min, i64::MAX) => format!("whole number from {min}"),
        Kind::Integer(min, max) => format!("whole number, {min} to {max}"),
        Kind::Number(min, max) => format!("number, {min} to {max}"),
        Kind::Duration(min, max) => format!("duration, {} to {}", shown(min), shown(max)),
        Kind::Size(min, max) => format!("size, {min} to {max}"),
        Kind::Choice(choices) => words(choices).join(", "),
        Kind::Choices(choices) => format!("list of {}", words(choices).join(", ")),
        Kind::Condition => "condition".to_owned(),
        Kind::Formula => "formula".to_owned(),
        Kind::Pairs => "list of pairs".to_owned(),
        Kind::Sections => "list of sections".to_owned(),
        Kind::Names => "list of names".to_owned(),
        Kind::Texts => "list of texts".to_owned(),
    };
    std::iter::once(kind)
        .chain(words(key.or))
        .collect::<Vec<_>>()
        .join(" or ")
}

fn shown(duration: &str) -> String {
    units::duration(duration).map_or_else(|| duration.to_owned(), units::show_duration)
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
